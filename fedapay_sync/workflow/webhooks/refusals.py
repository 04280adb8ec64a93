"""Logs webhooks that were refused for their signature: one by one up to a number a minute, and counted beyond it."""

import os
import threading

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import SignatureError

log = get_logger(__name__)

#: So many are logged one by one in each span of so many seconds.
EACH = 10
SPAN = 60.0


class RefusalLog:
    """
    The refusals of one endpoint. Anybody can send a bad signature: a line for each would fill the disk, and hide the
    lines that matter.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._count = 0
        self._since = self._clock.monotonic()

    def add(self, error: SignatureError) -> None:
        """Log that refusal, or count it."""
        self.tell()
        with self._lock:
            if not self._count:
                self._since = self._clock.monotonic()
            self._count += 1
            count = self._count
        if count <= EACH:
            log.warning("webhook refused: %s", error)
        elif count == EACH + 1:
            log.warning("webhooks refused: more than %d in %.0f s, from here on they are counted", EACH, SPAN)

    def tell(self) -> None:
        """Log how many were only counted, once their span is over. Each webhook that comes in is an occasion."""
        if self._pid != os.getpid():
            # The parent tells of its own, and another of its threads may have held the lock.
            self._begin()
        if not self._count:
            return
        with self._lock:
            seconds = self._clock.monotonic() - self._since
            if seconds < SPAN:
                return
            counted, self._count = self._count - EACH, 0
        if counted > 0:
            log.warning(
                "webhooks refused: %d more within %.0f s, for their signature; not logged one by one", counted, SPAN
            )
