"""The API of one FedaPay account: all resources, over one transport."""

from typing import Callable, Optional

from fedapay_sync.common.frames import private_methods
from fedapay_sync.common.secret import Key, Secret
from fedapay_sync.display.connectors import api_html
from fedapay_sync.errors import TransactionId
from fedapay_sync.models.params.identifiers import checked_id
from fedapay_sync.resources import (
    Accounts,
    Balances,
    Currencies,
    Customers,
    Events,
    Invoices,
    Logs,
    OAuth,
    Pages,
    PaymentIntents,
    Payouts,
    Transactions,
    Webhooks,
)
from fedapay_sync.resources.base import Requestor, Resource
from fedapay_sync.transport.transport import Transport


@private_methods
class Api:
    """
    Les ressources de FedaPay.

    Args:
        key: rend la clé à utiliser pour un appel, celle donnée ou celle par défaut.
        account: compte au nom duquel agir (en-tête ``FedaPay-Account``).
    """

    def __init__(
        self, transport: Transport, key: Callable[[Optional[Key]], Secret], account: Optional[TransactionId] = None
    ) -> None:
        self._transport = transport
        self._key = key
        self._account = None if account is None else checked_id(account, "account")
        requestor = Requestor(transport, key, self._account)
        self.transactions = Transactions(requestor)
        self.payment_intents = PaymentIntents(requestor)
        self.payouts = Payouts(requestor)
        self.customers = Customers(requestor)
        self.accounts = Accounts(requestor)
        self.balances = Balances(requestor)
        self.currencies = Currencies(requestor)
        self.events = Events(requestor)
        self.logs = Logs(requestor)
        self.webhooks = Webhooks(requestor)
        self.pages = Pages(requestor)
        self.invoices = Invoices(requestor)
        self.oauth = OAuth(requestor)

    def for_account(self, account: TransactionId) -> "Api":
        """
        Les mêmes ressources, au nom d'un compte rattaché (en-tête ``FedaPay-Account``), par la même connexion.

        Raises:
            InvalidArgument: ce n'est pas un identifiant de compte.
        """
        # None would act for the program's own account without a word.
        return Api(self._transport, self._key, checked_id(account, "account"))

    def __repr__(self) -> str:
        account = "" if self._account is None else f", account={self._account!r}"
        return f"{type(self).__name__}({self._transport.base_url!r}{account})"

    def _repr_html_(self) -> str:
        resources = [name for name in vars(self) if isinstance(vars(self)[name], Resource)]
        return api_html("API de FedaPay", self._transport.base_url, self._account, resources)

    def close(self) -> None:
        """Ferme les connexions de ce thread et met fin aux attentes en cours. Un appel suivant les rouvre."""
        self._transport.release()
