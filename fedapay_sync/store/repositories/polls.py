"""
The verbs of looks at FedaPay: which payment is due, and whose look it is.

Nobody owns a payment. Whoever moved its ``run_after`` ahead looks; if he dies, another does when that time comes.
"""

from typing import Any, Dict, Iterable, List, Optional, Tuple

import peewee

from fedapay_sync.store.database import Database
from fedapay_sync.store.engine import Opened
from fedapay_sync.store.records import LOCAL, WATCHED, Look
from fedapay_sync.store.repositories.rows import has_ended_for_good, listen_row, payment_of
from fedapay_sync.store.tables import OPEN_STATES, EventRow, ListenRow, PaymentRow, TurnRow

#: No look at a payment is ever put off so far, in seconds: what says otherwise was written before the clock was set
#: back.
_TOO_FAR = 4 * 3600.0
#: FedaPay's clock is behind ours by less, in seconds: what it stamps so much earlier came when we were there.
_SKEW = 60.0
#: Rows of one kind that one transaction goes through.
_BATCH = 50


class LookVerbs(Opened):
    """Payments that are not over are due from time to time, one look at a time."""

    def next_look(self, environment: str, accounts: Iterable[str]) -> Optional[float]:
        """When the next look is due; None if there is nothing to look at."""
        now, labels = self._clock.now(), list(accounts)
        payments, listens = (
            table.select(peewee.fn.MIN(table.run_after)).where(*_watched(table, environment, labels, now))
            for table in (PaymentRow, ListenRow)
        )

        def find(database: Database) -> Optional[float]:
            payment, listen = payments.scalar(database), listens.scalar(database)
            if payment is not None and payment > now + _TOO_FAR:
                payment = now
            return min((each for each in (payment, listen) if each is not None), default=None)

        return self._read(find)

    def claim_look(
        self, environment: str, accounts: Iterable[str], *, lease: float, gap: float, beside_wait: float
    ) -> Optional[Look]:
        """
        Take the look that is due; it is ours until the lease ends. None if none is due, or somebody has just looked.

        What an event has told needs no look any more. Where somebody waits for a transaction his own looks will do.

        Args:
            gap: seconds between two looks, whichever processes make them.
            beside_wait: seconds by which a look is put off while somebody waits.
        """
        now, labels = self._clock.now(), list(accounts)

        def take(database: Database) -> Optional[Look]:
            for look in _due_payments(database, environment, labels, now):
                known = look.transaction_id
                if known is not None and has_ended_for_good(database, environment, known):
                    _move(database, look, None)
                elif known is not None and _is_waited_for(database, environment, known, now):
                    _move(database, look, now + beside_wait)
                else:
                    return _taken(database, look, environment, now, lease, gap)
            for look in _due_listens(database, environment, labels, now):
                known = str(look.transaction_id)
                if has_ended_for_good(database, environment, known) or payment_of(database, environment, known):
                    _move(database, look, None)
                else:
                    return _taken(database, look, environment, now, lease, gap)
            return None

        return self._write(take)

    def end_look(
        self, look: Look, *, again_in: Optional[float], absent_at: Optional[float] = None, failed: bool = False
    ) -> bool:
        """
        Say when the next look is due, or with None that there is none; false if the row has been moved on meanwhile.

        Args:
            absent_at: when FedaPay said first that it does not know the reference.
            failed: it never came into being; ``pay`` may be called again under the same reference.
        """
        now = self._clock.now()
        changes: Dict[Any, Any] = {}
        if look.merchant_reference is not None:
            changes[PaymentRow.absent_at] = absent_at
        if failed:
            changes.update({PaymentRow.state: "failed", PaymentRow.updated_at: now})
        run_after = None if again_in is None else now + again_in
        return self._write(lambda database: _move(database, look, run_after, changes=changes))

    # -- an absence ---------------------------------------------------------------------------------------------

    def begin_catching_up(
        self,
        environment: str,
        accounts: Iterable[str],
        *,
        before: float,
        shortest: float,
        longest: float,
        lease: float,
        every: Optional[float] = None,
        overlap: float = 0.0,
    ) -> Tuple[bool, Optional[float]]:
        """
        Take it upon us to read what FedaPay told while nobody heard it: whether that is owed, and, if it is ours to
        do, from when on.

        What is owed stays so until :meth:`end_catching_up`, whatever comes in meanwhile.

        Args:
            before: since then somebody is here; what came before tells whether there was an absence.
            shortest: seconds without any event, and without such a reading, that count as an absence.
            longest: seconds after which nobody would know what to do with what he reads.
            every: without an absence it is owed so many seconds after the last time; None if it is not.
            overlap: so many seconds are read twice, but nothing from before this database was there.
        """
        now = self._clock.now()
        newest_query = EventRow.select(peewee.fn.MAX(EventRow.received_at)).where(
            EventRow.environment == environment,
            EventRow.account.in_(list(accounts)),
            EventRow.source != LOCAL,
            EventRow.received_at < before,
        )

        def owed_since(database: Database, read_at: float) -> Optional[float]:
            heard = max(newest_query.scalar(database) or 0.0, read_at)
            if now - longest <= heard <= before - shortest:
                return heard
            if every is None or now - longest <= read_at <= now < read_at + every:
                return None
            if read_at > now:
                # The clock was set back since.
                return now - every
            return read_at if read_at >= now - longest else None

        def take(database: Database) -> Tuple[bool, Optional[float]]:
            turn = _turn(database, f"events:{environment}")
            beginning = _beginning(database, environment, now)
            # Once done, it is not done again for so long.
            read_at = turn["run_after"] - shortest
            since = turn["since"]
            if since is None:
                since = owed_since(database, read_at)
                if since is None:
                    if every is not None and read_at < now - longest:
                        # For the first time, or after too long: from now on.
                        _take_turn(database, turn, now + shortest, None)
                    return False, None
            if not _is_free(turn, now, lease):
                return turn["since"] is not None, None
            if not _take_turn(database, turn, now + lease, since):
                return True, None
            return True, max(since - overlap, beginning)

        return self._write(take)

    def end_catching_up(self, environment: str, *, done: bool, again_in: float) -> None:
        """It is done, or is to be tried again; not before so many seconds."""
        changes: Dict[str, Any] = {"since": None} if done else {}
        query = TurnRow.update(run_after=self._clock.now() + again_in, **changes).where(
            TurnRow.name == f"events:{environment}"
        )
        self._write(query.execute)


