"""
Rows in and out, and the parts of verbs.

Everything here runs inside a transaction of the writer, or on the reading connection.
"""

import hashlib
from typing import Any, Dict, Optional, Tuple

import peewee

from ..enums import PAID_STATUSES, RETRIED_STATUSES
from ..errors import TransactionId
from .dialect import Database
from .owner import is_dead
from .records import LOCAL, RESTORED_NAME, Listen, NewEvent, Payment, StoredEvent
from .tables import EventRow, ListenRow, PaymentRow

# SQL text for this one statement: Peewee's own "ignore" is INSERT OR IGNORE on SQLite, which also drops, silently,
# rows that break a constraint: a lost webhook.
_INSERT_EVENT = """
INSERT INTO fp_event (dedup_key, event_key, environment, account, name, object, entity_id, status, is_final, late,
                      suspect, repeats, source, body, body_sha256, received_at, work_state, last_error)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (dedup_key) DO NOTHING
"""


def event_columns() -> Any:
    row = EventRow
    return row.select(
        row.id, row.event_key, row.environment, row.name, row.entity_id, row.status, row.late, row.suspect,
        row.repeats, row.source, row.body, row.received_at, row.attempts, row.object, row.last_error,
    )  # fmt: skip


def stored_event(row: Tuple[Any, ...]) -> StoredEvent:
    event = StoredEvent(*row)
    return StoredEvent(
        **{
            **event.__dict__,
            "late": bool(event.late),
            "suspect": bool(event.suspect),
            "repeats": bool(event.repeats),
            "body": bytes(event.body),
        }
    )


def insert_event(
    database: Database, event: NewEvent, *, late: bool = False, suspect: bool = False, repeats: bool = False
) -> bool:
    """True if the event is new. By row count: the id that drivers report for an ignored row is another row's."""
    cursor = database.execute_sql(
        _INSERT_EVENT.replace("?", database.param),
        (
            event.dedup_key, event.event_key, event.environment, event.account, event.name, event.object,
            event.entity_id, event.status, int(event.is_final), int(late), int(suspect), int(repeats), event.source,
            event.body, event.body_sha256, event.received_at, event.work_state, event.last_error,
        ),
    )  # fmt: skip
    return bool(cursor.rowcount == 1)


def newest_final(database: Database, environment: str, transaction_id: str) -> Optional[int]:
    query = EventRow.select(peewee.fn.MAX(EventRow.id)).where(
        EventRow.entity_id == transaction_id, EventRow.environment == environment, EventRow.is_final == 1
    )
    newest: Optional[int] = query.scalar(database)
    return newest


def is_paid_already(database: Database, environment: str, transaction_id: str) -> bool:
    """Whether an event has said that this transaction is paid."""
    query = EventRow.select(EventRow.id).where(
        EventRow.entity_id == transaction_id,
        EventRow.environment == environment,
        EventRow.is_final == 1,
        EventRow.status.in_(sorted(PAID_STATUSES)),
    )
    return bool(list(query.limit(1).tuples().execute(database)))


def has_ended_for_good(database: Database, environment: str, transaction_id: str) -> bool:
    """Whether an event has told an end of that transaction that no other follows: the payer may not try again."""
    query = EventRow.select(EventRow.id).where(
        EventRow.entity_id == transaction_id,
        EventRow.environment == environment,
        EventRow.is_final == 1,
        EventRow.status.not_in(sorted(RETRIED_STATUSES)) | (EventRow.name == "transaction.deleted"),
    )
    return bool(list(query.limit(1).tuples().execute(database)))


def listen_row(database: Database, environment: str, transaction_id: TransactionId) -> Optional[Dict[str, Any]]:
    query = ListenRow.select().where(
        ListenRow.environment == environment, ListenRow.transaction_id == str(transaction_id)
    )
    rows = list(query.dicts().execute(database))
    return rows[0] if rows else None


def listen_of(row: Dict[str, Any]) -> Listen:
    return Listen(
        transaction_id=row["transaction_id"],
        account=row["account"],
        state=row["state"],
        deadline=row["deadline"],
        timeout=row["timeout"],
        delete_at_deadline=bool(row["delete_at_deadline"]),
        owed=bool(row["owed"]),
    )


def close_listen(database: Database, row: Dict[str, Any], state: str, now: float) -> None:
    """
    End a listen and, in the same transaction, owe its end to the callback of restored listens if it was one, and tell
    those who wait for it in other processes.
    """
    final = newest_final(database, row["environment"], row["transaction_id"]) if state == "resolved" else None
    ListenRow.update(state=state, event_id=final, closed_at=now, owner=None).where(ListenRow.id == row["id"]).execute(
        database
    )
    database.announce()
    # Owed to the callback of restored listens if this was one, or if whoever waited is gone and will not hear of it.
    if not row["owed"] and row["owner"] is not None and not is_dead(row["owner"]):
        return
    key = f"{row['environment']}:{row['transaction_id']}:restored:{row['created_at']}"
    insert_event(
        database,
        NewEvent(
            dedup_key=hashlib.sha256(key.encode()).hexdigest(),
            event_key=key[:160],
            environment=row["environment"],
            account=row["account"],
            name=RESTORED_NAME,
            object="listen",
            entity_id=row["transaction_id"],
            status=state,
            is_final=False,
            is_paid=False,
            source=LOCAL,
            body=b"",
            body_sha256="",
            received_at=now,
        ),
    )


def payment_row(database: Database, environment: str, account: str, reference: str) -> Optional[Payment]:
    return _payment(
        database,
        PaymentRow.environment == environment,
        PaymentRow.account == account,
        PaymentRow.merchant_reference == reference,
    )


def payment_of(database: Database, environment: str, transaction_id: str) -> Optional[Payment]:
    return _payment(database, PaymentRow.transaction_id == transaction_id, PaymentRow.environment == environment)


def _payment(database: Database, *conditions: Any) -> Optional[Payment]:
    row = PaymentRow
    query = row.select(
        row.merchant_reference,
        row.account,
        row.amount,
        row.currency,
        row.currency_id,
        row.transaction_id,
        row.state,
    ).where(*conditions)
    found = list(query.tuples().execute(database))
    return Payment(*found[0]) if found else None
