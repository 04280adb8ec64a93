"""
A server to be measured, in a process of its own: says its address on stdout and runs until its stdin ends.

``bare`` is a Flask application that answers "ok", ``ours`` a connector that keeps webhooks, with callbacks of the names
that follow its address. Each further line of stdin holds either numbers of transactions: the ends of their payments are
waited for, and "waiting" says that all of them are; or one number, of callbacks: those that have ended are told when
they are as many.
``claimer`` serves nothing: it takes owed callbacks.
"""

import collections
import json
import logging
import os
import sys
import threading
import time
from typing import Callable, Deque, Dict, List, Tuple

import flask
import waitress
from support.claims import claim
from support.stored_listens import make_known, open_listens

from fedapay_sync import Connector
from fedapay_sync.models import WebhookHistory
from fedapay_sync.store import Store
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

#: No status check of its own during a measurement.
NEVER = Pace(first=10_000, factor=2, longest=10_000)
#: How long callbacks are waited for that do not come, in seconds.
PATIENCE = 60
#: A callback that has ended: of which payment, under which name, and when on the machine's monotonic clock.
Ended = Tuple[int, str, float]


def bare() -> None:
    """As its user would write it, but for waitress's line on stderr about each request that waits for a thread."""
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    app = flask.Flask("bare")
    app.add_url_rule("/webhooks", view_func=lambda: "ok", methods=["POST"])
    server = waitress.create_server(app, host="127.0.0.1", port=0, threads=8)
    threading.Thread(target=server.run, daemon=True).start()
    print(f"http://127.0.0.1:{server.effective_port}/webhooks", flush=True)
    sys.stdin.read()


def ours() -> None:
    api, key, secret, url, *names = sys.argv[2:]
    connector = Connector(
        api, True, listen_server_port=0, fedapay_webhooks_secret_key=secret, db_url=url, api_key=key, pace=NEVER
    )
    ended: Deque[Ended] = collections.deque()
    for name in names:
        connector.on_webhook(noting(ended, name), name=name)
    connector.start_webhook_server()
    print(connector.webhook_url, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if isinstance(order, list):
            wait_for(connector, order)
        else:
            tell_ended(connector, ended, order)
    connector.close()


def noting(ended: Deque[Ended], name: str) -> Callable[[WebhookHistory], None]:
    """A callback that notes when it was called, the last thing that it does."""

    def callback(event: WebhookHistory) -> None:
        ended.append((event.entity.id, name, time.monotonic()))

    return callback


def tell_ended(connector: Connector, ended: Deque[Ended], count: int) -> None:
    """Those that have ended, once they are so many and none of them is owed any more."""
    end, moment = time.monotonic() + PATIENCE, threading.Event()
    while time.monotonic() < end:
        if len(ended) >= count and not any(each.count for each in connector.health().owed.values()):
            break
        moment.wait(0.01)
    print(json.dumps([ended.popleft() for _ in range(len(ended))]), flush=True)


def wait_for(connector: Connector, numbers: List[int]) -> None:
    """One thread for each, as a program has that calls finalise; then when each of them was told."""
    ended: Dict[int, float] = {}

    def wait(number: int) -> None:
        assert connector.finalise(number, timeout=120).paid
        ended[number] = time.monotonic()

    # As those that pay has made are.
    make_known(connector._per_process.get().store, numbers)
    threads = [threading.Thread(target=wait, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    store, moment = connector._per_process.get().store, threading.Event()
    while len(open_listens(store)) < len(numbers):
        moment.wait(0.01)
    print("waiting", flush=True)
    for thread in threads:
        thread.join()
    print(json.dumps(ended), flush=True)


def claimer() -> None:
    """Told to go, says which callbacks it took, until there is nothing left."""
    store, owner = Store(sys.argv[2]), f"claimer-{os.getpid()}"
    store.open()
    print("ready", flush=True)
    sys.stdin.readline()
    ran: List[str] = []
    while taken := claim(store, owner, lease=60.0, limit=4):
        for work in taken:
            ran.append(work.event_key)
            assert store.callbacks.mark_done(work, owner)
    store.close()
    print(json.dumps(ran), flush=True)


if __name__ == "__main__":
    {"bare": bare, "ours": ours, "claimer": claimer}[sys.argv[1]]()
