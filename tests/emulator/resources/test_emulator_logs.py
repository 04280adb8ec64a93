"""What the emulated FedaPay writes down by itself: balances, currencies, events, logs."""

import json

import pytest

from fedapay_sync.emulator import LIVE_SECRET_KEY, Emulator, Settings
from fedapay_sync.emulator.resources.oauth import OAUTH_CLIENT_SECRET

PERSON = {"firstname": "Ayaba", "lastname": "Hounkpatin", "email": "ayaba@example.bj"}


def balances(api):
    answer = api("GET", "/v1/balances").json()
    assert list(answer) == ["v1/balances"]
    return {each["mode"]: each for each in answer["v1/balances"]}


def logs(api, query=""):
    return api("GET", f"/v1/logs?{query}").json()["v1/logs"]


# Balances and currencies


def test_there_is_a_balance_for_each_mode_and_one_without(client_of):
    """
    Without meta, in the recorded fields; each can be fetched.
    """
    with Emulator(secret_key=LIVE_SECRET_KEY) as emulator:
        api = client_of(emulator)
        found = balances(api)
        assert {None, "mtn_open", "moov", "togocel"} <= set(found)
        assert list(found[None]) == "klass id amount mode created_at updated_at".split()
        assert api("GET", f"/v1/balances/{found['moov']['id']}").json() == {"v1/balance": found["moov"]}
        assert api("GET", "/v1/balances/1").status_code == 404


@pytest.mark.parametrize(("credit_at", "amounts"), [("transfer", [0, 30000]), ("approval", [30000, 30000])])
def test_money_reaches_the_balance_at_its_transfer(credit_at, amounts, client_of):
    """
    Or at the approval, if the settings say so; once each, in the balance that the transaction names.
    """
    with Emulator(settings=Settings(credit_at=credit_at)) as emulator:
        api = client_of(emulator)
        ids = [api.create()["id"] for _ in range(2)]
        seen = []
        for step in (emulator.approve, emulator.transfer):
            for id in ids:
                step(id)
            seen.append(balances(api)["momo_test"]["amount"])
        assert seen == amounts
        assert balances(api)["momo_test"]["id"] == api.get(ids[0])["balance_id"]
        assert balances(api)[None]["amount"] == 0


def test_a_forced_transfer_of_nothing_credits_nothing(api, emulator):
    """
    Nobody was debited.
    """
    id = api.create()["id"]
    emulator.transfer(id, force=True)
    assert {each["amount"] for each in balances(api).values()} == {0}


@pytest.mark.parametrize("name", ["1", "XOF"])
def test_a_currency_is_found_by_id_or_iso_code(name, api):
    """
    With the modes it goes with; others are 404.
    """
    found = api("GET", f"/v1/currencies/{name}").json()["v1/currency"]
    assert (found["id"], found["code"], found["div"]) == (1, 952, 1)
    assert "momo_test" in found["modes"]
    assert api("GET", "/v1/currencies/xyz").status_code == 404


# Events


def test_an_event_keeps_what_was_true_then(api, emulator):
    """
    The entity is the text of that moment, in the record's form; ids are texts of 20 letters and digits.
    """
    id = api.create(customer=PERSON)["id"]
    emulator.decline(id)
    emulator.approve(id)
    found = api("GET", f"/v1/events?filters[object_id]={id}").json()["v1/events"][::-1]
    entities = [json.loads(each["entity"]) for each in found]
    assert [each["status"] for each in entities] == ["pending", "declined", "approved"]
    assert "klass" not in entities[0]
    assert list(found[0]) == "klass id type entity object_id account_id created_at updated_at object".split()
    assert all(len(each["id"]) == 20 and each["id"].isalnum() for each in found)


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("filters[type]=transaction_deleted&match=must", ["transaction.deleted"]),
        ("filters[type]=transaction.deleted", ["transaction.deleted"]),
        ("filters[object]=customer", ["customer.created"]),
        ("filters[object]=customer&filters[type]=transaction_deleted", []),
        (
            "filters[object]=customer&filters[type]=transaction_deleted&match=should",
            ["transaction.deleted", "customer.created"],
        ),
        ("filters[entity]=ayaba@example.bj", ["customer.created"]),
        ("filters[nothing]=1", []),
        ("per_page=1&page=2", ["transaction.created"]),
    ],
)
def test_events_are_filtered(query, types, api):
    """
    Exactly, all filters or any; the underscore of FedaPay's command line is its point.
    """
    id = api.create(customer=PERSON)["id"]
    api("DELETE", f"/v1/transactions/{id}")
    answer = api("GET", f"/v1/events?{query}").json()
    assert [each["type"] for each in answer["v1/events"]] == types
    assert "meta" in answer


