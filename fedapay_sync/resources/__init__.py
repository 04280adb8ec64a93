"""Les objets de l'API FedaPay, une classe chacun."""

from .accounts import Accounts
from .balances import Balances
from .currencies import Currencies
from .customers import Customers
from .events import Events
from .invoices import Invoices
from .logs import Logs
from .oauth import OAuth
from .pages import Pages
from .payment_intents import PaymentIntents
from .payouts import Payouts
from .transactions import Transactions
from .webhooks import Webhooks

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
