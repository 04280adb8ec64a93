"""
Bells wake, they tell nothing: whoever wakes looks at the store.

One thread in each process hears what other processes commit, and is the timer for everything that is due later. It
polls only while somebody waits, and does no work itself: what is due goes to a few worker threads.
"""

import contextlib
import heapq
import itertools
import threading
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.thread_pool import Action, Pool

log = get_logger(__name__)

#: How often the store is asked whether another connection has committed, in seconds.
POLL = 0.05
#: A full look happens at least so often, whatever the signs say, in seconds.
LOOK = 2.0
#: What has ended is stamped a little before others can see it, and by clocks that may differ; in seconds. What this
#: does not allow for is found by the full look.
_MARGIN = 2.0

_making_events = threading.Lock()


class Bell:
    """
    What a ``threading.Event`` is, without its kilobyte as long as nobody blocks.

    Attributes:
        then: what is done besides, whenever it rings, for those who do not block a thread.
    """

    __slots__ = ("_event", "_rung", "then")

    def __init__(self) -> None:
        self._rung = False
        self._event: Optional[threading.Event] = None
        self.then: Optional[Action] = None

    def set(self) -> None:
        """Ring."""
        self.wake()
        if self.then is not None:
            self.then()

    def wake(self) -> None:
        """Ring for those who block, and do nothing besides."""
        self._rung = True
        if self._event is not None:
            self._event.set()

    def clear(self) -> None:
        """Be silent, until the next ring."""
        self._rung = False
        if self._event is not None:
            self._event.clear()

    def is_set(self) -> bool:
        """Whether it has rung since it was silenced."""
        return self._rung

    def wait(self, seconds: float) -> bool:
        """Until it rings, or for so long; whether it has rung."""
        if self._event is None:
            with _making_events:
                self._event = self._event or threading.Event()
        # The event first: whoever rings after this look finds it.
        return self._rung or self._event.wait(seconds)


class Timer:
    """Something due later, on the threads of a pool; may be called off."""

    __slots__ = ("action", "pool")

    def __init__(self, action: Action, pool: Pool) -> None:
        self.action: Optional[Action] = action
        self.pool = pool

    def cancel(self) -> None:
        """Call it off. An entry left in the heap costs nothing but its place until it is due."""
        self.action = None


class Ear:
    """
    How the waker sleeps, and what tells it that another connection has committed. This one asks now and then.

    Args:
        version: changes whenever another connection has committed to the store.
        poll: how often it is asked, in seconds.
    """

    def __init__(self, version: Callable[[], object], poll: float = POLL) -> None:
        self._version = version
        self._poll = poll
        self._called = threading.Event()

    @property
    def pause(self) -> float:
        """Seconds until it is asked again, at most."""
        return self._poll

    def version(self) -> object:
        """What changes when another connection may have committed."""
        return self._version()

    def sleep(self, seconds: Optional[float]) -> None:
        """Until ``wake``, or for so long."""
        self._called.wait(seconds)
        self._called.clear()

    def wake(self) -> None:
        """End the sleep, or the next one."""
        self._called.set()

    def close(self) -> None:
        """Let go of what it took to hear."""


