"""Models of a transaction and of what the calls about it answer: token, intent, fees, receipt."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, List, Optional, Tuple, Union

from fedapay_sync.display import payments
from fedapay_sync.enums import PAID_STATUSES, TransactionStatus
from fedapay_sync.models.balance import Balance
from fedapay_sync.models.base import FedapayObject, Json, Model
from fedapay_sync.models.batch import Batch
from fedapay_sync.models.currency import Currency
from fedapay_sync.models.customer import Customer
from fedapay_sync.models.payment_method import PaymentMethod
from fedapay_sync.models.schema import Francs


@dataclass(frozen=True)
class Transaction(Model):
    """
    Collecte : une somme demandée à un client.

    Attributes:
        id: identifiant FedaPay.
        amount: montant demandé, en francs entiers (le XOF et le GNF n'ont pas de centimes).
        status: statut connu de cette version, ou texte brut si FedaPay en a créé un nouveau.
        mode: code de l'opérateur ; ``None`` tant qu'aucun paiement n'est tenté.
        commission: taux décimal, ``0.04`` pour 4 %.
        fees: frais en francs entiers.
        amount_debited: somme prise au client, en francs entiers.
        fixed_commission: part fixe de la commission, en francs entiers.
        amount_transferred: somme versée au marchand, en francs entiers.
        approved_at: instant de l'accord, en UTC ; ``None`` tant que rien n'est payé.
        deleted_at: instant de l'annulation ; le statut reste alors ``pending``.
        merchant_reference: référence du marchand, unique chez FedaPay.
        last_error_code: dernier échec ; il peut rester sur une transaction payée depuis.
        to_be_transferred_at: instant prévu du versement au marchand, en UTC.
        operator_commission: taux décimal de l'opérateur, connu des événements seulement.
        operator_fees: frais de l'opérateur, en francs.
        payment_token: jeton de paiement ; présent tant que la transaction est en attente.
        payment_url: lien de la page de paiement ; présent tant que la transaction est en attente.
    """

    envelope: ClassVar[str] = "v1/transaction"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "reference", "amount", "status", "mode")

    id: int
    klass: Optional[str] = None
    reference: Optional[str] = None
    amount: Optional[Francs] = None
    description: Optional[str] = None
    callback_url: Optional[str] = None
    status: Union[TransactionStatus, str, None] = None
    customer_id: Optional[int] = None
    currency_id: Optional[int] = None
    mode: Optional[str] = None
    operation: Optional[str] = None
    metadata: Optional[Json] = None
    commission: Optional[Decimal] = None
    fees: Optional[Francs] = None
    fixed_commission: Optional[Francs] = None
    amount_transferred: Optional[Francs] = None
    amount_debited: Optional[Francs] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
    approved_at: Optional[datetime] = None
    canceled_at: Optional[datetime] = None
    declined_at: Optional[datetime] = None
    refunded_at: Optional[datetime] = None
    transferred_at: Optional[datetime] = None
    expired_at: Optional[datetime] = None
    deleted_at: Optional[datetime] = None
    approved_partially_refunded_at: Optional[datetime] = None
    transferred_partially_refunded_at: Optional[datetime] = None
    to_be_transferred_at: Optional[datetime] = None
    last_error_code: Optional[str] = None
    last_error_message: Optional[str] = None
    custom_metadata: Union[Json, List[Any], None] = None
    receipt_url: Optional[str] = None
    payment_method_id: Optional[int] = None
    sub_accounts_commissions: Union[Json, List[Any], None] = None
    transaction_key: Optional[str] = None
    merchant_reference: Optional[str] = None
    account_id: Optional[int] = None
    balance_id: Optional[int] = None
    payment_token: Optional[str] = None
    payment_url: Optional[str] = None
    flags: Optional[List[Any]] = None
    items: Optional[int] = None
    page_id: Optional[int] = None
    lock_transfer: Optional[bool] = None
    operator_commission: Optional[Decimal] = None
    operator_fees: Optional[Decimal] = None
    operator_fixed_commission: Optional[Decimal] = None
    marketplace_transaction_id: Optional[int] = None
    sub_commissions_transferred_at: Optional[datetime] = None
    transferred_count: Optional[int] = None
    scheduled_transfer_at: Optional[datetime] = None
    paid_at: Optional[datetime] = None
    customer: Optional[Customer] = None
    currency: Optional[Currency] = None
    payment_method: Optional[PaymentMethod] = None
    balance: Optional[Balance] = None
    refunds: Optional[List[Any]] = None

    def _shown_fields(self) -> Json:
        # A deleted one stays pending at FedaPay.
        return {**super()._shown_fields(), "state": payments.state_of(self).word}

    def _repr_html_(self) -> str:
        return payments.transaction_html(self)

    @property
    def was_paid(self) -> bool:
        """Vrai si le client a été débité, même si la somme lui a été rendue depuis."""
        # What FedaPay sent instead of a text was kept as it came, and may have no hash.
        return isinstance(self.status, str) and self.status in PAID_STATUSES

    @property
    def was_refunded(self) -> bool:
        """Vrai si la somme a été rendue au client, en tout ou en partie."""
        return isinstance(self.status, str) and "refunded" in self.status

    @property
    def was_partially_refunded(self) -> bool:
        """Vrai si une partie seulement de la somme a été rendue au client."""
        return isinstance(self.status, str) and "partially_refunded" in self.status

    @property
    def is_deleted(self) -> bool:
        """Vrai si la transaction a été annulée (son lien ne permet plus de payer)."""
        return self.deleted_at is not None


@dataclass(frozen=True)
class TransactionToken(Model):
    """Jeton de paiement et lien de la page où le client peut payer."""

    _repr_fields: ClassVar[Tuple[str, ...]] = ()

    token: Optional[str] = None
    payment_link: Optional[str] = field(default=None, metadata={"wire": "url"})


@dataclass(frozen=True)
class PaymentIntent(FedapayObject):
    """Réponse à l'invitation envoyée au téléphone du client : elle est partie, rien n'est encore payé."""

    envelope: ClassVar[str] = "v1/payment_intent"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("reference", "status", "mode")

    reference: Optional[str] = None
    status: Union[TransactionStatus, str, None] = None
    mode: Optional[str] = None


@dataclass(frozen=True)
class TransactionDeleteStatus(Model):
    """Résultat d'une annulation réussie."""

    _repr_fields: ClassVar[Tuple[str, ...]] = ("delete_status", "status_code")

    delete_status: bool
    status_code: int
    message: Optional[str] = None


@dataclass(frozen=True)
class TransactionBatch(Batch):
    """
    Réponse à une création par lot.

    Attributes:
        transactions: les transactions créées.
        errors: ce que FedaPay a refusé, tel qu'il le dit.
    """

    envelope: ClassVar[str] = "v1/transaction_batch"
    _created_field: ClassVar[str] = "transactions"

    klass: Optional[str] = None
    transactions: Optional[List[Transaction]] = None
    errors: Optional[List[Any]] = None


@dataclass(frozen=True)
class Fees(Model):
    """
    Frais d'un paiement, annoncés avant qu'il ait lieu.

    Attributes:
        amount_debited: somme qui sera prise au client, en francs entiers.
        amount_transferred: somme qui sera versée au marchand, en francs entiers.
        apply_fees_to_merchant: vrai si le marchand paie les frais, faux si c'est le client.
        commission: taux décimal, ``0.04`` pour 4 %.
        fees: frais en francs entiers.
        fixed_commission: part fixe de la commission, en francs entiers.
        message: phrase pour le client ; ``{fees}`` y tient la place des frais.
    """

    _repr_fields: ClassVar[Tuple[str, ...]] = ("amount_debited", "amount_transferred", "fees", "commission")

    amount_debited: Optional[Francs] = None
    amount_transferred: Optional[Francs] = None
    apply_fees_to_merchant: Optional[bool] = None
    commission: Optional[Decimal] = None
    fees: Optional[Francs] = None
    fixed_commission: Optional[Francs] = None
    message: Optional[str] = None


@dataclass(frozen=True)
class ReceiptLink(Model):
    """
    Lien du reçu d'un paiement.

    Attributes:
        url: adresse ; elle contient un jeton qui vaut 24 heures.
    """

    _repr_fields: ClassVar[Tuple[str, ...]] = ()

    url: Optional[str] = None
