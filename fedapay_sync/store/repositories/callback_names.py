"""The names under which functions of a program are called: rows, so that what a name is owed outlives its process."""

from typing import Any, Collection, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import peewee

from fedapay_sync.store.callback_records import CallbackName, KnownCallback
from fedapay_sync.store.database import Database
from fedapay_sync.store.repositories.distribution import (
    IS_FOR,
    distribute,
    distribute_again,
    distribute_parked,
    end_events,
)
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.repositories.sql import chunks
from fedapay_sync.store.states import OWED_STATES, TOLD_KINDS, EventKind, WorkState, literals
from fedapay_sync.store.tables import CallbackRow, CallRow, EventRow

# In the words of the partial indexes, and by their first column: most calls are done.
_CALLS = " UNION ALL ".join(
    f"""
SELECT k.callback_id, {state}, COUNT(*), MIN(e.received_at)
FROM fp_call k JOIN fp_event e ON e.id = k.event_id WHERE {condition} AND k.callback_id > 0 GROUP BY k.callback_id
"""
    for state, condition in (
        (literals(WorkState.ready), f"k.work_state IN ({literals(*OWED_STATES)})"),
        (literals(WorkState.dead), f"k.work_state = {literals(WorkState.dead)}"),
    )
)
# What FedaPay has to confirm first may be for each that is called with what it tells.
_NOT_GIVEN = f"""
SELECT c.id, COUNT(*), MIN(e.received_at) FROM fp_event e CROSS JOIN fp_callback c
WHERE e.work_state IN ({literals(*OWED_STATES)}) AND e.id > c.after_event
AND c.same_as IS NULL AND c.environment = e.environment AND c.account = e.account AND (
    ({IS_FOR}) OR (e.kind <> {literals(EventKind.fact)} AND c.kind IN ({literals(*TOLD_KINDS)}))
) GROUP BY c.id
"""
_TO_GIVE = f"""
SELECT e.id FROM fp_event e CROSS JOIN fp_callback c
WHERE e.work_state IN ({literals(*OWED_STATES)}) AND e.work_state = {literals(WorkState.ready)}
AND e.kind = {literals(EventKind.fact)} AND e.id > c.after_event AND c.id = ? AND {IS_FOR}
"""


class _Row(NamedTuple):
    id: int
    environment: str
    account: str
    name: str
    kind: str
    after_event: int
    seen_at: float
    same_as: Optional[int]


class CallbackNameRepository(Repository):
    """One row for each name of each account, and for each name that was given up for another."""

    def register(self, environment: str, accounts: Iterable[str], names: Sequence[CallbackName]) -> Dict[int, str]:
        """
        Say which functions this process has; the numbers of their rows, each with the name that the process has for it.

        The first of their kind are given all that has come so far; one that is added later, what comes from now on.
        """

        def write(database: Database) -> Dict[int, str]:
            found: Dict[int, str] = {}
            for account in accounts:
                found.update(_Registration(database, environment, account, self._clock.now()).register(names))
            return found

        return self._engine.write(write)

    def beat(self, numbers: Sequence[int]) -> bool:
        """Say that this process still has them; false if one was dropped meanwhile, or given up for another."""
        query = CallbackRow.update(seen_at=self._clock.now()).where(
            CallbackRow.id.in_(list(numbers)), CallbackRow.same_as.is_null()
        )
        return int(self._engine.write(query.execute)) == len(numbers)

    def all(self, environment: Optional[str] = None, accounts: Optional[Iterable[str]] = None) -> List[KnownCallback]:
        """All names with what they are owed, those of some accounts or of all."""
        return self._engine.read(lambda database: known_callbacks(database, environment, accounts))

    def rename(self, old: str, new: str) -> int:
        """
        Give a name up for another, which is owed from now on what the old one was; in how many accounts.

        A process that still has its function under the old name goes on calling it for the new one.
        """

        if old == new:
            return 0

        def write(database: Database) -> int:
            rows = [row for row in _rows(database, CallbackRow.name == old) if row.same_as is None]
            for row in rows:
                take_over(database, row, new, self._clock.now())
            return len(rows)

        return self._engine.write(write)

    def drop(self, name: str) -> int:
        """Forget a name and cancel the calls that it is owed or has parked; how many that were."""

        def write(database: Database) -> int:
            now, cancelled = self._clock.now(), 0
            for row in _rows(database, CallbackRow.name == name):
                waiting = database.execute_sql(_TO_GIVE.replace("?", database.param), [row.id]).fetchall()
                for chunk in chunks(each for (each,) in waiting):
                    distribute(database, chunk, now)
                of_it = CallRow.callback_id == row.id
                events = [each for (each,) in CallRow.select(CallRow.event_id).where(of_it).tuples().execute(database)]
                open_ = of_it & (CallRow.work_state != WorkState.done)
                cancelled += CallRow.delete().where(open_).execute(database)
                CallRow.delete().where(of_it).execute(database)
                end_events(database, events, now)
                CallbackRow.delete().where((CallbackRow.id == row.id) | (CallbackRow.same_as == row.id)).execute(
                    database
                )
            return cancelled

        return self._engine.write(write)


