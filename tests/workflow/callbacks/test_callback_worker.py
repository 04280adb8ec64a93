"""
Callbacks: each event once, again only after a death, and one that misbehaves costs the others nothing.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from support.callback_work import CONFIG, event
from support.claims import claim, named, state

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.errors import ConfigError, StoreError
from fedapay_sync.store import Store
from fedapay_sync.store.owner import new_owner, retire
from fedapay_sync.workflow.callbacks.ends import PermanentFailure
from fedapay_sync.workflow.callbacks.retry_policy import MAX_ATTEMPTS, next_round
from fedapay_sync.workflow.callbacks.validation import check_callback
from fedapay_sync.workflow.callbacks.worker import CallbackWorker
from fedapay_sync.workflow.context import Context

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def start(store, clock):
    """Callbacks that run, and are closed at the end; what hangs is let go first."""
    made, release = [], threading.Event()

    def start(handler, owner="A", kind="webhook", **changes):
        callbacks = CallbackWorker(Context(CONFIG, store, clock, owner), **changes)
        callbacks.set(named(handler, kind))
        callbacks.notify()
        made.append(callbacks)
        return callbacks

    start.release = release
    yield start
    release.set()
    for callbacks in made:
        callbacks.close(5)


def is_done(store, number):
    return lambda: state(store, number)[0] == "done"


# -- several processes --------------------------------------------------------------------------------------------


def note(path, text):
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{text}\n".encode())
    os.close(descriptor)


def work_in_a_process(url, effects, owner, lease, hang_at, stop):
    """A process with a callback that notes its effect; at one event it hangs afterwards, to be killed there."""
    store = Store(url)
    callbacks = CallbackWorker(Context(CONFIG, store, SYSTEM_CLOCK, owner), lease=lease)
    forever = threading.Event()

    def handler(work):
        note(effects, f"{work.event_key} {work.attempts}")
        if work.event_key == hang_at:
            forever.wait()

    callbacks.set(named(handler))
    callbacks.notify()
    with contextlib.suppress(EOFError):
        stop.recv()
    callbacks.close(5)
    store.close()


@contextlib.contextmanager
def processes(count, url, effects, lease=60.0, hang_at=None):
    # A pipe, whose end is seen by all; an Event waits for the one that was killed.
    stop, end = SPAWN.Pipe(duplex=False)
    started = [
        SPAWN.Process(target=work_in_a_process, args=(url, str(effects), f"P{number}", lease, hang_at, stop))
        for number in range(count)
    ]
    for process in started:
        process.start()
    stop.close()
    try:
        yield started
    finally:
        end.close()
        for process in started:
            process.join(20)
            if process.is_alive():
                process.kill()


def lines(effects):
    return effects.read_text().splitlines() if effects.exists() else []


@pytest.mark.faults(row=13)
def test_four_processes_run_each_event_once(store, db_url, tmp_path, eventually):
    """
    They share one file and are never told who takes what.
    """
    effects = tmp_path / "effects"
    for number in range(100):
        store.events.accept(event(number))

    with processes(4, db_url, effects):
        eventually(lambda: len(lines(effects)) >= 200 or all_done(store), timeout=30)

    assert Counter(lines(effects)) == {f"key-{number} 1": 1 for number in range(100)}


def all_done(store):
    query = "SELECT count(*) FROM fp_event WHERE work_state <> 'done'"
    return store.read(lambda database: database.execute_sql(query).fetchone()[0]) == 0


@pytest.mark.faults(row=1)
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_callback_whose_process_is_killed_runs_again_with_the_same_key(store, db_url, tmp_path, eventually):
    """
    The one permitted repetition, and the callback can tell: attempt 2, same key.
    """
    effects = tmp_path / "effects"
    store.events.accept(event(1))
    with processes(1, db_url, effects, lease=1.0, hang_at="key-1") as (victim,):
        eventually(lambda: lines(effects) == ["key-1 1"], timeout=20)
        os.kill(victim.pid, signal.SIGKILL)
        victim.join(10)

    with processes(1, db_url, effects, lease=1.0):
        eventually(is_done(store, 1), timeout=20)

    assert lines(effects) == ["key-1 1", "key-1 2"]


# -- one process --------------------------------------------------------------------------------------------------


async def asynchronous():
    """What nobody would await."""


@pytest.mark.faults(row=15)
@pytest.mark.parametrize(
    "misbehave",
    [
        lambda: 1 / 0,
        lambda: sys.exit(3),
        lambda: asynchronous(),
        lambda: (_ for _ in ()).throw(KeyboardInterrupt()),
    ],
    ids=["raises", "exits", "coroutine", "interrupt"],
)
def test_a_callback_that_fails_is_called_again_later(store, clock, start, eventually, misbehave):
    """
    With the same key and the next attempt; the failure is on record.
    """
    calls = []

    def handler(work):
        calls.append((work.event_key, work.attempts))
        if len(calls) == 1:
            return misbehave()

    store.events.accept(event(1))
    callbacks = start(handler)
    eventually(lambda: state(store, 1)[:2] == ("ready", 1))
    assert state(store, 1)[2]
    assert calls == [("key-1", 1)]

    clock.advance(10)
    callbacks.notify()
    eventually(is_done(store, 1))
    assert calls == [("key-1", 1), ("key-1", 2)]


@pytest.mark.faults(row=15)
def test_a_callback_that_always_fails_is_parked(store, clock, start, eventually):
    """
    After so many attempts it is left alone, and others go on.
    """
    calls = []

    def handler(work):
        if work.entity_id == "1":
            calls.append(work.attempts)
            raise ValueError("no")

    store.events.accept(event(1))
    callbacks = start(handler)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        ended = ("dead" if attempt == MAX_ATTEMPTS else "ready", attempt)
        eventually(lambda ended=ended: state(store, 1)[:2] == ended)
        clock.advance(4600)
        callbacks.notify()
    store.events.accept(event(2))
    callbacks.notify()
    eventually(is_done(store, 2))

    assert state(store, 1)[0] == "dead"
    assert calls == list(range(1, MAX_ATTEMPTS + 1))


@pytest.mark.faults(row=15)
def test_a_callback_that_always_takes_its_process_down_is_parked_too(store, clock, start, eventually):
    """
    It never comes back to be counted as failed; what counts is how often it was begun.
    """
    store.events.accept(event(1))
    for _ in range(MAX_ATTEMPTS):
        assert claim(store, "dead", lease=60, limit=1)
        clock.advance(61)
    calls = []
    start(calls.append)
    eventually(lambda: state(store, 1)[0] == "dead")
    assert calls == []


@pytest.mark.faults(row=15)
def test_a_callback_three_leases_long_runs_once(store, db_url, clock, start, eventually):
    """
    Its lease is kept while it runs, also while its connector is being closed.
    """
    calls, reached, lease = [], threading.Event(), 0.6

    def handler(work):
        calls.append(work.attempts)
        reached.set()
        start.release.wait(10)

    store.events.accept(event(1))
    first = start(handler, "A", lease=lease)
    assert reached.wait(5)
    start(handler, "B", lease=lease)
    threading.Event().wait(1.5 * lease)
    assert not first.close(1.5 * lease)
    start.release.set()

    eventually(is_done(store, 1))
    assert calls == [1]


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be moved there")
def test_an_end_that_the_store_cannot_take_is_told_later_and_not_called_again(store, clock, start, eventually, caplog):
    """
    A full disk, a lock, a server away: while the process lives the callback is not repeated for that, lease or not.
    """
    calls, reached = [], threading.Event()

    def handler(work):
        calls.append(work.attempts)
        reached.set()
        start.release.wait(10)

    store.events.accept(event(1))
    callbacks = start(handler)
    assert reached.wait(5)
    away = store.path.with_name("away.db")
    store.path.rename(away)
    start.release.set()
    eventually(lambda: "could not be stored" in caplog.text)
    clock.advance(61)
    away.rename(store.path)
    callbacks.notify()

    eventually(is_done(store, 1))
    eventually(callbacks.is_idle)
    assert calls == [1]


@pytest.mark.faults(row=15)
def test_others_go_on_while_one_hangs(store, start, eventually):
    """
    One slow shop function delays no other event.
    """

    def handler(work):
        if work.entity_id == "0":
            start.release.wait(10)

    for number in range(20):
        store.events.accept(event(number))
    start(handler)
    for number in range(1, 20):
        eventually(is_done(store, number))
    assert state(store, 0)[0] == "running"


def test_without_a_handler_nothing_is_taken(store, clock):
    """
    Left to the processes that have one.
    """
    callbacks = CallbackWorker(Context(CONFIG, store, clock, "A"))
    store.events.accept(event(1))
    callbacks.notify()
    assert callbacks._thread is None
    assert state(store, 1)[:2] == ("ready", 0)
    assert callbacks.close(1)


# -- closing ------------------------------------------------------------------------------------------------------


def test_closing_waits_for_what_runs(store, start, eventually):
    reached = threading.Event()

    def handler(work):
        reached.set()
        start.release.wait(10)

    store.events.accept(event(1))
    callbacks = start(handler)
    assert reached.wait(5)
    threading.Timer(0.2, start.release.set).start()
    assert callbacks.close(5)
    assert is_done(store, 1)()
    assert not callbacks._thread.is_alive()


def test_closing_waits_at_most_its_timeout_and_takes_nothing_new(store, start, clock):
    reached = threading.Event()

    def handler(work):
        reached.set()
        start.release.wait(10)

    store.events.accept(event(1))
    callbacks = start(handler)
    assert reached.wait(5)
    begun = clock.monotonic()
    assert not callbacks.close(0.3)
    assert 0.25 < clock.monotonic() - begun < 1.5
    store.events.accept(event(2))
    callbacks.notify()
    start.release.set()
    assert callbacks.close(5)
    assert state(store, 2)[:2] == ("ready", 0)


def test_closing_from_inside_a_callback_waits_for_the_others_only(store, start, eventually):
    """
    And the callback that closes is still marked as done, though store and all are closed behind it.
    """
    made, results = [], []

    def handler(work):
        results.append(made[0].close(5, without=[threading.get_ident()]))
        store.close()

    callbacks = CallbackWorker(Context(CONFIG, store, SYSTEM_CLOCK, "A"))
    callbacks.set(named(handler))
    made.append(callbacks)
    store.events.accept(event(1))
    callbacks.notify()
    eventually(lambda: results)
    assert results == [True]
    eventually(is_done(store, 1))
    eventually(lambda: not callbacks._thread.is_alive())


def test_closing_another_connector_from_a_callback_waits_for_that_ones_callbacks(store, clock, start, eventually):
    """
    Only one's own callback is not waited for.
    """
    reached, results = threading.Event(), []

    def slow(work):
        reached.set()
        start.release.wait(10)

    store.events.accept(event(1, source="local", name="local.payment"))
    other = start(slow, kind="payment")
    assert reached.wait(5)
    start(lambda work: results.append(other.close(0.2)), "B")
    store.events.accept(event(2))
    eventually(lambda: results)
    assert results == [False]


def test_closing_leaves_no_thread(store, start, eventually):
    def threads():
        return [thread for thread in threading.enumerate() if thread.name.startswith("fedapay-callback")]

    for number in range(8):
        store.events.accept(event(number))
    callbacks = start(lambda work: None)
    eventually(is_done(store, 7))
    assert callbacks.close(5)
    eventually(lambda: not threads())


# -- refusing -----------------------------------------------------------------------------------------------------


class AsynchronousObject:
    async def __call__(self, work):
        """Never awaited."""


@pytest.mark.parametrize("callback", [asynchronous, AsynchronousObject()])
def test_an_asynchronous_callback_is_refused_with_what_to_delete(callback):
    with pytest.raises(ConfigError, match="Supprimer « async » devant « def »"):
        check_callback(callback, "Le callback")


@pytest.mark.parametrize("callback", [None, 3, "print"])
def test_what_cannot_be_called_is_refused(callback):
    with pytest.raises(ConfigError, match="une fonction est attendue"):
        check_callback(callback, "Le callback")


def test_ordinary_callables_pass():
    check_callback(print, "Le callback")
    check_callback(lambda event: None, "Le callback")
    check_callback([].append, "Le callback")


# -- clocks and owners --------------------------------------------------------------------------------------------


@pytest.fixture
def alive():
    """The name of an owner that runs: this process."""
    owner = new_owner()
    yield owner
    retire(owner)


needs_proc = pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="the system does not tell who lives")


@pytest.mark.faults(row=8)
@needs_proc
def test_a_clock_that_jumps_ahead_takes_no_callback_from_a_process_that_lives(store, clock, start, alive, eventually):
    """
    An hour's jump ends every lease; only a death in the middle of a callback makes it run again.
    """
    calls, reached = [], threading.Event()

    def slow(work):
        calls.append("A")
        reached.set()
        start.release.wait(10)

    def quick(work):
        calls.append(f"B {work.entity_id}")

    store.events.accept(event(1, source="local", name="local.payment"))
    start(slow, alive, kind="payment")
    assert reached.wait(5)
    clock.wall_ahead += 3600
    other = start(quick, "B")
    other.set(named(quick, "payment"))
    # Of another kind: only B takes it, and sees then what runs elsewhere.
    store.events.accept(event(2))
    other.notify()
    eventually(is_done(store, 2))
    start.release.set()
    eventually(is_done(store, 1))

    assert [call for call in calls if call != "B 2"] == ["A"]
    assert state(store, 1)[1] == 1


@needs_proc
def test_work_of_a_process_that_is_gone_is_taken_before_its_lease_ends(store, start, eventually):
    """
    Whatever the clock says: set back by an hour, it would make the lease an hour longer.
    """
    gone = new_owner()
    store.events.accept(event(1))
    assert claim(store, gone, lease=3600, limit=1)
    retire(gone)

    calls = []
    start(lambda work: calls.append(work.attempts), "B")
    eventually(is_done(store, 1))
    assert calls == [2]


@pytest.mark.faults(row=8)
def test_a_clock_set_back_delays_no_callback_longer_than_its_own_pause(store, clock, start, eventually):
    """
    A day back, both for one that failed and for one whose owner nobody here can ask after.
    """
    store.events.accept(event(1))
    store.events.accept(event(2))
    one, _ = claim(store, "B", lease=60, limit=2)
    store.callbacks.retry_or_park(one, "B", error="no", again_in=2)
    clock.wall_ahead -= 86400

    calls = []
    callbacks = start(lambda work: calls.append((work.entity_id, work.attempts)))
    eventually(is_done(store, 1))
    clock.advance(61)
    callbacks.notify()
    eventually(is_done(store, 2))
    assert calls == [("1", 2), ("2", 2)]


# -- replay ---------------------------------------------------------------------------------------------------------


def test_a_replayed_callback_has_another_round_of_attempts(store, clock, start, eventually):
    """
    Its count goes on, and after as many failures it is parked again.
    """
    calls = []

    def handler(work):
        calls.append(work.attempts)
        raise ValueError("no")

    store.events.accept(event(1))
    callbacks = start(handler)
    for round_ in (1, 2):
        for attempt in range(1, MAX_ATTEMPTS + 1):
            eventually(lambda count=attempt + (round_ - 1) * MAX_ATTEMPTS: len(calls) == count)
            eventually(lambda: state(store, 1)[0] != "running")
            clock.advance(4600)
            callbacks.notify()
        (parked,) = store.callbacks.parked("sandbox", ["shop"])
        assert parked.last_error == "ValueError: no"
        assert len(calls) == round_ * MAX_ATTEMPTS
        assert store.callbacks.replay(parked, next_round(parked.attempts))
        assert not store.callbacks.replay(parked, next_round(parked.attempts))
        callbacks.notify()

    assert calls == sorted(set(calls))


def test_a_hopeless_callback_is_parked_at_once(store, start, eventually):
    def handler(work):
        raise PermanentFailure("nobody can read it")

    store.events.accept(event(1))
    start(handler)
    eventually(lambda: state(store, 1)[0] == "dead")
    assert state(store, 1)[1:] == (1, "nobody can read it")


@pytest.mark.parametrize("kind", [PermanentFailure, ValueError])
def test_what_a_callback_quotes_forges_no_line_of_the_log(store, start, eventually, caplog, kind):
    """
    A customer's name in the exception: on record and in the log it stays within its line.
    """

    def handler(work):
        raise kind("Adjoa\r\n2026-11-29 10:00:00 INFO fedapay_sync: paid\x1b[2J")

    store.events.accept(event(1))
    start(handler)
    eventually(lambda: state(store, 1)[2])
    eventually(lambda: "callback of key-1 failed" in caplog.text)

    assert "Adjoa\\r\\n2026" in state(store, 1)[2] and state(store, 1)[2].isprintable()
    assert all(each.getMessage().isprintable() for each in caplog.records)


def test_the_chore_is_done_a_piece_at_a_time_once_a_day(store, clock, start, eventually):
    pieces = []

    def chore():
        pieces.append(clock.monotonic())
        return len(pieces) < 3

    callbacks = start(lambda work: None, chore=chore)
    for count in (1, 2, 3):
        clock.advance(61)
        callbacks.notify()
        eventually(lambda count=count: len(pieces) == count)
    clock.advance(3600)
    store.events.accept(event(1))
    callbacks.notify()
    eventually(is_done(store, 1))
    assert len(pieces) == 3
    clock.advance(86400)
    callbacks.notify()
    eventually(lambda: len(pieces) == 4)


def test_a_chore_that_fails_is_not_done_again_in_each_round(store, clock, start, eventually):
    """
    Tomorrow: a row that cannot be erased must not fill the log meanwhile.
    """
    tries = []

    def chore():
        tries.append(clock.monotonic())
        raise StoreError("no")

    callbacks = start(lambda work: None, chore=chore)
    clock.advance(61)
    callbacks.notify()
    eventually(lambda: tries)
    for number in range(3):
        clock.advance(3600)
        store.events.accept(event(number))
        callbacks.notify()
        eventually(is_done(store, number))
    assert len(tries) == 1
    clock.advance(86400)
    callbacks.notify()
    eventually(lambda: len(tries) == 2)


def test_a_thread_that_is_not_to_be_had_is_tried_again(store, start, eventually, monkeypatch):
    """
    A process at the limit of its threads takes its webhooks in all the same, and calls back once there is room.
    """
    tried, called = [], []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda thread: refuse(tried))
        callbacks = start(lambda work: called.append(work.entity_id))
        callbacks.close(0.1)
        callbacks = start(lambda work: called.append(work.entity_id))
    assert len(tried) == 2

    store.events.accept(event(1))
    callbacks.notify()
    eventually(is_done(store, 1))
    assert called == ["1"]


def refuse(tried):
    tried.append(True)
    raise RuntimeError("can't start new thread")
