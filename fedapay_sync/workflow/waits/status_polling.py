"""
Polls the payments that are waited for: the status is read at FedaPay, at growing intervals and within the budget of
status readings, until the payment ends.

A heartbeat renews the leases on the rows of these waits, so that no other process restores them.
"""

import functools
import threading
from typing import Collection, Iterable, Optional, Sequence, Tuple

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.secret import Secret
from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.concurrency.thread_pool import DaemonThreadPool
from fedapay_sync.errors import FedapayError, NotFound, StoreError
from fedapay_sync.store import Listen as ListenRecord
from fedapay_sync.store import Priority
from fedapay_sync.store.states import ListenState
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.poll_budget import BEGUN_AT_ONCE, PollBudget, Reading
from fedapay_sync.workflow.reconciliation.polling_policy import PollingPolicy
from fedapay_sync.workflow.reconciliation.status_reader import StatusReader
from fedapay_sync.workflow.waits.deadlines import Deadlines
from fedapay_sync.workflow.waits.waiters import PolledTransaction, Waiter, WaiterRegistry

log = get_logger(__name__)

#: A process keeps a listen for so long without renewing it, in seconds.
LEASE = 60.0
#: A deadline that could not be decided is still to be decided for so long, in seconds.
UNDECIDED = 48 * 3600.0


