"""What FedaPay writes down: events, requests it answered, and the queue that its own command line listens to."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Dict, List, Mapping, Optional, Tuple, Type, TypeVar, Union

from fedapay_sync.models.base import Model
from fedapay_sync.models.common import Json
from fedapay_sync.models.entity import Entity, decoded, read_entity
from fedapay_sync.models.schema import plain

E = TypeVar("E", bound="Event")

#: JSON that FedaPay puts inside a text; a text that holds no JSON is kept.
_JsonText = Union[Json, List[Any], str, None]


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
    shown: ClassVar[Tuple[str, ...]] = ("id", "type", "object_id")

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
    def from_dict(cls: Type[E], data: Mapping[str, Any], *, strict: bool = False) -> E:
        """Lit un événement. ``entity``, du JSON dans un texte chez FedaPay, devient le modèle de son genre."""
        event = super().from_dict({**data, "entity": None} if isinstance(data, Mapping) else data, strict=strict)
        # A frozen model is filled here, while nobody else holds it yet.
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
            "entity": plain(self.entity),
        }


@dataclass(frozen=True)
class Log(Model):
    """
    Requête que FedaPay a reçue, et sa réponse. Elles contiennent des données de clients.

    Attributes:
        status: code HTTP de la réponse.
        version: version de la bibliothèque du client, ``Unknown`` si elle ne l'a pas dite.
        source: nom de cette bibliothèque.
        query: paramètres de l'adresse.
        body: corps de la requête ; un texte si ce n'est pas du JSON.
        response: la réponse, sans son enveloppe.
        created_at: instant de la requête, en UTC.
    """

    envelope: ClassVar[str] = "v1/log"
    shown: ClassVar[Tuple[str, ...]] = ("method", "url", "status")

    klass: Optional[str] = None
    id: Union[str, int, None] = None
    method: Optional[str] = None
    url: Optional[str] = None
    status: Optional[int] = None
    ip_address: Optional[str] = None
    version: Optional[str] = None
    source: Optional[str] = None
    query: _JsonText = field(default=None, metadata={"read": decoded})
    body: _JsonText = field(default=None, metadata={"read": decoded})
    response: _JsonText = field(default=None, metadata={"read": decoded})
    account_id: Optional[int] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None


@dataclass(frozen=True)
class QueueOptions(Model):
    """
    File AMQP où FedaPay annonce ses événements ou ses requêtes à son outil en ligne de commande.

    Attributes:
        queue: nom de la file ; qui le connaît peut l'écouter.
        arguments: réglages de la file (``x-message-ttl``, ``x-expires``, ``x-single-active-consumer``).
    """

    shown: ClassVar[Tuple[str, ...]] = ("durable", "auto_delete")

    queue: Optional[str] = None
    nowait: Optional[bool] = None
    durable: Optional[bool] = None
    auto_delete: Optional[bool] = None
    arguments: Optional[Json] = None
