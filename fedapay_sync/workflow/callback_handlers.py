"""Turns what lies in the callback queue into the argument that the program's callback expects."""

from typing import Any, Callable, Optional

from fedapay_sync.enums import EventFutureStatus
from fedapay_sync.errors import AmountMismatch
from fedapay_sync.models import Outcome, PaymentHistory
from fedapay_sync.models.params.identifiers import public_id
from fedapay_sync.store import StoredEvent
from fedapay_sync.store.states import CallbackKind, EventKind, ListenState
from fedapay_sync.workflow.reconciliation.confirmation import Confirmation
from fedapay_sync.workflow.waits.outcomes import OutcomeReader, mismatched
from fedapay_sync.workflow.webhooks.history import contents, history_of
from fedapay_sync.workflow.webhooks.inbox import Inbox

Handler = Callable[[StoredEvent], Any]


class CallbackHandlers:
    """Makes the handlers of one connector's callbacks."""

    def __init__(self, inbox: Inbox, confirmation: Confirmation, outcomes: OutcomeReader) -> None:
        self._inbox = inbox
        self._confirmation = confirmation
        self._outcomes = outcomes

    def handler_for(self, kind: CallbackKind, callback: Callable[[Any], Any]) -> Handler:
        """What the worker calls for a callback of that kind."""
        if kind == CallbackKind.payment:
            return lambda work: callback(PaymentHistory.from_dict(contents(work)))
        if kind == CallbackKind.restored:
            return lambda work: callback(self._restored(work))
        if kind == CallbackKind.webhook:
            return lambda work: callback(history_of(work))
        return lambda work: _call_if_paid(callback, work, of_any=kind == CallbackKind.paid_unknown)

    def examine(self, work: StoredEvent) -> bool:
        """
        Read again what could not be read, and have FedaPay confirm what was merely said; whether callbacks are to be
        called with the event as it is. Where not, another event is stored by now, and has its own turn.
        """
        if work.kind == EventKind.unreadable:
            self._confirmation.schedule(self._inbox.reread(work))
            return False
        return not self._confirmation.confirm(work)

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


def _call_if_paid(callback: Callable[[Any], Any], work: StoredEvent, *, of_any: bool) -> Optional[Any]:
    """Call it if by now the event says that the goods may go: meanwhile FedaPay may have denied it."""
    event = history_of(work)
    return callback(event) if event.paid and (event.known or of_any) else None
