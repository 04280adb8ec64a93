"""
The waits of one process, by transaction. A wait is open until it is settled, once, with a verdict that then stands.

A settled waiter has left: it is subscribed to nothing, no timer runs for it, and its transaction is polled no longer
if no other waiter needs that.
"""

import contextlib
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple, Union

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.secret import Secret
from fedapay_sync.concurrency.notifier import Notifier, TimerHandle
from fedapay_sync.concurrency.per_process_lock import PerProcessLock
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.enums import EventFutureStatus
from fedapay_sync.errors import AmountMismatch, FedapayError, NotFound, StoreError, TransactionId
from fedapay_sync.models import Outcome
from fedapay_sync.store.states import ListenState
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.waits.notified_waiters import NotifiedWaiters
from fedapay_sync.workflow.waits.outcomes import OutcomeReader, interrupted, not_found

log = get_logger(__name__)

OutcomeCallback = Callable[[Outcome], Any]
#: How a wait ended: an outcome to return, or an error to raise.
End = Union[Outcome, FedapayError]
#: The same, or None while it is open.
Verdict = Optional[End]


class Waiter(WakeEvent):
    """
    One wait for the end of a transaction.

    It is set whenever there may be news. The thread that blocks on it then reads the store; its callbacks are handed
    over to a thread that does the same.

    Attributes:
        id_transaction: as the caller gave it.
        deadline: on the monotonic clock.
        verdict: None until it is settled.
        timer: for the decision at its deadline.
    """

    __slots__ = (
        "__weakref__", "_callbacks", "_hand_over", "_restart", "_waits", "deadline", "id_transaction", "timer",
        "verdict",
    )  # fmt: skip

    def __init__(
        self,
        waits: "WaiterRegistry",
        id_transaction: TransactionId,
        deadline: float,
        restart: "Callable[[TransactionId], Waiter]",
    ) -> None:
        super().__init__()
        self._waits = waits
        self.id_transaction = id_transaction
        self.deadline = deadline
        self._restart = restart
        self.timer: Optional[TimerHandle] = None
        self.verdict: Verdict = None
        # Made for the first callback: most waits have none.
        self._callbacks: Optional[List[OutcomeCallback]] = None
        self._hand_over: Optional[Callable[[Waiter], None]] = None

    def set(self) -> None:
        """There may be news: wake the threads that block on it, and hand its callbacks over."""
        super().set()
        if self.verdict is None:
            self._waits.notified.add(self)
        if self._callbacks and self._hand_over is not None:
            self._hand_over(self)

    def check(self) -> Verdict:
        """Settle it if the store knows the end of its transaction by now; its verdict."""
        return self._waits.check(self)

    def settle(self, verdict: End) -> None:
        """Give it its verdict, unless it has one. It leaves, its threads wake, its callbacks are called."""
        self._waits.settle(self, verdict)

    def leave(self) -> None:
        """Its caller waits no longer, whether it is settled or not."""
        self._waits.leave(self)

    def add_callback(self, callback: OutcomeCallback, hand_over: "Callable[[Waiter], None]") -> None:
        """Hand the waiter over whenever there may be news, until the callback is taken; now if there may be some."""
        with self._waits.lock.mine():
            self._hand_over = hand_over
            self._callbacks = [*(self._callbacks or ()), callback]
        # ``set`` sets the flag first and then looks at the callbacks; here it is the other way round: none is missed.
        if self.is_set():
            hand_over(self)

    @property
    def has_callbacks(self) -> bool:
        """Whether a function is still to be called."""
        return bool(self._callbacks)

    def take_callback(self) -> Optional[OutcomeCallback]:
        """A function to call, for the caller alone; None if there is none left."""
        with self._waits.lock.mine():
            # Taken out before it is called: several notifications may come for one end.
            return self._callbacks.pop(0) if self._callbacks else None

    def restart(self) -> "Waiter":
        """Begin another wait like this one."""
        return self._restart(self.id_transaction)


class PolledTransaction:
    """
    A transaction that this process polls, and the waiters that it does so for; none where it was restored.

    Attributes:
        due: the latest deadline that this process knows, on the monotonic clock, which no setting of a clock moves.
        waiters: replaced, never changed in place: it is read while others join and leave.
        timer: for the next poll; None while there is none, or one is being made.
        unfounded: FedaPay does not know it, and neither does this database.
    """

    __slots__ = (
        "due", "interval", "is_being_polled", "key", "started", "timer", "transaction_id", "unfounded", "waiters",
        "was_polled",
    )  # fmt: skip

    def __init__(self, transaction_id: str, key: Secret, started: float, interval: float) -> None:
        self.transaction_id = transaction_id
        self.key = key
        self.started = started
        self.interval = interval
        self.due = 0.0
        self.waiters: Tuple[Waiter, ...] = ()
        self.timer: Optional[TimerHandle] = None
        self.is_being_polled = False
        self.was_polled = False
        self.unfounded: Optional[NotFound] = None


