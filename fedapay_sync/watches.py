"""
Watching payments that somebody waits for: sparse looks at FedaPay, and the decision at the deadline.

What is found goes into the store like any other event; nothing here tells anybody how a payment ended.
"""

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, Dict, Optional, Set, Union

from .api import Api
from .bells import Action, Bells, Pool, Timer
from .callbacks import Callbacks
from .clock import SYSTEM_CLOCK, Clock
from .config import Config
from .enums import FINAL_STATUSES, EventFutureStatus
from .errors import (
    ApiError,
    FedapayError,
    RateLimited,
    ServerFault,
    StoreError,
    TransactionId,
    TransportError,
    UnreadableAnswer,
)
from .inbox import Inbox
from .masking import fingerprint, get_logger
from .models import Outcome, Transaction
from .models.sent import checked_id
from .outcomes import interrupted, still_pending, unknown
from .store import Listen as ListenRecord

if TYPE_CHECKING:
    from .store import Store

log = get_logger(__name__)

#: The answer at the deadline comes at most so much later, in seconds.
GRACE = 30.0
#: A process keeps a listen for so long without renewing it, in seconds.
LEASE = 60.0
#: A deadline that could not be decided is still to be decided for so long, in seconds.
UNDECIDED = 48 * 3600.0


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


class Wait:
    """One who waits for a transaction: his deadline on the monotonic clock, his bell, and what he will be told."""

    def __init__(self, id_transaction: TransactionId, deadline: float) -> None:
        self.id_transaction = id_transaction
        self._deadline = deadline
        self._bell = threading.Event()
        self._timer: Optional[Timer] = None
        self._verdict: Union[Outcome, FedapayError, None] = None


@dataclass
class Watch:
    """What this process does about one transaction."""

    transaction_id: str
    key: str
    started: float
    interval: float
    #: The latest deadline that this process knows, on the monotonic clock, which no setting of a clock moves.
    due: float = 0.0
    waits: Set[Wait] = field(default_factory=set)
    timer: Optional[Timer] = None


