"""
Decides a wait at its deadline: FedaPay is asked before anything is called a timeout.

One process decides for all, under a lease; the decision is a row, and every waiter reads it there. FedaPay is asked
within the budget of status readings; many deadlines are decided by its list.
"""

import functools
from typing import Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.secret import Secret
from fedapay_sync.concurrency.notifier import Notifier, TimerHandle
from fedapay_sync.concurrency.thread_pool import DaemonThreadPool
from fedapay_sync.errors import ApiError, NotFound, StoreError, TransportError
from fedapay_sync.resources.api import Api
from fedapay_sync.store import Listen as ListenRecord
from fedapay_sync.store import Priority
from fedapay_sync.store.states import ListenState
from fedapay_sync.workflow.callbacks.worker import CallbackWorker
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.poll_budget import PollBudget, Reading
from fedapay_sync.workflow.reconciliation.status_reader import StatusReader, has_ended
from fedapay_sync.workflow.waits.deadline_lists import DeadlineLists
from fedapay_sync.workflow.waits.outcomes import still_pending, unknown
from fedapay_sync.workflow.waits.waiters import PolledTransaction, Waiter, WaiterRegistry

log = get_logger(__name__)

#: The answer at the deadline comes at most so much later, in seconds.
GRACE = 30.0
#: What has no slot by then, in seconds before the grace ends, is told to be unknown.
_LAST_MOMENT = 1.0
#: Where the database fails at a deadline, it is asked again after so many seconds.
_RETRY_AFTER = 5.0


