"""
A connector that the program holds no more frees its threads, its database and its connections, by itself.

Counted in threads of ours and in descriptors of the process, where the system shows them.
"""

import contextlib
import gc
import json
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from pathlib import Path

import flask
import pytest
from support.line_stopper import PACKAGE, Stopper

import fedapay_sync.flask
from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, UserData, signature
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
QUICK = Pace(first=0.01, factor=1.0, longest=0.01)
DESCRIPTORS = Path("/proc/self/fd")
#: The way of a write to the disk, with its locks.
WRITE_PATH = ("store/writer.py", "store/engine.py", "store/sqlite/connection.py", "concurrency/wake_event.py")


def threads():
    """The threads of connectors; the emulator's are not theirs."""
    return {
        each
        for each in threading.enumerate()
        if each.name.startswith("fedapay-") and not each.name.startswith("fedapay-emulator")
    }


def descriptors():
    return len(os.listdir(DESCRIPTORS)) if DESCRIPTORS.exists() else 0


@pytest.fixture
def build(emulator, db_url):
    """Makes a connector that the test alone holds."""

    def build(**changes):
        settings = {
            "fedapay_api_url": emulator.url,
            "api_key": emulator.secret_key,
            "fedapay_webhooks_secret_key": emulator.webhook_secret,
            "listen_server_port": 0,
            "db_url": db_url,
            "poll_rate": 1000,
            "pace": QUICK,
        }
        return Connector(**{**settings, **changes})

    return build


@pytest.fixture
def freed(emulator, build, eventually):
    """Waits until there are no more threads and descriptors than before the test used a connector."""
    # Those of tests before this one may still be on their way out.
    others = threads()
    # What is loaded and opened once in a process is there before it is counted.
    build().pay(SETUP, CLIENT, 500)
    known = set(threading.enumerate())
    eventually(lambda: gc.collect() is not None and not threads() - others)
    standing = descriptors()

    def freed():
        def is_freed():
            gc.collect()
            return not threads() - known and descriptors() <= standing

        eventually(is_freed)

    return freed


def take(shop, emulator):
    """Hand it a paid webhook, as its endpoint would."""
    number = shop.pay(SETUP, CLIENT, 500).id_transaction
    body = event_of(number)
    shop.receive(body, signature.sign(body, emulator.webhook_secret))
    return number


def event_of(number):
    stamp = "2026-11-30T10:00:00.000Z"
    entity = {
        "klass": "v1/transaction", "id": number, "status": "approved", "amount": 500, "currency": {"iso": "XOF"},
        "created_at": stamp, "updated_at": stamp, "approved_at": stamp,
    }  # fmt: skip
    return json.dumps({"id": number, "name": "transaction.approved", "entity": entity}).encode()


@pytest.mark.parametrize(("kind", "count"), [("sqlite", 30), ("postgres", 5)])
def test_connectors_that_have_worked_and_are_held_no_more_free_all(
    request, build, emulator, freed, eventually, kind, count
):
    """
    They have paid, received, called back and wait, with functions that hold them in their turn.
    """
    url, called = request.getfixturevalue(f"{kind}_url"), []

    def work():
        seen = []
        shop = build(db_url=url, observer=lambda exchange: seen.append(shop))
        shop.on_webhook(lambda event: called.append(event.event_key) if shop in seen else None)
        number = take(shop, emulator)
        shop.listen(shop.pay(SETUP, CLIENT, 500).id_transaction, 60)
        assert shop.finalise(number, 60).paid

    for number in range(1, count + 1):
        work()
        eventually(lambda number=number: len(called) == number)
    assert threads()

    freed()
    assert len(set(called)) == len(called) == count


def test_without_a_cycle_all_is_free_without_a_collection(build, freed, eventually):
    """
    The last reference is enough: a program that allocates nothing more holds no thread and no connection.
    """
    others, standing = threads(), descriptors()
    gc.disable()
    try:
        for _ in range(3):
            build().pay(SETUP, CLIENT, 500)
        eventually(lambda: not threads() - others and descriptors() <= standing)
    finally:
        gc.enable()


