"""The emulated API answers as FedaPay does, section by section of what is known of it."""

import re
import threading

import pytest
import requests

from fedapay_sync.emulator import LIVE_SECRET_KEY, SANDBOX_SECRET_KEY, Emulator
from fedapay_sync.emulator.resources.payment_tokens import issue, subject
from fedapay_sync.errors import InvalidArgument, PortUnavailable

PERSON = {
    "firstname": "Ayaba",
    "lastname": "Hounkpatin",
    "email": "ayaba@example.bj",
    "phone_number": {"number": "0164000001", "country": "bj"},
}


def test_a_new_transaction_has_the_fields_that_fedapay_sends(api, emulator):
    """
    Pending, with token and link, in the recorded set and order of fields.
    """
    created = api.create(merchant_reference="CMD-1", custom_metadata={"order": "7"}, customer=PERSON)

    assert list(created)[:5] == ["klass", "id", "reference", "amount", "description"]
    assert len(created) == 38
    assert created["status"] == "pending"
    assert created["klass"] == "v1/transaction"
    assert re.fullmatch(r"trx_[A-Za-z0-9]{3}_\d{13}", created["reference"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created["created_at"])
    assert created["payment_url"] == f"{emulator.url}/process/{created['payment_token']}"
    assert re.fullmatch(r"[0-9a-f]{24}", created["metadata"]["expire_schedule_jobid"])
    assert created["custom_metadata"] == {"order": "7"}
    assert (created["currency_id"], created["fixed_commission"], created["flags"]) == (1, 0, [])


def test_an_approved_transaction_carries_what_was_paid(api, emulator):
    """
    4 % borne by the payer: 15000 asked, 15625 debited; token and link are gone, the receipt is there.
    """
    created = api.create(customer=PERSON)
    api.push(created)
    emulator.approve(created["id"])

    paid = api.get(created["id"])

    assert (paid["status"], paid["mode"]) == ("approved", "momo_test")
    assert (paid["commission"], paid["fees"]) == ("0.04", 625)
    assert (paid["amount"], paid["amount_debited"], paid["amount_transferred"]) == (15000, 15625, 15000)
    assert paid["payment_token"] is None
    assert paid["payment_url"] is None
    assert paid["metadata"]["paid_customer"] == {
        "email": "ayaba@example.bj",
        "lastname": "Hounkpatin",
        "firstname": "Ayaba",
    }
    assert paid["approved_at"] > created["created_at"]
    assert paid["to_be_transferred_at"] > paid["approved_at"]
    assert "15\u202f625" in requests.get(paid["receipt_url"], timeout=10).text


@pytest.mark.parametrize(
    ("amount", "debited", "mode", "key"),
    [
        (150000, 156250, "momo_test", SANDBOX_SECRET_KEY),
        (1000, 1042, "momo_test", SANDBOX_SECRET_KEY),
        (100, 104, "momo_test", SANDBOX_SECRET_KEY),
        (100, 102, "mtn_open", LIVE_SECRET_KEY),
        (22000, 22403, "moov", LIVE_SECRET_KEY),
    ],
)
def test_fees_are_those_of_recorded_payments(amount, debited, mode, key, client_of):
    """
    The recorded cases, to the franc.
    """
    with Emulator(secret_key=key) as emulator:
        api = client_of(emulator)
        created = api.create(amount=amount)
        assert api.push(created, mode=mode).status_code == 200
        emulator.approve(created["id"])
        assert emulator.transaction(created["id"])["amount_debited"] == debited


def test_include_embeds_customer_and_currency(api):
    """
    In the body of create, in the query of retrieve.
    """
    created = api.create(customer=PERSON, include="customer,currency")
    assert created["customer"]["full_name"] == "Ayaba Hounkpatin"
    assert created["currency"]["iso"] == "XOF"
    found = api("GET", f"/v1/transactions/{created['id']}?include=customer").json()["v1/transaction"]
    assert found["customer"]["id"] == created["customer_id"]
    assert "currency" not in found


def test_an_email_is_one_customer(api):
    """
    The second transaction reuses the record, with the new name.
    """
    first = api.create(customer=PERSON)
    second = api.create(customer={**PERSON, "firstname": "Zoé"}, include="customer")
    third = api.create(customer={"id": first["customer_id"]})
    assert first["customer_id"] == second["customer_id"] == third["customer_id"]
    assert second["customer"]["firstname"] == "Zoé"
    assert api.create(customer={"firstname": "A", "lastname": "B"})["customer_id"] != first["customer_id"]


def test_a_merchant_reference_is_taken_once(api):
    """
    The second creation is refused by field; the first is found by its reference, odd letters included.
    """
    created = api.create(merchant_reference="CMD/été 1")
    refused = api(
        "POST",
        "/v1/transactions",
        json={"description": "x", "amount": 1, "currency": {"iso": "XOF"}, "merchant_reference": "CMD/été 1"},
    )
    assert refused.status_code == 400
    assert refused.json()["errors"] == {"merchant_reference": ["n'est pas disponible"]}
    found = api("GET", "/v1/transactions/merchant/CMD%2F%C3%A9t%C3%A9%201")
    assert found.json()["v1/transaction"]["id"] == created["id"]
    assert api("GET", "/v1/transactions/merchant/none").status_code == 404


def test_one_reference_sent_twenty_times_at_once_makes_one_transaction(api, emulator):
    """
    Uniqueness holds between threads.
    """
    body = {"description": "x", "amount": 1, "currency": {"iso": "XOF"}, "merchant_reference": "once"}
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(api("POST", "/v1/transactions", json=body).status_code))
        for _ in range(20)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(answers) == [200] + [400] * 19
    assert len(emulator.transactions) == 1


