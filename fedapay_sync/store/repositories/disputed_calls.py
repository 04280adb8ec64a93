"""
Calls that are held back, as FedaPay's API disputes what they would tell.

What one callback was told paid is not taken back, so the event goes on saying so; each call of it that has still to be
made would deliver what was not paid. Such a call is parked until it is settled that it was.
"""

from typing import Sequence

from fedapay_sync.enums import PAID_STATUSES
from fedapay_sync.store.database import Database
from fedapay_sync.store.repositories.sql import placeholders
from fedapay_sync.store.states import EventKind, WorkState, literals

#: Statuses of a transaction that is paid, in SQL text.
PAID = ",".join(f"'{each}'" for each in sorted(map(str, PAID_STATUSES)))
#: Event ``e`` says that its transaction is paid. Whether a callback is told so is decided when it is called.
SAYS_PAID = f"(e.kind = {literals(EventKind.fact)} AND e.object = 'transaction' AND e.status IN ({PAID}))"
#: The event of a call tells that the goods may go, and FedaPay's API has said since that it is not what was asked.
IS_DISPUTED = f"""
EXISTS (SELECT 1 FROM fp_event e JOIN fp_event s ON s.entity_id = e.entity_id
        AND s.environment = e.environment AND s.object = e.object AND s.suspect = 1 AND s.status IN ({PAID})
        WHERE e.id = fp_call.event_id AND {SAYS_PAID} AND e.suspect = 0 AND e.repeats = 0)
"""
#: Why such a call is parked; it tells it from one that failed.
_REASON = "FedaPay says by now that this is not what was asked; connector.accept(id) has it called"
_HOLD = f"""
UPDATE fp_call SET work_state = {literals(WorkState.dead)}, lease_owner = NULL, last_error = ?
WHERE work_state IN ({{states}}) AND {{column}} IN {{places}}
"""
_RELEASE = f"""
UPDATE fp_call SET work_state = {literals(WorkState.ready)}, run_after = 0, last_error = NULL
WHERE work_state = {literals(WorkState.dead)} AND last_error = ? AND event_id IN {{}}
"""


def hold_calls(database: Database, events: Sequence[int]) -> None:
    """Park the calls with these events that wait to be made: what they would tell is disputed by now."""
    if events:
        text = _HOLD.format(states=literals(WorkState.ready), column="event_id", places=placeholders(database, events))
        database.execute_sql(text.replace("?", database.param), [_REASON, *events])


def hold_disputed_calls(database: Database, column: str, numbers: Sequence[int], *, cut: bool = False) -> None:
    """
    Park those of the calls with these numbers in that column that would tell what is disputed.

    Args:
        cut: also those that run: the process that made them is gone.
    """
    states = literals(*((WorkState.ready, WorkState.running) if cut else (WorkState.ready,)))
    text = f"{_HOLD.format(states=states, column=column, places=placeholders(database, numbers))} AND {IS_DISPUTED}"
    database.execute_sql(text.replace("?", database.param), [_REASON, *numbers])


def release_calls(database: Database, events: Sequence[int]) -> None:
    """It is what was asked after all: make the calls with these events that were held."""
    if events:
        text = _RELEASE.format(placeholders(database, events))
        database.execute_sql(text.replace("?", database.param), [_REASON, *events])
