"""
Reads from the store how a wait ended: paid, ended unpaid, timed out, cancelled.

Only the store decides. Every thread and process that asks gets the same answer, whichever of them stored the end.
"""

from typing import List, Optional

from fedapay_sync.enums import PAID_STATUSES, EventFutureStatus, OutcomeState
from fedapay_sync.errors import AmountMismatch, FedapayError, NotFound, StatusUnknown, TransactionId
from fedapay_sync.models import Outcome, Transaction
from fedapay_sync.models.asked import sum_shown
from fedapay_sync.store import StoredEvent
from fedapay_sync.store.states import ListenState
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.webhooks.history import history_of

#: States of a listen whose deadline has come.
_PAST_DEADLINE = (ListenState.closing, ListenState.timed_out)


class OutcomeReader:
    """The ends of one connector's waits."""

    def __init__(self, context: Context) -> None:
        self._environment = context.config.environment
        self._store = context.store

    def of(self, id_transaction: TransactionId) -> Optional[Outcome]:
        """
        How the wait for that transaction ended, or ``None`` if it has not.

        Raises:
            AmountMismatch: paid, but not what was asked for.
        """
        # At one moment: otherwise a payment whose event comes in between could look like a cancelled wait.
        record, events = self._store.listens.ending(self._environment, id_transaction)
        if record is not None and record.delete_at_deadline and record.state in _PAST_DEADLINE:
            # We delete it ourselves at the deadline: the news of that is part of the timeout, not a cancellation.
            events = [event for event in events if event.name != "transaction.deleted"]
        if events:
            return self._of_events(events, id_transaction)
        if record is None or record.is_open:
            return None
        if record.state == ListenState.timed_out:
            return (deleted_at_deadline if record.delete_at_deadline else still_pending)(id_transaction)
        return Outcome(EventFutureStatus.CANCELLED, id_transaction=id_transaction, reason="attente annulée")

    def _of_events(self, events: List[StoredEvent], id_transaction: TransactionId) -> Outcome:
        """Paid if it was ever paid, else its newest final event."""
        paid = [event for event in events if event.status in PAID_STATUSES]
        newest = (paid or events)[-1]
        histories = [history_of(event) for event in events]
        entity = histories[events.index(newest)].entity
        transaction = entity if isinstance(entity, Transaction) else None
        if paid and newest.suspect:
            raise self._mismatch(id_transaction, transaction)
        if not paid and newest.name == "transaction.deleted":
            status, reason = EventFutureStatus.CANCELLED, "transaction annulée chez FedaPay"
        else:
            status, reason = EventFutureStatus.RESOLVED, newest.status or newest.name
        return Outcome(
            status, histories, paid=bool(paid), transaction=transaction, id_transaction=id_transaction, reason=reason
        )

    def _mismatch(self, id_transaction: TransactionId, transaction: Optional[Transaction]) -> AmountMismatch:
        asked = self._store.payments.of_transaction(self._environment, id_transaction)
        expected = f"{asked.amount} {asked.currency}" if asked else "inconnu"
        received = sum_shown(transaction.to_dict()) if transaction else "inconnu"
        way_out = (
            f"connector.accept({id_transaction}) l'accepte tel quel."
            if asked
            else "Cette base ne suit pas cette transaction, qui porte la référence d'un paiement ou lui ressemble ; "
            "connector.adopt(merchant_reference, id_transaction) en fait ce paiement."
        )
        return AmountMismatch(
            f"La transaction {id_transaction} est payée, mais pas ce qui était demandé : demandé {expected}, reçu "
            f"{received}. Ne rien livrer avant d'avoir comparé avec la commande. {way_out}",
            id_transaction=id_transaction,
            expected=expected,
            received=received,
        )


def mismatched(id_transaction: TransactionId, error: AmountMismatch) -> Outcome:
    """What a callback is told where ``finalise`` raises."""
    return Outcome(EventFutureStatus.RESOLVED, id_transaction=id_transaction, reason=error.message, error=error)


def unfounded(id_transaction: TransactionId, error: NotFound) -> Outcome:
    """What a callback is told of a transaction that FedaPay does not know."""
    return Outcome(EventFutureStatus.CANCELLED, id_transaction=id_transaction, reason=error.message, error=error)


def undecided(id_transaction: TransactionId, error: FedapayError) -> Outcome:
    """What is told among many where ``finalise`` raises ``StatusUnknown``: no timeout, as FedaPay did not tell."""
    return Outcome(
        EventFutureStatus.CANCELLED_INTERNALLY, id_transaction=id_transaction, reason=error.message, error=error
    )


def not_found(id_transaction: TransactionId, error: NotFound) -> NotFound:
    """The error, in the words of a wait."""
    facts = {name: value for name, value in error.__dict__.items() if name != "message"}
    return NotFound(
        f"FedaPay ne connaît pas la transaction {id_transaction}, et cette base non plus : rien n'est attendu. "
        "Vérifier l'identifiant (celui que pay a rendu), et que la clé est celle de son compte et de son "
        "environnement.",
        **{**facts, "id_transaction": id_transaction},
    )


def still_pending(id_transaction: TransactionId) -> Outcome:
    return Outcome(
        EventFutureStatus.TIMEOUT,
        id_transaction=id_transaction,
        reason="échéance passée, paiement encore en attente",
    )


def deleted_at_deadline(id_transaction: TransactionId) -> Outcome:
    return Outcome(
        EventFutureStatus.TIMEOUT,
        id_transaction=id_transaction,
        reason="échéance passée, transaction annulée chez FedaPay",
        state=OutcomeState.canceled,
    )


def interrupted(id_transaction: TransactionId) -> Outcome:
    return Outcome(EventFutureStatus.CANCELLED_INTERNALLY, id_transaction=id_transaction, reason="connecteur fermé")


def unknown(id_transaction: TransactionId, cause: Optional[BaseException] = None) -> StatusUnknown:
    # Its first sentence: what it advises is to call again, and this is not to be paid again.
    detail = f" ({str(cause).partition('. ')[0]})" if cause is not None else ""
    return StatusUnknown(
        f"FedaPay n'a pas pu dire où en est la transaction {id_transaction} à l'échéance{detail}. Elle a pu être "
        "payée : ne pas la refaire. Elle reste suivie ; rappeler finalise plus tard, ou attendre le callback "
        "de webhook.",
        id_transaction=id_transaction,
    )
