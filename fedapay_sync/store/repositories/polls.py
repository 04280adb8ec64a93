"""
Polls of FedaPay: which payment is due, and which process makes the poll.

No process owns a payment. The one that moved its ``run_after`` ahead polls; if it dies, another does at that time.
"""

import itertools
from collections import Counter
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence

import peewee

from fedapay_sync.store.database import Database
from fedapay_sync.store.records import WATCHED, DuePolls, Poll
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.repositories.rows import has_ended_for_good, listen_row, payment_of
from fedapay_sync.store.states import OPEN_STATES, ListenState, PaymentState, literals
from fedapay_sync.store.tables import ListenRow, PaymentRow

#: No poll of a payment is ever put off so far, in seconds: what says otherwise was written before the clock was set
#: back.
_TOO_FAR = 4 * 3600.0
#: Rows of one kind that one transaction goes through.
_BATCH = 50
# In SQL text: read for every poll, and again by each process that looks for one.
_DUE = """
SELECT {columns} FROM {table} WHERE environment = ? AND account IN ({accounts}) AND {condition}
ORDER BY run_after, id LIMIT ?
"""
#: A payment that was not polled so far has just begun, if its first poll is due since so many seconds at most.
_JUST_BEGUN = 60.0


class PollRepository(Repository):
    """Payments that are not over are due from time to time, one poll at a time."""

    def next_due(self, environment: str, accounts: Iterable[str]) -> Optional[float]:
        """When the next poll is due; None if there is nothing to poll."""
        labels = list(accounts)

        def find(database: Database) -> Optional[float]:
            now = self._clock.now()
            payments, listens = (
                table.select(peewee.fn.MIN(table.run_after)).where(*_followed_up(table, environment, labels, now))
                for table in (PaymentRow, ListenRow)
            )
            payment, listen = payments.scalar(database), listens.scalar(database)
            if payment is not None and payment > now + _TOO_FAR:
                payment = now
            return min((each for each in (payment, listen) if each is not None), default=None)

        return self._engine.read(find)

    def due(self, environment: str, accounts: Iterable[str], *, most: int) -> DuePolls:
        """The polls that are due, at most so many of each kind."""
        labels = list(accounts)

        def count(database: Database) -> DuePolls:
            now = self._clock.now()
            begun = _due_payments(database, environment, labels, now, most, begun=True)
            followed = [
                *_due_payments(database, environment, labels, now, most),
                *_due_listens(database, environment, labels, now, most),
            ]
            known = {poll.row for poll in begun}
            others = [poll for poll in followed if poll.merchant_reference is None or poll.row not in known]
            return DuePolls(
                Counter(poll.account for poll in begun), Counter(poll.account for poll in others[:most]), None
            )

        found = self._engine.read(count)
        if found.begun or found.followed:
            return found
        return found._replace(next_at=self.next_due(environment, labels))

    def acquire(self, environment: str, accounts: Iterable[str], *, lease: float, beside_wait: float) -> Optional[Poll]:
        """
        Take a poll that is due, first of the payments that have just begun; it is ours until the lease ends. None if
        none is due.

        What an event has told needs no poll any more. Where a process waits for a transaction its own polls will do.

        Args:
            beside_wait: seconds by which a poll is put off while a process waits.
        """
        labels = list(accounts)

        def take(database: Database) -> Optional[Poll]:
            now = self._clock.now()
            begun = _due_payments(database, environment, labels, now, begun=True)
            for poll in itertools.chain(begun, _later_due_payments(database, environment, labels, now)):
                known = poll.transaction_id
                if known is not None and has_ended_for_good(database, environment, known):
                    _reschedule(database, poll, None)
                elif known is not None and _is_waited_for(database, environment, known, now):
                    _reschedule(database, poll, now + beside_wait)
                else:
                    return _acquire(database, poll, now, lease)
            for poll in _due_listens(database, environment, labels, now):
                known = str(poll.transaction_id)
                if has_ended_for_good(database, environment, known) or payment_of(database, environment, known):
                    _reschedule(database, poll, None)
                else:
                    return _acquire(database, poll, now, lease)
            return None

        return self._engine.write(take)

    def finish(
        self, poll: Poll, *, again_in: Optional[float], absent_at: Optional[float] = None, failed: bool = False
    ) -> bool:
        """
        Say when the next poll is due, or with None that there is none; false if the row has been moved on meanwhile.

        Args:
            absent_at: when FedaPay said first that it does not know the reference.
            failed: it never came into being; ``pay`` may be called again under the same reference.
        """

        def reschedule(database: Database) -> bool:
            now = self._clock.now()
            changes: Dict[Any, Any] = {}
            if poll.merchant_reference is not None:
                changes[PaymentRow.absent_at] = absent_at
            if failed:
                changes.update({PaymentRow.state: PaymentState.failed, PaymentRow.updated_at: now})
            return _reschedule(database, poll, None if again_in is None else now + again_in, changes=changes)

        return self._engine.write(reschedule)


