"""Callbacks that never return: named in the log once no thread is left, each minute, until one is free."""

import functools
import hashlib
import logging
import queue
import re
import threading

import pytest
from support.callback_work import CONFIG
from support.claims import named

from fedapay_sync.common.clock import Clock
from fedapay_sync.store import NewEvent
from fedapay_sync.workflow.callbacks.program_code import name_of, place_of
from fedapay_sync.workflow.callbacks.taken_threads import TAKEN_TIMEOUT, TELL_INTERVAL, TakenThreads
from fedapay_sync.workflow.callbacks.worker import CONCURRENCY, CallbackWorker
from fedapay_sync.workflow.context import Context


class StillClock(Clock):
    """It moves when it is told to."""

    time = 0.0

    def monotonic(self):
        return self.time


@pytest.fixture
def still():
    return StillClock()


@pytest.fixture
def said(caplog):
    """What was logged since the last look."""

    def said():
        records = [(record.levelno, record.getMessage()) for record in caplog.records]
        caplog.clear()
        return records

    return said


def pay(event):
    """Never called: it stands for a function that runs."""


def test_nothing_is_said_while_a_thread_is_free_or_was_a_moment_ago(still, said):
    taken = TakenThreads(still, 2, "callbacks")
    taken.begin(1, pay, "key-1")
    still.time = 1000.0
    taken.look()
    taken.begin(2, pay, "key-2")
    still.time += TAKEN_TIMEOUT - 0.1
    taken.look()
    taken.end(1)
    taken.begin(3, pay, "key-3")
    still.time += TAKEN_TIMEOUT - 0.1
    taken.look()

    assert said() == []


def test_all_are_named_then_each_minute_then_it_is_said_that_they_are_free(still, said):
    taken = TakenThreads(still, 2, "callbacks")
    taken.begin(1, pay, "key-1")
    still.time = 30.0
    taken.begin(2, pay, "key-2")
    still.time += TAKEN_TIMEOUT
    taken.look()
    ((level, text),) = said()

    assert level == logging.ERROR and "all 2 threads for callbacks are taken" in text
    assert (
        f"{__name__}.pay for key-1, running for 35 s" in text and f"{__name__}.pay for key-2, running for 5 s" in text
    )

    for seconds in (1.0, TELL_INTERVAL - 2.0):
        still.time += seconds
        taken.look()
    assert said() == []
    still.time += 1.0
    taken.look()
    assert ["for 95 s" in text for _, text in said()] == [True]

    taken.end(1)
    taken.look()
    taken.look()
    assert said() == [(logging.WARNING, "threads for callbacks are free again")]


def test_slow_functions_that_come_and_go_are_told_of_once_a_minute_at_most(still, said):
    taken = TakenThreads(still, 1, "callbacks")
    for number in range(100):
        taken.begin(number, pay, f"key-{number}")
        still.time += TAKEN_TIMEOUT
        taken.look()
        taken.end(number)
        taken.look()
    levels = [level for level, _ in said()]

    assert levels == [logging.ERROR, logging.WARNING] * len(range(0, 500, int(TELL_INTERVAL)))


def test_where_the_system_gives_fewer_threads_those_that_wait_for_one_count(still, said):
    taken = TakenThreads(still, 4, "callbacks")
    taken.begin(1, pay, "key-1")
    still.time = TAKEN_TIMEOUT
    taken.look(waiting=2)
    assert said() == []
    taken.look(waiting=3)
    assert len(said()) == 1


class Shop:
    def deliver(self, event):
        """Never called."""

    def __call__(self, event):
        """Never called."""


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (pay, "pay"),
        (Shop().deliver, "Shop.deliver"),
        (Shop(), "Shop"),
        (functools.partial(functools.partial(pay), 5), "pay"),
        (functools.wraps(pay)(lambda event: None), "pay"),
    ],
    ids=["function", "method", "object", "partial", "wrapped"],
)
def test_a_function_is_named_as_its_author_would(function, name):
    assert name_of(function) == f"{__name__}.{name}"


class Nameless:
    def __getattr__(self, name):
        raise RuntimeError("no name")


def test_what_has_no_name_or_place_of_the_program_costs_no_line_of_the_log():
    assert name_of(len) == "builtins.len"
    assert name_of(Nameless()) == "(a function whose name raises RuntimeError)"
    assert place_of(-1) == "no line of the program"


def accept(store, number):
    store.events.accept(
        NewEvent(
            dedup_key=hashlib.sha256(str(number).encode()).hexdigest(), event_key=f"key-{number}",
            environment="sandbox", account="shop", name="transaction.approved", object="transaction",
            entity_id=str(number), status="approved", is_final=True, is_paid=True, source="webhook", body=b"{}",
            body_sha256="", received_at=1.0,
        )
    )  # fmt: skip


def test_callbacks_that_never_return_are_named_with_the_line_they_stand_at(store, clock, eventually, caplog):
    """
    In the midst of a library they stand at the line of the program. Once one has returned, the others are called.
    """
    jobs, running, called = queue.Queue(), threading.Semaphore(0), []

    def hang(event):
        called.append(event.event_key)
        running.release() or jobs.get()

    line = hang.__code__.co_firstlineno + 2
    for number in range(CONCURRENCY + 1):
        accept(store, number)
    worker = CallbackWorker(Context(CONFIG, store, clock, "A"))
    worker.set(named(lambda event: hang(event))._replace(function=lambda: hang))
    worker.notify()
    try:
        for _ in range(CONCURRENCY):
            assert running.acquire(timeout=20)
        # Here and not while they begin: each has its own beginning.
        clock.advance(TAKEN_TIMEOUT)
        worker.notify()
        eventually(lambda: "are taken" in caplog.text)
        (text,) = [record.getMessage() for record in caplog.records if "are taken" in record.getMessage()]
        shown = re.findall(r"([\w.<>]+) for (key-\d), running for (\d+) s, at (\S+:\d+)", text)

        assert [each[0].rpartition(".")[2] for each in shown] == ["hang"] * CONCURRENCY
        assert {each[1] for each in shown} == set(called)
        assert all(int(each[2]) >= TAKEN_TIMEOUT for each in shown)
        assert {each[3] for each in shown} == {f"{__file__}:{line}"}

        jobs.put(None)
        eventually(lambda: "are free again" in caplog.text)
        assert running.acquire(timeout=20)
        assert len(called) == CONCURRENCY + 1
    finally:
        for _ in range(CONCURRENCY + 1):
            jobs.put(None)
        assert worker.close(20)


def test_a_function_of_a_library_that_never_returns_is_named_with_its_own_line(store, clock, eventually, caplog):
    """
    A method of a queue, for example, is set as a callback: there is no line of the program.
    """
    full = queue.Queue(maxsize=1)
    full.put(None)
    for number in range(CONCURRENCY):
        accept(store, number)
    worker = CallbackWorker(Context(CONFIG, store, clock, "A"))
    worker.set(named(full.put))
    worker.notify()
    try:
        calls = worker._calls._calls
        eventually(lambda: sum(queue.__file__ in place_of(each.thread) for each in [*calls.values()]) == CONCURRENCY)
        clock.advance(TAKEN_TIMEOUT)
        worker.notify()
        eventually(lambda: "are taken" in caplog.text)
        assert caplog.text.count("queue.Queue.put for key-") == CONCURRENCY
        assert len(re.findall(rf"at {re.escape(queue.__file__)}:\d+", caplog.text)) == CONCURRENCY
    finally:
        for _ in range(CONCURRENCY + 1):
            full.get(timeout=20)
        assert worker.close(20)