def test_a_form_body_is_as_good_as_json(api):
    """
    Brackets nest, as PHP and Ruby write them; amounts are texts.
    """
    form = {
        "description": "Café & thé",
        "amount": "500",
        "currency[iso]": "XOF",
        "customer[firstname]": "Zoé",
        "customer[lastname]": "K",
        "customer[phone_number][number]": "0164000001",
        "custom_metadata[tags][]": ["a", "b"],
        "include": "customer",
        "locale": "fr",
    }
    created = api("POST", "/v1/transactions", data=form).json()["v1/transaction"]
    assert (created["amount"], created["description"]) == (500, "Café & thé")
    assert created["customer"]["firstname"] == "Zoé"
    assert created["custom_metadata"] == {"tags": ["a", "b"]}


def test_lists_come_newest_first_in_pages(api):
    """
    meta says where one stands; search narrows.
    """
    ids = [api.create(description=f"colis-{number}")["id"] for number in range(7)]
    first = api("GET", "/v1/transactions?per_page=3").json()
    assert [each["id"] for each in first["v1/transactions"]] == ids[:3:-1]
    assert first["meta"] == {
        "current_page": 1,
        "next_page": 2,
        "prev_page": None,
        "per_page": 3,
        "total_pages": 3,
        "total_count": 7,
    }
    last = api("GET", "/v1/transactions/search?per_page=3&page=3&search=*").json()
    assert [each["id"] for each in last["v1/transactions"]] == ids[:1]
    assert (last["meta"]["next_page"], last["meta"]["prev_page"]) == (None, 2)
    assert api("GET", "/v1/transactions/search?search=COLIS-4").json()["meta"]["total_count"] == 1
    assert api("GET", "/v1/transactions/search?search=none").json()["v1/transactions"] == []


def test_an_update_changes_the_text_but_never_the_status(api, emulator):
    """
    PUT changes description and amount while pending; a status sent along is ignored; later amounts stay.
    """
    id = api.create()["id"]
    changed = api("PUT", f"/v1/transactions/{id}", json={"description": "b", "amount": 9, "status": "approved"})
    assert changed.json()["v1/transaction"]["description"] == "b"
    assert (api.get(id)["amount"], api.get(id)["status"]) == (9, "pending")
    emulator.approve(id)
    refused = api("PUT", f"/v1/transactions/{id}", json={"amount": 1})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["amount"])


def test_a_deleted_transaction_stays_pending_with_a_dead_link(api, emulator):
    """
    200 and an empty list, deleted_at set, status pending, no more token, no payment; a second DELETE is refused.
    """
    created = api.create()
    deleted = api("DELETE", f"/v1/transactions/{created['id']}")
    assert (deleted.status_code, deleted.content) == (200, b"[]")
    found = api.get(created["id"])
    assert found["status"] == "pending"
    assert found["deleted_at"] is not None
    assert found["payment_token"] is None
    assert "plus valable" in requests.get(created["payment_url"], timeout=10).text
    assert api.push(created).status_code == 400
    assert api("POST", f"/v1/transactions/{created['id']}/token").status_code == 403
    assert api("DELETE", f"/v1/transactions/{created['id']}").status_code == 403
    with pytest.raises(InvalidArgument, match="supprimée"):
        emulator.approve(created["id"])


