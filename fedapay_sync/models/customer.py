"""Models of a customer and of their phone number."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Optional, Tuple

from fedapay_sync.models.base import FedapayObject


@dataclass(frozen=True)
class PhoneNumber(FedapayObject):
    """
    Numéro de téléphone d'un client.

    Attributes:
        number: chiffres, d'ordinaire avec l'indicatif et sans « + » (``22964000001``).
        country: code ISO 3166-1 du pays.
        created_at: instant de la création, en UTC.
    """

    envelope: ClassVar[str] = "v1/phone_number"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "country")

    number: Optional[str] = None
    country: Optional[str] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None


@dataclass(frozen=True)
class Customer(FedapayObject):
    """
    Client ; l'adresse e-mail l'identifie chez FedaPay.

    Attributes:
        email: adresse e-mail ; ``None`` si seul le téléphone est connu.
        phone_number: numéro, si FedaPay l'a joint ; sinon seul ``phone_number_id`` y renvoie.
        created_at: instant de la création, en UTC.
    """

    envelope: ClassVar[str] = "v1/customer"

    firstname: Optional[str] = None
    lastname: Optional[str] = None
    full_name: Optional[str] = None
    email: Optional[str] = None
    account_id: Optional[int] = None
    phone_number_id: Optional[int] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
    deleted_at: Optional[datetime] = None
    phone_number: Optional[PhoneNumber] = None
