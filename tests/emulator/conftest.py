"""An emulator, a client of its API and a receiver of its webhooks, all of them really on the network."""

import json
import threading
from collections import deque

import pytest
import requests

from fedapay_sync import signature
from fedapay_sync.common.clock import Clock
from fedapay_sync.emulator import Emulator
from fedapay_sync.server.web_server import WebServer


class Client:
    """Plain HTTP with the emulator's key."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.session = requests.Session()
        self.session.trust_env = False

    def __call__(self, method, path, *, key=None, headers=None, **options):
        auth = {"Authorization": f"Bearer {key or self.emulator.secret_key}"}
        return self.session.request(
            method, self.emulator.url + path, headers={**auth, **(headers or {})}, timeout=10, **options
        )

    def create(self, **changes):
        """A new transaction, as the API answers it."""
        body = {"description": "Commande 7", "amount": 15000, "currency": {"iso": "XOF"}, **changes}
        answer = self("POST", "/v1/transactions", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["v1/transaction"]

    def get(self, id):
        return self("GET", f"/v1/transactions/{id}").json()["v1/transaction"]

    def push(self, transaction, number="0164000001", mode="momo_test"):
        body = {"token": transaction["payment_token"], "phone_number": {"number": number, "country": "bj"}}
        return self("POST", f"/v1/{mode}", json=body)


class Receiver:
    """A shop's webhook address: keeps what comes, answers what the test wants."""

    def __init__(self):
        self.answers = deque()
        self.received = []
        self._arrived = threading.Condition()
        self.server = WebServer(self)

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read()
        headers = {name: value for name, value in environ.items() if name.startswith(("HTTP_", "CONTENT_"))}
        with self._arrived:
            self.received.append((headers, body))
            status = self.answers.popleft() if self.answers else "200 OK"
            self._arrived.notify_all()
        start_response(status, [("Location", self.url + "elsewhere")])
        return [b""]

    @property
    def url(self):
        return self.server.url + "/hook"

    @property
    def events(self):
        return [json.loads(body) for _, body in self.received]

    @property
    def names(self):
        return [event["name"] for event in self.events]

    def wait_for(self, count):
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.received) >= count, 10), self.received

    def verify(self, secret):
        """Every signature received was right at the time."""
        for headers, body in self.received:
            signature.verify(body, headers["HTTP_X_FEDAPAY_SIGNATURE"], secret)


class HandClock(Clock):
    """Both clocks go when the test says so."""

    def __init__(self):
        self.passed = 0.0
        self._start = super().now()

    def now(self):
        return self._start + self.passed

    def monotonic(self):
        return self.passed


@pytest.fixture
def emulator():
    with Emulator(retry_factor=0.001) as running:
        yield running


@pytest.fixture
def api(emulator):
    return Client(emulator)


@pytest.fixture
def receiver(emulator):
    shop = Receiver()
    with shop.server:
        emulator.webhook_url = shop.url
        yield shop


@pytest.fixture
def make_receiver():
    """``make_receiver()``: one more shop, not known to the emulator yet; its ``server`` is not started."""
    return Receiver


@pytest.fixture(scope="session")
def client_of():
    return Client


@pytest.fixture
def hand_clock():
    return HandClock()
