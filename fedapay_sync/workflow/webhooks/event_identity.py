"""
The identity of an event: the key under which a webhook, a status check and the events list store one fact once.

FedaPay puts no event id on the wire (signed delivery of 2024), so the key is made from what the fact is.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Dict, Optional

from fedapay_sync.enums import FINAL_STATUSES, PAID_STATUSES, RETRIED_STATUSES, TransactionStatus
from fedapay_sync.errors import EventError
from fedapay_sync.models.entity import TRANSACTION, id_of, kind_of
from fedapay_sync.models.params.identifiers import canonical_id
from fedapay_sync.models.schema import read_datetime, write_datetime

#: Names that happen once in the life of an object: whatever the stamps say, "deliver the goods" happens once. What is
#: repeated may carry the object as it is by then: a delivery of June 2024 named ``created`` has an approved entity.
_ONCE = frozenset({"created", "approved", "transferred", "refunded", "expired", "deleted"})
#: Names of what may happen several times to an object that has one stamp for it, which may be that of the first time.
_SEVERAL = frozenset({"approved_partially_refunded", "transferred_partially_refunded"})


@dataclass(frozen=True)
class Identity:
    """What an event is about, and the key under which it is stored once."""

    name: str
    object: str
    entity_id: str
    status: Optional[str]
    is_final: bool
    is_paid: bool
    dedup_key: str
    event_key: str


def identify(event: Mapping[str, Any], *, environment: str, account: str, body_sha256: str) -> Identity:
    """
    Say what an event is about.

    Args:
        event: the decoded event; the same from a webhook, a status check and the events list.
        environment: ``sandbox`` or ``live``.
        account: the connector's own label, never read from a message, which may leave it out.
        body_sha256: stands in where the event has no stamp of its own.

    Raises:
        EventError: no name, no entity, or nothing that says which object it is about.
    """
    name, entity = event.get("name"), event.get("entity")
    if not isinstance(entity, Mapping) or not isinstance(name, str) or not _is_text(name):
        raise EventError(
            "Événement illisible : un objet JSON avec « name » (texte) et « entity » (objet) est attendu, "
            "tel que FedaPay l'envoie."
        )
    kind = kind_of(event)
    entity_id = _short_text(id_of(event))
    if entity_id is None:
        raise EventError("Événement illisible : « entity.id » (nombre ou texte) est attendu.")
    entity_id = canonical_id(entity_id)
    status = entity.get("status")
    status = status if isinstance(status, str) and _is_text(status, 40) else None
    kind = kind if _is_text(kind, 32) else "inconnu"
    stamp = _stamp(name, entity, body_sha256)
    parts = ("1", environment, account, kind, entity_id, name, stamp)
    readable = ":".join(
        part for part in (environment, account, kind, entity_id, name.rpartition(".")[2], stamp) if part
    )
    dedup_key = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    is_transaction = kind == TRANSACTION
    deleted = bool(entity.get("deleted_at")) or name == "transaction.deleted"
    return Identity(
        name=name,
        object=kind,
        entity_id=entity_id,
        status=status,
        is_final=is_transaction and (status in FINAL_STATUSES or deleted),
        is_paid=is_transaction and status in PAID_STATUSES,
        dedup_key=dedup_key,
        # Cut, two events could share their beginning.
        event_key=readable if len(readable) <= 160 else f"{readable[:95]}:{dedup_key}",
    )


def _is_text(value: str, longest: int = 64) -> bool:
    """A short text that every database can hold: no lone surrogate, no control character."""
    return 0 < len(value) <= longest and value.isprintable()


def _short_text(value: Any) -> Optional[str]:
    """Such a text, or a whole number as one; None for anything else."""
    # Python refuses to write a number of more than 4300 digits.
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**63:
        return str(value)
    return value if isinstance(value, str) and _is_text(value) else None


def _stamp(name: str, entity: Mapping[str, Any], body_sha256: str) -> str:
    """The event's own stamp, only where the event may happen again."""
    what = name.rpartition(".")[2]
    if what in _ONCE:
        return ""
    # The moment at which this very thing happened, where the object has one: it stays while the object goes on. What
    # may be tried again happens once for each attempt of the payer.
    stamp = None if what in _SEVERAL else entity.get(f"{what}_at")
    if stamp is None and what not in RETRIED_STATUSES:
        stamp = entity.get("updated_at")
    try:
        # One way to write an instant, so that a webhook and a status check mean the same one.
        return write_datetime(read_datetime(stamp))
    except ValueError:
        return _short_text(stamp) or body_sha256


def event_from_transaction(transaction: Mapping[str, Any]) -> Dict[str, Any]:
    """The event that a transaction read from FedaPay amounts to."""
    status = str(transaction.get("status") or TransactionStatus.pending)
    what = "deleted" if transaction.get("deleted_at") and status not in PAID_STATUSES else status
    return {
        "name": f"transaction.{what}",
        "object": TRANSACTION,
        "object_id": transaction.get("id"),
        "entity": dict(transaction),
    }
