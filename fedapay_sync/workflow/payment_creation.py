"""
Creates the transaction of a payment, once.

What is asked lies in the store already, under a merchant reference that FedaPay keeps unique. What bears the reference
becomes this payment's only if it is what was asked: another program may have used it.
"""

from typing import Any, Callable, Dict, Optional, Sequence

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import mask
from fedapay_sync.common.secret import Secret
from fedapay_sync.errors import (
    ApiError,
    BadRequest,
    Conflict,
    FedapayError,
    NotFound,
    ReferenceTaken,
    StoreError,
    TransactionId,
    TransportError,
)
from fedapay_sync.models import Transaction
from fedapay_sync.models.asked import Asked
from fedapay_sync.models.params.identifiers import public_id
from fedapay_sync.resources.idempotency import NO_ANSWER, add_to_message, reference_taken
from fedapay_sync.resources.transactions import Transactions
from fedapay_sync.store import Payment
from fedapay_sync.store.payment_record import PaymentRecord
from fedapay_sync.store.states import PaymentState

log = get_logger(__name__)


class PaymentCreation:
    """The creations of one connector's payments."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def transaction(
        self,
        body: Dict[str, Any],
        asked: Asked,
        row: PaymentRecord,
        key: Secret,
        *,
        is_named: bool,
        is_pushed_next: Callable[[Transaction], bool],
    ) -> Transaction:
        """
        The one transaction of that row, made now unless it is there already.

        Args:
            is_pushed_next: whether the caller will push that new transaction and do nothing before: the prompt is then
                claimed in the commit that remembers the id.
            is_named: the caller gave the reference, and may have used it where this database did not see it.
        """
        known = row.remember(asked)
        if known is not None:
            found = self._of_known(known, row, asked, key)
            if found is not None:
                return found
        try:
            created = self._transactions.create_new(body, api_key=key)
        except NO_ANSWER:
            row.note(PaymentState.unknown)
            raise
        except (BadRequest, Conflict) as refusal:
            # It may be the reference that is refused: what bears it may be this payment, asked for by another call,
            # or by a program whose database is gone.
            found = None
            if is_named or known is not None or row.is_shared():
                found = self._found_after(refusal, row, [asked], key)
            if found is None:
                row.note(PaymentState.failed)
                raise refusal
            return self._adopted(found, row, key)
        except (ApiError, TransportError, ReferenceTaken):
            # The payer was not asked, and the same reference may be used again.
            row.note(PaymentState.failed)
            raise
        return self._adopted(created, row, key, claims_push=is_pushed_next(created))

    def _of_known(self, known: Payment, row: PaymentRecord, asked: Asked, key: Secret) -> Optional[Transaction]:
        """The transaction of an earlier call with the same reference, or None if FedaPay has none."""
        other = tuple(name for name in ("amount", "currency") if getattr(known, name) != getattr(asked, name))
        if other:
            raise ReferenceTaken(
                f"merchant_reference={mask(known.merchant_reference)!r} désigne déjà un paiement de {known.amount} "
                f"{known.currency} ; celui-ci est de {asked.amount} {asked.currency}. Donner une référence neuve.",
                merchant_reference=known.merchant_reference,
                id_transaction=None if known.transaction_id is None else public_id(known.transaction_id),
                fields=other,
            )
        if known.asked.has_other_payer(asked):
            raise ReferenceTaken(
                f"merchant_reference={mask(known.merchant_reference)!r} désigne déjà un paiement d'un autre client : "
                "celui-ci aurait eu sa réponse, et rien à payer. Donner une référence neuve.",
                merchant_reference=known.merchant_reference,
                id_transaction=None if known.transaction_id is None else public_id(known.transaction_id),
                fields=("customer",),
            )
        if known.transaction_id is not None:
            try:
                return self._retrieved(known.transaction_id, key)
            except NotFound as error:
                facts = {name: value for name, value in error.__dict__.items() if name != "message"}
                raise NotFound(
                    f"merchant_reference={mask(known.merchant_reference)!r} est celle d'un paiement de cette base, "
                    f"transaction {public_id(known.transaction_id)}, que FedaPay ne connaît pas. Un émulateur "
                    "l'a oublié en s'arrêtant (--state FICHIER le garde), ou la base est d'un autre compte. Effacer "
                    "la base de l'essai, ou donner une référence neuve.",
                    **facts,
                ) from None
        found = self._found(row, [known.asked, asked], key)
        if found is None:
            row.renew(asked)
            return None
        return self._adopted(found, row, key)

    def _retrieved(self, id_transaction: str, key: Secret) -> Transaction:
        try:
            return self._transactions.retrieve(id_transaction, api_key=key)
        except FedapayError as error:
            error.id_transaction = public_id(id_transaction)
            raise

    def _found(self, row: PaymentRecord, asked: Sequence[Asked], key: Secret) -> Optional[Transaction]:
        """
        What FedaPay has under the reference of that row, if anything.

        Raises:
            ReferenceTaken: it has something else.
        """
        try:
            found = self._transactions.by_merchant_reference(row.reference, include="customer,currency", api_key=key)
        except NotFound:
            return None
        differing = self._transactions.differences(found, asked, key)
        if differing:
            row.note(PaymentState.failed)
            way_out = f"connector.adopt({mask(row.reference)!r}, {found.id})"
            raise add_to_message(
                reference_taken(row.reference, found.id, differing),
                f"Si une personne a vérifié que c'est bien ce paiement : {way_out} ; pay se rappelle ensuite avec le "
                "montant et la devise qu'elle porte.",
            )
        return found

    def _found_after(
        self, refusal: ApiError, row: PaymentRecord, asked: Sequence[Asked], key: Secret
    ) -> Optional[Transaction]:
        """The same after a refusal, which stands where FedaPay cannot say what bears the reference."""
        try:
            return self._found(row, asked, key)
        except (ApiError, TransportError) as error:
            log.warning("a creation was refused, and what bears its reference cannot be told: %s", error.code)
            row.note(PaymentState.unknown)
            raise refusal from None

    def _adopted(
        self, transaction: Transaction, row: PaymentRecord, key: Secret, *, claims_push: bool = False
    ) -> Transaction:
        """Remember whose transaction it is, once it is certain that it is this payment's. The first one counts."""
        try:
            first = row.adopt(transaction, claims_push=claims_push)
        except StoreError as error:
            raise about(error, transaction.id, row.reference) from None
        return transaction if first == str(transaction.id) else self._retrieved(first, key)


def about(error: FedapayError, id_transaction: TransactionId, reference: str) -> FedapayError:
    """The error, saying which transaction it leaves behind."""
    error.id_transaction = id_transaction
    error.merchant_reference = reference
    return add_to_message(
        error,
        f"La transaction {id_transaction} existe chez FedaPay (merchant_reference={mask(reference)!r}) : rappeler "
        "pay avec cette référence la reprend sans en créer une autre.",
    )
