"""
The row of a payment, written before FedaPay is asked and moved on state by state.

``intent``, ``unknown`` and ``failed`` have no transaction yet; ``created`` has one whose payer was not asked yet;
``sent`` is written before the prompt goes out, by one caller only, so that a later call, after a crash too, knows that
the payer may have been asked. Where the prompt follows the creation at once, both are one commit.
"""

import json
from typing import TYPE_CHECKING, Any, Optional, Tuple

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import mask
from fedapay_sync.errors import StoreError, UnreadableAnswer
from fedapay_sync.models import Transaction
from fedapay_sync.models.asked import Asked
from fedapay_sync.store import Payment
from fedapay_sync.store.states import PaymentState

if TYPE_CHECKING:
    from fedapay_sync.store import Store

log = get_logger(__name__)

#: More than a column of the database holds is no number of a currency.
_LARGEST = 2**31 - 1

#: States of a payment that has no transaction yet.
_WITHOUT_TRANSACTION = (PaymentState.intent, PaymentState.unknown, PaymentState.failed)


class PaymentRecord:
    """The row of one payment in the store: what may still be done under a merchant reference."""

    def __init__(self, store: "Store", environment: str, account: str, reference: str, poll_in: float) -> None:
        self._store = store
        # Each touch puts the next poll of the payment off by so many seconds.
        self._poll_in = poll_in
        self.environment = environment
        self._account = account
        self.reference = reference
        # The prompt was claimed as the transaction was adopted.
        self._has_claimed = False

    def remember(self, asked: Asked) -> Optional[Payment]:
        """
        Write the intent down; what was asked for before under that reference, if anything was.

        Raises:
            ValueError: no amount or no currency was asked.
        """
        if asked.amount is None or asked.currency is None:
            raise ValueError("a payment has an amount and a currency")
        return self._store.payments.add_intent(
            self.environment,
            self._account,
            self.reference,
            amount=asked.amount,
            currency=asked.currency,
            traits=json.dumps(dict(asked.traits)),
            poll_in=self._poll_in,
        )

    def renew(self, asked: Asked) -> None:
        """
        The payment is about to be asked for once more, in these words; others that use the row learn that they are not
        alone. Whether a later call is safe does not depend on it.
        """
        self.note(PaymentState.unknown, traits=json.dumps(dict(asked.traits)))

    def is_shared(self) -> bool:
        """Whether another call has touched the row since this one wrote its intent."""
        row = self._store.payments.under_reference(self.environment, self._account, self.reference)
        return row is not None and row.state != PaymentState.intent

    def note(self, state: PaymentState, **changes: Any) -> None:
        """
        How the creation stands; other callers that use the row read it as a sign that they are not alone.

        Whether a later call is safe does not depend on it, so it may fail.
        """
        try:
            self._move(state, _WITHOUT_TRANSACTION, **changes)
        except StoreError as error:
            log.warning("state of a payment not stored: %s", error)

    def adopt(self, transaction: Transaction, *, claims_push: bool = False) -> str:
        """
        Give the row its transaction, unless it has one; the id of the one that it has.

        Args:
            claims_push: nothing stands between this and the prompt: claim it with the same commit, if the row had none.

        Raises:
            UnreadableAnswer: the transaction is another payment's already.
        """
        currency_id = storable_number(transaction.currency_id)
        state = PaymentState.sent if claims_push else PaymentState.created
        if self._move(state, _WITHOUT_TRANSACTION, transaction_id=transaction.id, currency_id=currency_id):
            self._has_claimed = claims_push
            return str(transaction.id)
        row = self._store.payments.under_reference(self.environment, self._account, self.reference)
        if row is None:
            raise _lost()
        others = self._store.payments.of_transaction(self.environment, transaction.id)
        if others is not None and others.merchant_reference != self.reference:
            raise UnreadableAnswer(
                f"FedaPay a répondu par la transaction {transaction.id}, qui est déjà celle d'un autre paiement "
                f"({mask(others.merchant_reference)!r} au lieu de {mask(self.reference)!r}). Ne rien livrer sur sa "
                "foi ; rappeler pay avec cette même référence, et prévenir FedaPay si cela dure."
            )
        if row.transaction_id is None:
            raise _lost()
        return row.transaction_id

    def claim_push(self) -> bool:
        """True for the one caller that may ask the payer, once."""
        if self._has_claimed:
            self._has_claimed = False
            return True
        return self._move(PaymentState.sent, (PaymentState.created,))

    def release_push(self) -> None:
        """The payer was not asked after all."""
        try:
            self._move(PaymentState.created, (PaymentState.sent,))
        except StoreError as error:
            log.warning("refused push not stored, this reference will not be pushed again: %s", error)

    def _move(self, state: PaymentState, only_from: Tuple[PaymentState, ...], **changes: Any) -> bool:
        return self._store.payments.transition(
            self.environment,
            self._account,
            self.reference,
            state,
            only_from=only_from,
            poll_in=self._poll_in,
            **changes,
        )


def _lost() -> StoreError:
    return StoreError("La base a perdu ce paiement en cours de route : quelqu'un en a-t-il effacé les lignes ?")


def storable_number(value: Any) -> Optional[int]:
    """A number of a currency, as the row holds it; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST else None
