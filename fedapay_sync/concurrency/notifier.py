"""
Wakes waiting threads and runs timers. A wake-up carries no data: the woken thread reads the store.

One thread in each process learns what other processes commit, and is the timer for everything that is due later. It
polls only while a subscription exists, and does no work itself: what is due goes to a few worker threads.
"""

import heapq
import itertools
import threading
from typing import Callable, Dict, Iterable, List, Optional, Protocol, Set, Tuple

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.commit_listener import CommitListener
from fedapay_sync.concurrency.daemon_thread import start_daemon
from fedapay_sync.concurrency.per_process_lock import PerProcessLock
from fedapay_sync.concurrency.thread_pool import Action, DaemonThreadPool

log = get_logger(__name__)

#: Every key with a subscription is looked up at least so often, whatever the commit listener says, in seconds.
FULL_LOOKUP_INTERVAL = 2.0
#: An end is stamped a little before other connections can see it, and by clocks that may differ; in seconds. What this
#: does not allow for is found by the full lookup.
_MARGIN = 2.0
#: The heap of timers is rid of cancelled ones when it has so many, or twice as many as were left the last time.
_FULL = 1000


class Subscriber(Protocol):
    """What a key's news are announced to: a ``threading.Event``, a ``WakeEvent``."""

    def set(self) -> None:
        """There may be news. Must neither block nor raise."""


class TimerHandle:
    """An action that is due later, on the threads of a pool; can be cancelled."""

    __slots__ = ("action", "pool")

    def __init__(self, action: Action, pool: DaemonThreadPool) -> None:
        self.action: Optional[Action] = action
        self.pool = pool

    def cancel(self) -> None:
        """Never run it. The entry stays in the heap until it is due, or until cancelled ones are most of the heap."""
        self.action = None


