"""Turns what lies in the callback queue into the argument that the program's callback expects."""

from typing import Any, Callable, Optional

from fedapay_sync.enums import EventFutureStatus
from fedapay_sync.errors import AmountMismatch
from fedapay_sync.models import Outcome, PaymentHistory
from fedapay_sync.models.params.identifiers import public_id
from fedapay_sync.store import PAYMENT_NAME, RESTORED_NAME, StoredEvent
from fedapay_sync.store.states import EventKind, ListenState
from fedapay_sync.workflow.callbacks.worker import Handler
from fedapay_sync.workflow.reconciliation.confirmation import Confirmation
from fedapay_sync.workflow.waits.outcomes import OutcomeReader, mismatched
from fedapay_sync.workflow.webhooks.history import contents, history_of
from fedapay_sync.workflow.webhooks.inbox import Inbox


class CallbackHandlers:
    """Makes the handlers of one connector's callbacks."""

    def __init__(self, inbox: Inbox, confirmation: Confirmation, outcomes: OutcomeReader) -> None:
        self._inbox = inbox
        self._confirmation = confirmation
        self._outcomes = outcomes

    def handler_for(self, kind: str, callback: Callable[[Any], Any]) -> Handler:
        """What the worker calls for work of that kind."""
        if kind == PAYMENT_NAME:
            return lambda work: callback(PaymentHistory.from_dict(contents(work)))
        if kind == RESTORED_NAME:
            return lambda work: callback(self._restored(work))
        return lambda work: self._call_with_event(callback, work)

    def _call_with_event(self, callback: Callable[[Any], Any], work: StoredEvent) -> Optional[Any]:
        if work.kind == EventKind.unreadable:
            self._confirmation.schedule(self._inbox.reread(work))
            return None
        if work.kind == EventKind.unconfirmed and self._confirmation.confirm(work):
            # The confirmed event is in the queue by now, and has its own turn.
            return None
        return callback(history_of(work))

    def _restored(self, work: StoredEvent) -> Outcome:
        id_transaction = public_id(work.entity_id)
        try:
            outcome = self._outcomes.of(id_transaction)
        except AmountMismatch as error:
            return mismatched(id_transaction, error)
        if outcome is not None:
            return outcome
        status = EventFutureStatus.TIMEOUT if work.status == ListenState.timed_out else EventFutureStatus.CANCELLED
        return Outcome(status, id_transaction=id_transaction, reason=work.status or "")
