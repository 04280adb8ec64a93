"""
Reads the status of transactions at FedaPay, each with the key that it was made with.

What is read goes into the store like any other event; how a payment ended is not told from here.
"""

from typing import Optional

from fedapay_sync.common.secret import Key, Secret
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
from fedapay_sync.models.params.identifiers import checked_transaction_id
from fedapay_sync.resources.api import Api
from fedapay_sync.workflow.reconciliation.adoption import Adoption
from fedapay_sync.workflow.reconciliation.keyring import Keyring
from fedapay_sync.workflow.webhooks.inbox import Inbox


class StatusReader:
    """The status readings of one connector in one process."""

    def __init__(self, api: Api, keyring: Keyring, inbox: Inbox, adoption: Adoption) -> None:
        self._transactions = api.transactions
        self._adoption = adoption
        self._keyring = keyring
        self._inbox = inbox

    def read(self, id_transaction: TransactionId, api_key: Optional[Key] = None) -> Transaction:
        """
        Read the transaction; a final state goes into the store like any other event. Where it is the one that a payment
        of ours waits for, it becomes that payment's first.
        """
        transaction_id = checked_transaction_id(id_transaction)
        key = self._keyring.key_for(transaction_id, api_key)
        # The currency that it names: the number alone tells of XOF only.
        transaction = self._transactions.retrieve(transaction_id, include="currency", api_key=key)
        if str(transaction.id) != transaction_id:
            raise UnreadableAnswer(
                f"FedaPay a répondu par la transaction {transaction.id} au lieu de {transaction_id}. Donner "
                "l'identifiant tel que pay l'a rendu ; si c'est le cas, prévenir FedaPay.",
                id_transaction=id_transaction,
            )
        self.take_in(transaction, key)
        return transaction

    def take_in(self, transaction: Transaction, key: Secret) -> None:
        """The same for a transaction that was read already, alone or in a list."""
        self._adoption.adopt(transaction, key)
        self.store_end(transaction)

    def check(self, transaction_id: str, key: Secret) -> bool:
        """Read the status; true if the payment has ended, and then the store knows it."""
        return has_ended(self.read(transaction_id, key))

    def store_end(self, transaction: Transaction) -> None:
        """Store a transaction that was just read at FedaPay as an event, if it has ended."""
        if has_ended(transaction):
            self._inbox.ingest_status(transaction.to_dict())


def has_ended(transaction: Transaction) -> bool:
    """Whether the transaction is in a state that ends waits."""
    # What FedaPay sent instead of a text was kept as it came, and may have no hash.
    return (isinstance(transaction.status, str) and transaction.status in FINAL_STATUSES) or transaction.is_deleted


def is_transient(error: FedapayError) -> bool:
    """Whether the same question may be answered later: FedaPay was not reached, is busy or fails."""
    return isinstance(error, (TransportError, ServerFault, RateLimited, StoreError))
