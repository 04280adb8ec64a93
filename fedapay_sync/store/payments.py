"""The verbs of payments: what was asked for, written before FedaPay is asked."""

from typing import Any, Dict, Optional

from ..errors import TransactionId
from .opened import Opened
from .records import Payment
from .rows import payment_of, payment_row
from .tables import PaymentRow
from .writer import Database


class PaymentVerbs(Opened):
    """One row for each merchant reference."""

    def remember_intent(
        self, environment: str, account: str, reference: str, *, amount: int, currency: str
    ) -> Optional[Payment]:
        """Write down what is about to be asked; if the reference is known already, return what was asked then."""
        now = self._clock.now()

        def remember(database: Database) -> Optional[Payment]:
            known = payment_row(database, environment, account, reference)
            if known is not None:
                return known
            PaymentRow.insert(
                environment=environment,
                account=account,
                merchant_reference=reference,
                amount=amount,
                currency=currency,
                state="intent",
                created_at=now,
                updated_at=now,
            ).execute(database)
            return None

        return self._write(remember)

    def set_payment(
        self,
        environment: str,
        account: str,
        reference: str,
        state: str,
        *,
        transaction_id: Optional[TransactionId] = None,
        currency_id: Optional[int] = None,
    ) -> None:
        """Move a payment on, with the id that FedaPay gave it."""
        changes: Dict[str, Any] = {"state": state, "updated_at": self._clock.now()}
        if transaction_id is not None:
            changes.update(transaction_id=str(transaction_id), currency_id=currency_id)
        query = PaymentRow.update(**changes).where(
            PaymentRow.environment == environment,
            PaymentRow.account == account,
            PaymentRow.merchant_reference == reference,
        )
        self._write(query.execute)

    def payment_of(self, environment: str, transaction_id: TransactionId) -> Optional[Payment]:
        """What was asked for under that transaction, if this database saw it asked."""
        return self._read(lambda database: payment_of(database, environment, str(transaction_id)))
