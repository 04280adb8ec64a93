"""Models of a payout, which sends money to a phone, and of a batch of them."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, List, Optional, Tuple, Union

from fedapay_sync.display.payouts import payout_html
from fedapay_sync.display.words import payout_state
from fedapay_sync.enums import FINAL_PAYOUT_STATUSES, PayoutStatus
from fedapay_sync.models.base import FedapayObject, Json
from fedapay_sync.models.batch import Batch
from fedapay_sync.models.currency import Currency
from fedapay_sync.models.customer import Customer
from fedapay_sync.models.schema import Francs


@dataclass(frozen=True)
class Payout(FedapayObject):
    """
    Dépôt : une somme envoyée à un bénéficiaire. Créé, il n'est encore rien : c'est le démarrage qui envoie.

    Attributes:
        amount: somme en francs entiers.
        status: statut connu de cette version, ou texte brut si FedaPay en a créé un nouveau.
        mode: code de l'opérateur ; la somme vient du solde du même mode.
        last_error_code: raison d'un échec.
        commission: taux décimal, ``0.04`` pour 4 %.
        fees: frais en francs entiers.
        fixed_commission: part fixe de la commission, en francs entiers.
        amount_transferred: somme reçue par le bénéficiaire, en francs entiers.
        amount_debited: somme prise au solde, en francs entiers.
        scheduled_at: instant prévu de l'envoi, en UTC ; ``None`` si rien n'est prévu.
        started_at: instant du démarrage, en UTC.
        sent_at: instant de l'arrivée chez le bénéficiaire, en UTC.
        failed_at: instant de l'échec, en UTC.
        deleted_at: instant de la suppression, en UTC.
        merchant_reference: référence du marchand, unique chez FedaPay.
    """

    envelope: ClassVar[str] = "v1/payout"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "reference", "amount", "status", "mode")

    reference: Optional[str] = None
    amount: Optional[Francs] = None
    description: Optional[str] = None
    status: Union[PayoutStatus, str, None] = None
    customer_id: Optional[int] = None
    currency_id: Optional[int] = None
    mode: Optional[str] = None
    last_error_code: Optional[str] = None
    last_error_message: Optional[str] = None
    commission: Optional[Decimal] = None
    fees: Optional[Francs] = None
    fixed_commission: Optional[Francs] = None
    amount_transferred: Optional[Francs] = None
    amount_debited: Optional[Francs] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
    scheduled_at: Optional[datetime] = None
    started_at: Optional[datetime] = None
    sent_at: Optional[datetime] = None
    failed_at: Optional[datetime] = None
    deleted_at: Optional[datetime] = None
    metadata: Optional[Json] = None
    custom_metadata: Union[Json, List[Any], None] = None
    payment_method_id: Optional[int] = None
    transaction_key: Optional[str] = None
    merchant_reference: Optional[str] = None
    account_id: Optional[int] = None
    balance_id: Optional[int] = None
    customer: Optional[Customer] = None
    currency: Optional[Currency] = None

    def _shown_fields(self) -> Json:
        return {**super()._shown_fields(), "state": payout_state(self.status).word}

    def _repr_html_(self) -> str:
        return payout_html(self)

    @property
    def was_sent(self) -> bool:
        """Vrai si le bénéficiaire a reçu la somme."""
        return self.status == PayoutStatus.sent

    @property
    def is_final(self) -> bool:
        """Vrai si le dépôt est arrivé ou a échoué. FedaPay permet peut-être de relancer un dépôt échoué."""
        # What FedaPay sent instead of a text was kept as it came, and may have no hash.
        return isinstance(self.status, str) and self.status in FINAL_PAYOUT_STATUSES


@dataclass(frozen=True)
class PayoutBatch(Batch):
    """
    Réponse à une création de dépôts par lot.

    Attributes:
        payouts: les dépôts créés.
        errors: ce que FedaPay a refusé, tel qu'il le dit.
    """

    envelope: ClassVar[str] = "v1/payout_batch"
    _created_field: ClassVar[str] = "payouts"

    klass: Optional[str] = None
    payouts: Optional[List[Payout]] = None
    errors: Optional[List[Any]] = None
