"""One thread that does things later, by the emulator's clock."""

import heapq
import itertools
import threading
from typing import Callable, List, Optional, Tuple

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import ConfigError
from ..masking import get_logger

log = get_logger("fedapay_sync.emulator")

# A clock handed in by a test may jump while the thread waits; so long may it stay unnoticed.
_SLICE = 0.05
#: Seconds until what a state file refused is tried again.
RETRY = 1.0


class Timers:
    """A heap of things to do. ``stop`` is a pause: what is due is done after the next ``start``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: List[Tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: Optional[threading.Thread] = None

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Run ``action`` in the timer thread, ``seconds`` from now."""
        with self._changed:
            due = self._clock.monotonic() + seconds
            heapq.heappush(self._heap, (due, next(self._order), action))
            self._changed.notify_all()

    def start(self) -> None:
        with self._changed:
            # A forked child inherits the object, and a thread that is none.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="fedapay-emulator-timers", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        with self._changed:
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            action = self._next()
            if action is None:
                return
            try:
                action()
            except ConfigError as error:
                # The state file took it not; there may be room later.
                log.warning("emulator timer put off: %s", error)
                self.after(RETRY, action)
            except Exception:  # edge of a thread
                log.exception("emulator timer failed")

    def _next(self) -> Optional[Callable[[], object]]:
        with self._changed:
            while self._thread is threading.current_thread():
                if not self._heap:
                    self._changed.wait()
                    continue
                left = self._heap[0][0] - self._clock.monotonic()
                if left <= 0:
                    return heapq.heappop(self._heap)[2]
                # Not longer than a day: threading refuses to wait for centuries.
                self._changed.wait(min(left, 86_400.0 if self._clock is SYSTEM_CLOCK else _SLICE))
            return None
