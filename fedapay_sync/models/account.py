"""Models of a merchant account, as short as in most answers or as long as in webhooks, and of what it holds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, List, Optional, Tuple

from fedapay_sync.models.balance import Balance
from fedapay_sync.models.base import FedapayObject, Model
from fedapay_sync.models.currency import Currency
from fedapay_sync.models.schema import Francs


@dataclass(frozen=True)
class AssetUrls(Model):
    """Adresses d'un document, entier et en vignette."""

    _repr_fields: ClassVar[Tuple[str, ...]] = ()

    original: Optional[str] = None
    thumbnail: Optional[str] = None


@dataclass(frozen=True)
class AssetMetadata(Model):
    """
    Ce que le document était à son dépôt.

    Attributes:
        size: taille en octets.
    """

    _repr_fields: ClassVar[Tuple[str, ...]] = ("mime_type", "size")

    filename: Optional[str] = None
    size: Optional[int] = None
    mime_type: Optional[str] = None


@dataclass(frozen=True)
class Asset(FedapayObject):
    """
    Document d'un compte : pièce d'identité, registre de commerce, signature.

    Attributes:
        public: vrai si le document se lit sans clé.
        created_at: instant du dépôt, en UTC.
    """

    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "mime_type")

    public: Optional[bool] = None
    mime_type: Optional[str] = None
    urls: Optional[AssetUrls] = None
    original_metadata: Optional[AssetMetadata] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None


@dataclass(frozen=True)
class User(FedapayObject):
    """
    Personne qui a accès à un compte.

    Attributes:
        confirmed_at: instant où son adresse a été confirmée, en UTC.
        reset_sent_at: instant où un nouveau mot de passe lui a été proposé, en UTC.
    """

    email: Optional[str] = None
    firstname: Optional[str] = None
    lastname: Optional[str] = None
    locale: Optional[str] = None
    admin: Optional[bool] = None
    admin_role: Optional[str] = None
    two_fa_enabled: Optional[bool] = None
    confirmed_at: Optional[datetime] = None
    reset_sent_at: Optional[datetime] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None


@dataclass(frozen=True)
class UserAccount(FedapayObject):
    """Lien entre une personne et un compte, avec son rôle."""

    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "account_id", "user_id", "role_id")

    account_id: Optional[int] = None
    user_id: Optional[int] = None
    role_id: Optional[int] = None


@dataclass(frozen=True)
class ApiKey(FedapayObject):
    """
    Paire de clés d'un compte marchand.

    Attributes:
        public_key: clé publique.
        private_key: clé secrète ; elle permet de déplacer de l'argent. Rien ne l'affiche, sauf ``to_dict``.
        created_at: instant de la création, en UTC.
    """

    envelope: ClassVar[str] = "v1/api_key"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "public_key")

    public_key: Optional[str] = None
    private_key: Optional[str] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None


@dataclass(frozen=True)
class Account(FedapayObject):
    """
    Compte marchand. Les webhooks en portent la forme longue, pleine de données personnelles : ne pas la journaliser.

    Attributes:
        country: code ISO 3166-1 du pays, en majuscules (``BJ``).
        timezone: fuseau horaire, ``UTC`` d'ordinaire.
        verified: vrai si FedaPay a vérifié le compte.
        balance_issue_diff: écart de solde, en francs entiers.
        last_balance_issue_checked_at: instant de la dernière vérification des soldes, en UTC.
        balances: un solde par opérateur.
        created_at: instant de la création, en UTC.
    """

    envelope: ClassVar[str] = "v1/account"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "reference")

    name: Optional[str] = None
    timezone: Optional[str] = None
    country: Optional[str] = None
    verified: Optional[bool] = None
    reference: Optional[str] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
    business_type: Optional[str] = None
    business_identity_type: Optional[str] = None
    business_identity_number: Optional[str] = None
    business_vat_number: Optional[str] = None
    business_registration_number: Optional[str] = None
    business_category: Optional[str] = None
    business_website: Optional[str] = None
    business_address: Optional[str] = None
    business_name: Optional[str] = None
    business_phone: Optional[str] = None
    business_email: Optional[str] = None
    business_owner: Optional[str] = None
    business_company_capital: Optional[str] = None
    business_description: Optional[str] = None
    blocked: Optional[bool] = None
    blocked_reason: Optional[str] = None
    submitted: Optional[bool] = None
    reject_reason: Optional[str] = None
    has_balance_issue: Optional[bool] = None
    last_balance_issue_checked_at: Optional[datetime] = None
    balance_issue_diff: Optional[Francs] = None
    prospect_code: Optional[str] = None
    deal_closer_code: Optional[str] = None
    manager_code: Optional[str] = None
    business_identity_id: Optional[int] = None
    business_vat_id: Optional[int] = None
    business_registration_id: Optional[int] = None
    business_owner_signature_id: Optional[int] = None
    business_identity: Optional[Asset] = None
    business_vat: Optional[Asset] = None
    business_registration: Optional[Asset] = None
    business_owner_signature: Optional[Asset] = None
    user_accounts: Optional[List[UserAccount]] = None
    users: Optional[List[User]] = None
    api_keys: Optional[List[ApiKey]] = None
    balances: Optional[List[Balance]] = None
    currencies: Optional[List[Currency]] = None
    bank_accounts: Optional[List[Any]] = None
    mobile_accounts: Optional[List[Any]] = None
    card_accounts: Optional[List[Any]] = None
