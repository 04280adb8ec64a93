"""
Asks a payer for money, once: creates the transaction, reads its token, sends the prompt.

What is about to be asked is written down first, under a merchant reference that FedaPay keeps unique. After a
doubtful POST that reference is looked up before anything is sent again.
"""

import hashlib
import json
from typing import Any, Dict, Mapping, Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.secret import Secret
from fedapay_sync.enums import FINAL_STATUSES
from fedapay_sync.errors import (
    AmountMismatch,
    ApiError,
    FedapayError,
    InvalidArgument,
    OutcomeUnknown,
    TransportError,
    UnreadableAnswer,
)
from fedapay_sync.models import FedapayPay, PaiementSetup, Transaction, TransactionToken, UserData
from fedapay_sync.models.asked import Asked, sum_shown
from fedapay_sync.models.params.payment import transaction_request
from fedapay_sync.models.payment import number_to_push
from fedapay_sync.models.schema import to_plain
from fedapay_sync.resources.api import Api
from fedapay_sync.resources.idempotency import NO_ANSWER, new_reference
from fedapay_sync.store import LOCAL, PAYMENT_NAME, NewEvent
from fedapay_sync.store.payment_record import PaymentRecord
from fedapay_sync.store.states import CallbackKind
from fedapay_sync.workflow.callbacks.worker import CallbackWorker
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.duplicates import Duplicates
from fedapay_sync.workflow.payment_creation import PaymentCreation, about
from fedapay_sync.workflow.reconciliation.reconciler import Reconciler

log = get_logger(__name__)


class Payments:
    """The payments of one connector."""

    def __init__(self, context: Context, api: Api, callbacks: CallbackWorker, reconciler: Reconciler) -> None:
        self._config, self._store, _, _ = context
        self._transactions = api.transactions
        self._creation = PaymentCreation(api.transactions)
        self._duplicates = Duplicates(context, api.transactions)
        self._intents = api.payment_intents
        self._callbacks = callbacks
        self._reconciler = reconciler

    def pay(
        self,
        setup: PaiementSetup,
        client_infos: Optional[UserData],
        montant_paiement: int,
        *,
        payment_contact: Optional[str] = None,
        callback_url: Optional[str] = None,
        api_key: Optional[str] = None,
        merchant_reference: Optional[str] = None,
        custom_metadata: Optional[Mapping[str, Any]] = None,
        description: Optional[str] = None,
        again: bool = False,
    ) -> FedapayPay:
        """Create a transaction, ask for its token if it came without, push it to the phone, owe the callback."""
        key = self._config.checked_key(api_key)
        body = transaction_request(
            setup, client_infos, montant_paiement, callback_url, custom_metadata, description, merchant_reference
        )
        contact = number_to_push(setup, client_infos, payment_contact, self._config.environment)
        if again and merchant_reference is not None:
            raise InvalidArgument(
                "again=True redemande sans référence ; avec une merchant_reference, pay rend le paiement qui la porte. "
                "Pour redemander au client, donner une référence neuve.",
                field="again",
            )
        reference = body.setdefault("merchant_reference", new_reference())
        # What we say where the caller says nothing is sent, but proves nothing.
        how = {
            "country": setup.pays.value,
            "method": setup.method.name if setup.method else "",
            "kind": setup.type_paiement.value,
        }
        asked = Asked.of_body(body, unsaid=() if description else ("description",)).with_whole(body, contact, **how)
        # A page that is paid by who knows whom: two visitors, as far as anyone can tell.
        if merchant_reference is None and not again and (contact is not None or asked.knows_payer()):
            self._duplicates.check(asked, lambda first: first.is_same_as(body, contact, **how), key)
        poll_in = self._reconciler.schedule_first_poll(key)
        row = PaymentRecord(self._store, self._config.environment, key.label, reference, poll_in)

        def is_pushed_next(created: Transaction) -> bool:
            return _is_to_be_pushed(created, setup, contact) and _has_link(created) and not _differs(created, asked)

        try:
            transaction = self._creation.transaction(
                body, asked, row, key, is_named=merchant_reference is not None, is_pushed_next=is_pushed_next
            )
        except FedapayError as error:
            error.merchant_reference = reference
            raise
        try:
            _check_sum(transaction, asked)
            payment = self._started(transaction, setup, contact, row, key)
            self._owe_callback(payment)
        except FedapayError as error:
            raise about(error, transaction.id, reference)  # noqa: B904 - the same error, told better
        return payment

    # -- after creation -----------------------------------------------------------------------------------------

    def _started(
        self,
        transaction: Transaction,
        setup: PaiementSetup,
        contact: Optional[str],
        row: PaymentRecord,
        key: Secret,
    ) -> FedapayPay:
        """Send the prompt to the payer's phone, if none was sent and there is still something to ask."""
        waiting = _is_waiting(transaction)
        link = self._link(transaction, key) if waiting else TransactionToken()
        if waiting and contact is None and not link.payment_link:
            raise UnreadableAnswer("FedaPay n'a pas donné de lien de paiement : il manque dans sa réponse.")
        if setup.method is None or not _is_to_be_pushed(transaction, setup, contact) or not row.claim_push():
            return FedapayPay(transaction, link, None, transaction.status)
        try:
            intent = self._intents.create(
                setup.method, link.token or "", number=contact, country=setup.pays.value, api_key=key
            )
        except NO_ANSWER as error:
            # The prompt may be on the phone already: never a second one. Where it stands, FedaPay knows.
            log.warning("push of %s had no answer (%s); looking at the transaction", transaction.id, error.code)
            return self._after_doubtful_push(transaction, link, error, key)
        except (ApiError, TransportError, InvalidArgument):
            # Certainly not on the phone: the same reference may ask again.
            row.release_push()
            raise
        return FedapayPay(transaction, link, intent, intent.status or transaction.status)

    def _after_doubtful_push(
        self, transaction: Transaction, link: TransactionToken, doubt: FedapayError, key: Secret
    ) -> FedapayPay:
        try:
            seen = self._transactions.retrieve(transaction.id, api_key=key)
        except (ApiError, TransportError) as error:
            log.warning("looking at %s failed: %s", transaction.id, error.code)
            raise OutcomeUnknown(
                "Le client a peut-être reçu l'invitation à payer : ni la réponse de FedaPay à cette invitation ni le "
                f"statut n'ont pu être lus ({doubt.message}) Ne pas la refaire ; attendre avec finalise.",
                **{name: getattr(doubt, name, "") for name in ("method", "path", "cause")},
            ) from None
        return FedapayPay(seen, link, None, seen.status)

    def _link(self, transaction: Transaction, key: Secret) -> TransactionToken:
        """FedaPay sends token and link with the creation since 2025; where it does not, they are asked for."""
        if _has_link(transaction):
            return TransactionToken(transaction.payment_token, transaction.payment_url)
        return self._transactions.token(transaction.id, api_key=key)

    def _owe_callback(self, payment: FedapayPay) -> None:
        if not self._callbacks.names.has(CallbackKind.payment):
            return
        environment, id_transaction = self._config.environment, str(payment.id_transaction)
        event_key = f"{environment}:{self._config.account}:payment:{id_transaction}"
        body = json.dumps(payment.to_dict()).encode("ascii")
        self._store.events.add_local(
            NewEvent(
                dedup_key=hashlib.sha256(event_key.encode()).hexdigest(),
                event_key=event_key,
                environment=environment,
                account=self._config.account,
                name=PAYMENT_NAME,
                object="payment",
                entity_id=id_transaction,
                status=None,
                is_final=False,
                is_paid=False,
                source=LOCAL,
                body=body,
                body_sha256=hashlib.sha256(body).hexdigest(),
                received_at=self._store.clock.now(),
            )
        )
        self._callbacks.notify()


