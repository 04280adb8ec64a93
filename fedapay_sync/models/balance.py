"""Model of one of a merchant account's balances."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Optional, Tuple

from fedapay_sync.models.base import FedapayObject
from fedapay_sync.models.schema import Francs


@dataclass(frozen=True)
class Balance(FedapayObject):
    """
    Solde du compte marchand ; il y en a un par opérateur, et ils ne s'additionnent pas pour un dépôt.

    Attributes:
        amount: somme en francs entiers.
        mode: code de l'opérateur ; ``None`` pour le solde qui n'en a pas.
        created_at: instant de la création, en UTC.
    """

    envelope: ClassVar[str] = "v1/balance"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "mode", "amount")

    amount: Optional[Francs] = None
    mode: Optional[str] = None
    currency_id: Optional[int] = None
    account_id: Optional[int] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
    deleted_at: Optional[datetime] = None