class Notifier:
    """
    The subscriptions of one connector, by key, and its timers.

    Args:
        listener: how the notifier learns what other connections commit.
        ended: which of these keys have news.
        ended_lately: all keys that have had news in the last so many seconds.
    """

    def __init__(
        self,
        *,
        listener: CommitListener,
        ended: Callable[[List[str]], List[str]],
        ended_lately: Callable[[float], List[str]],
        clock: Clock = SYSTEM_CLOCK,
        full_lookup: float = FULL_LOOKUP_INTERVAL,
    ) -> None:
        self._listener = listener
        self._ended = ended
        self._ended_lately = ended_lately
        self._clock = clock
        self._full_lookup = full_lookup
        self._lock = PerProcessLock()
        # Tuples: a set would be the heaviest part of a wait, and hardly any key has a second subscriber.
        self._subscribers: Dict[str, Tuple[Subscriber, ...]] = {}
        self._fresh: Set[str] = set()
        self._timers: List[Tuple[float, int, TimerHandle]] = []
        self._full = _FULL
        self._order = itertools.count()
        self._pool = DaemonThreadPool("fedapay-timer", 4)
        self._thread: Optional[threading.Thread] = None
        self._closing = False

    def subscribe(self, key: str, subscriber: Subscriber) -> None:
        """Set that subscriber whenever the key has news."""
        self.subscribe_all([(key, subscriber)])

    def subscribe_all(self, subscriptions: Iterable[Tuple[str, Subscriber]]) -> None:
        """Set each of these subscribers whenever its key has news."""
        with self._lock.mine():
            for key, subscriber in subscriptions:
                self._subscribers[key] = (*self._subscribers.get(key, ()), subscriber)
                # What was committed between the caller's own look and this line would otherwise go unnoticed until
                # the next full lookup.
                self._fresh.add(key)
            self._start()
        self._listener.wake()

    def unsubscribe(self, key: str, subscriber: Subscriber) -> None:
        """Set that subscriber no more; nothing if it is not subscribed."""
        with self._lock.mine():
            left = tuple(each for each in self._subscribers.get(key, ()) if each is not subscriber)
            if left:
                self._subscribers[key] = left
            else:
                self._subscribers.pop(key, None)
                self._fresh.discard(key)

    def notify(self, key: str) -> None:
        """Set the key's subscribers in this process; other processes learn of the commit by themselves."""
        for subscriber in self._subscribers.get(key, ()):
            subscriber.set()

    def call_later(self, seconds: float, action: Action, pool: Optional[DaemonThreadPool] = None) -> TimerHandle:
        """
        Run the action in that many seconds, on a thread of that pool or else of the notifier's own.

        Raises:
            RuntimeError: the system has no thread to give for the timers.
        """
        timer = TimerHandle(action, pool or self._pool)
        with self._lock.mine():
            if self._closing:
                return timer
            entry = (self._clock.monotonic() + seconds, next(self._order), timer)
            if len(self._timers) >= self._full:
                # Waits end long before their deadlines: those would stay for hours, or days.
                self._timers = [each for each in self._timers if each[2].action is not None]
                heapq.heapify(self._timers)
                self._full = max(_FULL, 2 * len(self._timers))
            heapq.heappush(self._timers, entry)
            is_next = self._timers[0] is entry
            self._start()
        if is_next:
            self._listener.wake()
        return timer

    def close(self) -> None:
        """Forget all timers and end the threads, for good."""
        with self._lock.mine():
            self._closing = True
            self._timers.clear()
            thread = self._thread
        self._listener.wake()
        if thread is None:
            self._listener.close()
        elif thread is not threading.current_thread():
            thread.join(2.0)
        self._pool.close()

    def _start(self) -> None:
        if self._thread is None and not self._closing:
            # Where the system has no thread to give, the next caller that needs it tries again.
            self._thread = start_daemon(self._run, "fedapay-waker")

    def _run(self) -> None:
        seen: object = None
        looked_at = looked_up_all_at = float("-inf")
        failing = False
        while True:
            with self._lock.mine():
                if self._closing:
                    break
                due = self._take_due()
                has_subscribers = bool(self._subscribers)
                fresh, self._fresh = self._fresh, set()
            while due:
                # None is kept while this thread sleeps: it may hold a connector that the program has let go of.
                self._submit(due.pop(0))
            if has_subscribers:
                try:
                    # The version before the lookup: what is committed in between shows as a change next time.
                    version, now = self._listener.version(), self._clock.monotonic()
                    if now - looked_up_all_at > self._full_lookup:
                        looked_up_all_at, fresh = now, self._keys()
                    elif version != seen:
                        self._notify_all(self._ended_lately(now - looked_at + _MARGIN))
                    self._notify_all(self._ended(list(fresh)) if fresh else ())
                    seen, looked_at, failing = version, now, False
                except Exception as error:  # edge of a thread: without it no thread here is ever woken again
                    if not failing:
                        log.error("looking at the store failed, going on: %s: %s", type(error).__name__, error)
                    failing, looked_up_all_at = True, float("-inf")
            with self._lock.mine():
                pause = self._pause()
            # A subscription or timer that came meanwhile has called ``wake`` already, and there is no sleep.
            self._listener.sleep(pause)
        self._listener.close()

    def _keys(self) -> Set[str]:
        with self._lock.mine():
            return set(self._subscribers)

    def _notify_all(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.notify(key)

    def _submit(self, timer: TimerHandle) -> None:
        action = timer.action
        if action is None:
            return
        try:
            timer.pool.submit(action)
        except RuntimeError as error:
            log.error("no thread for a timer, trying again: %s", error)
            self.call_later(1.0, action, timer.pool)

    def _take_due(self) -> List[TimerHandle]:
        now = self._clock.monotonic()
        due = []
        while self._timers and self._timers[0][0] <= now:
            due.append(heapq.heappop(self._timers)[2])
        return due

    def _pause(self) -> Optional[float]:
        pauses = [self._listener.interval] if self._subscribers else []
        if self._timers:
            pauses.append(max(0.0, self._timers[0][0] - self._clock.monotonic()))
        return min(pauses) if pauses else None