class _Registration:
    """The names of one account, as a process says which functions it has."""

    def __init__(self, database: Database, environment: str, account: str, now: float) -> None:
        self._database = database
        self._subject = {"environment": environment, "account": account}
        self._now = now
        mine = (CallbackRow.environment == environment) & (CallbackRow.account == account)
        self._rows = {row.name: row for row in _rows(database, mine)}
        # Otherwise all events that FedaPay has told are still to be given to callbacks.
        self._had_told = any(row.kind in TOLD_KINDS for row in self._rows.values())

    def register(self, names: Sequence[CallbackName]) -> Dict[int, str]:
        first: List[int] = []
        numbers: Dict[int, str] = {}
        mine = {name for each in names for name in (each.name, *each.former)}
        for each in names:
            self._begin_anew(each.name, mine)
        # All of them before any is looked up: a row may change its name once more.
        for each in names:
            for old in each.former:
                self._take_over(old, each.name)
        # Names that were given up come last: they stand for others, which one function of the process is enough for.
        for each in sorted(names, key=lambda name: self._is_given_up(name.name)):
            row = self._rows.get(each.name)
            if row is None or (row.same_as is not None and row.same_as in numbers):
                number, is_first = self._add(each)
                first += [number] if is_first else []
            else:
                number = row.id if row.same_as is None else row.same_as
                CallbackRow.update(kind=each.kind, seen_at=self._now).where(CallbackRow.id == number).execute(
                    self._database
                )
            numbers[number] = each.name
        if first:
            distribute_parked(self._database, first)
        return numbers

    def _is_given_up(self, name: str) -> bool:
        return name in self._rows and self._rows[name].same_as is not None

    def _begin_anew(self, name: str, mine: Collection[str]) -> None:
        """A name stands for another no more where the process has both functions: what it takes over is its own."""
        row = self._rows.get(name)
        if row is not None and any(each.id == row.same_as and each.name in mine for each in self._rows.values()):
            CallbackRow.delete().where(CallbackRow.id == row.id).execute(self._database)
            del self._rows[name]

    def _take_over(self, old: str, new: str) -> None:
        row = self._rows.get(old)
        if row is not None and row.same_as is None:
            take_over(self._database, row, new, self._now)
            mine = (CallbackRow.environment == row.environment) & (CallbackRow.account == row.account)
            self._rows = {each.name: each for each in _rows(self._database, mine)}

    def _add(self, added: CallbackName) -> Tuple[int, bool]:
        """The number of a new name's row, and whether it is the first of its kind."""
        is_first = not (added.kind in TOLD_KINDS and self._had_told)
        after = 0 if is_first else _last_event(self._database, added.since)
        CallbackRow.delete().where(
            CallbackRow.environment == self._subject["environment"],
            CallbackRow.account == self._subject["account"],
            CallbackRow.name == added.name,
        ).execute(self._database)
        CallbackRow.insert(
            name=added.name, kind=added.kind, after_event=after, seen_at=self._now, **self._subject
        ).execute(self._database)
        query = CallbackRow.select(CallbackRow.id).where(
            CallbackRow.name == added.name, *(getattr(CallbackRow, key) == text for key, text in self._subject.items())
        )
        number = int(query.scalar(self._database))
        if added.since is not None and not is_first:
            distribute_again(self._database, number, after)
        return number, is_first


