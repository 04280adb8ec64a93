"""The journal of what happened, as ``/v1/events`` shows it."""

from collections import deque
from typing import Callable, Deque, Iterator

from . import shapes
from .rules import ACCOUNT
from .shapes import Record

#: Called for each event, under the ledger's lock: (name, kind of object, its id, entity, full answer).
Announce = Callable[[str, str, int, Record, Record], None]

_KEPT = 50_000


class Events:
    """Kept inside the ledger, under its lock; newest first."""

    def __init__(self, now: Callable[[], str], announce: Announce) -> None:
        self._now = now
        self._announce = announce
        self._kept: Deque[Record] = deque(maxlen=_KEPT)

    def __iter__(self) -> Iterator[Record]:
        return reversed(self._kept)

    def publish(self, name: str, kind: str, number: int, entity: Record, answer: Record) -> None:
        """Write the event down and tell whoever listens."""
        now = self._now()
        self._kept.append(
            {
                "id": shapes.event_id(),
                "type": name,
                "entity": entity,
                "object_id": number,
                "account_id": ACCOUNT["id"],
                "created_at": now,
                "updated_at": now,
                "object": kind,
            }
        )
        self._announce(name, kind, number, entity, answer)
