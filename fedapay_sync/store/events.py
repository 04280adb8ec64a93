"""The verbs of events, and of the work that their callbacks are."""

from typing import Any, Iterable, List, Optional, Sequence, Tuple

from ..errors import TransactionId
from .database import Database
from .opened import Opened
from .records import LOCAL, PAYMENT_NAME, RESTORED_NAME, Accepted, NewEvent, Payment, StoredEvent
from .rows import close_listen, event_columns, insert_event, is_paid_already, listen_row, payment_of, stored_event
from .tables import OPEN_STATES, EventRow


class EventVerbs(Opened):
    """Facts come in once, and each is worked on by one process at a time."""

    def accept(self, event: NewEvent) -> Accepted:
        """
        Store an event once, whoever brings it and how often; settle the listen of its transaction with it.

        When this returns, the event is on disk. In the same transaction the event learns whether it is late (the
        listen had ended without it), whether it is suspect (another amount or currency than was asked for) and whether
        it repeats (an earlier event had said already that the transaction is paid).

        Raises:
            StoreError: not committed; whoever brought it must bring it again.
        """
        return self._write(lambda database: _accept(database, event))

    def final_events(self, environment: str, transaction_id: TransactionId) -> List[StoredEvent]:
        """The final events of a transaction, oldest first."""
        query = (
            event_columns()
            .where(
                EventRow.entity_id == str(transaction_id),
                EventRow.environment == environment,
                EventRow.is_final == 1,
            )
            .order_by(EventRow.id)
        )
        return self._read(lambda database: [stored_event(row) for row in query.tuples().execute(database)])

    def owe_payment_callback(self, event: NewEvent) -> bool:
        """Store that a payment callback is owed; false if it was already."""
        return self._write(lambda database: insert_event(database, event))

    # -- the work that callbacks are ----------------------------------------------------------------------------

    def claim(
        self,
        owner: str,
        *,
        environment: str,
        accounts: Iterable[str],
        kinds: Sequence[str],
        lease: float,
        limit: int,
        busy: Iterable[int] = (),
    ) -> List[StoredEvent]:
        """
        Take owed callbacks; each is ours alone until the lease ends.

        Args:
            accounts: labels of the merchant accounts that this program works for.
            kinds: which callbacks this process has: ``webhook``, ``local.payment``, ``local.restored``.
            busy: ids that this process is running already, which no jump of the clock may give it again.
        """
        now = self._clock.now()
        due = EventRow.work_state.in_(("ready", "running")) & (EventRow.run_after <= now)
        local = [name for name in (PAYMENT_NAME, RESTORED_NAME) if name in kinds]
        wanted: Any = EventRow.name.in_(local)
        if "webhook" in kinds:
            wanted = wanted | (EventRow.source != LOCAL)
        ours = (EventRow.environment == environment) & EventRow.account.in_(list(accounts))
        candidates = (
            event_columns()
            .where(due, ours, wanted, EventRow.id.not_in(list(busy)))
            .order_by(EventRow.run_after, EventRow.id)
        )

        def take(database: Database) -> List[StoredEvent]:
            taken = []
            for row in candidates.limit(limit).tuples().execute(database):
                seen = stored_event(row)
                mine = (
                    EventRow.update(
                        work_state="running",
                        lease_owner=owner,
                        run_after=now + lease,
                        attempts=EventRow.attempts + 1,
                    )
                    .where(EventRow.id == seen.id, EventRow.attempts == seen.attempts, due)
                    .execute(database)
                )
                if mine:
                    taken.append(StoredEvent(**{**seen.__dict__, "attempts": seen.attempts + 1}))
            return taken

        # A look first: most looks find nothing, and a look does not take the write lock.
        if not self._read(lambda database: list(candidates.limit(1).tuples().execute(database))):
            return []
        return self._write(take)

    def keep_lease(self, work: StoredEvent, owner: str, lease: float) -> bool:
        """Say that the callback is still running; false if somebody else has it by now."""
        query = EventRow.update(run_after=self._clock.now() + lease).where(*_fence(work, owner))
        return bool(self._write(query.execute))

    def finish(self, work: StoredEvent, owner: str) -> bool:
        """Mark the callback as done; false if the lease was lost, and then the row is not ours to touch."""
        query = EventRow.update(
            work_state="done", lease_owner=None, finished_at=self._clock.now(), last_error=None
        ).where(*_fence(work, owner))
        return bool(self._write(query.execute))

    def give_back(self, work: StoredEvent, owner: str, *, error: str, again_in: Optional[float]) -> bool:
        """The callback failed: run it again after a while, or park it for good if ``again_in`` is ``None``."""
        query = EventRow.update(
            work_state="dead" if again_in is None else "ready",
            lease_owner=None,
            run_after=self._clock.now() + (again_in or 0),
            last_error=error[:500],
        ).where(*_fence(work, owner))
        return bool(self._write(query.execute))


def _accept(database: Database, event: NewEvent) -> Accepted:
    listen = payment = None
    if event.is_final:
        listen = listen_row(database, event.environment, event.entity_id)
        payment = payment_of(database, event.environment, event.entity_id)
    late = listen is not None and listen["state"] in ("timed_out", "cancelled")
    suspect = payment is not None and event.is_paid and _differs(payment, event)
    repeats = event.is_paid and is_paid_already(database, event.environment, event.entity_id)
    new = insert_event(database, event, late=late, suspect=suspect, repeats=repeats)
    # While we are deleting it ourselves at the deadline, the news of that deletion is not the end of the wait. Told
    # again it is: whoever was deleting has died meanwhile, or somebody else did it first.
    ours = new and listen is not None and listen["state"] == "closing" and event.name == "transaction.deleted"
    if listen is not None and listen["state"] in OPEN_STATES and not ours:
        close_listen(database, listen, "resolved", event.received_at)
    if not new:
        return Accepted(new=False, is_final=event.is_final)
    return Accepted(new=True, is_final=event.is_final, late=late, suspect=suspect)


def _differs(payment: Payment, event: NewEvent) -> bool:
    other_amount = event.amount is not None and event.amount != payment.amount
    currencies = (event.currency_id, payment.currency_id)
    return other_amount or (None not in currencies and currencies[0] != currencies[1])


def _fence(work: StoredEvent, owner: str) -> Tuple[Any, ...]:
    """Only he who holds the lease of this very attempt may touch the row."""
    return (
        EventRow.id == work.id,
        EventRow.lease_owner == owner,
        EventRow.attempts == work.attempts,
        EventRow.work_state == "running",
    )
