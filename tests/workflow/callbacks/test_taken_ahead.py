"""
What a webhook brings is taken as it is stored, as much as the threads will soon come to; the rest is for others.
"""

import threading

import pytest
from support.callback_work import CONFIG, take
from support.claims import named, state, states

from fedapay_sync.concurrency.thread_pool import DaemonThreadPool
from fedapay_sync.errors import StoreError
from fedapay_sync.workflow.callbacks.prefetch import Prefetch
from fedapay_sync.workflow.callbacks.worker import CONCURRENCY, CallbackWorker
from fedapay_sync.workflow.context import Context

MOST = 32


@pytest.fixture
def start(store, clock):
    """Processes that have the callback; what hangs is let go at the end."""
    made, release = [], threading.Event()

    def start(handler, owner):
        worker = CallbackWorker(Context(CONFIG, store, clock, owner))
        worker.set(named(handler))
        worker.start()
        made.append(worker)
        return worker

    start.release = release
    yield start
    release.set()
    for worker in made:
        worker.close(5)


def receive(store, worker, number):
    """As the inbox does; whether its call was taken at once."""
    taken = take(store, worker, number)
    if taken is None:
        worker.notify()
    else:
        worker.begin(taken)
    return bool(taken)


def is_done(store, *numbers):
    return lambda: all(state(store, number)[0] == "done" for number in numbers)


def is_ready(worker):
    """It has told the database of its callback; before that, nothing is taken with an event."""
    return lambda: worker.names.told()


def test_no_more_is_taken_than_there_are_threads_while_nothing_is_known_of_the_callbacks(store, start, eventually):
    """
    The rest is called when a thread is free, in the order in which it came.
    """
    called = []

    def hang(work):
        called.append(int(work.entity_id))
        start.release.wait(30)

    worker = start(hang, "A")
    eventually(is_ready(worker))
    taken = [receive(store, worker, number) for number in range(CONCURRENCY + 3)]

    assert taken == [True] * CONCURRENCY + [False] * 3
    start.release.set()
    eventually(is_done(store, *range(CONCURRENCY + 3)))
    assert sorted(called) == list(range(CONCURRENCY + 3))


def test_quick_callbacks_are_taken_ahead_and_given_to_others_when_their_threads_hang(store, start, eventually, clock):
    """
    Each is called once, and what waited was no attempt.
    """
    where, hang = [], threading.Event()

    def handler(name):
        def call(work):
            where.append((name, int(work.entity_id), work.attempts))
            if hang.is_set() and name == "A":
                start.release.wait(30)

        return call

    first = start(handler("A"), "A")
    eventually(is_ready(first))
    receive(store, first, 0)
    eventually(is_done(store, 0))
    hang.set()
    numbers = range(1, CONCURRENCY + 9)
    assert all(receive(store, first, number) for number in numbers)
    eventually(lambda: len(where) == 1 + CONCURRENCY)

    start(handler("B"), "B")
    clock.advance(3)
    first.notify()
    eventually(lambda: sum(name == "B" for name, _, _ in where) == len(numbers) - CONCURRENCY)
    start.release.set()
    eventually(is_done(store, *numbers))
    assert sorted(number for _, number, _ in where) == [0, *numbers]
    assert {attempts for _, _, attempts in where} == {1}


def test_what_waits_for_a_thread_at_the_closing_is_for_others(store, start, eventually):
    """
    At once, and not when the lease ends.
    """
    hang = threading.Event()
    worker = start(lambda work: hang.is_set() and start.release.wait(30), "A")
    eventually(is_ready(worker))
    receive(store, worker, 0)
    eventually(is_done(store, 0))
    hang.set()
    for number in range(1, CONCURRENCY + 4):
        assert receive(store, worker, number)
    eventually(lambda: sum(each.has_begun for each in worker.held.all()) == CONCURRENCY)

    assert not worker.close(0.05)

    assert sorted(each[1] for each in states(store)[1:]) == ["ready"] * 3 + ["running"] * CONCURRENCY


def test_as_much_is_taken_ahead_as_the_threads_come_to_in_a_tenth_of_a_second():
    prefetch = Prefetch(4)
    assert prefetch.limit == 4
    for _ in range(50):
        prefetch.add(0.02)
    assert prefetch.limit == 4 + 20
    for _ in range(50):
        prefetch.add(0.0)
    assert prefetch.limit == MOST
    prefetch.add(1.0)
    assert prefetch.limit == 4
    for _ in range(50):
        prefetch.add(0.001)
    assert prefetch.limit == MOST


def test_where_no_thread_is_to_be_had_the_webhook_is_answered_and_the_call_tried_later(
    store, start, eventually, clock, monkeypatch, caplog
):
    """
    Also where the store is away just then: at the end of the lease, which it has taken already.
    """
    worker = start(lambda work: None, "A")
    eventually(is_ready(worker))
    with monkeypatch.context() as patch:
        patch.setattr(DaemonThreadPool, "submit", refuse)
        assert receive(store, worker, 1)
        patch.setattr(store.callbacks, "release", away)
        assert receive(store, worker, 2)
    assert [each[1:] for each in states(store)] == [
        ("ready", 0, "no thread: can't start new thread"), ("running", 1, None)
    ]  # fmt: skip
    assert "is not given back" in caplog.text

    clock.advance(61)
    worker.notify()
    eventually(is_done(store, 1, 2))


def refuse(*_):
    raise RuntimeError("can't start new thread")


def away(*_, **__):
    raise StoreError("away")
