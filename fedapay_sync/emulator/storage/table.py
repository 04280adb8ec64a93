"""Table: records of one kind in memory, indexed by id and by unique fields, written through to the state."""

from typing import Any, Dict, Iterator, List, Optional

from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.storage.state_file import State


class Table:
    """
    Records of one kind, oldest first. A changed record must be saved again.

    A record that has been erased is gone; FedaPay's own deletions only set ``deleted_at``.

    Args:
        unique: names of fields of which no two records have the same value; ``first`` has an index of them.
    """

    def __init__(self, kind: str, state: State, *unique: str) -> None:
        self._kind = kind
        self._state = state
        self._records: Dict[int, Record] = {}
        self._by: Dict[str, Dict[Any, Record]] = {name: {} for name in unique}
        self._values: Dict[int, Dict[str, Any]] = {}
        self.load()

    def load(self) -> None:
        """Read all records anew."""
        records = self._state.read(self._kind)
        self.clear()
        for record in records:
            self._note(record)

    def clear(self) -> None:
        """Forget all records; the state is not told."""
        self._records.clear()
        self._values.clear()
        for found in self._by.values():
            found.clear()

    def find_by(self, *unique: str) -> None:
        """Index these fields too."""
        for name in unique:
            if name not in self._by:
                self._by[name] = {each[name]: each for each in self if each.get(name) is not None}
                for number, record in self._records.items():
                    self._values.setdefault(number, {})[name] = record.get(name)

    def get(self, number: Optional[int]) -> Optional[Record]:
        """The record of that id, itself and not a copy."""
        return self._records.get(number) if number is not None else None

    def save(self, record: Record) -> Record:
        """Add the record, or write its changes down."""
        self._state.write(self._kind, record["id"], record)
        self._note(record)
        return record

    def erase(self, record: Record) -> None:
        """Forget the record."""
        self._state.erase(self._kind, record["id"])
        self._records.pop(record["id"], None)
        for name, value in self._values.pop(record["id"], {}).items():
            self._by[name].pop(value, None)

    def first(self, **wanted: Any) -> Optional[Record]:
        """The oldest record with these values."""
        for name, value in wanted.items():
            if len(wanted) == 1 and name in self._by and value is not None:
                return self._by[name].get(value)
        return next((each for each in self if all(each.get(name) == value for name, value in wanted.items())), None)

    def newest_first(self) -> List[Record]:
        """All records, the last made first."""
        return list(reversed(list(self._records.values())))

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)

    def _note(self, record: Record) -> None:
        number = record["id"]
        self._records[number] = record
        if not self._by:
            return
        before = self._values.setdefault(number, {})
        for name, found in self._by.items():
            old, new = before.get(name), record.get(name)
            if old is not None and old != new:
                found.pop(old, None)
            if new is not None:
                found[new] = record
            before[name] = new
