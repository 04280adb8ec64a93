"""What is taken with an event and does not begin is called all the same, here or elsewhere; an end is never lost."""

import threading

import pytest
from support.callback_work import CONFIG, event, take
from support.claims import named, state

from fedapay_sync.errors import ConfigError, StoreError
from fedapay_sync.workflow.callbacks.held_works import HeldWorks
from fedapay_sync.workflow.callbacks.leases import HeldWork
from fedapay_sync.workflow.callbacks.worker import CallbackWorker
from fedapay_sync.workflow.context import Context


@pytest.fixture
def make_worker(store, clock):
    made = []

    def make(handler, **settings):
        worker = CallbackWorker(Context(CONFIG, store, clock, "A"), **settings)
        worker.set(named(handler))
        made.append(worker)
        return worker

    yield make
    for worker in made:
        worker.close(5)


@pytest.fixture
def called():
    return []


@pytest.fixture
def ready(make_worker, called, eventually):
    """A worker that has told the database of its callback, and takes what comes."""
    worker = make_worker(lambda work: called.append(work.entity_id))
    worker.start()
    eventually(worker.names.told)
    return worker


def test_what_is_stored_while_the_worker_closes_is_left_to_others(store, ready, called):
    taken = take(store, ready, 1, meanwhile=lambda: ready.close(5))
    ready.begin(taken)
    assert state(store, 1)[:2] == ("ready", 0)
    assert called == []


def test_neither_is_what_is_taken_lost_where_the_threads_have_ended_in_between(store, ready, called, monkeypatch):
    """
    The worker closes just after it was found to be open.
    """
    told = ready.names.told

    def told_and_closed():
        found = told()
        ready.close(5)
        return found

    monkeypatch.setattr(ready.names, "told", told_and_closed)
    taken = take(store, ready, 1)
    if taken is not None:
        ready.begin(taken)
    assert state(store, 1)[:2] == ("ready", 0)
    assert ready.is_idle()


def test_what_did_not_begin_inline_is_called_with_the_next_event(store, make_worker, called, clock):
    """
    Ctrl-C came between the two.
    """
    worker = make_worker(lambda work: called.append(work.entity_id), inline=True)
    worker.notify()
    assert len(take(store, worker, 1)) == 1

    clock.advance(3)
    worker.notify()

    assert called == ["1"] and state(store, 1)[:2] == ("done", 1)
    assert worker.is_idle()


def test_what_was_called_in_the_thread_of_the_caller_has_its_end_on_disk_when_that_returns(store, make_worker, called):
    """
    A script of cron may end just then.
    """
    worker = make_worker(lambda work: called.append(work.entity_id), left=True)
    for number in range(5):
        store.events.accept(event(number))
        assert worker.inline.run(10) == 1
        assert state(store, number)[0] == "done"


def test_a_webhook_is_answered_where_the_system_has_no_thread_and_the_database_goes_away(store, ready, monkeypatch):
    """
    It is stored; its call is made once the lease has ended.
    """

    def refuse(action):
        raise RuntimeError("can't start new thread")

    def away(*_, **__):
        raise StoreError("away")

    taken = take(store, ready, 1)
    monkeypatch.setattr(ready._pool, "submit", refuse)
    monkeypatch.setattr(store.callbacks, "retry_or_park", away)
    ready.begin(taken)
    assert ready.is_idle()


@pytest.mark.parametrize("error", [StoreError("away"), ConfigError("the folder is gone")])
def test_an_end_that_cannot_be_handed_in_is_told_again(store, ready, called, monkeypatch, eventually, error):
    handed_in = threading.Event()

    def refuse(*_, **__):
        handed_in.set()
        raise error

    monkeypatch.setattr(store.callbacks, "mark_done_soon", refuse)
    ready.begin(take(store, ready, 1))
    assert handed_in.wait(10)
    eventually(lambda: state(store, 1)[0] == "done", 5)
    eventually(ready.is_idle, 5)
    assert called == ["1"]


def test_a_slow_callback_beside_what_has_just_come_is_not_told_as_all_threads_taken(
    store, make_worker, clock, caplog, eventually
):
    """
    The other threads come to it in a moment.
    """
    hang, begun = threading.Event(), threading.Event()

    def handler(work):
        if work.entity_id == "slow":
            begun.set()
            hang.wait(30)

    worker = make_worker(handler)
    worker.start()
    eventually(worker.names.told)
    worker.begin(take(store, worker, "quick"))
    eventually(lambda: state(store, "quick")[0] == "done")
    worker.begin(take(store, worker, "slow"))
    assert begun.wait(10)
    clock.advance(6)
    held = [each for number in range(3) for each in take(store, worker, number)]
    looked = worker._calls.look
    done = threading.Event()
    worker._calls.look = lambda waiting=0: (looked(waiting=waiting), done.set())
    worker.notify()
    assert done.wait(10)
    worker.begin(held)
    hang.set()
    assert "are taken" not in caplog.text


class Interrupted(dict):
    """Ctrl-C comes as the first is taken out of it."""

    is_over = False

    def pop(self, *arguments):
        if not self.is_over:
            self.is_over = True
            raise KeyboardInterrupt
        return super().pop(*arguments)


def test_what_has_ended_is_forgotten_also_where_ctrl_c_comes_just_then(store, ready):
    """
    Held for ever, it would keep its room, and a connector from closing.
    """
    held = HeldWorks(4)
    held._held = Interrupted()
    (taken,) = take(store, ready, 1)
    work = taken.work
    ready.begin([taken])
    held.add([HeldWork(work, (0.0, 0.0))])
    held.forget_soon(work)
    with pytest.raises(KeyboardInterrupt):
        len(held)
    assert not held and held.room == 4


def test_after_ctrl_c_as_they_begin_callbacks_run_inline_again(store, make_worker, called):
    worker = make_worker(lambda work: called.append(work.entity_id), inline=True)

    class Threads(set):
        def add(self, thread):
            super().add(thread)
            self.add = super().add
            raise KeyboardInterrupt

    worker.inline.threads = Threads()
    store.events.accept(event(1))
    with pytest.raises(KeyboardInterrupt):
        worker.notify()
    worker.notify()
    assert called == ["1"]
