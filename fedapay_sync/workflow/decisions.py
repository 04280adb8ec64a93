"""Carries out what a person decides about a payment: to adopt a transaction, to accept what was paid, to forget it."""

from typing import Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import mask
from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.errors import InvalidArgument, ReferenceTaken, TransactionId, UnreadableAnswer
from fedapay_sync.models import Transaction
from fedapay_sync.models.asked import amount_shown, currency_shown
from fedapay_sync.models.params.identifiers import checked_reference, checked_transaction_id, public_id
from fedapay_sync.resources.api import Api
from fedapay_sync.store.payment_record import storable_number
from fedapay_sync.workflow.callbacks.worker import CallbackWorker
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.reconciler import Reconciler
from fedapay_sync.workflow.reconciliation.status_reader import StatusReader

log = get_logger(__name__)


class Decisions:
    """The decisions that a program hands to one connector."""

    def __init__(
        self,
        context: Context,
        api: Api,
        notifier: Notifier,
        callbacks: CallbackWorker,
        statuses: StatusReader,
        reconciler: Reconciler,
    ) -> None:
        self._config, self._store, _, _ = context
        self._transactions = api.transactions
        self._notifier = notifier
        self._callbacks = callbacks
        self._statuses = statuses
        self._reconciler = reconciler

    def adopt(
        self, merchant_reference: str, id_transaction: TransactionId, api_key: Optional[str] = None
    ) -> Transaction:
        """Make that transaction the payment under that reference, as a person has decided."""
        reference, number = checked_reference(merchant_reference), checked_transaction_id(id_transaction)
        key = self._config.checked_key(api_key)
        environment, account = self._config.environment, key.label
        transaction = self._transactions.retrieve(number, include="currency", api_key=key)
        known = self._store.payments.under_reference(environment, account, reference)
        shown = transaction.to_dict()
        amount, currency = amount_shown(shown), currency_shown(shown) or (known and known.currency)
        if amount is None or not currency:
            raise UnreadableAnswer(
                f"La transaction {number} ne dit ni montant ni devise lisibles chez FedaPay : elle ne peut pas être "
                "adoptée. La regarder dans le tableau de bord.",
                id_transaction=id_transaction,
            )
        found = self._store.payments.adopt(
            environment,
            account,
            reference,
            transaction_id=number,
            amount=amount,
            currency=currency,
            currency_id=storable_number(transaction.currency_id),
        )
        if (found.merchant_reference, found.transaction_id) != (reference, number):
            raise ReferenceTaken(
                f"merchant_reference={mask(reference)!r} ne peut pas désigner la transaction {number} : dans cette "
                f"base, {mask(found.merchant_reference)!r} désigne déjà {found.transaction_id}. "
                f"connector.forget({found.transaction_id}) l'oublie, si c'est bien voulu.",
                merchant_reference=reference,
                id_transaction=None if found.transaction_id is None else public_id(found.transaction_id),
                fields=("merchant_reference",),
            )
        self._reconciler.schedule_first_poll(key)
        log.info("transaction %s adopted under a merchant reference, as the program has decided", number)
        self._statuses.store_end(transaction)
        self._callbacks.notify()
        return transaction

    def accept(self, id_transaction: TransactionId) -> None:
        """Take what was paid for what was asked, as a person has decided."""
        number = checked_transaction_id(id_transaction)
        if not self._store.payments.accept(self._config.environment, number, self._config.accounts):
            raise InvalidArgument(
                f"id_transaction={number} : rien à accepter. accept vaut pour un paiement que cette base suit et dont "
                "un événement payé est « suspect », une fois. Si elle ne suit pas cette transaction, "
                "connector.adopt(merchant_reference, id_transaction) la lui donne.",
                field="id_transaction",
                id_transaction=id_transaction,
            )
        log.warning("what was paid with %s is accepted, as the program has decided", number)
        self._callbacks.notify()

    def forget(self, id_transaction: TransactionId) -> bool:
        """Follow the transaction up no longer; false if nothing here did."""
        number = checked_transaction_id(id_transaction)
        forgotten = self._store.payments.forget(self._config.environment, number, self._config.accounts)
        self._notifier.notify(number)
        log.info("transaction %s forgotten: %s", number, forgotten)
        return forgotten
