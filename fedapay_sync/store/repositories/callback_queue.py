"""
The queue of callbacks: work taken under a lease, retried, and parked when it failed for good.

There are two kinds of work. An event that lies ready is given to the callbacks that were known when it came; where it
could not be read, or FedaPay has to confirm it first, that is done before, as work of the event itself. From then on
the call of each callback is work of its own, with attempts of its own.
"""

from typing import Callable, Iterable, List, Optional, Sequence, Tuple

from fedapay_sync.store.callback_records import Wanted
from fedapay_sync.store.database import Database
from fedapay_sync.store.jobs import Then
from fedapay_sync.store.records import StoredEvent, WorkKey
from fedapay_sync.store.repositories.disputed_calls import IS_DISPUTED, hold_disputed_calls
from fedapay_sync.store.repositories.distribution import distribute
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.repositories.sql import placeholders
from fedapay_sync.store.repositories.work_ends import WorkEnd, end_work
from fedapay_sync.store.repositories.work_rows import (
    OWED,
    AvailableWork,
    WorkRow,
    all_work,
    available_work,
    change_work,
    place_of,
    select_work,
    stored_calls,
    stored_events,
    take_work,
)
from fedapay_sync.store.states import EventKind, WorkState, literals

#: Events that only other processes have callbacks for are given to these so many times in one transaction.
_ROUNDS = 8

_BRING_FORWARD = "UPDATE {} SET run_after = ? WHERE id = ? AND attempts = ? AND work_state = ? AND run_after = ?"
_REPLAY = f"""
UPDATE {{}} SET work_state = {literals(WorkState.ready)}, run_after = 0, attempts = ?
WHERE id = ? AND attempts = ? AND work_state = {literals(WorkState.dead)}
"""


