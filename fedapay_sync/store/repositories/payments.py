"""Payments: what was asked for under each merchant reference, written before FedaPay is asked."""

from typing import Any, Dict, Iterable, Optional, Sequence

from fedapay_sync.errors import TransactionId
from fedapay_sync.store.database import Database
from fedapay_sync.store.records import Payment
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.repositories.rows import payment_of, payment_under
from fedapay_sync.store.repositories.sql import rows_of
from fedapay_sync.store.states import PaymentState
from fedapay_sync.store.tables import PaymentRow

#: A payment is polled for the first time so many seconds after it was touched, unless said otherwise.
POLL_IN = 60.0

_ACCOUNTS = "SELECT transaction_id, account FROM fp_payment WHERE environment = ? AND transaction_id IN ({})"


class PaymentRepository(Repository):
    """One row for each merchant reference."""

    def add_intent(
        self,
        environment: str,
        account: str,
        reference: str,
        *,
        amount: int,
        currency: str,
        poll_in: float = POLL_IN,
    ) -> Optional[Payment]:
        """
        Write down what is about to be asked; if the reference is known already, return what was asked then.

        Whatever becomes of the process that asks: after ``poll_in`` seconds any process may poll the payment.
        """
        now = self._clock.now()

        def add(database: Database) -> Optional[Payment]:
            known = payment_under(database, environment, account, reference)
            if known is not None:
                return known
            PaymentRow.insert(
                environment=environment,
                account=account,
                merchant_reference=reference,
                amount=amount,
                currency=currency,
                state=PaymentState.intent,
                created_at=now,
                updated_at=now,
                run_after=now + poll_in,
            ).execute(database)
            return None

        return self._engine.write(add)

    def transition(
        self,
        environment: str,
        account: str,
        reference: str,
        state: PaymentState,
        *,
        transaction_id: Optional[TransactionId] = None,
        currency_id: Optional[int] = None,
        only_from: Sequence[PaymentState] = (),
        poll_in: float = POLL_IN,
    ) -> bool:
        """
        Move a payment on, with the id that FedaPay gave it; false if it is not known.

        Its polls begin anew, the first in ``poll_in`` seconds; one that failed needs none. With ``only_from``, also
        false, and nothing moved, if it is in another state: of all who try, one succeeds.
        """
        now = self._clock.now()
        changes: Dict[str, Any] = {
            "state": state,
            "updated_at": now,
            "run_after": None if state == PaymentState.failed else now + poll_in,
            "looks": 0,
            "absent_at": None,
        }
        if transaction_id is not None:
            changes.update(transaction_id=str(transaction_id), currency_id=currency_id)
        query = PaymentRow.update(**changes).where(
            PaymentRow.environment == environment,
            PaymentRow.account == account,
            PaymentRow.merchant_reference == reference,
            *([PaymentRow.state.in_(tuple(only_from))] if only_from else []),
        )
        return bool(self._engine.write(query.execute))

    def under_reference(self, environment: str, account: str, reference: str) -> Optional[Payment]:
        """What was asked for under that merchant reference."""
        return self._engine.read(lambda database: payment_under(database, environment, account, reference))

    def of_transaction(self, environment: str, transaction_id: TransactionId) -> Optional[Payment]:
        """What was asked for under that transaction, if this database saw it asked."""
        return self._engine.read(lambda database: payment_of(database, environment, str(transaction_id)))

    def accounts_of(self, environment: str, transaction_ids: Iterable[str]) -> Dict[str, str]:
        """The accounts that asked for these transactions, of those that this database saw asked."""
        ids = list(transaction_ids)
        return self._engine.read(lambda database: dict(rows_of(database, _ACCOUNTS, [environment], ids)))