def test_what_is_paid_cannot_be_deleted(api, emulator):
    """
    403 with the recorded body.
    """
    id = api.create()["id"]
    emulator.approve(id)
    refused = api("DELETE", f"/v1/transactions/{id}")
    assert refused.status_code == 403
    assert refused.json() == {"message": "Opération non autorisée", "errors": {}, "model": None}


def test_a_payment_after_the_deletion_can_be_forced(api, emulator):
    """
    The operator may have said yes in the same instant: force=True makes that rare case.
    """
    id = api.create()["id"]
    api("DELETE", f"/v1/transactions/{id}")
    emulator.approve(id, force=True)
    found = api.get(id)
    assert found["status"] == "approved"
    assert found["deleted_at"] is not None


def test_a_new_token_opens_the_payment_page(api):
    """
    The token call answers without envelope; the page shows amount and description, escaped.
    """
    created = api.create(description="<script>alert(1)</script>")
    answer = api("POST", f"/v1/transactions/{created['id']}/token").json()
    assert set(answer) == {"token", "url"}
    page = requests.get(answer["url"], timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "15\u202f000" in page.text
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text


def test_a_token_is_the_jwt_of_the_reference(api):
    """
    The sample of the reference page comes out byte for byte, and reads back until it expires.
    """
    token = issue(512345, 1791882845)
    assert token == (
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOjUxMjM0NSwiZXhwIjoxNzkxODgyODQ1fQ."
        "ucDVpTbWs4OpL0oFQjYeXNpXKRtu1-dy5dXYjdekkHI"
    )
    assert subject(token, 1791882844) == 512345
    assert subject(token, 1791882845) is None
    for bad in ("", ".", "..", "a.b.c", token[:-1], token + "é", token.replace(".", "!")):
        assert subject(bad, 0) is None


@pytest.mark.parametrize("number", ["64000001", "0164000001", "+22964000001", "+2290166000001", "22966000001"])
def test_a_good_sandbox_number_pays_after_the_delay(number, client_of):
    """
    Whatever the written form; the push itself answers pending.
    """
    with Emulator(delay=0) as emulator:
        api = client_of(emulator)
        created = api.create()
        intent = api.push(created, number).json()["v1/payment_intent"]
        assert intent["status"] == "pending"
        assert re.fullmatch(r"pi_[A-Za-z0-9]{3}_\d{13}", intent["reference"])
        assert _settled(api, created["id"])["status"] == "approved"


def test_any_other_sandbox_number_is_declined_and_may_pay_later(client_of):
    """
    declined is not the end: a new push pays, and the first stamp stays.
    """
    with Emulator(delay=0) as emulator:
        api = client_of(emulator)
        created = api.create()
        api.push(created, "0166000000")
        declined = _settled(api, created["id"])
        assert declined["status"] == "declined"
        api.push(declined, "0166000001")
        paid = _settled(api, created["id"], "declined")
        assert paid["status"] == "approved"
        assert paid["declined_at"] == declined["declined_at"]


def _settled(api, id, *passing):
    for _ in range(5000):
        found = api.get(id)
        if found["status"] not in ("pending", *passing):
            return found
    raise AssertionError(found)


def test_without_a_delay_nothing_happens_until_told(api, emulator):
    """
    A push leaves the transaction pending.
    """
    created = api.create()
    api.push(created)
    assert api.get(created["id"])["status"] == "pending"


def test_a_push_without_a_number_prompts_the_customer(api):
    """
    The customer's number is taken; without customer, FedaPay's own sentence.
    """
    token = api.create(customer=PERSON)["payment_token"]
    assert api("POST", "/v1/momo_test", json={"token": token}).status_code == 200
    token = api.create()["payment_token"]
    flat = api("POST", "/v1/momo_test", json={"token": token, "number": "0164000001", "country": "bj"})
    assert flat.status_code == 400
    assert flat.json()["message"] == "Paramètre manquant ou la valeur est vide phone_number"


@pytest.mark.parametrize(
    ("key", "mode", "status"),
    [
        (SANDBOX_SECRET_KEY, "momo_test", 200),
        (SANDBOX_SECRET_KEY, "mtn_open", 400),
        (SANDBOX_SECRET_KEY, "wave_direct_ci", 400),
        (SANDBOX_SECRET_KEY, "nothing", 404),
        (SANDBOX_SECRET_KEY, "transactions/momo_test", 404),
        (LIVE_SECRET_KEY, "mtn_open", 200),
        (LIVE_SECRET_KEY, "togocel", 200),
        (LIVE_SECRET_KEY, "mtn_open_gn", 200),
        (LIVE_SECRET_KEY, "momo_test", 400),
        (LIVE_SECRET_KEY, "orange_ci", 400),
    ],
)
def test_each_environment_has_its_modes(key, mode, status, client_of):
    """
    momo_test alone in sandbox, the operators alone in production, and the printed wrong path is 404.
    """
    with Emulator(secret_key=key) as emulator:
        api = client_of(emulator)
        answer = api.push(api.create(), mode=mode)
        assert answer.status_code == status
        if status == 400:
            assert answer.json()["message"] == "Opération non autorisée"


def test_a_live_payer_agrees_after_the_delay(client_of):
    """
    No test number in production.
    """
    with Emulator(secret_key=LIVE_SECRET_KEY, delay=0) as emulator:
        api = client_of(emulator)
        created = api.create()
        api.push(created, "0197000000", mode="mtn_open")
        paid = _settled(api, created["id"])
        assert (paid["status"], paid["commission"]) == ("approved", "0.018")


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer sk_sandbox_other", f"Bearer {LIVE_SECRET_KEY}", "Basic abc", "Bearer \xe9"],
)
def test_a_wrong_key_is_401(header, emulator):
    """
    Missing, malformed, foreign: one answer.
    """
    headers = {"Authorization": header} if header is not None else {}
    answer = requests.get(emulator.url + "/v1/transactions", headers=headers, timeout=10)
    assert answer.status_code == 401
    assert answer.json() == {"message": "Clé API invalide", "errors": {}}


