"""
Adopts the transaction that bears the merchant reference of a payment of ours, if it is what was asked.

A creation whose answer was lost, or has not come yet, may have arrived: what bears its reference is then found by a
poll, or read because a webhook told of it. The payer is not asked here: the caller of ``pay`` was told to call again.
"""

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.secret import Secret
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.models import Transaction
from fedapay_sync.models.params.identifiers import checked_reference
from fedapay_sync.resources.api import Api
from fedapay_sync.store.payment_record import PaymentRecord
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.polling_policy import PollingPolicy

log = get_logger(__name__)


class Adoption:
    """The adoptions of one connector."""

    def __init__(self, context: Context, api: Api, policy: PollingPolicy) -> None:
        self._environment = context.config.environment
        self._store = context.store
        self._transactions = api.transactions
        self._policy = policy

    def adopt(self, transaction: Transaction, key: Secret) -> bool:
        """
        Give the payment of ours that bears its reference that transaction, if it has none yet; false if it has, or if
        the transaction is another.

        Raises:
            FedapayError: FedaPay did not say who its payer is.
        """
        environment, account = self._environment, key.label
        try:
            reference = checked_reference(transaction.merchant_reference)
        except InvalidArgument:
            return False
        payment = self._store.payments.under_reference(environment, account, reference)
        if payment is None or payment.transaction_id is not None:
            return False
        other = self._store.payments.of_transaction(environment, transaction.id)
        if other is not None and (other.account, other.merchant_reference) == (account, reference):
            # ``pay`` has had its answer since the line above.
            return False
        if other is not None:
            log.error("FedaPay gives transaction %s for two merchant references; left alone", transaction.id)
            return False
        differing = self._transactions.differences(transaction, [payment.asked], key)
        if differing:
            log.error(
                "transaction %s bears the reference of a payment of ours and is another (%s); the program may adopt it",
                transaction.id,
                ", ".join(differing),
            )
            return False
        poll_in = self._policy.follow_up_interval(0)
        adopted = PaymentRecord(self._store, environment, account, reference, poll_in).adopt(transaction)
        log.info("transaction %s found for an intent whose creation had no answer", transaction.id)
        return adopted == str(transaction.id)
