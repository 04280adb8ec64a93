"""
The budget of status readings: one row for each account grants slots, at a steady rate, to all processes together.

A slot says in how many seconds a reading may be made. Slots are granted at most a moment ahead, so that what is more
urgent, in whichever process, never waits longer than that; and while it waits, what is less urgent is granted none.
"""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from fedapay_sync.store.database import Database
from fedapay_sync.store.records import Grant, Priority
from fedapay_sync.store.repositories.repository import Repository

#: Slots are granted at most so far ahead, in seconds.
_HORIZON = 1.0
#: So many seconds of slots that were not used are not lost: a wait that begins need not queue behind the last one.
_SAVED = 0.6
#: A demand that was not met keeps slots from what is less urgent for so long, in seconds. It is renewed before then.
_CLAIM = 1.5
#: A process that reads lists is believed to be dead after so many seconds without asking for another page.
_LISTING = 15.0
#: What lies further ahead than it is ever written, by more than clocks differ, was written before one was set back.
_SKEW = 2.0

_COLUMNS = ("id", "free_from", "listed_until", "urgent_until", "waited_until")
# In SQL text: asked several times a second, by each process that has something to read.
_FIND = f"SELECT {', '.join(_COLUMNS)} FROM fp_budget WHERE environment = ? AND account = ?"
_MAKE = """
INSERT INTO fp_budget (environment, account) VALUES (?, ?)
ON CONFLICT (environment, account) DO UPDATE SET account = excluded.account
"""

_URGENT = frozenset((Priority.listed, Priority.deadline, Priority.begun))


class _Decision(NamedTuple):
    """What a row grants, and what changes in it."""

    slots: Tuple[float, ...]
    refused: Set[Priority]
    changes: Dict[str, float]


class PollBudgetRepository(Repository):
    """Each account of an environment has its budget, whichever processes read."""

    def take(
        self, environment: str, account: str, wanted: Mapping[Priority, int], *, rate: float, most: int = 10
    ) -> Grant:
        """
        Grant slots for these readings, as many as are free: one commit for all of them, none where nothing is granted.

        Args:
            wanted: how many readings of each priority are waiting.
            rate: slots a second.
            most: slots to grant at once.
        """

        def decide(row: Mapping[str, Any]) -> _Decision:
            return _decided(row, wanted, rate, most, self._clock.now())

        def look(database: Database) -> Optional[_Decision]:
            row = _found(database, environment, account)
            return None if row is None else decide(row)

        def grant(database: Database) -> _Decision:
            row = _row(database, environment, account)
            decision = decide(row)
            if decision.changes:
                _update(database, row, decision.changes)
            return decision

        decision = self._engine.read(look)
        if decision is None or decision.changes:
            decision = self._engine.write(grant)
        now = self._clock.now()
        return Grant(tuple(max(0.0, slot - now) for slot in decision.slots), frozenset(decision.refused))

    def begin_listing(self, environment: str, account: str) -> bool:
        """
        Become the one process that reads lists to decide deadlines; false if another does. Deadlines are then granted
        no slots of their own, as a list decides many, until :meth:`end_listing` or no page was asked for in a while.
        """

        def begin(database: Database) -> bool:
            row, now = _row(database, environment, account), self._clock.now()
            if _holds(row["listed_until"], now, _LISTING):
                return False
            _update(database, row, {"listed_until": now + _LISTING})
            return True

        return self._engine.write(begin)

    def end_listing(self, environment: str, account: str) -> None:
        """No more lists are read."""
        self._engine.write(
            lambda database: _update(database, _row(database, environment, account), {"listed_until": 0.0})
        )


def _decided(row: Mapping[str, Any], wanted: Mapping[Priority, int], rate: float, most: int, now: float) -> _Decision:
    refused = _refused(row, now)
    counts = {each: 0 if each in refused else count for each, count in wanted.items()}
    free_from = row["free_from"] if row["free_from"] <= now + _HORIZON + 1 / rate + _SKEW else now
    start = max(free_from, now - _SAVED)
    count = min(sum(counts.values()), most)
    slots: List[float] = []
    # Several at once or none, so that a process does not commit for each.
    while len(slots) < count and start <= now + (_HORIZON if slots else _HORIZON / 2):
        slots.append(start)
        start += 1 / rate
    changes = {"free_from": start} if slots else {}
    urgent = sum(count for each, count in wanted.items() if each in _URGENT)
    if urgent > len(slots):
        changes.update(_claimed(row, "urgent_until", now, _CLAIM))
    elif counts.get(Priority.waited, 0) > len(slots) - urgent:
        changes.update(_claimed(row, "waited_until", now, _CLAIM))
    if wanted.get(Priority.listed):
        changes.update(_claimed(row, "listed_until", now, _LISTING))
    return _Decision(tuple(slots), refused, changes)


def _refused(row: Mapping[str, Any], now: float) -> Set[Priority]:
    """What is granted no slot at present."""
    refused: Set[Priority] = set()
    is_listing = _holds(row["listed_until"], now, _LISTING)
    if is_listing:
        refused.add(Priority.deadline)
    if is_listing or _holds(row["urgent_until"], now, _CLAIM):
        refused.update((Priority.waited, Priority.followed))
    # Thousands of waits must not stop what no thread waits for: one second in five is everybody's.
    elif _holds(row["waited_until"], now, _CLAIM) and int(now) % 5:
        refused.add(Priority.followed)
    return refused


def _claimed(row: Mapping[str, Any], column: str, now: float, seconds: float) -> Dict[str, float]:
    """That column, moved ahead, unless it was just now."""
    return {} if now + seconds / 2 < row[column] <= now + seconds else {column: now + seconds}


def _holds(until: float, now: float, longest: float) -> bool:
    return now < until <= now + longest + _SKEW


def _found(database: Database, environment: str, account: str) -> Optional[Dict[str, Any]]:
    row = database.execute_sql(_FIND.replace("?", database.param), (environment, account)).fetchone()
    return None if row is None else dict(zip(_COLUMNS, row))


def _row(database: Database, environment: str, account: str) -> Dict[str, Any]:
    """The row of that budget, made if it is missing, and ours until the transaction ends."""
    database.execute_sql(_MAKE.replace("?", database.param), (environment, account))
    found = _found(database, environment, account)
    assert found is not None
    return found


def _update(database: Database, row: Mapping[str, Any], changes: Mapping[str, float]) -> None:
    places = ", ".join(f"{column} = {database.param}" for column in changes)
    query = f"UPDATE fp_budget SET {places} WHERE id = {database.param}"
    database.execute_sql(query, (*changes.values(), row["id"]))
