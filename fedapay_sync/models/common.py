"""Objects that stand beside transactions: customers, currencies, balances, the page of a list."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Dict, List, Optional, Tuple, Union

from fedapay_sync.models.base import Model
from fedapay_sync.models.schema import Francs

Json = Dict[str, Any]


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


class Batch(Model):
    """Réponse à une création par lot : ce qui a été créé, et ``errors``."""

    shown: ClassVar[Tuple[str, ...]] = ("created_count", "error_count")
    #: The field that holds what was created.
    created: ClassVar[str]
    errors: Optional[List[Any]]

    @property
    def created_count(self) -> int:
        """Nombre d'objets créés."""
        return _count(getattr(self, self.created))

    @property
    def error_count(self) -> int:
        """Nombre de refus."""
        return _count(self.errors)


def _count(found: Any) -> int:
    return len(found) if isinstance(found, list) else 0


@dataclass(frozen=True)
class PhoneNumber(Model):
    """
    Numéro de téléphone d'un client.

    Attributes:
        number: chiffres, d'ordinaire avec l'indicatif et sans « + » (``22964000001``).
        country: code ISO 3166-1 du pays.
        created_at: instant de la création, en UTC.
    """

    envelope: ClassVar[str] = "v1/phone_number"
    shown: ClassVar[Tuple[str, ...]] = ("id", "country")

    klass: Optional[str] = None
    id: Optional[int] = None
    number: Optional[str] = None
    country: Optional[str] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None


@dataclass(frozen=True)
class Customer(Model):
    """
    Client ; l'adresse e-mail l'identifie chez FedaPay.

    Attributes:
        email: adresse e-mail ; ``None`` si seul le téléphone est connu.
        phone_number: numéro, si FedaPay l'a joint ; sinon seul ``phone_number_id`` y renvoie.
        created_at: instant de la création, en UTC.
    """

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
    phone_number: Optional[PhoneNumber] = None


@dataclass(frozen=True)
class Currency(Model):
    """
    Devise ; l'identifiant 1 est le XOF.

    Attributes:
        iso: code ISO 4217 en lettres, ``XOF``.
        code: code ISO 4217 en chiffres, ``952``.
        div: nombre de subdivisions ; 1 pour le XOF, qui n'a pas de centimes.
        modes: codes des opérateurs ouverts dans cette devise.
        created_at: instant de la création, en UTC.
    """

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
class Balance(Model):
    """
    Solde du compte marchand ; il y en a un par opérateur, et ils ne s'additionnent pas pour un dépôt.

    Attributes:
        amount: somme en francs entiers.
        mode: code de l'opérateur ; ``None`` pour le solde qui n'en a pas.
        created_at: instant de la création, en UTC.
    """

    envelope: ClassVar[str] = "v1/balance"
    shown: ClassVar[Tuple[str, ...]] = ("id", "mode", "amount")

    klass: Optional[str] = None
    id: Optional[int] = None
    amount: Optional[Francs] = None
    mode: Optional[str] = None
    currency_id: Optional[int] = None
    account_id: Optional[int] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
    deleted_at: Optional[datetime] = None


@dataclass(frozen=True)
class ApiKey(Model):
    """
    Paire de clés d'un compte marchand.

    Attributes:
        public_key: clé publique.
        private_key: clé secrète ; elle permet de déplacer de l'argent. Rien ne l'affiche, sauf ``to_dict``.
        created_at: instant de la création, en UTC.
    """

    envelope: ClassVar[str] = "v1/api_key"
    shown: ClassVar[Tuple[str, ...]] = ("id", "public_key")

    klass: Optional[str] = None
    id: Optional[int] = None
    public_key: Optional[str] = None
    private_key: Optional[str] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None


@dataclass(frozen=True)
class PaymentMethod(Model):
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


@dataclass(frozen=True)
class PaymentSource(Model):
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
    shown: ClassVar[Tuple[str, ...]] = ("id", "product", "channel")

    klass: Optional[str] = None
    id: Optional[int] = None
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
