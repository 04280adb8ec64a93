"""Looks up how a payment stands now: in the store, and at FedaPay where the store may not have the last word."""

from typing import Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.secret import Key
from fedapay_sync.enums import RETRIED_STATUSES
from fedapay_sync.errors import AmountMismatch, ApiError, FedapayError, NotFound, TransactionId, TransportError
from fedapay_sync.models import Outcome
from fedapay_sync.models.params.identifiers import checked_transaction_id
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.status_reader import StatusReader
from fedapay_sync.workflow.waits.outcomes import OutcomeReader, not_found, still_pending, unknown

log = get_logger(__name__)


class StatusLookup:
    """The lookups of one connector."""

    def __init__(self, context: Context, statuses: StatusReader, outcomes: OutcomeReader) -> None:
        self._environment = context.config.environment
        self._store = context.store
        self._statuses = statuses
        self._outcomes = outcomes

    def now(self, id_transaction: TransactionId, api_key: Optional[Key] = None) -> Outcome:
        """
        How the payment stands now, out of the store, or read at FedaPay where the store does not know its end.

        Raises:
            NotFound: FedaPay does not know it, and neither does this database.
            StatusUnknown: FedaPay did not answer.
            AmountMismatch: paid, but not what was asked for.
        """
        transaction_id = checked_transaction_id(id_transaction)
        number = transaction_id if isinstance(id_transaction, str) else id_transaction
        problem: Optional[FedapayError] = None
        if not self._is_last_word(transaction_id):
            try:
                self._statuses.read(transaction_id, api_key)
            except (ApiError, TransportError) as error:
                if isinstance(error, NotFound) and not self._store.listens.is_founded(
                    self._environment, transaction_id
                ):
                    raise not_found(number, error) from None
                problem = error
        outcome = self._outcomes.of(number)
        if problem is not None:
            raise unknown(number, problem) from problem
        return outcome if outcome is not None and outcome.webhooks else still_pending(number)

    def refresh(self, id_transaction: TransactionId, api_key: Optional[Key]) -> None:
        """
        Read the status once more where what is known of the end may not be the last word: the payer may have tried
        again, or what was told is not what was asked, and FedaPay's API decides.
        """
        if self._is_last_word(id_transaction):
            return
        try:
            self._statuses.read(id_transaction, api_key)
        except (ApiError, TransportError) as error:
            log.info("looking again at %s failed, what was known stands: %s", id_transaction, error.code)

    def _is_last_word(self, id_transaction: TransactionId) -> bool:
        try:
            known = self._outcomes.of(id_transaction)
        except AmountMismatch:
            return False
        # How an earlier wait ended says nothing about now.
        return known is not None and known.webhooks is not None and known.reason not in RETRIED_STATUSES
