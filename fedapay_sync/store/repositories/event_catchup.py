"""Catching up on missed events: which process reads them at FedaPay, from when on, and when again."""

from typing import Any, Dict, Iterable, Optional, Tuple

import peewee

from fedapay_sync.store.database import Database
from fedapay_sync.store.records import LOCAL
from fedapay_sync.store.repositories.leases import is_free, lease_row, take_lease
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.tables import EventRow, LeaseRow

#: FedaPay's clock is behind ours by less, in seconds: what it stamps so much earlier came when a process was there.
_SKEW = 60.0


class EventCatchUpRepository(Repository):
    """Missed events are read by one process at a time, under a lease."""

    def begin(
        self,
        environment: str,
        accounts: Iterable[str],
        *,
        here_for: float,
        shortest: float,
        longest: float,
        lease: float,
        every: Optional[float] = None,
        overlap: float = 0.0,
    ) -> Tuple[bool, Optional[float]]:
        """
        Take the lease on reading what FedaPay told while no process heard it: whether that is owed, and, if it is ours
        to do, from when on.

        What is owed stays so until :meth:`finish`, whatever comes in meanwhile.

        Args:
            here_for: seconds since a process is here; what came before tells whether there was an outage.
            shortest: seconds without any event, and without such a reading, that count as an outage.
            longest: seconds after which events are too old to be of use.
            every: without an outage it is owed so many seconds after the last time; None if it is not.
            overlap: so many seconds are read twice, but nothing from before this database was there.
        """
        newest_query = EventRow.select(peewee.fn.MAX(EventRow.received_at)).where(
            EventRow.environment == environment,
            EventRow.account.in_(list(accounts)),
            EventRow.source != LOCAL,
        )

        def owed_since(database: Database, now: float, read_at: float) -> Optional[float]:
            before = now - here_for
            heard = max(newest_query.where(EventRow.received_at < before).scalar(database) or 0.0, read_at)
            if now - longest <= heard <= before - shortest:
                return heard
            if every is None or now - longest <= read_at <= now < read_at + every:
                return None
            if read_at > now:
                # The clock was set back since.
                return now - every
            return read_at if read_at >= now - longest else None

        def take(database: Database) -> Tuple[bool, Optional[float]]:
            now, row = self._clock.now(), lease_row(database, f"events:{environment}")
            beginning = _beginning(database, environment, now)
            # Once done, it is not done again for so long.
            read_at = row["run_after"] - shortest
            since = row["since"]
            if since is None:
                since = owed_since(database, now, read_at)
                if since is None:
                    if every is not None and read_at < now - longest:
                        # For the first time, or after too long: from now on.
                        take_lease(database, row, now + shortest, None)
                    return False, None
            if not is_free(row, now, lease):
                return row["since"] is not None, None
            if not take_lease(database, row, now + lease, since):
                return True, None
            return True, max(since - overlap, beginning)

        return self._engine.write(take)

    def owe(self, environment: str, accounts: Iterable[str]) -> None:
        """The database is an older one than it was: what FedaPay told since its newest event is to be read again."""
        query = EventRow.select(peewee.fn.MAX(EventRow.received_at)).where(
            EventRow.environment == environment, EventRow.account.in_(list(accounts)), EventRow.source != LOCAL
        )

        def owe(database: Database) -> None:
            now = self._clock.now()
            newest = query.scalar(database) or _beginning(database, environment, now)
            row = lease_row(database, f"events:{environment}")
            since = min(each for each in (newest, row["since"]) if each is not None)
            take_lease(database, row, 0, since)

        self._engine.write(owe)

    def finish(self, environment: str, *, done: bool, again_in: float) -> None:
        """The reading is done, or is to be tried again; not before so many seconds."""
        changes: Dict[str, Any] = {"since": None} if done else {}

        def write(database: Database) -> None:
            LeaseRow.update(run_after=self._clock.now() + again_in, **changes).where(
                LeaseRow.name == f"events:{environment}"
            ).execute(database)

        self._engine.write(write)


def _beginning(database: Database, environment: str, now: float) -> float:
    """When this database began to hear of events: what came before was another database's to tell."""
    row = lease_row(database, f"beginning:{environment}")
    since: Optional[float] = row["since"]
    if since is None:
        query = EventRow.select(peewee.fn.MIN(EventRow.received_at)).where(EventRow.environment == environment)
        since = min(query.scalar(database) or now, now) - _SKEW
        take_lease(database, row, 0, since)
    # Ahead of us it was written before the clock was set back.
    return since if since <= now else 0.0
