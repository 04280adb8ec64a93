"""
Watching payments that somebody waits for: sparse looks at FedaPay until the payment ends, and the deadline.
"""

import functools
import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, Iterable, Optional, Tuple

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.common.config import Config
from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.notifier import Bells
from fedapay_sync.concurrency.thread_pool import Pool
from fedapay_sync.enums import EventFutureStatus
from fedapay_sync.errors import FedapayError, StoreError
from fedapay_sync.models import Outcome
from fedapay_sync.store import Listen as ListenRecord
from fedapay_sync.workflow.reconciliation.status_reader import Statuses
from fedapay_sync.workflow.waits.deadlines import Deadlines, Wait, Watch
from fedapay_sync.workflow.waits.outcomes import interrupted

if TYPE_CHECKING:
    from fedapay_sync.store import Store

log = get_logger(__name__)

#: A process keeps a listen for so long without renewing it, in seconds.
LEASE = 60.0
#: A deadline that could not be decided is still to be decided for so long, in seconds.
UNDECIDED = 48 * 3600.0
#: First looks at many payments are spread over time, so many seconds apart: FedaPay is not to be stormed, least of all
#: at the moment when it, or we, just came back.
SPACING = 0.2


@dataclass(frozen=True)
class Pace:
    """Growing intervals between status checks, in seconds."""

    first: float
    factor: float
    longest: float

    def next(self, interval: float) -> float:
        """The interval after that one, with jitter so that many waits do not ask at once."""
        return min(interval * self.factor, self.longest) * random.uniform(0.85, 1.15)


#: With a webhook receiver, checks only make a missed webhook late instead of lost.
BESIDE_WEBHOOKS = Pace(first=5.0, factor=1.5, longest=60.0)
#: Without one they are the way.
WITHOUT_WEBHOOKS = Pace(first=1.0, factor=1.3, longest=10.0)


