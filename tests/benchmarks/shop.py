"""
A server to be measured, in a process of its own: says its address on stdout and runs until its stdin ends.

``bare`` is a Flask application that answers "ok", ``ours`` a connector that keeps webhooks. Each further line of stdin
holds numbers of transactions: the ends of their payments are waited for, and "waiting" says that all of them are.
``claimer`` serves nothing: it takes owed callbacks.
"""

import json
import logging
import os
import sys
import threading
import time
from typing import Dict, List

import flask
import waitress
from support.claims import claim
from support.stored_listens import make_known, open_listens

from fedapay_sync import Connector
from fedapay_sync.store import Store
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

#: No status check of its own during a measurement.
NEVER = Pace(first=10_000, factor=2, longest=10_000)


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
    api, key, secret, url = sys.argv[2:6]
    connector = Connector(
        api, True, listen_server_port=0, fedapay_webhooks_secret_key=secret, db_url=url, api_key=key, pace=NEVER
    )
    connector.start_webhook_server()
    print(connector.webhook_url, flush=True)
    for line in sys.stdin:
        wait_for(connector, json.loads(line))
    connector.close()


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
