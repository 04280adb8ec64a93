"""Les objets de FedaPay et ceux du connecteur, en dataclasses immuables."""

from .base import Model
from .common import Account, Currency, Customer, ListMeta, PaymentMethod
from .event import WebhookHistory, WebhookTransaction
from .outcome import Outcome
from .payment import FedapayPay, PaiementSetup, PaymentHistory, UserData
from .transaction import PaymentIntent, Transaction, TransactionDeleteStatus, TransactionToken

__all__ = [
    "Account",
    "Currency",
    "Customer",
    "FedapayPay",
    "ListMeta",
    "Model",
    "Outcome",
    "PaiementSetup",
    "PaymentHistory",
    "PaymentIntent",
    "PaymentMethod",
    "Transaction",
    "TransactionDeleteStatus",
    "TransactionToken",
    "UserData",
    "WebhookHistory",
    "WebhookTransaction",
]
