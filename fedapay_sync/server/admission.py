"""Decides which connections stay: a client that is late goes, and where places run out, the slowest one."""

from typing import List, Tuple

from fedapay_sync.common.logging import get_logger
from fedapay_sync.server.channel import Awaited, Channel

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment,unused-ignore]

log = get_logger(__name__)

_REVIEW_SECONDS = 0.5
_SCARCE_SECONDS = 60.0
_LOG_SECONDS = 60.0


class Admission:
    """The places of one server. Used by the loop's thread alone, before it polls."""

    def __init__(self, places: int, now: float) -> None:
        self._most = self.places = places_among(_descriptors(), places)
        self._scarce_until = now
        self._reviewed = now
        self._next_log = now

    def lack_descriptors(self, connections: int, now: float) -> None:
        """The system has no descriptor left: for a while do with fewer places, as the program needs some, too."""
        self.places = max(1, min(self.places, connections * 3 // 4))
        self._scarce_until = now + _SCARCE_SECONDS

    def review(self, channels: List[Channel], now: float) -> int:
        """
        Close those that are late, and the slowest of the others where more are open than there are places.

        Returns: how many clients may come: those for whom there is a place, or another one who would leave it.
        """
        if now >= self._scarce_until:
            self.places = self._most
        is_due = now >= self._reviewed + _REVIEW_SECONDS
        if not is_due and len(channels) < self.places:
            return self.places - len(channels)
        waiting, left = [], 0
        # Late by then, and not heard in the turn since: what has come while this process was stopped is read first.
        late_by = self._reviewed if is_due else float("-inf")
        for channel in channels:
            awaited = channel.awaited()
            if awaited is not None and awaited.until <= late_by:
                channel.handle_close()
                continue
            left += 1
            if awaited is not None:
                waiting.append((awaited, channel))
        if is_due:
            self._reviewed = now
        self._make_room(waiting, left - self.places, now)
        return max(0, self.places - left + len(waiting))

    def _make_room(self, waiting: List[Tuple[Awaited, Channel]], wanted: int, now: float) -> None:
        closed = 0
        for _, channel in sorted(waiting, key=lambda pair: pair[0]):
            if closed >= wanted:
                break
            if not channel.has_unread_request():
                channel.handle_close()
                closed += 1
        if closed and now >= self._next_log:
            self._next_log = now + _LOG_SECONDS
            log.warning("places or descriptors ran out: idle and slow connections are closed (%d places)", self.places)


def places_among(descriptors: float, wanted: int) -> int:
    """How many of these connections a process takes that may open so many files: the rest is the program's."""
    return int(max(1, min(wanted, descriptors // 4)))


def _descriptors() -> float:
    if resource is None:
        return float("inf")
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return float("inf") if soft == resource.RLIM_INFINITY else soft
