"""
Rows as records and records as rows, and the reads and writes that several repositories share.

Everything here runs inside a transaction of the writer, or on the reading connection.
"""

import dataclasses
import hashlib
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from fedapay_sync.enums import RETRIED_STATUSES
from fedapay_sync.errors import TransactionId
from fedapay_sync.store.database import Database
from fedapay_sync.store.owner import is_alive, is_dead
from fedapay_sync.store.records import LOCAL, RESTORED_NAME, Listen, NewEvent, Payment, RecentPayment, StoredEvent
from fedapay_sync.store.repositories.left_ends import HEARTBEAT, leave_ends
from fedapay_sync.store.repositories.sql import memoized, placeholders
from fedapay_sync.store.states import EventKind, ListenState, PaymentState, literals
from fedapay_sync.store.tables import LISTEN_COLUMNS, EventRow, PaymentRow

# Plain SQL where webhooks come in: Peewee's query builder costs fifteen times the statement. And its own "ignore" is
# INSERT OR IGNORE on SQLite, which also drops, silently, rows that break a constraint: a lost webhook.
_EVENT_COLUMNS = (
    "dedup_key", "event_key", "environment", "account", "name", "object", "entity_id", "status", "is_final", "late",
    "suspect", "repeats", "source", "body", "body_sha256", "received_at", "work_state", "last_error", "kind", "known",
)  # fmt: skip
#: Rows in one statement: the oldest SQLite takes no more than 999 values.
MAX_ROWS = 50

#: What makes a stored event, in the order of its fields.
STORED_EVENT_COLUMNS = tuple(
    field.name for field in dataclasses.fields(StoredEvent) if not field.name.startswith("call")
)
_PAYMENT_COLUMNS = tuple(field.name for field in dataclasses.fields(Payment))
# Ids grow with time, and no index has it: the newest rows are read, and no others.
_RECENT = f"""
SELECT created_at, {", ".join(_PAYMENT_COLUMNS)} FROM (SELECT * FROM fp_payment ORDER BY id DESC LIMIT 200) AS newest
WHERE environment = ? AND account = ? AND amount = ? AND currency = ? AND created_at > ?
  AND state <> {literals(PaymentState.failed)}
"""
_LISTEN = f"SELECT {', '.join(LISTEN_COLUMNS)} FROM fp_listen WHERE environment = ? AND transaction_id = ?"


class EventFacts(NamedTuple):
    """An event, and what was seen of it when it came."""

    event: NewEvent
    late: bool = False
    suspect: bool = False
    repeats: bool = False
    known: bool = False


def select_events() -> Any:
    """A query of what makes a stored event; conditions are to be added."""
    return EventRow.select(*(getattr(EventRow, name) for name in STORED_EVENT_COLUMNS))


def stored_event(row: Tuple[Any, ...], **of_call: Any) -> StoredEvent:
    """
    The event of a row.

    Args:
        of_call: what the row of one of its calls says instead.
    """
    facts = {**dict(zip(STORED_EVENT_COLUMNS, row)), **of_call}
    facts.update({name: bool(facts[name]) for name in ("late", "suspect", "repeats", "known")})
    facts.update(body=bytes(facts["body"]), kind=EventKind(facts["kind"]))
    return StoredEvent(**facts)


def insert_events(database: Database, events: Sequence[EventFacts]) -> int:
    """
    Store those that are new; how many were.

    By row count: the id that drivers report for an ignored row is another row's.
    """
    inserted = 0
    for first in range(0, len(events), MAX_ROWS):
        rows = [_event_values(each) for each in events[first : first + MAX_ROWS]]
        places = ", ".join([placeholders(database, _EVENT_COLUMNS)] * len(rows))
        inserted += database.execute_sql(
            f"INSERT INTO fp_event ({', '.join(_EVENT_COLUMNS)}) VALUES {places} ON CONFLICT (dedup_key) DO NOTHING",
            [value for row in rows for value in row],
        ).rowcount
    return inserted


def _event_values(facts: EventFacts) -> Tuple[Any, ...]:
    event = facts.event
    return (
        event.dedup_key, event.event_key, event.environment, event.account, event.name, event.object, event.entity_id,
        event.status, int(event.is_final), int(facts.late), int(facts.suspect), int(facts.repeats), event.source,
        event.body, event.body_sha256, event.received_at, event.work_state, event.last_error, event.kind,
        int(facts.known),
    )  # fmt: skip


def has_ended_for_good(database: Database, environment: str, transaction_id: str) -> bool:
    """
    Whether an event has told an end of that transaction that no other follows: the payer may not try again. Where it is
    suspect, FedaPay's API has still to be asked.
    """
    query = EventRow.select(EventRow.id).where(
        EventRow.entity_id == transaction_id,
        EventRow.environment == environment,
        EventRow.is_final == 1,
        EventRow.suspect == 0,
        EventRow.status.not_in(sorted(RETRIED_STATUSES)) | (EventRow.name == "transaction.deleted"),
    )
    return bool(list(query.limit(1).tuples().execute(database)))


