"""The methods of a connector by which a program says what it wants to be told."""

import dataclasses
from typing import Any, Callable, List, Optional

from fedapay_sync.connector.standing import Standing
from fedapay_sync.enums import EventFutureStatus
from fedapay_sync.errors import AmountMismatch, TransactionId
from fedapay_sync.models import Outcome, PaymentHistory, WebhookHistory
from fedapay_sync.store import PAYMENT_NAME, RESTORED_NAME, UNREADABLE, StoredEvent
from fedapay_sync.workflow.callbacks.validation import check_callback
from fedapay_sync.workflow.waits.outcomes import event_of, mismatched
from fedapay_sync.workflow.webhooks.inbox import contents, is_claim

PaymentCallback = Callable[[PaymentHistory], Any]
WebhookCallback = Callable[[WebhookHistory], Any]
RestoredCallback = Callable[[Outcome], Any]
FinalCallback = Callable[[EventFutureStatus, Optional[List[WebhookHistory]]], Any]


class Handlers(Standing):
    """A connector's callbacks."""

    def on_payment(self, callback: PaymentCallback) -> PaymentCallback:
        """
        Appelle cette fonction après chaque paiement lancé par ``pay``, sur un autre thread.

        Raises:
            ConfigError: ce n'est pas une fonction ordinaire.
        """
        self._set(PAYMENT_NAME, callback, "Le callback de paiement", lambda work: callback(_payment_of(work)))
        return callback

    def on_webhook(self, callback: WebhookCallback) -> WebhookCallback:
        """
        Appelle cette fonction pour chaque événement, une seule fois, sur un autre thread.

        Si elle lève une exception, elle est rappelée plus tard, avec la même ``event_key``.

        Raises:
            ConfigError: ce n'est pas une fonction ordinaire.
        """
        self._set("webhook", callback, "Le callback de webhook", lambda work: self._tell(callback, work))
        return callback

    def on_restored(self, callback: RestoredCallback) -> RestoredCallback:
        """
        Appelle cette fonction, avec un ``Outcome``, à la fin de chaque attente reprise par ``restore``.

        Raises:
            ConfigError: ce n'est pas une fonction ordinaire.
        """
        self._set(RESTORED_NAME, callback, "Le callback de reprise", lambda work: callback(self._restored(work)))
        return callback

    def _on_restored_pair(self, callback: FinalCallback) -> FinalCallback:
        """Appelle cette fonction, avec ``(status, webhooks)``, à la fin de chaque attente reprise."""
        self._set(RESTORED_NAME, callback, "Le callback de reprise", lambda work: callback(*self._restored(work)))
        return callback

    def _set(self, kind: str, callback: Any, name: str, handler: Callable[[StoredEvent], Any]) -> None:
        check_callback(callback, name)
        self._callbacks[kind] = handler
        self._per_process.get().callbacks.set(kind, handler)

    def _tell(self, callback: WebhookCallback, work: StoredEvent) -> Any:
        parts = self._per_process.get()
        if work.name == UNREADABLE:
            return parts.inbox.reread(work)
        if is_claim(work):
            if not parts.confirmation.is_unfounded(work):
                return None
            work = dataclasses.replace(work, suspect=True)
        return callback(event_of(work))

    def _restored(self, work: StoredEvent) -> Outcome:
        shown: TransactionId = int(work.entity_id) if work.entity_id.isdigit() else work.entity_id
        try:
            outcome = self._per_process.get().outcomes.of(shown)
        except AmountMismatch as error:
            return mismatched(shown, error)
        if outcome is not None:
            return outcome
        status = EventFutureStatus.TIMEOUT if work.status == "timed_out" else EventFutureStatus.CANCELLED
        return Outcome(status, id_transaction=shown, reason=work.status or "")


def _payment_of(work: StoredEvent) -> PaymentHistory:
    return PaymentHistory.from_dict(contents(work))
