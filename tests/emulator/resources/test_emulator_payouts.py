"""Payouts of the emulated API: registered, started, sent or failed."""

import json
from datetime import timezone
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedapay_sync.emulator import SANDBOX_SECRET_KEY, Emulator
from fedapay_sync.emulator.domain.rules import rules_of
from fedapay_sync.emulator.domain.timers import Timers
from fedapay_sync.emulator.http.call import Call
from fedapay_sync.emulator.http.errors import Refusal
from fedapay_sync.emulator.http.serializers import stamp
from fedapay_sync.emulator.resources import payout_params
from fedapay_sync.emulator.resources.balances import Balances
from fedapay_sync.emulator.resources.customers import Customers
from fedapay_sync.emulator.resources.payout_ledger import PayoutLedger
from fedapay_sync.emulator.resources.payouts import Payouts
from fedapay_sync.emulator.storage.context import EmulatorContext
from fedapay_sync.emulator.storage.shop_data import ShopData
from fedapay_sync.errors import InvalidArgument

PERSON = {
    "firstname": "Kossi",
    "lastname": "Agbeko",
    "email": "kossi@example.tg",
    "phone_number": {"number": "0164000001", "country": "BJ"},
}
GOOD = {"amount": 5000, "currency": {"iso": "XOF"}, "mode": "moov_tg", "customer": PERSON}


def create(api, **changes):
    """A new payout, as the API answers it."""
    answer = api("POST", "/v1/payouts", json={**GOOD, **changes})
    assert answer.status_code == 200, answer.text
    return answer.json()["v1/payout"]


def start(api, *items):
    return api("PUT", "/v1/payouts/start", json={"payouts": list(items)})


def get(api, id):
    return api("GET", f"/v1/payouts/{id}").json()["v1/payout"]


def events(api):
    """Names of what happened to payouts, oldest first."""
    listed = api("GET", "/v1/events?filters[object]=payout&per_page=1000").json()["v1/events"]
    return [each["type"] for each in listed[::-1]]


def assert_refused(answer, *fields, status=400):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["message"]
    assert sorted(body["errors"]) == sorted(fields)


def test_a_new_payout_has_the_documented_fields_and_waits(api):
    """
    Pending, nothing sent, the fields of the reference in their order; the balance is the one of its mode.
    """
    created = create(api, merchant_reference="PO-1", custom_metadata={"week": "41"})

    assert list(created)[:5] == ["klass", "id", "reference", "amount", "status"]
    assert len(created) == 29
    assert created["klass"] == "v1/payout"
    assert created["reference"].isdigit()
    assert (created["status"], created["amount"], created["mode"]) == ("pending", 5000, "moov_tg")
    assert (created["merchant_reference"], created["custom_metadata"]) == ("PO-1", {"week": "41"})
    assert (created["fees"], created["sent_at"], created["metadata"]) == (None, None, {})
    balances = api("GET", "/v1/balances").json()["v1/balances"]
    assert created["balance_id"] in [each["id"] for each in balances if each["mode"] == "moov_tg"]


def test_a_form_makes_the_same_payout(api):
    """
    Brackets, every value a text, as the PHP SDK writes it.
    """
    form = {
        "amount": "5000",
        "currency[iso]": "XOF",
        "mode": "moov_tg",
        "include": "customer,currency",
        "customer[firstname]": "Kossi",
        "customer[phone_number][number]": "90123456",
        "customer[phone_number][country]": "tg",
    }
    created = api("POST", "/v1/payouts", data=form).json()["v1/payout"]
    assert created["amount"] == 5000
    assert created["customer"]["firstname"] == "Kossi"
    assert created["currency"]["iso"] == "XOF"

    started = api("PUT", "/v1/payouts/start", data={"payouts[0][id]": created["id"], "payouts[0][send_now]": "1"})
    assert started.json()["v1/payouts"][0]["status"] == "started"


