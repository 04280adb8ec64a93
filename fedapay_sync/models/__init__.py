"""Les objets de FedaPay et ceux du connecteur, en dataclasses immuables."""

from fedapay_sync.models.account import Account, ApiKey, Asset, AssetMetadata, AssetUrls, User, UserAccount
from fedapay_sync.models.aliases import (
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
from fedapay_sync.models.balance import Balance
from fedapay_sync.models.base import Model
from fedapay_sync.models.currency import Currency
from fedapay_sync.models.customer import Customer, PhoneNumber
from fedapay_sync.models.event import Event, WebhookHistory, WebhookTransaction
from fedapay_sync.models.health import Health, OwedCallbacks
from fedapay_sync.models.invoice import Invoice, InvoiceVerification
from fedapay_sync.models.log import Log, QueueOptions
from fedapay_sync.models.oauth import OAuthToken
from fedapay_sync.models.outcome import Outcome
from fedapay_sync.models.pagination import ListMeta, PagedList
from fedapay_sync.models.payment import FedapayPay, PaiementSetup, PaymentHistory, UserData
from fedapay_sync.models.payment_method import PaymentMethod, PaymentSource
from fedapay_sync.models.payment_page import PageVerification, PaymentPage
from fedapay_sync.models.payout import Payout, PayoutBatch
from fedapay_sync.models.transaction import (
    Fees,
    PaymentIntent,
    ReceiptLink,
    Transaction,
    TransactionBatch,
    TransactionDeleteStatus,
    TransactionToken,
)
from fedapay_sync.models.webhook import Webhook, WebhookSample

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
    "Health",
    "Invoice",
    "InvoiceVerification",
    "ListMeta",
    "Log",
    "LogListResponse",
    "LogResponse",
    "Model",
    "OAuthToken",
    "Outcome",
    "OwedCallbacks",
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
