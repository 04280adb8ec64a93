"""Retention: erases old bodies of events, and deletes listens and payments that are long over."""

from typing import Any, Optional, Sequence

import peewee

from fedapay_sync.enums import PAID_STATUSES
from fedapay_sync.models.params.identifiers import canonical_id
from fedapay_sync.store.database import Database
from fedapay_sync.store.records import LOCAL
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.retention_records import Erased, Purged
from fedapay_sync.store.states import PaymentState, WorkState
from fedapay_sync.store.tables import CallRow, EventRow, ListenRow, PaymentRow

#: So many rows are read, and changed, in one transaction: webhooks get their turn in between.
_BATCH = 500
#: What FedaPay may still change, or tell again, is not deleted before so long, in seconds.
_SETTLED = 3 * 86400.0
#: What says paid of a payment that is not known keeps its body for so long at least, in seconds.
_UNKNOWN = 3600.0
#: An event that no callback was called with for so long will be called with by none, in seconds.
_IDLE = 86400.0


class RetentionRepository(Repository):
    """Old rows are deleted, the keys of events stay: an event that comes again after years is still known."""

    def erase_bodies(self, older_than: float, after: int) -> Optional[int]:
        """
        Erase a few old bodies of finished events: the rows after that id. The id to go on from, ``None`` at the end.

        Args:
            older_than: seconds since the callback was done; at least an hour for what is paid and not known, as it may
                yet be found to be a payment of this database, and is compared with what was asked then.
        """
        now, last = self._clock.now(), self._last_event()
        is_settled = (EventRow.known == 1) | EventRow.status.is_null() | EventRow.status.not_in(sorted(PAID_STATUSES))
        sooner = _done_before(now - older_than) & (is_settled | (EventRow.object != "transaction"))
        self._erase(sooner | _done_before(now - max(older_than, _UNKNOWN)), after)
        return after + _BATCH if after + _BATCH < last else None

    def purge(self, older_than: float) -> Purged:
        """
        Delete listens and payments that ended so many seconds ago, and erase the bodies of events done with before.

        Not what is parked, or fails and is tried again: its callback still needs its body. Not what may still change.
        The space that becomes free is given back to the disk.
        """
        now = self._clock.now()
        cutoff, settled = now - older_than, now - max(older_than, _SETTLED)
        old = _done_before(cutoff) | _idle_before(cutoff)
        bodies = sum(self._erase(old, after) for after in range(0, self._last_event(), _BATCH))
        # That an event was given to callbacks is known without these, once all are done; until then they alone say
        # that one was told.
        done = EventRow.select(EventRow.id).where(
            EventRow.id == CallRow.event_id, EventRow.work_state == WorkState.done
        )
        calls = CallRow.select(CallRow.id).where(CallRow.finished_at < settled, peewee.fn.EXISTS(done)).limit(_BATCH)
        self._delete(CallRow, calls)
        # A listen that is being watched has no such time.
        ended = ListenRow.select(ListenRow.id).where(ListenRow.closed_at < settled).limit(_BATCH)
        final = EventRow.select(EventRow.id).where(
            EventRow.entity_id == PaymentRow.transaction_id,
            EventRow.environment == PaymentRow.environment,
            EventRow.is_final == 1,
        )
        # What a person has still to decide about is compared with what was asked.
        suspect = final.where(EventRow.suspect == 1)
        over = (
            PaymentRow.select(PaymentRow.id)
            .where(
                PaymentRow.updated_at < settled,
                (PaymentRow.state == PaymentState.failed) | peewee.fn.EXISTS(final),
                ~peewee.fn.EXISTS(suspect),
            )
            .limit(_BATCH)
        )
        purged = Purged(self._delete(ListenRow, ended), self._delete(PaymentRow, over), bodies)
        self._engine.reclaim_space()
        return purged

    def erase_payment(self, environment: str, payment: str, accounts: Optional[Sequence[str]] = None) -> Erased:
        """
        Erase what the payer of one payment has left: the bodies of its events, what else was asked, and the texts of
        failures, which may quote them. Keys, states and sums stay.

        Not of what is owed or parked: its callback still needs its body.

        Args:
            payment: its merchant reference or the id of its transaction.
            accounts: what is another account's stays; None for those of all.
        """
        number = canonical_id(payment)
        one = (PaymentRow.environment == environment) & (
            (PaymentRow.merchant_reference == payment) | (PaymentRow.transaction_id == number)
        )
        others: Any = None
        if accounts is not None:
            others = one & PaymentRow.account.not_in(list(accounts))
            one &= PaymentRow.account.in_(list(accounts))
        over = (EventRow.work_state == WorkState.done) | _idle_before(self._clock.now() - _IDLE)

        def erase(database: Database) -> Erased:
            rows = list(PaymentRow.select(PaymentRow.transaction_id).where(one).tuples().execute(database))
            ids = {number, *(each for (each,) in rows if each is not None)}
            if others is not None:
                foreign = PaymentRow.select(PaymentRow.transaction_id).where(others).tuples().execute(database)
                ids -= {each for (each,) in foreign}
            its = (EventRow.environment == environment) & EventRow.entity_id.in_(ids)
            its &= EventRow.object.in_(("transaction", "payment"))
            PaymentRow.update(traits=None).where(one).execute(database)
            has_body = peewee.fn.LENGTH(EventRow.body) > 0
            bodies = EventRow.update(body=b"", last_error=None).where(its, has_body, over).execute(database)
            every = EventRow.select(EventRow.id).where(its)
            events, kept = (list(each.tuples().execute(database)) for each in (every, every.where(has_body)))
            return Erased(bool(rows or events), bodies, len(kept))

        erased = self._engine.write(erase)
        self._engine.reclaim_space()
        return erased

    def _last_event(self) -> int:
        query = EventRow.select(peewee.fn.MAX(EventRow.id))
        return self._engine.read(lambda database: query.scalar(database)) or 0

    def _erase(self, which: Any, after: int) -> int:
        """Erase the bodies of those among the next few rows."""
        these = (EventRow.id.between(after + 1, after + _BATCH)) & which & (peewee.fn.LENGTH(EventRow.body) > 0)
        found, erase = EventRow.select(EventRow.id).where(these).limit(1), EventRow.update(body=b"").where(these)
        if not self._engine.read(lambda database: list(found.tuples().execute(database))):
            return 0
        return int(self._engine.write(erase.execute))

    def _delete(self, table: Any, which: Any) -> int:
        def delete(database: Database) -> int:
            ids = [row[0] for row in which.tuples().execute(database)]
            return int(table.delete().where(table.id.in_(ids)).execute(database)) if ids else 0

        total = 0
        while deleted := self._engine.write(delete):
            total += deleted
        return total


def _done_before(cutoff: float) -> Any:
    return (EventRow.work_state == WorkState.done) & (EventRow.finished_at < cutoff)


def _idle_before(time: float) -> Any:
    """Never tried: no process has a callback for it, and what its columns hold is enough for one that comes."""
    ready = (EventRow.work_state == WorkState.ready) & (EventRow.attempts == 0) & (EventRow.source != LOCAL)
    return ready & (EventRow.received_at < time)
