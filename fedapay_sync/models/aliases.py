"""Names that the asynchronous connector has for the same models."""

from fedapay_sync.models.balance import Balance
from fedapay_sync.models.currency import Currency
from fedapay_sync.models.event import Event
from fedapay_sync.models.log import Log
from fedapay_sync.models.pagination import PagedList
from fedapay_sync.models.transaction import PaymentIntent
from fedapay_sync.models.webhook import Webhook

BalanceResponse = Balance
CurrencyResponse = Currency
EventResponse = Event
LogResponse = Log
WebhookResponse = Webhook
TransactionPaymentMethodResponse = PaymentIntent

BalanceListResponse = PagedList
CurrencyListResponse = PagedList
EventListResponse = PagedList
LogListResponse = PagedList
TransactionListResponse = PagedList
WebhookListResponse = PagedList
