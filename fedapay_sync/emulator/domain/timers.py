"""Timer thread: runs actions when they are due by the emulator's clock."""

import heapq
import itertools
import threading
from typing import Callable, List, Optional, Tuple

from fedapay_sync.common.logging import get_logger
from fedapay_sync.emulator.domain.clock import EmulatorClock
from fedapay_sync.errors import ConfigError

log = get_logger("fedapay_sync.emulator")

#: Seconds until what a state file refused is tried again.
RETRY = 1.0
# No action takes so long; after it ``catch_up`` no longer waits for one that hangs.
_PATIENCE = 10.0


class Timers:
    """A heap of actions by due time. ``stop`` is a pause: what is due runs after the next ``start``."""

    def __init__(self, clock: EmulatorClock) -> None:
        self._clock = clock
        self._heap: List[Tuple[float, int, Callable[[], object]]] = []
        self._stops: List[float] = []
        self._order = itertools.count()
        # Entered itself, not as the condition: Ctrl-C on the way into a condition leaves its lock locked for ever.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._thread: Optional[threading.Thread] = None
        self._acting = False

    def call_later(self, seconds: float, action: Callable[[], object], *, stop: bool = False) -> None:
        """Run ``action`` in the timer thread, ``seconds`` from now; ``stop``: no jump of the clock passes it by."""
        with self._lock:
            due = self._clock.monotonic() + seconds
            heapq.heappush(self._heap, (due, next(self._order), action))
            if stop:
                heapq.heappush(self._stops, due)
            self._changed.notify_all()

    def next_stop(self) -> Optional[float]:
        """When the next action is due that no jump of the clock passes by."""
        with self._lock:
            while self._stops and self._stops[0] <= self._clock.monotonic():
                heapq.heappop(self._stops)
            return self._stops[0] if self._stops else None

    def start(self) -> None:
        with self._lock:
            # A forked child inherits the Thread object, but not the running thread.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="fedapay-emulator-timers", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE)

    def catch_up(self) -> None:
        """After the clock has jumped: return when all that is due has been done. Never under a lock of actions."""
        with self._lock:
            self._changed.notify_all()
            if self._thread is not threading.current_thread():
                self._changed.wait_for(lambda: not (self._thread and (self._acting or self._is_due())), _PATIENCE)

    def clear(self) -> None:
        """Forget all actions."""
        with self._lock:
            self._heap.clear()
            self._stops.clear()

    def _run(self) -> None:
        while True:
            action = self._next()
            if action is None:
                return
            try:
                action()
            except ConfigError as error:
                # The state file refused the step; there may be room later.
                log.warning("emulator timer put off: %s", error)
                self.call_later(RETRY, action)
            except Exception:  # edge of a thread
                log.exception("emulator timer failed")

    def _next(self) -> Optional[Callable[[], object]]:
        with self._lock:
            self._acting = False
            self._changed.notify_all()
            while self._thread is threading.current_thread():
                if self._is_due():
                    self._acting = True
                    return heapq.heappop(self._heap)[2]
                left = self._heap[0][0] - self._clock.monotonic() if self._heap else None
                self._changed.wait(None if left is None else max(0.0, self._clock.real(left)))
            return None

    def _is_due(self) -> bool:
        return bool(self._heap) and self._heap[0][0] <= self._clock.monotonic()
