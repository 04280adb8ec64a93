"""
Reading transactions at FedaPay, each with the key that it was made with.

What is found goes into the store like any other event; nothing here tells anybody how a payment ended.
"""

from typing import TYPE_CHECKING, Dict, Iterable, Optional

from fedapay_sync.common.config import Config
from fedapay_sync.common.masking import fingerprint
from fedapay_sync.enums import FINAL_STATUSES
from fedapay_sync.errors import (
    FedapayError,
    RateLimited,
    ServerFault,
    StoreError,
    TransactionId,
    TransportError,
    UnreadableAnswer,
)
from fedapay_sync.models import Transaction
from fedapay_sync.models.params.identifiers import checked_id
from fedapay_sync.resources.api import Api
from fedapay_sync.workflow.webhooks.inbox import Inbox

if TYPE_CHECKING:
    from fedapay_sync.store import Store


class Statuses:
    """What one connector in one process reads of the states of transactions."""

    def __init__(self, config: Config, store: "Store", api: Api, inbox: Inbox) -> None:
        self._config = config
        self._store = store
        self._transactions = api.transactions
        self._inbox = inbox
        # Keys that were given for one call, by fingerprint: in this process they are known until its end.
        self._given_keys: Dict[str, str] = {}

    def read(self, id_transaction: TransactionId, api_key: Optional[str] = None) -> Transaction:
        """Read the transaction; a final state goes into the store like any other event."""
        transaction_id = checked_id(id_transaction)
        transaction = self._transactions.retrieve(transaction_id, api_key=self.key_for(transaction_id, api_key))
        if str(transaction.id) != transaction_id:
            raise UnreadableAnswer(
                f"FedaPay a répondu par la transaction {transaction.id} au lieu de {transaction_id}. Donner "
                "l'identifiant tel que pay l'a rendu ; si c'est le cas, prévenir FedaPay.",
                id_transaction=id_transaction,
            )
        self.take(transaction)
        return transaction

    def take(self, transaction: Transaction) -> None:
        """What was read at FedaPay goes into the store, if it is an end."""
        if has_ended(transaction):
            self._inbox.take_status(transaction.to_dict())

    def check(self, transaction_id: str, key: str) -> bool:
        """Look at FedaPay; true if the payment has ended, and then the store knows it."""
        return has_ended(self.read(transaction_id, key))

    def key_for(self, id_transaction: TransactionId, api_key: Optional[str]) -> str:
        """The key that the payment was made with: given, remembered by fingerprint, or the connector's own."""
        transaction_id = checked_id(id_transaction)
        return self.keys_for([transaction_id], api_key)[transaction_id]

    def keys_for(self, transaction_ids: Iterable[str], api_key: Optional[str]) -> Dict[str, str]:
        """The key that each of these payments was made with."""
        if api_key is not None:
            return dict.fromkeys(transaction_ids, self.remember_key(self._config.checked_key(api_key)))
        own = self._config.api_key
        keys = dict.fromkeys(transaction_ids, own)
        ours = {fingerprint(each): each for each in (*self._config.api_keys, own)}
        for transaction_id, account in self._store.accounts_of(self._config.environment, keys).items():
            keys[transaction_id] = ours.get(account, own)
        return keys

    def remember_key(self, key: str) -> str:
        """Payments made with that key can be looked at by this process."""
        self._given_keys[fingerprint(key)] = key
        return key

    def keys(self) -> Dict[str, str]:
        """The keys that this process has, by fingerprint."""
        config = self._config
        return {**self._given_keys, **{fingerprint(key): key for key in (config.api_key, *config.api_keys)}}


def has_ended(transaction: Transaction) -> bool:
    """Whether the transaction is in a state that ends waits."""
    # What FedaPay sent instead of a text was kept as it came, and may have no hash.
    return (isinstance(transaction.status, str) and transaction.status in FINAL_STATUSES) or transaction.is_deleted


def may_pass(error: FedapayError) -> bool:
    """Whether the same question may be answered later: FedaPay was not reached, is busy or fails."""
    return isinstance(error, (TransportError, ServerFault, RateLimited, StoreError))
