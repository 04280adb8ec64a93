"""Models of an invoice, made in the dashboard or by the API, and of its public view."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Optional, Tuple, Union

from fedapay_sync.models.base import FedapayObject, Json, Model
from fedapay_sync.models.currency import Currency
from fedapay_sync.models.schema import Francs


@dataclass(frozen=True)
class Invoice(FedapayObject):
    """
    Facture.

    Attributes:
        status: ``sent`` quand elle est envoyée ; les autres mots de FedaPay ne sont pas publiés.
        tax: taxe, telle que FedaPay la compte.
        discount_type: genre de remise, ``percentage`` pour un pourcentage.
        discount_amount: remise demandée, dans l'unité de ``discount_type``.
        discount: remise calculée.
        sub_total: somme des articles, en francs entiers.
        before_tax: somme avant taxe, en francs entiers.
        tax_amount: taxe, en francs entiers.
        ttc: somme toutes taxes comprises, en francs entiers.
        total_amount_paid: somme déjà payée, en francs entiers.
        due_at: échéance, en UTC.
        paid_at: instant du paiement complet, en UTC.
        partially_paid_at: instant d'un paiement partiel, en UTC.
    """

    envelope: ClassVar[str] = "v1/invoice"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "number", "reference", "status", "ttc")

    number: Union[str, int, None] = None
    reference: Optional[str] = None
    status: Optional[str] = None
    tax: Optional[Decimal] = None
    discount_type: Optional[str] = None
    discount_amount: Optional[Decimal] = None
    ttc: Optional[Francs] = None
    sub_total: Optional[Francs] = None
    discount: Optional[Decimal] = None
    before_tax: Optional[Francs] = None
    tax_amount: Optional[Francs] = None
    total_amount_paid: Optional[Francs] = None
    notes: Optional[str] = None
    invoice_products_count: Optional[int] = None
    due_at: Optional[datetime] = None
    sent_at: Optional[datetime] = None
    paid_at: Optional[datetime] = None
    partially_paid_at: Optional[datetime] = None
    customer_id: Optional[int] = None
    currency_id: Optional[int] = None
    account_id: Optional[int] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
    deleted_at: Optional[datetime] = None
    currency: Optional[Currency] = None


@dataclass(frozen=True)
class InvoiceVerification(Model):
    """
    Une facture retrouvée par sa référence, avec les réglages de son compte.

    Attributes:
        invoice: la facture.
        settings: les réglages, tels que FedaPay les dit.
    """

    envelope: ClassVar[str] = "v1/invoice_verify"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("invoice",)

    klass: Optional[str] = None
    invoice: Optional[Invoice] = None
    settings: Union[Json, Any, None] = None
