"""
Ends of waits that are left to the process that waited, where another cannot tell whether that process lives.

Such an end is work of that process, under a lease: alive, it renews the lease with its heartbeat until it has heard of
the end; dead, the lease ends, and the callback of restored waits has it.
"""

from typing import Collection, Optional, Sequence, Tuple

from fedapay_sync.store.database import Database
from fedapay_sync.store.records import RESTORED_NAME, NewEvent
from fedapay_sync.store.states import OWED_STATES, WorkState, literals

#: Seconds in which an owner that lives, somewhere out of sight, has renewed its leases.
HEARTBEAT = 30.0
# Its attempts tell it from work that a callback worker has acquired, which are one at least.
_LEAVE = f"""
UPDATE fp_event SET work_state = {literals(WorkState.running)}, lease_owner = ?, run_after = ?
WHERE dedup_key = ? AND work_state = {literals(WorkState.ready)} AND attempts = 0
"""
# In the words of the partial index.
_LEFT = f"""
SELECT id, entity_id FROM fp_event
WHERE work_state IN ({literals(*OWED_STATES)}) AND work_state = {literals(WorkState.running)}
      AND name = '{RESTORED_NAME}' AND attempts = 0 AND lease_owner = ?
"""
_EXTEND = "UPDATE fp_event SET run_after = ? WHERE id = ?"
_END = "UPDATE fp_event SET work_state = ?, lease_owner = NULL, finished_at = ?, run_after = ? WHERE id = ?"


def leave_ends(database: Database, ends: Sequence[Tuple[NewEvent, str, float]]) -> None:
    """Give each of these ends, which are stored, to the owner that waited, until then."""
    for event, owner, until in ends:
        database.execute_sql(_LEAVE.replace("?", database.param), (owner, until, event.dedup_key))


def settle_left_ends(
    database: Database, owner: str, waiting: Collection[str], now: float, lease: Optional[float]
) -> None:
    """
    Mark the ends that were left to that owner and that it has heard of.

    Args:
        waiting: the transactions that it still waits for: their ends it has not heard.
        lease: what it has not heard stays its own for so many seconds; None gives it to the callback of restored waits.
    """
    param = database.param
    for number, transaction_id in database.execute_sql(_LEFT.replace("?", param), (owner,)).fetchall():
        if transaction_id not in waiting:
            database.execute_sql(_END.replace("?", param), (WorkState.done, now, now, number))
        elif lease is None:
            database.execute_sql(_END.replace("?", param), (WorkState.ready, None, now, number))
        else:
            database.execute_sql(_EXTEND.replace("?", param), (now + lease, number))
