"""Objects that stand beside transactions: customers, currencies, accounts, the page of a list."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Dict, List, Optional, Tuple

from .base import Model


@dataclass(frozen=True)
class ListMeta(Model):
    """Place d'une page dans sa liste (les pages se comptent à partir de 1)."""

    shown: ClassVar[Tuple[str, ...]] = ("current_page", "total_pages", "total_count")

    current_page: Optional[int] = None
    next_page: Optional[int] = None
    prev_page: Optional[int] = None
    per_page: Optional[int] = None
    total_pages: Optional[int] = None
    total_count: Optional[int] = None


@dataclass(frozen=True)
class Customer(Model):
    """Client ; l'adresse e-mail l'identifie chez FedaPay."""

    envelope: ClassVar[str] = "v1/customer"

    klass: Optional[str] = None
    id: Optional[int] = None
    firstname: Optional[str] = None
    lastname: Optional[str] = None
    full_name: Optional[str] = None
    email: Optional[str] = None
    account_id: Optional[int] = None
    phone_number_id: Optional[int] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
    deleted_at: Optional[datetime] = None


@dataclass(frozen=True)
class Currency(Model):
    """Devise ; l'identifiant 1 est le XOF."""

    envelope: ClassVar[str] = "v1/currency"
    shown: ClassVar[Tuple[str, ...]] = ("id", "iso")

    klass: Optional[str] = None
    id: Optional[int] = None
    name: Optional[str] = None
    iso: Optional[str] = None
    code: Optional[int] = None
    prefix: Optional[str] = None
    suffix: Optional[str] = None
    div: Optional[int] = None
    default: Optional[bool] = None
    modes: Optional[List[str]] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None


@dataclass(frozen=True)
class Account(Model):
    """Compte marchand. Les webhooks en portent la forme longue ; le reste de ses champs est dans ``extra``."""

    envelope: ClassVar[str] = "v1/account"
    shown: ClassVar[Tuple[str, ...]] = ("id", "reference")

    klass: Optional[str] = None
    id: Optional[int] = None
    name: Optional[str] = None
    timezone: Optional[str] = None
    country: Optional[str] = None
    verified: Optional[bool] = None
    reference: Optional[str] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None


@dataclass(frozen=True)
class PaymentMethod(Model):
    """Moyen de paiement utilisé par le client."""

    envelope: ClassVar[str] = "v1/payment_method"
    shown: ClassVar[Tuple[str, ...]] = ("id", "brand", "country")

    klass: Optional[str] = None
    id: Optional[int] = None
    brand: Optional[str] = None
    method: Optional[str] = None
    country: Optional[str] = None
    number: Optional[str] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
    deleted_at: Optional[datetime] = None


Json = Dict[str, Any]
