"""
The only thread that writes: groups, patience, and every way in which a disk or a file can fail.
"""

import gc
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import fedapay_sync
from fedapay_sync.errors import ConfigError, StoreError
from fedapay_sync.store import Store
from fedapay_sync.store import writer as writer_module
from fedapay_sync.store.sqlite.connection import SqliteConnection, file_of
from fedapay_sync.store.sqlite.files import prepare_file
from fedapay_sync.store.writer import Writer

ROOT = Path(fedapay_sync.__file__).parents[1]
HAS_PROC = Path("/proc/self/fd").exists()


@pytest.fixture
def path(db_url):
    return file_of(db_url)


@pytest.fixture
def writer(path):
    prepare_file(path)
    writer = Writer(SqliteConnection(path, writes=True))
    writer.run(lambda database: database.execute_sql("CREATE TABLE t (x INTEGER NOT NULL CHECK (x > 0))"))
    yield writer
    writer.close()


@pytest.fixture
def store(db_url):
    store = Store(db_url)
    yield store
    store.close()


def insert(value):
    return lambda database: database.execute_sql("INSERT INTO t VALUES (?)", (value,))


def insert_each(database, values):
    return [insert(value)(database) for value in values]


def values(path):
    with sqlite3.connect(path) as database:
        return [row[0] for row in database.execute("SELECT x FROM t ORDER BY x")]


def remember(store, reference="CMD-1"):
    return store.payments.add_intent("sandbox", "shop", reference, amount=500, currency="XOF")


def fedapay_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("fedapay-")]


class Stopped:
    """The writer, kept busy by an operation until let go."""

    def __init__(self, writer):
        self.reached, self.release = threading.Event(), threading.Event()
        self.future = writer.submit(self._operation)
        assert self.reached.wait(5)

    def _operation(self, database):
        self.reached.set()
        assert self.release.wait(10)


# -- groups -------------------------------------------------------------------------------------------------------


def test_what_gathers_while_the_disk_works_is_committed_together(writer, path):
    """
    Fifty writes, one sync.
    """
    said = []
    writer.run(lambda database: database.connection().set_trace_callback(said.append))
    stopped = Stopped(writer)
    futures = [writer.submit(insert(number)) for number in range(1, 51)]
    said.clear()
    stopped.release.set()

    for future in futures:
        future.result(5)
    assert said.count("COMMIT") == 2
    assert values(path) == list(range(1, 51))


def test_work_of_one_kind_is_done_at_once_whatever_comes_between(writer, path):
    """
    But it passes no operation, whose caller may have handed in more.
    """
    groups = []

    def insert_all(database, numbers):
        groups.append(numbers)
        return [database.execute_sql("INSERT INTO t VALUES (?)", (number,)) and number for number in numbers]

    def insert_twice(database, numbers):
        return insert_all(database, numbers)

    told, all_told = [], threading.Event()

    def then(value, problem):
        told.append((value, problem))
        if len(told) == 5:
            all_told.set()

    stopped = Stopped(writer)
    for work, number in ((insert_all, 1), (insert_twice, 2), (insert_all, 3)):
        writer.submit_batched(work, number, then)
    operation = writer.submit(insert(4))
    for work, number in ((insert_all, 5), (insert_twice, 6)):
        writer.submit_batched(work, number, then)
    stopped.release.set()
    operation.result(5)

    assert all_told.wait(5)
    assert groups == [[1, 3], [2], [5], [6]]
    assert sorted(told) == [(number, None) for number in (1, 2, 3, 5, 6)]
    assert values(path) == [1, 2, 3, 4, 5, 6]


def test_a_job_without_a_waiting_caller_shares_the_commit_of_the_next_one(writer, path, monkeypatch):
    """
    It lingers for it, and no longer; the caller who comes does not wait for that.
    """
    said, told = [], threading.Event()
    writer.run(lambda database: database.connection().set_trace_callback(said.append))
    monkeypatch.setattr(writer_module, "_LINGER", 60.0)
    said.clear()

    writer.submit_batched(insert_each, 1, lambda *_: told.set())
    writer.run(insert(2), patience=30)
    assert told.wait(5)
    assert said.count("COMMIT") == 1

    monkeypatch.setattr(writer_module, "_LINGER", 0.001)
    told.clear()
    writer.submit_batched(insert_each, 3, lambda *_: told.set())
    assert told.wait(5)
    assert said.count("COMMIT") == 2
    assert values(path) == [1, 2, 3]


