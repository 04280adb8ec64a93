"""Models of what a payer paid with, and from where."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Optional, Tuple, Union

from fedapay_sync.models.base import FedapayObject


@dataclass(frozen=True)
class PaymentMethod(FedapayObject):
    """
    Moyen de paiement utilisé par le client.

    Attributes:
        brand: opérateur, par exemple ``moov``.
        method: genre, par exemple ``phone``.
        country: code ISO 3166-1 du pays, en majuscules (``BJ``).
        number: chiffres avec l'indicatif, sans « + ».
        created_at: instant de la création, en UTC.
    """

    envelope: ClassVar[str] = "v1/payment_method"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "brand", "country")

    brand: Optional[str] = None
    method: Optional[str] = None
    country: Optional[str] = None
    number: Optional[str] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
    deleted_at: Optional[datetime] = None


@dataclass(frozen=True)
class PaymentSource(FedapayObject):
    """
    D'où un paiement est venu : produit, appareil, navigateur, lieu.

    Attributes:
        latitude: degrés décimaux.
        longitude: degrés décimaux.
        sourceable_type: genre de l'objet payé.
        sourceable_id: son identifiant.
        created_at: instant de la création, en UTC.
    """

    envelope: ClassVar[str] = "v1/payment_source"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "product", "channel")

    product: Optional[str] = None
    channel: Optional[str] = None
    referrer: Optional[str] = None
    lib: Optional[str] = None
    lib_version: Optional[str] = None
    api_version: Optional[str] = None
    ip: Optional[str] = None
    device: Optional[str] = None
    device_vendor: Optional[str] = None
    os: Optional[str] = None
    os_version: Optional[str] = None
    browser: Optional[str] = None
    browser_version: Optional[str] = None
    country: Optional[str] = None
    city: Optional[str] = None
    region: Optional[str] = None
    latitude: Optional[Decimal] = None
    longitude: Optional[Decimal] = None
    account_id: Optional[int] = None
    sourceable_type: Optional[str] = None
    sourceable_id: Union[int, str, None] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