class Watches:
    """The watches of one connector in one process."""

    def __init__(
        self,
        config: Config,
        store: "Store",
        bells: Bells,
        statuses: Statuses,
        deadlines: Deadlines,
        owner: str,
        clock: Clock = SYSTEM_CLOCK,
        *,
        pace: Optional[Pace] = None,
    ) -> None:
        self._config = config
        self._store = store
        self._bells = bells
        self._statuses = statuses
        self._deadlines = deadlines
        self._owner = owner
        self._clock = clock
        self._pace = pace
        self._lock = threading.Lock()
        self._open: Dict[str, Watch] = {}
        # Not on the timers' own threads: a FedaPay that does not answer must not hold up our leases.
        self._checks = Pool("fedapay-check", 4)
        self._beating = False
        self._has_watched = False
        self._closed = False
        #: Set by whoever serves webhooks in this process: checks may then be rare.
        self.has_receiver = False

    def wait_all(self, waits: Iterable[Tuple[Wait, str]], *, key_was_given: bool, after: float) -> None:
        """
        Watch over a transaction for each of these, with its key, and decide for him at his deadline.

        Args:
            after: seconds by which the first look at the first of them is put off.
        """
        first, begun = self._current_pace().first + after, []
        for place, (wait, key) in enumerate(waits):
            watch = self._watch(str(wait.id_transaction), key, first=first + place * SPACING, wait=wait)
            if key_was_given:
                watch.key = key
            if wait._verdict is None:
                begun.append((watch, wait))
        if begun:
            # Before the deadlines, the nearest of which may ring at once.
            self._bells.add_all((watch.transaction_id, wait._bell) for watch, wait in begun)
        for watch, wait in begun:
            wait._timer = self._deadlines.set(watch, wait, wait._deadline - self._clock.monotonic())

    def resume(self, record: ListenRecord, key: str, after: float) -> None:
        """Watch a restored listen: look at it after a moment, decide at its deadline."""
        watch = self._watch(record.transaction_id, key, first=after)
        # A clock set back must not lengthen the wait.
        remaining = min(max(0.0, record.deadline - self._clock.now()), record.timeout)
        watch.due = max(watch.due, self._clock.monotonic() + remaining)
        self._deadlines.set(watch, None, max(remaining, after))

    def leave(self, wait: Wait) -> None:
        """Nobody waits on this wait any more. The watch goes on if the payment may still be paid."""
        self._bells.remove(str(wait.id_transaction), wait._bell)
        if wait._timer is not None:
            wait._timer.cancel()
        verdict = wait._verdict
        with self._lock:
            watch = self._open.get(str(wait.id_transaction))
            if watch is None:
                return
            watch.waits = tuple(each for each in watch.waits if each is not wait)
            if isinstance(verdict, Outcome) and verdict.status != EventFutureStatus.TIMEOUT and not watch.waits:
                self._let_go(watch)

    def close(self) -> None:
        """End the waits of this process as interrupted. Their rows stay open, for whoever restores them."""
        # First: who is told that he was interrupted must not find the row decided.
        self._deadlines.close()
        with self._lock:
            self._closed = True
            waits = [wait for watch in self._open.values() for wait in watch.waits]
            self._open.clear()
        for wait in waits:
            if wait._verdict is None:
                wait._verdict = interrupted(wait.id_transaction)
            wait._bell.set()
        self._checks.close()
        if not self._has_watched:
            # Nothing is ours; and a connector that was never used makes no file by being closed.
            return
        try:
            self._store.release_listens(self._owner)
        except StoreError as error:
            # They are free anyway once this owner is known to be gone; what else there is to close must be closed.
            log.warning("listens not released: %s", error)

    def _watch(self, transaction_id: str, key: str, *, first: float, wait: Optional[Wait] = None) -> Watch:
        """
        This process's watch over the transaction, begun if there is none; the wait is one of its waits.

        Args:
            first: seconds until the first look.
        """
        pace = self._current_pace()
        with self._lock:
            watch = self._open.get(transaction_id)
            if watch is None:
                watch = Watch(transaction_id, key, self._clock.monotonic(), pace.first)
            if wait is not None:
                watch.waits = (*watch.waits, wait)
                watch.due = max(watch.due, wait._deadline)
                if watch.interval > pace.first:
                    # It had grown slow while nobody waited, or stood far back in the line of restored ones.
                    watch.interval = pace.first
                    if watch.timer is not None:
                        watch.timer.cancel()
                        watch.timer = None
            if self._closed:
                if wait is not None:
                    wait._verdict = interrupted(wait.id_transaction)
                return watch
            self._has_watched = True
            if self._open.setdefault(transaction_id, watch) is watch and watch.timer is None and not watch.is_looked_at:
                self._look_in(first, watch)
            if not self._beating:
                self._beating = True
                self._bells.later(LEASE / 3, self._beat)
        return watch

    def _look_in(self, seconds: float, watch: Watch) -> None:
        watch.timer = self._bells.later(seconds, functools.partial(self._sparse_check, watch), self._checks)

    def _sparse_check(self, watch: Watch) -> None:
        """Look once, and again later if the payment is still open."""
        with self._lock:
            if self._open.get(watch.transaction_id) is not watch or watch.is_looked_at:
                return
            watch.is_looked_at, watch.timer = True, None
            watch.interval = self._current_pace().next(watch.interval)
            # Whoever joins from here on may wait for what comes after the end that we find.
            waits = watch.waits
        has_ended = False
        try:
            has_ended = self._look(watch)
        except FedapayError as error:
            log.warning("status check of %s failed, again later: %s", watch.transaction_id, error)
        finally:
            # Nothing that failed may end the watch.
            with self._lock:
                watch.is_looked_at = False
                if has_ended and all(each in waits or each._verdict is not None for each in watch.waits):
                    self._let_go(watch)
                elif self._open.get(watch.transaction_id) is watch:
                    self._look_in(watch.interval, watch)

    def _look(self, watch: Watch) -> bool:
        """Look at the store, and at FedaPay if it is still open there; whether there is nothing more to watch."""
        record = self._store.listen(self._config.environment, watch.transaction_id)
        now = self._clock.now()
        # Once nobody waits any more, the payment is followed up like any other (followup.py).
        if record is None or not record.is_open:
            return True
        if record.state == "unknown":
            # Not if its deadline is being decided this instant, once more.
            if now - record.deadline > UNDECIDED and self._store.give_up(
                self._config.environment, watch.transaction_id
            ):
                log.warning("status of %s not learned in all this time, given up", watch.transaction_id)
                return True
            watch.interval = max(watch.interval, (self._clock.monotonic() - watch.started) / 10)
        if record.deadline <= now and watch.due <= self._clock.monotonic():
            # The decision at the deadline is still owed: it failed, or whose it was died.
            self._deadlines.decide(watch, None)
            return False
        return self._statuses.check(watch.transaction_id, watch.key)

    def _current_pace(self) -> Pace:
        return self._pace or (BESIDE_WEBHOOKS if self.has_receiver else WITHOUT_WEBHOOKS)

    def _beat(self) -> None:
        """Say that this process still watches what it watches."""
        with self._lock:
            self._beating = bool(self._open) and not self._closed
        if self._beating:
            self._bells.later(LEASE / 3, self._beat)
            self._store.keep_listens(self._owner, LEASE)

    def _let_go(self, watch: Watch) -> None:
        if self._open.get(watch.transaction_id) is watch:
            del self._open[watch.transaction_id]
        if watch.timer is not None:
            watch.timer.cancel()
