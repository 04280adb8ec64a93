"""Rows of work: events that lie ready, and calls of callbacks with an event. Both are taken and ended alike."""

import functools
from typing import Any, Collection, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from fedapay_sync.store.callback_records import Wanted
from fedapay_sync.store.database import Database
from fedapay_sync.store.owner import is_alive, is_dead
from fedapay_sync.store.records import LOCAL, PAYMENT_NAME, RESTORED_NAME, StoredEvent, WorkKey
from fedapay_sync.store.repositories.rows import STORED_EVENT_COLUMNS, stored_event
from fedapay_sync.store.repositories.sql import placeholders
from fedapay_sync.store.states import OWED_STATES, TOLD_KINDS, CallbackKind, EventKind, WorkState, literals

#: In the words of the partial indexes: with parameters in it, the planner could not know that they apply.
OWED = f"work_state IN ({literals(*OWED_STATES)})"
#: Only the holder of the lease may touch a row, and in that attempt.
FENCE = f"id = ? AND lease_owner = ? AND attempts = ? AND work_state = {literals(WorkState.running)}"

_TAKE = f"""
UPDATE {{table}}
SET work_state = {literals(WorkState.running)}, lease_owner = ?, run_after = ?, attempts = attempts + 1
WHERE id IN {{places}}
"""
#: Events are given to callbacks so many at once.
_GIVEN_AT_ONCE = 64

# What is read of each table, so that one row looks like the other.
_COLUMNS = "attempts, work_state, run_after, lease_owner"
_EVENTS = f"SELECT id AS event, CAST(NULL AS BIGINT) AS call, kind, {_COLUMNS} FROM fp_event"
_CALLS = f"SELECT event_id, id AS call, CAST(NULL AS VARCHAR) AS kind, {_COLUMNS} FROM fp_call"
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
        """Conditions under which no process has changed it since it was read: a heartbeat moves ``run_after``."""
        return self.number, self.attempts, self.work_state, self.run_after


class AvailableWork(NamedTuple):
    """What may be taken now: facts that are to be given to callbacks first, and work."""

    to_give: List[int]
    to_take: List[WorkRow]


def available_work(
    database: Database, wanted: Wanted, owner: str, now: float, limit: int, busy: Collection[WorkKey]
) -> AvailableWork:
    """What may be taken now, oldest first: what is due, and what runs in a process that is gone."""
    found = [
        each
        for each in select_work(database, wanted, now, max(limit, _GIVEN_AT_ONCE))
        if (each.event, each.call) not in busy and (not each.is_running or _is_abandoned(each, owner, now))
    ]
    to_take = [each for each in found if each.kind != EventKind.fact]
    to_take.sort(key=lambda each: (each.run_after, each.event, each.number))
    return AvailableWork([each.event for each in found if each.kind == EventKind.fact], to_take[:limit])


def select_work(database: Database, wanted: Wanted, now: float, limit: int) -> List[WorkRow]:
    """The wanted work that is due or runs: so many events, and so many calls of each callback."""
    counts = len(wanted.accounts), len(wanted.callbacks)
    text = _selection(database.param, frozenset(wanted.kinds), *counts, limit)
    calls = [value for callback in wanted.callbacks for value in (now, callback)]
    values = [now, wanted.environment, *wanted.accounts, *calls]
    return [WorkRow(*row) for row in database.execute_sql(text, values).fetchall()]


@functools.lru_cache(maxsize=64)
def _selection(param: str, kinds: FrozenSet[CallbackKind], accounts: int, callbacks: int, limit: int) -> str:
    """The text of that query; with so many accounts and callbacks it is always the same."""
    # Few rows run at any time, and those that are not abandoned come last.
    due = f"{OWED} AND (run_after <= ? OR work_state = {literals(WorkState.running)})"
    ours = f"environment = ? AND account IN ({', '.join('?' * accounts) or 'NULL'}) AND {_are_for(kinds)}"
    parts = [f"{_EVENTS} WHERE {due} AND {ours}"]
    # Each in the order of its index: with all callbacks in one, a server would sort all that they are owed.
    parts += [f"{_CALLS} WHERE {due} AND callback_id = ?"] * callbacks
    oldest = f"ORDER BY run_after, id LIMIT {limit}"
    return " UNION ALL ".join(f"SELECT * FROM ({each} {oldest}) AS owed" for each in parts).replace("?", param)


def all_work(database: Database, condition: str, values: Sequence[Any]) -> List[WorkRow]:
    """The work of both tables that this condition leaves, that of all processes."""
    return [
        WorkRow(*row) for table in (_EVENTS, _CALLS) for row in _rows(database, f"{table} WHERE", [(condition, values)])
    ]


def take_work(database: Database, rows: Sequence[WorkRow], owner: str, until: float) -> List[StoredEvent]:
    """Take that work, which was read in this transaction; in the same order."""
    taken: Dict[WorkKey, StoredEvent] = {}
    for table, read, column in (("fp_event", stored_events, "e.id"), ("fp_call", stored_calls, "k.id")):
        numbers = [each.number for each in rows if each.table == table]
        if numbers:
            places = placeholders(database, numbers)
            text = _TAKE.format(table=table, places=places).replace("?", database.param)
            database.execute_sql(text, [owner, until, *numbers])
            taken.update({each.key: each for each in read(database, [(f"{column} IN {places}", numbers)])})
    return [taken[each.event, each.call] for each in rows]


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


def _are_for(kinds: FrozenSet[CallbackKind]) -> str:
    """Events that callbacks of these kinds are called with."""
    conditions = [f"source <> '{LOCAL}'"] if kinds.intersection(TOLD_KINDS) else []
    for kind, name in ((CallbackKind.payment, PAYMENT_NAME), (CallbackKind.restored, RESTORED_NAME)):
        if kind in kinds:
            conditions.append(f"(source = '{LOCAL}' AND name = '{name}')")
    return f"({' OR '.join(conditions or ['1 = 0'])})"


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
