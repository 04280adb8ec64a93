"""What clients do with transactions beyond making and paying them, and what it costs."""

import json
from decimal import Decimal
from fractions import Fraction
from urllib.parse import quote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from fedapay_sync.emulator import LIVE_SECRET_KEY, Emulator, Settings
from fedapay_sync.emulator.domain.rules import charge
from fedapay_sync.emulator.resources.oauth import OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET

PERSON = {"firstname": "Ayaba", "lastname": "Hounkpatin", "email": "ayaba@example.bj"}
RATES = st.sampled_from([Decimal("0.018"), Decimal("0.04"), Decimal("0.029"), Decimal("0.02")])


def body(**changes):
    return {"description": "Commande 7", "amount": 15000, "currency": {"iso": "XOF"}, **changes}


def ids_of(answer):
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["v1/transactions"]]


# Fees


@pytest.mark.parametrize(
    ("amount", "rate", "debited"),
    [
        (150000, "0.04", 156250),
        (45000, "0.04", 46875),
        (50000, "0.02", 51020),
        (100, "0.018", 102),
        (22000, "0.018", 22403),
        (1000, "0.04", 1042),
        (100, "0.04", 104),
    ],
)
def test_a_payer_who_bears_the_fees_is_debited_what_was_recorded(amount, rate, debited):
    """
    Every documented check, to the franc.
    """
    assert charge(amount, Decimal(rate), "payer") == (debited, debited - amount, amount)


@pytest.mark.parametrize(("amount", "fees"), [(500, 14), (1500, 43), (20000, 580)])
def test_a_merchant_who_bears_the_fees_gets_less(amount, fees):
    """
    The checks of 2021, at 2.9 %.
    """
    assert charge(amount, Decimal("0.029"), "merchant") == (amount, fees, amount - fees)


@given(st.integers(1, 10**12), RATES)
def test_no_franc_is_lost_whoever_pays(amount, rate):
    """
    Debited is transferred and fees together, and the share of FedaPay is its rate to the nearest franc.
    """
    for fees_by in ("payer", "merchant"):
        price = charge(amount, rate, fees_by)
        assert price.debited == price.transferred + price.fees
        assert price.fees >= 0
        assert abs(price.fees - price.debited * Fraction(rate)) <= 1
    assert charge(amount, rate, "payer").transferred == amount
    assert charge(amount, rate, "merchant").debited == amount
    assert charge(amount + 1, rate, "payer").debited > charge(amount, rate, "payer").debited


def test_the_settings_say_who_bears_the_fees(api, emulator):
    """
    Changed while it runs, before the payment.
    """
    emulator.settings.fees_by = "merchant"
    id = api.create(amount=1000)["id"]
    emulator.approve(id)
    paid = api.get(id)
    assert (paid["amount_debited"], paid["fees"], paid["amount_transferred"]) == (1000, 40, 960)


def test_fees_are_told_before_the_payment(api, emulator):
    """
    The flat answer of the SDK's fixture; in the mode asked for, for either bearer of the fees.
    """
    token = api.create()["payment_token"]
    assert api("GET", f"/v1/transactions/fees?token={token}&mode=mtn_open").json() == {
        "amount_debited": 15625,
        "amount_transferred": 15000,
        "apply_fees_to_merchant": False,
        "commission": 0.04,
        "fees": 625,
        "fixed_commission": 0,
        "message": "{fees} de frais supplémentaires sont appliqués sur votre paiement.",
    }
    emulator.settings.fees_by = "merchant"
    answer = api("GET", f"/v1/transactions/fees?token={token}&mode=momo_test").json()
    assert (answer["apply_fees_to_merchant"], answer["fees"], answer["amount_transferred"]) == (True, 600, 14400)


def test_live_fees_follow_the_mode(client_of):
    """
    1.8 % for MTN, 4 % for the others.
    """
    with Emulator(secret_key=LIVE_SECRET_KEY) as emulator:
        api = client_of(emulator)
        token = api.create(amount=22000)["payment_token"]
        fees = {
            mode: api("GET", f"/v1/transactions/fees?token={token}&mode={mode}").json()["fees"]
            for mode in ("mtn_open", "togocel")
        }
    assert fees == {"mtn_open": 403, "togocel": 917}


