"""An event that any thread may wait for and set, also one that Ctrl-C or a signal handler interrupts at it."""

import threading
from typing import List, Optional


class WakeEvent:
    """
    What ``threading.Event`` does, on a bare lock for each thread that waits.

    That one has a lock of its own, held while a thread begins to wait and while it wakes others, and taken in Python
    code. Ctrl-C just then leaves it locked for ever; and a signal handler that waits for the same event does.
    """

    __slots__ = ("_is_set", "_sleepers")

    def __init__(self) -> None:
        self._is_set = False
        # Each is locked while its thread waits.
        self._sleepers: List[threading.Lock] = []

    def set(self) -> None:
        """Wake the threads that wait, and those that will."""
        self._is_set = True
        for sleeper in tuple(self._sleepers):
            try:
                sleeper.release()
            except RuntimeError:
                continue  # another thread has woken it at the same time

    def clear(self) -> None:
        """Forget that it was set."""
        self._is_set = False

    def is_set(self) -> bool:
        """Whether it was set since it was last cleared."""
        return self._is_set

    def wait(self, seconds: Optional[float] = None) -> bool:
        """Block until it is set, or for so long; whether it is set, or was meanwhile."""
        woken = False
        if not self._is_set:
            sleeper = threading.Lock()
            sleeper.acquire()
            self._sleepers.append(sleeper)
            try:
                # A thread that sets the flag after this look finds the sleeper.
                if not self._is_set:
                    woken = sleeper.acquire(timeout=-1 if seconds is None else max(0, seconds))
            finally:
                self._sleepers.remove(sleeper)
        return woken or self._is_set
