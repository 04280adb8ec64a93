"""``/v1/webhooks``: several endpoints, each with its own headers and switches, and events made up to try them."""

import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedapay_sync.emulator import SANDBOX_SECRET_KEY, Emulator
from fedapay_sync.emulator.delivery.samples import EVENT_NAMES
from fedapay_sync.server.web_server import WebServer

TOO_MUCH = "x" * 3000
EVENTS = [f"{kind}.{what}" for kind, names in EVENT_NAMES.items() for what in names]


@pytest.fixture
def other(make_receiver):
    """A shop that the emulator was not told of in Python."""
    shop = make_receiver()
    with shop.server:
        yield shop


@pytest.fixture
def make(api):
    """``make(url=...)``: a new endpoint, as the API answers it."""

    def create(**body):
        answer = api("POST", "/v1/webhooks", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["v1/webhook"]

    return create


def test_an_endpoint_is_made_read_changed_and_deleted(api, make, emulator):
    """
    The whole life of one, in FedaPay's shape and with its defaults; the secret is never shown.
    """
    made = make(url="https://boutique.example.bj/webhooks")
    assert list(made) == [
        *("klass", "id", "url", "enabled", "ssl_verify", "disable_on_error"),
        *("account_id", "http_headers", "created_at", "updated_at"),
    ]
    assert made["klass"] == "v1/webhook"
    assert (made["enabled"], made["ssl_verify"], made["disable_on_error"]) == (True, True, True)
    assert made["http_headers"] == {}
    path = f"/v1/webhooks/{made['id']}"
    assert api("GET", path).json() == {"v1/webhook": made}
    assert emulator.webhook_secret not in api("GET", path).text

    changes = {"url": "http://127.0.0.1:9/x", "enabled": False, "ssl_verify": False, "http_headers": {"a": "b"}}
    changed = api("PUT", path, json=changes).json()["v1/webhook"]
    assert {name: changed[name] for name in changes} == changes
    assert changed["id"] == made["id"]
    assert changed["updated_at"] >= made["updated_at"]

    assert api("DELETE", path).ok
    for method in ("GET", "PUT", "DELETE"):
        assert api(method, path).status_code == 404
    assert api("POST", path + "/send_event", json={"event": "transaction.approved"}).status_code == 404


def test_endpoints_are_listed_newest_first(api, make):
    """
    With meta, page by page.
    """
    ids = [make(url=f"https://boutique.example.bj/{n}")["id"] for n in range(3)]
    answer = api("GET", "/v1/webhooks?per_page=2").json()
    assert [each["id"] for each in answer["v1/webhooks"]] == ids[:0:-1]
    assert answer["meta"]["total_count"] == 3
    assert answer["meta"]["next_page"] == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("url", url) for url in (None, "", "boutique.bj", "ftp://x/", "http://", "http://[", "http://x:99999/")),
        *(("url", url) for url in ("http://a b/", "https://x/\n", "http://" + TOO_MUCH, 5, ["https://x/"])),
        *((flag, "peut-être") for flag in ("enabled", "ssl_verify", "disable_on_error")),
        *(("http_headers", bad) for bad in ("a: b", ["a"], {"a": []}, {"": "b"}, {"a b": "c"}, {"a": "b\r\nc: d"})),
        *(("http_headers", bad) for bad in ({"a\n": "b"}, {"é": "b"}, {"a": "€"}, {"a": "b\n"}, {"a": True})),
    ],
)
def test_a_wrong_field_is_named(field, value, api, make):
    """
    Refused at creation and at update, with the field; nothing is made, nothing changes.
    """
    body = {"url": "https://boutique.example.bj/", field: value}
    refused = api("POST", "/v1/webhooks", json=body)
    assert refused.status_code == 400
    assert list(refused.json()["errors"]) == [field]
    assert api("GET", "/v1/webhooks").json()["v1/webhooks"] == []

    made = make(url="https://boutique.example.bj/")
    refused = api("PUT", f"/v1/webhooks/{made['id']}", json={field: value})
    assert refused.status_code == 400
    assert list(refused.json()["errors"]) == [field]
    assert api("GET", f"/v1/webhooks/{made['id']}").json()["v1/webhook"] == made


