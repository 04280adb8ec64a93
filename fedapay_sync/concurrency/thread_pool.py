"""A pool of a few daemon threads, for work that the finding thread must not do itself."""

import queue
import threading
import time
from typing import Callable, Collection, List, Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.daemon_thread import start_daemon

log = get_logger(__name__)

Action = Callable[[], object]
_SLICE = 0.1


class DaemonThreadPool:
    """
    Runs actions on up to ``size`` daemon threads, started when needed.

    Not an executor of the standard library: those keep a process from ending.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self.size = size
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Optional[Action]] = queue.SimpleQueue()
        self._threads = 0
        self._started: List[threading.Thread] = []
        self._idle = 0
        self._closed = False

    def submit(self, action: Action) -> None:
        """
        Run the action soon, on one of the threads; not at all after ``close``.

        Raises:
            RuntimeError: the system has no thread to give, and the pool has none yet.
        """
        with self._lock:
            if self._closed:
                return
            if self._idle > 0:
                self._idle -= 1
            elif self._threads < self.size:
                name = f"{self._name}-{self._threads + 1}"
                try:
                    self._started.append(start_daemon(self._run, name))
                    self._threads += 1
                except RuntimeError:
                    # No further thread to be had: the threads that exist will come to it.
                    if not self._threads:
                        raise
            self._jobs.put(action)

    def close(self) -> None:
        """Let the threads end after the actions that they have."""
        with self._lock:
            self._closed = True
            for _ in range(self._threads):
                self._jobs.put(None)
            self._threads = 0

    @property
    def is_over(self) -> bool:
        """After ``close``: whether the last action has ended."""
        return not any(each.is_alive() for each in self._started)

    def join(self, timeout: float, without: Collection[int] = ()) -> bool:
        """
        After ``close``, wait for the actions that are left; false if one still ran after the timeout, in seconds.

        Args:
            without: threads that are not waited for.
        """
        end = time.monotonic() + timeout
        while (left := [each for each in self._started if each.is_alive() and each.ident not in without]) and (
            seconds := end - time.monotonic()
        ) > 0:
            # In slices: a thread may come to wait for us that did not when we began.
            left[0].join(min(seconds, _SLICE))
        return not left

    def _run(self) -> None:
        while (action := self._jobs.get()) is not None:
            try:
                action()
            except BaseException as error:  # edge of a thread: one failed action must not cost the others theirs
                log.error("%s: an action failed: %s: %s", self._name, type(error).__name__, error)
            # Not kept until the next one comes: it may hold a connector that the program has let go of.
            del action
            with self._lock:
                self._idle += 1
