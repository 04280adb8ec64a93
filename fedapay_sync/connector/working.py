"""How a process works for a connector: until it is told to end, or from the first request of its application on."""

import contextlib
import os
import signal
import threading
import time
from typing import Any, Callable, Dict, Iterator, Optional, Protocol

from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.daemon_thread import start_daemon
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.errors import StoreError

log = get_logger(__name__)

#: Seconds between two attempts to begin, where the database is away.
_RETRY = 5.0
#: Events of the program are asked so often, in seconds.
_SLICE = 0.2


class StopEvent(Protocol):
    """What ends ``run``: a ``threading.Event``, for example."""

    def is_set(self) -> bool:
        """Whether it is to end."""


def work_until_stopped(
    start: Callable[[], object],
    is_closed: Callable[[], bool],
    stop: Optional[StopEvent],
    close: Callable[[], object],
) -> None:
    """
    Begin, and come back after SIGTERM or SIGINT, once ``stop`` is set, or once the connector is closed.

    Where the database is away, it is tried again; what is wrong with the configuration is raised.
    """
    stopped, due = WakeEvent(), 0.0
    # Closing included: what is told to end twice (Ctrl-C, and then the supervisor's SIGTERM) cuts no callback.
    with _ended_by_signals(stopped):
        try:
            while not (stopped.is_set() or is_closed() or (stop is not None and stop.is_set())):
                if time.monotonic() >= due:
                    due = _begin(start)
                stopped.wait(_SLICE)
        finally:
            close()


def _begin(start: Callable[[], object]) -> float:
    """Until when, on the monotonic clock, there is nothing more to begin."""
    try:
        start()
    except StoreError as error:
        log.error("the work cannot begin yet, trying again: %s", error)
        return time.monotonic() + _RETRY
    return float("inf")


@contextlib.contextmanager
def _ended_by_signals(stopped: WakeEvent) -> Iterator[None]:
    """SIGTERM and SIGINT set the event; afterwards they do what they did before."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may handle signals: there the program does it itself.
        yield
        return
    before: Dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, lambda *_: stopped.set())
        yield
    finally:
        for number, handler in before.items():
            # None: it was not set from Python, and cannot be set again from there.
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


class FirstRequest:
    """
    To be called at each request of an application: the first one in each process begins the work, on a thread of its
    own. What fails there is logged and tried again with a later request, and is never the request's affair.
    """

    def __init__(self, start: Callable[[], object]) -> None:
        self._start = start
        #: By process: until when, on the monotonic clock, there is nothing to begin.
        self._until: Dict[int, float] = {}

    def __call__(self) -> None:
        pid, now = os.getpid(), time.monotonic()
        if self._until.get(pid, 0.0) > now:
            return
        # One at a time: where the database hangs, threads must not gather.
        self._until[pid] = float("inf")
        try:
            start_daemon(lambda: self._begin(pid), "fedapay-start")
        except RuntimeError as error:
            self._until[pid] = now + _RETRY
            log.error("no thread to begin the work, trying again with a later request: %s", error)

    def _begin(self, pid: int) -> None:
        try:
            self._start()
        except Exception as error:  # edge of a thread: it is tried again
            self._until[pid] = time.monotonic() + _RETRY
            log.error("the work cannot begin yet, trying again with a later request: %s", error)
