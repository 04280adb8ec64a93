"""Rows of work: events that lie ready, and calls of callbacks with an event. Both are taken and ended alike."""

from typing import Any, Collection, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from fedapay_sync.store.callback_records import Wanted
from fedapay_sync.store.database import Database
from fedapay_sync.store.owner import is_alive, is_dead
from fedapay_sync.store.records import LOCAL, PAYMENT_NAME, RESTORED_NAME, StoredEvent, WorkKey
from fedapay_sync.store.repositories.rows import STORED_EVENT_COLUMNS, stored_event
from fedapay_sync.store.repositories.sql import placeholders
from fedapay_sync.store.states import OWED_STATES, TOLD_KINDS, CallbackKind, EventKind, WorkState, literals

#: In the words of the partial indexes: with parameters in it, the planner could not know that they apply.
OWED = f"work_state IN ({literals(*OWED_STATES)})"
READY = f"{OWED} AND work_state = {literals(WorkState.ready)}"
RUNNING = f"{OWED} AND work_state = {literals(WorkState.running)}"
#: Only the holder of the lease may touch a row, and in that attempt.
FENCE = f"id = ? AND lease_owner = ? AND attempts = ? AND work_state = {literals(WorkState.running)}"

#: Events are given to callbacks so many at once.
_GIVEN_AT_ONCE = 64

# What is read of each table, so that one row looks like the other.
_COLUMNS = "attempts, work_state, run_after, lease_owner"
_EVENTS = f"SELECT id, NULL, kind, {_COLUMNS} FROM fp_event"
_CALLS = f"SELECT event_id, id, NULL, {_COLUMNS} FROM fp_call"
_EVENT_COLUMNS = ", ".join(f"e.{name}" for name in STORED_EVENT_COLUMNS)
_STORED_EVENTS = f"SELECT {_EVENT_COLUMNS} FROM fp_event e WHERE"
_STORED_CALLS = f"""
SELECT k.attempts, k.last_error, k.callback_id, k.id, c.name, {_EVENT_COLUMNS}
FROM fp_call k JOIN fp_event e ON e.id = k.event_id LEFT JOIN fp_callback c ON c.id = k.callback_id WHERE
"""


class WorkRow(NamedTuple):
    """A row of either table; one of fp_event is no call."""

    event: int
    call: Optional[int]
    kind: Optional[str]
    attempts: int
    work_state: str
    run_after: float
    lease_owner: Optional[str]

    @property
    def is_running(self) -> bool:
        """Whether a process has it, or had it when it died."""
        return self.work_state == WorkState.running

    @property
    def table(self) -> str:
        """The table that it lies in."""
        return "fp_event" if self.call is None else "fp_call"

    @property
    def number(self) -> int:
        """Its number there."""
        return self.event if self.call is None else self.call

    @property
    def fence(self) -> Tuple[Any, ...]:
        """What says that nobody has touched it since it was read: a heartbeat moves ``run_after``."""
        return self.number, self.attempts, self.work_state, self.run_after


class AvailableWork(NamedTuple):
    """What may be taken now: facts that are to be given to callbacks first, and work."""

    to_give: List[int]
    to_take: List[WorkRow]


def available_work(
    database: Database, wanted: Wanted, owner: str, now: float, limit: int, busy: Collection[WorkKey]
) -> AvailableWork:
    """What may be taken now, oldest first. Few rows run at any time; the others are asked for by their hour."""
    running = select_work(database, wanted, f"{RUNNING} AND run_after > 0", [])
    found = [each for each in running if _is_abandoned(each, owner, now)]
    oldest = f"ORDER BY run_after, id LIMIT {max(limit, _GIVEN_AT_ONCE)}"
    found += select_work(database, wanted, f"{READY} AND run_after <= ?", [now], oldest)
    found = [each for each in found if (each.event, each.call) not in busy]
    to_take = [each for each in found if each.kind != EventKind.fact]
    to_take.sort(key=lambda each: (each.run_after, each.event, each.number))
    return AvailableWork([each.event for each in found if each.kind == EventKind.fact], to_take[:limit])