class Watches:
    """The watches of one connector in one process."""

    def __init__(
        self,
        config: Config,
        store: "Store",
        api: Api,
        bells: Bells,
        inbox: Inbox,
        callbacks: Callbacks,
        owner: str,
        clock: Clock = SYSTEM_CLOCK,
        *,
        pace: Optional[Pace] = None,
    ) -> None:
        self._config = config
        self._store = store
        self._transactions = api.transactions
        self._bells = bells
        self._inbox = inbox
        self._callbacks = callbacks
        self._owner = owner
        self._clock = clock
        self._pace = pace
        self._lock = threading.Lock()
        self._open: Dict[str, Watch] = {}
        # Not on the timers' own threads: a FedaPay that does not answer must not hold up our leases; nor on the
        # same threads: many sparse checks must not hold up a deadline.
        self._checks = Pool("fedapay-check", 4)
        self._deadlines = Pool("fedapay-deadline", 16)
        self._beating = False
        self._has_watched = False
        # Keys that were given for one call, by fingerprint: in this process they are known until its end.
        self._given_keys: Dict[str, str] = {}
        self._closed = False
        #: Set by whoever serves webhooks in this process: checks may then be rare.
        self.has_receiver = False

    # -- beginning and ending -----------------------------------------------------------------------------------

    def wait(self, wait: Wait, key: str, seconds: float, *, key_was_given: bool) -> None:
        """Watch over a transaction for somebody, and decide for him after that many seconds."""
        transaction_id = str(wait.id_transaction)
        watch = self._watch(transaction_id, key, wait=wait)
        if key_was_given:
            watch.key = key
        if wait._verdict is None:
            self._bells.add(transaction_id, wait._bell)
            wait._timer = self._later(seconds, self._deadlines, lambda: self._at_deadline(watch, wait))

    def resume(self, record: ListenRecord, key: str, after: float) -> None:
        """Watch a restored listen: look at it after a moment, decide at its deadline."""
        watch = self._watch(record.transaction_id, key, first=after)
        # A clock set back must not lengthen the wait.
        remaining = min(max(0.0, record.deadline - self._clock.now()), record.timeout)
        watch.due = max(watch.due, self._clock.monotonic() + remaining)
        self._later(max(remaining, after), self._deadlines, lambda: self._at_deadline(watch, None))

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
            watch.waits.discard(wait)
            if isinstance(verdict, Outcome) and verdict.status != EventFutureStatus.TIMEOUT and not watch.waits:
                self._let_go(watch)

    def close(self) -> None:
        """End the waits of this process as interrupted. Their rows stay open, for whoever restores them."""
        with self._lock:
            self._closed = True
            waits = [wait for watch in self._open.values() for wait in watch.waits]
            self._open.clear()
        for wait in waits:
            if wait._verdict is None:
                wait._verdict = interrupted(wait.id_transaction)
            wait._bell.set()
        self._checks.close()
        self._deadlines.close()
        if not self._has_watched:
            # Nothing is ours; and a connector that was never used makes no file by being closed.
            return
        try:
            self._store.release_listens(self._owner)
        except StoreError as error:
            # They are free anyway once this owner is known to be gone; what else there is to close must be closed.
            log.warning("listens not released: %s", error)

    # -- looking at FedaPay -------------------------------------------------------------------------------------

    def read(self, id_transaction: TransactionId, api_key: Optional[str] = None) -> Transaction:
        """Read the transaction; a final state goes into the store like any other event."""
        transaction_id = checked_id(id_transaction)
        transaction = self._transactions.retrieve(transaction_id, api_key=self.key_for(transaction_id, api_key))
        if str(transaction.id) != transaction_id:
            raise UnreadableAnswer(
                f"FedaPay a répondu par la transaction {transaction.id} au lieu de {transaction_id}. Donner "
                "l'identifiant tel que pay l'a rendu ; si c'est le cas, prévenir FedaPay.",
                id_transaction=id_transaction,
            )
        self.take(transaction)
        return transaction

    def take(self, transaction: Transaction) -> None:
        """What was read at FedaPay goes into the store, if it is an end."""
        if has_ended(transaction):
            self._inbox.take_status(transaction.to_dict())

    def check(self, transaction_id: str, key: str) -> bool:
        """Look at FedaPay; true if the payment has ended, and then the store knows it."""
        return has_ended(self.read(transaction_id, key))

    def key_for(self, id_transaction: TransactionId, api_key: Optional[str]) -> str:
        """The key that the payment was made with: given, remembered by fingerprint, or the connector's own."""
        if api_key is not None:
            return self.remember_key(self._config.checked_key(api_key))
        payment = self._store.payment_of(self._config.environment, checked_id(id_transaction))
        return (payment and self._config.key_of(payment.account)) or self._config.api_key

    def remember_key(self, key: str) -> str:
        """Payments made with that key can be looked at by this process."""
        self._given_keys[fingerprint(key)] = key
        return key

    def keys(self) -> Dict[str, str]:
        """The keys that this process has, by fingerprint."""
        config = self._config
        return {**self._given_keys, **{fingerprint(key): key for key in (config.api_key, *config.api_keys)}}

    def _watch(
        self, transaction_id: str, key: str, *, first: Optional[float] = None, wait: Optional[Wait] = None
    ) -> Watch:
        """This process's watch over the transaction, begun if there is none; the wait is one of its waits."""
        pace = self._current_pace()
        with self._lock:
            watch = self._open.get(transaction_id)
            if watch is None:
                watch = Watch(transaction_id, key, self._clock.monotonic(), pace.first)
            if wait is not None:
                watch.waits.add(wait)
                watch.due = max(watch.due, wait._deadline)
                if watch.interval > pace.first and watch.timer is not None:
                    # It had grown slow while nobody waited, or stood far back in the line of restored ones.
                    watch.timer.cancel()
                    watch.timer, watch.interval = None, pace.first
            if self._closed:
                if wait is not None:
                    wait._verdict = interrupted(wait.id_transaction)
                return watch
            self._has_watched = True
            if self._open.setdefault(transaction_id, watch) is watch and watch.timer is None:
                watch.timer = self._later(
                    pace.first if first is None else first, self._checks, lambda: self._sparse_check(watch)
                )
            if not self._beating:
                self._beating = True
                self._bells.later(LEASE / 3, self._beat)
        return watch

    def _sparse_check(self, watch: Watch) -> None:
        """Look once, and again later if the payment is still open."""
        if self._open.get(watch.transaction_id) is not watch:
            return
        watch.interval = self._current_pace().next(watch.interval)
        # Nothing that fails in here may end the watch.
        try:
            record = self._store.listen(self._config.environment, watch.transaction_id)
            now = self._clock.now()
            # Once nobody waits any more, the payment is followed up like any other (followup.py).
            if record is None or not record.is_open or _is_long_past(record, now):
                self._drop(watch)
                return
            if record.state == "unknown":
                watch.interval = max(watch.interval, (self._clock.monotonic() - watch.started) / 10)
            if record.is_open and record.deadline <= now and watch.due <= self._clock.monotonic():
                # The decision at the deadline is still owed: it failed, or whose it was died.
                self._at_deadline(watch, None)
            elif self.check(watch.transaction_id, watch.key):
                self._drop(watch)
                return
        except FedapayError as error:
            log.warning("status check of %s failed, again later: %s", watch.transaction_id, error)
        watch.timer = self._later(watch.interval, self._checks, lambda: self._sparse_check(watch))

    def _later(self, seconds: float, pool: Pool, action: Action) -> Timer:
        """What asks FedaPay, in that many seconds, on threads that may be held up."""
        return self._bells.later(seconds, lambda: pool.submit(action))

    def _current_pace(self) -> Pace:
        return self._pace or (BESIDE_WEBHOOKS if self.has_receiver else WITHOUT_WEBHOOKS)

    def _beat(self) -> None:
        """Say that this process still watches what it watches."""
        with self._lock:
            self._beating = bool(self._open) and not self._closed
        if self._beating:
            self._bells.later(LEASE / 3, self._beat)
            self._store.keep_listens(self._owner, LEASE)

    # -- the deadline -------------------------------------------------------------------------------------------

    def _at_deadline(self, watch: Watch, wait: Optional[Wait]) -> None:
        """FedaPay is asked before anything is called a timeout."""
        if self._closed or (wait is not None and (wait._verdict is not None or wait not in watch.waits)):
            return
        environment, transaction_id = self._config.environment, watch.transaction_id
        try:
            record = self._store.begin_closing(environment, transaction_id, GRACE)
            if record is not None:
                self._decide(record, watch)
            else:
                record = self._store.listen(environment, transaction_id)
                if record is not None and record.is_open and self._is_imminent(record):
                    self._later(1.0, self._deadlines, lambda: self._at_deadline(watch, wait))
                    return
                if record is not None and record.is_open and wait is not None:
                    self._end_of_one(watch, wait)
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
            if not self.check(watch.transaction_id, watch.key):
                wait._verdict = still_pending(wait.id_transaction)
        except (ApiError, TransportError) as error:
            wait._verdict = unknown(wait.id_transaction, error)

    def _decide(self, record: ListenRecord, watch: Watch) -> None:
        """The one who closes: final, still pending, deleted, or not to be found out."""
        environment, transaction_id = self._config.environment, record.transaction_id
        try:
            ended = self.check(transaction_id, watch.key)
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
            self._store.end_listen(environment, transaction_id, "unknown", only_from=("closing",))

    def _tell_the_late(self, watch: Watch, verdict: Callable[[TransactionId], Union[Outcome, FedapayError]]) -> None:
        """Give that verdict to the waits whose deadline has passed, unless the store knows an end by now."""
        record = self._store.listen(self._config.environment, watch.transaction_id)
        if record is None or not record.is_open:
            return
        with self._lock:
            waits = list(watch.waits)
        for wait in waits:
            if wait._verdict is None and wait._deadline <= self._clock.monotonic() + 0.05:
                wait._verdict = verdict(wait.id_transaction)

    def _delete(self, transaction_id: str, key: str) -> bool:
        """Delete it at FedaPay, so that the timeout is definite; false if it ended otherwise this instant."""
        try:
            self._transactions.delete(transaction_id, api_key=key)
        except (ApiError, TransportError) as refusal:
            # It changed this instant, or FedaPay failed, or its answer was lost: only another look can tell.
            log.info("delete of %s refused (%s); looking again", transaction_id, refusal)
            transaction = self.read(transaction_id, key)
            if not has_ended(transaction):
                raise
            return transaction.is_deleted and not transaction.was_paid
        return True

    def _drop(self, watch: Watch) -> None:
        with self._lock:
            # Somebody may have joined this instant; whoever knows his end already leaves by himself.
            if all(wait._verdict is not None for wait in watch.waits) or not watch.waits:
                self._let_go(watch)

    def _let_go(self, watch: Watch) -> None:
        if self._open.get(watch.transaction_id) is watch:
            del self._open[watch.transaction_id]
        if watch.timer is not None:
            watch.timer.cancel()


def has_ended(transaction: Transaction) -> bool:
    """Whether the transaction is in a state that ends waits."""
    # What FedaPay sent instead of a text was kept as it came, and may have no hash.
    return (isinstance(transaction.status, str) and transaction.status in FINAL_STATUSES) or transaction.is_deleted


def may_pass(error: FedapayError) -> bool:
    """Whether the same question may be answered later: FedaPay was not reached, is busy or fails."""
    return isinstance(error, (TransportError, ServerFault, RateLimited, StoreError))


def _is_long_past(record: ListenRecord, now: float) -> bool:
    return record.state == "unknown" and now - record.deadline > UNDECIDED
