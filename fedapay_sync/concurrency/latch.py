"""A latch: closed until it is opened, once."""

import threading


class Latch:
    """
    Waited for on a bare lock.

    A ``threading.Event`` holds a lock of its own while it begins to wait and while it wakes others: a signal handler
    that comes just then, and waits for the same event, would wait for ever.
    """

    __slots__ = ("_closed", "_is_open")

    def __init__(self) -> None:
        self._is_open = False
        self._closed = threading.Lock()
        self._closed.acquire()

    @property
    def is_open(self) -> bool:
        """Whether it was opened."""
        return self._is_open

    def open(self) -> None:
        """End every ``wait``, those that run and those to come. To be called once."""
        self._is_open = True
        self._closed.release()

    def wait(self, seconds: float) -> bool:
        """Block until it is open, or for so long; whether it is open."""
        if not self._is_open and self._closed.acquire(timeout=seconds):
            # For the next waiting thread.
            self._closed.release()
        return self._is_open