class CallbackRepository(Repository):
    """The work that callbacks are: each call is made by one process at a time, under a lease."""

    def acquire(
        self,
        owner: str,
        wanted: Wanted,
        *,
        lease: float,
        limit: int,
        busy: Iterable[WorkKey] = (),
        erase_bodies: bool = False,
    ) -> List[StoredEvent]:
        """
        Take owed work; each piece is ours alone until the lease ends.

        Args:
            busy: what this process is at already, which no jump of the clock may give it again.
            erase_bodies: forget the bodies of events that no callback wants.
        """
        mine = set(busy)

        def available(database: Database) -> AvailableWork:
            return available_work(database, wanted, owner, self._clock.now(), limit, mine)

        def take(database: Database) -> List[StoredEvent]:
            found = available(database)
            for _ in range(_ROUNDS):
                if not found.to_give:
                    break
                distribute(database, found.to_give, self._clock.now(), erase_bodies=erase_bodies)
                found = available(database)
                if found.to_take:
                    break
            cut = [each.number for each in found.to_take if each.is_running and each.call is not None]
            if cut:
                # Its process died in the midst of the call: by now FedaPay may dispute what it would tell again.
                hold_disputed_calls(database, "id", cut, cut=True)
                found = available(database)
            return take_work(database, found.to_take, owner, self._clock.now() + lease)

        # Read first: most reads find nothing, and a read does not take the write lock.
        return self._engine.write(take) if any(self._engine.read(available)) else []

    def is_owed(self, wanted: Wanted) -> bool:
        """Whether a call of these callbacks is due now, or runs somewhere."""
        return self._engine.read(lambda database: bool(select_work(database, wanted, self._clock.now(), 1)))

    def repair_after_clock_change(self, longest: Callable[[int], float], lease: float) -> int:
        """
        Bring forward what a clock, set back since, has put off for longer than it may be; how many that were.

        Args:
            longest: seconds that a callback may be put off after so many attempts.
            lease: seconds after which running work is free again without a heartbeat.
        """

        def late(database: Database) -> List[Tuple[WorkRow, float]]:
            now = self._clock.now()
            found = all_work(database, f"{OWED} AND run_after > ?", [now])
            latest = [now + (lease if each.is_running else longest(each.attempts)) for each in found]
            return [(each, time) for each, time in zip(found, latest) if each.run_after > time]

        def bring_forward(database: Database) -> int:
            return sum(
                database.execute_sql(
                    _BRING_FORWARD.format(each.table).replace("?", database.param), [time, *each.fence]
                ).rowcount
                for each, time in late(database)
            )

        return self._engine.write(bring_forward) if self._engine.read(late) else 0

    def extend_lease(self, work: StoredEvent, owner: str, lease: float) -> bool:
        """Say that the callback is still running; false if another process has it by now."""
        return self._engine.write(
            lambda database: change_work(database, work, owner, {"run_after": self._clock.now() + lease})
        )

    def release(self, work: StoredEvent, owner: str, *, problem: Optional[str] = None, again_in: float = 0.0) -> bool:
        """
        Owe again what was taken and has not begun: it was no attempt. False if the lease was lost.

        Args:
            problem: why it has not begun; what was noted before stays where there is none.
            again_in: seconds after which it may be taken.
        """

        def write(database: Database) -> bool:
            run_after = self._clock.now() + again_in if again_in else 0
            note = work.last_error if problem is None else _storable(problem)[:500]
            ready = {"work_state": WorkState.ready, "lease_owner": None, "run_after": run_after, "last_error": note}
            changed = change_work(database, work, owner, {**ready, "attempts": work.attempts - 1})
            if changed and work.call is not None:
                # It may have been disputed while it waited.
                hold_disputed_calls(database, "id", [work.call])
            return changed

        return self._engine.write(write)

    def was_taken(self, work: StoredEvent) -> bool:
        """Whether a process has taken that work since it was acquired: its count of attempts tells."""
        table, number = place_of(work)

        def read(database: Database) -> bool:
            row = database.execute_sql(f"SELECT attempts FROM {table} WHERE id = {database.param}", [number]).fetchone()
            return row is not None and row[0] != work.attempts

        return self._engine.read(read)

    def mark_done(self, work: StoredEvent, owner: str, *, erase_body: bool = False) -> bool:
        """
        Mark the work as done, together with what else ends just then; false if the lease was lost, and then the row is
        not ours to touch.

        Args:
            erase_body: with the last call of an event forget its body, too. The key stays: the same event is known when
                it comes again.
        """
        return self._engine.write_batched(self._mark_all, WorkEnd(work, owner, erase_body))

    def mark_done_soon(self, work: StoredEvent, owner: str, *, erase_body: bool, then: Then) -> None:
        """
        The same without waiting for it.

        Args:
            then: called with the answer, or the error, by the writer's thread; it may wait for no lock.
        """
        self._engine.write_batched_soon(self._mark_all, WorkEnd(work, owner, erase_body), then)

    def _mark_all(self, database: Database, ends: Sequence[WorkEnd]) -> List[bool]:
        return end_work(database, ends, self._clock.now())

    def give_to_callbacks(self, work: StoredEvent, owner: str, *, erase_body: bool = False) -> bool:
        """
        What had to be done with the event itself is done: callbacks are to be called with it as it is; false if the
        lease was lost.

        Args:
            erase_body: forget its body if no callback wants it.
        """

        def give(database: Database) -> bool:
            ready = {"work_state": WorkState.ready, "lease_owner": None, "run_after": 0, "last_error": None}
            if not change_work(database, work, owner, ready):
                return False
            distribute(database, [work.id], self._clock.now(), erase_bodies=erase_body)
            return True

        return self._engine.write(give)

    def retry_or_park(self, work: StoredEvent, owner: str, *, error: str, again_in: Optional[float]) -> bool:
        """The callback failed: run it again after a while, or park it for good if ``again_in`` is ``None``."""
        state = WorkState.dead if again_in is None else WorkState.ready

        def write(database: Database) -> bool:
            run_after = self._clock.now() + (again_in or 0)
            changes = {"work_state": state, "lease_owner": None, "run_after": run_after}
            changed = change_work(database, work, owner, {**changes, "last_error": _storable(error)[:500]})
            if changed and work.call is not None and again_in is not None:
                # What is told again may be disputed by now.
                hold_disputed_calls(database, "id", [work.call])
            return changed

        return self._engine.write(write)

    def parked(
        self,
        environment: Optional[str] = None,
        accounts: Optional[List[str]] = None,
        event_key: Optional[str] = None,
        callback: Optional[str] = None,
    ) -> List[StoredEvent]:
        """
        The calls that failed for good, and the events that could not be read or confirmed; oldest event first.

        Args:
            callback: the name of one callback, of which alone the calls are looked for.
        """

        def read(database: Database) -> List[StoredEvent]:
            conditions: List[Tuple[str, List[str]]] = []
            if environment is not None:
                conditions.append(("e.environment = ?", [environment]))
            if event_key is not None:
                conditions.append(("e.event_key = ?", [event_key]))
            if accounts is not None:
                # What could not be read names no account of its own.
                ours = f"e.account IN {placeholders(database, accounts)} OR e.kind = {literals(EventKind.unreadable)}"
                conditions.append((f"({ours})", accounts))
            dead = f"work_state = {literals(WorkState.dead)}"
            named = [] if callback is None else [("c.name = ?", [callback])]
            found = stored_calls(database, [(f"k.{dead}", []), *named, *conditions])
            if callback is None:
                found += stored_events(database, [(f"e.{dead}", []), *conditions])
            return sorted(found, key=lambda work: (work.id, work.call or 0))

        return self._engine.read(read)

    def replay(self, work: StoredEvent, attempts: int) -> bool:
        """
        Owe parked work again; false if it is not parked any more, or tells that paid which FedaPay disputes.

        Args:
            attempts: what its count of attempts goes on from.
        """
        table, number = place_of(work)

        def write(database: Database) -> bool:
            is_held = "" if work.call is None else f" AND NOT {IS_DISPUTED}"
            text = f"{_REPLAY.format(table)}{is_held}".replace("?", database.param)
            return bool(database.execute_sql(text, [attempts, number, work.attempts]).rowcount)

        return self._engine.write(write)


def _storable(text: str) -> str:
    """Such a text as every database can hold: PostgreSQL takes no zero character, and neither takes half a pair."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
