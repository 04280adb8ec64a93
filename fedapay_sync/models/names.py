"""What the asynchronous connector calls the same things."""

from .common import Balance, Currency
from .journal import Event, Log
from .paged import PagedList
from .transaction import PaymentIntent
from .webhook import Webhook

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
