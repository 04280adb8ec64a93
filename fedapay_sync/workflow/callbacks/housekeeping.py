"""What is done beside calling callbacks: repair after a clock was set back, and a small daily chore."""

from typing import Callable, Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.workflow.callbacks.retry_policy import longest_backoff
from fedapay_sync.workflow.context import Context

log = get_logger(__name__)

#: Callbacks that a clock set back has put off too long are looked for so often, in seconds.
_REPAIR_INTERVAL = 60.0
#: The chore is done so often, in seconds; the first time soon after the start.
_CHORE_INTERVAL = 86400.0

Chore = Callable[[], bool]


class Housekeeping:
    """
    The housekeeping of one connector.

    Args:
        lease: seconds that acquired work is ours without a heartbeat.
        pause: seconds between two pieces of the chore: leases and new work come in between.
        chore: a small piece of work; true if there is more of it.
    """

    def __init__(self, context: Context, lease: float, pause: float, chore: Optional[Chore]) -> None:
        self._store, self._clock = context.store, context.clock
        self._lease, self._pause, self._chore = lease, pause, chore
        # Not at once: a script that ends soon has better things to do.
        self._chore_due = self._clock.monotonic() + _REPAIR_INTERVAL
        self._repair_due = self._clock.monotonic()

    def run(self) -> bool:
        """Do what is due; true if there is work to be acquired now."""
        now, repaired = self._clock.monotonic(), False
        if now >= self._repair_due:
            self._repair_due = now + _REPAIR_INTERVAL
            repaired = bool(self._store.callbacks.repair_after_clock_change(longest_backoff, self._lease))
            if repaired:
                log.warning("the clock was set back: owed callbacks brought forward")
        if self._chore is not None and now >= self._chore_due:
            # Before it is done: one that fails is not done again in each round.
            self._chore_due = now + _CHORE_INTERVAL
            if self._chore():
                self._chore_due = now + self._pause
        return repaired
