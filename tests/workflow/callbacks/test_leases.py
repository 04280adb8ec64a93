"""
Leases on callbacks: a process that stood still does not call what another may have called, and a loss is told only
where there is one.
"""

import hashlib
import threading

import pytest
from support.callback_work import CONFIG
from support.claims import claim, named

from fedapay_sync.errors import StoreError
from fedapay_sync.store import NewEvent
from fedapay_sync.workflow.callbacks.ends import CallbackEnds, Failure
from fedapay_sync.workflow.callbacks.leases import CallbackLeases, HeldWork
from fedapay_sync.workflow.callbacks.worker import CallbackWorker
from fedapay_sync.workflow.context import Context

LEASE = 60.0


@pytest.fixture
def taken(store):
    """An event that owner A has acquired."""
    key = "key-1"
    store.events.accept(
        NewEvent(
            dedup_key=hashlib.sha256(key.encode()).hexdigest(), event_key=key, environment="sandbox", account="shop",
            name="transaction.approved", object="transaction", entity_id="1", status="approved", is_final=True,
            is_paid=True, source="webhook", body=b"{}", body_sha256="", received_at=1.0,
        )
    )  # fmt: skip
    (work,) = acquire(store, "A")
    return work


@pytest.fixture
def leases(store, clock):
    return CallbackLeases(context(store, clock), LEASE)


def context(store, clock, owner="A"):
    return Context(CONFIG, store, clock, owner)


def acquire(store, owner):
    return claim(store, owner, lease=LEASE, limit=1)


def refuse_changes(store):
    refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON fp_call BEGIN SELECT RAISE(ABORT, 'refused here'); END"
    store.write(lambda database: database.execute_sql(refuse))


# -- before a callback --------------------------------------------------------------------------------------------


def test_in_time_the_store_is_not_asked(store, leases, taken):
    held = HeldWork(taken, leases.end())
    store.close()
    store.path.unlink()
    assert leases.is_ours(held)


@pytest.mark.parametrize("which", ["ahead", "wall_ahead"])
def test_late_and_taken_by_another_it_is_not_ours(store, leases, taken, clock, caplog, which):
    """
    A process that was stopped sees it on both clocks, a machine that slept perhaps on its wall clock only.
    """
    held = HeldWork(taken, leases.end())
    setattr(clock, which, LEASE + 1)
    assert [work.attempts for work in acquire(store, "B")] == [2]
    assert not leases.is_ours(held)
    assert "taken by another process" in caplog.text


def test_late_and_taken_by_no_other_it_is_ours_again(store, leases, taken, clock):
    """
    For another lease: nobody takes it while its callback runs.
    """
    held = HeldWork(taken, leases.end())
    clock.advance(LEASE + 1)
    assert leases.is_ours(held)
    assert acquire(store, "B") == []
    clock.advance(LEASE - 1)
    assert leases.is_ours(held)


def test_late_and_the_store_away_it_is_not_called(store, leases, taken, clock, caplog):
    held = HeldWork(taken, leases.end())
    clock.advance(LEASE + 1)
    refuse_changes(store)
    assert not leases.is_ours(held)
    assert "not calling back" in caplog.text


class StandsStill(CallbackWorker):
    """A worker whose process stands still between the acquisition of an event and its callback."""

    def __init__(self, *given, meanwhile, **changes):
        super().__init__(*given, **changes)
        self.meanwhile = meanwhile

    def _submit(self, held):
        self.meanwhile()
        super()._submit(held)


def test_a_process_that_stood_still_does_not_call_what_another_has_called(store, clock, taken, eventually):
    """
    It goes on with what is owed next.
    """
    calls, frozen = [], []
    store.callbacks.retry_or_park(taken, "A", error="no", again_in=0)

    def meanwhile():
        if not frozen:
            frozen.append(True)
            clock.advance(LEASE + 1)
            (work,) = acquire(store, "B")
            calls.append(f"B {work.attempts}")
            store.callbacks.mark_done(work, "B")

    worker = StandsStill(context(store, clock), meanwhile=meanwhile)
    worker.set(named(lambda work: calls.append("A")))
    worker.notify()
    eventually(lambda: calls)
    eventually(worker.is_idle)
    assert calls == ["B 3"]
    worker.close(5)


# -- what is said of a loss ---------------------------------------------------------------------------------------


def test_an_end_that_was_stored_just_before_the_heartbeat_is_no_loss(store, leases, taken, caplog):
    """
    Under load that happens all the time, and nothing runs twice.
    """
    held = HeldWork(taken, leases.end())
    store.callbacks.mark_done(taken, "A")
    leases.extend(held)
    assert not held.lost and caplog.text == ""


def test_an_end_that_was_stored_while_its_answer_was_lost_is_no_loss(store, clock, taken, caplog):
    ends = CallbackEnds(context(store, clock))
    ends.record(taken, None)
    ends.record(taken, None)
    assert caplog.text == ""


@pytest.mark.parametrize("is_done", [False, True])
def test_a_callback_that_another_has_taken_is_told_once(store, leases, taken, clock, caplog, is_done):
    """
    Whether the other is still at it or not; at the end it is said once more, that it ran twice.
    """
    held = HeldWork(taken, leases.end())
    clock.advance(LEASE + 1)
    (again,) = acquire(store, "B")
    if is_done:
        store.callbacks.mark_done(again, "B")
    for _ in range(3):
        leases.extend(held)
    assert held.lost and caplog.text.count("taken by another process") == 1
    for failure in (None, Failure("ValueError: no", permanent=False)):
        caplog.clear()
        CallbackEnds(context(store, clock)).record(taken, failure)
        assert caplog.text.count("it ran twice") == 1 and "again in" not in caplog.text


def test_many_short_callbacks_under_a_fast_heartbeat_raise_no_alarm(store, clock, eventually, caplog):
    """
    Ends and heartbeats cross each other here; no event is called twice.
    """
    calls, number = [], 150
    for each in range(number):
        key = f"many-{each}"
        store.events.accept(
            NewEvent(
                dedup_key=hashlib.sha256(key.encode()).hexdigest(), event_key=key, environment="sandbox",
                account="shop", name="transaction.approved", object="transaction", entity_id=key, status="approved",
                is_final=True, is_paid=True, source="webhook", body=b"{}", body_sha256="", received_at=1.0,
            )
        )  # fmt: skip
    worker = CallbackWorker(context(store, clock), lease=0.5)
    worker.set(named(lambda work: calls.append(work.event_key)))
    beating, stop = threading.Thread(target=lambda: beat(worker, stop)), threading.Event()
    worker.notify()
    beating.start()
    eventually(lambda: len(calls) >= number, timeout=30)
    eventually(worker.is_idle)
    stop.set()
    beating.join(10)
    worker.close(5)
    assert sorted(calls) == sorted({f"many-{each}" for each in range(number)})
    assert "taken by another" not in caplog.text


def beat(worker, stop):
    while not stop.is_set():
        worker._leases.extend_all(worker.held.all())


def test_a_lease_that_cannot_be_extended_does_not_keep_the_others_from_being(store, leases, taken, caplog):
    held = HeldWork(taken, leases.end())
    refuse_changes(store)
    leases.extend(held)
    leases.extend(held)
    assert held.lost and caplog.text.count("cannot be extended") == 1


def test_a_database_that_is_away_is_no_loss(store, leases, taken):
    held = HeldWork(taken, leases.end())
    store.path.rename(store.path.with_name("away.db"))
    with pytest.raises(StoreError):
        leases.extend(held)
    assert not held.lost
