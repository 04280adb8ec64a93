"""Watches the threads that the program's functions run on, and says in the log when all of them are taken for long."""

import threading
from typing import Any, Dict, Hashable, NamedTuple, Optional

from fedapay_sync.common.clock import Clock
from fedapay_sync.common.logging import get_logger
from fedapay_sync.workflow.callbacks.program_code import name_of, place_of

log = get_logger(__name__)

#: Threads are taken for long when none of them has become free for so many seconds.
TAKEN_TIMEOUT = 5.0
#: That is said again so often, in seconds, and never more often: functions that are merely slow come and go.
TELL_INTERVAL = 60.0


class RunningCall(NamedTuple):
    """
    A function of the program that runs.

    Attributes:
        about: what it was called for: the key of an event, a transaction.
        begun: on the monotonic clock.
    """

    function: Any
    about: str
    begun: float
    thread: int

    def describe(self, now: float) -> str:
        """Which function it is, for what, for how long, and where it stands just now."""
        seconds = now - self.begun
        return f"{name_of(self.function)} for {self.about}, running for {seconds:.0f} s, at {place_of(self.thread)}"


class TakenThreads:
    """
    The calls that run on a few threads.

    Args:
        size: how many threads there are.
        name: whose they are, for the log.
    """

    def __init__(self, clock: Clock, size: int, name: str) -> None:
        self._clock = clock
        self._size = size
        self._name = name
        self._calls: Dict[Hashable, RunningCall] = {}
        self._due = float("-inf")
        self.is_told = False

    def begin(self, key: Hashable, function: Any, about: str) -> None:
        """The calling thread calls that function now; the key is the call's own."""
        self._calls[key] = RunningCall(function, about, self._clock.monotonic(), threading.get_ident())

    def end(self, key: Hashable) -> None:
        """That call has ended; nothing if it had not begun."""
        self._calls.pop(key, None)

    def thread_of(self, key: Hashable) -> Optional[int]:
        """The thread of that call; None if it does not run."""
        call = self._calls.get(key)
        return None if call is None else call.thread

    @property
    def are_all_taken(self) -> bool:
        """Whether each thread runs a call."""
        return len(self._calls) >= self._size

    def look(self, waiting: int = 0) -> None:
        """
        Say what has to be said by now; to be called every few seconds.

        Args:
            waiting: calls that are to run here and have no thread yet, as the system may give fewer than there are.
        """
        now = self._clock.monotonic()
        calls = list(self._calls.values())
        taken = len(calls) + waiting >= self._size and all(now - each.begun >= TAKEN_TIMEOUT for each in calls)
        if not (taken and calls):
            if self.is_told:
                self.is_told = False
                log.warning("threads for %s are free again", self._name)
        elif now >= self._due:
            self.is_told, self._due = True, now + TELL_INTERVAL
            shown = "; ".join(each.describe(now) for each in calls)
            text = "all %d threads for %s are taken, and others wait until one returns: %s"
            log.error(text, self._size, self._name, shown)
