"""ShopServices: builds the services of one shop (ledgers, resources, timers, deliveries) and connects them."""

import hmac
from dataclasses import dataclass
from typing import AbstractSet, List, Mapping, Optional

from flask import Flask

from fedapay_sync.emulator.api import Api
from fedapay_sync.emulator.delivery.deliveries import Deliveries
from fedapay_sync.emulator.delivery.sender import Sender
from fedapay_sync.emulator.domain.timers import Timers
from fedapay_sync.emulator.http.call import Route
from fedapay_sync.emulator.resources.accounts import Accounts
from fedapay_sync.emulator.resources.balances import Balances
from fedapay_sync.emulator.resources.currencies import Currencies
from fedapay_sync.emulator.resources.customers import Customers
from fedapay_sync.emulator.resources.events import Events
from fedapay_sync.emulator.resources.invoices import Invoices
from fedapay_sync.emulator.resources.logs import Logs
from fedapay_sync.emulator.resources.oauth import TOKEN_PATH, OAuth
from fedapay_sync.emulator.resources.payment_intents import PaymentIntents
from fedapay_sync.emulator.resources.payment_pages import PaymentPages
from fedapay_sync.emulator.resources.payout_ledger import PayoutLedger
from fedapay_sync.emulator.resources.payouts import Payouts
from fedapay_sync.emulator.resources.phones import Phones
from fedapay_sync.emulator.resources.transaction_ledger import TransactionLedger
from fedapay_sync.emulator.resources.transactions import Transactions
from fedapay_sync.emulator.resources.webhooks import Webhooks
from fedapay_sync.emulator.storage.shop_data import ShopData


@dataclass(frozen=True)
class ShopOptions:
    """Options that all shops of one emulator share."""

    delay: Optional[float]
    objects: AbstractSet[str]
    webhook_timeout: float
    retry_factor: float
    disable_on_error: bool


class ShopServices:
    """The services of one shop, around one ShopData."""

    def __init__(
        self,
        data: ShopData,
        options: ShopOptions,
        *,
        secret_key: str,
        webhook_url: Optional[str],
        webhook_headers: Optional[Mapping[str, str]],
        webhook_secret: str,
    ) -> None:
        self.data = data
        self.timers = Timers(data.clock)
        self.sender = Sender(data, webhook_secret, options.webhook_timeout)
        self.deliveries = Deliveries(
            data,
            self.timers,
            self.sender,
            retry_factor=options.retry_factor,
            # Payers that answer by themselves do it at any time, and not only when a test calls something.
            in_background=options.delay is not None,
        )
        self.webhooks = Webhooks(
            data, self.deliveries, url=webhook_url, headers=webhook_headers, disable_on_error=options.disable_on_error
        )
        self.customers = Customers(data)
        self.balances = Balances(data)
        self.transactions = TransactionLedger(data, self.customers, self.balances, self.timers)
        self.accounts = Accounts(data)
        self.phones = Phones(self.transactions, self.accounts)
        self.payment_intents = PaymentIntents(self.transactions, self.phones, self.timers, options.delay)
        self.payouts = PayoutLedger(data, self.customers, self.balances, self.timers, options.delay)
        self._logs = Logs(data)
        self._oauth = OAuth(data)
        self._secret_key = secret_key.encode("utf-8")

    def is_key(self, text: str) -> bool:
        """Whether a text opens the API of this shop: the secret key, or a token issued in its place."""
        return hmac.compare_digest(text.encode("utf-8", "replace"), self._secret_key) or self._oauth.is_token(text)

    def clear(self) -> None:
        """Forget all records, in one step; the caller empties the file."""
        url, application = self.webhooks.url, self.webhooks.application
        self.data.clear()
        self.accounts.ensure_first()
        self.webhooks.set_own(url, application)

    def cancel_pending(self) -> None:
        """Drop the timers and deliveries of what was forgotten."""
        self.timers.clear()
        self.deliveries.clear()

    def catch_up(self) -> None:
        """After a jump of the clock: return when all that has become due is done."""
        self.transactions.apply_due()
        self.timers.catch_up()
        self.deliveries.deliver_ready()

    def resume(self) -> None:
        """Continue what the records say was under way."""
        self.transactions.resume()
        self.phones.resume()
        self.payment_intents.resume()
        self.payouts.resume()

    def api(self) -> Flask:
        """The Flask app of this shop's API."""
        return Api(self.data, self._logs, self._routes(), self.is_key, {TOKEN_PATH}).build()

    def _routes(self) -> List[Route]:
        resources = (
            Transactions(self.transactions),
            self.customers,
            self.balances,
            Payouts(self.payouts),
            self.webhooks,
            self._logs,
            self._oauth,
            self.payment_intents,
            Currencies(),
            Events(self.data),
            self.accounts,
            PaymentPages(self.data),
            Invoices(self.data),
        )
        return [route for each in resources for route in each.routes()]
