"""
Events: what a webhook, a status check and the events list say of one fact, and the key that makes them one.

FedaPay puts no event id on the wire (signed delivery of 2024), so the key is made from what the fact is.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Dict, Mapping, Optional, Tuple, Type, TypeVar, Union

from fedapay_sync.enums import FINAL_STATUSES, PAID_STATUSES, TransactionStatus
from fedapay_sync.errors import EventError
from fedapay_sync.models.account import Account
from fedapay_sync.models.base import Model
from fedapay_sync.models.common import Json
from fedapay_sync.models.schema import read_datetime, write_datetime
from fedapay_sync.models.transaction import Transaction

TRANSACTION = "transaction"

#: Names that happen once in the life of an object: whatever the stamps say, "deliver the goods" happens once.
_ONCE = frozenset({"approved", "transferred", "refunded", "expired", "deleted"})
#: Names that happen once for each attempt of the payer.
_EACH_ATTEMPT = frozenset({"declined", "canceled"})

E = TypeVar("E", bound="WebhookTransaction")


@dataclass(frozen=True)
class WebhookTransaction(Model):
    """
    Un événement FedaPay, tel qu'un webhook l'apporte.

    Attributes:
        name: nom de l'événement, par exemple ``transaction.approved``.
        object: genre d'objet, ``transaction`` le plus souvent.
        object_id: identifiant de l'objet.
        entity: l'objet ; une ``Transaction`` si c'en est une, sinon un dictionnaire.
        account: le compte marchand concerné, si FedaPay le dit.
    """

    shown: ClassVar[Tuple[str, ...]] = ("name", "object_id")

    name: Optional[str] = None
    object: Optional[str] = None
    object_id: Union[int, str, None] = None
    entity: Union[Transaction, Json, None] = None
    account: Union[Account, Any, None] = None

    @classmethod
    def from_dict(cls: Type[E], data: Mapping[str, Any], *, strict: bool = False) -> E:
        """Lit un événement. ``entity`` devient une ``Transaction`` si l'objet en est une et qu'elle se lit."""
        event = super().from_dict({**data, "entity": None} if isinstance(data, Mapping) else data, strict=strict)
        entity = data.get("entity")
        if isinstance(entity, Mapping):
            is_transaction = kind_of(data) == TRANSACTION and entity.get("id") is not None
            entity = Transaction.from_dict(entity, strict=strict) if is_transaction else dict(entity)
        # A frozen model is filled here, while nobody else holds it yet.
        event.__dict__["entity"] = entity
        return event

    @property
    def id_transaction(self) -> Union[int, str, None]:
        """Identifiant de la transaction, ou ``None`` si l'événement parle d'autre chose."""
        return self.entity.id if isinstance(self.entity, Transaction) else None


@dataclass(frozen=True)
class WebhookHistory(WebhookTransaction):
    """
    Ce que reçoit le callback de webhook : l'événement, et ce que le connecteur en sait.

    Attributes:
        event_key: clé lisible et stable de l'événement, à garder à côté de la commande : la même clé
            est la même livraison, quoi que FedaPay répète.
        attempt: rang de cette exécution ; plus grand que 1 si une précédente a échoué ou est morte en route.
        late: vrai si l'événement est venu après l'échéance, l'annulation ou la suppression.
        suspect: vrai si le montant ou la devise diffèrent de ce qui avait été demandé.
        repeats: vrai si un événement antérieur avait déjà dit que la transaction est payée : le versement au
            marchand (``transaction.transferred``), trois jours après l'accord, n'est pas un second paiement.
        source: ``webhook``, ``status`` (lu chez FedaPay), ``events`` ou ``manual``.
        received_at: instant où l'événement a été gardé, en UTC.
        last_error: pourquoi le callback a échoué la dernière fois, s'il a échoué.
    """

    shown: ClassVar[Tuple[str, ...]] = ("name", "event_key", "attempt", "late", "suspect")

    event_key: str = ""
    attempt: int = 1
    late: bool = False
    suspect: bool = False
    repeats: bool = False
    source: str = "webhook"
    received_at: Optional[datetime] = None
    last_error: Optional[str] = None

    @property
    def paid(self) -> bool:
        """
        Vrai si cet événement, et lui le premier, dit que le client a payé ce qui était demandé : la marchandise peut
        partir. Un seul événement par transaction le dit ; l'état de la transaction est ``entity.was_paid``.
        """
        entity = self.entity
        return (
            not (self.suspect or self.repeats)
            and isinstance(entity, Transaction)
            and entity.was_paid
            and entity.status != TransactionStatus.refunded
        )


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


def kind_of(event: Mapping[str, Any]) -> str:
    """``transaction``, ``payout``, … The entity's own class outweighs a name that says otherwise."""
    entity = event.get("entity")
    klass = entity.get("klass") if isinstance(entity, Mapping) else None
    if isinstance(klass, str) and klass.startswith("v1/"):
        return klass[3:]
    for word in (event.get("object"), str(event.get("name") or "").partition(".")[0]):
        if isinstance(word, str) and word:
            return word
    return ""


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
    entity_id = _short_text(entity.get("id", event.get("object_id")))
    if entity_id is None:
        raise EventError("Événement illisible : « entity.id » (nombre ou texte) est attendu.")
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
    stamp = entity.get(f"{what}_at" if what in _EACH_ATTEMPT else "updated_at")
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
