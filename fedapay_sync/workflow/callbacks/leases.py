"""Leases on acquired callbacks: extended by heartbeats, and looked at before the callback is called."""

import dataclasses
from typing import List, NamedTuple, Optional, Sequence, Tuple

from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import StoreError
from fedapay_sync.store import StoredEvent
from fedapay_sync.store.callback_records import Claim, Wanted
from fedapay_sync.store.records import WorkKey
from fedapay_sync.workflow.context import Context

log = get_logger(__name__)


@dataclasses.dataclass
class HeldWork:
    """
    Acquired work.

    Attributes:
        until: until when no other process can have taken it, on the monotonic clock and on the wall clock. While a
            machine sleeps the first may stand still, and the second may be set: it is over when one of them says so.
        lost: another process has taken it, or its lease cannot be extended.
        holder: what must not be collected before the callback has ended.
        taken_at: on the monotonic clock.
        has_begun: a thread has it.
    """

    work: StoredEvent
    until: Tuple[float, float]
    lost: bool = False
    holder: Optional[object] = None
    taken_at: float = 0.0
    has_begun: bool = False


class Claiming(NamedTuple):
    """
    What takes the calls of an event in the transaction that stores it.

    Attributes:
        claim: for the store.
        until: the end of the lease, from before it was taken.
        holder: what must not be collected before the callbacks have ended.
    """

    claim: Claim
    until: Tuple[float, float]
    holder: object
    leases: "CallbackLeases"

    def held(self, calls: Sequence[StoredEvent]) -> List[HeldWork]:
        """What the store says that was taken."""
        return self.leases.held(calls, self.until, self.holder)


class CallbackLeases:
    """
    The leases of one connector's callbacks.

    Args:
        seconds: how long work is ours without a heartbeat.
    """

    def __init__(self, context: Context, seconds: float) -> None:
        self._config, self._store, self._clock, self._owner = context
        self.seconds = seconds
        self._beaten = self._clock.monotonic()

    def end(self) -> Tuple[float, float]:
        """Until when what is asked for now will be ours; taken before it is asked for, so never too late."""
        return self._clock.monotonic() + self.seconds, self._clock.now() + self.seconds

    def acquire(self, wanted: Wanted, most: int, busy: Sequence[WorkKey], holder: Optional[object]) -> List[HeldWork]:
        """
        Take so much of what is due, oldest first.

        Args:
            busy: what this process holds already.
            holder: what is not to be collected meanwhile.

        Raises:
            StoreError: the database could not take it now.
        """
        until = self.end()
        erase = self._config.keep_bodies_days == 0
        taken = self._store.callbacks.acquire(
            self._owner, wanted, lease=self.seconds, limit=most, busy=busy, erase_bodies=erase
        )
        return self.held(taken, until, holder)

    def claiming(self, callbacks: Sequence[int], holder: Optional[object]) -> "Optional[Claiming]":
        """Take the calls of these callbacks as their event is stored; nothing once nothing holds the connector."""
        if holder is None:
            return None
        claim = Claim(self._owner, tuple(callbacks), self.seconds, self._config.keep_bodies_days == 0)
        return Claiming(claim, self.end(), holder, self)

    def held(self, taken: Sequence[StoredEvent], until: Tuple[float, float], holder: object) -> List[HeldWork]:
        """Work that was taken until then."""
        now = self._clock.monotonic()
        return [HeldWork(work, until, holder=holder, taken_at=now) for work in taken]

    def release(self, held: HeldWork) -> None:
        """Let other processes have what has not begun here, now or at the end of its lease."""
        try:
            self._store.callbacks.release(held.work, self._owner)
        except StoreError as error:
            log.warning("%s is not given back before its lease ends: %s", held.work.event_key, error)

    def put_off(self, held: HeldWork, problem: str, seconds: float) -> None:
        """The same in so many seconds, or at the end of its lease; it was an attempt."""
        try:
            self._store.callbacks.retry_or_park(held.work, self._owner, error=problem, again_in=seconds)
        except StoreError as error:
            log.warning("%s (%s) is not given back before its lease ends: %s", held.work.event_key, problem, error)

    def beat(self, held: Sequence[HeldWork]) -> None:
        """
        The heartbeat of all that work, where it is time for it.

        Raises:
            StoreError: the database could not take it now.
        """
        if self._clock.monotonic() - self._beaten > self.seconds / 4:
            self.extend_all(held)
            self._beaten = self._clock.monotonic()

    def extend_all(self, held: Sequence[HeldWork]) -> None:
        """
        The heartbeat of all that work, now.

        Raises:
            StoreError: the database could not take it now.
        """
        for each in held:
            self.extend(each)

    def extend(self, held: HeldWork) -> None:
        """
        The heartbeat of a callback that runs.

        Raises:
            StoreError: the database could not take it now.
        """
        if held.lost:
            return
        try:
            if not self._extended(held) and self._store.callbacks.was_taken(held.work):
                held.lost = True
                log.warning("%s was taken by another process while its callback runs here", held.work.event_key)
        except StoreError as error:
            if not error.permanent:
                raise
            # Of this row only: the leases of the others are to be extended, too.
            held.lost = True
            log.error("the lease on %s cannot be extended: %s", held.work.event_key, error)

    def is_ours(self, held: HeldWork) -> bool:
        """
        Whether its callback may be called. Only a process that stood still, or whose machine did, has to ask:
        meanwhile another may have called it.
        """
        monotonic, wall = held.until
        if self._clock.monotonic() < monotonic and self._clock.now() < wall:
            return True
        try:
            if self._extended(held):
                return True
        except StoreError as error:
            log.error("whether %s is still ours is not known, not calling back: %s", held.work.event_key, error)
        else:
            log.warning("%s was taken by another process while this one stood still", held.work.event_key)
        return False

    def _extended(self, held: HeldWork) -> bool:
        until = self.end()
        if not self._store.callbacks.extend_lease(held.work, self._owner, self.seconds):
            return False
        held.until = until
        return True
