"""
Real forks, real signals: what a process was told is on disk, and a child never lives off its parent.
"""

import contextlib
import faulthandler
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.claims import claim

import fedapay_sync
from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.concurrency.per_process_lock import PerProcessLock
from fedapay_sync.connector import shared
from fedapay_sync.errors import StoreError
from fedapay_sync.store import NewEvent, Store
from fedapay_sync.store.postgres.connection import PostgresConnection
from fedapay_sync.store.sqlite.connection import SqliteConnection, file_of
from fedapay_sync.store.sqlite.database import SqliteDatabase
from fedapay_sync.store.sqlite.files import opening

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")

ROOT = Path(fedapay_sync.__file__).parents[1]
SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


def in_a_fork(work, patience=60):
    """What ``work`` gives, run in a forked child, as JSON through a pipe."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        # A lock that another thread held at the fork is held for ever here: say where, and let the parent go on.
        faulthandler.dump_traceback_later(patience, exit=True)
        try:
            answer = work()
        except BaseException as error:  # edge of a thread: the child must not go on as the test run
            answer = f"{type(error).__name__}: {error}"
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)

    def result():
        with open(reader, "rb") as pipe:
            data = pipe.read()
        os.waitpid(pid, 0)
        return json.loads(data)

    return result


def locks_of(pid, path):
    inode = str(path.stat().st_ino)
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return [words for words in lines if words[4] == str(pid) and words[5].endswith(f":{inode}")]


@pytest.fixture
def store(db_url):
    store = Store(db_url)
    yield store
    store.close()


@pytest.fixture
def run():
    """Scripts in processes of their own, killed at the end if they still run."""
    started = []

    def run(script, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), *arguments], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        process.stdout.close()


@pytest.mark.faults(row=14)
def test_after_a_fork_the_child_pays_and_so_does_the_parent(make_connector, emulator):
    """
    A connector used before the fork, as with ``gunicorn --preload``: no shared socket, thread or database handle.
    """
    connector = make_connector()
    before = connector.pay(SETUP, CLIENT, 100, merchant_reference="before")

    def child():
        paid = connector.pay(SETUP, CLIENT, 200, merchant_reference="child")
        known = connector.pay(SETUP, CLIENT, 100, merchant_reference="before")
        return [connector.check_status(paid.id_transaction).amount, known.id_transaction]

    results = [in_a_fork(child) for _ in range(3)]
    after = connector.pay(SETUP, CLIENT, 300, merchant_reference="after")

    assert [result() for result in results] == [[200, before.id_transaction]] * 3
    assert connector.check_status(after.id_transaction).amount == 300


def test_what_a_thread_computes_at_a_fork_holds_up_no_child():
    """
    A thread of the parent stores an event just then; the child stores another.
    """
    entered, go_on = threading.Event(), threading.Event()

    class Slow(dict):
        """The object of an event, whose reference takes a while to be read."""

        def get(self, name, default=None):
            entered.set()
            go_on.wait(20)
            return super().get(name, default)

    def event(entity):
        return NewEvent(
            dedup_key="k", event_key="k", environment="sandbox", account="shop", name="transaction.approved",
            object="transaction", entity_id="1", status="approved", is_final=True, is_paid=True, source="webhook",
            body=b"", body_sha256="", received_at=1.0, entity=entity,
        )  # fmt: skip

    computing = threading.Thread(target=lambda: event(Slow(merchant_reference="A")).reference)
    computing.start()
    assert entered.wait(10)
    answer = in_a_fork(lambda: event({"merchant_reference": "B"}).reference, patience=10)
    try:
        assert answer() == "B"
    finally:
        go_on.set()
        computing.join(20)


def test_a_shared_connector_that_is_being_made_at_a_fork_holds_up_no_child():
    entered, go_on = threading.Event(), threading.Event()

    def make():
        with shared._shared_lock:
            entered.set()
            go_on.wait(20)

    making = threading.Thread(target=make)
    making.start()
    assert entered.wait(10)

    def take():
        with shared._shared_lock:
            return "taken"

    answer = in_a_fork(take, patience=10)
    try:
        assert answer() == "taken"
    finally:
        go_on.set()
        making.join(20)


@pytest.mark.faults(row=14)
def test_a_thread_that_opens_a_connection_at_a_fork_holds_up_no_child(store, db_url, monkeypatch):
    """
    It has the connection already, and the fork finds none that is open. The child reads and writes with the same store.
    """
    opening_, go_on = threading.Event(), threading.Event()
    kind = SqliteConnection if db_url.startswith("sqlite") else PostgresConnection
    opened = kind._opened

    def slow(connection, *arguments):
        if threading.current_thread() is reading:
            opening_.set()
            go_on.wait(20)
        return opened(connection, *arguments)

    def read_and_write():
        store.listens.get("sandbox", "1")
        return store.payments.add_intent("sandbox", "shop", "CMD-1", amount=1, currency="XOF") is None

    store.payments.of_transaction("sandbox", "1")
    store.close()
    reading = threading.Thread(target=store.listens.get, args=("sandbox", "1"))
    monkeypatch.setattr(kind, "_opened", slow)
    store.open()
    reading.start()
    assert opening_.wait(10)
    try:
        assert in_a_fork(read_and_write, patience=10)() is True
    finally:
        go_on.set()
        reading.join(20)
    assert store.payments.add_intent("sandbox", "shop", "CMD-1", amount=1, currency="XOF").amount == 1


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_a_fork_waits_for_a_connection_that_is_being_closed(store, monkeypatch, eventually):
    """
    In the midst of it SQLite holds locks that no other connection of the child could ever take.
    """
    closing, order, close = threading.Event(), [], SqliteDatabase.close

    def slow(database):
        closing.set()
        with contextlib.suppress(AssertionError):
            eventually(opening.locked)
        result = close(database)
        order.append("closed")
        return result

    store.open()
    monkeypatch.setattr(SqliteDatabase, "close", slow)
    thread = threading.Thread(target=store.close)
    thread.start()
    assert closing.wait(10)
    child = in_a_fork(lambda: list(order))
    thread.join(20)

    assert child()[:1] == ["closed"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_a_child_inherits_no_lock_file_that_a_thread_had_open(store, db_url, monkeypatch):
    """
    Inherited while it is held, it would stay locked for as long as the child lives, should the parent be killed.
    """
    opening_, go_on = threading.Event(), threading.Event()
    opened = SqliteConnection._opened

    def slow(connection):
        opening_.set()
        go_on.wait(20)
        return opened(connection)

    def lock_files():
        names = [os.readlink(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd") if _is_open(each)]
        return [each for each in names if each == f"{file_of(db_url)}.lock"]

    monkeypatch.setattr(SqliteConnection, "_opened", slow)
    writing = threading.Thread(target=store.open)
    writing.start()
    assert opening_.wait(10)
    try:
        assert len(lock_files()) == 1
        assert in_a_fork(lock_files, patience=10)() == []
    finally:
        go_on.set()
        writing.join(20)


def _is_open(descriptor):
    return os.path.lexists(f"/proc/self/fd/{descriptor}")


def test_a_lock_held_at_a_fork_is_free_in_the_child():
    lock, held, go_on = PerProcessLock(), threading.Event(), threading.Event()

    def hold():
        with lock.mine():
            held.set()
            go_on.wait(20)

    def take():
        with lock.mine():
            return "taken"

    holding = threading.Thread(target=hold)
    holding.start()
    assert held.wait(10)
    try:
        assert in_a_fork(take, patience=10)() == "taken"
    finally:
        go_on.set()
        holding.join(20)


def test_a_wait_of_the_parent_is_ended_by_its_child(make_connector, emulator):
    """
    The parent's threads go on over the fork, and the child accepts with its own.
    """
    connector = make_connector()
    payment = connector.pay(SETUP, CLIENT, 500)
    wait = connector.listen(payment.id_transaction, timeout=30)
    emulator.approve(payment.id_transaction)

    status = in_a_fork(lambda: connector.check_status(payment.id_transaction).status.value)

    assert status() == "approved"
    assert wait.result(10).paid


def test_a_wait_begun_before_a_fork_ends_in_the_child_too(make_connector, emulator):
    """
    The parent's waker does not ring there.
    """
    connector = make_connector()
    payment = connector.pay(SETUP, CLIENT, 500)
    wait = connector.listen(payment.id_transaction, timeout=60)

    def child():
        began = time.monotonic()
        return [wait.result(20).paid, time.monotonic() - began < 10]

    told = in_a_fork(child)
    emulator.approve(payment.id_transaction)
    connector.check_status(payment.id_transaction)

    assert told() == [True, True]


@pytest.mark.faults(row=14)
@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="no /proc/locks")
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_a_child_holds_locks_of_its_own(store, db_url):
    """
    SQLite carries its memory of held locks over a fork, but the locks stay with the parent. Then a child locks
    nothing, and what it commits is thrown away when the parent closes the file.
    """
    store.open()
    store.listens.get("sandbox", "1")
    go_on_reader, go_on = os.pipe()
    told, tell = os.pipe()

    def child():
        own = Store(db_url)
        own.payments.add_intent("sandbox", "shop", "CMD-1", amount=1, currency="XOF")
        locks = len(locks_of(os.getpid(), file_of(db_url)))
        os.write(tell, b"x")
        os.read(go_on_reader, 1)
        own.payments.add_intent("sandbox", "shop", "CMD-2", amount=1, currency="XOF")
        own.listens.get("sandbox", "1")
        return locks

    result = in_a_fork(child)
    os.read(told, 1)
    store.close()
    again = Store(db_url)
    again.open()
    again.close()
    os.write(go_on, b"x")

    assert result() > 0
    assert store.payments.add_intent("sandbox", "shop", "CMD-1", amount=2, currency="XOF").amount == 1
    assert store.payments.add_intent("sandbox", "shop", "CMD-2", amount=2, currency="XOF").amount == 1
    for descriptor in (go_on_reader, go_on, told, tell):
        os.close(descriptor)


@pytest.mark.faults(row=14)
def test_forks_in_the_midst_of_writing_lose_nothing(store, db_url):
    """
    Ten children of a process that never stops writing; each of them writes too.
    """
    stop, written = threading.Event(), []

    def write():
        while not stop.is_set():
            store.payments.add_intent("sandbox", "parent", str(len(written)), amount=1, currency="XOF")
            written.append(1)

    def child():
        own = Store(db_url)
        for number in range(5):
            own.payments.add_intent("sandbox", "child", f"{os.getpid()}-{number}", amount=1, currency="XOF")
        own.close()
        return "ok"

    thread = threading.Thread(target=write)
    thread.start()
    results = [in_a_fork(child)() for _ in range(10)]
    stop.set()
    thread.join(10)

    rows = dict(
        store.read(
            lambda database: database.execute_sql(
                "SELECT account, count(*) FROM fp_payment GROUP BY account"
            ).fetchall()
        )
    )
    assert results == ["ok"] * 10
    assert rows == {"child": 50, "parent": len(written)}


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="needs Linux")
def test_a_child_of_a_fork_without_hooks_refuses_the_file(run, tmp_path):
    """
    uWSGI forks without telling Python. Refusing, with what to set, is better than commits that vanish.
    """
    script = """
        import ctypes, os, sys
        from fedapay_sync.store import Store
        from fedapay_sync.errors import ConfigError
        Store(sys.argv[1]).open()
        pid = ctypes.PyDLL(None).fork()
        if pid == 0:
            try:
                Store(sys.argv[1]).open()
            except ConfigError as error:
                print("lazy-apps = true" in str(error), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
    """
    process = run(script, f"sqlite:///{tmp_path}/s/x.db")
    assert process.communicate(timeout=30)[0] == "True\n"


RECEIVER = """
    import hashlib, sys, threading
    from fedapay_sync.store import NewEvent, Store
    store = Store(sys.argv[1])
    def event(number):
        return NewEvent(
            dedup_key=hashlib.sha256(str(number).encode()).hexdigest(), event_key=f"key-{number}",
            environment="sandbox", account="shop", name="transaction.approved", object="transaction",
            entity_id=str(number), status="approved", is_final=True, is_paid=True, source="webhook", body=b"{}",
            body_sha256="", received_at=1.0,
        )
    number = 0
    while True:
        assert store.events.accept(event(number)).new
        print(number, flush=True)
        number += 1
"""


@pytest.mark.faults(row=1)
@pytest.mark.parametrize("round_", range(3))
def test_what_was_acknowledged_before_a_kill_is_there(run, store, db_url, round_):
    """
    SIGKILL while it accepts: every number that was told is a row; at most the one under way is a row untold.
    """
    process = run(RECEIVER, db_url)
    told = [int(process.stdout.readline()) for _ in range(20 + 7 * round_)]
    process.send_signal(signal.SIGKILL)
    told += [int(line) for line in process.communicate()[0].splitlines() if line]

    rows = store.read(
        lambda database: {row[0] for row in database.execute_sql("SELECT entity_id FROM fp_event").fetchall()}
    )
    assert {str(number) for number in told} <= rows
    assert len(rows) <= len(told) + 1
    claimed = claim(store, "B", lease=60, limit=1000)
    assert len(claimed) == len(rows)


@pytest.mark.faults(row=7)
def test_a_killed_writer_leaves_no_lock_behind(run, store, db_url):
    """
    In the midst of a transaction, with the lock file held.
    """
    script = """
        import sys, threading
        from fedapay_sync.store import Store
        store = Store(sys.argv[1])
        def hold(database):
            database.execute_sql("INSERT INTO fp_payment (environment, account, merchant_reference, amount, currency,"
                                 " state, created_at, updated_at) VALUES ('sandbox','shop','X',1,'XOF','intent',1,1)")
            print("held", flush=True)
            threading.Event().wait()
        store.write(hold)
    """
    process = run(script, db_url)
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGKILL)
    process.wait(10)

    assert store.payments.add_intent("sandbox", "shop", "X", amount=2, currency="XOF") is None


@pytest.mark.faults(row=4)
def test_sigterm_ends_a_script_and_keeps_its_waits(run, make_connector, emulator, db_url, eventually):
    """
    The server answers, the process ends by the signal, and the open wait is there for whoever restores it.
    """
    script = """
        import sys, threading
        from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, UserData
        url, key, secret, db_url = sys.argv[1:]
        connector = Connector(url, True, listen_server_port=0, fedapay_webhooks_secret_key=secret, db_url=db_url,
                              api_key=key)
        connector.start_webhook_server()
        client = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
        setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
        payment = connector.pay(setup, client, 500)
        connector.listen(payment.id_transaction)
        print(payment.id_transaction, flush=True)
        connector.finalise(payment.id_transaction)
    """
    process = run(script, emulator.url, emulator.secret_key, emulator.webhook_secret, db_url)
    transaction = int(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM

    connector, ended = make_connector(), []
    connector.on_restored(ended.append)
    emulator.approve(transaction)
    assert connector.restore() == 1
    assert eventually(lambda: ended)[0].paid


def test_forks_wait_for_no_connection_that_waits_for_the_fork(db_url):
    """
    Two connectors on one file: one of them waits for the lock file, which the other has that is just being opened.
    """
    stores, done = [Store(db_url) for _ in range(4)], threading.Event()

    def write(store):
        written = 0
        while not done.is_set():
            # On a busy machine another that opens the file anew may not have it for a second: refused, and repeated.
            with contextlib.suppress(StoreError):
                store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
                store.payments.of_transaction("sandbox", "1")
                written += 1
        return written

    begun = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write, store) for store in stores]
        try:
            answers = [in_a_fork(lambda: "forked")() for _ in range(15)]
        finally:
            done.set()
    assert all(each.result() for each in writing)
    assert answers == ["forked"] * 15
    # A connection that is not to be had holds a fork up for ten seconds.
    assert time.monotonic() - begun < 9
    for store in stores:
        store.close()