def listen_row(database: Database, environment: str, transaction_id: TransactionId) -> Optional[Dict[str, Any]]:
    """The listen of that transaction by its ``LISTEN_COLUMNS``."""
    query = _LISTEN.replace("?", database.param)
    row = database.execute_sql(query, (environment, str(transaction_id))).fetchone()
    return None if row is None else dict(zip(LISTEN_COLUMNS, row))


def listen_of(row: Dict[str, Any]) -> Listen:
    return Listen(
        transaction_id=row["transaction_id"],
        account=row["account"],
        state=ListenState(row["state"]),
        deadline=row["deadline"],
        timeout=row["timeout"],
        delete_at_deadline=bool(row["delete_at_deadline"]),
        owed=bool(row["owed"]),
    )


def close_listens(
    database: Database, rows: Sequence[Mapping[str, Any]], state: ListenState, now: float
) -> Set[Tuple[str, str]]:
    """
    End listens and, in the same transaction, owe the end of those that were restored to their callback, and wake the
    waiters of other processes. Where it cannot be told from here whether the process that waited lives, the end is its
    own until its lease is over.

    Returns:
        Environment and transaction of those whose end is owed to a callback.
    """
    if not rows:
        return set()
    final = "NULL"
    if state == ListenState.resolved:
        final = (
            "(SELECT MAX(fp_event.id) FROM fp_event WHERE entity_id = transaction_id AND is_final = 1 "
            "AND fp_event.environment = fp_listen.environment)"
        )
    param, ids = database.param, [row["id"] for row in rows]
    database.execute_sql(
        f"UPDATE fp_listen SET state = {param}, event_id = {final}, closed_at = {param}, owner = NULL "
        f"WHERE id IN {placeholders(database, ids)}",
        [state, now, *ids],
    )
    database.notify_listeners()
    lives, is_gone = memoized(is_alive), memoized(is_dead)
    restored, left = [], []
    for row in rows:
        is_owed = row["owed"] or is_abandoned(row, now, lives) or is_gone(row["owner"])
        if not is_owed and lives(row["owner"]):
            continue
        restored.append(_restored_event(row, state, now))
        if not is_owed:
            left.append((restored[-1], row["owner"], max(row["run_after"], now + HEARTBEAT)))
    insert_events(database, [EventFacts(event) for event in restored])
    leave_ends(database, left)
    return {(each.environment, each.entity_id) for each in restored}


def is_abandoned(row: Mapping[str, Any], now: float, is_alive: Callable[[str], bool]) -> bool:
    """
    Whether no process watches that listen any more, as far as its lease tells.

    Of an owner in sight it tells nothing: a clock that jumps ends the leases of the living, too.
    """
    return row["owner"] is None or (row["run_after"] <= now and not is_alive(row["owner"]))


def _restored_event(row: Mapping[str, Any], state: ListenState, now: float) -> NewEvent:
    key = f"{row['environment']}:{row['transaction_id']}:restored:{row['created_at']}"
    return NewEvent(
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
    )


def payment_under(database: Database, environment: str, account: str, reference: str) -> Optional[Payment]:
    return _payment(
        database,
        PaymentRow.environment == environment,
        PaymentRow.account == account,
        PaymentRow.merchant_reference == reference,
    )


def payment_of(database: Database, environment: str, transaction_id: str) -> Optional[Payment]:
    return _payment(database, PaymentRow.transaction_id == transaction_id, PaymentRow.environment == environment)


def recent_payments(database: Database, subject: Tuple[Any, ...], seconds: float, now: float) -> List[RecentPayment]:
    """
    What was asked for in the last so many seconds, the newest first.

    Args:
        subject: environment, account, amount and currency.
    """
    rows = database.execute_sql(_RECENT.replace("?", database.param), (*subject, now - seconds)).fetchall()
    found = [
        RecentPayment(**{**facts, "state": PaymentState(facts["state"])}, age=now - created_at)
        for created_at, facts in ((row[0], dict(zip(_PAYMENT_COLUMNS, row[1:]))) for row in rows)
    ]
    return sorted(found, key=lambda payment: payment.age)


def _payment(database: Database, *conditions: Any) -> Optional[Payment]:
    query = PaymentRow.select(*(getattr(PaymentRow, name) for name in _PAYMENT_COLUMNS)).where(*conditions)
    found = list(query.dicts().execute(database))
    return Payment(**{**found[0], "state": PaymentState(found[0]["state"])}) if found else None
