"""
Schedules the status readings of this process within the budget that the store keeps for all processes of an account.

A reading waits here until a slot is free, and the most urgent one takes it: a deadline, then a payment that has just
begun, then one that a thread waits for, then the others. Which reading it is, is decided when the slot comes, not when
it was asked for; one that has become needless by then takes none.
"""

import random
from collections import Counter, defaultdict, deque
from functools import partial
from threading import Lock
from typing import AbstractSet, Callable, Deque, Dict, Mapping, NamedTuple, Optional, Tuple

from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.notifier import Notifier, TimerHandle
from fedapay_sync.concurrency.thread_pool import Action, DaemonThreadPool
from fedapay_sync.errors import StoreError
from fedapay_sync.store import Priority
from fedapay_sync.workflow.context import Context

log = get_logger(__name__)

#: So many payments that begin within so many seconds are looked at first; more than these wait like others.
BEGUN_AT_ONCE = 30
BEGUN_WITHIN = 15.0
#: Seconds after which a process to which nothing was granted asks again; with jitter, so that each comes to it.
_AGAIN = 0.5

_IN_ORDER = tuple(Priority)
# Of five slots two are for payments that have begun, if there are any, so that thousands of deadlines do not stop them:
# 30 in 15 s, at five a second. One is for payments that no thread waits for rather than for waits.
_ORDERS: Tuple[Tuple[Priority, ...], ...] = (
    (Priority.listed, Priority.deadline, Priority.begun, Priority.followed, Priority.waited),
    _IN_ORDER,
    (Priority.begun, Priority.listed, Priority.deadline, Priority.waited, Priority.followed),
    _IN_ORDER,
    (Priority.begun, Priority.listed, Priority.deadline, Priority.waited, Priority.followed),
)


def _always() -> bool:
    return True


class Reading(NamedTuple):
    """
    A reading that is wanted.

    Attributes:
        account: the label of the key that it is made with.
        make: reads, on a thread of that pool.
        pool: has a thread free for it before it takes a slot, so that no readings gather while FedaPay hangs.
        prepare: called before it takes a slot; false if there is nothing to read any more.
        until: when it is given up, on the monotonic clock; ``give_up`` is called then.
    """

    priority: Priority
    account: str
    make: Action
    pool: DaemonThreadPool
    prepare: Callable[[], bool] = _always
    until: float = float("inf")
    give_up: Optional[Action] = None


class _Line:
    """The readings of one account that wait for slots."""

    def __init__(self) -> None:
        self.waiting: Dict[Priority, Deque[Reading]] = {each: deque() for each in Priority}
        # Slots that were granted and not used yet; and all that were ever used.
        self.granted = 0
        self.used = 0
        # When more slots are asked for, and for what none were granted last time.
        self.timer: Optional[TimerHandle] = None
        self.asks_at = 0.0
        self.refused: AbstractSet[Priority] = frozenset()


