"""
Runs the program's callbacks: each event once, unless a process dies in the middle of one.

The queue is in the store. The worker acquires events under a lease, extends the lease by heartbeats while the callback
runs, and marks them done, or puts them back for a retry. Callbacks run on threads of their own, so that a slow one
delays no webhook.
"""

import threading
from typing import Callable, Collection, Dict, List, Optional, Tuple

from fedapay_sync.common.logging import get_logger, with_traceback
from fedapay_sync.concurrency.daemon_thread import start_daemon
from fedapay_sync.concurrency.thread_pool import DaemonThreadPool
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.errors import FedapayError
from fedapay_sync.store import StoredEvent
from fedapay_sync.store.records import WorkKey
from fedapay_sync.workflow.callbacks.ends import CallbackEnds, Failure, failure_of, failure_of_returned
from fedapay_sync.workflow.callbacks.housekeeping import Chore, Housekeeping
from fedapay_sync.workflow.callbacks.inline import InlineRunner
from fedapay_sync.workflow.callbacks.leases import CallbackLeases, HeldWork
from fedapay_sync.workflow.callbacks.names import CallbackNames, NamedCallback
from fedapay_sync.workflow.callbacks.retry_policy import is_beyond_last
from fedapay_sync.workflow.callbacks.taken_threads import TakenThreads
from fedapay_sync.workflow.context import Context

log = get_logger(__name__)

#: An acquired callback belongs to its process for so long, renewed while it runs, in seconds.
LEASE = 60.0
#: The queue is polled for owed work at least so often, in seconds.
POLL_INTERVAL = 2.0
#: Callbacks that run at the same time in one process.
CONCURRENCY = 4
#: How long closing waits for the polling thread once nothing runs, in seconds, and how often it looks what runs.
_JOIN_TIMEOUT = 1.0
_CLOSE_SLICE = 0.05