class Deadlines:
    """The deadlines of one connector in one process."""

    def __init__(
        self,
        context: Context,
        api: Api,
        notifier: Notifier,
        statuses: StatusReader,
        callbacks: CallbackWorker,
        waits: WaiterRegistry,
        budget: PollBudget,
    ) -> None:
        self._environment = context.config.environment
        self._store = context.store
        self._clock = context.clock
        self._transactions = api.transactions
        self._notifier = notifier
        self._statuses = statuses
        self._callbacks = callbacks
        self._waits = waits
        # Not on the threads of status polls: many of those must not hold up a deadline.
        self._pool = DaemonThreadPool("fedapay-deadline", 16)
        self._budget = budget
        self._lists = DeadlineLists(context, api, notifier, statuses, callbacks, budget, self._pool)
        self._closed = False

    def schedule(self, polled: PolledTransaction, waiter: Optional[Waiter], seconds: float) -> TimerHandle:
        """Decide in that many seconds: for that waiter, or for those of a process that is gone."""
        return self._notifier.call_later(seconds, functools.partial(self.decide, polled, waiter), self._pool)

    def close(self) -> None:
        """Decide nothing any more: what is still open is for the process that restores it."""
        self._closed = True
        self._pool.close()

    def decide(
        self, polled: PolledTransaction, waiter: Optional[Waiter], priority: Priority = Priority.deadline
    ) -> None:
        """The deadline has come, unless the wait is over: it is decided when there is a slot to ask FedaPay."""
        if self._is_over(polled, waiter):
            return
        is_late = priority != Priority.deadline
        reading = Reading(
            priority,
            polled.key.label,
            functools.partial(self._decide, polled, waiter),
            self._pool,
            functools.partial(self._is_to_be_decided, polled, waiter),
            float("inf") if is_late else self._clock.monotonic() + GRACE - _LAST_MOMENT,
            functools.partial(self._give_up, polled, waiter),
        )
        self._budget.request(reading)
        self._lists.consider(polled.key)

    def _is_over(self, polled: PolledTransaction, waiter: Optional[Waiter]) -> bool:
        return self._closed or (waiter is not None and (waiter.verdict is not None or waiter not in polled.waiters))

    def _is_to_be_decided(self, polled: PolledTransaction, waiter: Optional[Waiter]) -> bool:
        """Whether FedaPay is to be asked. The wait may have ended while its reading had no slot."""
        if self._is_over(polled, waiter):
            return False
        transaction_id = polled.transaction_id
        try:
            record = self._store.listens.get(self._environment, transaction_id)
        except StoreError:
            # Said, and tried again, where it is decided.
            return True
        if record is not None and record.is_open:
            return True
        self._notifier.notify(transaction_id)
        if waiter is not None:
            self._notifier.unsubscribe(transaction_id, waiter)
        return False

    def _give_up(self, polled: PolledTransaction, waiter: Optional[Waiter]) -> None:
        """No slot within the grace: FedaPay could not be asked. The payment stays watched."""
        transaction_id = polled.transaction_id
        if not self._is_to_be_decided(polled, waiter):
            return
        log.info("status of %s not read within the grace, still watched", transaction_id)
        try:
            if self._store.listens.begin_closing(self._environment, transaction_id, GRACE) is not None:
                self._store.listens.end(
                    self._environment,
                    transaction_id,
                    ListenState.unknown,
                    only_from=(ListenState.closing,),
                    lease=GRACE,
                )
        finally:
            self._waits.settle_overdue(polled, unknown)
            self._notifier.notify(transaction_id)

    def _decide(self, polled: PolledTransaction, waiter: Optional[Waiter]) -> None:
        """Ask FedaPay, under a lease, and end the wait."""
        if self._is_over(polled, waiter):
            return
        transaction_id = polled.transaction_id
        try:
            until = self._clock.monotonic() + GRACE
            record = self._store.listens.begin_closing(self._environment, transaction_id, GRACE)
            if record is not None:
                self._close(record, polled, until)
            else:
                record = self._store.listens.get(self._environment, transaction_id)
                if record is not None and record.is_open and self._is_imminent(record):
                    self.schedule(polled, waiter, 1.0)
                    return
                if record is not None and record.is_open and waiter is not None:
                    self._settle_one(polled, waiter)
        except StoreError as error:
            if waiter is None:
                # The next poll of the payment finds it undecided.
                raise
            log.warning("deadline of %s not decided, again soon: %s", transaction_id, error)
            self.schedule(polled, waiter, _RETRY_AFTER)
            return
        finally:
            self._notifier.notify(transaction_id)
        if waiter is not None:
            # Its result may never be asked for; then no notification is needed for it any more.
            self._notifier.unsubscribe(transaction_id, waiter)

    def _is_imminent(self, record: ListenRecord) -> bool:
        """
        Whether the decision is about to be made.

        Another waiter, here or elsewhere, is asking, and unless its process dies its answer is ours; or the wall
        clock, by which a deadline is stored, goes a little slower than the monotonic one, by which we wait.
        """
        return record.state == ListenState.closing or record.deadline - self._store.clock.now() < 1.0

    def _settle_one(self, polled: PolledTransaction, waiter: Waiter) -> None:
        """Another wait lasts longer: this one ends, and nothing changes for the other."""
        try:
            if not self._statuses.check(polled.transaction_id, polled.key):
                waiter.settle(still_pending(waiter.id_transaction))
        except (ApiError, TransportError) as error:
            if not (isinstance(error, NotFound) and self._waits.settle_unfounded(polled, error)):
                waiter.settle(unknown(waiter.id_transaction, error))

    def _close(self, record: ListenRecord, polled: PolledTransaction, until: float) -> None:
        """
        The decision is ours to make: final, still pending, deleted, or not to be found out.

        Args:
            until: on the monotonic clock, until when no other process may take the decision.

        Raises:
            StoreError: also where this process stood still for longer than that, and was about to delete.
        """
        environment, transaction_id = self._environment, record.transaction_id
        try:
            ended = self._statuses.check(transaction_id, polled.key)
            # FedaPay's answer took its time: a wait that was prolonged meanwhile keeps its link.
            if not ended and record.delete_at_deadline and self._is_closing(transaction_id):
                if self._clock.monotonic() >= until:
                    # Another process decides by now, and may have told its caller that the payment goes on.
                    raise StoreError("Ce processus est resté arrêté trop longtemps ; l'échéance est reprise.")
                ended = not self._delete(transaction_id, polled.key)
            if self._closed:
                # The waiters were told that they were interrupted: the row is for the process that restores it.
                return
            # An ended one has been closed by its event; not by the news of a deletion, which could be our own.
            state = ListenState.resolved if ended else ListenState.timed_out
            if self._store.listens.end(environment, transaction_id, state, only_from=(ListenState.closing,)):
                log.info("listen of %s ended by its deadline", transaction_id)
                self._callbacks.notify()
            elif not ended and self._is_open(transaction_id):
                # Another wait prolonged it while we asked: those whose time is over are told, nothing else changes.
                self._waits.settle_overdue(polled, still_pending)
        except (ApiError, TransportError) as error:
            if self._closed or (isinstance(error, NotFound) and self._waits.settle_unfounded(polled, error)):
                return
            log.warning("status of %s unknown at its deadline, still watched: %s", transaction_id, error)
            still_open = self._is_open(transaction_id)
            try:
                self._store.listens.end(
                    environment, transaction_id, ListenState.unknown, only_from=(ListenState.closing,), lease=GRACE
                )
            finally:
                # After the row, so that a thread that wakes finds it as it is told; and even if the row fails.
                if still_open:
                    self._waits.settle_overdue(polled, functools.partial(unknown, cause=error))

    def _is_closing(self, transaction_id: str) -> bool:
        """Whether no caller has prolonged the wait since its decision began."""
        record = self._store.listens.get(self._environment, transaction_id)
        return record is not None and record.state == ListenState.closing

    def _is_open(self, transaction_id: str) -> bool:
        """Whether the store knows no end, even by now."""
        record = self._store.listens.get(self._environment, transaction_id)
        return record is not None and record.is_open

    def _delete(self, transaction_id: str, key: Secret) -> bool:
        """Delete it at FedaPay, so that the timeout is definite; false if it ended otherwise this instant."""
        try:
            self._transactions.delete(transaction_id, api_key=key)
        except (ApiError, TransportError) as refusal:
            # It changed this instant, or FedaPay failed, or its answer was lost: only another look can tell.
            log.info("delete of %s refused (%s); looking again", transaction_id, refusal)
            transaction = self._statuses.read(transaction_id, key)
            if not has_ended(transaction):
                raise
            return transaction.is_deleted and not transaction.was_paid
        return True
