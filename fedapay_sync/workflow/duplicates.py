"""
Notices that the same payment is asked for a second time: a cell of a notebook run twice, a script started again.

With a merchant reference of the shop's own the second call returns the first payment. Without one nothing but the
payments of the last minutes tells, which are compared by a digest of all that was asked.
"""

from typing import Callable, NamedTuple, Optional

from fedapay_sync.common import hosting
from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import mask
from fedapay_sync.common.secret import Secret
from fedapay_sync.enums import FINAL_STATUSES, PAID_STATUSES
from fedapay_sync.errors import ApiError, DuplicatePayment, TransportError
from fedapay_sync.models.asked import Asked
from fedapay_sync.models.params.identifiers import public_id
from fedapay_sync.resources.transactions import Transactions
from fedapay_sync.store.records import RecentPayment
from fedapay_sync.workflow.context import Context

log = get_logger(__name__)

#: A payment that began so long ago, in seconds, is no longer taken for the same one.
_WINDOW = 600.0

WARNING = (
    "pay a été appelée deux fois en dix minutes pour le même client, le même montant et le même moyen de paiement, "
    "sans merchant_reference : ce client est sollicité deux fois. Donner à chaque commande sa référence "
    '(merchant_reference="CMD-17") : un programme relancé rend alors le même paiement. Si c\'est voulu, again=True.'
)


class _First(NamedTuple):
    payment: RecentPayment
    is_paid: bool


class Duplicates:
    """The second askings of one connector."""

    def __init__(self, context: Context, transactions: Transactions) -> None:
        self._environment = context.config.environment
        self._store = context.store
        self._transactions = transactions

    def check(self, asked: Asked, is_same: Callable[[Asked], bool], key: Secret) -> None:
        """
        Refuse in an interactive session what was asked a few minutes ago, and warn of it once elsewhere.

        Args:
            is_same: whether an earlier payment is the same as the one that is about to be asked for.

        Raises:
            DuplicatePayment: the payer was asked, and may still pay or has paid.
        """
        if hosting.is_interactive():
            first = self._first(asked, is_same, key, asks_fedapay=True)
            if first is not None:
                raise _duplicate(first)
        elif not hosting.was_warned(WARNING):
            first = self._first(asked, is_same, key, asks_fedapay=False)
            if first is not None:
                log.info("asked twice: transaction %s", first.payment.transaction_id)
                hosting.warn_once(WARNING)

    def _first(
        self, asked: Asked, is_same: Callable[[Asked], bool], key: Secret, *, asks_fedapay: bool
    ) -> Optional[_First]:
        """The newest payment that is the same and is not over without having been paid."""
        if asked.amount is None or asked.currency is None:
            return None
        recent = self._store.payments.recent(
            self._environment, key.label, amount=asked.amount, currency=asked.currency, seconds=_WINDOW
        )
        for payment in recent:
            if not is_same(payment.asked):
                continue
            is_paid = self._is_paid(payment, key, asks_fedapay=asks_fedapay)
            if is_paid is not None:
                return _First(payment, is_paid)
        return None

    def _is_paid(self, payment: RecentPayment, key: Secret, *, asks_fedapay: bool) -> Optional[bool]:
        """Whether it was paid; None if it ended without. Where it is not known, it is not paid yet, and may be."""
        number = payment.transaction_id
        if number is None:
            return False
        statuses = {event.status for event in self._store.listens.ending(self._environment, number).events}
        if statuses:
            return True if statuses & PAID_STATUSES else None
        if not asks_fedapay:
            return False
        try:
            # Declined a minute ago, without a webhook to tell; or cancelled by the program.
            transaction = self._transactions.retrieve(number, api_key=key)
        except (ApiError, TransportError) as error:
            log.info("whether %s is still open is not known: %s", number, error.code)
            return False
        if transaction.was_paid:
            return True
        return None if transaction.is_deleted or transaction.status in FINAL_STATUSES else False


def _duplicate(first: _First) -> DuplicatePayment:
    payment = first.payment
    ago = f"{payment.age / 60:.0f} min" if payment.age >= 60 else f"{max(payment.age, 0):.0f} s"
    if payment.transaction_id is None:
        number, state = None, "et sa réponse s'est perdue"
        remedy = f"Pour le reprendre : pay(…, merchant_reference={mask(payment.merchant_reference)!r})."
    else:
        number = public_id(payment.transaction_id)
        state = f"transaction {number}, {'payée' if first.is_paid else 'encore ouverte'}"
        remedy = f"Pour suivre le premier : finalise({number})."
    return DuplicatePayment(
        f"Ce paiement a déjà été demandé il y a {ago} ({state}) : même client, même montant, même moyen, même texte. "
        f"Rien n'a été envoyé. {remedy} Pour demander vraiment une seconde fois à ce client : pay(…, again=True). "
        'Avec une référence par commande (merchant_reference="CMD-17"), relancer rend le même paiement.',
        field="merchant_reference",
        id_transaction=number,
        merchant_reference=payment.merchant_reference,
    )
