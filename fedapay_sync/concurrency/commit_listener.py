"""Tells the waker thread that another connection may have committed; this one polls, PostgreSQL's listens."""

from typing import Callable, Optional

from fedapay_sync.concurrency.wake_event import WakeEvent

#: The store is asked so often whether another connection has committed, in seconds.
POLL_INTERVAL = 0.05


class CommitListener:
    """
    How the waker thread sleeps, and how it learns of commits: by asking now and then.

    Args:
        version: changes whenever another connection has committed to the store.
        interval: seconds between two questions.
    """

    def __init__(self, version: Callable[[], object], interval: float = POLL_INTERVAL) -> None:
        self._version = version
        self._interval = interval
        self._wake = WakeEvent()

    @property
    def interval(self) -> float:
        """Seconds until it wants to be asked again, at most."""
        return self._interval

    def version(self) -> object:
        """A value that changes when another connection may have committed."""
        return self._version()

    def sleep(self, seconds: Optional[float]) -> None:
        """Block until ``wake``, or for so long."""
        self._wake.wait(seconds)
        self._wake.clear()

    def wake(self) -> None:
        """End the sleep, or the next one."""
        self._wake.set()

    def close(self) -> None:
        """Release what listening took."""