def test_a_form_says_as_much_as_json(api):
    """
    Brackets for headers, words for switches, as PHP and Ruby write them.
    """
    form = {"url": "https://boutique.example.bj/", "enabled": "false", "http_headers[agregateur]": "Fedapay"}
    made = api("POST", "/v1/webhooks", data=form).json()["v1/webhook"]
    assert made["enabled"] is False
    assert made["http_headers"] == {"agregateur": "Fedapay"}


def test_what_a_save_sends_back_changes_nothing(api, make):
    """
    An SDK's save sends every attribute back, also those that cannot change; null takes headers away only.
    """
    made = make(url="https://boutique.example.bj/", http_headers={"a": "b"}, enabled=False)
    path = f"/v1/webhooks/{made['id']}"
    sent = {**made, "id": 1, "account_id": 2, "created_at": "x", "klass": "v1/other"}
    saved = api("PUT", path, json=sent).json()["v1/webhook"]
    assert {**saved, "updated_at": made["updated_at"]} == made
    nulls = dict.fromkeys(["enabled", "ssl_verify", "disable_on_error", "http_headers"])
    saved = api("PUT", path, json=nulls).json()["v1/webhook"]
    assert {**saved, "updated_at": made["updated_at"]} == {**made, "http_headers": {}}


def test_every_endpoint_gets_every_event_with_its_own_headers(api, make, emulator, receiver, other):
    """
    The one of Python and the one of the API: one body, a fresh signature each, and each delivery says whose it is.
    """
    second = make(url=other.url, http_headers={"agregateur": "Fedapay"})
    created = api.create()
    emulator.wait_for_deliveries()
    emulator.approve(created["id"])
    emulator.wait_for_deliveries()

    assert receiver.names == other.names == ["transaction.created", "transaction.approved"]
    assert [body for _, body in receiver.received] == [body for _, body in other.received]
    receiver.verify(emulator.webhook_secret)
    other.verify(emulator.webhook_secret)
    assert "HTTP_AGREGATEUR" not in receiver.received[0][0]
    assert other.received[0][0]["HTTP_AGREGATEUR"] == "Fedapay"
    own = next(each for each in api("GET", "/v1/webhooks").json()["v1/webhooks"] if each["url"] == receiver.url)
    assert sorted(each.webhook_id for each in emulator.deliveries) == sorted([own["id"], second["id"]] * 2)


def test_an_endpoint_that_is_off_gets_nothing(api, make, emulator, other):
    """
    Until it is switched on again; what happened meanwhile is not told later.
    """
    made = make(url=other.url, enabled=False)
    api.create()
    emulator.wait_for_deliveries()
    assert other.received == []
    assert emulator.deliveries == []

    api("PUT", f"/v1/webhooks/{made['id']}", json={"enabled": True})
    api.create()
    emulator.wait_for_deliveries()
    assert other.names == ["transaction.created"]


def test_a_deleted_endpoint_gets_no_further_attempt(client_of, other):
    """
    Also not the repetitions that were due.
    """
    other.answers += ["500 No"] * 10
    with Emulator(retry_factor=0.25) as emulator:
        api = client_of(emulator)
        made = api("POST", "/v1/webhooks", json={"url": other.url}).json()["v1/webhook"]
        api.create()
        other.wait_for(1)
        api("DELETE", f"/v1/webhooks/{made['id']}")
        emulator.wait_for_deliveries()
    assert len(other.received) < 10


