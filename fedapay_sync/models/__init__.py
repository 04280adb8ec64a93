"""Les objets de FedaPay et ceux du connecteur, en dataclasses immuables."""

from .account import Account, Asset, AssetMetadata, AssetUrls, User, UserAccount
from .base import Model
from .common import ApiKey, Balance, Currency, Customer, ListMeta, PaymentMethod, PaymentSource, PhoneNumber
from .event import WebhookHistory, WebhookTransaction
from .invoice import Invoice, InvoiceVerification
from .journal import Event, Log, QueueOptions
from .names import (
    BalanceListResponse,
    BalanceResponse,
    CurrencyListResponse,
    CurrencyResponse,
    EventListResponse,
    EventResponse,
    LogListResponse,
    LogResponse,
    TransactionListResponse,
    TransactionPaymentMethodResponse,
    WebhookListResponse,
    WebhookResponse,
)
from .oauth import OAuthToken
from .outcome import Outcome
from .page import PageVerification, PaymentPage
from .paged import PagedList
from .payment import FedapayPay, PaiementSetup, PaymentHistory, UserData
from .payout import Payout, PayoutBatch
from .transaction import (
    Fees,
    PaymentIntent,
    ReceiptLink,
    Transaction,
    TransactionBatch,
    TransactionDeleteStatus,
    TransactionToken,
)
from .webhook import Webhook, WebhookSample

__all__ = [
    "Account",
    "ApiKey",
    "Asset",
    "AssetMetadata",
    "AssetUrls",
    "Balance",
    "BalanceListResponse",
    "BalanceResponse",
    "Currency",
    "CurrencyListResponse",
    "CurrencyResponse",
    "Customer",
    "Event",
    "EventListResponse",
    "EventResponse",
    "FedapayPay",
    "Fees",
    "Invoice",
    "InvoiceVerification",
    "ListMeta",
    "Log",
    "LogListResponse",
    "LogResponse",
    "Model",
    "OAuthToken",
    "Outcome",
    "PageVerification",
    "PagedList",
    "PaiementSetup",
    "PaymentHistory",
    "PaymentIntent",
    "PaymentMethod",
    "PaymentPage",
    "PaymentSource",
    "Payout",
    "PayoutBatch",
    "PhoneNumber",
    "QueueOptions",
    "ReceiptLink",
    "Transaction",
    "TransactionBatch",
    "TransactionDeleteStatus",
    "TransactionListResponse",
    "TransactionPaymentMethodResponse",
    "TransactionToken",
    "User",
    "UserAccount",
    "UserData",
    "Webhook",
    "WebhookHistory",
    "WebhookListResponse",
    "WebhookResponse",
    "WebhookSample",
    "WebhookTransaction",
]
