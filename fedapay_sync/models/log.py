"""Models of a request that FedaPay logged, and of the queue that its own command line listens to."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, List, Optional, Tuple, Union

from fedapay_sync.models.base import Json, Model
from fedapay_sync.models.entity import decode_json_text

#: JSON that FedaPay puts inside a text; a text that holds no JSON is kept.
_JsonText = Union[Json, List[Any], str, None]


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
    _repr_fields: ClassVar[Tuple[str, ...]] = ("method", "url", "status")

    klass: Optional[str] = None
    id: Union[str, int, None] = None
    method: Optional[str] = None
    url: Optional[str] = None
    status: Optional[int] = None
    ip_address: Optional[str] = None
    version: Optional[str] = None
    source: Optional[str] = None
    query: _JsonText = field(default=None, metadata={"read": decode_json_text})
    body: _JsonText = field(default=None, metadata={"read": decode_json_text})
    response: _JsonText = field(default=None, metadata={"read": decode_json_text})
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

    _repr_fields: ClassVar[Tuple[str, ...]] = ("durable", "auto_delete")

    queue: Optional[str] = None
    nowait: Optional[bool] = None
    durable: Optional[bool] = None
    auto_delete: Optional[bool] = None
    arguments: Optional[Json] = None