def test_transitions_are_those_of_fedapay(api, emulator):
    """
    canceled and declined may still be paid; paid, expired and transferred never go back.
    """
    first, second, third = (api.create()["id"] for _ in range(3))
    emulator.cancel(first)
    assert emulator.transaction(first)["last_error_code"] == "INSUFFICIENT_FUND_ERROR"
    emulator.approve(str(first))
    assert emulator.transaction(first)["canceled_at"] is not None
    for forbidden in (emulator.decline, emulator.cancel, emulator.expire, emulator.approve):
        with pytest.raises(InvalidArgument, match="elle ne peut pas devenir"):
            forbidden(first)
    emulator.transfer(first)
    emulator.decline(second)
    emulator.expire(second)
    emulator.expire(third)
    for id in (second, third):
        with pytest.raises(InvalidArgument):
            emulator.approve(id)
    for id in (1, "abc", "", None, "1" * 30):
        with pytest.raises(InvalidArgument):
            emulator.approve(id)
        with pytest.raises(InvalidArgument):
            emulator.transaction(id)


def test_a_day_expires_and_three_days_transfer(hand_clock, client_of):
    """
    By the emulator's clock; an expired link is dead, a deleted transaction does not expire.
    """
    with Emulator(clock=hand_clock) as emulator:
        api = client_of(emulator)
        unpaid, paid, gone = api.create(), api.create(), api.create()
        emulator.approve(paid["id"])
        api("DELETE", f"/v1/transactions/{gone['id']}")
        hand_clock.passed += 24 * 3600 - 1
        assert api.get(unpaid["id"])["status"] == "pending"
        hand_clock.passed += 2
        expired = api.get(unpaid["id"])
        assert (expired["status"], expired["payment_token"]) == ("expired", None)
        assert api.push(unpaid).status_code == 400
        hand_clock.passed += 48 * 3600
        assert api.get(paid["id"])["status"] == "transferred"
        assert api.get(gone["id"])["status"] == "pending"


def test_time_alone_tells_of_expiry(hand_clock, client_of):
    """
    No call asks, and yet the event is there: a timer follows the same clock.
    """
    with Emulator(clock=hand_clock) as emulator:
        api = client_of(emulator)
        api.create()
        hand_clock.passed += 24 * 3600 + 5
        for _ in range(5000):
            names = [each["type"] for each in api("GET", "/v1/events").json()["v1/events"]]
            if "transaction.expired" in names:
                break
        assert names[0] == "transaction.expired"