class WaiterRegistry:
    """The one owner of the waits' state: who waits for which transaction, and how each wait ended."""

    def __init__(self, context: Context, notifier: Notifier, outcomes: OutcomeReader) -> None:
        self._environment = context.config.environment
        self._store = context.store
        self._clock = context.clock
        self._notifier = notifier
        self._outcomes = outcomes
        self.lock = PerProcessLock()
        self.notified = NotifiedWaiters(lambda settle: notifier.call_later(0.0, settle))
        self._polled: Dict[str, PolledTransaction] = {}
        self._closed = False
        self.has_begun = False

    def join(
        self, transaction_id: str, key: Secret, interval: float, waiter: Optional[Waiter] = None
    ) -> PolledTransaction:
        """
        The transaction as this process polls it, with that waiter among its waiters.

        After ``close`` the waiter is settled as interrupted, and what is returned is polled by no one.

        Args:
            interval: seconds between polls, if it is polled from now on.
        """
        with self.lock.mine():
            polled = self._polled.get(transaction_id)
            if polled is None:
                polled = PolledTransaction(transaction_id, key, self._clock.monotonic(), interval)
            if waiter is not None:
                polled.waiters = (*polled.waiters, waiter)
                polled.due = max(polled.due, waiter.deadline)
            if not self._closed:
                self.has_begun = True
                self._polled[transaction_id] = polled
                if polled.unfounded is None:
                    return polled
        if waiter is not None:
            error = polled.unfounded
            waiter.settle(
                interrupted(waiter.id_transaction) if error is None else not_found(waiter.id_transaction, error)
            )
        return polled

    def check(self, waiter: Waiter) -> Verdict:
        """Settle the waiter if the store knows the end of its transaction by now; its verdict."""
        if waiter.verdict is None:
            found = self._look(waiter)
            if found is not None:
                self.settle(waiter, found)
        elif isinstance(waiter.verdict, Outcome) and waiter.verdict.status == EventFutureStatus.CANCELLED_INTERNALLY:
            # Closing reads no store, as it must not wait. Who is told of it looks whether the end had come before.
            with contextlib.suppress(StoreError):
                waiter.verdict = self._look(waiter) or waiter.verdict
        return waiter.verdict

    def _look(self, waiter: Waiter) -> Verdict:
        try:
            return self._outcomes.of(waiter.id_transaction)
        except AmountMismatch as error:
            return error

    def settle(self, waiter: Waiter, verdict: End) -> None:
        """Give the waiter its verdict, unless it has one."""
        if self._decide(waiter, verdict):
            self._part_with(waiter)

    def settle_overdue(self, polled: PolledTransaction, verdict: Callable[[TransactionId], End]) -> None:
        """Settle those waiters whose deadline has passed."""
        for waiter in polled.waiters:
            if waiter.deadline <= self._clock.monotonic() + 0.05:
                waiter.settle(verdict(waiter.id_transaction))

    def settle_unfounded(self, polled: PolledTransaction, error: NotFound) -> bool:
        """
        FedaPay does not know the transaction: settle its waiters with the error and end its row, unless there is more
        of it in this database than a wait. False if there is.
        """
        if self._store.listens.is_founded(self._environment, polled.transaction_id):
            return False
        # The verdict before the row, in which a thread that wakes would find that it was cancelled; the row before the
        # wake-up, after which the process may end.
        with self.lock.mine():
            polled.unfounded = error
        waiters = [each for each in polled.waiters if self._decide(each, not_found(each.id_transaction, error))]
        try:
            self._store.listens.end(self._environment, polled.transaction_id, ListenState.cancelled)
        finally:
            for waiter in waiters:
                self._part_with(waiter)
        log.warning("neither FedaPay nor this database knows transaction %s", polled.transaction_id)
        return True

    def leave(self, waiter: Waiter) -> None:
        """End what is done for the waiter. Its transaction is polled on if it may still be paid."""
        transaction_id = str(waiter.id_transaction)
        self._notifier.unsubscribe(transaction_id, waiter)
        if waiter.timer is not None:
            waiter.timer.cancel()
        has_ended = isinstance(waiter.verdict, Outcome) and waiter.verdict.status != EventFutureStatus.TIMEOUT
        with self.lock.mine():
            polled = self._polled.get(transaction_id)
            if polled is None:
                return
            polled.waiters = tuple(each for each in polled.waiters if each is not waiter)
            if has_ended and not polled.waiters:
                self._release(polled)

    def release(self, polled: PolledTransaction, known: Sequence[Waiter]) -> bool:
        """Poll it no longer; false if a waiter has joined that is not one of these, nor settled."""
        with self.lock.mine():
            if any(each not in known and each.verdict is None for each in polled.waiters):
                return False
            self._release(polled)
        return True

    def is_polled(self, polled: PolledTransaction) -> bool:
        """Whether it is still polled; another may have taken its place."""
        return self._polled.get(polled.transaction_id) is polled

    def is_empty(self) -> bool:
        """Whether this process polls nothing."""
        return not self._polled

    def waited_for(self) -> Set[str]:
        """The transactions of which a waiter here has no verdict yet."""
        with self.lock.mine():
            return {key for key, polled in self._polled.items() if any(each.verdict is None for each in polled.waiters)}

    def close(self) -> None:
        """Settle every waiter as interrupted, and begin no other."""
        with self.lock.mine():
            self._closed = True
            waiters = [waiter for polled in self._polled.values() for waiter in polled.waiters]
            self._polled.clear()
        for waiter in waiters:
            waiter.settle(interrupted(waiter.id_transaction))

    def _decide(self, waiter: Waiter, verdict: End) -> bool:
        """True for the one caller whose verdict stands."""
        with self.lock.mine():
            if waiter.verdict is not None:
                return False
            waiter.verdict = verdict
        return True

    def _part_with(self, waiter: Waiter) -> None:
        """It has its verdict: it leaves, and its threads wake."""
        self.leave(waiter)
        waiter.set()

    def _release(self, polled: PolledTransaction) -> None:
        if self.is_polled(polled):
            del self._polled[polled.transaction_id]
        if polled.timer is not None:
            polled.timer.cancel()
