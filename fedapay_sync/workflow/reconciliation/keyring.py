"""The API keys of a program, and the label by which the store knows the merchant account of each."""

from typing import Dict, Iterable, Optional

from fedapay_sync.common.secret import Key, Secret
from fedapay_sync.errors import TransactionId
from fedapay_sync.models.params.identifiers import checked_transaction_id
from fedapay_sync.workflow.context import Context


class Keyring:
    """
    The keys of one connector in one process: its own, those of ``api_keys``, and those given for a single call.
    """

    def __init__(self, context: Context) -> None:
        self._config = context.config
        self._store = context.store
        # Keys that were given for one call, by label: in this process they are known until its end.
        self._given: Dict[str, Secret] = {}

    def by_account(self) -> Dict[str, Secret]:
        """All keys, by the label of their account."""
        return {**self._given, **self._config.keys_by_account}

    def key_for(self, id_transaction: TransactionId, api_key: Optional[Key] = None) -> Secret:
        """The key that the payment was made with: given, known by its label, or the connector's own."""
        transaction_id = checked_transaction_id(id_transaction)
        return self.keys_for([transaction_id], api_key)[transaction_id]

    def keys_for(self, transaction_ids: Iterable[str], api_key: Optional[Key]) -> Dict[str, Secret]:
        """The key that each of these payments was made with; one that is given is remembered."""
        if api_key is not None:
            key = self._config.checked_key(api_key)
            self.remember(key)
            return dict.fromkeys(transaction_ids, key)
        own = self._config.api_key
        keys = dict.fromkeys(transaction_ids, own)
        configured = self.by_account()
        for transaction_id, label in self._store.payments.accounts_of(self._config.environment, keys).items():
            keys[transaction_id] = configured.get(label, own)
        return keys

    def remember(self, key: Secret) -> None:
        """From now on this process can look at payments made with that key."""
        self._given[key.label] = key