class Bells:
    """
    The bells of one connector, and its timers.

    Args:
        ear: how it hears of what other connections commit.
        ended: which of these keys have something to be woken for.
        lately: all keys that have had something to be woken for in the last so many seconds.
    """

    def __init__(
        self,
        *,
        ear: Ear,
        ended: Callable[[List[str]], List[str]],
        lately: Callable[[float], List[str]],
        clock: Clock = SYSTEM_CLOCK,
        look: float = LOOK,
    ) -> None:
        self._ear = ear
        self._ended = ended
        self._lately = lately
        self._clock = clock
        self._look = look
        self._lock = threading.Lock()
        # Tuples: a set would be the heaviest part of a wait, and hardly any key has a second one.
        self._waiting: Dict[str, Tuple[Bell, ...]] = {}
        self._fresh: Set[str] = set()
        self._timers: List[Tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._pool = Pool("fedapay-timer", 4)
        self._thread: Optional[threading.Thread] = None
        self._closing = False

    def add(self, key: str, bell: Bell) -> None:
        """Ring that bell whenever the key has news."""
        self.add_all([(key, bell)])

    def add_all(self, bells: Iterable[Tuple[str, Bell]]) -> None:
        """Ring each of these bells whenever its key has news."""
        with self._lock:
            for key, bell in bells:
                self._waiting[key] = (*self._waiting.get(key, ()), bell)
                # What was committed between the caller's own look and this line would otherwise go unheard until the
                # next full look.
                self._fresh.add(key)
            self._start()
        self._ear.wake()

    def remove(self, key: str, bell: Bell) -> None:
        """Stop ringing that bell."""
        with self._lock:
            bells = tuple(each for each in self._waiting.get(key, ()) if each is not bell)
            if bells:
                self._waiting[key] = bells
            else:
                self._waiting.pop(key, None)
                self._fresh.discard(key)

    @contextlib.contextmanager
    def subscribed(self, key: str) -> Iterator[Bell]:
        """A bell of one's own, for a while."""
        bell = Bell()
        self.add(key, bell)
        try:
            yield bell
        finally:
            self.remove(key, bell)

    def ring(self, key: str) -> None:
        """Wake those in this process who wait on that key; the others hear of the commit by themselves."""
        for bell in self._waiting.get(key, ()):
            bell.set()

    def ring_all(self) -> None:
        """Wake everybody in this process."""
        with self._lock:
            keys = list(self._waiting)
        for key in keys:
            self.ring(key)

    def later(self, seconds: float, action: Action, pool: Optional[Pool] = None) -> Timer:
        """Run the action in that many seconds, on a thread of that pool or else of our own."""
        timer = Timer(action, pool or self._pool)
        with self._lock:
            if self._closing:
                return timer
            entry = (self._clock.monotonic() + seconds, next(self._order), timer)
            heapq.heappush(self._timers, entry)
            is_next = self._timers[0] is entry
            self._start()
        if is_next:
            self._ear.wake()
        return timer

    def close(self) -> None:
        """Forget all timers and end the threads, for good."""
        with self._lock:
            self._closing = True
            self._timers.clear()
            thread = self._thread
        self._ear.wake()
        if thread is None:
            self._ear.close()
        elif thread is not threading.current_thread():
            thread.join(2.0)
        self._pool.close()

    def _start(self) -> None:
        if self._thread is None and not self._closing:
            thread = threading.Thread(target=self._run, name="fedapay-waker", daemon=True)
            thread.start()
            # Only now: where there is no thread to be had, the next one who needs it tries again.
            self._thread = thread

    def _run(self) -> None:
        seen: object = None
        looked = full = float("-inf")
        failing = False
        while True:
            with self._lock:
                if self._closing:
                    break
                due = self._due()
                waits = bool(self._waiting)
                fresh, self._fresh = self._fresh, set()
            for timer in due:
                self._hand_over(timer)
            if waits:
                try:
                    # The version before the look: what is committed in between shows as a change next time.
                    version, now = self._ear.version(), self._clock.monotonic()
                    if now - full > self._look:
                        full, fresh = now, self._keys()
                    elif version != seen:
                        self._ring_these(self._lately(now - looked + _MARGIN))
                    self._ring_these(self._ended(list(fresh)) if fresh else ())
                    seen, looked, failing = version, now, False
                except Exception as error:  # edge of a thread: without it nobody here is ever woken again
                    if not failing:
                        log.error("looking at the store failed, going on: %s: %s", type(error).__name__, error)
                    failing, full = True, float("-inf")
            with self._lock:
                pause = self._pause()
            # What was added meanwhile has called already, and there is no sleep.
            self._ear.sleep(pause)
        self._ear.close()

    def _keys(self) -> Set[str]:
        with self._lock:
            return set(self._waiting)

    def _ring_these(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.ring(key)

    def _hand_over(self, timer: Timer) -> None:
        action = timer.action
        if action is None:
            return
        try:
            timer.pool.submit(action)
        except RuntimeError as error:
            log.error("no thread for a timer, trying again: %s", error)
            self.later(1.0, action, timer.pool)

    def _due(self) -> List[Timer]:
        now = self._clock.monotonic()
        due = []
        while self._timers and self._timers[0][0] <= now:
            due.append(heapq.heappop(self._timers)[2])
        return due

    def _pause(self) -> Optional[float]:
        pauses = [self._ear.pause] if self._waiting else []
        if self._timers:
            pauses.append(max(0.0, self._timers[0][0] - self._clock.monotonic()))
        return min(pauses) if pauses else None