def test_only_the_failing_endpoint_is_switched_off(api, make, emulator, receiver, other):
    """
    Ten failures, seen in the API; the neighbour goes on, and one that has disable_on_error off stays on.
    """
    failing = make(url=other.url)
    patient = make(url=other.url, disable_on_error=False)
    other.answers += ["503 No"] * 20
    api.create()
    emulator.wait_for_deliveries()

    assert api("GET", f"/v1/webhooks/{failing['id']}").json()["v1/webhook"]["enabled"] is False
    assert api("GET", f"/v1/webhooks/{patient['id']}").json()["v1/webhook"]["enabled"] is True
    assert emulator.webhook_enabled
    attempts = [each.attempt for each in emulator.deliveries if each.webhook_id == failing["id"]]
    assert attempts == list(range(1, 11))
    api.create()
    emulator.wait_for_deliveries()
    assert len(receiver.received) == 2
    assert len(other.received) == 21


def test_an_endpoint_that_is_silent_holds_up_no_other(client_of, other, eventually):
    """
    Twenty events for one that accepts and says nothing: the other has all of them long before the first times out.
    """
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        with Emulator(webhook_url=f"http://127.0.0.1:{silent.getsockname()[1]}/", webhook_timeout=60) as emulator:
            api = client_of(emulator)
            api("POST", "/v1/webhooks", json={"url": other.url})
            for _ in range(20):
                api.create()
            other.wait_for(20)
            eventually(lambda: len(emulator.deliveries) == 20)
            assert all(each.succeeded for each in emulator.deliveries)


def test_own_headers_cannot_spoil_a_delivery(api, make, emulator, other):
    """
    Neither signature nor framing nor type can be replaced; the rest comes along, User-Agent included.
    """
    spoilers = {"x-fedapay-signature": "t=1,s=0", "Content-Length": "3", "CONTENT-TYPE": "text/html", "Host": "x"}
    make(url=other.url, http_headers={**spoilers, "Transfer-Encoding": "chunked", "User-Agent": "moi"})
    api.create()
    emulator.wait_for_deliveries()
    other.verify(emulator.webhook_secret)
    headers, _ = other.received[0]
    assert headers["CONTENT_TYPE"] == "application/json"
    assert headers["HTTP_USER_AGENT"] == "moi"
    assert emulator.deliveries[0].succeeded


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_can_be_made_up(name, api, emulator, receiver):
    """
    Every name gives an entity to which that could have happened; no shop is told.
    """
    answer = api("POST", "/v1/webhooks/stub_event", json={"event": name})
    assert answer.status_code == 200
    event = answer.json()
    assert list(event) == ["name", "entity"]
    assert event["name"] == name
    assert "klass" not in event["entity"]
    assert event["entity"]["account_id"] == 30211
    what = name.partition(".")[2]
    if what in ("approved", "declined", "canceled", "expired", "transferred", "refunded", "sent", "failed"):
        assert event["entity"]["status"] == what
        assert event["entity"][f"{what}_at"] is not None
    if what == "deleted":
        assert event["entity"]["deleted_at"] is not None
    assert emulator.deliveries == []


def test_a_made_up_event_looks_like_a_real_one(api, other, client_of):
    """
    The same fields, in the same order, as when it really happens.
    """
    with Emulator(webhook_objects=("transaction", "customer", "payout"), webhook_url=other.url) as emulator:
        real = client_of(emulator)
        person = {"firstname": "A", "lastname": "B", "email": "a@example.bj"}
        real.create(customer=person)
        payout = {"amount": 500, "currency": {"iso": "XOF"}, "mode": "momo_test", "customer": person}
        assert real("POST", "/v1/payouts", json=payout).status_code == 200
        emulator.wait_for_deliveries()
    seen = {event["name"]: event["entity"] for event in other.events}
    for name in ("transaction.created", "customer.created", "payout.created"):
        made_up = api("POST", "/v1/webhooks/stub_event", json={"event": name}).json()["entity"]
        assert list(made_up) == list(seen[name])