def test_a_writer_that_closes_lingers_for_no_job(writer, path, monkeypatch):
    monkeypatch.setattr(writer_module, "_LINGER", 60.0)
    writer.submit_batched(insert_each, 1, lambda *_: None)
    writer.close(timeout=30)
    assert values(path) == [1]


def test_a_done_callback_gets_the_error(writer):
    told, heard = [], threading.Event()
    writer.submit_batched(insert_each, -1, lambda value, problem: (told.append((value, problem)), heard.set()))
    assert heard.wait(5)
    ((value, problem),) = told
    assert value is None
    assert isinstance(problem, StoreError)
    assert "CHECK" in str(problem)


def test_one_that_cannot_bear_what_it_is_told_costs_the_others_nothing(writer, path):
    """
    A logging filter of the program raises, for example.
    """

    def raising(value, problem):
        raise RuntimeError("a filter of the program")

    writer.submit_batched(insert_each, 1, raising)
    writer.run(insert(2), patience=2)
    assert values(path) == [1, 2]


def test_an_operation_that_fails_pays_alone(writer, path):
    """
    Its neighbours in the batch are committed, and it alone hears of it.
    """
    stopped = Stopped(writer)
    futures = [writer.submit(insert(number)) for number in (1, 2, -3, 4)]
    stopped.release.set()

    for future in (futures[0], futures[1], futures[3]):
        future.result(5)
    with pytest.raises(StoreError, match="CHECK"):
        futures[2].result(5)
    assert values(path) == [1, 2, 4]


@pytest.mark.parametrize("problem", [ValueError("x"), KeyError("y"), sqlite3.OperationalError("z"), MemoryError()])
def test_whatever_an_operation_raises_comes_as_our_error_and_the_writer_lives_on(writer, path, problem):
    def fail(database):
        raise problem

    with pytest.raises(StoreError):
        writer.run(fail)
    writer.run(insert(1))
    assert values(path) == [1]


def test_a_commit_that_fails_after_its_operations_ran_is_not_taken_for_done(writer, path):
    """
    A deferred foreign key fails at COMMIT only.
    """

    def orphan(database):
        database.execute_sql("CREATE TABLE a (i INTEGER PRIMARY KEY)")
        database.execute_sql("CREATE TABLE b (i INTEGER REFERENCES a(i) DEFERRABLE INITIALLY DEFERRED)")
        database.execute_sql("INSERT INTO b VALUES (7)")

    stopped = Stopped(writer)
    bad, good = writer.submit(orphan), writer.submit(insert(1))
    stopped.release.set()

    with pytest.raises(StoreError, match="FOREIGN KEY"):
        bad.result(5)
    good.result(5)
    assert values(path) == [1]


def test_two_thousand_writes_of_eight_threads_with_some_that_fail(writer, path):
    """
    Each caller hears its own answer.
    """
    problems = []

    def work(first):
        for number in range(first, first + 250):
            value = -1 if number % 50 == 0 else number + 1
            try:
                writer.run(insert(value))
                assert value > 0
            except StoreError:
                problems.append(value)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 2000, 250)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert problems == [-1] * 40
    assert len(values(path)) == 1960


# -- callers that commit ------------------------------------------------------------------------------------------


def on_another_thread(function, writer=None, eventually=None):
    """What that gives or raises there; once that writer has nothing in hand any more."""
    if writer is not None:
        # Its callers are told before it lets others have their turn.
        eventually(lambda: not writer._turn.locked())
    ends = []

    def run():
        try:
            ends.append((function(), None))
        except BaseException as error:  # told to the test's thread
            ends.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    ((value, error),) = ends
    if error is not None:
        raise error
    return value


def test_a_caller_that_finds_the_database_free_commits_itself(writer, path, eventually):
    """
    No other thread comes between. On the main thread the writer does it: a signal handler may come there.
    """

    def where(database):
        insert(1)(database)
        return threading.current_thread()

    assert on_another_thread(lambda: writer.run(where) is threading.current_thread(), writer, eventually)
    assert writer.run(where) is writer._thread
    assert values(path) == [1, 1]


def test_what_lingers_is_committed_by_the_caller_that_comes(writer, path, monkeypatch, eventually):
    """
    In one commit; the writer, which sleeps, is needed for none of it.
    """
    monkeypatch.setattr(writer_module, "_LINGER", 60)
    said, told = [], threading.Event()
    writer.run(lambda database: database.connection().set_trace_callback(said.append))
    said.clear()

    writer.submit_batched(insert_each, 1, lambda value, problem: told.set())
    on_another_thread(lambda: writer.run(insert(2)), writer, eventually)

    assert told.is_set() and said.count("COMMIT") == 1
    assert values(path) == [1, 2]