def test_events_are_kept_with_their_entity_as_text(api, emulator):
    """
    Newest first, entity JSON in a string without klass; they can be filtered and fetched one by one.
    """
    created = api.create(customer=PERSON)
    emulator.approve(created["id"])
    events = api("GET", "/v1/events").json()
    assert [each["type"] for each in events["v1/events"]] == [
        "transaction.approved",
        "transaction.created",
        "customer.created",
    ]
    newest = events["v1/events"][0]
    assert isinstance(newest["entity"], str)
    assert '"status":"approved"' in newest["entity"]
    assert "klass" not in newest["entity"]
    assert api("GET", f"/v1/events/{newest['id']}").json()["v1/event"] == newest
    query = f"?filters[object_id]={created['id']}&filters[type]=transaction_created&match=must"
    assert api("GET", "/v1/events" + query).json()["meta"]["total_count"] == 1
    assert api("GET", "/v1/events/none").status_code == 404


def test_currencies_are_listed_without_meta(api):
    """
    XOF is number 1.
    """
    answer = api("GET", "/v1/currencies").json()
    assert "meta" not in answer
    assert answer["v1/currencies"][0]["iso"] == "XOF"
    assert api("GET", "/v1/currencies/1").json()["v1/currency"]["code"] == 952
    assert api("GET", "/v1/currencies/9").status_code == 404
    assert api.create(currency={"code": 324})["currency_id"] == 2


def test_ids_never_repeat_from_one_emulator_to_the_next(client_of):
    """
    They come from the clock, not from 1.
    """
    ids = []
    for _ in range(3):
        with Emulator() as emulator:
            ids += [client_of(emulator).create()["id"] for _ in range(5)]
    assert ids == sorted(set(ids))


def test_stamps_of_two_facts_differ_even_within_a_millisecond(hand_clock, client_of):
    """
    The clock stands still, two declines follow each other, and their stamps differ.
    """
    with Emulator(clock=hand_clock) as emulator:
        api = client_of(emulator)
        created = api.create()
        emulator.decline(created["id"])
        first = emulator.transaction(created["id"])["declined_at"]
        api.push(created)
        emulator.decline(created["id"])
        assert emulator.transaction(created["id"])["declined_at"] > first


def test_a_fault_is_served_as_often_as_asked(api, emulator):
    """
    Status, body and headers as given, only for what matches; then all is well, and each call is on record.
    """
    emulator.fail_next("/v1/transactions", method="GET", status=503, body=b"<p>", headers={"Retry-After": "1"}, times=2)
    created = api.create()
    for _ in range(2):
        failed = api("GET", "/v1/transactions")
        assert (failed.status_code, failed.content, failed.headers["Retry-After"]) == (503, b"<p>", "1")
        assert failed.headers["Content-Type"] == "text/html"
    assert api("GET", "/v1/transactions").status_code == 200
    assert [(each.method, each.path, each.status) for each in emulator.requests] == [
        ("POST", "/v1/transactions", 200),
        ("GET", "/v1/transactions", 503),
        ("GET", "/v1/transactions", 503),
        ("GET", "/v1/transactions", 200),
    ]
    assert emulator.requests[0].json["amount"] == created["amount"]


@pytest.mark.parametrize(("cut", "made"), [("before", 0), ("after", 1)])
def test_a_cut_connection_leaves_the_client_in_doubt(cut, made, api, emulator):
    """
    No answer either way; the transaction exists only if the cut came after.
    """
    emulator.fail_next("/v1/transactions", cut=cut)
    with pytest.raises(requests.ConnectionError):
        api.create()
    assert len(emulator.transactions) == made
    assert emulator.requests[-1].status == 0
    api.create()


@pytest.mark.parametrize("wrong", [{"cut": "middle"}, {"status": 7}])
def test_an_absurd_fault_is_refused(wrong, emulator):
    """
    In French, at once.
    """
    with pytest.raises(InvalidArgument):
        emulator.fail_next("/v1", **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret_key": "pk_live_x"},
        {"secret_key": "sk_live_"},
        {"delay": -1},
        {"delay": "2"},
        {"webhook_entity": "x"},
    ],
)
def test_a_wrong_setting_is_refused(wrong):
    """
    A key without environment has no rules to follow.
    """
    with pytest.raises(InvalidArgument):
        Emulator(**wrong)


def test_an_outage_keeps_address_and_records(api, emulator):
    """
    stop and start again: same url, same transactions.
    """
    created, url = api.create(), emulator.url
    emulator.stop()
    with pytest.raises(requests.ConnectionError):
        api.get(created["id"])
    emulator.start()
    assert emulator.url == url
    assert api.get(created["id"])["id"] == created["id"]


def test_a_taken_port_is_said_and_leaves_nothing_running(emulator):
    """
    PortUnavailable comes out of start.
    """
    port = int(emulator.url.rpartition(":")[2])
    before = threading.active_count()
    with pytest.raises(PortUnavailable):
        Emulator(port=port).start()
    assert threading.active_count() <= before