def test_applications_that_are_dropped_free_their_connectors(build, emulator, freed):
    """
    Thirty times ``create_app()``, each with its blueprint, each having taken a webhook.
    """

    def create_app():
        app, shop = flask.Flask("shop"), build()
        shop.on_webhook(lambda event: app.logger.debug("%s", event.event_key))
        app.register_blueprint(fedapay_sync.flask.blueprint(shop, "/hook"))
        return app

    for number in range(30):
        app, body = create_app(), event_of(number + 1)
        gc.collect()
        headers = {signature.HEADER: signature.sign(body, emulator.webhook_secret)}
        assert app.test_client().post("/hook", data=body, headers=headers).status_code == 200
    assert threads()
    del app

    freed()


def test_a_callback_that_runs_ends_first(build, emulator, freed, eventually):
    """
    It keeps the connector alive, longer than closing would wait for it, and it is not called again.
    """
    runs, goes_on, ends = threading.Event(), threading.Event(), []

    def deliver(event):
        runs.set()
        assert goes_on.wait(60)
        ends.append(event.event_key)

    shop = build(callback_timeout=0.01)
    shop.on_webhook(deliver)
    take(shop, emulator)
    assert runs.wait(60)
    alive = weakref.ref(shop)
    del shop
    gc.collect()
    assert alive() is not None
    goes_on.set()

    freed()
    assert alive() is None
    other = build()
    other.on_webhook(ends.append)
    assert not other.owes_callbacks()
    other.close()
    assert len(ends) == 1


def test_what_is_owed_when_the_last_reference_goes_is_still_called(build, emulator, freed, eventually):
    """
    As by ``close``: a script whose ``main()`` returns right after ``finalise`` delivers its order.
    """
    told, other = [], build()
    shop = build()
    shop.on_webhook(lambda event: told.append(event.event_key))
    number = shop.pay(SETUP, CLIENT, 500).id_transaction
    body = event_of(number)
    other.receive(body, signature.sign(body, emulator.webhook_secret))
    del shop

    eventually(lambda: told)
    other.close()
    freed()
    assert len(told) == 1


def test_a_handle_keeps_its_connector(build, emulator, freed):
    handle = build().listen(build().pay(SETUP, CLIENT, 500).id_transaction, 60)
    gc.collect()
    emulator.approve(handle.id_transaction)
    assert handle.result(30).paid
    del handle

    freed()


@pytest.mark.parametrize("later", [False, True], ids=["with listen", "added to the handle"])
def test_a_wait_with_a_callback_keeps_its_connector_until_told(build, emulator, freed, eventually, later):
    told, shop = [], build()
    number = shop.pay(SETUP, CLIENT, 500).id_transaction
    if later:
        shop.listen(number, 60).add_done_callback(told.append)
    else:
        shop.listen(number, 60, callback=told.append)
    alive = weakref.ref(shop)
    del shop
    gc.collect()
    assert alive() is not None
    emulator.approve(number)

    eventually(lambda: told)
    assert told[0].paid
    freed()
    assert alive() is None


def test_a_connector_that_serves_stays_until_it_is_closed(build, emulator, freed):
    """
    A script that only starts the server and sleeps goes on receiving.
    """
    shop = build(use_listen_server=True)
    shop.start_webhook_server()
    emulator.webhook_url = shop.webhook_url
    alive, number = weakref.ref(shop), shop.pay(SETUP, CLIENT, 500).id_transaction
    del shop
    gc.collect()
    emulator.approve(number)
    emulator.wait_for_deliveries()

    assert emulator.deliveries[-1].status == 200
    alive().close()
    emulator.webhook_url = None
    freed()
    assert alive() is None


def test_the_api_alone_still_calls(build, freed):
    """
    ``api = Connector().api`` is enough for a program that only asks.
    """
    api = build().api
    freed()
    assert not api.transactions.create(description="X", amount=500, currency={"iso": "XOF"}).was_paid


@pytest.fixture
def log_lock():
    handler = logging.StreamHandler()
    log = logging.getLogger("fedapay_sync")
    log.addHandler(handler)
    yield handler.lock
    log.removeHandler(handler)


@pytest.fixture
def thread_lock():
    return threading._active_limbo_lock