@pytest.mark.parametrize(
    "body",
    [{}, {"event": ""}, {"event": "transaction.paid"}, {"event": "x"}, {"event": 5}, {"event": ["a"]}, {"name": "x"}],
)
def test_an_event_that_does_not_exist_is_refused(body, api, make):
    """
    In FedaPay's own words, whatever is wrong; in English when asked.
    """
    made = make(url="https://boutique.example.bj/")
    for path in ("/v1/webhooks/stub_event", f"/v1/webhooks/{made['id']}/send_event"):
        refused = api("POST", path, json=body)
        assert refused.status_code == 400
        assert refused.json() == {"message": "L'évenement n'existe pas", "errors": {}}
    assert api("POST", path + "?locale=en", json=body).json()["message"] == "The event does not exist"


def test_a_made_up_event_is_really_delivered(api, make, emulator, receiver, other):
    """
    Signed, to that endpoint alone, with the entity that was answered, of whatever object.
    """
    made = make(url=other.url, http_headers={"agregateur": "Fedapay"})
    answer = api("POST", f"/v1/webhooks/{made['id']}/send_event", json={"event": "payout.sent"})
    assert answer.status_code == 200
    emulator.wait_for_deliveries()
    other.verify(emulator.webhook_secret)
    (event,) = other.events
    assert list(event) == ["name", "object", "object_id", "entity", "account"]
    assert (event["name"], event["object"]) == ("payout.sent", "payout")
    assert event["entity"] == answer.json()["entity"]
    assert event["object_id"] == event["entity"]["id"]
    assert receiver.received == []

    api("PUT", f"/v1/webhooks/{made['id']}", json={"enabled": False})
    assert api("POST", f"/v1/webhooks/{made['id']}/send_event", json={"event": "payout.sent"}).status_code == 200
    emulator.wait_for_deliveries()
    assert len(other.received) == 1


