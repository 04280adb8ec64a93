"""``/v1/logs`` of the emulated API: each call, without secrets."""

import json

import pytest

from fedapay_sync.emulator.resources.oauth import OAUTH_CLIENT_SECRET

PERSON = {"firstname": "Ayaba", "lastname": "Hounkpatin", "email": "ayaba@example.bj"}


def logs(api, query=""):
    return api("GET", f"/v1/logs?{query}").json()["v1/logs"]


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
    400 and 404 belong to the account; 401 belongs to no account.
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
    Neither those of a client nor the token issued for them, nor a key in the wrong place.
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