@pytest.mark.parametrize("query", ["", "token=x", "mode=momo_test", "token=x&mode=momo_test", "token[]=1&mode[a]=2"])
def test_fees_for_nothing_are_400(query, api):
    """
    Missing, wrong, or no text at all.
    """
    assert api("GET", f"/v1/transactions/fees?{query}").status_code == 400
    token = api.create()["payment_token"]
    assert api("GET", f"/v1/transactions/fees?token={token}&mode=nothing").status_code == 400


# Several at once


def test_a_batch_makes_what_it_can(api, emulator):
    """
    The good ones are made, each bad one is told of by its place and its fields; include goes for all.
    """
    answer = api(
        "POST",
        "/v1/transactions/batch",
        json={
            "transactions": [
                body(merchant_reference="a", customer=PERSON),
                body(amount=0),
                body(merchant_reference="a"),
                "nonsense",
                body(),
            ],
            "include": "customer,currency",
        },
    )
    assert answer.status_code == 200
    batch = answer.json()["v1/transaction_batch"]
    assert batch["klass"] == "v1/transaction_batch"
    assert [each["amount"] for each in batch["transactions"]] == [15000, 15000]
    assert batch["transactions"][0]["customer"]["firstname"] == "Ayaba"
    assert [(each["index"], list(each["errors"])) for each in batch["errors"]] == [
        (1, ["amount"]),
        (2, ["merchant_reference"]),
        (3, ["description", "amount", "currency"]),
    ]
    assert len(emulator.transactions) == 2


@pytest.mark.parametrize("name", ["transactions[{}][{}]", "transactions[][{1}]"])
def test_a_batch_may_be_a_form(name, api):
    """
    With numbers in the brackets, as PHP writes them, or without.
    """
    pairs = []
    for index in range(11):
        pairs += [(name.format(index, "description"), f"d{index}"), (name.format(index, "amount"), str(index + 1))]
        pairs += [(name.format(index, "currency") + "[iso]", "XOF")]
    made = api("POST", "/v1/transactions/batch", data=pairs).json()["v1/transaction_batch"]
    assert [each["amount"] for each in made["transactions"]] == list(range(1, 12))
    assert made["errors"] == []


@pytest.mark.parametrize("wrong", [None, [], {}, "x", 1, {"a": {}}])
def test_a_batch_of_nothing_is_400(wrong, api):
    """
    FedaPay's own sentence for what is missing.
    """
    answer = api("POST", "/v1/transactions/batch", json={"transactions": wrong})
    assert answer.status_code == 400
    assert answer.json()["message"] == "Paramètre manquant ou la valeur est vide transactions"


# Creating


def test_what_a_merchant_may_add_is_kept_and_what_is_fedapays_is_not(api):
    """
    Commissions pass through, metadata is overwritten, a mode is accepted and known only after the payment.
    """
    shares = [{"reference": "acc_1", "amount": 500}]
    made = api.create(sub_accounts_commissions=shares, metadata={"mine": 1}, mode="mtn_open", unknown=True)
    assert made["sub_accounts_commissions"] == shares
    assert "mine" not in made["metadata"]
    assert made["mode"] is None
    refused = api("POST", "/v1/transactions", json=body(sub_accounts_commissions="x"))
    assert list(refused.json()["errors"]) == ["sub_accounts_commissions"]


def test_creations_and_deletions_answer_as_the_settings_say(client_of):
    """
    201 and an empty 204: what the documentation says, and no recording shows.
    """
    with Emulator(settings=Settings(create_status=201, delete_status=204, link_in_answer=False)) as emulator:
        api = client_of(emulator)
        answer = api("POST", "/v1/transactions", json=body())
        made = answer.json()["v1/transaction"]
        assert answer.status_code == 201
        assert "payment_token" not in made
        assert "payment_url" not in made
        token = api("POST", f"/v1/transactions/{made['id']}/token")
        assert token.status_code == 200
        assert api.push({"payment_token": token.json()["token"]}).status_code == 200
        deleted = api("DELETE", f"/v1/transactions/{made['id']}")
        assert (deleted.status_code, deleted.content) == (204, b"")


