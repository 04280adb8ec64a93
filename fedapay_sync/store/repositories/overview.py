"""The newest payments and events of a program, in columns that show no customer: for a page that a person reads."""

from typing import Any, List, NamedTuple, Optional, Sequence

from fedapay_sync.store.database import Database
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.repositories.sql import placeholders
from fedapay_sync.store.states import OWED_STATES, EventKind, WorkState, literals

_PAYMENTS = """
SELECT p.merchant_reference, p.transaction_id, p.amount, p.currency, p.state, p.created_at,
  (SELECT e.status FROM fp_event e WHERE e.entity_id = p.transaction_id AND e.environment = p.environment
     AND e.object = 'transaction' AND e.is_final = 1 ORDER BY e.id DESC LIMIT 1)
FROM fp_payment p WHERE p.environment = ? AND p.account IN {accounts} {sought} ORDER BY p.id DESC LIMIT ?
"""
_EVENTS = f"""
SELECT e.event_key, e.name, e.entity_id, e.status, e.received_at, e.source, e.late, e.suspect,
  CASE WHEN e.work_state = {literals(WorkState.dead)}
         OR EXISTS (SELECT 1 FROM fp_call k WHERE k.event_id = e.id AND k.work_state = {literals(WorkState.dead)})
       THEN 2
       WHEN e.work_state IN ({literals(*OWED_STATES)})
         OR EXISTS (SELECT 1 FROM fp_call k WHERE k.event_id = e.id AND k.work_state IN ({literals(*OWED_STATES)}))
       THEN 1 ELSE 0 END
FROM fp_event e WHERE e.environment = ? AND (e.account IN {{accounts}} OR e.kind = {literals(EventKind.unreadable)})
  {{sought}} ORDER BY e.id DESC LIMIT ?
"""


class PaymentLine(NamedTuple):
    """
    A payment.

    Attributes:
        status: of the newest final event about it.
    """

    merchant_reference: str
    transaction_id: Optional[str]
    amount: int
    currency: str
    state: str
    created_at: float
    status: Optional[str]


class EventLine(NamedTuple):
    """
    An event.

    Attributes:
        work: 2 where a callback has parked it, 1 where one is owed it, 0 otherwise.
    """

    event_key: str
    name: str
    entity_id: str
    status: Optional[str]
    received_at: float
    source: str
    late: int
    suspect: int
    work: int


class OverviewRepository(Repository):
    """Reads alone."""

    def payments(self, environment: str, accounts: Sequence[str], sought: str, limit: int) -> List[PaymentLine]:
        """The newest ones, or those of a reference or an id."""
        condition = "AND (p.merchant_reference = ? OR p.transaction_id = ?)"
        return [
            PaymentLine(*each)
            for each in self._rows(_PAYMENTS, condition, environment, accounts, [sought] * 2 if sought else [], limit)
        ]

    def events(self, environment: str, accounts: Sequence[str], sought: str, limit: int) -> List[EventLine]:
        """The newest ones, or those of a payment's reference or id, or of an event's key."""
        condition = (
            "AND (e.event_key = ? OR e.entity_id = ? OR (e.object = 'transaction' AND e.entity_id IN "
            "(SELECT transaction_id FROM fp_payment p WHERE p.merchant_reference = ?)))"
        )
        return [
            EventLine(*each)
            for each in self._rows(_EVENTS, condition, environment, accounts, [sought] * 3 if sought else [], limit)
        ]

    def _rows(
        self, query: str, condition: str, environment: str, accounts: Sequence[str], sought: List[str], limit: int
    ) -> List[Any]:
        def read(database: Database) -> List[Any]:
            text = query.replace("{sought}", condition if sought else "").replace("?", database.param)
            text = text.replace("{accounts}", placeholders(database, accounts))
            return list(database.execute_sql(text, (environment, *accounts, *sought, limit)).fetchall())

        return self._engine.read(read)