class PollBudget:
    """The readings of one connector in one process."""

    def __init__(self, context: Context, notifier: Notifier) -> None:
        self._environment = context.config.environment
        self._rate = context.config.poll_rate
        self._store = context.store
        self._clock = context.clock
        self._notifier = notifier
        self._pool = DaemonThreadPool("fedapay-budget", 1)
        self._lock = Lock()
        self._lines: Dict[str, _Line] = defaultdict(_Line)
        self._running: Counter[DaemonThreadPool] = Counter()
        self._begun: Deque[float] = deque(maxlen=BEGUN_AT_ONCE)
        self._told_at = float("-inf")
        self._closed = False

    def request(self, reading: Reading) -> None:
        """Make that reading as soon as there is a slot for it."""
        with self._lock:
            if self._closed:
                return
            if reading.priority == Priority.begun and not self._is_within_limit():
                reading = reading._replace(priority=Priority.waited)
            line = self._lines[reading.account]
            line.waiting[reading.priority].append(reading)
            # Unless that is under way, or what is asked again soon is refused anyway.
            if line.timer is None or reading.priority not in line.refused:
                self._ask_in(0.0, reading.account, line)

    def waiting(self, account: str, priority: Priority) -> int:
        """How many readings of that priority wait for slots."""
        with self._lock:
            return len(self._lines[account].waiting[priority])

    def close(self) -> None:
        """Make no further reading."""
        with self._lock:
            self._closed = True
            self._lines.clear()
        self._pool.close()

    def _is_within_limit(self) -> bool:
        now = self._clock.monotonic()
        if len(self._begun) < BEGUN_AT_ONCE or now - self._begun[0] > BEGUN_WITHIN:
            self._begun.append(now)
            return True
        if now - self._told_at > 60.0:
            self._told_at = now
            log.warning(
                "more than %d payments begun within %g s: the others are looked at in turn", BEGUN_AT_ONCE, BEGUN_WITHIN
            )
        return False

    # -- slots --------------------------------------------------------------------------------------------------

    def _ask_in(self, seconds: float, account: str, line: _Line) -> None:
        """Ask for slots in that many seconds, or earlier if that is arranged already. The lock is held."""
        at = self._clock.monotonic() + seconds
        if line.timer is not None:
            if line.asks_at <= at:
                return
            line.timer.cancel()
        line.asks_at = at
        try:
            line.timer = self._notifier.call_later(seconds, partial(self._ask, account), self._pool)
        except RuntimeError as error:
            # At the end of the interpreter: another process may have a thread.
            line.timer = None
            log.info("no status is read here: %s", error)

    def _ask(self, account: str) -> None:
        """Ask the store for slots, and use each when it comes."""
        self._give_up(account)
        with self._lock:
            line = self._lines[account]
            line.timer = None
            wanted = self._wanted(line)
            if self._closed or not wanted:
                return
        slots: Tuple[float, ...] = ()
        refused: AbstractSet[Priority] = frozenset(Priority)
        try:
            slots, refused = self._store.poll_budget.take(self._environment, account, wanted, rate=self._rate)
        except StoreError as error:
            log.warning("no slots for status readings, again soon: %s", error)
        with self._lock:
            line.refused = refused
            line.granted += len(slots)
            if sum(wanted.values()) > len(slots):
                # The last slot is the moment to ask for the next ones.
                self._ask_in(max(slots) if slots else _AGAIN * random.uniform(0.6, 1.2), account, line)
        for slot in slots:
            self._notifier.call_later(slot, partial(self._use, account, refused), self._pool)

    def _wanted(self, line: _Line) -> Mapping[Priority, int]:
        """How many readings of each priority could be made, but for those that slots were granted for."""
        wanted = {}
        spare = line.granted
        for priority in _IN_ORDER:
            waiting = line.waiting[priority]
            count = min(len(waiting), self._free(waiting[0].pool)) if waiting else 0
            covered = min(spare, count)
            spare -= covered
            if count > covered:
                wanted[priority] = count - covered
        return wanted

    def _free(self, pool: DaemonThreadPool) -> int:
        return pool.size - self._running[pool]

    def _use(self, account: str, refused: AbstractSet[Priority]) -> None:
        """Give the slot to the most urgent reading that is still needed."""
        reading = self._next(account, refused)
        while reading is not None and not self._is_needed(reading):
            self._release(reading)
            reading = self._next(account, refused, is_new=False)
        if reading is not None:
            self._notifier.call_later(0.0, partial(self._make, reading), reading.pool)

    def _next(self, account: str, refused: AbstractSet[Priority], *, is_new: bool = True) -> Optional[Reading]:
        with self._lock:
            line = self._lines[account]
            if is_new:
                line.granted -= 1
                line.used += 1
            for priority in _ORDERS[line.used % len(_ORDERS)]:
                waiting = line.waiting[priority]
                if priority not in refused and waiting and self._free(waiting[0].pool) > 0:
                    reading = waiting.popleft()
                    self._running[reading.pool] += 1
                    return reading
        return None

    def _is_needed(self, reading: Reading) -> bool:
        try:
            return reading.prepare()
        except Exception as error:  # edge of a thread: the place that it was given must come back
            log.warning("reading not prepared: %s: %s", type(error).__name__, error)
            return False

    def _make(self, reading: Reading) -> None:
        try:
            reading.make()
        finally:
            self._release(reading)

    def _release(self, reading: Reading) -> None:
        """The thread that it had, or would have had, is free for another."""
        with self._lock:
            self._running[reading.pool] -= 1
            if self._closed:
                return
            # Of any account: they share the pools.
            for account, line in self._lines.items():
                if line.timer is None and any(line.waiting.values()):
                    self._ask_in(0.0, account, line)

    def _give_up(self, account: str) -> None:
        """Give up what has waited too long."""
        now, expired = self._clock.monotonic(), []
        with self._lock:
            for waiting in self._lines[account].waiting.values():
                # Those of one priority are asked for in the order in which they are given up.
                while waiting and waiting[0].until <= now:
                    expired.append(waiting.popleft())
        if expired:
            log.warning("%d readings had no slot in time; what they are of is still watched", len(expired))
        for reading in expired:
            if reading.give_up is not None:
                self._notifier.call_later(0.0, reading.give_up, reading.pool)
