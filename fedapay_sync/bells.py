"""
Bells wake, they tell nothing: whoever wakes looks at the store.

One thread in each process hears what other processes commit, and is the timer for everything that is due later. It
polls only while somebody waits, and does no work itself: what is due goes to a few worker threads.
"""

import contextlib
import heapq
import itertools
import queue
import threading
from typing import Callable, Dict, Iterator, List, Optional, Set, Tuple

from .clock import SYSTEM_CLOCK, Clock
from .masking import get_logger

log = get_logger(__name__)

#: How often the store is asked whether another connection has committed, in seconds.
POLL = 0.05
#: A full look happens at least so often, whatever the signs say, in seconds.
LOOK = 2.0

Action = Callable[[], None]


class Pool:
    """A few daemon threads, started when needed. Not an executor: those keep a process from ending."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Optional[Action]] = queue.SimpleQueue()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def submit(self, action: Action) -> None:
        """Run it soon, on one of the threads; not at all after the end."""
        with self._lock:
            if self._closed:
                return
            if self._idle > 0:
                self._idle -= 1
            elif self._threads < self._size:
                name = f"{self._name}-{self._threads + 1}"
                try:
                    threading.Thread(target=self._run, name=name, daemon=True).start()
                    self._threads += 1
                except RuntimeError:
                    # No more threads to be had here: those that there are will come to it.
                    if not self._threads:
                        raise
            self._jobs.put(action)

    def close(self) -> None:
        """Let the threads end after what they have."""
        with self._lock:
            self._closed = True
            for _ in range(self._threads):
                self._jobs.put(None)
            self._threads = 0

    def _run(self) -> None:
        while (action := self._jobs.get()) is not None:
            try:
                action()
            except BaseException as error:  # edge of a thread: one failed action must not cost the others theirs
                log.error("%s: an action failed: %s: %s", self._name, type(error).__name__, error)
            with self._lock:
                self._idle += 1


class Timer:
    """Something due later; may be called off."""

    __slots__ = ("action",)

    def __init__(self, action: Action) -> None:
        self.action: Optional[Action] = action

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
    """

    def __init__(
        self,
        *,
        ear: Ear,
        ended: Callable[[List[str]], List[str]],
        clock: Clock = SYSTEM_CLOCK,
        look: float = LOOK,
    ) -> None:
        self._ear = ear
        self._ended = ended
        self._clock = clock
        self._look = look
        self._lock = threading.Lock()
        self._waiting: Dict[str, Set[threading.Event]] = {}
        self._fresh: Set[str] = set()
        self._timers: List[Tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._pool = Pool("fedapay-timer", 4)
        self._thread: Optional[threading.Thread] = None
        self._closing = False

    def add(self, key: str, bell: threading.Event) -> None:
        """Ring that bell whenever the key has news."""
        with self._lock:
            self._waiting.setdefault(key, set()).add(bell)
            # What was committed between the caller's own look and this line would otherwise go unheard until the
            # next full look.
            self._fresh.add(key)
            self._start()
        self._ear.wake()

    def remove(self, key: str, bell: threading.Event) -> None:
        """Stop ringing that bell."""
        with self._lock:
            bells = self._waiting.get(key, set())
            bells.discard(bell)
            if not bells:
                self._waiting.pop(key, None)
                self._fresh.discard(key)

    @contextlib.contextmanager
    def subscribed(self, key: str) -> Iterator[threading.Event]:
        """A bell of one's own, for a while."""
        bell = threading.Event()
        self.add(key, bell)
        try:
            yield bell
        finally:
            self.remove(key, bell)

    def ring(self, key: str) -> None:
        """Wake those in this process who wait on that key; the others hear of the commit by themselves."""
        with self._lock:
            bells = list(self._waiting.get(key, ()))
        for bell in bells:
            bell.set()

    def ring_all(self) -> None:
        """Wake everybody in this process."""
        with self._lock:
            bells = [bell for each in self._waiting.values() for bell in each]
        for bell in bells:
            bell.set()

    def later(self, seconds: float, action: Action) -> Timer:
        """Run the action on a worker thread in that many seconds."""
        timer = Timer(action)
        with self._lock:
            if self._closing:
                return timer
            heapq.heappush(self._timers, (self._clock.monotonic() + seconds, next(self._order), timer))
            self._start()
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
        looked = float("-inf")
        failing = False
        while True:
            with self._lock:
                if self._closing:
                    break
                due = self._due()
                keys = list(self._waiting)
                fresh, self._fresh = self._fresh, set()
            for action in due:
                self._hand_over(action)
            if keys:
                try:
                    # The version before the look: what is committed in between shows as a change next time.
                    version = self._ear.version()
                    if version != seen or self._clock.monotonic() - looked > self._look:
                        seen, looked, fresh = version, self._clock.monotonic(), set(keys)
                    for key in self._ended(list(fresh)) if fresh else ():
                        self.ring(key)
                    failing = False
                except Exception as error:  # edge of a thread: without it nobody here is ever woken again
                    if not failing:
                        log.error("looking at the store failed, going on: %s: %s", type(error).__name__, error)
                    failing, seen = True, None
            with self._lock:
                pause = self._pause()
            # What was added meanwhile has called already, and there is no sleep.
            self._ear.sleep(pause)
        self._ear.close()

    def _hand_over(self, action: Action) -> None:
        try:
            self._pool.submit(action)
        except RuntimeError as error:
            log.error("no thread for a timer, trying again: %s", error)
            self.later(1.0, action)

    def _due(self) -> List[Action]:
        now = self._clock.monotonic()
        actions = []
        while self._timers and self._timers[0][0] <= now:
            action = heapq.heappop(self._timers)[2].action
            if action is not None:
                actions.append(action)
        return actions

    def _pause(self) -> Optional[float]:
        pauses = [self._ear.pause] if self._waiting else []
        if self._timers:
            pauses.append(max(0.0, self._timers[0][0] - self._clock.monotonic()))
        return min(pauses) if pauses else None
