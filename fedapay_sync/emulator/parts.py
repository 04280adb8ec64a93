"""Which parts there are, and what each needs of the others."""

from typing import List, Mapping, Optional

from flask import Flask

from .accounts import Accounts
from .api import Api, key_check
from .balances import Balances
from .books import Books
from .calls import Route
from .currencies import Currencies
from .customers import Customers
from .deliveries import Deliveries
from .events import Events
from .invoices import Invoices
from .ledger import Ledger
from .logs import Logs
from .oauth import TOKEN_PATH, OAuth
from .pages import Pages
from .payouts import Payouts
from .phones import Phones
from .pushes import Pushes
from .sender import Sender
from .timers import Timers
from .transactions import Transactions
from .webhooks import Webhooks


class Parts:
    """All parts of one emulated FedaPay, around one set of books."""

    def __init__(
        self,
        books: Books,
        *,
        secret_key: str,
        delay: Optional[float],
        webhook_url: Optional[str],
        webhook_headers: Optional[Mapping[str, str]],
        disable_on_error: bool,
        webhook_secret: str,
        webhook_timeout: float,
        retry_factor: float,
    ) -> None:
        self.books = books
        self.timers = Timers(books.clock)
        self.sender = Sender(books, webhook_secret, webhook_timeout)
        self.deliveries = Deliveries(books, self.timers, self.sender, retry_factor=retry_factor)
        self.webhooks = Webhooks(
            books, self.deliveries, url=webhook_url, headers=webhook_headers, disable_on_error=disable_on_error
        )
        self.customers = Customers(books)
        self.balances = Balances(books)
        self.ledger = Ledger(books, self.customers, self.balances, self.timers)
        self.accounts = Accounts(books)
        self.phones = Phones(self.ledger, self.accounts)
        self.pushes = Pushes(self.ledger, self.phones, self.timers, delay)
        self.payouts = Payouts(books, self.customers, self.balances, self.timers, delay)
        self._logs = Logs(books)
        self._oauth = OAuth(books)
        #: Whether a text opens the API of this shop.
        self.is_key = key_check(secret_key, self._oauth.is_token)

    def clear(self) -> None:
        """Begin anew, in one step; the file is emptied by whoever calls."""
        url = self.webhooks.url
        self.books.clear()
        self.accounts.open()
        self.webhooks.url = url

    def calm(self) -> None:
        """Forget what was under way before."""
        self.timers.clear()
        self.deliveries.clear()

    def catch_up(self) -> None:
        """After the clock has jumped: all that time brings has been brought."""
        self.ledger.age()
        self.timers.catch_up()

    def resume(self) -> None:
        """Take up again what the records say was under way."""
        self.ledger.resume()
        self.phones.resume()
        self.pushes.resume()
        self.payouts.resume()

    def api(self) -> Flask:
        """The API in front of all parts."""
        return Api(self.books, self._logs, self._routes(), self.is_key, {TOKEN_PATH}).build()

    def _routes(self) -> List[Route]:
        others = (Currencies(), Events(self.books), self.accounts, Pages(self.books), Invoices(self.books))
        parts = (
            Transactions(self.ledger),
            self.customers,
            self.balances,
            self.payouts,
            self.webhooks,
            self._logs,
            self._oauth,
            self.pushes,
            *others,
        )
        return [route for part in parts for route in part.routes()]
