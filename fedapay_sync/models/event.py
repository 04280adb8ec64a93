"""Models of an event: as a webhook brings it, as our callback gets it, as the list /v1/events keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Dict, Optional, Tuple, Type, TypeVar, Union

from fedapay_sync.common.frames import private
from fedapay_sync.enums import TransactionStatus
from fedapay_sync.models.account import Account
from fedapay_sync.models.base import Json, Model
from fedapay_sync.models.entity import TRANSACTION, Entity, id_of, kind_of, read_entity
from fedapay_sync.models.schema import to_plain
from fedapay_sync.models.transaction import Transaction

E = TypeVar("E", bound="Event")
W = TypeVar("W", bound="WebhookTransaction")


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

    _repr_fields: ClassVar[Tuple[str, ...]] = ("name", "object_id")

    name: Optional[str] = None
    object: Optional[str] = None
    object_id: Union[int, str, None] = None
    entity: Union[Transaction, Json, None] = None
    account: Union[Account, Any, None] = None

    @classmethod
    @private
    def from_dict(cls: Type[W], data: Mapping[str, Any], *, strict: bool = False) -> W:
        """Lit un événement. ``entity`` devient une ``Transaction`` si l'objet en est une et qu'elle se lit."""
        event = super().from_dict({**data, "entity": None} if isinstance(data, Mapping) else data, strict=strict)
        entity = data.get("entity")
        if isinstance(entity, Mapping):
            number = id_of(data)
            is_transaction = kind_of(data) == TRANSACTION and number is not None
            entity = Transaction.from_dict({**entity, "id": number}, strict=strict) if is_transaction else dict(entity)
        # A frozen model is filled here, while no other code holds it yet.
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
        known: vrai si cette base a demandé ce paiement (``pay``) ; faux s'il vient d'ailleurs : Checkout.js, un
            autre programme, une autre base.
        suspect: vrai si c'est payé, mais pas ce qui était demandé : autre montant, autre devise, ou une autre
            transaction sous une référence d'ici. Ne rien livrer avant qu'une personne ait regardé.
        repeats: vrai si un événement antérieur avait déjà dit que la transaction est payée : le versement au
            marchand (``transaction.transferred``), trois jours après l'accord, n'est pas un second paiement.
        source: ``webhook``, ``status`` (lu chez FedaPay), ``events`` ou ``manual``.
        received_at: instant où l'événement a été gardé, en UTC.
        last_error: pourquoi le callback a échoué la dernière fois, s'il a échoué.
        callback: nom du callback qui est appelé, ou qui a échoué ; ``None`` pour un événement qu'aucun n'a reçu.
    """

    _repr_fields: ClassVar[Tuple[str, ...]] = ("name", "event_key", "attempt", "late", "known", "suspect")

    event_key: str = ""
    attempt: int = 1
    late: bool = False
    known: bool = False
    suspect: bool = False
    repeats: bool = False
    source: str = "webhook"
    received_at: Optional[datetime] = None
    last_error: Optional[str] = None
    callback: Optional[str] = None

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
class Event(Model):
    """
    Événement de la liste ``/v1/events``. FedaPay n'y répète pas les webhooks, il les garde : après une longue panne,
    c'est là que se retrouve ce qui a été manqué.

    Attributes:
        id: identifiant, un texte.
        type: nom de l'événement, par exemple ``transaction.approved`` ; un webhook l'appelle ``name``.
        entity: l'objet tel qu'il était alors : un modèle si l'on en a un de ce genre, sinon un dictionnaire.
        object_id: identifiant de l'objet.
        object: genre d'objet, ``transaction`` ou ``customer`` par exemple.
        created_at: instant de l'événement, en UTC.
    """

    envelope: ClassVar[str] = "v1/event"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "type", "object_id")

    klass: Optional[str] = None
    id: Union[str, int, None] = None
    type: Optional[str] = None
    entity: Entity = None
    object_id: Union[int, str, None] = None
    account_id: Optional[int] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
    object: Optional[str] = None

    @classmethod
    @private
    def from_dict(cls: Type[E], data: Mapping[str, Any], *, strict: bool = False) -> E:
        """Lit un événement. ``entity``, du JSON dans un texte chez FedaPay, devient le modèle de son genre."""
        event = super().from_dict({**data, "entity": None} if isinstance(data, Mapping) else data, strict=strict)
        # A frozen model is filled here, while no other code holds it yet.
        event.__dict__["entity"] = read_entity(cls, {**data, "name": data.get("type")}, strict=strict)
        return event

    @property
    def name(self) -> Optional[str]:
        """Le nom de l'événement, comme un webhook l'appelle."""
        return self.type

    def as_webhook(self) -> Dict[str, Any]:
        """L'événement dans la forme qu'un webhook lui donne : ``name``, ``object``, ``object_id``, ``entity``."""
        return {
            "name": self.type,
            "object": self.object,
            "object_id": self.object_id,
            "entity": to_plain(self.entity),
        }