class StatusPolling:
    """The polls of one connector in one process."""

    def __init__(
        self,
        context: Context,
        notifier: Notifier,
        statuses: StatusReader,
        policy: PollingPolicy,
        deadlines: Deadlines,
        waits: WaiterRegistry,
        budget: PollBudget,
    ) -> None:
        self._environment = context.config.environment
        self._store = context.store
        self._clock = context.clock
        self._owner = context.owner
        self._notifier = notifier
        self._statuses = statuses
        self._policy = policy
        self._deadlines = deadlines
        self._waits = waits
        self._budget = budget
        # For the timers and marks of polled transactions.
        self._lock = threading.Lock()
        # Not on the timers' own threads: a FedaPay that does not answer must not hold up our leases.
        self._pool = DaemonThreadPool("fedapay-check", 4)
        self._beating = False

    def watch(self, waiters: Iterable[Tuple[Waiter, Secret]], *, unknown: Collection[str], key_was_given: bool) -> None:
        """
        Poll for each of these waiters, with its key, and decide at its deadline.

        Args:
            unknown: transactions of which there is nothing in this database: FedaPay is asked at once whether it knows
                them.
        """
        joined, waiters = [], list(waiters)
        # Thousands at once are not payments that begin now, and must not stand before those.
        are_few = len(waiters) <= BEGUN_AT_ONCE
        for waiter, key in waiters:
            transaction_id = str(waiter.id_transaction)
            first = 0.0 if transaction_id in unknown else self._policy.first_interval
            polled = self._poll_from(transaction_id, key, first=first, waiter=waiter, has_begun=are_few)
            if key_was_given:
                polled.key = key
            if waiter.verdict is None:
                joined.append((polled, waiter))
        if joined:
            # Before the deadlines, the nearest of which may notify at once.
            self._notifier.subscribe_all((polled.transaction_id, waiter) for polled, waiter in joined)
        for polled, waiter in joined:
            waiter.timer = self._deadlines.schedule(polled, waiter, waiter.deadline - self._clock.monotonic())

    def resume(self, record: ListenRecord, key: Secret, first: float) -> None:
        """Watch a restored listen: poll from then on, in that many seconds, and decide at its deadline."""
        polled = self._poll_from(record.transaction_id, key, first=first, has_begun=False)
        # A clock set back must not lengthen the wait.
        remaining = min(max(0.0, record.deadline - self._store.clock.now()), record.timeout)
        polled.due = max(polled.due, self._clock.monotonic() + remaining)
        self._deadlines.schedule(polled, None, remaining)

    def close(self) -> None:
        """Settle the waits of this process as interrupted. Their rows stay open, for the process that restores them."""
        # First: a wait that is told that it was interrupted must not find its row decided.
        self._deadlines.close()
        unheard = self._waits.waited_for()
        self._waits.close()
        self._pool.close()
        if not self._waits.has_begun:
            # No row is ours; and a connector that was never used makes no file by being closed.
            return
        try:
            self._store.listens.release(self._owner, unheard)
        except StoreError as error:
            # They are free anyway once this owner is known to be gone; what else there is to close must be closed.
            log.warning("listens not released: %s", error)

    def _poll_from(
        self, transaction_id: str, key: Secret, *, first: float, has_begun: bool, waiter: Optional[Waiter] = None
    ) -> PolledTransaction:
        """
        The transaction with that waiter among its waiters, polled from now on if it was not.

        Args:
            first: seconds until the first poll.
            has_begun: whether the payment may have just begun: its first poll then comes before others.
        """
        interval = self._policy.first_interval
        polled = self._waits.join(transaction_id, key, interval, waiter)
        with self._lock:
            if waiter is not None and polled.interval > interval:
                # It had grown long while no one waited, or the poll stood far back in the line of restored ones.
                polled.interval = interval
                if polled.timer is not None:
                    polled.timer.cancel()
                    polled.timer = None
            polled.was_polled = polled.was_polled or not has_begun
            if not self._waits.is_polled(polled):
                return polled
            if polled.timer is None and not polled.is_being_polled:
                self._schedule(first, polled)
            if not self._beating:
                self._beating = True
                self._notifier.call_later(LEASE / 3, self._beat)
        return polled

    def _schedule(self, seconds: float, polled: PolledTransaction) -> None:
        polled.timer = self._notifier.call_later(seconds, functools.partial(self._request, polled))

    def _request(self, polled: PolledTransaction) -> None:
        """Poll when there is a slot."""
        with self._lock:
            if not self._waits.is_polled(polled) or polled.is_being_polled:
                return
            polled.is_being_polled, polled.timer = True, None
            priority = Priority.waited if polled.was_polled else Priority.begun
            polled.was_polled = True
        poll, is_to_be_read = functools.partial(self._poll, polled), functools.partial(self._is_to_be_read, polled)
        self._budget.request(Reading(priority, polled.key.label, poll, self._pool, is_to_be_read))

    def _is_to_be_read(self, polled: PolledTransaction) -> bool:
        """Look at the store first: whether FedaPay is to be asked. If not, again later if the payment is still open."""
        with self._lock:
            polled.interval = self._policy.next_interval(polled.interval)
            waiters = polled.waiters
        has_ended: Optional[bool] = not self._waits.is_polled(polled)
        if not has_ended:
            try:
                has_ended = self._find_end(polled)
            except StoreError as error:
                log.warning("status check of %s failed, again later: %s", polled.transaction_id, error)
                has_ended = False
        if has_ended is not None:
            self._poll_again(polled, has_ended, waiters)
        return has_ended is None

    def _poll(self, polled: PolledTransaction) -> None:
        """Poll once, and again later if the payment is still open."""
        # A waiter that joins from here on may wait for what comes after the end that this poll finds.
        waiters = polled.waiters
        has_ended = False
        try:
            has_ended = self._statuses.check(polled.transaction_id, polled.key)
        except NotFound as error:
            has_ended = self._is_unfounded(polled, error)
        except FedapayError as error:
            log.warning("status check of %s failed, again later: %s", polled.transaction_id, error)
        finally:
            # Nothing that failed may end the polling.
            self._poll_again(polled, has_ended, waiters)

    def _poll_again(self, polled: PolledTransaction, has_ended: bool, waiters: Sequence[Waiter]) -> None:
        """Once more after the interval, unless the payment has ended for all of these waiters."""
        with self._lock:
            polled.is_being_polled = False
            if not (has_ended and self._waits.release(polled, waiters)) and self._waits.is_polled(polled):
                self._schedule(polled.interval, polled)

    def _find_end(self, polled: PolledTransaction) -> Optional[bool]:
        """Whether the store says that there is nothing more to poll; None if FedaPay is to be asked."""
        record = self._store.listens.get(self._environment, polled.transaction_id)
        now = self._store.clock.now()
        # From here on the payment is followed up like any other (reconciler.py).
        if record is None or not record.is_open:
            return True
        if record.state == ListenState.unknown:
            # Not if its deadline is being decided this instant, once more.
            if now - record.deadline > UNDECIDED and self._store.listens.give_up(
                self._environment, polled.transaction_id
            ):
                log.warning("status of %s not learned in all this time, given up", polled.transaction_id)
                return True
            polled.interval = max(polled.interval, (self._clock.monotonic() - polled.started) / 10)
        if record.deadline <= now and polled.due <= self._clock.monotonic():
            # The decision at the deadline is still owed: it failed, or the process that had taken it died.
            self._deadlines.decide(polled, None, Priority.waited)
            return False
        return None

    def _is_unfounded(self, polled: PolledTransaction, error: NotFound) -> bool:
        try:
            if self._waits.settle_unfounded(polled, error):
                return True
        except StoreError as problem:
            log.warning("wait for %s not ended, again later: %s", polled.transaction_id, problem)
        log.warning("FedaPay does not know %s, which this database knows", polled.transaction_id)
        return False

    def _beat(self) -> None:
        """Renew the leases of the rows that this process polls for; once more after the last, whose end was heard."""
        with self._lock:
            self._beating = not self._waits.is_empty()
        if self._beating:
            self._notifier.call_later(LEASE / 3, self._beat)
        self._store.listens.extend_leases(self._owner, LEASE, self._waits.waited_for())
