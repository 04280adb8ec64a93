"""Les objets de l'API FedaPay, une classe chacun."""

from fedapay_sync.resources.accounts import Accounts
from fedapay_sync.resources.balances import Balances
from fedapay_sync.resources.currencies import Currencies
from fedapay_sync.resources.customers import Customers
from fedapay_sync.resources.events import Events
from fedapay_sync.resources.invoices import Invoices
from fedapay_sync.resources.logs import Logs
from fedapay_sync.resources.oauth import OAuth
from fedapay_sync.resources.payment_intents import PaymentIntents
from fedapay_sync.resources.payment_pages import Pages
from fedapay_sync.resources.payouts import Payouts
from fedapay_sync.resources.transactions import Transactions
from fedapay_sync.resources.webhooks import Webhooks

__all__ = [
    "Accounts",
    "Balances",
    "Currencies",
    "Customers",
    "Events",
    "Invoices",
    "Logs",
    "OAuth",
    "Pages",
    "PaymentIntents",
    "Payouts",
    "Transactions",
    "Webhooks",
]
