"""
Leases between machines whose clocks differ: on PostgreSQL all keep them by the server's clock.

One store believes that it is 90 s later than the other, which is more than any lease lasts. No owner is in sight of
another, as on two machines.
"""

import hashlib
import threading

import pytest
from support import claims

from fedapay_sync.common.clock import Clock
from fedapay_sync.store import NewEvent, Store
from fedapay_sync.store.postgres.clock import ServerClock

AHEAD = 90.0
LEASE = 60.0


class Machine(Clock):
    """The clocks of one machine: that on its wall is wrong by so much."""

    def __init__(self, wrong_by):
        self.wrong_by = wrong_by
        self.passed = 0.0

    def now(self):
        return super().now() + self.wrong_by + self.passed

    def monotonic(self):
        return super().monotonic() + self.passed


@pytest.fixture
def machines():
    return Machine(0.0), Machine(AHEAD)


@pytest.fixture
def stores(postgres_url, machines):
    """On the right machine, and on the one that is ahead; the second has not asked the server anything so far."""
    made = [Store(postgres_url, ServerClock(machine)) for machine in machines]
    yield made
    for store in made:
        store.close()


@pytest.fixture
def pass_time(machines):
    def pass_time(seconds):
        for machine in machines:
            machine.passed += seconds

    return pass_time


def event(number="100", **changes):
    key = f"key-{number}"
    facts = {
        "dedup_key": hashlib.sha256(key.encode()).hexdigest(), "event_key": key, "environment": "sandbox",
        "account": "shop", "name": "transaction.approved", "object": "transaction", "entity_id": str(number),
        "status": "approved", "is_final": True, "is_paid": True, "source": "webhook", "body": b"{}",
        "body_sha256": "", "received_at": 1.0,
    }  # fmt: skip
    return NewEvent(**{**facts, **changes})


def claim(store, owner, kinds=("webhook",)):
    return claims.claim(store, owner, kinds=kinds, lease=LEASE, limit=4)


def wait(store, owner, timeout=600.0):
    return store.listens.open(
        "sandbox", 100, account="shop", timeout=timeout, delete_at_deadline=False, owner=owner, lease=LEASE
    )


def restore(store, owner):
    return store.listens.acquire_abandoned(
        "sandbox", owner, LEASE, is_dead=lambda owner: False, can_watch=lambda account: True
    )


def test_a_callback_is_not_taken_from_the_machine_that_runs_it(stores, pass_time):
    """
    Neither at first sight nor after a heartbeat; when its lease has ended by the server's clock it is.
    """
    right, ahead = stores
    right.events.accept(event())
    (work,) = claim(right, "A")
    assert claim(ahead, "B") == []
    pass_time(40)
    assert right.callbacks.extend_lease(work, "A", LEASE)
    pass_time(40)
    assert claim(ahead, "B") == []
    pass_time(21)
    assert [again.attempts for again in claim(ahead, "B")] == [2]


def test_a_machine_that_is_ahead_keeps_its_own_lease_no_longer(stores, pass_time):
    """
    What it took is free again after as many seconds as everywhere.
    """
    right, ahead = stores
    ahead.events.accept(event())
    claim(ahead, "B")
    pass_time(59)
    assert claim(right, "A") == []
    pass_time(2)
    assert len(claim(right, "A")) == 1


def test_a_wait_is_not_restored_from_under_the_machine_that_watches_it(stores, pass_time):
    """
    Nor decided before its deadline, nor its end owed to a callback of restored waits.
    """
    right, ahead = stores
    wait(right, "A")
    assert restore(ahead, "B") == []
    right.listens.extend_leases("A", LEASE, {"100"})
    assert ahead.listens.begin_closing("sandbox", 100, 30.0) is None
    wait(ahead, "B", timeout=601.0)
    ahead.events.accept(event())
    assert claim(ahead, "B", kinds=["restored"]) == []


