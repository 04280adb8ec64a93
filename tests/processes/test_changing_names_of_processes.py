"""Deployments that add, rename and leave out callbacks, with processes that are killed: each is called once."""

import os
import random
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from support.claims import states

import fedapay_sync
from fedapay_sync.store import Store

ROOT = Path(fedapay_sync.__file__).parents[1]

#: Its callbacks are named by the arguments, ``new<old`` after a renaming; each notes its effect, then takes a moment.
SHOP = """
    import os, sys, threading
    from fedapay_sync import Connector
    url, api, key, secret, effects, *names = sys.argv[1:]
    connector = Connector(api, fedapay_webhooks_secret_key=secret, db_url=url, api_key=key)
    moment = threading.Event()

    def callback(name):
        def call(event):
            line = f"{name} {event.id_transaction} {event.attempt}\\n"
            descriptor = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, line.encode())
            os.close(descriptor)
            moment.wait(0.01)
        return call

    for each in names:
        name, _, old = each.partition("<")
        connector.on_webhook(callback(name), name=(name, old) if old else name)
    connector.run()
"""


@pytest.fixture
def deploy(db_url, emulator, tmp_path):
    """Start a process of that version of the program."""
    running = []

    def deploy(*names):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SHOP), db_url, emulator.url, emulator.secret_key,
             emulator.webhook_secret, str(tmp_path / "effects"), *names],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        running.append(process)
        return process

    yield deploy
    for process in running:
        process.kill()
        process.wait(10)


@pytest.fixture
def store(db_url):
    store = Store(db_url)
    yield store
    store.close()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait(10)


def registered(store, *names):
    return lambda: set(names) <= {each.name for each in store.callback_names.all() if each.same_as is None}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=[pytest.mark.long, pytest.mark.faults(row=13)])])
def test_each_callback_is_called_once_whatever_is_deployed_and_killed(
    deploy, make_connector, store, tmp_path, eventually, seed
):
    """
    What the first are called now they were called before; what is left out for a while is owed all of it.
    """
    shop, chance, sent = make_connector(), random.Random(seed), []

    def send(many):
        for _ in range(many):
            number = 1000 + len(sent)
            entity = {"klass": "v1/transaction", "id": number, "status": "approved", "amount": 500}
            shop.save_webhook(
                {"name": "transaction.approved", "object": "transaction", "object_id": number, "entity": entity}
            )
            sent.append(number)

    def effects():
        path = tmp_path / "effects"
        lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
        return [(name, int(number), int(attempt)) for name, number, attempt in map(str.split, lines)]

    def some_more():
        enough = len(effects()) + chance.randrange(1, 8)
        eventually(lambda: len(effects()) >= enough)

    send(8)
    first = [deploy("ship", "book") for _ in range(2)]
    eventually(registered(store, "ship", "book"))
    send(8)
    some_more()
    kill(first[0])
    second = deploy("deliver<ship", "book", "mail")
    eventually(registered(store, "deliver", "mail"))
    before_mail = len(sent)
    send(8)
    some_more()
    kill(first[1])
    send(8)
    some_more()
    kill(second)
    third = deploy("deliver", "mail")
    send(8)
    some_more()
    kill(third)
    assert any(each.name == "book" and each.owed for each in store.callback_names.all())

    deploy("deliver", "book", "mail")
    deploy("deliver<ship", "book", "mail")
    eventually(lambda: all(state == "done" for _, state, *_ in states(store)), timeout=90)

    called = [("deliver" if name == "ship" else name, number, attempt) for name, number, attempt in effects()]
    assert {number for name, number, _ in called if name == "deliver"} == set(sent)
    assert {number for name, number, _ in called if name == "book"} == set(sent)
    assert {number for name, number, _ in called if name == "mail"} == set(sent[before_mail:])
    counts = Counter((name, number) for name, number, _ in called)
    again = {(name, number) for name, number, attempt in called if attempt > 1}
    assert {each for each, count in counts.items() if count > 1} <= again
    assert Counter((name, number) for name, number, attempt in called if attempt == 1).most_common(1)[0][1] == 1
    # A process runs four at a time: no more than these were cut.
    assert len(again) <= 4 * 4
