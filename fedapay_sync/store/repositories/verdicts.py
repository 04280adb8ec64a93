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
from fedapay_sync.store.repositories.rows import EventFacts, insert_events
from fedapay_sync.store.repositories.sql import rows_of
from fedapay_sync.store.states import WorkState

_COLUMNS = (
    "id", "dedup_key", "event_key", "environment", "account", "name", "object", "entity_id", "status", "source", "body",
    "body_sha256", "received_at", "late", "suspect", "repeats", "work_state", "attempts",
)  # fmt: skip
_PAID = f"""
SELECT {", ".join(_COLUMNS)} FROM fp_event
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
    told = [row for row in paid if _has_told(row)]
    others = [row["id"] for row in paid if row not in told]
    if not agrees:
        _update(database, others, suspect=1)
        if is_new:
            return Settled(EventFacts(event, late, suspect=True), bool(told))
        if told and paid[-1] in told:
            return Settled(EventFacts(_variant(event, "disputed"), late, suspect=True), True)
        return Settled(None, bool(told))
    _update(database, others, suspect=0, repeats=1)
    if told:
        return Settled(EventFacts(event, late, repeats=True) if is_new else None)
    waiting = next((row["id"] for row in paid if _is_untold(row)), None)
    if waiting is not None:
        _update(database, [waiting], repeats=0)
        return Settled(EventFacts(event, late, repeats=True) if is_new else None)
    return Settled(EventFacts(event if is_new else _variant(event, "confirmed"), late))


def examine(database: Database, environment: str, transaction_id: str, asked: Asked) -> None:
    """
    Compare what was told of a transaction before it was known as this payment's.

    Where its events do not all agree, they are suspect until FedaPay's API is asked.
    """
    database.execute_sql(
        "UPDATE fp_event SET known = 1 WHERE environment = ? AND object = 'transaction' AND entity_id = ?".replace(
            "?", database.param
        ),
        (environment, transaction_id),
    )
    paid = _paid_events(database, environment, transaction_id)
    if paid:
        comparisons = [asked.compare_sum(_entity(bytes(row["body"]))) for row in paid]
        settle_stored(database, paid, all(each.agrees for each in comparisons))


def settle_stored(database: Database, paid: Sequence[Mapping[str, Any]], agrees: bool) -> None:
    """Settle by a decision about what is stored already; the newest event stands for it."""
    settled = settle(database, _event_of(paid[-1]), agrees, is_new=False, late=bool(paid[-1]["late"]))
    if settled.facts is not None:
        # A payment is known that has been decided about.
        insert_events(database, [settled.facts._replace(known=True)])


def accept(database: Database, environment: str, transaction_id: str) -> bool:
    """A person takes what was paid for what was asked; false if nothing of it is suspect."""
    paid = _paid_events(database, environment, transaction_id)
    if not any(row["suspect"] for row in paid):
        return False
    settle_stored(database, paid, True)
    return True


def _paid_events(database: Database, environment: str, transaction_id: str) -> List[Dict[str, Any]]:
    found = rows_of(database, _PAID, [environment, transaction_id], sorted(PAID_STATUSES))
    return [dict(zip(_COLUMNS, row)) for row in found]


def _has_told(row: Mapping[str, Any]) -> bool:
    """Whether that event tells a callback that the goods may go."""
    return not (row["suspect"] or row["repeats"] or _is_refunded(row))


def _is_untold(row: Mapping[str, Any]) -> bool:
    """Whether no callback has seen that event, and one will."""
    is_fresh: bool = row["work_state"] == WorkState.ready and row["attempts"] == 0
    return is_fresh and not _is_refunded(row)


def _is_refunded(row: Mapping[str, Any]) -> bool:
    """Whether the money went back altogether: then there is nothing to deliver."""
    return str(row["status"]) == TransactionStatus.refunded.value


def _update(database: Database, ids: Sequence[int], **flags: int) -> None:
    if ids:
        changes = ", ".join(f"{name} = {int(value)}" for name, value in flags.items())
        # Numbers out of the table itself.
        numbers = ", ".join(str(int(each)) for each in ids)
        database.execute_sql(f"UPDATE fp_event SET {changes} WHERE id IN ({numbers})")


def _variant(event: NewEvent, what: str) -> NewEvent:
    """The same event told once more, because it has been decided about: its own key has been told of already."""
    return dataclasses.replace(
        event,
        dedup_key=hashlib.sha256(f":{what}:{event.dedup_key}".encode()).hexdigest(),
        event_key=f"{event.event_key[:140]}:{what}",
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
