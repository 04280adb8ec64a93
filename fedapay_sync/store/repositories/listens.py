"""Listens: which process waits for which transaction until when, and how that ended."""

from typing import Any, Callable, Collection, Dict, Iterable, List, Mapping, Optional, Sequence

from fedapay_sync.errors import TransactionId
from fedapay_sync.store.database import Database
from fedapay_sync.store.owner import is_alive
from fedapay_sync.store.records import Ending, Listen
from fedapay_sync.store.repositories.left_ends import settle_left_ends
from fedapay_sync.store.repositories.open_listens import OpenRequest, open_listens
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.repositories.rows import (
    STORED_EVENT_COLUMNS,
    close_listens,
    is_abandoned,
    listen_of,
    listen_row,
    stored_event,
)
from fedapay_sync.store.repositories.sql import chunks, memoized, placeholders, rows_of
from fedapay_sync.store.states import OPEN_STATES, ListenState, literals
from fedapay_sync.store.tables import LISTEN_COLUMNS, ListenRow

#: Open, and no process is deciding.
_UNDECIDED = (ListenState.pending, ListenState.unknown)
#: Open, and it is known that it will end.
_UNDER_WAY = (ListenState.pending, ListenState.closing)

# In SQL text: ten thousand rows take Peewee several times as long as SQLite.
_ENDED = f"""
SELECT transaction_id FROM fp_listen
WHERE environment = ? AND state NOT IN ({literals(*_UNDER_WAY)}) AND transaction_id IN ({{}})
"""
_OF_OTHERS = f"""
SELECT {", ".join(LISTEN_COLUMNS)} FROM fp_listen
WHERE environment = ? AND state IN ({literals(*OPEN_STATES)}) AND closed_at IS NULL
      AND (owner IS NULL OR owner <> ?)
ORDER BY id
"""
_ACQUIRE = f"""
UPDATE fp_listen
SET owner = ?, run_after = ?, owed = 1, state = {literals(ListenState.pending)}, attempts = attempts + 1
WHERE id IN {{}}
"""
# One statement: a wait and what was told of its transaction, at one moment. At least one row, if an empty one.
_ENDING = f"""
SELECT {", ".join(f"fp_listen.{name}" for name in LISTEN_COLUMNS)},
       {", ".join(f"fp_event.{name}" for name in STORED_EVENT_COLUMNS)}
FROM (SELECT 1) AS always
LEFT JOIN fp_listen ON fp_listen.environment = ? AND fp_listen.transaction_id = ?
LEFT JOIN fp_event ON fp_event.environment = ? AND fp_event.entity_id = ? AND fp_event.is_final = 1
ORDER BY fp_event.id
"""
#: Where a transaction is known from, besides a wait for it.
_FOUNDED = """
SELECT 1 FROM fp_payment WHERE environment = ? AND transaction_id = ?
UNION ALL SELECT 1 FROM fp_event WHERE environment = ? AND entity_id = ? AND object = 'transaction'
"""
_ENDED_LATELY = "SELECT transaction_id FROM fp_listen WHERE closed_at BETWEEN ? AND ? AND environment = ?"