def _watched(table: Any, environment: str, accounts: List[str], now: float) -> List[Any]:
    """The conditions under which a row of that table is looked at from time to time."""
    ours = [table.environment == environment, table.account.in_(accounts)]
    if table is PaymentRow:
        return [*ours, table.run_after.is_null(False)]
    return [*ours, table.state == "timed_out", table.closed_at > now - WATCHED]


def _due(table: Any, columns: List[Any], environment: str, accounts: List[str], now: float) -> Any:
    due = table.run_after <= now
    if table is PaymentRow:
        due = due | (table.run_after > now + _TOO_FAR)
    query = table.select(*columns).where(*_watched(table, environment, accounts, now), due)
    return query.order_by(table.run_after, table.id).limit(_BATCH).tuples()


def _due_payments(database: Database, environment: str, accounts: List[str], now: float) -> List[Look]:
    row = PaymentRow
    columns = [
        row.id, row.account, row.merchant_reference, row.transaction_id, row.run_after, row.looks, row.updated_at,
        row.absent_at,
    ]  # fmt: skip
    return [Look(*found) for found in _due(row, columns, environment, accounts, now).execute(database)]


def _due_listens(database: Database, environment: str, accounts: List[str], now: float) -> List[Look]:
    row = ListenRow
    columns = [row.id, row.account, row.transaction_id, row.run_after, row.attempts, row.closed_at]
    found = _due(row, columns, environment, accounts, now).execute(database)
    return [Look(number, account, None, *rest) for number, account, *rest in found]


def _is_waited_for(database: Database, environment: str, transaction_id: str, now: float) -> bool:
    row = listen_row(database, environment, transaction_id)
    return row is not None and row["state"] in OPEN_STATES and row["owner"] is not None and row["run_after"] > now


def _taken(database: Database, look: Look, environment: str, now: float, lease: float, gap: float) -> Optional[Look]:
    turn = _turn(database, f"look:{environment}")
    if not _is_free(turn, now, gap) or not _take_turn(database, turn, now + gap, None):
        return None
    if not _move(database, look, now + lease, looks=look.looks + 1):
        return None
    return Look(**{**look.__dict__, "run_after": now + lease, "looks": look.looks + 1})


def _move(database: Database, look: Look, run_after: Optional[float], looks: int = 0, changes: Any = None) -> bool:
    """Put the next look off, if nobody has moved the row since."""
    table: Any
    if look.merchant_reference is not None:
        table, count, more = PaymentRow, PaymentRow.looks, []
    else:
        table, count, more = ListenRow, ListenRow.attempts, [ListenRow.state == "timed_out"]
        if run_after is None:
            # A wait is looked at for so long after its end, and no longer.
            run_after = look.since + WATCHED
    query = table.update({table.run_after: run_after, count: looks or look.looks, **(changes or {})}).where(
        table.id == look.row, table.run_after == look.run_after, count == look.looks, *more
    )
    return bool(query.execute(database))


def _turn(database: Database, name: str) -> Dict[str, Any]:
    """That turn's row, made if it is missing."""
    TurnRow.insert(name=name, run_after=0).on_conflict(
        conflict_target=[TurnRow.name], update={TurnRow.name: name}
    ).execute(database)
    found: Dict[str, Any] = next(iter(TurnRow.select().where(TurnRow.name == name).dicts().execute(database)))
    return found


def _beginning(database: Database, environment: str, now: float) -> float:
    """When this database began to hear of events: what came before was another's to tell."""
    turn = _turn(database, f"beginning:{environment}")
    since: Optional[float] = turn["since"]
    if since is None:
        query = EventRow.select(peewee.fn.MIN(EventRow.received_at)).where(EventRow.environment == environment)
        since = min(query.scalar(database) or now, now) - _SKEW
        _take_turn(database, turn, 0, since)
    # Ahead of us it was written before the clock was set back.
    return since if since <= now else 0.0


def _is_free(turn: Dict[str, Any], now: float, longest: float) -> bool:
    """Whether the turn may be taken. One that is too far ahead was taken before the clock was set back."""
    return not now < turn["run_after"] <= now + longest * 10


def _take_turn(database: Database, turn: Dict[str, Any], until: float, since: Optional[float]) -> bool:
    query = TurnRow.update(run_after=until, since=since).where(
        TurnRow.name == turn["name"], TurnRow.run_after == turn["run_after"]
    )
    return bool(query.execute(database))
