"""
The truth: every query of the package, each an atomic verb that says what it promises.

Truth lies in rows; what wakes threads (:mod:`fedapay_sync.bells`) only makes them look here.
"""

import hashlib
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, TypeVar

import peewee

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import TransactionId
from .database import connect, explained, file_of, prepare_file
from .records import LOCAL, PAYMENT_NAME, RESTORED_NAME, Accepted, Listen, NewEvent, Payment, StoredEvent
from .tables import OPEN_STATES, EventRow, ListenRow, PaymentRow
from .writer import Database, Writer

T = TypeVar("T")

# SQL text for this one statement: Peewee's own "ignore" is INSERT OR IGNORE on SQLite, which also drops, silently,
# rows that break a constraint: a lost webhook.
_INSERT_EVENT = """
INSERT INTO fp_event (dedup_key, event_key, environment, account, name, object, entity_id, status, is_final, late,
                      suspect, source, body, body_sha256, received_at, work_state, last_error)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (dedup_key) DO NOTHING
"""


class Store:
    """
    The database of one connector in one process. Opens at first use.

    Args:
        url: ``sqlite:///…``
    """

    def __init__(self, url: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self.path: Path = file_of(url)
        self._clock = clock
        self._lock = threading.Lock()
        self._connections: Optional[Tuple[Writer, Database]] = None
        self._reading = threading.Lock()

    # -- opening and closing ------------------------------------------------------------------------------------

    def open(self) -> None:
        """
        Make the file ready and start the writer; nothing if that is done.

        Raises:
            ConfigError: the file cannot be made or written.
            StoreError: it is no database of ours.
        """
        self._opened()

    def close(self) -> None:
        """Commit what was handed in and let go of the file. The next verb opens it again."""
        with self._lock:
            connections, self._connections = self._connections, None
        if connections is not None:
            writer, reader = connections
            writer.close()
            with self._reading:
                reader.close()

    def _opened(self) -> Tuple[Writer, Database]:
        connections = self._connections
        if connections is not None:
            return connections
        with self._lock:
            if self._connections is None:
                prepare_file(self.path)
                writer = Writer(self.path)
                try:
                    self._connections = (writer, connect(self.path))
                except peewee.PeeweeException as error:
                    writer.close()
                    raise explained(error) from None
            return self._connections

    def _write(self, operation: Callable[[Database], T]) -> T:
        return self._opened()[0].run(operation)

    def _write_soon(self, operation: Callable[[Database], Any]) -> "Future[Any]":
        """Hand in a write for whose commit nobody waits."""
        return self._opened()[0].submit(operation)

    def _read(self, query: Callable[[Database], T]) -> T:
        reader = self._opened()[1]
        with self._reading:
            try:
                return query(reader)
            except peewee.PeeweeException as error:
                raise explained(error) from None

    # -- events -------------------------------------------------------------------------------------------------

    def accept(self, event: NewEvent) -> Accepted:
        """
        Store an event once, whoever brings it and how often; settle the listen of its transaction with it.

        When this returns, the event is on disk. In the same transaction the event learns whether it is late (the
        listen had ended without it) and whether it is suspect (another amount or currency than was asked for).

        Raises:
            StoreError: not committed; whoever brought it must bring it again.
        """
        return self._write(lambda database: _accept(database, event))

    def final_events(self, environment: str, transaction_id: TransactionId) -> List[StoredEvent]:
        """The final events of a transaction, oldest first."""
        query = (
            _events()
            .where(
                EventRow.entity_id == str(transaction_id),
                EventRow.environment == environment,
                EventRow.is_final == 1,
            )
            .order_by(EventRow.id)
        )
        return self._read(lambda database: [_stored(row) for row in query.tuples().execute(database)])

    def owe_payment_callback(self, event: NewEvent) -> bool:
        """Store that a payment callback is owed; false if it was already."""
        return self._write(lambda database: _insert(database, event, late=False, suspect=False))

    # -- the work that callbacks are ----------------------------------------------------------------------------

    def claim(
        self, owner: str, *, kinds: Sequence[str], lease: float, limit: int, busy: Iterable[int]
    ) -> List[StoredEvent]:
        """
        Take owed callbacks; each is ours alone until the lease ends.

        Args:
            kinds: which callbacks this process has: ``webhook``, ``local.payment``, ``local.restored``.
            busy: ids that this process is running already, which no jump of the clock may give it again.
        """
        now = self._clock.now()
        due = EventRow.work_state.in_(("ready", "running")) & (EventRow.run_after <= now)
        wanted = peewee.Value(False)
        if "webhook" in kinds:
            wanted = wanted | (EventRow.source != LOCAL)
        for name in (PAYMENT_NAME, RESTORED_NAME):
            if name in kinds:
                wanted = wanted | (EventRow.name == name)
        candidates = (
            _events().where(due, wanted, EventRow.id.not_in(list(busy))).order_by(EventRow.run_after, EventRow.id)
        )

        def take(database: Database) -> List[StoredEvent]:
            taken = []
            for row in candidates.limit(limit).tuples().execute(database):
                seen = _stored(row)
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

    # -- listens ------------------------------------------------------------------------------------------------

    def open_listen(
        self,
        environment: str,
        transaction_id: TransactionId,
        *,
        account: str,
        timeout: float,
        delete_at_deadline: bool,
        owner: str,
        lease: float,
    ) -> Listen:
        """
        Remember that somebody waits. A second wait may prolong the first, never shorten it.

        A transaction whose end is known already comes back as ``resolved``.
        """
        now = self._clock.now()
        fresh = {
            "environment": environment,
            "transaction_id": str(transaction_id),
            "account": account,
            "state": "pending",
            "deadline": now + timeout,
            "timeout": timeout,
            "delete_at_deadline": int(delete_at_deadline),
            "owed": 0,
            "event_id": None,
            "owner": owner,
            "run_after": now + lease,
            "created_at": now,
            "closed_at": None,
        }

        def remember(database: Database) -> Listen:
            row = _listen_row(database, environment, transaction_id)
            final = _newest_final(database, environment, str(transaction_id))
            values = dict(fresh)
            if final is not None:
                values.update(state="resolved", event_id=final, closed_at=now)
            if row is None:
                ListenRow.insert(**values).execute(database)
            elif row["state"] in OPEN_STATES:
                changes: Dict[str, Any] = {}
                if row["deadline"] <= fresh["deadline"]:
                    changes = {name: fresh[name] for name in ("deadline", "timeout", "delete_at_deadline")}
                    changes["state"] = "pending"
                if row["owner"] in (None, owner) or row["run_after"] <= now:
                    changes.update(owner=owner, run_after=now + lease)
                if changes:
                    ListenRow.update(**changes).where(ListenRow.id == row["id"]).execute(database)
            elif final is None:
                # It ended without a final event (timeout, cancel): a new wait begins a new watch.
                ListenRow.update(**values).where(ListenRow.id == row["id"]).execute(database)
            stored = _listen_row(database, environment, transaction_id)
            return _listen(stored or values)

        return self._write(remember)

    def listen(self, environment: str, transaction_id: TransactionId) -> Optional[Listen]:
        """The listen of that transaction, open or ended."""
        row = self._read(lambda database: _listen_row(database, environment, transaction_id))
        return None if row is None else _listen(row)

    def ended(self, environment: str, transaction_ids: Iterable[str]) -> List[str]:
        """Those of the transactions whose listen is not being watched any more, or could not be decided."""
        ids = list(transaction_ids)
        found: List[str] = []
        for start in range(0, len(ids), 400):
            query = ListenRow.select(ListenRow.transaction_id).where(
                ListenRow.environment == environment,
                ListenRow.transaction_id.in_(ids[start : start + 400]),
                ListenRow.state.not_in(("pending", "closing")),
            )
            found.extend(row[0] for row in self._read(lambda db, query=query: list(query.tuples().execute(db))))  # type: ignore[misc]
        return found

    def begin_closing(self, environment: str, transaction_id: TransactionId, lease: float) -> Optional[Listen]:
        """
        Take the decision at the deadline upon us; ``None`` if the listen is not due, ended, or another's to decide.

        Whoever took it and died leaves it to the next after the lease.
        """
        now = self._clock.now()
        mine = ListenRow.update(state="closing", run_after=now + lease, attempts=ListenRow.attempts + 1).where(
            ListenRow.environment == environment,
            ListenRow.transaction_id == str(transaction_id),
            # Monotonic and wall clock round differently; a hair early is not early.
            ListenRow.deadline <= now + 0.05,
            (ListenRow.state.in_(("pending", "unknown")))
            | ((ListenRow.state == "closing") & (ListenRow.run_after <= now)),
        )

        def take(database: Database) -> Optional[Listen]:
            if not mine.execute(database):
                return None
            row = _listen_row(database, environment, transaction_id)
            return None if row is None else _listen(row)

        return self._write(take)

    def end_listen(self, environment: str, transaction_id: TransactionId, state: str) -> bool:
        """
        End an open listen as ``timed_out`` or ``cancelled``, or mark it ``unknown`` (still watched).

        False if it is not open any more: what ended it before stands.
        """
        return self._write(lambda database: _end(database, environment, str(transaction_id), state, self._clock.now()))

    def open_listens(self, environment: str) -> List[Listen]:
        """All listens that are being watched."""
        query = ListenRow.select().where(ListenRow.environment == environment, ListenRow.state.in_(OPEN_STATES))
        return self._read(lambda database: [_listen(row) for row in query.dicts().execute(database)])

    def keep_listens(self, owner: str, lease: float) -> None:
        """Say that this owner is alive and watches its listens."""
        query = ListenRow.update(run_after=self._clock.now() + lease).where(
            ListenRow.owner == owner, ListenRow.state.in_(OPEN_STATES)
        )
        self._write_soon(query.execute)

    def release_listens(self, owner: str) -> None:
        """Leave this owner's listens to whoever restores them; they stay open."""
        query = ListenRow.update(owner=None, run_after=0).where(ListenRow.owner == owner)
        self._write(query.execute)

    def adopt_listens(
        self,
        environment: str,
        owner: str,
        lease: float,
        *,
        is_dead: Callable[[str], bool],
        can_watch: Callable[[str], bool],
    ) -> List[Listen]:
        """
        Take over the open listens that nobody watches any more; each goes to one process, and its end is then owed
        to the callback of restored listens.

        Args:
            is_dead: whether an owner is certainly gone, before its lease ends.
            can_watch: whether this program has the key of that fingerprint.
        """
        now = self._clock.now()
        query = ListenRow.select().where(ListenRow.environment == environment, ListenRow.state.in_(OPEN_STATES))

        def take(database: Database) -> List[Listen]:
            taken = []
            for row in query.dicts().execute(database):
                if row["owner"] == owner:
                    continue
                if row["owner"] is not None and row["run_after"] > now and not is_dead(row["owner"]):
                    continue
                if not can_watch(row["account"]):
                    continue
                changes = {"owner": owner, "run_after": now + lease, "owed": 1, "state": "pending"}
                mine = (
                    ListenRow.update(attempts=ListenRow.attempts + 1, **changes)
                    .where(ListenRow.id == row["id"], ListenRow.attempts == row["attempts"])
                    .execute(database)
                )
                if mine:
                    taken.append(_listen({**row, **changes}))
            return taken

        return self._write(take)

    # -- payments -----------------------------------------------------------------------------------------------

    def remember_intent(
        self, environment: str, account: str, reference: str, *, amount: int, currency: str
    ) -> Optional[Payment]:
        """Write down what is about to be asked; if the reference is known already, return what was asked then."""
        now = self._clock.now()

        def remember(database: Database) -> Optional[Payment]:
            known = _payment_row(database, environment, account, reference)
            if known is not None:
                return known
            PaymentRow.insert(
                environment=environment,
                account=account,
                merchant_reference=reference,
                amount=amount,
                currency=currency,
                state="intent",
                created_at=now,
                updated_at=now,
            ).execute(database)
            return None

        return self._write(remember)

    def set_payment(
        self,
        environment: str,
        account: str,
        reference: str,
        state: str,
        *,
        transaction_id: Optional[TransactionId] = None,
        currency_id: Optional[int] = None,
    ) -> None:
        """Move a payment on, with the id that FedaPay gave it."""
        changes: Dict[str, Any] = {"state": state, "updated_at": self._clock.now()}
        if transaction_id is not None:
            changes.update(transaction_id=str(transaction_id), currency_id=currency_id)
        query = PaymentRow.update(**changes).where(
            PaymentRow.environment == environment,
            PaymentRow.account == account,
            PaymentRow.merchant_reference == reference,
        )
        self._write(query.execute)

    def payment_of(self, environment: str, transaction_id: TransactionId) -> Optional[Payment]:
        """What was asked for under that transaction, if this database saw it asked."""
        return self._read(lambda database: _payment_of(database, environment, str(transaction_id)))

    # -- for the waker ------------------------------------------------------------------------------------------

    def data_version(self) -> int:
        """A number that changes when another connection, in this process or another, has committed."""
        return int(self._read(lambda database: database.execute_sql("PRAGMA data_version").fetchone()[0]))


# -- the parts of verbs; they run inside a transaction of the writer, or on the reader ------------------------------


def _events() -> Any:
    row = EventRow
    return row.select(
        row.id, row.event_key, row.environment, row.name, row.entity_id, row.status, row.late, row.suspect,
        row.source, row.body, row.received_at, row.attempts,
    )  # fmt: skip


def _stored(row: Tuple[Any, ...]) -> StoredEvent:
    event = StoredEvent(*row)
    return StoredEvent(
        **{
            **event.__dict__,
            "late": bool(event.late),
            "suspect": bool(event.suspect),
            "body": bytes(event.body),
        }
    )


def _accept(database: Database, event: NewEvent) -> Accepted:
    listen = payment = None
    if event.is_final:
        listen = _listen_row(database, event.environment, event.entity_id)
        payment = _payment_of(database, event.environment, event.entity_id)
    late = listen is not None and listen["state"] in ("timed_out", "cancelled")
    suspect = payment is not None and event.is_paid and _differs(payment, event)
    if not _insert(database, event, late=late, suspect=suspect):
        return Accepted(new=False, is_final=event.is_final)
    # While we are deleting it ourselves at the deadline, the news of that deletion is not the end of the wait.
    ours = listen is not None and listen["state"] == "closing" and event.name == "transaction.deleted"
    if listen is not None and listen["state"] in OPEN_STATES and not ours:
        _close_listen(database, listen, "resolved", event.received_at)
    return Accepted(new=True, is_final=event.is_final, late=late, suspect=suspect)


def _differs(payment: Payment, event: NewEvent) -> bool:
    other_amount = event.amount is not None and event.amount != payment.amount
    currencies = (event.currency_id, payment.currency_id)
    return other_amount or (None not in currencies and currencies[0] != currencies[1])


def _insert(database: Database, event: NewEvent, *, late: bool, suspect: bool) -> bool:
    """True if the event is new. By row count: the id that drivers report for an ignored row is another row's."""
    cursor = database.execute_sql(
        _INSERT_EVENT,
        (
            event.dedup_key, event.event_key, event.environment, event.account, event.name, event.object,
            event.entity_id, event.status, int(event.is_final), int(late), int(suspect), event.source, event.body,
            event.body_sha256, event.received_at, event.work_state, event.last_error,
        ),
    )  # fmt: skip
    return bool(cursor.rowcount == 1)


def _fence(work: StoredEvent, owner: str) -> Tuple[Any, ...]:
    """Only he who holds the lease of this very attempt may touch the row."""
    return (
        EventRow.id == work.id,
        EventRow.lease_owner == owner,
        EventRow.attempts == work.attempts,
        EventRow.work_state == "running",
    )


def _newest_final(database: Database, environment: str, transaction_id: str) -> Optional[int]:
    query = EventRow.select(peewee.fn.MAX(EventRow.id)).where(
        EventRow.entity_id == transaction_id, EventRow.environment == environment, EventRow.is_final == 1
    )
    newest: Optional[int] = query.scalar(database)
    return newest


def _listen_row(database: Database, environment: str, transaction_id: TransactionId) -> Optional[Dict[str, Any]]:
    query = ListenRow.select().where(
        ListenRow.environment == environment, ListenRow.transaction_id == str(transaction_id)
    )
    rows = list(query.dicts().execute(database))
    return rows[0] if rows else None


def _listen(row: Dict[str, Any]) -> Listen:
    return Listen(
        transaction_id=row["transaction_id"],
        account=row["account"],
        state=row["state"],
        deadline=row["deadline"],
        timeout=row["timeout"],
        delete_at_deadline=bool(row["delete_at_deadline"]),
        owed=bool(row["owed"]),
    )


def _end(database: Database, environment: str, transaction_id: str, state: str, now: float) -> bool:
    row = _listen_row(database, environment, transaction_id)
    if row is None or row["state"] not in OPEN_STATES:
        return False
    if state in OPEN_STATES:
        ListenRow.update(state=state).where(ListenRow.id == row["id"]).execute(database)
    else:
        _close_listen(database, row, state, now)
    return True


def _close_listen(database: Database, row: Dict[str, Any], state: str, now: float) -> None:
    """End a listen and, in the same transaction, owe its end to the callback of restored listens if it was one."""
    final = _newest_final(database, row["environment"], row["transaction_id"]) if state == "resolved" else None
    ListenRow.update(state=state, event_id=final, closed_at=now, owner=None).where(ListenRow.id == row["id"]).execute(
        database
    )
    if not row["owed"]:
        return
    key = f"{row['environment']}:{row['transaction_id']}:restored:{row['created_at']}"
    _insert(
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
        late=False,
        suspect=False,
    )


def _payment_row(database: Database, environment: str, account: str, reference: str) -> Optional[Payment]:
    return _payment(
        database,
        PaymentRow.environment == environment,
        PaymentRow.account == account,
        PaymentRow.merchant_reference == reference,
    )


def _payment_of(database: Database, environment: str, transaction_id: str) -> Optional[Payment]:
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