@pytest.mark.parametrize("where", ["query", "body", "form"])
def test_messages_are_english_when_asked_for(where, api):
    """
    locale in query or body; the fields' reasons too.
    """
    options = {
        "query": {"params": {"locale": "en"}, "json": body(amount=0)},
        "body": {"json": body(amount=0, locale="en")},
        "form": {"data": {"description": "x", "amount": "0", "currency[iso]": "XOF", "locale": "en"}},
    }
    answer = api("POST", "/v1/transactions", **options[where])
    assert answer.json() == {
        "message": "Transaction creation failed",
        "errors": {"amount": ["must be greater than 0"]},
    }
    assert api("GET", "/v1/transactions/1?locale=en").json()["message"] == "Resource not found"
    assert api("GET", "/v1/transactions/1?locale=de").json()["message"] == "Ressource introuvable"


@pytest.mark.parametrize(
    "reference",
    ["CMD-1", "a/b/c", "/début", "fin/", "a b+c", "é€😀", "50%", "..", "a?b=c#d", "x\ny", "merchant", "'\"<&>", "//"],
)
def test_any_reference_finds_its_transaction(reference, api):
    """
    Quoted once by the client, whatever is in it.
    """
    id = api.create(merchant_reference=reference)["id"]
    address = f"{api.emulator.url}/v1/transactions/merchant/{quote(reference, safe='')}"
    prepared = requests.Request(
        "GET", address, headers={"Authorization": f"Bearer {api.emulator.secret_key}"}
    ).prepare()
    prepared.url = address  # as written: requests would walk up from "..", and so would not a careful client
    found = api.session.send(prepared, timeout=10)
    assert found.status_code == 200, found.text
    assert found.json()["v1/transaction"]["id"] == id


# Lists


@pytest.fixture
def shop(api, emulator):
    """Five transactions: amounts 100 to 500, the fourth paid, the fifth with a customer."""
    ids = [api.create(amount=amount, description=f"colis {amount}")["id"] for amount in (100, 200, 300, 400)]
    ids.append(api.create(amount=500, customer=PERSON)["id"])
    emulator.approve(ids[3])
    return ids


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("filters[compare][amount][op]==&filters[compare][amount][value]=200", [1]),
        ("filters[compare][amount][op]=>=&filters[compare][amount][value]=300", [4, 3, 2]),
        ("filters[compare][amount][op]=<&filters[compare][amount][value]=200", [0]),
        ("filters[compare][status][value]=approved", [3]),
        ("filters[compare][status][op]=!=&filters[compare][status][value]=pending", [3]),
        (
            "filters[compare][status][op]==&filters[compare][status][value]=pending"
            "&filters[compare][amount][op]=>&filters[compare][amount][value]=150",
            [4, 2, 1],
        ),
        ("filters[compare][approved_at][op]=>&filters[compare][approved_at][value]=2020-01-01", [3]),
        ("filters[includes][customer][email]=ayaba@example.bj", [4]),
        ("filters[includes][customer][lastname][op]=!=&filters[includes][customer][lastname][value]=Nobody", [4]),
        ("filters[includes][currency][iso]=XOF&per_page=2", [4, 3]),
        ("filters[includes][page][id]=1", []),
        ("filters[compare][nothing][value]=1", []),
        ("filters[compare][amount][value]=abc", []),
        ("search=HOUNKPATIN", [4]),
        ("search=colis", [3, 2, 1, 0]),
        ("search=*", [4, 3, 2, 1, 0]),
        ("search=colis&filters[compare][amount][value]=100", [0]),
        ("filters=", [4, 3, 2, 1, 0]),
    ],
)
@pytest.mark.parametrize("path", ["/v1/transactions", "/v1/transactions/search"])
def test_a_list_shows_what_was_asked_for(path, query, found, api, shop):
    """
    The filters of FedaPay's command line, and the search of its SDK.
    """
    assert ids_of(api("GET", f"{path}?{query}")) == [shop[index] for index in found]


@pytest.mark.parametrize(
    "query",
    [
        "filters=abc",
        "filters[]=1",
        "filters[other][a]=1",
        "filters[compare]=1",
        "filters[compare][amount]=1",
        "filters[compare][amount][op]=like&filters[compare][amount][value]=1",
        "filters[compare][amount][op]==",
        "filters[compare][amount][value][]=1",
        "filters[includes][customer]=1",
        "filters[includes][customer][email][]=1",
    ],
)
def test_a_filter_that_is_not_understood_is_refused(query, api, shop):
    """
    400, and not a list of what was not asked for.
    """
    answer = api("GET", f"/v1/transactions?{query}")
    assert (answer.status_code, answer.json()["message"]) == (400, "Le filtre n'est pas valide")


