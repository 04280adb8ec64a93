"""
The decision at the deadline of a wait: FedaPay is asked before anything is called a timeout.
"""

import functools
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Tuple, Union

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.common.config import Config
from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.notifier import Bell, Bells, Timer
from fedapay_sync.concurrency.thread_pool import Pool
from fedapay_sync.errors import ApiError, FedapayError, InvalidArgument, StoreError, TransactionId, TransportError
from fedapay_sync.models import Outcome
from fedapay_sync.resources.api import Api
from fedapay_sync.store import Listen as ListenRecord
from fedapay_sync.workflow.callbacks.worker import Callbacks
from fedapay_sync.workflow.reconciliation.status_reader import Statuses, has_ended
from fedapay_sync.workflow.waits.outcomes import still_pending, unknown

if TYPE_CHECKING:
    from fedapay_sync.store import Store

log = get_logger(__name__)

#: The answer at the deadline comes at most so much later, in seconds.
GRACE = 30.0
DEFAULT_TIMEOUT = 600.0
#: Where the database fails at a deadline, it is asked again after so many seconds.
_AGAIN = 5.0

Verdict = Union[Outcome, FedapayError, None]


class Wait:
    """
    One who waits for a transaction: his deadline on the monotonic clock, his bell, what he will be told, and whom
    besides.
    """

    __slots__ = ("__weakref__", "_again", "_bell", "_callbacks", "_deadline", "_timer", "_verdict", "id_transaction")

    def __init__(
        self, id_transaction: TransactionId, deadline: float, again: "Callable[[TransactionId], Wait]"
    ) -> None:
        self.id_transaction = id_transaction
        self._deadline = deadline
        #: Begins another wait like this one.
        self._again = again
        self._bell = Bell()
        self._timer: Optional[Timer] = None
        self._verdict: Verdict = None
        self._callbacks: List[Callable[[Outcome], Any]] = []


class Watch:
    """What this process does about one transaction."""

    __slots__ = ("due", "interval", "is_looked_at", "key", "started", "timer", "transaction_id", "waits")

    def __init__(self, transaction_id: str, key: str, started: float, interval: float) -> None:
        self.transaction_id = transaction_id
        self.key = key
        self.started = started
        self.interval = interval
        #: The latest deadline that this process knows, on the monotonic clock, which no setting of a clock moves.
        self.due = 0.0
        #: Never changed in place: it is read while others join and leave.
        self.waits: Tuple[Wait, ...] = ()
        #: For the next look; where there is none yet, one is being made.
        self.timer: Optional[Timer] = None
        self.is_looked_at = False