def test_without_a_mode_the_server_fails_without_a_word(api):
    """
    500 and an empty message, as it was seen.
    """
    for mode in ({}, {"mode": None}, {"mode": ""}):
        body = {**{name: GOOD[name] for name in ("amount", "currency", "customer")}, **mode}
        answer = api("POST", "/v1/payouts", json=body)
        assert (answer.status_code, answer.json()) == (500, {"message": "", "errors": {}})


@pytest.mark.parametrize(
    ("field", "value"),
    [("amount", value) for value in (None, 0, -1, 12.5, "abc", True, [], {})]
    + [("currency", value) for value in (None, "XOF", {}, {"iso": "EUR"}, [])]
    + [("mode", value) for value in ("nothing", "MTN", [1], {"a": 1}, True)]
    + [("customer", value) for value in ("x", [], {"id": 1}, {"id": {}})]
    + [("custom_metadata", value) for value in ("x", [], 1)]
    + [("merchant_reference", value) for value in ([], {}, True)]
    + [("description", value) for value in ([], {})]
    + [("scheduled_at", value) for value in ("now", "tomorrow", 12, [], {}, "2026-13-01 08:00:00")],
)
def test_a_wrong_field_is_named_and_nothing_is_made(field, value, api):
    """
    400 with the field, no payout, no customer, no event.
    """
    assert_refused(api("POST", "/v1/payouts", json={**GOOD, field: value}), field)
    assert api("GET", "/v1/payouts").json()["meta"]["total_count"] == 0
    assert api("GET", "/v1/events").json()["meta"]["total_count"] == 0


def test_refusals_speak_english_when_asked(api):
    """
    French without a wish, English with locale=en.
    """
    bad = {**GOOD, "amount": 0}
    assert api("POST", "/v1/payouts", json=bad).json()["message"] == "La création du dépôt a échoué"
    assert api("POST", "/v1/payouts?locale=en", json=bad).json()["message"] == "Payout creation failed"


def test_a_merchant_reference_is_taken_once_and_found(api):
    """
    Slashes and accents included; transactions have references of their own.
    """
    created = create(api, merchant_reference="PO/été 1")
    assert_refused(api("POST", "/v1/payouts", json={**GOOD, "merchant_reference": "PO/été 1"}), "merchant_reference")
    found = api("GET", f"/v1/payouts/merchant/{quote('PO/été 1', safe='')}")
    assert found.json()["v1/payout"]["id"] == created["id"]
    assert api("GET", "/v1/payouts/merchant/PO-none").status_code == 404


def test_a_batch_makes_what_can_be_made(api):
    """
    Wrong ones are told of by index, with their reasons; the others exist.
    """
    body = {"payouts": [GOOD, {**GOOD, "amount": 0}, "x", {**GOOD, "amount": 7000}], "include": "currency"}
    batch = api("POST", "/v1/payouts/batch", json=body).json()["v1/payout_batch"]

    assert batch["klass"] == "v1/payout_batch"
    assert [each["amount"] for each in batch["payouts"]] == [5000, 7000]
    assert batch["payouts"][0]["currency"]["iso"] == "XOF"
    assert [each["index"] for each in batch["errors"]] == [1, 2]
    assert "amount" in batch["errors"][0]["errors"]
    assert api("GET", "/v1/payouts").json()["meta"]["total_count"] == 2


@pytest.mark.parametrize("payouts", [None, "", "x", [], {}, 7, {"a": 1}])
def test_a_batch_of_nothing_is_400(payouts, api):
    """
    There must be a list with something in it.
    """
    assert_refused(api("POST", "/v1/payouts/batch", json={"payouts": payouts}))


