"""
Says of all that was told of a payment whether it is what was asked, once that has been decided.

Events may contradict each other. FedaPay's API at the time decides, or a person. From then on callbacks and waits say
the same, and that the payment was paid is told once, however often the decision changes.
"""

import dataclasses
import hashlib
import json
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from fedapay_sync.enums import PAID_STATUSES, TransactionStatus
from fedapay_sync.models.asked import Asked
from fedapay_sync.store.database import Database
from fedapay_sync.store.records import NewEvent
from fedapay_sync.store.repositories.disputed_calls import hold_calls, release_calls
from fedapay_sync.store.repositories.distribution import distribute_known
from fedapay_sync.store.repositories.rows import EventFacts, insert_events
from fedapay_sync.store.repositories.sql import rows_of
from fedapay_sync.store.states import WorkState, literals

_COLUMNS = (
    "id", "dedup_key", "event_key", "environment", "account", "name", "object", "entity_id", "status", "source", "body",
    "body_sha256", "received_at", "late", "suspect", "repeats", "work_state", "attempts",
)  # fmt: skip
_HAS_CALL = "EXISTS (SELECT 1 FROM fp_call k WHERE k.event_id = fp_event.id AND k.work_state IN ({}))"
#: A callback has seen the event, or sees it now.
_CALLED = (WorkState.done, WorkState.running)
# Of an event that callbacks have been given: running if one has seen it, or sees it now, and else what its calls are.
_STATE = f"""
CASE WHEN work_state <> {literals(WorkState.none)} THEN work_state
     WHEN {_HAS_CALL.format(literals(WorkState.running, WorkState.done))} THEN {literals(WorkState.running)}
     WHEN {_HAS_CALL.format(literals(WorkState.ready))} THEN {literals(WorkState.ready)}
     ELSE {literals(WorkState.dead)} END
"""
_SELECTED = ", ".join(_STATE if name == "work_state" else name for name in _COLUMNS)
_UNKNOWN = "SELECT id FROM fp_event WHERE known = 0 AND object = 'transaction' AND environment = ? AND entity_id = ?"
_PAID = f"""
SELECT {_SELECTED} FROM fp_event
WHERE environment = ? AND object = 'transaction' AND is_final = 1 AND entity_id = ? AND status IN ({{}}) ORDER BY id
"""


class Settled(NamedTuple):
    """
    Attributes:
        facts: what is still to be stored, so that a callback is told of the decision; None if nothing is.
        taken_back: what was told paid is not what was asked.
    """

    facts: Optional[EventFacts]
    taken_back: bool = False


def settle(database: Database, event: NewEvent, agrees: bool, *, is_new: bool, late: bool = False) -> Settled:
    """
    Make the stored events that say the payment is paid agree with what has been decided.

    Args:
        event: what decides; stored by the caller, if it is to be stored.
        is_new: whether the event is not stored yet.
    """
    paid = _paid_events(database, event.environment, event.entity_id)
    return (_confirm if agrees else _dispute)(database, event, paid, is_new, late)


def _confirm(
    database: Database, event: NewEvent, paid: Sequence[Mapping[str, Any]], is_new: bool, late: bool
) -> Settled:
    """It is what was asked: told paid once, if no callback was or will be told so."""
    telling = [row for row in paid if _tells(row)]
    others = [row for row in paid if row not in telling]
    _update(database, others, suspect=0, repeats=1)
    release_calls(database, [row["id"] for row in telling])
    # The newest event shows the sum that counts, also where an earlier one with another sum was told.
    is_shown = not any(row["suspect"] for row in others)
    waiting = next((row for row in others if _is_owed(row)), None)
    if telling or (waiting is not None and not event.from_api):
        _update(database, [] if waiting is None or telling else [waiting], repeats=0)
        if is_new or (event.from_api and not is_shown):
            return Settled(EventFacts(event if is_new else _variant(event, "confirmed"), late, repeats=True))
        return Settled(None)
    return Settled(EventFacts(event if is_new else _variant(event, "confirmed"), late))


def _dispute(
    database: Database, event: NewEvent, paid: Sequence[Mapping[str, Any]], is_new: bool, late: bool
) -> Settled:
    """
    It is not what was asked. What a callback was told is not taken back, but it learns of it; the others are not told.
    """
    told = [row for row in paid if _tells(row) and row["work_state"] in _CALLED]
    after = list(paid[paid.index(told[-1]) + 1 :]) if told else []
    _update(database, [row for row in paid if row not in told], suspect=1)
    hold_calls(database, [row["id"] for row in told])
    if is_new:
        return Settled(EventFacts(event, late, suspect=True), bool(told))
    if told and not any(row["suspect"] or row["work_state"] not in _CALLED for row in after):
        return Settled(EventFacts(_variant(event, "disputed"), late, suspect=True), True)
    return Settled(None, bool(told))