def test_a_caller_that_finds_the_database_in_use_leaves_it_to_the_writer(writer, eventually):
    """
    And commits nothing before it: what the writer has in hand comes first.
    """
    stopped = Stopped(writer)
    done = []
    thread = threading.Thread(target=lambda: done.append(writer.run(lambda _: threading.current_thread())))
    thread.start()
    eventually(lambda: len(writer._jobs) == 1)
    assert not done
    stopped.release.set()
    thread.join(30)

    assert done == [writer._thread]


HOLD_LOCK = """
import fcntl, sys
with open(sys.argv[1]) as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_caller_waits_no_longer_than_its_patience_for_another_process(writer, path):
    """
    Which holds the lock file: what was not committed in time never is.
    """
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, f"{path}.lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert held.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="n'a pas répondu"):
            on_another_thread(lambda: writer.run(insert(1), 0.1))
    finally:
        held.communicate("", timeout=30)
    on_another_thread(lambda: writer.run(insert(2)))
    assert values(path) == [2]


def test_more_than_one_commit_takes_leaves_none_behind(writer, path):
    """
    The caller's own job may be beyond what its commit takes.
    """
    with writer._turn:
        jobs = [writer.submit(insert(number)) for number in range(1, 100)]
    on_another_thread(lambda: writer.run(insert(100)))

    for job in jobs:
        job.result(10)
    assert values(path) == list(range(1, 101))


def test_a_thread_that_is_ended_in_the_midst_of_it_leaves_no_other_waiting(writer, path, monkeypatch, eventually):
    """
    As a task queue ends a thread that has taken too long: it raises there what is no ordinary error.
    """
    monkeypatch.setattr(writer_module, "_LINGER", 60)
    told = []
    writer.submit_batched(insert_each, 1, lambda value, problem: told.append(problem))

    def ended(database):
        raise SystemExit("too long")

    with pytest.raises(SystemExit):
        on_another_thread(lambda: writer.run(ended), writer, eventually)
    writer.run(insert(2))

    (problem,) = told
    assert "interrompue" in str(problem) and values(path) == [2]


@pytest.mark.parametrize("leads", [True, False])
def test_housekeeping_that_wants_to_come_again_does(writer, monkeypatch, eventually, leads):
    """
    Without another transaction; also where a caller has committed while the writer slept.
    """
    times = []

    def maintain(database):
        times.append(threading.current_thread())
        return 0.01 if len(times) < 4 else None

    monkeypatch.setattr("fedapay_sync.store.sqlite.database.SqliteDatabase.maintain", maintain)
    if leads:
        on_another_thread(lambda: writer.run(insert(1)), writer, eventually)
    else:
        writer.run(insert(1))

    eventually(lambda: len(times) == 4)
    assert times[1:] == [writer._thread] * 3 and (times[0] is writer._thread) != leads


# -- patience -----------------------------------------------------------------------------------------------------


def test_who_was_told_that_it_did_not_happen_is_right(writer, path):
    """
    An operation still in the queue when its caller gives up is never run.
    """
    stopped = Stopped(writer)
    neighbour = writer.submit(insert(2))
    with pytest.raises(StoreError, match=r"0\.1 s"):
        writer.run(insert(1), patience=0.1)
    stopped.release.set()

    neighbour.result(5)
    writer.run(insert(3))
    assert values(path) == [2, 3]


def test_an_operation_given_up_while_it_runs_is_not_committed(writer, path):
    """
    Up to the COMMIT the caller may give up; its neighbours in the transaction are committed without it.
    """
    stopped = Stopped(writer)
    held = threading.Event()

    def slow(database):
        insert(1)(database)
        held.wait(5)

    neighbour = writer.submit(insert(2))
    waiter = threading.Timer(0.1, stopped.release.set)
    waiter.start()
    with pytest.raises(StoreError):
        writer.run(slow, patience=0.5)
    held.set()

    neighbour.result(5)
    writer.run(insert(3))
    assert values(path) == [2, 3]


@pytest.mark.faults(row=6)
def test_a_foreign_lock_of_two_seconds_is_waited_out(store, path):
    """
    A sqlite3 shell, a backup: late, but accepted.
    """
    store.open()
    foreign = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    foreign.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    threading.Timer(2.0, foreign.execute, ["ROLLBACK"]).start()

    assert remember(store) is None

    assert 1.9 < time.monotonic() - begun < 5
    foreign.close()


def test_readers_do_not_wait_for_a_foreign_writer(store, path):
    remember(store)
    foreign = sqlite3.connect(path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    assert store.payments.of_transaction("sandbox", "1") is None
    assert time.monotonic() - begun < 1
    foreign.close()


# -- disk and file ------------------------------------------------------------------------------------------------


@pytest.mark.faults(row=5)
def test_a_full_disk_is_named_and_nothing_is_confirmed(store):
    """
    And when there is room again, so are writes, without a restart.
    """
    store.write(lambda database: database.execute_sql("PRAGMA max_page_count = 1").fetchall())

    with pytest.raises(StoreError, match="disque est plein"):
        for number in range(1000):
            remember(store, f"CMD-{number}-" + "x" * 200)

    assert remember(store, "CMD-after") is None


@pytest.mark.faults(row=5)
@pytest.mark.skipif(os.name == "nt", reason="no limit on the size of files")
def test_a_file_that_may_not_grow_gives_our_error_and_recovers(tmp_path):
    """
    The kernel refuses the write; rows are as many as were confirmed.
    """
    script = textwrap.dedent(
        """
        import resource, sys
        from fedapay_sync.store import Store
        from fedapay_sync.errors import StoreError
        store, done = Store(sys.argv[1]), 0
        store.open()
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        def remember(number):
            store.payments.add_intent("sandbox", "shop", f"{number}-" + "x" * 200, amount=1, currency="XOF")
        texts = []
        for number in range(400):
            try:
                remember(number); done += 1
            except StoreError as error:
                texts.append(str(error))
        assert texts and done, (done, len(texts))
        assert all("disk" in text and "disque" in text for text in texts), texts[0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        for number in range(1000, 1020):
            remember(number); done += 1
        rows = store.read(lambda db: db.execute_sql("SELECT count(*) FROM fp_payment").fetchone()[0])
        good = store.read(lambda db: db.execute_sql("PRAGMA integrity_check").fetchone()[0])
        store.close()
        print(rows == done, good)
        """
    )
    run = subprocess.run(
        [sys.executable, "-c", script, f"sqlite:///{tmp_path}/s/full.db"],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert run.stdout == "True ok\n", run.stderr


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be moved there")
def test_a_file_that_vanished_is_an_error_until_it_is_back(store, path):
    """
    Never a new and empty database in its place, and never answers from the one that is gone.
    """
    remember(store)
    store.payments.of_transaction("sandbox", "1")
    away = path.with_name("away.db")
    path.rename(away)

    for verb in (lambda: remember(store), lambda: store.payments.of_transaction("sandbox", "1"), store.data_version):
        with pytest.raises(StoreError, match="disparu"):
            verb()
    assert not path.exists()

    away.rename(path)
    assert remember(store).amount == 500


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be replaced there")
def test_a_file_that_was_replaced_is_an_error(store, path, tmp_path):
    """
    What this process waits for is not in the other one.
    """
    remember(store)
    other = Store(f"sqlite:///{tmp_path}/other.db")
    other.open()
    other.close()
    (tmp_path / "other.db").replace(path)

    for verb in (lambda: remember(store), lambda: store.payments.of_transaction("sandbox", "1")):
        with pytest.raises(StoreError, match="remplacée"):
            verb()


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be taken away there")
def test_a_statement_that_is_not_collected_shares_no_log_that_is_gone(path):
    """
    An error holds its cursor in a circle, and a cursor its closed connection: both are cleared away before the next.
    """
    prepare_file(path)
    connection = SqliteConnection(path, writes=True)
    gc.collect()
    gc.disable()
    try:
        with connection.exclusive() as database:
            circle = [database.execute_sql("SELECT 1 UNION SELECT 2")]
        circle.append(circle)
        del circle
        connection.close()
        for suffix in ("-wal", "-shm"):
            # Before Python 3.11 closing ends the statement, and both are gone with the last connection.
            path.with_name(path.name + suffix).unlink(missing_ok=True)

        with connection.exclusive() as database:
            assert database.has_tables() and path.with_name(path.name + "-shm").exists()
    finally:
        gc.enable()
    connection.close()


def test_a_file_that_is_no_database_is_refused(store, path):
    path.parent.mkdir()
    path.write_bytes(b"not SQLite at all" * 100)
    for _ in range(2):
        with pytest.raises(StoreError, match="n'est pas une base SQLite"):
            store.open()


@pytest.mark.parametrize("url", ["sqlite:////proc/nowhere/x.db", "sqlite:///file/x.db", "sqlite:///folder"])
def test_a_place_that_cannot_be_written_is_a_mistake_of_configuration(url, tmp_path):
    """
    Told at once, with an example of what would do.
    """
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    if not HAS_PROC and "/proc" in url:
        pytest.skip("no /proc")
    store = Store(url)
    with pytest.raises(ConfigError, match="FEDAPAY_DB_URL"):
        store.open()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_symbolic_link_is_refused(store, path, tmp_path):
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(ConfigError, match="lien symbolique"):
        store.open()
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(store, path):
    """
    Each time, not only the first.
    """
    store.write(lambda database: database.execute_sql("UPDATE fp_meta SET schema_version = 99, compatible_from = 99"))
    store.close()
    newer = Store(f"sqlite:///{path}")
    for _ in range(3):
        with pytest.raises(StoreError, match="plus récente"):
            remember(newer)
    newer.close()


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_the_files_are_private_whatever_the_umask(store, path):
    """
    Payments and webhooks carry names and numbers.
    """
    before = os.umask(0o022)
    try:
        remember(store)
        store.data_version()
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {file.name: oct(stat.S_IMODE(file.stat().st_mode)) for file in path.parent.iterdir()}
    assert len(modes) == 4
    assert set(modes.values()) == {"0o600"}, modes


# -- open and close -----------------------------------------------------------------------------------------------


def test_closing_commits_what_was_handed_in(writer, path):
    futures = [writer.submit(insert(number)) for number in range(1, 201)]
    writer.close()
    assert all(future.is_set() for future in futures)
    assert len(values(path)) == 200


def test_a_closed_writer_refuses_at_once(writer):
    """
    No caller waits for an answer that cannot come.
    """
    writer.close()
    with pytest.raises(StoreError, match="fermée"):
        writer.run(insert(1))


@pytest.mark.skipif(not HAS_PROC, reason="counts descriptors")
def test_opening_and_closing_leaves_no_thread_and_no_descriptor(db_url, path):
    """
    Also where opening failed, and where a verb came after the end.
    """
    Store(db_url).close()
    threads, descriptors = fedapay_threads(), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        store = Store(db_url)
        remember(store)
        store.data_version()
        store.close()
        store.close()
        assert remember(store).amount == 500
        assert store.payments.of_transaction("sandbox", "1") is None
    path.with_name("bad.db").write_bytes(b"no database" * 100)
    bad = Store(f"sqlite:///{path.with_name('bad.db')}")
    with pytest.raises(StoreError):
        bad.open()
    bad.close()

    assert fedapay_threads() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_closing_while_others_write_loses_no_answer(db_url):
    """
    Each verb ends well or with our error, at once, and what ended well is on disk.
    """
    store, done, problems = Store(db_url), [], []
    going = threading.Event()

    def work(place):
        for number in range(40):
            try:
                remember(store, f"{place}-{number}")
                done.append(number)
            except StoreError as error:
                problems.append(str(error))
            going.set()

    threads = [threading.Thread(target=work, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    assert going.wait(5)
    for _ in range(10):
        store.close()
    for thread in threads:
        thread.join(20)
    store.close()

    again = Store(db_url)
    rows = again.read(lambda database: database.execute_sql("SELECT count(*) FROM fp_payment").fetchone()[0])
    again.close()
    assert (rows, problems) == (len(done), [])
    assert rows == 240


def test_a_second_store_in_the_process_does_not_take_the_locks_of_the_first(store, db_url, path):
    """
    Closing any descriptor of the file would: then the last connection of another process throws the log away.
    """
    locks = Path("/proc/locks")
    if not locks.exists():
        pytest.skip("no /proc/locks")

    def held():
        inode = str(path.stat().st_ino)
        lines = [line.split() for line in locks.read_text().splitlines()]
        return [words[1:] for words in lines if words[4] == str(os.getpid()) and words[5].endswith(f":{inode}")]

    remember(store)
    before = held()
    assert before
    other = Store(db_url)
    prepare_file(path)
    assert held() == before
    other.open()
    assert held()
    other.close()
    assert held()
    assert remember(store).amount == 500