def test_lists_are_paged_searched_and_filtered(api):
    """
    Newest first with meta; search looks into references, description and customer.
    """
    first, second = create(api, description="semaine 41"), create(api, amount=7000, merchant_reference="PO-2")
    page = api("GET", "/v1/payouts?per_page=1&include=customer").json()
    assert [each["id"] for each in page["v1/payouts"]] == [second["id"]]
    assert page["v1/payouts"][0]["customer"]["email"] == "kossi@example.tg"
    assert (page["meta"]["total_count"], page["meta"]["next_page"]) == (2, 2)

    def ids(query):
        return [each["id"] for each in api("GET", f"/v1/payouts/search?{query}").json()["v1/payouts"]]

    assert ids("search=SEMAINE") == [first["id"]]
    assert ids("search=po-2") == [second["id"]]
    assert ids("search=agbeko") == [second["id"], first["id"]]
    assert ids("search=*") == [second["id"], first["id"]]
    assert ids("filters[compare][amount][op]==&filters[compare][amount][value]=7000") == [second["id"]]


def test_an_update_changes_what_is_pending(api):
    """
    Everything is sent back as an SDK's save does, embedded objects included; only the wish changes something.
    """
    created = create(api, include="customer,currency")
    embedded = {"klass": "v1/customer", "firstname": "Kossi"}
    body = {**created, "amount": 5500.0, "status": "sent", "reference": "x", "customer": embedded}
    updated = api("PUT", f"/v1/payouts/{created['id']}", json=body).json()["v1/payout"]

    assert (updated["amount"], updated["status"], updated["reference"]) == (5500, "pending", created["reference"])
    assert updated["customer_id"] == created["customer_id"]
    assert updated["updated_at"] > created["updated_at"]
    assert_refused(api("PUT", f"/v1/payouts/{created['id']}", json={"amount": 0, "mode": ""}), "amount", "mode")
    other = api("PUT", f"/v1/payouts/{created['id']}", json={"mode": "moov", "customer": {"email": "b@example.bj"}})
    assert other.json()["v1/payout"]["mode"] == "moov"
    assert other.json()["v1/payout"]["customer_id"] != created["customer_id"]
    assert other.json()["v1/payout"]["balance_id"] != created["balance_id"]


def test_what_was_started_or_deleted_can_no_longer_change(api):
    """
    403 for update and deletion, 400 for another start; a deleted payout stays readable.
    """
    started, deleted = create(api), create(api)
    start(api, {"id": started["id"]})
    assert api("DELETE", f"/v1/payouts/{deleted['id']}").status_code == 200
    assert get(api, deleted["id"])["deleted_at"]
    assert get(api, deleted["id"])["status"] == "pending"
    for payout in (started, deleted):
        assert_refused(api("PUT", f"/v1/payouts/{payout['id']}", json={"amount": 1}), status=403)
        assert_refused(api("DELETE", f"/v1/payouts/{payout['id']}"), status=403)
        assert_refused(start(api, {"id": payout["id"]}), "id")


def test_a_sent_payout_tells_each_step(api, emulator):
    """
    Started, processing, sent: with fees by the published table, dates, and an event for each step.
    """
    created = create(api)
    started = start(api, {"id": str(created["id"]), "scheduled_at": None, "send_now": True}).json()["v1/payouts"]
    assert [each["status"] for each in started] == ["started"]
    assert started[0]["started_at"] > created["created_at"]
    emulator.send_payout(created["id"])

    sent = get(api, created["id"])
    assert (sent["status"], sent["fees"], sent["amount_debited"], sent["amount_transferred"]) == (
        "sent",
        150,
        5150,
        5000,
    )
    assert sent["sent_at"] > sent["started_at"]
    assert events(api) == ["payout.created", "payout.started", "payout.processing", "payout.sent"]


def test_the_entity_of_an_event_is_the_payout_of_that_moment(api, emulator):
    """
    Record form: without klass and embedded objects, and not changed by what came later.
    """
    created = create(api)
    start(api, {"id": created["id"]})
    emulator.send_payout(created["id"])
    listed = api("GET", "/v1/events?filters[object]=payout").json()["v1/events"]
    entities = [json.loads(each["entity"]) for each in listed]
    assert [each["status"] for each in entities] == ["sent", "processing", "started", "pending"]
    assert set(entities[0]) == set(created) - {"klass"}