def _followed_up(table: Any, environment: str, accounts: List[str], now: float) -> List[Any]:
    """The conditions under which a row of that table is polled from time to time."""
    ours = [table.environment == environment, table.account.in_(accounts)]
    if table is PaymentRow:
        return [*ours, table.run_after.is_null(False)]
    return [*ours, table.state == ListenState.timed_out, table.closed_at > now - WATCHED]


def _due(
    database: Database, columns: Sequence[str], table: str, environment: str, accounts: List[str], condition: str,
    values: Sequence[float], most: int,
) -> List[Any]:  # fmt: skip
    query = _DUE.format(
        columns=", ".join(columns), table=table, accounts=", ".join("?" * len(accounts)), condition=condition
    )
    found = database.execute_sql(query.replace("?", database.param), (environment, *accounts, *values, most))
    return list(found.fetchall())


def _due_payments(
    database: Database,
    environment: str,
    accounts: List[str],
    now: float,
    most: int = _BATCH,
    *,
    begun: bool = False,
) -> List[Poll]:
    columns = (
        "id", "account", "merchant_reference", "transaction_id", "run_after", "looks", "updated_at", "absent_at",
    )  # fmt: skip
    conditions = (
        [("run_after <= ? AND run_after > ? AND looks = 0", (now, now - _JUST_BEGUN))]
        if begun
        # One after the other: with an OR between them, no index gives the order.
        else [("run_after <= ?", (now,)), ("run_after > ?", (now + _TOO_FAR,))]
    )
    found: List[Any] = []
    for condition, values in conditions:
        if len(found) < most:
            found += _due(database, columns, "fp_payment", environment, accounts, condition, values, most)
    return [Poll(*each) for each in found]


def _later_due_payments(database: Database, environment: str, accounts: List[str], now: float) -> Iterator[Poll]:
    """Those that are due, read when they are needed: a transaction has mostly found what it takes before."""
    yield from _due_payments(database, environment, accounts, now)


def _due_listens(
    database: Database, environment: str, accounts: List[str], now: float, most: int = _BATCH
) -> List[Poll]:
    condition = f"run_after <= ? AND state = {literals(ListenState.timed_out)} AND closed_at > ?"
    columns = ("id", "account", "transaction_id", "run_after", "attempts", "closed_at")
    found = _due(database, columns, "fp_listen", environment, accounts, condition, (now, now - WATCHED), most)
    return [Poll(number, account, None, *rest) for number, account, *rest in found]


def _is_waited_for(database: Database, environment: str, transaction_id: str, now: float) -> bool:
    row = listen_row(database, environment, transaction_id)
    return row is not None and row["state"] in OPEN_STATES and row["owner"] is not None and row["run_after"] > now


def _acquire(database: Database, poll: Poll, now: float, lease: float) -> Optional[Poll]:
    if not _reschedule(database, poll, now + lease, polls=poll.polls + 1):
        return None
    return Poll(**{**poll.__dict__, "run_after": now + lease, "polls": poll.polls + 1})


def _reschedule(
    database: Database, poll: Poll, run_after: Optional[float], polls: int = 0, changes: Any = None
) -> bool:
    """Put the next poll off, if no other process has moved the row since."""
    table: Any
    if poll.merchant_reference is not None:
        table, count, more = PaymentRow, PaymentRow.looks, []
    else:
        table, count, more = ListenRow, ListenRow.attempts, [ListenRow.state == ListenState.timed_out]
        if run_after is None:
            # A wait is polled for so long after its end, and no longer.
            run_after = poll.since + WATCHED
    query = table.update({table.run_after: run_after, count: polls or poll.polls, **(changes or {})}).where(
        table.id == poll.row, table.run_after == poll.run_after, count == poll.polls, *more
    )
    return bool(query.execute(database))