@pytest.mark.parametrize("name", ["thread_lock", "log_lock"])
def test_a_collection_inside_a_lock_that_closing_needs_waits_for_nothing(request, build, freed, name):
    """
    The thread in which the collection happens goes on at once, and then the closing can.
    """
    shop = build()
    shop.on_webhook(lambda event: shop)
    shop.parked()
    with request.getfixturevalue(name):
        begun = time.monotonic()
        shop = None
        gc.collect()
        assert time.monotonic() - begun < 5
    freed()


def test_a_collection_at_any_line_of_a_write_waits_for_nothing(build, freed, db_url):
    """
    Another connector on the same database is collected inside each lock that the write takes.
    """
    shop, done, took = build(), set(), []
    store = shop._per_process.get().store
    while True:
        # In a cycle: only a collection frees it.
        dropped = build()
        dropped.on_webhook(lambda event, held=[dropped]: held)
        dropped.parked()
        held = [dropped]
        del dropped

        def drop(held=held):
            begun = time.monotonic()
            held.clear()
            gc.collect()
            took.append(time.monotonic() - begun)

        with Stopper(drop, done, WRITE_PATH) as stopper:
            store.payments.add_intent("sandbox", "account", f"CMD-{len(done)}", amount=1, currency="XOF")
        if not stopper.line[1]:
            break
    held.clear()
    shop.close()
    del shop, store

    assert len(took) > 30 and max(took) < 5, max(took)
    freed()


def test_a_connector_is_dropped_on_its_own_writer(build, freed):
    """
    The last reference goes in the midst of its own transaction, on the thread that closing waits for.
    """
    shop = build()
    shop.parked()
    held, store = [shop], shop._per_process.get().store
    del shop
    store.write(lambda database: held.clear())
    del store

    freed()


@contextlib.contextmanager
def holding_nothing(worker):
    """The callback thread is not just looking for work: it holds the connector then, and in a child for ever."""
    lock, looked, look = threading.Lock(), threading.Event(), worker._acquire

    def locked():
        with lock:
            look()
        looked.set()

    worker._acquire = locked
    worker.notify()
    # What looked before it is over with it.
    assert looked.wait(30)
    with lock:
        yield


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_forked_child_that_drops_it_leaves_it_to_the_parent(request, build, emulator, kind):
    """
    The child closes none of the parent's sockets and files, and starts no thread.
    """
    shop = build(db_url=request.getfixturevalue(f"{kind}_url"))
    shop.on_webhook(lambda event: shop)
    shop.pay(SETUP, CLIENT, 500)
    with holding_nothing(shop._per_process.get().callbacks):
        pid = os.fork()
    if pid == 0:
        try:
            # What dies with the parent's threads is gone before it is counted.
            gc.collect()
            alive, before = weakref.ref(shop), descriptors()
            shop = None
            gc.collect()
            changed = (alive() is not None, descriptors() != before, len(threading.enumerate()) > 1)
            os._exit(sum(2**each for each, is_so in enumerate(changed) if is_so))
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    number = take(shop, emulator)
    assert shop.finalise(number, 60).paid
    shop.close()


@pytest.mark.parametrize("place", ["in main", "at the top"])
def test_a_script_that_ends_says_nothing_about_it(emulator, db_url, place):
    """
    Its callback is called, whether its last reference goes before the end or with the interpreter.
    """
    script = textwrap.dedent(
        """
        import sys
        from fedapay_sync import Clock, Connector, MethodesPaiement, Pace, PaiementSetup, Pays, UserData
        url, key, db_url, place = sys.argv[1:]

        def main():
            shop = Connector(fedapay_api_url=url, api_key=key, db_url=db_url, pace=Pace(0.05, 1.0, 0.05))
            shop.on_webhook(lambda event: print(event.name, flush=True))
            payment = shop.pay(
                PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test),
                UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001"),
                500,
            )
            print(payment.id_transaction, flush=True)
            shop.finalise(payment.id_transaction, 60)
            return shop

        if place == "in main":
            main()
        else:
            shop = main()
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, emulator.url, emulator.secret_key, db_url, place],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(PACKAGE).parent)},
    )  # fmt: skip
    emulator.approve(int(process.stdout.readline()))
    output, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, "")
    assert output.split() == ["transaction.approved"]
