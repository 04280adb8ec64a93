"""How a wait ended, read from the store: whoever put the end there, and whenever, the answer is the same."""

import contextlib
from datetime import datetime, timezone
from typing import TYPE_CHECKING, List, Optional

from fedapay_sync.common.config import Config
from fedapay_sync.enums import PAID_STATUSES, EventFutureStatus
from fedapay_sync.errors import AmountMismatch, InvalidArgument, StatusUnknown, TransactionId
from fedapay_sync.models import Outcome, Transaction, WebhookHistory
from fedapay_sync.store import StoredEvent
from fedapay_sync.workflow.webhooks.inbox import contents

if TYPE_CHECKING:
    from fedapay_sync.store import Store


class Outcomes:
    """The ends of one connector's waits."""

    def __init__(self, config: Config, store: "Store") -> None:
        self._config = config
        self._store = store

    def of(self, id_transaction: TransactionId) -> Optional[Outcome]:
        """
        How the wait for that transaction ended, or ``None`` if it has not.

        Raises:
            AmountMismatch: paid, but not what was asked for.
        """
        # At one moment: otherwise a payment whose event comes in between could look like a cancelled wait.
        record, events = self._store.ending(self._config.environment, id_transaction)
        if record is not None and record.delete_at_deadline and record.state in ("closing", "timed_out"):
            # We delete it ourselves at the deadline: the news of that is part of the timeout, not a cancellation.
            events = [event for event in events if event.name != "transaction.deleted"]
        if events:
            return self._of_events(events, id_transaction)
        if record is None or record.is_open:
            return None
        if record.state == "timed_out":
            return still_pending(id_transaction)
        return Outcome(EventFutureStatus.CANCELLED, id_transaction=id_transaction, reason="attente annulée")

    def _of_events(self, events: List[StoredEvent], shown: TransactionId) -> Outcome:
        """Paid if it was ever paid, else its newest final event."""
        paid = [event for event in events if event.status in PAID_STATUSES]
        newest = (paid or events)[-1]
        histories = [event_of(event) for event in events]
        entity = histories[events.index(newest)].entity
        transaction = entity if isinstance(entity, Transaction) else None
        if paid and newest.suspect:
            raise self._mismatch(shown, transaction)
        if not paid and newest.name == "transaction.deleted":
            status, reason = EventFutureStatus.CANCELLED, "transaction annulée chez FedaPay"
        else:
            status, reason = EventFutureStatus.RESOLVED, newest.status or newest.name
        return Outcome(status, histories, paid=bool(paid), transaction=transaction, id_transaction=shown, reason=reason)

    def _mismatch(self, shown: TransactionId, transaction: Optional[Transaction]) -> AmountMismatch:
        asked = self._store.payment_of(self._config.environment, shown)
        expected = f"{asked.amount} {asked.currency}" if asked else "inconnu"
        received = f"{transaction.amount} (devise n° {transaction.currency_id})" if transaction else "inconnu"
        return AmountMismatch(
            f"La transaction {shown} est payée, mais pas ce qui était demandé : demandé {expected}, reçu {received}. "
            "Ne rien livrer avant d'avoir comparé avec la commande.",
            id_transaction=shown,
            expected=expected,
            received=received,
        )


def mismatched(id_transaction: TransactionId, error: AmountMismatch) -> Outcome:
    """What a callback is told where ``finalise`` raises."""
    return Outcome(EventFutureStatus.RESOLVED, id_transaction=id_transaction, reason=error.message)


def still_pending(id_transaction: TransactionId) -> Outcome:
    return Outcome(
        EventFutureStatus.TIMEOUT,
        id_transaction=id_transaction,
        reason="échéance passée, paiement encore en attente",
    )


def interrupted(id_transaction: TransactionId) -> Outcome:
    return Outcome(EventFutureStatus.CANCELLED_INTERNALLY, id_transaction=id_transaction, reason="connecteur fermé")


def unknown(id_transaction: TransactionId, cause: Optional[BaseException] = None) -> StatusUnknown:
    detail = f" ({cause})" if cause is not None else ""
    return StatusUnknown(
        f"FedaPay n'a pas pu dire où en est la transaction {id_transaction} à l'échéance{detail}. Elle a pu être "
        "payée : ne pas la refaire. Elle reste suivie ; rappeler finalise plus tard, ou attendre le callback "
        "de webhook.",
        id_transaction=id_transaction,
    )


def event_of(stored: StoredEvent) -> WebhookHistory:
    """A stored event as callbacks and outcomes show it."""
    event = contents(stored)
    facts = {
        "name": stored.name,
        "event_key": stored.event_key,
        "attempt": max(stored.attempts, 1),
        "late": stored.late,
        "suspect": stored.suspect,
        "repeats": stored.repeats,
        "source": stored.source,
        "last_error": stored.last_error,
        "received_at": datetime.fromtimestamp(stored.received_at, timezone.utc),
    }
    with contextlib.suppress(InvalidArgument):
        return WebhookHistory.from_dict({**event, **facts})
    return WebhookHistory.from_dict(facts)