def select_work(
    database: Database, wanted: Wanted, condition: str, values: Sequence[Any], tail: str = ""
) -> List[WorkRow]:
    """The wanted work of both tables that this condition leaves."""
    ours = f"environment = ? AND account IN {placeholders(database, wanted.accounts)} AND {_are_for(wanted.kinds)}"
    found = _work_rows(database, _EVENTS, [(condition, values), (ours, [wanted.environment, *wanted.accounts])], tail)
    if wanted.callbacks:
        theirs = f"callback_id IN {placeholders(database, wanted.callbacks)}"
        found += _work_rows(database, _CALLS, [(condition, values), (theirs, wanted.callbacks)], tail)
    return found


def all_work(database: Database, condition: str, values: Sequence[Any]) -> List[WorkRow]:
    """The work of both tables that this condition leaves, whoever does it."""
    return [row for table in (_EVENTS, _CALLS) for row in _work_rows(database, table, [(condition, values)])]


def stored_work(database: Database, row: WorkRow) -> StoredEvent:
    """The event of that work, with what its call says of it."""
    (found,) = (
        stored_events(database, [("e.id = ?", [row.event])])
        if row.call is None
        else stored_calls(database, [("k.id = ?", [row.call])])
    )
    return found


def stored_events(database: Database, conditions: Sequence[Tuple[str, Sequence[Any]]]) -> List[StoredEvent]:
    """The events ``e`` that all these conditions leave."""
    return [stored_event(row) for row in _rows(database, _STORED_EVENTS, conditions)]


def stored_calls(database: Database, conditions: Sequence[Tuple[str, Sequence[Any]]]) -> List[StoredEvent]:
    """The calls ``k``, of callbacks ``c`` with events ``e``, that all these conditions leave."""
    return [
        stored_event(
            tuple(event), attempts=attempts, last_error=error, callback=callback, call=call, callback_name=name
        )
        for attempts, error, callback, call, name, *event in _rows(database, _STORED_CALLS, conditions)
    ]


def place_of(work: StoredEvent) -> Tuple[str, int]:
    """Table and number of the row that this work is."""
    return ("fp_event", work.id) if work.call is None else ("fp_call", work.call)


def change_work(database: Database, work: StoredEvent, owner: str, changes: Mapping[str, Any]) -> bool:
    """Change the row of that work; false if its lease was lost, and then the row is not the owner's to touch."""
    table, number = place_of(work)
    text = f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in changes)} WHERE {FENCE}"
    values = [*changes.values(), number, owner, work.attempts]
    return bool(database.execute_sql(text.replace("?", database.param), values).rowcount)


def _are_for(kinds: Collection[CallbackKind]) -> str:
    """Events that callbacks of these kinds are called with."""
    conditions = [f"source <> '{LOCAL}'"] if set(kinds).intersection(TOLD_KINDS) else []
    for kind, name in ((CallbackKind.payment, PAYMENT_NAME), (CallbackKind.restored, RESTORED_NAME)):
        if kind in kinds:
            conditions.append(f"(source = '{LOCAL}' AND name = '{name}')")
    return f"({' OR '.join(conditions or ['1 = 0'])})"


def _work_rows(
    database: Database, query: str, conditions: Sequence[Tuple[str, Sequence[Any]]], tail: str = ""
) -> List[WorkRow]:
    return [WorkRow(*row) for row in _rows(database, f"{query} WHERE", conditions, tail)]


def _rows(database: Database, query: str, conditions: Sequence[Tuple[str, Sequence[Any]]], tail: str = "") -> List[Any]:
    """The rows of a query that all these conditions leave."""
    text = f"{query} {' AND '.join(condition for condition, _ in conditions)} {tail}".replace("?", database.param)
    return list(database.execute_sql(text, [value for _, values in conditions for value in values]).fetchall())


def _is_abandoned(work: WorkRow, owner: str, now: float) -> bool:
    """
    Whether running work has lost the process that runs it.

    The end of a lease tells it only where nothing better does: a clock that jumps ends the leases of the living, too.
    """
    held_by = work.lease_owner or ""
    # Before the first attempt it is the end of a wait, which its owner hears of by itself.
    is_lost = work.attempts > 0 and held_by == owner
    return is_dead(held_by) or (work.run_after <= now and (is_lost or not is_alive(held_by)))