def _is_waiting(transaction: Transaction) -> bool:
    """Whether there is still something to ask for."""
    over = isinstance(transaction.status, str) and transaction.status in FINAL_STATUSES
    return not over and not transaction.is_deleted


def _is_to_be_pushed(transaction: Transaction, setup: PaiementSetup, contact: Optional[str]) -> bool:
    # A mode means that an attempt to pay has begun, on the payment page or from elsewhere.
    return _is_waiting(transaction) and contact is not None and setup.method is not None and not transaction.mode


def _has_link(transaction: Transaction) -> bool:
    token = transaction.payment_token
    return isinstance(token, str) and bool(token and transaction.payment_url)


def _shown_sum(transaction: Transaction) -> Dict[str, Any]:
    """What of the transaction says its sum."""
    return {name: to_plain(getattr(transaction, name)) for name in ("amount", "currency", "currency_id")}


def _differs(transaction: Transaction, asked: Asked) -> bool:
    """Whether its sum is another than was meant. What cannot be read says nothing."""
    return bool(asked.compare_sum(_shown_sum(transaction)).different)


def _check_sum(transaction: Transaction, asked: Asked) -> None:
    """The payer is not asked for another sum than the one that was meant."""
    if _differs(transaction, asked):
        expected = f"{asked.amount} {asked.currency}"
        received = sum_shown(_shown_sum(transaction))
        raise AmountMismatch(
            f"La transaction de FedaPay porte {received}, et {expected} étaient demandés. Rien n'a été demandé au "
            "client ; ne rien livrer, et vérifier la référence.",
            expected=expected,
            received=received,
        )