class ListenRepository(Repository):
    """A wait is a row: it outlives its process, and is ended once for all processes."""

    def get(self, environment: str, transaction_id: TransactionId) -> Optional[Listen]:
        """The listen of that transaction, open or ended."""
        row = self._engine.read(lambda database: listen_row(database, environment, transaction_id))
        return None if row is None else listen_of(row)

    def open(self, environment: str, transaction_id: TransactionId, *, account: str, **asked: Any) -> Listen:
        """Store that a caller waits for that transaction; see :meth:`open_many`."""
        (opened,) = self.open_many(environment, {str(transaction_id): account}, **asked).values()
        return opened

    def open_many(
        self,
        environment: str,
        accounts: Mapping[str, str],
        *,
        timeout: float,
        delete_at_deadline: bool,
        owner: str,
        lease: float,
    ) -> Dict[str, Listen]:
        """
        Store that a caller waits for each of these, in one commit. A second wait may prolong the first, never
        shorten it.

        A transaction whose end is known already comes back as ``resolved``.

        Args:
            accounts: label of the merchant account of each transaction, by its id.
        """

        def insert_or_prolong(database: Database) -> Dict[str, Listen]:
            now = self._clock.now()
            asked = OpenRequest(environment, timeout, delete_at_deadline, owner, lease, now, memoized(is_alive))
            opened: Dict[str, Listen] = {}
            for ids in chunks(accounts):
                opened.update(open_listens(database, asked, {each: accounts[each] for each in ids}))
            return opened

        return self._engine.write(insert_or_prolong)

    def ending(self, environment: str, transaction_id: TransactionId) -> Ending:
        """What is known of the end of that transaction, as it stood at one moment."""
        subject = (environment, str(transaction_id))
        rows = self._engine.read(
            lambda database: database.execute_sql(_ENDING.replace("?", database.param), subject * 2).fetchall()
        )
        width = len(LISTEN_COLUMNS)
        listen = dict(zip(LISTEN_COLUMNS, rows[0]))
        events = [stored_event(row[width:]) for row in rows if row[width] is not None]
        return Ending(None if listen["id"] is None else listen_of(listen), events)

    def ended(self, environment: str, transaction_ids: Iterable[str]) -> List[str]:
        """Those of the transactions whose listen is not being watched any more, or could not be decided."""
        ids = list(transaction_ids)
        return self._engine.read(lambda database: [row[0] for row in rows_of(database, _ENDED, [environment], ids)])

    def ended_lately(self, environment: str, seconds: float) -> List[str]:
        """All transactions whose listen has ended in the last so many seconds."""

        def find(database: Database) -> List[str]:
            # Not simply since then: what was ended before the clock was set back would be found again and again.
            now, query = self._clock.now(), _ENDED_LATELY.replace("?", database.param)
            found = database.execute_sql(query, (now - seconds, now + seconds, environment))
            return [row[0] for row in found.fetchall()]

        return self._engine.read(find)

    def is_founded(self, environment: str, transaction_id: TransactionId) -> bool:
        """Whether there is more of that transaction in this database than a wait for it: a payment or an event."""
        query, subject = _FOUNDED, (environment, str(transaction_id))
        return self._engine.read(
            lambda database: bool(database.execute_sql(query.replace("?", database.param), subject * 2).fetchall())
        )

    def begin_closing(self, environment: str, transaction_id: TransactionId, lease: float) -> Optional[Listen]:
        """
        Take the decision at the deadline; ``None`` if the listen is not due, has ended, or another process decides.

        A process that took it and died leaves it to the next after the lease.
        """

        def take(database: Database) -> Optional[Listen]:
            now = self._clock.now()
            mine = ListenRow.update(
                state=ListenState.closing, run_after=now + lease, attempts=ListenRow.attempts + 1
            ).where(
                ListenRow.environment == environment,
                ListenRow.transaction_id == str(transaction_id),
                # Monotonic and wall clock round differently; a hair early is not early.
                ListenRow.deadline <= now + 0.05,
                (ListenRow.state.in_(_UNDECIDED))
                | ((ListenRow.state == ListenState.closing) & (ListenRow.run_after <= now)),
            )
            if not mine.execute(database):
                return None
            row = listen_row(database, environment, transaction_id)
            return None if row is None else listen_of(row)

        return self._engine.write(take)

    def end(
        self,
        environment: str,
        transaction_id: TransactionId,
        state: ListenState,
        *,
        only_from: Sequence[ListenState] = OPEN_STATES,
        lease: float = 0.0,
    ) -> bool:
        """
        End an open listen as ``timed_out``, ``cancelled`` or ``resolved``, or mark it ``unknown`` (still watched).

        False if it is in none of the states ``only_from``: what ended or prolonged it before stands.

        Args:
            lease: what is still watched remains its owner's for so long at least, until the owner's next heartbeat.
        """

        def close(database: Database) -> bool:
            now = self._clock.now()
            row = listen_row(database, environment, transaction_id)
            if row is None or row["state"] not in only_from:
                return False
            if state in OPEN_STATES:
                changes = {"state": state, "run_after": max(row["run_after"], now + lease)}
                ListenRow.update(changes).where(ListenRow.id == row["id"]).execute(database)
                database.notify_listeners()
            else:
                close_listens(database, [row], state, now)
            return True

        return self._engine.write(close)

    def cancel_all(self, environment: str) -> List[str]:
        """End every listen that is being watched as ``cancelled``, in one commit; the transactions that were."""
        watched = ListenRow.state.in_(OPEN_STATES) & ListenRow.closed_at.is_null()
        query = ListenRow.select().where(ListenRow.environment == environment, watched).order_by(ListenRow.id)

        def close(database: Database) -> List[str]:
            now = self._clock.now()
            rows = list(query.dicts().execute(database))
            for chunk in chunks(rows):
                close_listens(database, chunk, ListenState.cancelled, now)
            return [row["transaction_id"] for row in rows]

        return self._engine.write(close)

    def give_up(self, environment: str, transaction_id: TransactionId) -> bool:
        """
        Watch an undecided listen no more. It stays ``unknown``: nothing is said about a payment whose status could not
        be read, and an event that comes after all still ends it.
        """

        def close(database: Database) -> bool:
            query = ListenRow.update(closed_at=self._clock.now(), owner=None).where(
                ListenRow.environment == environment,
                ListenRow.transaction_id == str(transaction_id),
                ListenRow.state == ListenState.unknown,
            )
            return bool(query.execute(database))

        return self._engine.write(close)

    def extend_leases(self, owner: str, lease: float, waiting: Collection[str]) -> None:
        """
        The heartbeat of an owner: it is alive and watches its listens.

        Args:
            waiting: the transactions that it still waits for. What was left to it of others, it has heard.
        """

        def extend(database: Database) -> None:
            now = self._clock.now()
            ListenRow.update(run_after=now + lease).where(
                ListenRow.owner == owner,
                # A decision that is being taken has a lease of its own: its process may be another, and dead.
                ListenRow.state.in_(_UNDECIDED),
            ).execute(database)
            settle_left_ends(database, owner, waiting, now, lease)

        self._engine.write_soon(extend)

    def release(self, owner: str, waiting: Collection[str]) -> None:
        """
        Leave this owner's listens to the process that restores them; they stay open.

        Args:
            waiting: the transactions that it still waited for: it has not heard how they ended.
        """

        def leave(database: Database) -> None:
            ListenRow.update(owner=None, run_after=0).where(ListenRow.owner == owner).execute(database)
            settle_left_ends(database, owner, waiting, self._clock.now(), None)

        self._engine.write(leave)

    def acquire_abandoned(
        self,
        environment: str,
        owner: str,
        lease: float,
        *,
        is_dead: Callable[[str], bool],
        can_watch: Callable[[str], bool],
    ) -> List[Listen]:
        """
        Take over the open listens that no process watches any more; each goes to one process, and its end is then
        owed to the callback of restored listens.

        Args:
            is_dead: whether an owner is certainly gone, before its lease ends.
            can_watch: whether this program has the key of that fingerprint.
        """
        is_gone, lives, has_key = memoized(is_dead), memoized(is_alive), memoized(can_watch)

        def take(database: Database) -> List[Listen]:
            # Inside the transaction no other process takes one of them.
            now = self._clock.now()
            rows = database.execute_sql(_OF_OTHERS.replace("?", database.param), (environment, owner)).fetchall()
            found = [
                row
                for row in (dict(zip(LISTEN_COLUMNS, values)) for values in rows)
                if (is_abandoned(row, now, lives) or is_gone(row["owner"])) and has_key(row["account"])
            ]
            for chunk in chunks(found):
                text = _ACQUIRE.format(placeholders(database, chunk)).replace("?", database.param)
                database.execute_sql(text, [owner, now + lease, *(row["id"] for row in chunk)])
            return [listen_of({**row, "state": ListenState.pending, "owed": 1}) for row in found]

        return self._engine.write(take)