# Changing


def test_an_sdk_may_send_everything_back(api):
    """
    save() of the SDKs puts each attribute again, embedded objects included: only the new text changes.
    """
    made = api.create(customer=PERSON, merchant_reference="R", include="customer,currency", custom_metadata={"a": 1})
    saved = api("PUT", f"/v1/transactions/{made['id']}", json={**made, "description": "neuf"})
    assert saved.status_code == 200, saved.text
    after = api("GET", f"/v1/transactions/{made['id']}?include=customer,currency").json()["v1/transaction"]
    changed = {name for name in made if made[name] != after[name]}
    assert changed == {"description", "updated_at"}


def test_a_pending_transaction_may_get_another_customer(api, emulator):
    """
    By e-mail, as at its creation; once paid it stays the same customer.
    """
    id = api.create(customer=PERSON)["id"]
    other = {"firstname": "Zoé", "lastname": "K", "email": "zoe@example.bj"}
    changed = api("PUT", f"/v1/transactions/{id}", json={"customer": other, "include": "customer"})
    assert changed.json()["v1/transaction"]["customer"]["firstname"] == "Zoé"
    assert api("PUT", f"/v1/transactions/{id}", json={"customer": {"id": 1}}).status_code == 400
    emulator.approve(id)
    api("PUT", f"/v1/transactions/{id}", json={"customer": PERSON})
    assert api("GET", f"/v1/transactions/{id}?include=customer").json()["v1/transaction"]["customer"]["lastname"] == "K"


@pytest.mark.parametrize("change", [{"amount": 0}, {"amount": "x"}, {"description": ""}, {"custom_metadata": "x"}])
def test_a_bad_change_changes_nothing(change, api):
    """
    400 by field, and the record as before, stamp included.
    """
    made = api.create()
    refused = api("PUT", f"/v1/transactions/{made['id']}", json={"callback_url": "https://example.bj", **change})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, list(change))
    assert api.get(made["id"]) == made


def test_what_is_deleted_is_not_changed(api):
    """
    403 for PUT too.
    """
    id = api.create()["id"]
    api("DELETE", f"/v1/transactions/{id}")
    assert api("PUT", f"/v1/transactions/{id}", json={"description": "b"}).status_code == 403


# Receipts


def test_a_receipt_has_a_link_that_can_be_renewed(hand_clock, client_of):
    """
    The field's own link; a day later it is dead, and force makes a fresh one. No key opens the page.
    """
    with Emulator(clock=hand_clock) as emulator:
        api = client_of(emulator)
        id = api.create()["id"]
        assert api("POST", f"/v1/transactions/{id}/receipt_url").status_code == 403
        emulator.approve(id)
        url = api("POST", f"/v1/transactions/{id}/receipt_url").json()["url"]
        assert url == api.get(id)["receipt_url"]
        assert "15\u202f625" in requests.get(url, timeout=10).text
        hand_clock.passed += 24 * 3600 + 1
        assert requests.get(url, timeout=10).status_code == 404
        again = api("POST", f"/v1/transactions/{id}/receipt_url", data={"force": "true"}).json()["url"]
        assert again != url
        assert "15\u202f625" in requests.get(again, timeout=10).text


# Numbers, faults, keys


def test_strict_numbers_know_one_form_only(client_of, eventually):
    """
    As one report of 2026 has it: 01 and eight digits pay, the older forms are declined.
    """
    with Emulator(delay=0, settings=Settings(strict_numbers=True)) as emulator:
        api = client_of(emulator)
        made = {number: api.create() for number in ("0164000001", "64000001", "+22964000001")}
        for number, each in made.items():
            api.push(each, number)
        ended = [eventually(lambda each=each: _ended(api.get(each["id"]))) for each in made.values()]
    assert ended == ["approved", "declined", "declined"]


def _ended(transaction):
    return transaction["status"] if transaction["status"] != "pending" else None


def test_a_fault_may_hide_a_success(api, emulator):
    """
    500 though applied, as was seen with webhooks: the client is told of a failure, and the record is there.
    """
    emulator.fail_next("/v1/transactions", applied=True)
    assert api("POST", "/v1/transactions", json=body(merchant_reference="R")).status_code == 500
    assert api("GET", "/v1/transactions/merchant/R").status_code == 200


