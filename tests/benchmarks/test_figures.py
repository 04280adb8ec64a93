"""The other figures: how soon a server stops, claims among processes, and a reader that is fed anything at all."""

import contextlib
import json
import random
import statistics
import threading
import time
from collections import Counter

import requests
from load import webhook
from measures import SECRET, at_least, at_most, milliseconds, serving

from fedapay_sync import sign
from fedapay_sync.errors import EventError, SignatureError
from fedapay_sync.models import WebhookHistory
from fedapay_sync.server.web_server import WebServer
from fedapay_sync.signature import verify
from fedapay_sync.store import NewEvent, Store
from fedapay_sync.workflow.webhooks.event_identity import identify
from fedapay_sync.workflow.webhooks.history import decode

#: Seconds: an idle server's stop, and what a request that takes a while may add to its own time.
STOP = 0.100
REQUEST = 0.050
#: Inputs in ten seconds of one core.
FUZZED = 200_000
CLAIMED = 400


def test_a_server_stops_soon_and_answers_what_runs():
    """
    100 ms at most when idle, and no more beyond the time of what it still answers.
    """
    pause, entered = threading.Event(), threading.Event()

    def app(environ, start_response):
        entered.set()
        pause.wait(REQUEST)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    idle, busy, answers = [], [], []
    server = WebServer(app)
    for _ in range(20):
        for times in (idle, busy):
            server.start()
            entered.clear()
            client = threading.Thread(target=lambda: answers.append(requests.post(server.url, timeout=10).status_code))
            if times is busy:
                client.start()
                assert entered.wait(10)
            begun = time.monotonic()
            server.stop()
            times.append(time.monotonic() - begun)
            if times is busy:
                client.join(10)

    print(f"\nstop, idle                         {milliseconds(idle)}")
    print(f"stop, one request of {REQUEST * 1e3:.0f} ms running {milliseconds(busy)}")
    assert answers == [200] * 20
    assert max(idle) <= at_most(STOP)
    assert max(busy) <= REQUEST + at_most(STOP)


def owed(number):
    return NewEvent(
        dedup_key=f"{number:064d}", event_key=str(number), environment="sandbox", account="shop",
        name="transaction.approved", object="transaction", entity_id=str(number), status="approved", is_final=True,
        is_paid=True, source="webhook", body=b"{}", body_sha256="", received_at=1.0,
    )  # fmt: skip


def test_four_processes_claim_each_callback_once(sqlite_url):
    """
    All of them, and none twice.
    """
    store = Store(sqlite_url)
    for number in range(CLAIMED):
        store.events.accept(owed(number))
    with contextlib.ExitStack() as running:
        claimers = [running.enter_context(serving("claimer", sqlite_url)) for _ in range(4)]
        for each in claimers:
            each.process.stdin.write("go\n")
            each.process.stdin.flush()
        begun = time.monotonic()
        ran = Counter(key for each in claimers for key in json.loads(each.process.stdout.readline()))
        rate = CLAIMED / (time.monotonic() - begun)
    store.close()

    twice = sum(ran.values()) - len(ran)
    print(f"\n{CLAIMED} callbacks, 4 processes: {rate:.0f} a second, {CLAIMED - len(ran)} lost, {twice} claimed twice")
    assert ran == {str(number): 1 for number in range(CLAIMED)}


def mangled(source, rng):
    """Cut, doubled, overwritten or joined with noise somewhere."""
    noise = rng.choice((b"", b"{", b"\x00", b"\xff\xfe", b'"t=', b"1e999", source, rng.randbytes(3)))
    first, last = sorted((rng.randrange(len(source) + 1), rng.randrange(len(source) + 1)))
    return source[:first] + noise + source[last:]


def test_whatever_comes_in_raises_none_but_our_errors():
    """
    200,000 headers and bodies in ten seconds of a core, checked, identified and read as models; the floor is json.loads
    of the sound body.
    """
    rng, body = random.Random(12), webhook(1)
    header = sign(body, SECRET).encode()
    count, refused, unreadable, floor = 0, 0, 0, []
    end = time.process_time() + 10
    while time.process_time() < end:
        for _ in range(1000):
            noise = mangled(body, rng)
            try:
                verify(body, mangled(header, rng).decode("latin-1"), SECRET)
            except SignatureError:
                refused += 1
            try:
                event = decode(noise)
                identify(event, environment="sandbox", account="shop", body_sha256="")
                WebhookHistory.from_dict(event)
            except EventError:
                unreadable += 1
        count += 1000
        begun = time.process_time()
        json.loads(body)
        floor.append(time.process_time() - begun)

    print(f"\n{count} headers and bodies in 10 s of a core: {refused} refused, {unreadable} unreadable")
    print(
        f"{10e6 / count:.0f} µs for both of each, json.loads of the sound body {statistics.median(floor) * 1e6:.0f} µs"
    )
    assert 0 < refused < count and 0 < unreadable < count
    assert count >= at_least(FUZZED)