def test_a_failed_payout_says_why_and_stays_failed(api, emulator):
    """
    Code and message are set; neither sending nor another start changes it.
    """
    created = create(api)
    start(api, {"id": created["id"]})
    emulator.fail_payout(created["id"])
    failed = get(api, created["id"])
    assert (failed["status"], failed["last_error_code"]) == ("failed", "INSUFFICIENT_FUND_ERROR")
    assert failed["failed_at"]
    assert failed["amount_debited"] is None
    assert_refused(start(api, {"id": created["id"]}), "id")
    with pytest.raises(InvalidArgument, match="est failed"):
        emulator.send_payout(created["id"])


def test_only_what_was_started_can_end(api, emulator):
    """
    Unknown or pending: the test that asks is told so.
    """
    created = create(api)
    with pytest.raises(InvalidArgument, match="est pending"):
        emulator.send_payout(created["id"])
    with pytest.raises(InvalidArgument, match="n'a pas de dépôt 12"):
        emulator.fail_payout(12)


@pytest.mark.parametrize(
    ("amount", "fee"),
    [(1, 150), (10_000, 150), (10_001, 300), (50_000, 300), (150_000, 800), (500_000, 2_000), (500_001, 2_500)],
)
def test_fees_follow_the_published_table(amount, fee):
    """
    Up to and including each limit.
    """
    assert payout_params.fee(amount) == fee


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("2030-10-14 08:00:00", "2030-10-14T08:00:00.000Z"),
        ("2030-10-14 8:5:0", "2030-10-14T08:05:00.000Z"),
        ("2030-10-14T08:00:00Z", "2030-10-14T08:00:00.000Z"),
        ("2030-10-14T08:00:00.123Z", "2030-10-14T08:00:00.123Z"),
        ("2030-10-14T08:00:00+01:00", "2030-10-14T07:00:00.000Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_date_is_gmt_or_iso(text, stamp, api):
    """
    The two written forms of the documentation; the answer shows the date.
    """
    created = create(api)
    answer = start(api, {"id": created["id"], "scheduled_at": text}).json()["v1/payouts"][0]
    assert (answer["status"], answer["scheduled_at"]) == ("started", stamp)


@pytest.mark.parametrize("date", ["now", "2026-10-14", "08:00", "2026-02-30 08:00:00", 1, True, [], {"a": 1}, "x" * 99])
def test_any_other_date_is_refused_with_the_code_that_was_seen(date, api):
    """
    INVALID_PARAMS, scheduled_at, invalid_datetime; the payout stays pending.
    """
    created = create(api)
    answer = start(api, {"id": created["id"], "scheduled_at": date})
    assert_refused(answer, "scheduled_at")
    assert answer.json()["code"] == "INVALID_PARAMS"
    assert answer.json()["errors"] == {"scheduled_at": ["invalid_datetime"]}
    assert get(api, created["id"])["status"] == "pending"


def test_one_wrong_item_starts_none(api):
    """
    The whole call is checked before anything moves.
    """
    good = create(api)
    assert_refused(start(api, {"id": good["id"]}, {"id": 1}), status=404)
    assert_refused(start(api, {"id": good["id"]}, {"id": good["id"]}), "payouts")
    assert get(api, good["id"])["status"] == "pending"


def test_a_million_is_the_most(api):
    """
    Refused when it is started; francs of Guinea are not counted in XOF.
    """
    most, more = create(api, amount=1_000_000), create(api, amount=1_000_001)
    guinean = create(api, amount=2_000_000, currency={"iso": "GNF"}, mode="mtn_open_gn")
    assert start(api, {"id": most["id"]}).status_code == 200
    assert_refused(start(api, {"id": more["id"]}), "amount")
    assert start(api, {"id": guinean["id"]}).status_code == 200


def test_a_number_gets_three_payouts_a_day(hand_clock, client_of):
    """
    However it is written, in one call or in several; what failed does not count, and a day later it begins anew.
    """
    with Emulator(clock=hand_clock) as emulator:
        api = client_of(emulator)
        made = [create(api)["id"] for _ in range(6)]
        assert_refused(start(api, *[{"id": each} for each in made[:4]]), "phone_number")
        assert start(api, *[{"id": each} for each in made[:3]]).status_code == 200
        again = {"id": made[3], "phone_number": {"number": "+22964000001", "country": "bj"}}
        assert_refused(start(api, again), "phone_number")
        emulator.fail_payout(made[0])
        assert start(api, again).status_code == 200
        assert_refused(start(api, {"id": made[4]}), "phone_number")
        hand_clock.passed += 24 * 3600 + 1
        assert start(api, {"id": made[4]}, {"id": made[5]}).status_code == 200


def test_a_payout_needs_a_number(api):
    """
    The customer's, or one at the start; without either it cannot go.
    """
    created = create(api, customer={"firstname": "A", "lastname": "B"})
    refused = start(api, {"id": created["id"]})
    assert refused.status_code == 400
    assert refused.json()["message"] == "Paramètre manquant ou la valeur est vide phone_number"
    phone = {"number": "90123456", "country": "TG"}
    assert start(api, {"id": created["id"], "phone_number": phone}).status_code == 200
    assert create(api, customer=None)["customer_id"] is None


def test_a_bare_list_starts_too(api):
    """
    So the API reference shows the body, and no client sends it; the answer keeps its envelope.
    """
    created = create(api)
    answer = api("PUT", "/v1/payouts/start", json=[{"id": created["id"]}])
    assert answer.json()["v1/payouts"][0]["status"] == "started"
    assert_refused(api("PUT", "/v1/payouts/start", json=[]))
    assert_refused(api("PUT", "/v1/payouts/start", json=["x"]), "payouts")


def test_payouts_that_are_switched_off_are_forbidden(api, emulator):
    """
    403 exactly as a new merchant sees it; reading goes on.
    """
    created = create(api)
    emulator.settings.payouts = False
    forbidden = {"message": "Opération non autorisée", "errors": {}, "model": None}
    for answer in (
        api("POST", "/v1/payouts", json=GOOD),
        api("POST", "/v1/payouts/batch", json={"payouts": [GOOD]}),
        start(api, {"id": created["id"]}),
    ):
        assert (answer.status_code, answer.json()) == (403, forbidden)
    assert get(api, created["id"])["status"] == "pending"


def test_with_a_delay_payouts_end_by_themselves(hand_clock, client_of, receiver):
    """
    A good sandbox number gets its money, another does not; a date is waited for.
    """
    with Emulator(
        clock=hand_clock, delay=10, webhook_url=receiver.url, webhook_objects=["payout"], retry_factor=0
    ) as emulator:
        api = client_of(emulator)
        good, bad, late = (create(api)["id"] for _ in range(3))
        phone = {"number": "0197000000", "country": "bj"}
        start(
            api, {"id": good}, {"id": bad, "phone_number": phone}, {"id": late, "scheduled_at": "2999-01-01 00:00:00"}
        )
        receiver.wait_for(6)
        hand_clock.passed += 5
        receiver.wait_for(8)
        assert {get(api, each)["status"] for each in (good, bad)} == {"processing"}
        hand_clock.passed += 5
        receiver.wait_for(10)
        assert [get(api, each)["status"] for each in (good, bad, late)] == ["sent", "failed", "started"]
    receiver.verify(emulator.webhook_secret)
    assert sorted(receiver.names[-2:]) == ["payout.failed", "payout.sent"]


def test_payouts_survive_with_the_file(tmp_path, client_of, hand_clock, receiver):
    """
    Reference, remaining time and all: what was on its way goes on in the next emulator.
    """
    options = {"state": tmp_path / "shop.fedapay", "delay": 60, "clock": hand_clock, "webhook_objects": ["payout"]}
    with Emulator(**options) as emulator:
        api = client_of(emulator)
        going, waiting = create(api, merchant_reference="PO-1")["id"], create(api)["id"]
        start(api, {"id": going})
    hand_clock.passed += 20
    with Emulator(**options, webhook_url=receiver.url) as emulator:
        api = client_of(emulator)
        assert_refused(api("POST", "/v1/payouts", json={**GOOD, "merchant_reference": "PO-1"}), "merchant_reference")
        assert (get(api, going)["status"], get(api, waiting)["status"]) == ("started", "pending")
        hand_clock.passed += 60
        receiver.wait_for(2)
        assert (emulator.payout(going)["status"], emulator.payout(waiting)["status"]) == ("sent", "pending")
    assert sorted(receiver.names) == ["payout.processing", "payout.sent"]


def test_copies_of_payouts_may_be_changed(api, emulator):
    """
    What the test gets to see is its own, with customer and currency.
    """
    created = create(api, custom_metadata={"week": "41"})
    copied = emulator.payouts[0]
    copied["custom_metadata"]["week"] = "42"
    copied["customer"]["email"] = None
    assert get(api, created["id"])["custom_metadata"] == {"week": "41"}
    assert emulator.payout(created["id"])["customer"]["email"] == "kossi@example.tg"
    with pytest.raises(InvalidArgument):
        emulator.payout(12)


@pytest.mark.parametrize("id", ["0", "1", "abc", "-1", "9" * 500, "١", "null"])
def test_a_weird_id_is_not_found(id, api):
    """
    404 for read, change, deletion, and in the body of a start.
    """
    for method in ("GET", "PUT", "DELETE"):
        assert_refused(api(method, f"/v1/payouts/{quote(id)}"), status=404)
    assert_refused(start(api, {"id": id}), status=404)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ITEM = st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "scheduled_at", "phone_number", "send_now"), JSON))


