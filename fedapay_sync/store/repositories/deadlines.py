"""Deadlines of many waits at once: which have come, and the end of those that FedaPay still shows as pending."""

from typing import List, Sequence

from fedapay_sync.store.database import Database
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.repositories.rows import close_listens
from fedapay_sync.store.repositories.sql import chunks, rows_of
from fedapay_sync.store.states import ListenState, literals
from fedapay_sync.store.tables import LISTEN_COLUMNS, ListenRow

#: Open, and no process is deciding.
_UNDECIDED = (ListenState.pending, ListenState.unknown)
_OVERDUE = f"""
SELECT {", ".join(LISTEN_COLUMNS)} FROM fp_listen
WHERE state IN ({literals(*_UNDECIDED)}) AND closed_at IS NULL AND delete_at_deadline = 0 AND environment = ?
      AND deadline <= ? AND transaction_id IN ({{}})
"""


class DeadlineRepository(Repository):
    """The waits whose deadline has come, whichever process they are of."""

    def overdue(self, environment: str, account: str) -> List[str]:
        """The transactions of that account whose wait is to be decided."""

        def find(database: Database) -> List[str]:
            query = ListenRow.select(ListenRow.transaction_id).where(
                ListenRow.environment == environment,
                ListenRow.account == account,
                ListenRow.state.in_(_UNDECIDED),
                ListenRow.closed_at.is_null(),
                ListenRow.deadline <= self._clock.now(),
            )
            return [row[0] for row in query.tuples().execute(database)]

        return self._engine.read(find)

    def time_out(self, environment: str, transaction_ids: Sequence[str], *, read_at: float) -> List[str]:
        """
        End the waits for these transactions as ``timed_out``, in one commit; those that were ended.

        Left alone is what has ended or was prolonged, what another process decides, and what is to be deleted first.

        Args:
            read_at: when FedaPay showed that they are pending: a deadline that came later is not decided by that.
        """

        def close(database: Database) -> List[str]:
            found = rows_of(database, _OVERDUE, [environment, read_at], transaction_ids)
            rows = [dict(zip(LISTEN_COLUMNS, row)) for row in found]
            for chunk in chunks(rows):
                close_listens(database, chunk, ListenState.timed_out, self._clock.now())
            return [row["transaction_id"] for row in rows]

        return self._engine.write(close)
