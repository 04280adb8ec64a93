"""Models of a webhook endpoint at FedaPay, and of a sample event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Optional, Tuple, Type, TypeVar

from fedapay_sync.common.frames import private
from fedapay_sync.models.base import FedapayObject, Json, Model
from fedapay_sync.models.entity import Entity, read_entity

S = TypeVar("S", bound="WebhookSample")


@dataclass(frozen=True)
class Webhook(FedapayObject):
    """
    Adresse où FedaPay envoie ses événements. Le secret de signature se lit dans le tableau de bord, jamais ici.

    Attributes:
        url: adresse HTTPS.
        enabled: faux si le webhook a été désactivé, par exemple après dix livraisons manquées.
        ssl_verify: vrai si FedaPay vérifie le certificat.
        disable_on_error: vrai si FedaPay désactive le webhook après dix livraisons manquées.
        http_headers: en-têtes ajoutés à chaque livraison ; ils peuvent contenir des secrets.
        created_at: instant de la création, en UTC.
    """

    envelope: ClassVar[str] = "v1/webhook"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "url", "enabled")

    url: Optional[str] = None
    enabled: Optional[bool] = None
    ssl_verify: Optional[bool] = None
    disable_on_error: Optional[bool] = None
    account_id: Optional[int] = None
    http_headers: Optional[Json] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None


@dataclass(frozen=True)
class WebhookSample(Model):
    """
    Événement inventé par FedaPay pour essayer un webhook.

    Attributes:
        name: nom de l'événement, par exemple ``transaction.approved``.
        entity: l'objet ; un modèle si FedaPay dit lequel, sinon un dictionnaire.
    """

    _repr_fields: ClassVar[Tuple[str, ...]] = ("name",)

    name: Optional[str] = None
    object: Optional[str] = None
    entity: Entity = None

    @classmethod
    @private
    def from_dict(cls: Type[S], data: Mapping[str, Any], *, strict: bool = False) -> S:
        """Lit un événement d'essai. ``entity`` devient le modèle de son genre."""
        sample = super().from_dict({**data, "entity": None} if isinstance(data, Mapping) else data, strict=strict)
        # A frozen model is filled here, while no other code holds it yet.
        sample.__dict__["entity"] = read_entity(cls, data, strict=strict)
        return sample
