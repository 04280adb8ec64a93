"""AppendLog: records that are only added, the oldest dropped, with ids of letters: events and API logs."""

from collections import deque
from typing import Any, Deque, Dict, Iterator, Optional

from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.storage.state_file import State


class AppendLog:
    """
    The last ``kept`` records of one kind, newest first.

    Under the lock of the data. ``number``, our own count, is their number in the state file.
    """

    def __init__(self, kind: str, state: State, kept: int) -> None:
        self._kind = kind
        self._state = state
        self._kept = kept
        self._records: Deque[Record] = deque()
        self._by_id: Dict[str, Record] = {}
        self.load()

    def load(self) -> None:
        """Read all records anew."""
        self._records = deque(self._state.read(self._kind))
        self._by_id = {each["id"]: each for each in self._records}

    def clear(self) -> None:
        """Forget all records; the state is not told."""
        self._records.clear()
        self._by_id.clear()

    def add(self, stamp: str, account_id: int, **known: Any) -> Record:
        """Add a record of an account, and drop the oldest if there are too many."""
        number = self._records[-1]["number"] + 1 if self._records else 1
        record = {
            **known,
            "id": serializers.event_id(),
            "account_id": account_id,
            "created_at": stamp,
            "updated_at": stamp,
            "number": number,
        }
        self._state.write(self._kind, number, record)
        self._records.append(record)
        self._by_id[record["id"]] = record
        if len(self._records) > self._kept:
            oldest = self._records[0]
            self._state.erase(self._kind, oldest["number"])
            del self._by_id[self._records.popleft()["id"]]
        return record

    def get(self, name: str) -> Optional[Record]:
        """The record of that id."""
        return self._by_id.get(name)

    def __iter__(self) -> Iterator[Record]:
        return reversed(self._records)

    def __len__(self) -> int:
        return len(self._records)