def test_the_endpoint_of_python_is_one_of_them(api, emulator, receiver):
    """
    Listed; changed from either side; deleted from either side.
    """
    (own,) = api("GET", "/v1/webhooks").json()["v1/webhooks"]
    assert own["url"] == emulator.webhook_url == receiver.url
    api("PUT", f"/v1/webhooks/{own['id']}", json={"url": "https://boutique.example.bj/", "enabled": False})
    assert emulator.webhook_url == "https://boutique.example.bj/"
    assert not emulator.webhook_enabled
    emulator.webhook_url = receiver.url
    (changed,) = api("GET", "/v1/webhooks").json()["v1/webhooks"]
    assert (changed["id"], changed["url"], changed["enabled"]) == (own["id"], receiver.url, True)
    api("DELETE", f"/v1/webhooks/{own['id']}")
    assert emulator.webhook_url is None
    emulator.webhook_url = receiver.url
    emulator.webhook_url = None
    assert api("GET", "/v1/webhooks").json()["v1/webhooks"] == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_the_certificate_of_an_endpoint_is_checked_unless_told_not_to(api, make, emulator, tmp_path):
    """
    ssl_verify: a certificate of no known authority is a failure; with the check off it is delivered to.
    """
    certificate = trustme.CA().issue_cert("localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    with TlsShop(context) as shop:
        strict = make(url=f"https://localhost:{shop.port}/", disable_on_error=True)
        api.create()
        emulator.wait_for_deliveries()
        assert {each.error for each in emulator.deliveries} == {"SSLError"}
        api("PUT", f"/v1/webhooks/{strict['id']}", json={"ssl_verify": False, "enabled": True})
        api.create()
        emulator.wait_for_deliveries()
        assert emulator.deliveries[-1].status == 200


class TlsShop:
    """Answers 200 to whatever comes over TLS."""

    def __init__(self, context):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


# State in a file


def test_endpoints_and_what_waits_outlive_the_emulator(client_of, make_receiver, tmp_path, free_port, eventually):
    """
    A shop that is down while the emulator stops gets the event from the next one, on the same file.
    """
    file = str(tmp_path / "shop.fedapay")
    away = f"http://127.0.0.1:{free_port}/hook"
    with Emulator(state=file, retry_factor=0.25) as first:
        api = client_of(first)
        made = api("POST", "/v1/webhooks", json={"url": away, "http_headers": {"a": "b"}}).json()["v1/webhook"]
        created = api.create()
        eventually(lambda: first.deliveries)
    shop = make_receiver()
    with WebServer(shop, port=free_port), Emulator(state=file, retry_factor=0.25) as second:
        assert client_of(second)("GET", f"/v1/webhooks/{made['id']}").json()["v1/webhook"] == made
        second.wait_for_deliveries()
    assert [event["object_id"] for event in shop.events] == [created["id"]]
    assert second.deliveries[0].attempt > 1
    assert shop.received[0][0]["HTTP_A"] == "b"
    shop.verify(second.webhook_secret)
    with Emulator(state=file) as third:
        third.wait_for_deliveries(0)


DIES = """
import sys
from fedapay_sync.emulator import SANDBOX_SECRET_KEY, Emulator

emulator = Emulator(state=sys.argv[1], webhook_url=sys.argv[2], retry_factor=0.25)
emulator.start()
print(emulator.url, flush=True)
sys.stdin.read()
"""


def test_what_waits_outlives_a_killed_process(tmp_path, make_receiver, free_port, eventually):
    """
    kill -9 between two attempts: the next process that opens the file sends the rest.
    """
    file = str(tmp_path / "shop.fedapay")
    url = f"http://127.0.0.1:{free_port}/hook"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    with subprocess.Popen(
        [sys.executable, "-c", DIES, file, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        address = process.stdout.readline().strip()
        auth = {"Authorization": f"Bearer {SANDBOX_SECRET_KEY}"}
        body = {"description": "a", "amount": 5, "currency": {"iso": "XOF"}}
        answer = requests.post(f"{address}/v1/transactions", json=body, headers=auth, timeout=10)
        process.kill()
    shop = make_receiver()
    with WebServer(shop, port=free_port), Emulator(state=file, webhook_url=url, retry_factor=0.25) as emulator:
        emulator.wait_for_deliveries()
    assert [event["object_id"] for event in shop.events] == [answer.json()["v1/transaction"]["id"]]


def test_what_waits_is_sent_once_by_an_emulator_that_was_stopped(client_of, receiver, tmp_path):
    """
    Stopped and started again, in memory or with a file: one delivery, not two.
    """
    for state in (None, str(tmp_path / "shop.fedapay")):
        emulator = Emulator(state=state, webhook_url=receiver.url, retry_factor=0.2)
        before = len(receiver.received)
        receiver.answers.append("500 No")
        with emulator:
            created = client_of(emulator).create()
            receiver.wait_for(before + 1)
        with emulator:
            emulator.wait_for_deliveries()
        told = [event["object_id"] for event in receiver.events[before:]]
        assert told == [created["id"]] * 2  # the failure, and the one that succeeded


# Whatever comes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["url", "enabled", "ssl_verify", "disable_on_error", "http_headers", "event", "id"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(FIELDS, JSON, max_size=5))
def test_no_body_breaks_it(body, api, make, emulator):
    """
    An answer in FedaPay's form to everything, and what was accepted can be delivered to.
    """
    made = make(url="http://127.0.0.1:9/", enabled=False)
    path = f"/v1/webhooks/{made['id']}"
    for method, to in [("POST", "/v1/webhooks"), ("PUT", path), ("POST", path + "/send_event")]:
        answer = api(method, to, data=json.dumps(body), headers={"Content-Type": "application/json"})
        assert answer.status_code in (200, 400)
        assert answer.json()
    for each in api("GET", "/v1/webhooks").json()["v1/webhooks"]:
        api("DELETE", f"/v1/webhooks/{each['id']}")