def examine(database: Database, environment: str, transaction_id: str, asked: Asked, *, adopted: bool = False) -> None:
    """
    Compare what was told of a transaction before it was known as this payment's.

    Where its events do not all agree, they are suspect until FedaPay's API is asked. One whose body was erased says
    nothing.

    Args:
        adopted: a person has decided that it is this payment: what was told as unknown is told once more as known.
    """
    subject = (environment, transaction_id)
    if adopted:
        _execute(database, "UPDATE fp_event SET repeats = 1 WHERE known = 0 AND suspect = 0", subject)
    unknown = [row[0] for row in database.execute_sql(_UNKNOWN.replace("?", database.param), subject).fetchall()]
    if unknown:
        _execute(database, "UPDATE fp_event SET known = 1 WHERE known = 0", subject)
        distribute_known(database, unknown)
    paid = _paid_events(database, environment, transaction_id)
    comparisons = [asked.compare_sum(_entity(bytes(row["body"]))) for row in paid if row["body"]]
    if comparisons:
        settle_stored(database, paid, all(each.agrees for each in comparisons))


def settle_stored(database: Database, paid: Sequence[Mapping[str, Any]], agrees: bool) -> None:
    """Settle by a decision about what is stored already; the newest event stands for it."""
    settled = settle(database, _event_of(paid[-1]), agrees, is_new=False, late=bool(paid[-1]["late"]))
    if settled.facts is not None:
        # A payment is known that has been decided about.
        insert_events(database, [settled.facts._replace(known=True)])


def accept(database: Database, environment: str, transaction_id: str) -> Optional[Mapping[str, Any]]:
    """
    A person takes what was paid for what was asked: the transaction as its newest event shows it; None if nothing of it
    is suspect.
    """
    paid = _paid_events(database, environment, transaction_id)
    if not any(row["suspect"] for row in paid):
        return None
    settle_stored(database, paid, True)
    return _entity(bytes(paid[-1]["body"]))


def _paid_events(database: Database, environment: str, transaction_id: str) -> List[Dict[str, Any]]:
    found = rows_of(database, _PAID, [environment, transaction_id], sorted(PAID_STATUSES))
    return [dict(zip(_COLUMNS, row)) for row in found]


def _tells(row: Mapping[str, Any]) -> bool:
    """Whether that event tells a callback, has told it or will, that the goods may go."""
    return not (row["suspect"] or row["repeats"] or _is_refunded(row))


def _is_owed(row: Mapping[str, Any]) -> bool:
    """Whether a callback will be called with that event."""
    return row["work_state"] == WorkState.ready and not _is_refunded(row)


def _is_refunded(row: Mapping[str, Any]) -> bool:
    """Whether the money went back altogether: then there is nothing to deliver."""
    return str(row["status"]) == TransactionStatus.refunded.value


def _update(database: Database, rows: Sequence[Mapping[str, Any]], **flags: int) -> None:
    if rows:
        changes = ", ".join(f"{name} = {int(value)}" for name, value in flags.items())
        # Numbers out of the table itself.
        numbers = ", ".join(str(int(row["id"])) for row in rows)
        database.execute_sql(f"UPDATE fp_event SET {changes} WHERE id IN ({numbers})")


def _execute(database: Database, update: str, subject: Tuple[str, str]) -> None:
    """That change of the events of a transaction."""
    of_it = f"object = 'transaction' AND environment = {database.param} AND entity_id = {database.param}"
    database.execute_sql(f"{update} AND {of_it}", subject)


def _variant(event: NewEvent, what: str) -> NewEvent:
    """The same event told once more, because it has been decided about: its own key has been told of already."""
    return dataclasses.replace(
        event,
        dedup_key=hashlib.sha256(f":{what}:{event.dedup_key}:{event.body_sha256}".encode()).hexdigest(),
        event_key=f"{event.event_key[:130]}:{what}:{event.body_sha256[:16]}",
        also_known_as=(),
    )


def _event_of(row: Mapping[str, Any]) -> NewEvent:
    names: Tuple[str, ...] = tuple(field.name for field in dataclasses.fields(NewEvent))
    facts = {name: row[name] for name in _COLUMNS if name in names and name != "work_state"}
    return NewEvent(**{**facts, "body": bytes(row["body"]), "is_final": True, "is_paid": True})


def _entity(body: bytes) -> Mapping[str, Any]:
    """The object in the body of a stored event; empty where it was erased."""
    try:
        event = json.loads(body) if body else {}
    except ValueError:
        return {}
    entity = event.get("entity") if isinstance(event, dict) else None
    return entity if isinstance(entity, dict) else {}
