"""
Runs the program's callbacks: each event once, unless a process dies in the middle of one.

The queue is in the store. The worker takes work under a lease, extends the lease by heartbeats while the callback runs,
and marks it done, or puts it back for a retry. What a webhook brings is taken in the transaction that stores it, where
a thread is free for it, and else acquired later. Callbacks run on threads of their own, so that a slow one delays no
webhook.
"""

import contextlib
import threading
from typing import Callable, Collection, Iterator, List, Optional, Sequence

from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.daemon_thread import start_daemon
from fedapay_sync.concurrency.thread_pool import DaemonThreadPool
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.errors import FedapayError
from fedapay_sync.store import StoredEvent
from fedapay_sync.workflow.callbacks.calling import call
from fedapay_sync.workflow.callbacks.ends import CallbackEnds
from fedapay_sync.workflow.callbacks.held_works import HeldWorks
from fedapay_sync.workflow.callbacks.housekeeping import Chore, Housekeeping
from fedapay_sync.workflow.callbacks.inline import InlineRunner
from fedapay_sync.workflow.callbacks.leases import CallbackLeases, Claiming, HeldWork
from fedapay_sync.workflow.callbacks.names import CallbackNames, NamedCallback
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
        #: What is taken with an event is added to it before its room is given back.
        self.held = HeldWorks(CONCURRENCY)
        self._lock, self._changed = self.held.lock, self.held.changed
        #: More may be owed than is held.
        self._has_more = False
        self._calls = TakenThreads(self._clock, CONCURRENCY, "callbacks")
        self.is_inline = inline
        self.is_left = left
        self.inline = InlineRunner(
            self._clock, self._take_next, self._call_if_ours, lambda: self._leases.extend_all(self.held.all()), lease
        )
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
            self._has_more = True
            self._wake.set()

    @contextlib.contextmanager
    def claiming(self) -> Iterator[Optional[Claiming]]:
        """What takes the calls of an event as it is stored; none where no thread is free for them here."""
        # Called from an inline callback, it leaves what is due to the call that is under way.
        callbacks = [] if self.is_left or self._closing or self.inline.is_inside() else self.names.told()
        with self.held.reserving(len(callbacks), in_any_case=self.is_inline) as has_room:
            yield self._leases.claiming(callbacks, self._hold()) if has_room else None

    def begin(self, held: Sequence[HeldWork]) -> None:
        """Call what is held of an event. Where callbacks run inline, that is done on return, and what else is due."""
        if not (self.is_inline or self._closing):
            self.start()
            for each in held:
                self._submit(each)
            return
        try:
            if not self._closing:
                self.inline.run_after_event(held)
        finally:
            # Also what was stored while this process closes: its threads may have ended.
            self._release(held)

    def is_idle(self) -> bool:
        """Whether nothing runs here."""
        return not self.held and not self.inline.threads

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
        if thread is None:  # it would have done it
            self._ends.record_again(self.held.forget, is_last=True)
        with self._lock:
            self._wake.set()
            while not (done := self._is_over(without)) and (left := end - self._clock.monotonic()) > 0:
                # In slices: a thread may come to wait for us that did not when we began.
                self._changed.wait(min(left, _CLOSE_SLICE))
        self._release(self.held.waiting())
        running = len(self.held)
        self._wake.set()
        if not done:
            log.warning("%d callbacks still running at the end; they may run again", running)
        elif thread is not None and not running:
            thread.join(_JOIN_TIMEOUT)
        return done

    def _is_over(self, without: Collection[int]) -> bool:
        """Whether nothing more is taken here, and nothing runs that is waited for."""
        has_ended = self._has_ended or self._thread is None
        threads = {self._calls.thread_of(each.work.key) for each in self.held.all()} | self.inline.threads
        return has_ended and threads.issubset(without)

    def _run(self) -> None:
        failing, pause = False, min(POLL_INTERVAL, self._leases.seconds / 4)
        due = float("-inf")
        # What outlives the closing keeps its lease: elsewhere it would run a second time.
        while not self._has_ended or self.held:
            self._wake.wait(pause)
            self._wake.clear()
            # Before the look: what was stored before we were closed, by a webhook that was answered, is called.
            closing = self._closing
            try:
                overdue = self.held.overdue(self._clock.monotonic(), POLL_INTERVAL)
                self._calls.look(waiting=len(overdue))
                self._ends.record_again(self.held.forget, is_last=self._closing)
                self._leases.beat(self.held.all())
                # Another process may have a thread for it.
                self._release(overdue)
                if self._has_more or closing or self._clock.monotonic() >= due:
                    self._acquire()
                    due = self._clock.monotonic() + pause
                if self._housekeeping.run():
                    self._has_more = True
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

    def _acquire(self) -> None:
        self._has_more, more = False, True
        while more:
            if (room := self.held.room) <= 0:
                self._has_more = True
            taken = self._take(room)
            for each in taken:
                self._submit(each)
            more = bool(taken) and not self._closing

    def _take(self, most: int) -> List[HeldWork]:
        busy = [each.work.key for each in self.held.all()]
        holder = self._hold()
        if self._has_ended or holder is None or not self.names:
            return []
        # Without a free thread, too: the database hears that this process still has its callbacks.
        wanted = self.names.wanted()
        if most <= 0:
            return []
        held = self._leases.acquire(wanted, most, busy, holder)
        self.held.add(held)
        return held

    def _take_next(self) -> Optional[HeldWork]:
        self._ends.record_again(self.held.forget, is_last=self._closing)
        self._release(self.held.overdue(self._clock.monotonic(), POLL_INTERVAL))
        held = [] if self._closing else self._take(1)
        if not held:
            self._housekeeping.run()
        return next(iter(held), None)

    def _submit(self, held: HeldWork) -> None:
        try:
            self._pool.submit(lambda: self._call_if_ours(held))
        except RuntimeError as error:
            # The system has no thread for it now, another process may. The webhook's thread goes on, and answers.
            self.held.forget(held.work)
            self._leases.release(held, f"no thread: {error}", POLL_INTERVAL)

    def _call_if_ours(self, held: HeldWork) -> Optional[BaseException]:
        if not self.held.begin(held):
            return None  # released: it has waited for this thread for too long
        try:
            if self._leases.is_ours(held):
                return self._call(held.work)
            self.held.forget(held.work)
            return None
        finally:
            # Its end may still wait for its commit, and must not keep the connector from being collected.
            held.holder = None

    def _release(self, waiting: Sequence[HeldWork]) -> None:
        """Let others have that, as far as no thread has begun with it."""
        for held in waiting:
            if self.held.part_with(held):
                self._leases.release(held)

    def _call(self, work: StoredEvent) -> Optional[BaseException]:
        """Call the callback and record its end; what Ctrl-C or ``sys.exit`` raised in it, if they did."""
        began = self._clock.monotonic()
        called = call(work, self.names, self.examine, self._calls)
        self.held.prefetch.add(self._clock.monotonic() - began)
        if called.failure is None and work.call is not None and not self.inline.is_inside():
            # The thread goes on: what it has done is written with the next webhook.
            self._ends.record_done_soon(work, self._ended)
            return called.raised
        try:
            self._ends.record_or_keep(work, called.failure, called.to_give)
        finally:
            self._ended(work)
        return called.raised

    def _ended(self, work: StoredEvent) -> None:
        if not (is_kept := self._ends.is_unrecorded(work.key)):
            self.held.forget_soon(work)
        if work.call is None:
            self._has_more = True
        if self._has_more or self._closing or is_kept:
            self._wake.set()
