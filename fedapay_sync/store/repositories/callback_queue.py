"""The queue of callbacks: owed work in fp_event, taken under a lease, retried, and parked when it failed for good."""

from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import peewee

from fedapay_sync.store.database import Database
from fedapay_sync.store.owner import is_alive, is_dead
from fedapay_sync.store.records import LOCAL, PAYMENT_NAME, RESTORED_NAME, StoredEvent
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.repositories.rows import select_events, stored_event
from fedapay_sync.store.states import OWED_STATES, EventKind, WorkState, literals
from fedapay_sync.store.tables import EventRow

#: In the words of the partial index: with parameters in it, the planner could not know that the index applies.
_OWED: Any = peewee.SQL(f"work_state IN ({literals(*OWED_STATES)})")
_READY, _RUNNING = EventRow.work_state == WorkState.ready, EventRow.work_state == WorkState.running


class CallbackRepository(Repository):
    """The work that callbacks are: that of each event is done by one process at a time, under a lease."""

    def acquire(
        self,
        owner: str,
        *,
        environment: str,
        accounts: Iterable[str],
        kinds: Sequence[str],
        lease: float,
        limit: int,
        busy: Iterable[int] = (),
    ) -> List[StoredEvent]:
        """
        Take owed callbacks; each is ours alone until the lease ends.

        Args:
            accounts: labels of the merchant accounts that this program works for.
            kinds: which callbacks this process has: ``webhook``, ``local.payment``, ``local.restored``.
            busy: ids that this process is running already, which no jump of the clock may give it again.
        """
        mine = _wanted(environment, accounts, kinds) & EventRow.id.not_in(list(busy))

        def available(database: Database) -> List[_Candidate]:
            """What may be taken now, oldest first. Few rows run at any time; the others are asked for by their hour."""
            now = self._clock.now()
            running = _candidates().where(_OWED, _RUNNING, EventRow.run_after > 0, mine)
            waiting = _candidates().where(_OWED, _READY, EventRow.run_after <= now, mine)
            waiting = waiting.order_by(EventRow.run_after, EventRow.id).limit(limit)
            found = [_Candidate(*row) for row in running.tuples().execute(database)]
            found = [each for each in found if _is_abandoned(each, owner, now)]
            found += [_Candidate(*row) for row in waiting.tuples().execute(database)]
            return sorted(found, key=lambda each: (each.run_after, each.id))[:limit]

        def take(database: Database) -> List[StoredEvent]:
            taken = []
            for each in available(database):
                until = self._clock.now() + lease
                changes = {"work_state": WorkState.running, "lease_owner": owner, "run_after": until}
                # A heartbeat since it was read moves run_after: then it is not abandoned after all.
                won = (
                    EventRow.update(attempts=EventRow.attempts + 1, **changes)
                    .where(
                        EventRow.id == each.id,
                        EventRow.attempts == each.attempts,
                        EventRow.work_state == each.work_state,
                        EventRow.run_after == each.run_after,
                    )
                    .execute(database)
                )
                if won:
                    (row,) = select_events().where(EventRow.id == each.id).tuples().execute(database)
                    taken.append(stored_event(row))
            return taken

        # Read first: most reads find nothing, and a read does not take the write lock.
        return self._engine.write(take) if self._engine.read(available) else []

    def is_owed(self, *, environment: str, accounts: Iterable[str], kinds: Sequence[str]) -> bool:
        """Whether a callback of those kinds is due now, or runs somewhere."""
        wanted = _wanted(environment, accounts, kinds)

        def find(database: Database) -> bool:
            due = _RUNNING | (EventRow.run_after <= self._clock.now())
            query = EventRow.select(EventRow.id).where(_OWED, due, wanted).limit(1)
            return bool(list(query.tuples().execute(database)))

        return self._engine.read(find)

    def repair_after_clock_change(self, longest: Callable[[int], float], lease: float) -> int:
        """
        Bring forward what a clock, set back since, has put off for longer than it may be; how many that were.

        Args:
            longest: seconds that a callback may be put off after so many attempts.
            lease: seconds after which running work is free again without a heartbeat.
        """

        def late(database: Database) -> List[Tuple[_Candidate, float]]:
            now = self._clock.now()
            query = _candidates().where(_OWED, EventRow.run_after > now)
            found = [_Candidate(*row) for row in query.tuples().execute(database)]
            latest = [now + (lease if each.is_running else longest(each.attempts)) for each in found]
            return [(each, time) for each, time in zip(found, latest) if each.run_after > time]

        def bring_forward(database: Database) -> int:
            return sum(
                EventRow.update(run_after=time)
                .where(EventRow.id == each.id, EventRow.attempts == each.attempts, EventRow.run_after == each.run_after)
                .execute(database)
                for each, time in late(database)
            )

        return self._engine.write(bring_forward) if self._engine.read(late) else 0

    def extend_lease(self, work: StoredEvent, owner: str, lease: float) -> bool:
        """Say that the callback is still running; false if another process has it by now."""

        def extend(database: Database) -> int:
            query = EventRow.update(run_after=self._clock.now() + lease).where(*_fence(work, owner))
            return int(query.execute(database))

        return bool(self._engine.write(extend))

    def was_taken(self, work: StoredEvent) -> bool:
        """Whether a process has taken that work since it was acquired: its count of attempts tells."""
        query = EventRow.select(EventRow.attempts).where(EventRow.id == work.id)
        return self._engine.read(lambda database: query.scalar(database)) not in (None, work.attempts)

    def mark_done(self, work: StoredEvent, owner: str, *, erase_body: bool = False) -> bool:
        """
        Mark the callback as done; false if the lease was lost, and then the row is not ours to touch.

        Args:
            erase_body: forget the body, too. The key stays: the same event is known when it comes again.
        """
        changes: Dict[str, Any] = {"body": b""} if erase_body else {}

        def mark(database: Database) -> int:
            query = EventRow.update(
                work_state=WorkState.done, lease_owner=None, finished_at=self._clock.now(), last_error=None, **changes
            ).where(*_fence(work, owner))
            return int(query.execute(database))

        return bool(self._engine.write(mark))

    def retry_or_park(self, work: StoredEvent, owner: str, *, error: str, again_in: Optional[float]) -> bool:
        """The callback failed: run it again after a while, or park it for good if ``again_in`` is ``None``."""
        state = WorkState.dead if again_in is None else WorkState.ready

        def write(database: Database) -> int:
            run_after = self._clock.now() + (again_in or 0)
            query = EventRow.update(
                work_state=state, lease_owner=None, run_after=run_after, last_error=_storable(error)[:500]
            ).where(*_fence(work, owner))
            return int(query.execute(database))

        return bool(self._engine.write(write))

    def parked(
        self, environment: Optional[str] = None, accounts: Optional[List[str]] = None, event_key: Optional[str] = None
    ) -> List[StoredEvent]:
        """The events whose callback failed for good, and those that could not be read; oldest first."""
        query = select_events().where(*_parked(environment, accounts, event_key)).order_by(EventRow.id)
        return self._engine.read(lambda database: [stored_event(row) for row in query.tuples().execute(database)])

    def replay(self, work: StoredEvent, attempts: int) -> bool:
        """
        Owe the callback of a parked event again; false if it is not parked any more.

        Args:
            attempts: what its count of attempts goes on from.
        """
        query = EventRow.update(work_state=WorkState.ready, run_after=0, attempts=attempts).where(
            EventRow.id == work.id, EventRow.attempts == work.attempts, EventRow.work_state == WorkState.dead
        )
        return bool(self._engine.write(query.execute))


