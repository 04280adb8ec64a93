"""A wait that has ended, and whose handle the program has dropped, is freed long before its deadline."""

import gc
import weakref

import pytest
from support.stored_listens import make_known

from fedapay_sync.errors import StoreError
from fedapay_sync.workflow.reconciliation.polling_policy import Pace
from fedapay_sync.workflow.waits import notified_waiters
from fedapay_sync.workflow.waits.notified_waiters import NotifiedWaiters

NEVER = Pace(first=10_000, factor=2, longest=10_000)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """A hundred at a time, so that a test is short."""
    monkeypatch.setattr(notified_waiters, "_BATCH", 100)


def approved(number):
    entity = {"klass": "v1/transaction", "id": number, "status": "approved", "amount": 500}
    return {"name": "transaction.approved", "object": "transaction", "object_id": number, "entity": entity}


def test_waits_that_have_ended_and_whose_handles_were_dropped_are_freed(make_connector, eventually):
    """
    While those that are held, or have not ended, are all there.
    """
    shop = make_connector(pace=NEVER)
    make_known(shop._started_runtime().store, range(1000, 1302))
    waits = [weakref.ref(shop.listen(number, timeout=600)._waiter) for number in range(1000, 1300)]
    held, open_ = shop.listen(1300, timeout=600), shop.listen(1301, timeout=600)

    for number in range(1000, 1301):
        shop.save_webhook(approved(number))

    eventually(lambda: len(shop._started_runtime().waits._polled) <= 101)
    gc.collect()
    assert sum(each() is not None for each in waits) <= 100
    assert held.result(10).paid
    assert not open_.done()


def test_a_wait_that_its_own_thread_has_seen_end_is_freed_at_once(make_connector):
    """
    However few there are.
    """
    shop = make_connector(pace=NEVER)
    make_known(shop._started_runtime().store, [1000])
    wait = shop.listen(1000, timeout=600)
    waiter = weakref.ref(wait._waiter)
    shop.save_webhook(approved(1000))
    assert wait.result(10).paid

    del wait
    gc.collect()
    assert waiter() is None


class Waiting:
    """A waiter of which the store says nothing for a while."""

    def __init__(self, failures):
        self.failures, self.checked = failures, 0

    def check(self):
        self.checked += 1
        if self.checked <= self.failures:
            raise StoreError("away")


def test_what_the_store_cannot_say_now_is_asked_again_later():
    """
    Once for all of them: where a server is away, each question takes seconds.
    """
    soon = []
    told, waiters = NotifiedWaiters(soon.append), [Waiting(failures=number == 1) for number in range(100)]
    for waiter in waiters:
        told.add(waiter)
    (settle,) = soon
    settle()
    assert [each.checked for each in waiters] == [1, 1] + [0] * 98
    told.add(waiters[0])
    told.add(waiters[0])
    soon[1]()
    assert [each.checked for each in waiters] == [3, 2] + [1] * 98


def test_without_a_thread_it_is_tried_with_the_next(caplog):
    soon, tried = [], []

    def refuse_first(settle):
        tried.append(settle)
        if len(tried) == 1:
            raise RuntimeError("can't start new thread")
        soon.append(settle)

    told = NotifiedWaiters(refuse_first)
    waiters = [Waiting(failures=0) for _ in range(101)]
    for waiter in waiters:
        told.add(waiter)
    assert len(soon) == 1