@pytest.mark.parametrize("kind", ["events", "logs"])
def test_a_subscription_is_answered_with_options_of_a_queue(kind, api):
    """
    Flat, with the names that FedaPay's own tool reads.
    """
    answer = api("POST", f"/v1/{kind}/subscribe").json()
    assert set(answer) == {"queue", "nowait", "durable", "auto_delete", "arguments"}
    assert set(answer["arguments"]) == {"x-message-ttl", "x-expires", "x-single-active-consumer"}


# Logs


def test_a_call_is_logged_as_fedapay_does(api):
    """
    In the recorded fields: texts of JSON, the attributes once more under their resource's name, no envelope.
    """
    sent = {**PERSON, "email": "zoé@example.bj"}
    made = api("POST", "/v1/customers?locale=fr", json=sent).json()["v1/customer"]
    (log,) = logs(api)
    assert (
        list(log)
        == (
            "klass id method url status ip_address version source query body response account_id created_at updated_at"
        ).split()
    )
    assert (log["method"], log["url"], log["status"], log["ip_address"]) == ("POST", "/v1/customers", 200, "127.0.0.1")
    assert (log["version"], log["source"]) == ("Unknown", "Unknown")
    assert json.loads(log["query"]) == {"locale": "fr"}
    assert json.loads(log["body"]) == {**sent, "customer": sent}
    assert json.loads(log["response"]) == {name: value for name, value in made.items() if name != "klass"}
    assert api("GET", f"/v1/logs/{log['id']}").json() == {"v1/log": log}
    assert api("GET", "/v1/logs/none").status_code == 404


@pytest.mark.parametrize(
    ("headers", "version", "source"),
    [
        ({"X-FedaPay-Lib-Version": "0.1.7", "X-FedaPay-Lib": "FedaPay PhpLib"}, "0.1.7", "FedaPay PhpLib"),
        ({"X-Version": "1.1.1", "X-Source": "FedaPay NodeLib"}, "1.1.1", "FedaPay NodeLib"),
    ],
)
def test_a_log_says_which_client_it_was(headers, version, source, api):
    """
    The headers of the official clients, old and new.
    """
    api("GET", "/v1/transactions", headers=headers)
    (log,) = logs(api)
    assert (log["version"], log["source"]) == (version, source)


def test_refused_calls_are_logged_and_strangers_are_not(api):
    """
    400 and 404 belong to the account; 401 belongs to nobody.
    """
    api("POST", "/v1/transactions", json={})
    api("POST", "/v1/transactions", data=b"{")
    api("GET", "/v1/nothing/here")
    api("GET", "/v1/transactions", key="sk_sandbox_other")
    assert [(each["url"], each["status"]) for each in logs(api)] == [
        ("/v1/nothing/here", 404),
        ("/v1/transactions", 400),
        ("/v1/transactions", 400),
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("filters[method]=POST&match=must", ["POST 200", "POST 400"]),
        ("filters[status]=400", ["POST 400"]),
        ("filters[method]=GET&filters[status]=200", ["GET 200"]),
        ("filters[url]=/v1/balances", ["GET 200"]),
        ("filters[other]=1", []),
        ("per_page=1", ["POST 200"]),
    ],
)
def test_logs_are_filtered(query, found, api):
    """
    By any of their fields.
    """
    api("GET", "/v1/balances")
    api("POST", "/v1/transactions", json={})
    api.create()
    assert [f"{each['method']} {each['status']}" for each in logs(api, query)] == found


def test_keys_are_not_written_down(api, emulator):
    """
    Neither those of a client nor the token he gets for them, nor a key in the wrong place.
    """
    wanted = {"grant_type": "client_credentials", "client_id": "x", "client_secret": OAUTH_CLIENT_SECRET}
    api("POST", "/v1/oauth/token", json=wanted)
    api("POST", "/v1/transactions", json={"description": f"oops {emulator.secret_key}", "api_key": 'a"b'})
    api("GET", f"/v1/transactions?api_key=sk_live_{'a' * 20}&x={emulator.secret_key}")
    api("GET", f"/v1/transactions/{emulator.secret_key}")
    text = json.dumps(logs(api))
    for secret in (OAUTH_CLIENT_SECRET, emulator.secret_key, "a" * 20, 'a\\"b'):
        assert secret not in text
    for each in logs(api):
        for name in ("query", "body", "response"):
            json.loads(each[name])


def test_looking_at_the_logs_does_not_make_them_grow_without_end(api):
    """
    A list of logs is a call like others, but what is too long is not kept.
    """
    api.create(description="x" * 10_000)
    for _ in range(20):
        answer = api("GET", "/v1/logs")
    assert len(answer.content) < 1_000_000
    assert len(logs(api)) == 21