@given(JSON | st.fixed_dictionaries({"payouts": JSON | st.lists(JSON | ITEM, max_size=3)}))
@settings(max_examples=300, deadline=None)
def test_no_body_of_a_start_breaks_it(body):
    """
    It starts, or it is refused and nothing has changed.
    """
    if not isinstance(body, dict):
        body = {"payouts": body}
    data = ShopData(rules_of(SANDBOX_SECRET_KEY), EmulatorContext(), lambda *_: None)
    ledger = PayoutLedger(data, Customers(data), Balances(data), Timers(data.clock))
    payouts = Payouts(ledger)
    made = payouts.create(Call({**GOOD, "include": ""})).answer["v1/payout"]
    listed = body.get("payouts")
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict) and item.get("id") is None:
            item["id"] = made["id"]
    try:
        started = payouts.start(Call(body))["v1/payouts"]
    except Refusal as refusal:
        assert refusal.status in (400, 404)
        assert refusal.to_dict("en")["message"]
        assert ledger.get(made["id"])["status"] == "pending"
    else:
        assert [(each["id"], each["status"]) for each in started] == [(made["id"], "started")]


@given(
    st.text("0123456789-:TZ+. now", max_size=25)
    | st.datetimes(timezones=st.just(timezone.utc)).map(lambda date: date.isoformat())
)
def test_no_date_breaks_the_reader(text):
    """
    A moment that can be written back, nothing, or a refusal.
    """
    try:
        moment = payout_params.moment_of(text, "x")
    except payout_params.InvalidDate as refusal:
        assert refusal.to_dict()["code"] == "INVALID_PARAMS"
    else:
        assert moment is None or stamp(moment)
