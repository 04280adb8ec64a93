"""The work that a process holds: what runs, what waits here for a thread, and what is being taken just now."""

import contextlib
import threading
from typing import Dict, Iterator, List, Sequence

from fedapay_sync.store import StoredEvent
from fedapay_sync.store.records import WorkKey
from fedapay_sync.workflow.callbacks.leases import HeldWork
from fedapay_sync.workflow.callbacks.prefetch import Prefetch


class HeldWorks:
    """
    The held work of one connector, safe to share between threads.

    Attributes:
        lock: entered itself: Ctrl-C on the way into a condition would leave it locked.
        changed: told of all that is held no more.
        prefetch: how much may be held at once.
    """

    def __init__(self, threads: int) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.prefetch = Prefetch(threads)
        self._held: Dict[WorkKey, HeldWork] = {}
        # By an object for each reservation: Ctrl-C between two lines leaves none behind.
        self._reserved: Dict[object, int] = {}
        # To be forgotten at the next look: the writer's thread adds to it, which may not wait for the lock.
        self._ended: Dict[WorkKey, StoredEvent] = {}

    def __bool__(self) -> bool:
        # In this order: what is being taken is held before its room is given back.
        return bool(self._reserved) or len(self) > 0

    def __len__(self) -> int:
        self._forget_ended()
        return len(self._held)

    @property
    def room(self) -> int:
        """So much more may be taken."""
        return self.prefetch.limit - sum(list(self._reserved.values())) - len(self)

    @contextlib.contextmanager
    def reserving(self, count: int, *, in_any_case: bool = False) -> Iterator[bool]:
        """Keep room for that much, which is being taken meanwhile; false if there is none. An idle process has room."""
        mine = object()
        try:
            with self.lock:
                if count > 0 and (in_any_case or self.room >= count or not self):
                    self._reserved[mine] = count
            yield mine in self._reserved
        finally:
            self._reserved.pop(mine, None)

    def add(self, held: Sequence[HeldWork]) -> None:
        """Hold that work."""
        with self.lock:
            self._held.update({each.work.key: each for each in held})

    def begin(self, held: HeldWork) -> bool:
        """A thread comes to that work; false if it is not held any more."""
        with self.lock:
            if self._held.get(held.work.key) is held:
                held.has_begun = True
            return held.has_begun

    def part_with(self, held: HeldWork) -> bool:
        """Hold that work no more, unless it has begun; false if it has, or is held no more."""
        with self.lock:
            if held.has_begun or self._held.get(held.work.key) is not held:
                return False
            self.forget(held.work)
            return True

    def forget(self, work: StoredEvent) -> None:
        """That work is held no more."""
        with self.lock:
            self._held.pop(work.key, None)
            self.changed.notify_all()

    def forget_soon(self, work: StoredEvent) -> None:
        """The same without the lock: at the next look."""
        self._ended[work.key] = work

    def _forget_ended(self) -> None:
        if self._ended:
            with self.lock:
                for key, work in list(self._ended.items()):
                    self.forget(work)
                    # Only now: what comes in between leaves it to the next look.
                    self._ended.pop(key, None)

    def all(self) -> List[HeldWork]:
        """All that is held now."""
        self._forget_ended()
        with self.lock:
            return list(self._held.values())

    def waiting(self) -> List[HeldWork]:
        """What has no thread yet."""
        return [each for each in self.all() if not each.has_begun]

    def overdue(self, now: float, patience: float) -> List[HeldWork]:
        """What has waited for a thread for longer than that, in seconds. The threads hang: no more is taken ahead."""
        found = [each for each in self.waiting() if each.taken_at <= now - patience]
        if found:
            self.prefetch.add(patience)
        return found
