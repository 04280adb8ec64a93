"""Models of a payment page, on which every visitor with the link can pay, and of its public view."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, List, Optional, Tuple, Type, TypeVar, Union

from fedapay_sync.common.frames import private
from fedapay_sync.models.base import FedapayObject, Json, Model
from fedapay_sync.models.currency import Currency
from fedapay_sync.models.schema import Francs

V = TypeVar("V", bound="PageVerification")


@dataclass(frozen=True)
class PaymentPage(FedapayObject):
    """
    Page de paiement.

    Attributes:
        reference: 8 caractères ; la page se retrouve par elle.
        amount: montant en francs entiers ; ``None`` si le client le choisit.
        published: vrai si la page est ouverte.
        enable_phone_number: vrai si la page demande un numéro de téléphone.
        custom_fields: champs que le marchand a ajoutés.
        thank_you: ce que le client lit après avoir payé.
        long_description: description en HTML.
        created_at: instant de la création, en UTC.
    """

    envelope: ClassVar[str] = "v1/page"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "reference", "name", "amount", "published")

    name: Optional[str] = None
    reference: Optional[str] = None
    description: Optional[str] = None
    amount: Optional[Francs] = None
    published: Optional[bool] = None
    enable_phone_number: Optional[bool] = None
    callback_url: Optional[str] = None
    custom_fields: Optional[List[Any]] = None
    thank_you: Optional[str] = None
    long_description: Optional[str] = None
    image_url: Optional[str] = None
    currency_id: Optional[int] = None
    account_id: Optional[int] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
    deleted_at: Optional[datetime] = None
    currency: Optional[Currency] = None


@dataclass(frozen=True)
class PageVerification(Model):
    """
    Une page retrouvée par sa référence, avec les réglages de son compte.

    Attributes:
        page: la page.
        settings: les réglages, tels que FedaPay les dit.
    """

    envelope: ClassVar[str] = "v1/page_verify"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("page",)

    klass: Optional[str] = None
    page: Optional[PaymentPage] = None
    settings: Union[Json, Any, None] = None

    @classmethod
    @private
    def from_dict(cls: Type[V], data: Mapping[str, Any], *, strict: bool = False) -> V:
        """Lit la réponse. FedaPay y écrit aussi ``sesstings`` pour ``settings``."""
        if isinstance(data, Mapping) and "sesstings" in data and "settings" not in data:
            data = {"settings" if name == "sesstings" else name: value for name, value in data.items()}
        return super().from_dict(data, strict=strict)
