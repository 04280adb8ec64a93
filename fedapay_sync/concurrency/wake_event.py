"""An event that a thread can wait for, cheap as long as no thread does."""

import threading
from typing import Optional

_creating_events = threading.Lock()


class WakeEvent:
    """
    A ``threading.Event`` that takes its kilobyte only once a thread blocks on it.
    """

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._event: Optional[threading.Event] = None

    def set(self) -> None:
        """Wake the threads that wait, and those that will."""
        self._is_set = True
        if self._event is not None:
            self._event.set()

    def clear(self) -> None:
        """Forget that it was set."""
        self._is_set = False
        if self._event is not None:
            self._event.clear()

    def is_set(self) -> bool:
        """Whether it was set since it was last cleared."""
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Block until it is set, or for so long; whether it is set."""
        if self._event is None:
            with _creating_events:
                self._event = self._event or threading.Event()
        # The event exists before this look: a thread that sets the flag after it finds the event.
        return self._is_set or self._event.wait(seconds)
