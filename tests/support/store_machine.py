"""
Two processes on one database, each with its own store, and anything that may happen to them, in any order.

Run as a program it tries the machine on SQLite files in a folder, and ends with the assertion that failed, if one did.
"""

import hashlib
import itertools
import sys
from collections import Counter

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.claims import claim

from fedapay_sync.common.clock import Clock
from fedapay_sync.store import NewEvent, Store

LEASE = 60.0
OWNERS = st.sampled_from(["A", "B"])
ENTITIES = st.integers(1, 4)
OPEN = ("pending", "closing", "unknown")

SETTINGS = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
#: As many as reliability.md 12.2 asks for.
LONG = settings(SETTINGS, max_examples=300, stateful_step_count=50)


class HeldClock(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.seconds = 1_000_000.0

    def now(self):
        return self.seconds

    def monotonic(self):
        return self.seconds


class Deliveries(RuleBasedStateMachine):
    """What the stores did, beside what they promised."""

    def __init__(self, new_url):
        super().__init__()
        self.new_url = new_url

    @initialize()
    def begin(self):
        self.clock = HeldClock()
        self.url = self.new_url()
        self.stores = {owner: Store(self.url, self.clock) for owner in "AB"}
        # Event key → whether that event is final.
        self.accepted = {}
        self.deliveries = []
        self.effects = Counter()
        #: Why a callback may run once more: its process died before it said how it ended, or it failed.
        self.excuses = Counter()
        # What each process works on: event key → (work, end of the lease).
        self.held = {"A": {}, "B": {}}
        self.done = set()
        self.resolved = set()
        # Entities whose wait was looked at or changed in this step; the others stand where they stood.
        self.touched = set()
        # Decisions at the deadline that are being taken: entity → (by whom, end of the lease).
        self.deciding = {}
        # Waits that were restored: entity → (by whom, end of the lease); and of whom one end is owed.
        self.adopted = {}
        self.owed = set()

    # -- facts and waits ----------------------------------------------------------------------------------------

    @rule(
        who=OWNERS,
        entity=ENTITIES,
        status=st.sampled_from(["updated", "declined", "approved", "deleted"]),
        stamp=st.integers(1, 3),
    )
    def deliver(self, who, entity, status, stamp):
        key = f"{entity}:{status}" + ("" if status in ("approved", "deleted") else f":{stamp}")
        is_final = status != "updated"
        event = NewEvent(
            dedup_key=hashlib.sha256(key.encode()).hexdigest(), event_key=key, environment="sandbox", account="shop",
            name=f"transaction.{status}", object="transaction", entity_id=str(entity), status=status,
            is_final=is_final, is_paid=status == "approved", source="webhook", body=b"{}", body_sha256="",
            received_at=self.clock.now(),
        )  # fmt: skip
        before = self._state(entity)
        answer = self.stores[who].events.accept(event)
        assert answer.new is (key not in self.accepted), "an event is new once"
        assert answer.late is (answer.new and is_final and before in ("timed_out", "cancelled")), (
            "late is what comes after the end"
        )
        # The deletion that is told while a process decides at the deadline is that process's own.
        own = answer.new and before == "closing" and status == "deleted"
        if is_final and before in OPEN and not own:
            assert self._state(entity) == "resolved", "a final event left a wait open"
        self.accepted[key] = is_final
        self.deliveries.append((entity, status, stamp))

    @precondition(lambda self: self.deliveries)
    @rule(who=OWNERS, data=st.data())
    def deliver_again(self, who, data):
        """FedaPay repeats what it has no answer to."""
        self.deliver(who, *data.draw(st.sampled_from(self.deliveries)))

    @rule(who=OWNERS, entity=ENTITIES, timeout=st.sampled_from([5.0, 200.0]))
    def wait(self, who, entity, timeout):
        before = self._listen(entity)
        after = self.stores[who].listens.open(
            "sandbox", entity, account="shop", timeout=timeout, delete_at_deadline=False, owner=who, lease=LEASE
        )
        assert (after.state == "resolved") is self._has_final(entity), "a wait ends at once where the end is known"
        if after.is_open:
            asked = self.clock.now() + timeout
            was_open = before is not None and before.is_open
            assert after.deadline == (max(asked, before.deadline) if was_open else asked), "a wait shortened another"
            if after.state == "pending":
                # It goes on for longer, or anew: the process that was deciding has nothing to decide any more.
                self.deciding.pop(entity, None)

    @rule(who=OWNERS, entity=ENTITIES)
    def begin_deadline(self, who, entity):
        before = self._listen(entity)
        taken = self.stores[who].listens.begin_closing("sandbox", entity, LEASE)
        now = self.clock.now()
        if taken is None:
            is_due = before is not None and before.state in ("pending", "unknown") and before.deadline <= now
            assert not is_due, "no process may decide what is due"
            return
        assert before.is_open, "what has ended was decided again"
        assert before.deadline <= now + 0.1, "decided early"
        assert self.deciding.get(entity, ("", 0.0))[1] <= now, "two decide at once"
        self.deciding[entity] = (who, now + LEASE)

    @rule(who=OWNERS, entity=ENTITIES)
    def deadline_passes(self, who, entity):
        """Both see it; neither decides early, and one of them when it is time."""
        self.wait(who, entity, 5.0)
        listen = self._listen(entity)
        if listen.is_open:
            left = listen.deadline - self.clock.now()
            for seconds in (left - 1.0, 1.0):
                self.tick(seconds)
                for each in "AB":
                    self.begin_deadline(each, entity)

    @precondition(lambda self: self.deciding)
    @rule(data=st.data(), state=st.sampled_from(["timed_out", "unknown"]))
    def end_deadline(self, data, state):
        entity = data.draw(st.sampled_from(sorted(self.deciding)))
        who, _ = self.deciding.pop(entity)
        before = self._state(entity)
        ended = self.stores[who].listens.end("sandbox", entity, state)
        assert ended is (before in OPEN), "an end was undone, or a decision lost"

    @rule(who=OWNERS, entity=ENTITIES)
    def cancel(self, who, entity):
        before = self._state(entity)
        cancelled = self.stores[who].listens.end("sandbox", entity, "cancelled")
        assert cancelled is (before in OPEN), "an end was undone, or a cancel lost"
        if cancelled:
            self.deciding.pop(entity, None)

    # -- the work that callbacks are ----------------------------------------------------------------------------

    @rule(who=OWNERS, limit=st.integers(1, 3))
    def claim(self, who, limit):
        now = self.clock.now()
        busy = [work.key for work, _ in self.held[who].values()]
        for work in claim(self.stores[who], who, kinds=["webhook", "restored"], lease=LEASE, limit=limit, busy=busy):
            key = work.event_key
            for other in self.held.values():
                assert key not in other or other[key][1] <= now, "two live owners"
            assert key not in self.done, "done work came again"
            self.held[who][key] = (work, now + LEASE)

    @precondition(lambda self: any(self.held.values()))
    @rule(who=OWNERS)
    def heartbeat(self, who):
        for key, (work, lease_end) in list(self.held[who].items()):
            kept = self.stores[who].callbacks.extend_lease(work, who, LEASE)
            if self._is_lost(key, work):
                assert not kept, "a loser kept the winner's lease"
            else:
                assert kept or lease_end <= self.clock.now(), "a live lease was lost"
            if kept:
                self.held[who][key] = (work, self.clock.now() + LEASE)

    @precondition(lambda self: any(self.held.values()))
    @rule(who=OWNERS)
    def finish(self, who):
        """The callback runs and its end is stored, whichever process holds the lease by now."""
        for key in list(self.held[who])[:1]:
            self._end_work(who, key)

    @precondition(lambda self: any(self.held.values()))
    @rule(who=OWNERS)
    def fail(self, who):
        """The callback raises, and is to run again."""
        for key in list(self.held[who])[:1]:
            self._end_work(who, key, failed=True)

    @precondition(lambda self: any(self.held.values()))
    @rule(who=OWNERS, failed=st.booleans(), still_runs=st.booleans())
    def a_loser_comes_back(self, who, failed, still_runs):
        """Its leases ended, the other has the work by now, and only then does it go on, or its callback return."""
        other = "B" if who == "A" else "A"
        self.tick(LEASE + 1)
        self.claim(other, 100)
        if still_runs:
            self.heartbeat(who)
        else:
            for key in list(self.held[who]):
                self._end_work(who, key, failed=failed)

    def _end_work(self, who, key, *, failed=False):
        work, lease_end = self.held[who].pop(key)
        self.effects[key] += 1
        store = self.stores[who]
        mine = (
            store.callbacks.retry_or_park(work, who, error="no", again_in=5.0)
            if failed
            else store.callbacks.mark_done(work, who)
        )
        if self._is_lost(key, work):
            assert not mine, "a loser finished the winner's row"
        else:
            assert mine or lease_end <= self.clock.now(), "a live lease was lost"
        if mine and not failed:
            self.done.add(key)
        else:
            self.excuses[key] += 1

    def _is_lost(self, key, work):
        return key in self.done or any(
            key in held and held[key][0].attempts > work.attempts for held in self.held.values()
        )

    # -- deaths, and time ---------------------------------------------------------------------------------------

    @rule(who=OWNERS)
    def crash_before_the_effect(self, who):
        self._crash(who)

    @precondition(lambda self: any(self.held.values()))
    @rule(who=OWNERS)
    def crash_after_the_effect(self, who):
        for key in self.held[who]:
            self.effects[key] += 1
            self.excuses[key] += 1
        self._crash(who)

    def _crash(self, who):
        """What it held and decided belongs to no process until the lease ends."""
        self.held[who].clear()
        self._open_again(who)

    def _open_again(self, who):
        self.stores[who].close()
        self.stores[who] = Store(self.url, self.clock)

    @rule(who=OWNERS)
    def restart(self, who):
        """A clean end after its work, then restoration."""
        while self.held[who]:
            self.finish(who)
        self.stores[who].listens.release(who, waiting={"1", "2", "3", "4"})
        for each in (self.deciding, self.adopted):
            # Released rows are free for all, those that it or another was deciding about among them.
            each.clear()
        self._open_again(who)
        self.restore(who)

    @rule(who=OWNERS)
    def restore(self, who):
        now = self.clock.now()
        taken = self.stores[who].listens.acquire_abandoned(
            "sandbox", who, LEASE, is_dead=lambda owner: False, can_watch=lambda account: True
        )
        for listen in taken:
            entity = int(listen.transaction_id)
            owner, lease_end = self.adopted.get(entity, (who, 0.0))
            assert owner == who or lease_end <= now, "two restored one wait"
            self.adopted[entity] = (who, now + LEASE)
            self.deciding.pop(entity, None)
            self.owed.add(entity)
        self.touched.update(range(1, 5))

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0]))
    def tick(self, seconds):
        self.clock.seconds += seconds

    # -- what always holds --------------------------------------------------------------------------------------

    @invariant()
    def effects_are_few(self):
        for key, count in self.effects.items():
            assert count <= 1 + self.excuses[key], f"{key} ran {count} times"

    @invariant()
    def a_listen_leaves_resolved_never(self):
        for entity in sorted(self.touched):
            is_resolved = self._state(entity) == "resolved"
            assert is_resolved or entity not in self.resolved, "a listen left resolved"
            if is_resolved:
                self.resolved.add(entity)
        self.touched.clear()

    def _listen(self, entity):
        self.touched.add(entity)
        return self.stores["A"].listens.get("sandbox", entity)

    def _state(self, entity):
        listen = self._listen(entity)
        return None if listen is None else listen.state

    def _has_final(self, entity):
        return any(is_final and key.startswith(f"{entity}:") for key, is_final in self.accepted.items())

    # -- the end ------------------------------------------------------------------------------------------------

    def teardown(self):
        if not hasattr(self, "stores"):
            return
        try:
            self._everything_ends()
        finally:
            for store in self.stores.values():
                store.close()

    def _everything_ends(self):
        """However it stands, the next who come bring it to its end."""
        self.clock.seconds += 1000.0
        self.touched.update(range(1, 5))
        self.a_listen_leaves_resolved_never()
        for entity in range(1, 5):
            if self._state(entity) in OPEN:
                assert self.stores["B"].listens.begin_closing("sandbox", entity, LEASE), (
                    "an open wait that no process may end"
                )
                self.stores["B"].listens.end("sandbox", entity, "timed_out")
        for _ in range(len(self.accepted) + len(self.owed) + 1):
            self.clock.seconds += LEASE + 1
            for who in "AB":
                self.claim(who, 100)
                while self.held[who]:
                    self.finish(who)
        told = {key for key in self.done if ":restored:" in key}
        assert set(self.accepted) == self.done - told == {key for key in self.effects if key not in told}
        assert {str(entity) for entity in self.owed} <= {key.split(":")[1] for key in told}, "a restored end not told"
        for entity in range(1, 5):
            rows = [event.event_key for event in self.stores["A"].listens.ending("sandbox", entity).events]
            finals = [key for key, is_final in self.accepted.items() if is_final and key.startswith(f"{entity}:")]
            assert sorted(rows) == sorted(finals), "rows are not the distinct keys"


def run(new_url, how=SETTINGS):
    """Try the machine on databases of its own, a new one each time."""
    run_state_machine_as_test(lambda: Deliveries(new_url), settings=how)


def files_in(folder):
    """URLs of SQLite files there."""
    numbers = itertools.count()
    return lambda: f"sqlite:///{folder}/{next(numbers)}.db"


if __name__ == "__main__":
    # Run so, it is to say whether it fails: no search for the shortest way to it.
    run(files_in(sys.argv[1]), settings(SETTINGS, max_examples=300, phases=[Phase.generate]))