class CallbackWorker:
    """
    The callback threads of one connector.

    Args:
        lease: seconds that acquired work is ours without a heartbeat.
        chore: a small piece of housekeeping, done once a day; true if there is more of it.
        hold: gives what must not be collected while a callback runs; None once it is, and then no work is taken.
        inline: callbacks run in the thread that calls ``notify``, and not on threads of their own.
        left: callbacks are left to worker processes; here only ``inline.run`` calls any.
    """

    def __init__(
        self,
        context: Context,
        *,
        lease: float = LEASE,
        chore: Optional[Chore] = None,
        hold: Callable[[], Optional[object]] = object,
        inline: bool = False,
        left: bool = False,
    ) -> None:
        self._config, self._store, self._clock, self._owner = context
        self._ends = CallbackEnds(context)
        self._leases = CallbackLeases(context, lease)
        self._housekeeping = Housekeeping(context, lease, POLL_INTERVAL, chore)
        self._hold = hold
        self.names = CallbackNames(context)
        #: Called with an event that could not be read, or that FedaPay has to confirm: whether callbacks are to be
        #: called with it as it is.
        self.examine: Callable[[StoredEvent], bool] = lambda event: True
        self._lock = threading.RLock()  # entered itself: Ctrl-C on the way into a condition would leave it locked
        self._changed = threading.Condition(self._lock)
        self._running: Dict[WorkKey, HeldWork] = {}
        #: Callbacks that have ended, and whose end the store could not take yet.
        self._unrecorded: Dict[WorkKey, Tuple[StoredEvent, Optional[Failure], bool]] = {}
        self._calls = TakenThreads(self._clock, CONCURRENCY, "callbacks")
        self.is_inline = inline
        self.is_left = left
        self.inline = InlineRunner(self._clock, self._take_next, self._call_if_ours, self._extend_leases, lease)
        self._started = False
        self._wake = WakeEvent()
        self._pool = DaemonThreadPool("fedapay-callback", CONCURRENCY)
        self._thread: Optional[threading.Thread] = None
        self._closing = False
        self._has_ended = False

    def set(self, callback: NamedCallback) -> None:
        """Call that callback with what it is owed."""
        self.names.set(callback)
        if self._started:
            self.notify()

    def start(self) -> None:
        """Look for owed work from now on, if there is a handler for any."""
        self._started = True
        if not self.names or self.is_inline or self.is_left:
            return
        with self._lock:
            if self._thread is None and not self._closing:
                try:
                    self._thread = start_daemon(self._run, "fedapay-callbacks")
                    # What the process before has left is owed now, and not after the first pause.
                    self._wake.set()
                except RuntimeError as error:
                    # The caller has stored an event, and must be able to acknowledge it.
                    log.error("no thread for the callbacks, trying again with the next event: %s", error)

    def notify(self) -> None:
        """There may be new work. Where callbacks run inline it is done on return, as far as it is due."""
        if self.is_inline:
            self.inline.run_after_event()
        else:
            self.start()
            self._wake.set()

    def is_idle(self) -> bool:
        """Whether nothing runs here."""
        return not self._running and not self.inline.threads

    def has_owed(self) -> bool:
        """Whether work that is due waits for a handler of this process, or runs."""
        return not self.is_left and bool(self.names) and self._store.callbacks.is_owed(self.names.seen())

    def close(self, timeout: float, without: Collection[int] = ()) -> bool:
        """
        Take once more what is due, as much as there are threads for, and wait for what runs; false if something still
        ran after the timeout, in seconds.

        Args:
            without: threads whose callbacks are not waited for: one may have closed the connector, and waits for that.
        """
        end = self._clock.monotonic() + timeout
        with self._lock:
            self._closing = True
            thread = self._thread
        if thread is None:
            self._record_ends_again()  # a thread of the queue would have done it
        with self._lock:
            self._wake.set()
            while not (done := self._is_over(without)) and (left := end - self._clock.monotonic()) > 0:
                # In slices: a thread may come to wait for us that did not when we began.
                self._changed.wait(min(left, _CLOSE_SLICE))
            running = len(self._running)
        self._wake.set()
        if not done:
            log.warning("%d callbacks still running at the end; they may run again", running)
        elif thread is not None and not running:
            thread.join(_JOIN_TIMEOUT)
        return done

    def _is_over(self, without: Collection[int]) -> bool:
        """Whether nothing more is taken here, and nothing runs that is waited for."""
        has_ended = self._has_ended or self._thread is None
        threads = {self._calls.thread_of(number) for number in self._running} | self.inline.threads
        return has_ended and threads.issubset(without)

    def _run(self) -> None:
        failing = False
        beat = self._clock.monotonic()
        # What outlives the closing keeps its lease: elsewhere it would run a second time.
        while not self._has_ended or self._running:
            self._wake.wait(min(POLL_INTERVAL, self._leases.seconds / 4))
            self._wake.clear()
            # Before the look: what was stored before we were closed, by a webhook that was answered, is called.
            closing = self._closing
            try:
                self._calls.look(waiting=self._count_waiting())
                self._record_ends_again()
                if self._clock.monotonic() - beat > self._leases.seconds / 4:
                    self._extend_leases()
                    beat = self._clock.monotonic()
                self._acquire()
                if self._housekeeping.run():
                    self._wake.set()
                failing = False
            except FedapayError as error:
                if not failing:
                    log.error("looking for owed callbacks failed, going on: %s", error)
                failing = True
            except Exception as error:  # edge of a thread: callbacks must go on being called
                log.error("looking for owed callbacks failed: %s: %s", type(error).__name__, error)
            if closing:
                with self._lock:
                    self._has_ended = True
                    self._changed.notify_all()
        self._pool.close()

    def _count_waiting(self) -> int:
        """Acquired callbacks that have no thread yet."""
        with self._lock:
            return sum(self._calls.thread_of(each) is None and each not in self._unrecorded for each in self._running)

    def _extend_leases(self) -> None:
        with self._lock:
            running = list(self._running.values())
        for held in running:
            self._leases.extend(held)

    def _acquire(self) -> None:
        more = True
        while more:
            taken = self._take(CONCURRENCY - len(self._running))
            for each in taken:
                self._submit(each)
            more = bool(taken) and not self._closing

    def _take(self, most: int) -> List[HeldWork]:
        with self._lock:
            busy = list(self._running)
        holder = self._hold()
        if self._has_ended or holder is None or not self.names:
            return []
        # Without a free thread, too: the database hears that this process still has its callbacks.
        wanted = self.names.wanted()
        if most <= 0:
            return []
        held = self._leases.acquire(wanted, most, busy, holder)
        with self._lock:
            self._running.update({each.work.key: each for each in held})
        return held

    def _take_next(self) -> Optional[HeldWork]:
        self._record_ends_again()
        held = [] if self._closing else self._take(1)
        if not held:
            self._housekeeping.run()
        return next(iter(held), None)

    def _submit(self, held: HeldWork) -> None:
        work = held.work
        try:
            self._pool.submit(lambda: self._call_if_ours(held))
        except RuntimeError as error:
            # No thread to be had here, now: another process may have one.
            with self._lock:
                self._running.pop(work.key, None)
            self._store.callbacks.retry_or_park(work, self._owner, error=f"no thread: {error}", again_in=POLL_INTERVAL)

    def _call_if_ours(self, held: HeldWork) -> Optional[BaseException]:
        if self._leases.is_ours(held):
            return self._call(held.work)
        with self._lock:
            self._forget(held.work)
        return None

    def _call(self, work: StoredEvent) -> Optional[BaseException]:
        """Call the callback and record its end; what Ctrl-C or ``sys.exit`` raised in it, if they did."""
        raised: Optional[BaseException] = None
        to_give = False
        try:
            if is_beyond_last(work.attempts):
                # One that takes its process down each time would do so for ever.
                raise RuntimeError("every attempt ended with the process that made it")
            if work.call is None:
                self._calls.begin(work.key, self.examine, work.event_key)
                failure, to_give = None, self.examine(work)
            else:
                callback = self.names.of(work)
                self._calls.begin(work.key, callback.function(), work.event_key)
                failure = failure_of_returned(work, callback.handler(work))
        except BaseException as error:  # edge of a thread: sys.exit in a callback is a failure of the callback
            failure = failure_of(work, error)
            raised = None if isinstance(error, Exception) else error
        try:
            self._ends.record(work, failure, to_give=to_give)
        except FedapayError as error:
            # Still ours, and not to be called again while we live: its end is told as soon as the store takes it.
            text = "the end of the callback of %s could not be stored, trying again: %s"
            log.error(text, work.event_key, error, extra=with_traceback(failure and failure.traceback))
            with self._lock:
                self._unrecorded[work.key] = (work, failure and failure._replace(traceback=None), to_give)
        finally:
            with self._lock:
                self._calls.end(work.key)
                if work.key not in self._unrecorded:
                    self._forget(work)
            self._wake.set()
        return raised

    def _record_ends_again(self) -> None:
        """Tell the store of the ends that it could not take before."""
        for work, failure, to_give in list(self._unrecorded.values()):
            try:
                self._ends.record(work, failure, to_give=to_give)
            except FedapayError:
                if not self._closing:
                    continue  # the others are not to wait for this one
                # Once its lease has ended it is called again, with the same event key.
                log.error("the end of the callback of %s was not stored; it will run again", work.event_key)
            with self._lock:
                self._forget(work)

    def _forget(self, work: StoredEvent) -> None:
        self._running.pop(work.key, None)
        self._unrecorded.pop(work.key, None)
        self._changed.notify_all()
