"""Calls the functions that were given to a wait: each once, with the wait's end, on a thread of a pool."""

import functools
import threading
from typing import Collection

from fedapay_sync.common.clock import Clock
from fedapay_sync.common.logging import get_logger, with_traceback
from fedapay_sync.common.tracebacks import text_of
from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.concurrency.thread_pool import DaemonThreadPool
from fedapay_sync.errors import AmountMismatch, FedapayError, NotFound
from fedapay_sync.workflow.callbacks.program_code import program_traceback
from fedapay_sync.workflow.callbacks.taken_threads import TakenThreads
from fedapay_sync.workflow.waits.outcomes import mismatched, unfounded
from fedapay_sync.workflow.waits.waiters import OutcomeCallback, Waiter

log = get_logger(__name__)

#: Where FedaPay did not answer at the deadline, a callback waits on for so long at least, in seconds.
RESTART_TIMEOUT = 60.0
#: Callbacks of waits that run at the same time in one process.
_CONCURRENCY = 4
#: While all of these run, it is looked so often whether one has ended, in seconds.
_LOOK_INTERVAL = 2.0


class ListenCallbacks:
    """The callbacks of one connector's waits."""

    def __init__(self, clock: Clock, notifier: Notifier) -> None:
        self._notifier = notifier
        self._pool = DaemonThreadPool("fedapay-listen", _CONCURRENCY)
        self._calls = TakenThreads(clock, _CONCURRENCY, "callbacks of waits")
        self._lock = threading.Lock()
        self._will_look = False

    def add(self, waiter: Waiter, callback: OutcomeCallback) -> None:
        """Call that function with the end of a wait that no other thread has yet; soon if there may be news."""
        waiter.add_callback(callback, self._hand_over)

    def add_to_known(self, waiter: Waiter, callback: OutcomeCallback) -> None:
        """The same for a wait that other threads have: one of them may have cleared its flag, so look now."""
        self.add(waiter, callback)
        self._hand_over(waiter)

    def close(self) -> None:
        """Call nothing new but what has been handed over."""
        self._pool.close()

    @property
    def is_over(self) -> bool:
        """After ``close``: whether nothing runs any more."""
        return self._pool.is_over

    def join(self, timeout: float, without: Collection[int] = ()) -> None:
        """After ``close``, wait so many seconds, at most, for what runs in other threads than these."""
        if not self._pool.join(timeout, without):
            log.warning("a callback of a wait still runs at the end, and is left behind")

    def _hand_over(self, waiter: Waiter) -> None:
        """Call the functions soon, if the wait has ended; the thread that notifies has others to notify."""
        try:
            self._pool.submit(functools.partial(self._call, waiter))
        except RuntimeError as error:
            log.error("no thread for the callback of the wait for %s, trying again: %s", waiter.id_transaction, error)
            self._notifier.call_later(1.0, functools.partial(self._hand_over, waiter))

    def _call(self, waiter: Waiter) -> None:
        verdict = waiter.check()
        if verdict is None:
            return
        if isinstance(verdict, AmountMismatch):
            verdict = mismatched(waiter.id_transaction, verdict)
        elif isinstance(verdict, NotFound):
            verdict = unfounded(waiter.id_transaction, verdict)
        while (callback := waiter.take_callback()) is not None:
            if isinstance(verdict, FedapayError):
                self._call_when_known(waiter, callback)
                continue
            number = threading.get_ident()
            self._calls.begin(number, callback, f"transaction {waiter.id_transaction}")
            self._look_later()
            try:
                callback(verdict)
            except BaseException as error:  # edge of a thread: one program's mistake must not cost the others theirs
                text = "callback of the wait for %s failed: %s: %s"
                traceback = with_traceback(program_traceback(error))
                log.error(text, waiter.id_transaction, type(error).__name__, text_of(error), extra=traceback)
            finally:
                self._calls.end(number)

    def _call_when_known(self, waiter: Waiter, callback: OutcomeCallback) -> None:
        """FedaPay did not answer at the deadline. That is no end to tell, and a callback cannot ask again by itself."""
        try:
            self.add_to_known(waiter.restart(), callback)
        except FedapayError as error:
            log.warning("wait for %s not prolonged, again later: %s", waiter.id_transaction, error)
            # Not among the callbacks before then: the thread that takes them would try again at once.
            self._notifier.call_later(RESTART_TIMEOUT, functools.partial(self.add_to_known, waiter, callback))

    def _look_later(self) -> None:
        """While all threads are taken, and until it is told that they are no more, look every few seconds."""
        with self._lock:
            if self._will_look or not (self._calls.are_all_taken or self._calls.is_told):
                return
            self._will_look = True
        try:
            self._notifier.call_later(_LOOK_INTERVAL, self._look)
        except RuntimeError:
            # No thread for the timer: the next callback that begins tries again.
            self._will_look = False

    def _look(self) -> None:
        with self._lock:
            self._will_look = False
        self._calls.look()
        self._look_later()
