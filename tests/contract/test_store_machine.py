"""
The store under any order of deliveries, claims, crashes and hours, as reliability.md 12.2 describes it.
"""

import hashlib
import itertools
import uuid
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fedapay_sync.clock import Clock
from fedapay_sync.store import NewEvent, Store

LEASE = 60.0
OWNERS = st.sampled_from(["A", "B"])


class HeldClock(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.seconds = 1_000_000.0

    def now(self):
        return self.seconds

    def monotonic(self):
        return self.seconds


class Deliveries(RuleBasedStateMachine):
    """Two processes on one database, each with its own store; a model beside them."""

    def __init__(self, new_url):
        super().__init__()
        self.new_url = new_url

    @initialize()
    def begin(self):
        self.clock = HeldClock()
        self.url = self.new_url()
        self.stores = {owner: Store(self.url, self.clock) for owner in "AB"}
        self.accepted = set()
        self.effects = Counter()
        self.crashes_after_effect = Counter()
        # What each process holds: event key → (work, lease end).
        self.held = {"A": {}, "B": {}}
        self.done = set()
        self.resolved = set()

    @rule(who=OWNERS, entity=st.integers(1, 4), status=st.sampled_from(["approved", "declined", "updated", "deleted"]),
          stamp=st.integers(1, 3))  # fmt: skip
    def deliver(self, who, entity, status, stamp):
        key = f"{entity}:{status}" + ("" if status in ("approved", "deleted") else f":{stamp}")
        event = NewEvent(
            dedup_key=hashlib.sha256(key.encode()).hexdigest(), event_key=key, environment="sandbox", account="shop",
            name=f"transaction.{status}", object="transaction", entity_id=str(entity), status=status,
            is_final=status != "updated", is_paid=status == "approved", source="webhook", body=b"{}", body_sha256="",
            received_at=self.clock.now(),
        )  # fmt: skip
        assert self.stores[who].accept(event).new is (key not in self.accepted)
        self.accepted.add(key)

    @rule(who=OWNERS, entity=st.integers(1, 4), timeout=st.sampled_from([5.0, 200.0]))
    def wait(self, who, entity, timeout):
        self.stores[who].open_listen(
            "sandbox", entity, account="shop", timeout=timeout, delete_at_deadline=False, owner=who, lease=LEASE
        )

    @rule(who=OWNERS, entity=st.integers(1, 4), state=st.sampled_from(["timed_out", "unknown"]))
    def deadline(self, who, entity, state):
        if self.stores[who].begin_closing("sandbox", entity, LEASE) is not None:
            self.stores[who].end_listen("sandbox", entity, state)

    @rule(who=OWNERS, limit=st.integers(1, 3))
    def claim(self, who, limit):
        now = self.clock.now()
        for work in self.stores[who].claim(
            who, environment="sandbox", accounts=["shop"], kinds=["webhook"], lease=LEASE, limit=limit,
            busy=[work.id for work, _ in self.held[who].values()],
        ):  # fmt: skip
            key = work.event_key
            for other in self.held.values():
                assert key not in other or other[key][1] <= now, "two live owners"
            assert key not in self.done, "done work came again"
            self.held[who][key] = (work, now + LEASE)

    @precondition(lambda self: any(self.held.values()))
    @rule(who=OWNERS)
    def finish(self, who):
        """The callback runs and its end is stored, whoever holds the lease by now."""
        for key in list(self.held[who])[:1]:
            self._finish(who, key)

    @precondition(lambda self: any(self.held.values()))
    @rule(who=OWNERS)
    def a_loser_tries_to_finish(self, who):
        """Its leases ended, the other has the work by now, and only then does its callback return."""
        other = "B" if who == "A" else "A"
        self.tick(LEASE + 1)
        self.claim(other, 100)
        for key in list(self.held[who]):
            self._finish(who, key)

    def _finish(self, who, key):
        work, lease_end = self.held[who].pop(key)
        self.effects[key] += 1
        mine = self.stores[who].finish(work, who)
        taken_over = any(key in other and other[key][0].attempts > work.attempts for other in self.held.values())
        if taken_over or key in self.done:
            assert not mine, "a loser finished the winner's row"
        if mine:
            self.done.add(key)
        else:
            assert lease_end <= self.clock.now(), "a live lease was lost"
            self.crashes_after_effect[key] += 1

    @precondition(lambda self: any(self.held.values()))
    @rule(who=OWNERS)
    def crash_before_the_effect(self, who):
        self._crash(who)

    @precondition(lambda self: any(self.held.values()))
    @rule(who=OWNERS)
    def crash_after_the_effect(self, who):
        for key in self.held[who]:
            self.effects[key] += 1
            self.crashes_after_effect[key] += 1
        self._crash(who)

    def _crash(self, who):
        self.held[who].clear()
        self.stores[who].close()
        self.stores[who] = Store(self.url, self.clock)

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0]))
    def tick(self, seconds):
        self.clock.seconds += seconds

    @invariant()
    def effects_are_few(self):
        for key, count in self.effects.items():
            assert count <= 1 + self.crashes_after_effect[key], f"{key} ran {count} times"

    @invariant()
    def a_listen_leaves_resolved_never(self):
        now = {e for e in range(1, 5) if (found := self.stores["A"].listen("sandbox", e)) and found.state == "resolved"}
        assert self.resolved <= now
        self.resolved = now

    def teardown(self):
        if not hasattr(self, "stores"):
            return
        try:
            self._all_that_was_accepted_ran()
        finally:
            for store in self.stores.values():
                store.close()

    def _all_that_was_accepted_ran(self):
        for _ in range(len(self.accepted) + 1):
            self.clock.seconds += LEASE + 1
            for who in "AB":
                self.claim(who, 100)
                while self.held[who]:
                    self.finish(who)
        assert self.accepted == self.done == {key for key, count in self.effects.items() if count}


SETTINGS = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_any_order_of_things_on_a_file(tmp_path):
    """
    Every accepted key ran, none had two live owners, none ran again without a crash after its effect.
    """
    names = (f"sqlite:///{tmp_path}/{number}.db" for number in itertools.count())
    run_state_machine_as_test(lambda: Deliveries(lambda: next(names)), settings=SETTINGS)


def test_any_order_of_things_on_a_server(postgres_server):
    """
    The same on PostgreSQL, fewer of them: each statement is a way there and back.
    """
    run_state_machine_as_test(
        lambda: Deliveries(lambda: postgres_server.schema_url(f"t{uuid.uuid4().hex}")),
        settings=settings(SETTINGS, max_examples=25),
    )