def test_starting_and_stopping_leaves_no_thread():
    """
    Ten emulators later there are as many threads as before.
    """
    before = threading.active_count()
    for _ in range(10):
        with Emulator():
            pass
    assert threading.active_count() <= before


ADDRESSES = """
    POST transactions | POST transactions/batch | GET transactions | GET transactions/search | GET transactions/1
    GET transactions/merchant/a | PUT transactions/1 | DELETE transactions/1 | POST transactions/1/token
    POST transactions/1/receipt_url | GET transactions/fees | POST momo_test
    POST payouts | POST payouts/batch | GET payouts | GET payouts/search | GET payouts/1 | GET payouts/merchant/a
    PUT payouts/1 | PUT payouts/start | DELETE payouts/1
    POST customers | GET customers | GET customers/search | GET customers/1 | PUT customers/1 | DELETE customers/1
    GET balances | GET balances/1 | GET currencies | GET currencies/1
    GET events | GET events/a | POST events/subscribe | GET logs | GET logs/a | POST logs/subscribe
    GET webhooks | GET webhooks/1 | POST webhooks | PUT webhooks/1 | DELETE webhooks/1
    POST webhooks/stub_event | POST webhooks/1/send_event
    GET accounts | POST accounts | GET accounts/1 | PUT accounts/1 | DELETE accounts/1 | GET accounts/light
    GET pages | POST pages | GET pages/1 | PUT pages/1 | DELETE pages/1 | GET pages/a/verify | GET pages/a/light
    GET invoices | POST invoices | GET invoices/1 | PUT invoices/1 | DELETE invoices/1 | GET invoices/a/verify
    POST oauth/token
"""


@pytest.mark.parametrize("address", re.findall(r"[A-Z]+ [a-z_/0-9]+", ADDRESSES))
def test_every_known_address_has_a_route_of_its_own(address, emulator):
    """
    Each line of FedaPay's endpoint index; a name in an address is not taken for an id.
    """
    method, path = address.split()
    flask = emulator._services.api()
    rule, parts = flask.url_map.bind("127.0.0.1").match(f"/v1/{path}", method=method, return_rule=True)
    assert method in rule.methods
    assert set(parts.values()) <= {"1", "a", "momo_test"}


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example", "emulator:80", "192.0.2.7", "", "["])
def test_the_api_does_not_answer_under_a_name_that_is_not_ours(emulator, name):
    """
    A page that has given its name our address reads nothing with the published key, uses up no fault, is no request.
    """
    emulator.fail_next("/v1/balances", status=500)
    url, key = f"{emulator.url}/v1/balances", {"Authorization": f"Bearer {emulator.secret_key}"}
    refused = requests.get(url, headers={**key, "Host": name}, timeout=10)

    assert refused.status_code == 403 and refused.json()["errors"] == {}
    assert all(word in refused.json()["message"] for word in ("Host", "127.0.0.1", "--allow-host", "allow_hosts"))
    assert requests.head(url, headers={**key, "Host": name}, timeout=10).status_code == 403
    assert emulator.requests == []
    assert requests.get(url, headers=key, timeout=10).status_code == 500
    assert requests.get(url, headers=key, timeout=10).status_code == 200


def test_the_api_answers_under_the_names_that_are_allowed():
    """
    That of its container, in either case; for API, pages and control calls alike.
    """
    with Emulator(allow_hosts=["Emulator", "fedapay.boutique.test"]) as emulator:
        key = {"Authorization": f"Bearer {emulator.secret_key}"}
        for name in ("emulator:8080", "EMULATOR", "fedapay.boutique.test", "localhost:1", "[::1]:8080", "127.9.9.9"):
            for path in ("/v1/balances", "/telephone/", "/_emulateur/"):
                answer = requests.get(emulator.url + path, headers={**key, "Host": name}, timeout=10)
                assert answer.status_code == 200, (name, path)
        assert (
            requests.get(f"{emulator.url}/v1/balances", headers={**key, "Host": "x.test"}, timeout=10).status_code
            == 403
        )


@pytest.mark.parametrize("names", ["emulator", ["emulator:80"], ["http://emulator"], [""], ["a b"], [7], None])
def test_what_is_no_list_of_names_is_refused(names):
    """
    With an example.
    """
    with pytest.raises(InvalidArgument, match=r"allow_hosts=.*\['emulator'\]"):
        Emulator(allow_hosts=names)
