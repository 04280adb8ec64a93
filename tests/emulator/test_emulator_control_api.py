"""Control calls over HTTP: all that Python can do, for any language, and for no stranger."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import requests

from fedapay_sync.emulator import Emulator
from fedapay_sync.emulator.control_api import PREFIX
from fedapay_sync.server.web_server import WebServer

SECOND = "sk_sandbox_second"


GUIDE = Path(__file__).resolve().parents[2] / "docs" / "emulateur.md"


class Control:
    """Control calls as a program in another language makes them."""

    def __init__(self, emulator):
        self._url = emulator.url + PREFIX

    def __call__(self, method, path, expected=200, **options):
        answer = requests.request(method, self._url + path, timeout=10, **options)
        assert answer.status_code == expected, answer.text
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        return answer.json()

    def get(self, path, expected=200, **options):
        return self("GET", path, expected, **options)

    def post(self, path, body=None, expected=200, **options):
        return self("POST", path, expected, **({} if body is None else {"json": body}), **options)


@pytest.fixture
def control(emulator):
    return Control(emulator)


@pytest.mark.parametrize(
    ("move", "status"),
    [("approve", "approved"), ("decline", "declined"), ("cancel", "canceled"), ("expire", "expired")],
)
def test_the_payer_is_moved_from_outside(move, status, api, control):
    """
    The answer is the transaction as it then is.
    """
    id = api.create()["id"]

    assert control.post(f"/transactions/{id}/{move}")["transaction"]["status"] == status
    assert control.get(f"/transactions/{id}")["transaction"]["status"] == status
    assert [each["id"] for each in control.get("/transactions")["transactions"]] == [id]


def test_a_move_that_fedapay_does_not_allow_can_be_forced(api, control):
    """
    Refused in French; with force it happens.
    """
    id = api.create()["id"]
    assert "force" in control.post(f"/transactions/{id}/transfer", expected=400)["message"]

    assert control.post(f"/transactions/{id}/transfer", {"force": True})["transaction"]["status"] == "transferred"


@pytest.mark.parametrize(("end", "status"), [("send", "sent"), ("fail", "failed")])
def test_a_payout_is_ended_from_outside(end, status, api, control):
    """
    As by send_payout and fail_payout.
    """
    person = {"email": "a@b.bj", "phone_number": {"number": "0164000001", "country": "bj"}}
    body = {"amount": 500, "currency": {"iso": "XOF"}, "mode": "momo_test", "customer": person}
    id = api("POST", "/v1/payouts", json=body).json()["v1/payout"]["id"]
    api("PUT", "/v1/payouts/start", json={"payouts": [{"id": id}]})

    assert control.post(f"/payouts/{id}/{end}")["payout"]["status"] == status
    assert [each["status"] for each in control.get("/payouts")["payouts"]] == [status]


def test_deliveries_are_shown_whole_and_made_again(api, control, emulator, receiver):
    """
    Headers, body, answer, time; the same body a second time.
    """
    assert control.get("/webhook") == {"url": receiver.url, "enabled": True}
    receiver.answers.append("500 NO")
    api.create()
    emulator.wait_for_deliveries()
    failed, made = control.get("/deliveries")["deliveries"]
    assert (failed["status"], failed["succeeded"], made["status"], made["attempt"]) == (500, False, 200, 2)
    assert made["body"].encode() == receiver.received[0][1]
    assert made["headers"]["X-FEDAPAY-SIGNATURE"].startswith("t=")
    assert made["time"] > 0
    assert control.post(f"/deliveries/{made['id']}/again") == {}
    receiver.wait_for(3)
    control.post("/deliveries/12/again", expected=400)

    assert receiver.received[2][1] == receiver.received[0][1]


def test_what_a_receiver_said_is_shown(api, control, emulator):
    """
    The beginning of its answer, where the shop's own error stands.
    """

    def shop(environ, start_response):
        start_response("500 NO", [("Content-Type", "text/plain")])
        return [b"KeyError: 'commande'" + b"." * 10_000]

    with WebServer(shop) as server:
        emulator.settings.disable_after = 1
        emulator.webhook_url = server.url
        api.create()
        emulator.wait_for_deliveries()
        (made,) = control.get("/deliveries")["deliveries"]

    assert made["answer"].startswith("KeyError: 'commande'")
    assert len(made["answer"]) == 2000


def test_the_webhook_is_set_from_outside(control, emulator):
    """
    And taken away; what is no address is refused.
    """
    assert control.post("/webhook", {"url": "http://127.0.0.1:1/hook"})["enabled"] is True
    assert emulator.webhook_url == "http://127.0.0.1:1/hook"
    control.post("/webhook", {"url": "ftp://x"}, expected=400)
    control.post("/webhook", {}, expected=400)

    assert control.post("/webhook", {"url": None})["url"] is None


def test_calls_are_shown_with_their_keys_masked(api, control, emulator):
    """
    Also those in a body, as JSON or as a form.
    """
    secret = {"client_secret": "geheim", "secret_key": emulator.secret_key}
    api("POST", "/v1/transactions?x=1", json=secret)
    api("POST", "/v1/oauth/token", data={"grant_type": "x", "client_secret": "geheim"}, key="geheim")
    first, second = control.get("/requests")["requests"]

    assert (first["method"], first["path"], first["query"], first["key"]) == (
        "POST",
        "/v1/transactions",
        "x=1",
        "sk_sandbox_***",
    )
    assert second["key"] == "***"
    assert "geheim" not in str([first, second])
    assert emulator.secret_key not in str([first, second])


def test_faults_are_asked_for_listed_and_taken_back(api, control):
    """
    By their names; what is wrong is said in French.
    """
    made = control.post("/faults", {"fault": "api.error_500", "times": 2, "path": "/v1/balances"})["fault"]
    control.post("/faults", {"fault": "webhook.drop", "probability": 0.5, "seed": 3})
    assert api("GET", "/v1/balances").status_code == 500
    listed = control.get("/faults")
    assert [(each["name"], each["left"]) for each in listed["faults"]] == [("api.error_500", 1), ("webhook.drop", None)]
    assert "seconds" in listed["known"]["webhook.delay"]["words"]
    assert control("DELETE", f"/faults/{made['id']}") == {}
    assert api("GET", "/v1/balances").status_code == 200
    assert "webhook.lose" in control.post("/faults", {"fault": "webhook.lose"}, expected=400)["message"]
    control.post("/faults", {"fault": "api.slow", "seconds": "3"}, expected=400)
    control("DELETE", "/faults")

    assert control.get("/faults")["faults"] == []


def test_the_clock_is_read_and_moved(api, control):
    """
    A day later the transaction has expired.
    """
    id = api.create()["id"]
    assert control.get("/clock")["ahead"] == 0
    assert control.post("/clock", {"hours": 24})["ahead"] == 86_400
    control.post("/clock", {"hours": -1}, expected=400)
    control.post("/clock", {"years": 1}, expected=400)

    assert control.get(f"/transactions/{id}")["transaction"]["status"] == "expired"


def test_settings_are_read_and_changed(control, emulator):
    """
    With what the sources say; a wrong one changes nothing.
    """
    known = control.get("/settings")["known"]
    assert known[0]["name"] == "payouts"
    assert known[0]["sources"]
    assert control.post("/settings", {"create_status": 201})["settings"]["create_status"] == 201
    control.post("/settings", {"create_status": 200, "nothing": 1}, expected=400)

    assert emulator.settings.create_status == 201


def test_a_reset_from_outside(api, control, emulator):
    """
    Nothing is left.
    """
    api.create()
    assert control.post("/reset") == {}

    assert emulator.transactions == []


def test_the_key_says_which_shop(client_of):
    """
    Without one it is the first; the list masks them.
    """
    with Emulator(shops={SECOND: "Chez Kossi"}) as emulator:
        control, key = Control(emulator), {"Authorization": f"Bearer {SECOND}"}
        body = {"description": "x", "amount": 5, "currency": {"iso": "XOF"}}
        made = client_of(emulator)("POST", "/v1/transactions", key=SECOND, json=body).json()["v1/transaction"]

        assert control.get("/transactions")["transactions"] == []
        assert control.post(f"/transactions/{made['id']}/approve", headers=key)["transaction"]["status"] == "approved"
        control.get("/transactions", headers={"Authorization": "Bearer sk_sandbox_x"}, expected=400)
        assert [each["name"] for each in control.get("/")["shops"]] == ["Boutique de démonstration", "Chez Kossi"]
        assert SECOND not in str(control.get("/"))


def test_lists_are_bounded(api, control):
    """
    The last ones; as many as asked for, up to a thousand.
    """
    ids = [api.create()["id"] for _ in range(3)]
    assert [each["id"] for each in control.get("/transactions?limit=2")["transactions"]] == ids[1:]
    for wrong in ("0", "-1", "1001", "x", "1e2", "9" * 5000):
        control.get(f"/transactions?limit={wrong}", expected=400)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:80"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({}, 200),
    ],
)
@pytest.mark.parametrize("path", ["/clock", "/settings", "/faults"])
def test_a_page_of_a_stranger_controls_nothing(headers, status, path, emulator):
    """
    Host and Origin are looked at on every call, and no form is taken.
    """
    body = {"/clock": '{"hours": 1}', "/settings": '{"payouts": false}', "/faults": '{"fault": "webhook.drop"}'}[path]
    answer = requests.post(
        emulator.url + PREFIX + path, data=body, headers={"Content-Type": "application/json", **headers}, timeout=10
    )

    assert answer.status_code == status
    changed = emulator.clock.ahead or not emulator.settings.payouts or emulator.faults.active
    assert bool(changed) == (status == 200)


def test_reading_is_guarded_too(emulator, api):
    """
    A rebound name reads nothing.
    """
    api.create()
    for path in ("/", "/transactions", "/deliveries", "/requests", "/settings", "/clock", "/faults"):
        answer = requests.get(emulator.url + PREFIX + path, headers={"Host": "evil.example"}, timeout=10)
        assert answer.status_code == 403
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_beyond_this_machine_a_token_is_needed():
    """
    The one in the address that was shown; by header, by query or by cookie; another each time.
    """
    with Emulator(host="0.0.0.0") as emulator, Emulator(host="0.0.0.0") as other:
        token = emulator.desk_url.partition("?jeton=")[2]
        url = emulator.url + PREFIX + "/clock"
        assert len(token) >= 20
        assert token not in other.desk_url
        assert requests.get(url, timeout=10).status_code == 403
        for wrong in ({"X-Emulateur-Jeton": "x"}, {"X-Emulateur-Jeton": "é".encode("latin-1")}):
            assert requests.get(url, headers=wrong, timeout=10).status_code == 403
        for good in (
            {"headers": {"X-Emulateur-Jeton": token}},
            {"params": {"jeton": token}},
            {"cookies": {"jeton": token}},
        ):
            assert requests.get(url, timeout=10, **good).status_code == 200


def test_at_this_machine_no_token_is_needed(emulator):
    """
    No other machine comes that far.
    """
    assert emulator.desk_url == emulator.url + "/"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"\xff", 400),
        (b'{"fault": {"deep": []}}', 400),
        (b'{"fault": "' + b"x" * 70_000 + b'"}', 413),
        (b"[" * 60_000, 400),
    ],
)
def test_a_strange_body_is_refused(body, status, emulator):
    """
    In French, as JSON, and nothing breaks.
    """
    answer = requests.post(
        emulator.url + PREFIX + "/faults", data=body, headers={"Content-Type": "application/json"}, timeout=10
    )

    assert answer.status_code == status
    assert answer.json()["message"]


def test_unknown_addresses_and_methods_are_told(control, api):
    """
    As JSON; what is no id is refused as such.
    """
    id = api.create()["id"]
    control.get("/nothing", expected=404)
    control("PUT", "/clock", 405)
    assert "Gestes" in control.post(f"/transactions/{id}/steal", expected=400)["message"]
    control.post(f"/payouts/{id}/steal", expected=400)
    control.get("/transactions/0x1", expected=400)
    control.post("/transactions/1/approve", {"force": "yes"}, expected=400)
    control.post("/transactions/1/approve", expected=400)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("sh")), reason="needs curl")
def test_the_curl_lines_of_the_guide_work(api, emulator):
    """
    Each of them, as it is printed; only the port is another.
    """
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
    assert script.count("curl -sSf") == 9
    script = script.replace("http://127.0.0.1:8080", emulator.url)
    environment = {**os.environ, "ID": str(api.create()["id"]), "NO_PROXY": "*"}
    done = subprocess.run(
        ["sh", "-e", "-c", script], env=environment, capture_output=True, encoding="utf-8", timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert '"status":"approved"' in done.stdout
    assert (emulator.transactions, emulator.settings.payouts) == ([], False)


def test_each_address_of_the_guide_is_one(emulator, control):
    """
    None of the table is unknown to the emulator.
    """
    rows = re.findall(r"`(GET|POST|DELETE) (/[^`]*)`", GUIDE.read_text(encoding="utf-8"))
    assert len(rows) >= 17
    for method, path in rows:
        answer = requests.request(method, emulator.url + PREFIX + path.replace("{id}", "1"), timeout=10)
        assert answer.status_code in (200, 400), (method, path)
