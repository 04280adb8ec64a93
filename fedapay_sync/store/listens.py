"""The verbs of listens: who waits for which transaction, and how that ended."""

import functools
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence

from ..errors import TransactionId
from .dialect import Database
from .opened import Opened
from .records import Listen
from .rows import close_listen, listen_of, listen_row, newest_final
from .tables import OPEN_STATES, ListenRow


class ListenVerbs(Opened):
    """A wait is a row: it outlives its process, and whoever ends it ends it for all."""

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
            row = listen_row(database, environment, transaction_id)
            final = newest_final(database, environment, str(transaction_id))
            values = dict(fresh)
            if final is not None:
                values.update(state="resolved", event_id=final, closed_at=now)
            if row is None:
                ListenRow.insert(**values).execute(database)
            elif row["state"] in OPEN_STATES and final is not None:
                close_listen(database, row, "resolved", now)
            elif row["state"] in OPEN_STATES:
                changes: Dict[str, Any] = {}
                if row["deadline"] <= fresh["deadline"]:
                    changes = {name: fresh[name] for name in ("deadline", "timeout", "delete_at_deadline")}
                    changes["state"] = "pending"
                if row["owner"] in (None, owner) or row["run_after"] <= now:
                    changes.update(owner=owner, run_after=now + lease)
                if changes:
                    ListenRow.update(**changes).where(ListenRow.id == row["id"]).execute(database)
            elif row["state"] != "resolved":
                # It ended without a final event (timeout, cancel): a new wait begins a new watch.
                ListenRow.update(**values).where(ListenRow.id == row["id"]).execute(database)
            stored = listen_row(database, environment, transaction_id)
            return listen_of(stored or values)

        return self._write(remember)

    def listen(self, environment: str, transaction_id: TransactionId) -> Optional[Listen]:
        """The listen of that transaction, open or ended."""
        row = self._read(lambda database: listen_row(database, environment, transaction_id))
        return None if row is None else listen_of(row)

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
            # Executed before the loop goes on, so that the query is the one of this turn.
            found.extend(self._read(lambda database: [row[0] for row in query.tuples().execute(database)]))  # noqa: B023
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
            row = listen_row(database, environment, transaction_id)
            return None if row is None else listen_of(row)

        return self._write(take)

    def end_listen(
        self,
        environment: str,
        transaction_id: TransactionId,
        state: str,
        *,
        only_from: Sequence[str] = OPEN_STATES,
    ) -> bool:
        """
        End an open listen as ``timed_out``, ``cancelled`` or ``resolved``, or mark it ``unknown`` (still watched).

        False if it is in none of the states ``only_from``: what ended or prolonged it before stands.
        """
        now = self._clock.now()
        return self._write(
            lambda database: _end(database, environment, str(transaction_id), state, now, only_from=only_from)
        )

    def open_listens(self, environment: str) -> List[Listen]:
        """All listens that are being watched."""
        query = ListenRow.select().where(ListenRow.environment == environment, ListenRow.state.in_(OPEN_STATES))
        return self._read(lambda database: [listen_of(row) for row in query.dicts().execute(database)])

    def keep_listens(self, owner: str, lease: float) -> None:
        """Say that this owner is alive and watches its listens."""
        query = ListenRow.update(run_after=self._clock.now() + lease).where(
            ListenRow.owner == owner,
            # A decision that is being taken has a lease of its own: its taker may be another, and dead.
            ListenRow.state.in_(("pending", "unknown")),
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
        # Asked once for each owner, not for each of its rows.
        is_gone = functools.lru_cache(maxsize=None)(is_dead)
        query = ListenRow.select().where(ListenRow.environment == environment, ListenRow.state.in_(OPEN_STATES))

        def take(database: Database) -> List[Listen]:
            taken = []
            for row in query.dicts().execute(database):
                if row["owner"] == owner:
                    continue
                if row["owner"] is not None and row["run_after"] > now and not is_gone(row["owner"]):
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
                    taken.append(listen_of({**row, **changes}))
            return taken

        return self._write(take)


def _end(
    database: Database, environment: str, transaction_id: str, state: str, now: float, *, only_from: Sequence[str]
) -> bool:
    row = listen_row(database, environment, transaction_id)
    if row is None or row["state"] not in only_from:
        return False
    if state in OPEN_STATES:
        ListenRow.update(state=state).where(ListenRow.id == row["id"]).execute(database)
        database.announce()
    else:
        close_listen(database, row, state, now)
    return True
