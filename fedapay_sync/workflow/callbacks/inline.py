"""Calls owed callbacks in the thread that asks for it, one after the other."""

import threading
from typing import Callable, Collection, Optional, Set

from fedapay_sync.common.clock import Clock
from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.daemon_thread import start_daemon
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.errors import FedapayError
from fedapay_sync.workflow.callbacks.leases import HeldWork

log = get_logger(__name__)

#: Where an event has brought them, callbacks begin for so long, in seconds; the next event has those that are left.
_TIMEOUT = 10.0


class InlineRunner:
    """
    The callbacks of one connector, in whichever thread asks for them.

    Args:
        take: acquires the next that is due; None if there is none.
        call: calls it and records how it ended.
        extend_leases: the heartbeat of all that is acquired.
        lease: seconds that acquired work is ours without a heartbeat.
    """

    def __init__(
        self,
        clock: Clock,
        take: Callable[[], Optional[HeldWork]],
        call: Callable[[HeldWork], Optional[BaseException]],
        extend_leases: Callable[[], None],
        lease: float,
    ) -> None:
        self._clock = clock
        self._take = take
        self._call = call
        self._extend_leases = extend_leases
        self._lease = lease
        self.threads: Set[int] = set()
        #: Whether what an event brings shall wait, as in an open transaction of the program; what it is given is then
        #: called once there is no reason any more.
        self.postpone: Callable[[Callable[[], None]], bool] = lambda run: False

    def is_inside(self) -> bool:
        """Whether it is called from one of its callbacks."""
        return threading.get_ident() in self.threads

    def run_after_event(self, taken: Collection[HeldWork] = ()) -> None:
        """
        The same as ``run`` where an event has just been stored, which must be acknowledged whatever happens here.

        Args:
            taken: what was taken of it as it was stored.
        """
        if self.postpone(self.run_after_event):
            # What was taken is released, and due like the rest.
            return
        try:
            self.run(_TIMEOUT, taken)
        except FedapayError as error:
            log.error("looking for owed callbacks failed: %s", error)

    def run(self, seconds: float, taken: Collection[HeldWork] = ()) -> int:
        """
        Call what is due, and begin no more after so many seconds; how many that were. Called from such a callback, it
        leaves what is due to the call that is under way.

        Args:
            taken: called first; what of it does not begin is for its owner to release.

        Raises:
            StoreError: the database could not say what is due.
        """
        end = self._clock.monotonic() + seconds
        thread, count, ended, first = threading.get_ident(), 0, WakeEvent(), iter(taken)
        if self.is_inside():
            return 0
        try:
            self.threads.add(thread)
            while self._clock.monotonic() < end and (held := next(first, None) or self._take()) is not None:
                if not count:
                    self._begin_to_beat(ended)
                raised = self._call(held)
                count += 1
                if raised is not None and threading.current_thread() is threading.main_thread():
                    # Ctrl-C, or the exit of a signal handler: it came in the callback, and is not the callback's.
                    raise raised
        finally:
            self.threads.discard(thread)
            ended.set()
        return count

    def _begin_to_beat(self, ended: WakeEvent) -> None:
        try:
            start_daemon(lambda: self._beat_until(ended), "fedapay-lease")
        except RuntimeError as error:
            # Where there are no threads, a callback that outlasts its lease may be called again elsewhere.
            log.info("no thread to extend the leases of callbacks: %s", error)

    def _beat_until(self, ended: WakeEvent) -> None:
        while not ended.wait(self._lease / 4):
            try:
                self._extend_leases()
            except FedapayError as error:
                log.warning("the leases of callbacks are not extended, again later: %s", error)
