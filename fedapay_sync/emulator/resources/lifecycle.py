"""Schedules what time does to a transaction: expiry after a day, transfer three days after payment."""

import heapq
from typing import Callable, Iterator, List, Tuple

from fedapay_sync.emulator.domain.rules import TRANSITIONS
from fedapay_sync.emulator.domain.timers import Timers
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.storage.shop_data import ShopData
from fedapay_sync.emulator.storage.table import Table


class Lifecycle:
    """
    A heap of status changes by due time, rebuilt from ``due`` and ``turns`` of the records. Under the lock of the data.

    Args:
        act: called when something has become due.
    """

    def __init__(self, data: ShopData, timers: Timers, table: Table, act: Callable[[], object]) -> None:
        self._data = data
        self._timers = timers
        self._table = table
        self._act = act
        self._due: List[Tuple[float, int, str]] = []
        data.on_reload(self._rebuild)

    def plan(self, record: Record, due: float, status: str) -> None:
        """Have the record take that status at that time."""
        record.update(due=due, turns=str(status))
        heapq.heappush(self._due, (due, record["id"], str(status)))
        self._set_timer(due)

    def pop_due(self) -> Iterator[Tuple[Record, str]]:
        """Remove what has become due, the oldest first: the record, and the status that it takes."""
        while self._due and self._due[0][0] <= self._data.now():
            due, number, status = heapq.heappop(self._due)
            record = self._table.get(number)
            # A later plan may have replaced this one.
            if record is None or (record["due"], record["turns"]) != (due, status):
                continue
            if status in TRANSITIONS.get(record["status"], ()) and not record["deleted_at"]:
                yield record, status

    def resume(self) -> None:
        """After the records were read from a file."""
        self._rebuild()
        for due, _, _ in self._due:
            self._set_timer(due)

    def _rebuild(self) -> None:
        self._due = [
            (record["due"], record["id"], record["turns"])
            for record in self._table
            if record["due"] is not None and record["turns"] in TRANSITIONS.get(record["status"], ())
        ]
        heapq.heapify(self._due)

    def _set_timer(self, due: float) -> None:
        # A second late: timers count by the monotonic clock, records by the date.
        self._timers.call_later(max(0.0, due - self._data.now()) + 1, self._act)
