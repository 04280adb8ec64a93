"""Events: each fact is stored once, on whichever way it comes and how often."""

from typing import List, Optional, Sequence, Tuple

from fedapay_sync.store.callback_records import Claim
from fedapay_sync.store.database import Database
from fedapay_sync.store.records import Accepted, NewEvent
from fedapay_sync.store.repositories.claiming import claim_calls
from fedapay_sync.store.repositories.ingestion import accept_all
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.repositories.rows import EventFacts, insert_events


class EventRepository(Repository):
    """Facts told by FedaPay, or by us."""

    def accept(self, event: NewEvent, claim: Optional[Claim] = None) -> Accepted:
        """
        Store an event once, on whichever way it comes and how often; settle the listen of its transaction with it.

        When this returns, the event is on disk. In the same transaction the event learns whether it is late (the
        listen had ended without it), whether it is suspect (another amount or currency than was asked for) and whether
        it repeats (an earlier event had said already that the transaction is paid).

        Args:
            claim: what takes its calls in the same transaction.

        Raises:
            StoreError: not committed; its sender must send it again.
        """
        return self._engine.write_batched(self._accept_all, (event, claim))

    def _accept_all(self, database: Database, asked: Sequence[Tuple[NewEvent, Optional[Claim]]]) -> List[Accepted]:
        now = self._clock.now()
        accepted = accept_all(database, [event for event, _ in asked], now)
        return claim_calls(database, accepted, [claim for _, claim in asked], now)

    def add_local(self, event: NewEvent) -> bool:
        """Store an event of our own, so that its callback is owed; false if it was already."""
        return self._engine.write(lambda database: insert_events(database, [EventFacts(event)]) == 1)