def take_over(database: Database, old: _Row, new: str, now: float) -> None:
    """Give up that name for another: the row stays, so that processes which still have it find the other."""
    mine = (CallbackRow.environment == old.environment) & (CallbackRow.account == old.account)
    found = _rows(database, mine & (CallbackRow.name == new))
    if not found or found[0].same_as == old.id:
        # All that is owed stays with the row, and the old name becomes one that stands for it.
        CallbackRow.delete().where(mine, CallbackRow.name == new).execute(database)
        CallbackRow.update(name=new).where(CallbackRow.id == old.id).execute(database)
        CallbackRow.insert(
            environment=old.environment, account=old.account, name=old.name, kind=old.kind, after_event=0,
            seen_at=old.seen_at, same_as=old.id,
        ).execute(database)  # fmt: skip
        return
    target = found[0]
    number = target.id if target.same_as is None else target.same_as
    (row,) = _rows(database, CallbackRow.id == number)
    # What came after the other was known it was given itself.
    calls = CallRow.callback_id == old.id
    both = CallRow.select(CallRow.event_id).where(CallRow.callback_id == number)
    moved = calls & (CallRow.event_id <= row.after_event) & CallRow.event_id.not_in(both)
    CallRow.update(callback_id=number).where(moved).execute(database)
    left = [each for (each,) in CallRow.select(CallRow.event_id).where(calls).tuples().execute(database)]
    CallRow.delete().where(calls).execute(database)
    end_events(database, left, now)
    CallbackRow.update(after_event=min(row.after_event, old.after_event)).where(CallbackRow.id == number).execute(
        database
    )
    CallbackRow.update(same_as=number).where((CallbackRow.id == old.id) | (CallbackRow.same_as == old.id)).execute(
        database
    )


def known_callbacks(
    database: Database, environment: Optional[str] = None, accounts: Optional[Iterable[str]] = None
) -> List[KnownCallback]:
    """The names of these accounts, or of all, with what they are owed."""
    ours = [] if environment is None else [CallbackRow.environment == environment]
    ours += [] if accounts is None else [CallbackRow.account.in_(list(accounts))]
    rows = _rows(database, *ours)
    if not rows:
        return []
    names = {row.id: row.name for row in rows}
    owed: Dict[int, List[Tuple[int, float]]] = {}
    parked: Dict[int, int] = {}
    for number, state, count, oldest in database.execute_sql(_CALLS).fetchall():
        if state == WorkState.dead:
            parked[number] = count
        else:
            owed.setdefault(number, []).append((count, oldest))
    for number, count, oldest in database.execute_sql(_NOT_GIVEN).fetchall():
        owed.setdefault(number, []).append((count, oldest))
    return [
        KnownCallback(
            row.id, row.environment, row.account, row.name, row.kind, row.seen_at,
            None if row.same_as is None else names.get(row.same_as),
            sum(count for count, _ in owed.get(row.id, ())),
            min((oldest for _, oldest in owed.get(row.id, ())), default=None),
            parked.get(row.id, 0),
        )
        for row in rows
    ]  # fmt: skip


def _rows(database: Database, *conditions: Any) -> List[_Row]:
    query = CallbackRow.select(*(getattr(CallbackRow, name) for name in _Row._fields)).order_by(CallbackRow.id)
    return [_Row(*row) for row in (query.where(*conditions) if conditions else query).tuples().execute(database)]


def _last_event(database: Database, before: Optional[float]) -> int:
    """The last event, or the last that came before then."""
    query = EventRow.select(peewee.fn.MAX(EventRow.id))
    if before is not None:
        query = query.where(EventRow.received_at < before)
    return query.scalar(database) or 0
