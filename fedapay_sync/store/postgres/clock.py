"""The clock of a PostgreSQL server: what processes on several machines keep their leases by."""

from typing import Optional

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock

#: An answer that was longer on its way than the quickest one makes the server's clock look late by so much at most, in
#: seconds. What looks later was set back.
_JITTER = 0.25


class ServerClock(Clock):
    """
    The server's time, heard as each transaction begins, and carried on from there by the monotonic clock.

    The wall clock of this machine, which may be wrong, or jump, counts only until the server was heard for the first
    time.

    Args:
        clock: that of this machine; what a test has set its monotonic clock ahead is added to the server's time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: What the server's time is ahead of the machine's monotonic clock.
        self._ahead: Optional[float] = None

    def hear(self, server_time: float) -> None:
        """The server has just said what time it is."""
        ahead, known = server_time - SYSTEM_CLOCK.monotonic(), self._ahead
        if known is None or not known - _JITTER < ahead < known:
            self._ahead = ahead

    def now(self) -> float:
        """Seconds since 1970 by the server's clock."""
        return self._clock.now() if self._ahead is None else self._clock.monotonic() + self._ahead

    def monotonic(self) -> float:
        """That of this machine: it has a meaning in this process only."""
        return self._clock.monotonic()