class _Candidate(NamedTuple):
    id: int
    attempts: int
    work_state: str
    run_after: float
    lease_owner: Optional[str]

    @property
    def is_running(self) -> bool:
        return self.work_state == WorkState.running


def _candidates() -> Any:
    row = EventRow
    return row.select(row.id, row.attempts, row.work_state, row.run_after, row.lease_owner)


def _wanted(environment: str, accounts: Iterable[str], kinds: Sequence[str]) -> Any:
    """The work of those kinds that is for those accounts."""
    local = [name for name in (PAYMENT_NAME, RESTORED_NAME) if name in kinds]
    wanted: Any = EventRow.name.in_(local)
    if "webhook" in kinds:
        wanted = wanted | (EventRow.source != LOCAL)
    return wanted & (EventRow.environment == environment) & EventRow.account.in_(list(accounts))


def _is_abandoned(work: _Candidate, owner: str, now: float) -> bool:
    """
    Whether running work has lost the process that runs it.

    The end of a lease tells it only where nothing better does: a clock that jumps ends the leases of the living, too.
    """
    held_by = work.lease_owner or ""
    # Before the first attempt it is the end of a wait, which its owner hears of by itself.
    is_lost = work.attempts > 0 and held_by == owner
    return is_dead(held_by) or (work.run_after <= now and (is_lost or not is_alive(held_by)))


def _storable(text: str) -> str:
    """Such a text as every database can hold: PostgreSQL takes no zero character, and neither takes half a pair."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _fence(work: StoredEvent, owner: str) -> Tuple[Any, ...]:
    """The fencing conditions: only the holder of the lease of this very attempt may touch the row."""
    return EventRow.id == work.id, EventRow.lease_owner == owner, EventRow.attempts == work.attempts, _RUNNING


def _parked(environment: Optional[str], accounts: Optional[List[str]], event_key: Optional[str]) -> Tuple[Any, ...]:
    conditions = [EventRow.work_state == WorkState.dead]
    if environment is not None:
        conditions.append(EventRow.environment == environment)
    if accounts is not None:
        # What could not be read names no account of its own.
        conditions.append(EventRow.account.in_(accounts) | (EventRow.kind == EventKind.unreadable))
    if event_key is not None:
        conditions.append(EventRow.event_key == event_key)
    return tuple(conditions)