def test_a_connection_cut_during_the_work_is_the_worst_case(api, emulator, eventually):
    """
    Cut at once, done later: a look-up at once finds nothing, and then it is there.
    """
    emulator.fail_next("/v1/transactions", method="POST", cut="during", wait=0.5)
    with pytest.raises(requests.ConnectionError):
        api("POST", "/v1/transactions", json=body(merchant_reference="R"))
    assert api("GET", "/v1/transactions/merchant/R").status_code == 404
    eventually(lambda: api("GET", "/v1/transactions/merchant/R").status_code == 200)


def test_a_slow_answer_does_not_hold_up_the_end(api, emulator):
    """
    stop() does not wait for a fault that waits.
    """
    emulator.fail_next("/v1/transactions", wait=600, status=502, body=b"<html>")
    with pytest.raises(requests.Timeout):
        api.session.get(f"{emulator.url}/v1/transactions", headers={"Authorization": "Bearer x"}, timeout=0.2)
    emulator.stop()
    emulator.start()
    assert api.create()["status"] == "pending"


def test_an_issued_token_opens_as_the_key_does(api, emulator):
    """
    And an account may be named along with either.
    """
    wanted = {
        "grant_type": "client_credentials",
        "client_id": OAUTH_CLIENT_ID,
        "client_secret": OAUTH_CLIENT_SECRET,
    }
    token = requests.post(f"{emulator.url}/v1/oauth/token", json=wanted, timeout=10).json()["access_token"]
    assert api("GET", "/v1/transactions", key=token, headers={"FedaPay-Account": "30211"}).status_code == 200
    assert api("GET", "/v1/transactions", key=token + "x").status_code == 401


def test_a_refusal_of_the_operator_has_a_code_and_a_message(api, emulator):
    """
    Both in the event, the code alone in the answer.
    """
    id = api.create()["id"]
    emulator.cancel(id)
    event = api("GET", "/v1/events?filters[type]=transaction.canceled").json()["v1/events"][0]
    entity = json.loads(event["entity"])
    assert entity["last_error_code"] == api.get(id)["last_error_code"] == "INSUFFICIENT_FUND_ERROR"
    assert json.loads(entity["last_error_message"])["status"] == "FAILED"


@pytest.mark.parametrize(("amount", "fees"), [(15000, "225.0"), (20000, "300.0"), (101, "1.515")])
def test_what_the_operator_keeps_is_told_as_text(amount, fees, api, emulator):
    """
    In the event of the payment; null before.
    """
    id = api.create(amount=amount)["id"]
    emulator.approve(id)
    approved, created = (json.loads(each["entity"]) for each in api("GET", "/v1/events").json()["v1/events"])
    names = ("operator_commission", "operator_fees", "operator_fixed_commission")
    assert [approved[name] for name in names] == ["0.015", fees, "0.0"]
    assert [created[name] for name in names] == [None] * 3


def test_balance_and_payment_method_are_embedded_when_asked_for(api, emulator):
    """
    Null until it is paid.
    """
    created = api.create()
    path = f"/v1/transactions/{created['id']}?include=payment_method,balance"
    unpaid = api("GET", path).json()["v1/transaction"]
    assert (unpaid["payment_method"], unpaid["balance"]) == (None, None)
    api.push(created)
    emulator.approve(created["id"])
    paid = api("GET", path).json()["v1/transaction"]
    method = paid["payment_method"]
    assert (method["klass"], method["id"]) == ("v1/payment_method", paid["payment_method_id"])
    assert (method["method"], method["country"], method["number"]) == ("phone", "BJ", "2290164000001")
    assert (paid["balance"]["klass"], paid["balance"]["id"]) == ("v1/balance", paid["balance_id"])
    assert "balance" not in api.get(created["id"])


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "JavaScript:x", " java\nscript:x", "data:text/html,x", "vbscript:x"]
)
def test_a_script_is_no_callback_url(url, api):
    """
    400 at creation and at update; a browser would run it.
    """
    body = {"description": "x", "amount": 5, "currency": {"iso": "XOF"}, "callback_url": url}
    answer = api("POST", "/v1/transactions", json=body)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["callback_url"])
    made = api.create(callback_url="https://boutique.example.bj/retour?a=data:1")
    assert api("PUT", f"/v1/transactions/{made['id']}", json={"callback_url": url}).status_code == 400
