"""What a health check reads of the database: what is owed, parked and polled, which workers live, the last webhook."""

import re
from datetime import datetime, timezone
from typing import Any, Dict, Iterable, List, Match, NamedTuple, Optional

from fedapay_sync.models.health import CALLBACK_NAMES, OwedCallbacks
from fedapay_sync.store.database import Database
from fedapay_sync.store.records import LOCAL, WATCHED
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.repositories.sql import placeholders
from fedapay_sync.store.repositories.workers import PREFIX
from fedapay_sync.store.states import OWED_STATES, EventKind, ListenState, WorkState, literals

#: The last webhook is looked for among so many events: a shop that gets none would have all of them read.
_NEWEST = 10_000

#: The places of a query.
_PLACE = re.compile(r":(\w+)")
# In the words of the partial indexes fp_event_todo, fp_payment_due and fp_listen_late. Without the empty texts
# SQLite would take the indexes that begin with an environment, and go through all rows of it.
_OURS = "environment || '' = :environment AND account || '' IN :accounts"
#: What could not be read names no account of its own.
_OURS_OR_UNREADABLE = (
    f"environment = :environment AND (account IN :accounts OR kind = {literals(EventKind.unreadable)})"
)
_OWED = f"""
SELECT CASE WHEN source = '{LOCAL}' THEN name ELSE 'webhook' END AS callback, COUNT(*), MIN(received_at)
FROM fp_event WHERE work_state IN ({literals(*OWED_STATES)}) AND {_OURS} GROUP BY callback
"""
# A payment of ours whose wait has timed out is polled as a payment, and not as a wait.
_COUNTS = f"""
SELECT
  (SELECT schema_version FROM fp_meta),
  (SELECT COUNT(*) FROM fp_turn WHERE substr(name, 1, 7) = '{PREFIX}' AND run_after > :now),
  (SELECT COUNT(*) FROM fp_event WHERE work_state = {literals(WorkState.dead)} AND {_OURS_OR_UNREADABLE}),
  (SELECT COUNT(*) FROM fp_payment WHERE run_after IS NOT NULL AND {_OURS}),
  (SELECT COUNT(*) FROM fp_listen WHERE state = {literals(ListenState.timed_out)} AND closed_at > :polled_since
     AND {_OURS} AND NOT EXISTS (SELECT 1 FROM fp_payment WHERE transaction_id = fp_listen.transaction_id
                                 AND environment || '' = fp_listen.environment)),
  (SELECT received_at FROM (SELECT source, environment, account, kind, received_at FROM fp_event
                            ORDER BY id DESC LIMIT {_NEWEST}) AS newest
     WHERE source = 'webhook' AND {_OURS_OR_UNREADABLE} LIMIT 1)
"""


class StoredHealth(NamedTuple):
    """What the database tells of a program's health, by the names of :class:`fedapay_sync.models.health.Health`."""

    schema: int
    workers: int
    owed: Dict[str, OwedCallbacks]
    parked: int
    followed: int
    last_webhook_at: Optional[datetime]


class HealthRepository(Repository):
    """How the rows of a program are."""

    def read(self, environment: str, accounts: Iterable[str]) -> StoredHealth:
        """All that the database tells of the health of a program with these accounts."""
        labels = list(accounts)

        def read(database: Database) -> StoredHealth:
            now = self._clock.now()
            values = {"environment": environment, "accounts": labels, "now": now, "polled_since": now - WATCHED}
            owed = {name: OwedCallbacks() for name in CALLBACK_NAMES.values()}
            for stored, count, oldest in _rows(database, _OWED, values):
                owed[CALLBACK_NAMES.get(stored, stored)] = OwedCallbacks(count, max(0.0, now - oldest))
            ((schema, workers, parked, payments, waits, heard),) = _rows(database, _COUNTS, values)
            last = None if heard is None else datetime.fromtimestamp(heard, timezone.utc)
            return StoredHealth(schema, workers, owed, parked, payments + waits, last)

        return self._engine.read(read)


def _rows(database: Database, query: str, values: Dict[str, Any]) -> List[Any]:
    """The rows of a query whose places are named."""
    given: List[Any] = []

    def place(found: Match[str]) -> str:
        value = values[found[1]]
        if isinstance(value, list):
            given.extend(value)
            return placeholders(database, value)
        given.append(value)
        return database.param

    text = _PLACE.sub(place, query)
    return list(database.execute_sql(text, given).fetchall())