def test_a_webhook_that_is_the_first_thing_a_machine_does_owes_no_restored_wait(stores):
    """
    It has not asked the server what time it is before.
    """
    right, ahead = stores
    wait(right, "A")
    ahead.events.accept(event())
    assert claim(ahead, "B", kinds=["restored"]) == []


def test_a_decision_at_the_deadline_is_not_taken_twice(stores, pass_time):
    right, ahead = stores
    wait(right, "A", timeout=5.0)
    pass_time(6)
    assert right.listens.begin_closing("sandbox", 100, 30.0) is not None
    assert ahead.listens.begin_closing("sandbox", 100, 30.0) is None
    pass_time(31)
    assert ahead.listens.begin_closing("sandbox", 100, 30.0) is not None


def test_a_poll_and_a_reading_of_missed_events_belong_to_one_machine(stores, pass_time):
    right, ahead = stores

    def poll(store):
        return store.polls.acquire("sandbox", ["shop"], lease=30.0, beside_wait=60.0)

    def read(store):
        return store.event_catchup.begin("sandbox", ["shop"], here_for=0.0, shortest=1200.0, longest=1e6, lease=600.0)[
            1
        ]

    right.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF", poll_in=30.0)
    assert poll(ahead) is None
    pass_time(31)
    assert poll(right) is not None
    assert poll(ahead) is None
    pass_time(31)
    assert poll(ahead) is not None
    right.events.accept(event(received_at=right.clock.now() - 3600))
    assert read(right) is not None
    assert read(ahead) is None


def test_the_time_of_the_server_is_heard_with_each_transaction_and_costs_no_journey(stores, monkeypatch):
    """
    A machine that was frozen with its clocks is right again before it compares anything.
    """
    _, ahead = stores
    ahead.open()
    clock = ahead.clock
    right = clock.now()
    sent = []
    database = type(ahead.write(lambda database: database))
    execute = database.execute_sql
    monkeypatch.setattr(database, "execute_sql", lambda self, *given: sent.append(given) or execute(self, *given))
    clock._ahead -= 85.0
    assert ahead.write(lambda _: clock.now()) == pytest.approx(right, abs=10.0)
    assert len(sent) == 2
    clock._ahead -= 85.0
    assert ahead.read(lambda _: clock.now()) == pytest.approx(right, abs=10.0)
    assert len(sent) == 4


def test_an_answer_that_was_long_on_its_way_does_not_set_the_clock_back(monkeypatch):
    """
    A server that was set back does.
    """
    clock = ServerClock(Clock())
    base = clock.monotonic()
    clock.hear(base + 1000.0)
    first = clock.now() - clock.monotonic()
    clock.hear(base + 1000.0 - 0.1)
    assert clock.now() - clock.monotonic() == pytest.approx(first, abs=1e-6)
    clock.hear(base + 1002.0)
    assert clock.now() - clock.monotonic() == pytest.approx(first + 2.0, abs=0.5)
    clock.hear(base + 100.0)
    assert clock.now() - clock.monotonic() == pytest.approx(first - 900.0, abs=0.5)


def test_a_clock_that_is_handed_in_rules_as_in_a_file(postgres_url):
    """
    What a test sets stays set.
    """

    class Held(Clock):
        def now(self):
            return 1_700_000_000.0

    store = Store(postgres_url, Held())
    store.open()
    assert store.write(lambda _: store.clock.now()) == 1_700_000_000.0
    store.close()


def test_processes_that_hear_the_server_at_once_agree(postgres_url):
    """
    Each in its own transaction, one after the other: the times are in the order of the commits.
    """
    stores = [Store(postgres_url, ServerClock(Machine(wrong))) for wrong in (-AHEAD, 0.0, AHEAD, 3600.0)]
    for store in stores:
        store.open()
    times, lock = [], threading.Lock()

    def note(store):
        def work(_):
            with lock:
                times.append(store.clock.now())

        for _ in range(20):
            store.write(work)

    threads = [threading.Thread(target=note, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(times) == 80
    assert all(later > earlier - 0.3 for earlier, later in zip(times, times[1:]))
    for store in stores:
        store.close()
