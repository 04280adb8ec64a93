"""Ends of work that was done: those that come together are written together."""

from collections import defaultdict
from typing import Dict, List, NamedTuple, Sequence, Tuple

from fedapay_sync.store.database import Database
from fedapay_sync.store.records import StoredEvent
from fedapay_sync.store.repositories.distribution import end_events, erase_bodies_of
from fedapay_sync.store.repositories.sql import placeholders
from fedapay_sync.store.repositories.work_rows import FENCE, place_of
from fedapay_sync.store.states import WorkState, literals

_END = f"""
UPDATE {{table}} SET work_state = {literals(WorkState.done)}, lease_owner = NULL, finished_at = ?, last_error = NULL
WHERE {FENCE.replace("id = ?", "id IN {places}")}
"""


class WorkEnd(NamedTuple):
    """
    Work that its owner has done.

    Attributes:
        erase_body: with the last call of an event forget its body, too.
    """

    work: StoredEvent
    owner: str
    erase_body: bool


def end_work(database: Database, ends: Sequence[WorkEnd], now: float) -> List[bool]:
    """
    Mark that work as done; whether it was, or was not its owner's any more, is said of work that comes alone.

    Raises:
        LookupError: some of several is not its owner's any more: to be done one by one.
    """
    alike: Dict[Tuple[str, str, int], List[int]] = defaultdict(list)
    for work, owner, _ in ends:
        table, number = place_of(work)
        alike[table, owner, work.attempts].append(number)
    for (table, owner, attempts), numbers in alike.items():
        text = _END.format(table=table, places=placeholders(database, numbers)).replace("?", database.param)
        if database.execute_sql(text, [now, *numbers, owner, attempts]).rowcount != len(numbers):
            if len(ends) == 1:
                return [False]
            raise LookupError("work that is not its owner's any more")
    end_events(database, sorted({work.id for work, _, _ in ends if work.call is not None}), now)
    erased = sorted({work.id for work, _, erase_body in ends if erase_body})
    if erased:
        erase_bodies_of(database, erased)
    return [True] * len(ends)
