"""
The runtime of each process: built at first use, anew in a forked child, and closed when its connector is collected.

A finalizer comes in any thread, in the midst of any line, inside any lock. So it waits for nothing and takes no lock:
it only starts a thread, which closes.
"""

import _thread
import atexit
import contextlib
import os
import sys
import weakref
from typing import TYPE_CHECKING, Callable, Dict, Generic, List, Set, Tuple, TypeVar

from fedapay_sync.concurrency.daemon_thread import start_daemon
from fedapay_sync.concurrency.forked_child import before_child_exit

if TYPE_CHECKING:
    # With it come all services of a connector, which a program that only imports the package does not need.
    from typing import Optional

    from fedapay_sync.connector.runtime import Runtime

C = TypeVar("C")

#: Not closed yet, or inherited: a child neither uses nor closes its parent's runtimes, and does not collect them
#: either, which would close sockets and files that the parent works with.
_runtimes: "Set[Runtime]" = set()
#: To be closed, with the connectors that held them: their callbacks that are due are still called.
_dropped: "List[Tuple[Runtime, object]]" = []


class PerProcess(Generic[C]):
    """A runtime built at first use, and anew in a forked child, whose inherited threads and sockets are not its own."""

    def __init__(self, connector: C, build: "Callable[[C], Runtime]") -> None:
        # Weakly: otherwise the two would hold each other, until a collection.
        self._connector = weakref.ref(connector)
        self._build = build
        self._of_pid: Dict[int, Runtime] = {}

    def get(self) -> "Runtime":
        """This process's runtime, built if there is none; for a caller that holds the connector."""
        pid = os.getpid()
        runtime = self._of_pid.get(pid)
        if runtime is None:
            connector = self._connector()
            if connector is None:
                raise ReferenceError("the connector of this runtime is gone")
            # Building starts nothing, and setdefault is atomic: no lock that a fork could leave locked.
            runtime = self._of_pid.setdefault(pid, self._build(connector))
            _runtimes.add(runtime)
        return runtime

    def peek(self) -> "Optional[Runtime]":
        """This process's runtime if there is one."""
        return self._of_pid.get(os.getpid())

    def forget(self, runtime: "Runtime") -> None:
        """This runtime is closed; the next use builds another."""
        if self._of_pid.get(os.getpid()) is runtime:
            del self._of_pid[os.getpid()]
            _runtimes.discard(runtime)

    def drop(self, connector: C) -> None:
        """Close this process's runtime soon, on another thread; that connector is kept until then."""
        runtime = self.peek()
        if runtime is None or runtime.is_closing or sys.is_finalizing():
            return
        _dropped.append((runtime, connector))
        # Where the system has no thread to give, the next connector that is dropped, or the exit, closes this one too.
        with contextlib.suppress(RuntimeError):
            # Not a Thread: its start takes a lock of threading's, and waits for the new thread.
            _thread.start_new_thread(_start_closing, ())


def is_closed(api_url: str) -> bool:
    """Whether no connector of this process to that address is open, those included that were collected."""
    return all(each.config.api_url != api_url for each in list(_runtimes) if each.pid == os.getpid())


def _start_closing() -> None:
    try:
        # A thread with a name: one without would stay in threading's list once it has logged.
        start_daemon(_close_dropped, "fedapay-closing")
    except RuntimeError:
        _close_dropped()


def _close_dropped() -> None:
    with contextlib.suppress(IndexError):
        while True:
            runtime, connector = _dropped.pop()
            if runtime.pid == os.getpid():
                runtime.close_dropped()
                _runtimes.discard(runtime)
            del connector


@before_child_exit
@atexit.register
def _close_at_exit() -> None:
    for runtime in list(_runtimes):
        runtime.close_at_exit()
