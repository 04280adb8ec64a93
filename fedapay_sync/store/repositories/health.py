"""What a health check reads of the database: what is owed, parked and polled, which workers live, the last webhook."""

import re
from datetime import datetime, timezone
from typing import Any, Dict, Iterable, List, Match, NamedTuple, Optional, Tuple

from fedapay_sync.models.health import OwedCallbacks
from fedapay_sync.store.callback_records import KnownCallback
from fedapay_sync.store.database import Database
from fedapay_sync.store.records import PAYMENT_NAME, RESTORED_NAME, WATCHED
from fedapay_sync.store.repositories.callback_names import known_callbacks
from fedapay_sync.store.repositories.distribution import IS_CLAIMED
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.repositories.sql import placeholders
from fedapay_sync.store.repositories.workers import SUBJECT_LENGTH, worker_subject
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
# What no callback is known for yet goes to the first of its kind.
_UNCLAIMED = f"""
SELECT CASE e.name WHEN '{PAYMENT_NAME}' THEN 'payment' WHEN '{RESTORED_NAME}' THEN 'restored' ELSE 'webhook' END
    AS callback, COUNT(*), MIN(e.received_at)
FROM fp_event e WHERE e.work_state IN ({literals(*OWED_STATES)}) AND {_OURS}
    AND NOT {IS_CLAIMED}
GROUP BY callback
"""
# A payment of ours whose wait has timed out is polled as a payment, and not as a wait.
_COUNTS = f"""
SELECT
  (SELECT schema_version FROM fp_meta),
  (SELECT COUNT(DISTINCT substr(name, {SUBJECT_LENGTH + 1})) FROM fp_turn
     WHERE substr(name, 1, {SUBJECT_LENGTH}) IN :workers AND run_after > :now),
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
    #: Callbacks that are owed events, and that no process has had a function for in an hour; whether their account is
    #: one of the program's.
    gone: Tuple[Tuple[str, bool], ...] = ()


class HealthRepository(Repository):
    """How the rows of a program are."""

    def read(self, environment: str, accounts: Iterable[str]) -> StoredHealth:
        """All that the database tells of the health of a program with these accounts."""
        labels = list(accounts)

        def read(database: Database) -> StoredHealth:
            now = self._clock.now()
            values = {
                "environment": environment,
                "accounts": labels,
                "workers": [worker_subject(environment, each) for each in labels],
                "now": now,
                "polled_since": now - WATCHED,
            }
            known = known_callbacks(database, environment)
            callbacks = [each for each in known if each.account in labels]
            owed = _owed(callbacks, _rows(database, _UNCLAIMED, values), now)
            ((schema, workers, parked, payments, waits, heard),) = _rows(database, _COUNTS, values)
            parked += sum(each.parked for each in callbacks)
            last = None if heard is None else datetime.fromtimestamp(heard, timezone.utc)
            gone = dict.fromkeys((each.name, each.account in labels) for each in known if each.is_gone(now))
            return StoredHealth(schema, workers, owed, parked, payments + waits, last, tuple(gone))

        return self._engine.read(read)


def _owed(
    callbacks: Iterable[KnownCallback], unclaimed: Iterable[Tuple[str, int, float]], now: float
) -> Dict[str, OwedCallbacks]:
    """What each name is owed, in all accounts."""
    found = [(each.name, each.owed, each.oldest) for each in callbacks if each.same_as is None]
    owed: Dict[str, OwedCallbacks] = {}
    for name, count, oldest in [*found, *unclaimed]:
        before = owed.get(name, OwedCallbacks())
        ages = [before.oldest, None if oldest is None else max(0.0, now - oldest)]
        owed[name] = OwedCallbacks(before.count + count, max((age for age in ages if age is not None), default=None))
    return owed


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
