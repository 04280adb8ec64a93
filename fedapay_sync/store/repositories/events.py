"""Events: each fact is stored once, on whichever way it comes and how often."""

from typing import List, Sequence

from fedapay_sync.store.database import Database
from fedapay_sync.store.records import Accepted, NewEvent
from fedapay_sync.store.repositories.ingestion import accept_all
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.repositories.rows import EventFacts, insert_events


class EventRepository(Repository):
    """Facts told by FedaPay, or by us."""

    def accept(self, event: NewEvent) -> Accepted:
        """
        Store an event once, on whichever way it comes and how often; settle the listen of its transaction with it.

        When this returns, the event is on disk. In the same transaction the event learns whether it is late (the
        listen had ended without it), whether it is suspect (another amount or currency than was asked for) and whether
        it repeats (an earlier event had said already that the transaction is paid).

        Raises:
            StoreError: not committed; its sender must send it again.
        """
        return self._engine.write_batched(self._accept_all, event)

    def _accept_all(self, database: Database, events: Sequence[NewEvent]) -> List[Accepted]:
        return accept_all(database, events, self._clock.now())

    def add_local(self, event: NewEvent) -> bool:
        """Store an event of our own, so that its callback is owed; false if it was already."""
        return self._engine.write(lambda database: insert_events(database, [EventFacts(event)]) == 1)