class Deadlines:
    """The deadlines of one connector in one process."""

    def __init__(
        self,
        config: Config,
        store: "Store",
        api: Api,
        bells: Bells,
        statuses: Statuses,
        callbacks: Callbacks,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._config = config
        self._store = store
        self._transactions = api.transactions
        self._bells = bells
        self._statuses = statuses
        self._callbacks = callbacks
        self._clock = clock
        # Not on the threads of sparse checks: many of those must not hold up a deadline.
        self._pool = Pool("fedapay-deadline", 16)
        self._closed = False

    def set(self, watch: Watch, wait: Optional[Wait], seconds: float) -> Timer:
        """Decide in that many seconds: for that one, or for whoever waited in a process that is gone."""
        return self._bells.later(seconds, functools.partial(self.decide, watch, wait), self._pool)

    def close(self) -> None:
        """Decide nothing any more: what is still open is for whoever restores it."""
        self._closed = True
        self._pool.close()

    def decide(self, watch: Watch, wait: Optional[Wait]) -> None:
        """The deadline has come, unless the wait is over."""
        if self._closed or (wait is not None and (wait._verdict is not None or wait not in watch.waits)):
            return
        environment, transaction_id = self._config.environment, watch.transaction_id
        try:
            record = self._store.begin_closing(environment, transaction_id, GRACE)
            if record is not None:
                self._close_one(record, watch)
            else:
                record = self._store.listen(environment, transaction_id)
                if record is not None and record.is_open and self._is_imminent(record):
                    self.set(watch, wait, 1.0)
                    return
                if record is not None and record.is_open and wait is not None:
                    self._end_of_one(watch, wait)
        except StoreError as error:
            if wait is None:
                # The next look at the payment finds it undecided.
                raise
            log.warning("deadline of %s not decided, again soon: %s", transaction_id, error)
            self.set(watch, wait, _AGAIN)
            return
        finally:
            self._bells.ring(transaction_id)
        if wait is not None:
            # It may never be asked for its result; then nobody needs to be woken for it any more.
            self._bells.remove(transaction_id, wait._bell)

    def _is_imminent(self, record: ListenRecord) -> bool:
        """
        Whether the decision is about to be made.

        Another waiter, here or elsewhere, is asking, and unless it dies its answer is ours; or the wall clock, by
        which a deadline is stored, goes a little slower than the monotonic one, by which we wait.
        """
        return record.state == "closing" or record.deadline - self._clock.now() < 1.0

    def _end_of_one(self, watch: Watch, wait: Wait) -> None:
        """Somebody else waits longer: this wait ends, and nothing changes for the other."""
        try:
            if not self._statuses.check(watch.transaction_id, watch.key):
                wait._verdict = still_pending(wait.id_transaction)
        except (ApiError, TransportError) as error:
            wait._verdict = unknown(wait.id_transaction, error)

    def _close_one(self, record: ListenRecord, watch: Watch) -> None:
        """The one who closes: final, still pending, deleted, or not to be found out."""
        environment, transaction_id = self._config.environment, record.transaction_id
        try:
            ended = self._statuses.check(transaction_id, watch.key)
            if not ended and record.delete_at_deadline:
                ended = not self._delete(transaction_id, watch.key)
            if self._closed:
                # The waits were told that they were interrupted: the row is for whoever restores it.
                return
            # An ended one has been closed by its event; not by the news of a deletion, which could be our own.
            state = "resolved" if ended else "timed_out"
            if self._store.end_listen(environment, transaction_id, state, only_from=("closing",)):
                log.info("listen of %s ended by its deadline", transaction_id)
                self._callbacks.notify()
            elif not ended:
                # Somebody prolonged it while we asked: those whose time is over hear of it, nothing else changes.
                self._tell_the_late(watch, still_pending)
        except (ApiError, TransportError) as error:
            if self._closed:
                return
            log.warning("status of %s unknown at its deadline, still watched: %s", transaction_id, error)
            cause = error
            self._tell_the_late(watch, lambda id_transaction: unknown(id_transaction, cause))
            self._store.end_listen(environment, transaction_id, "unknown", only_from=("closing",), lease=GRACE)

    def _tell_the_late(self, watch: Watch, verdict: Callable[[TransactionId], Union[Outcome, FedapayError]]) -> None:
        """Give that verdict to the waits whose deadline has passed, unless the store knows an end by now."""
        record = self._store.listen(self._config.environment, watch.transaction_id)
        if record is None or not record.is_open:
            return
        for wait in watch.waits:
            if wait._verdict is None and wait._deadline <= self._clock.monotonic() + 0.05:
                wait._verdict = verdict(wait.id_transaction)

    def _delete(self, transaction_id: str, key: str) -> bool:
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


def checked_timeout(timeout: float) -> float:
    """
    Seconds to wait.

    Raises:
        InvalidArgument: no number of seconds, negative, not finite, or more than a month.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 <= timeout <= 31 * 86400:
        raise InvalidArgument(
            f"timeout={timeout!r} : un nombre de secondes de 0 (regarder une fois) à {31 * 86400} est attendu ; "
            "600 par défaut.",
            field="timeout",
        )
    return float(timeout)
