"""
Waiting for the end of payments, and deciding at the deadline.

A wait is a row in the store, a bell and a few timers; only those who call ``result`` block a thread. What ends a
wait is always read from the store, whoever put it there: a webhook in this process or another, a status check, a
cancel.
"""

import contextlib
import random
import threading
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Dict, List, Optional, Set, Union

from .api import Api
from .bells import Action, Bells, Pool, Timer
from .clock import SYSTEM_CLOCK, Clock
from .config import Config, timeout_policy
from .enums import FINAL_STATUSES, PAID_STATUSES, EventFutureStatus, OnTimeout
from .errors import (
    AmountMismatch,
    ApiError,
    FedapayError,
    InvalidArgument,
    StatusUnknown,
    StoreError,
    TransactionId,
    TransportError,
    UnreadableAnswer,
)
from .inbox import Inbox, readable
from .masking import fingerprint, get_logger
from .models import Outcome, Transaction, WebhookHistory
from .resources.base import checked_id
from .store import Listen as ListenRecord
from .store import StoredEvent

if TYPE_CHECKING:
    from .store import Store

log = get_logger(__name__)

#: The answer at the deadline comes at most so much later, in seconds.
GRACE = 30.0
#: A process keeps a listen for so long without renewing it, in seconds.
LEASE = 60.0
#: After a timeout the payment is still looked at, more and more rarely, for so long, in seconds.
AFTERWARDS = 48 * 3600.0

DEFAULT_TIMEOUT = 600.0


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


@dataclass
class _Watch:
    """What this process does about one transaction."""

    transaction_id: str
    key: str
    started: float
    interval: float
    handles: Set["Listen"] = field(default_factory=set)
    timer: Optional[Timer] = None


class Listen:
    """
    Une attente en cours, qui ne bloque personne tant qu'on ne demande pas son résultat.

    Attributes:
        id_transaction: transaction attendue.
    """

    def __init__(self, listens: "Listens", id_transaction: TransactionId, deadline: float) -> None:
        self.id_transaction = id_transaction
        self._listens = listens
        self._deadline = deadline
        self._bell = threading.Event()
        self._timer: Optional[Timer] = None
        self._verdict: Union[Outcome, FedapayError, None] = None

    def result(self, timeout: Optional[float] = None) -> Outcome:
        """
        Attend la fin et la rend.

        Args:
            timeout: secondes à attendre ici ; par défaut, jusqu'à l'échéance de l'attente.

        Raises:
            TimeoutError: rien après ``timeout`` secondes ; l'attente continue, on peut rappeler.
            StatusUnknown: à l'échéance, FedaPay n'a pas répondu.
            AmountMismatch: payé, mais pas ce qui était demandé.
        """
        return self._listens.result(self, timeout)

    def done(self) -> bool:
        """Vrai si le résultat est connu."""
        return self._listens.look(self) is not None

    def cancel(self) -> bool:
        """Met fin à l'attente, pour tous ceux qui attendent cette transaction ; faux si elle est déjà finie."""
        return self._listens.cancel(self.id_transaction)


class Listens:
    """The waits of one connector."""

    def __init__(
        self,
        config: Config,
        store: "Store",
        api: Api,
        bells: Bells,
        inbox: Inbox,
        owner: str,
        clock: Clock = SYSTEM_CLOCK,
        *,
        grace: float = GRACE,
        pace: Optional[Pace] = None,
    ) -> None:
        self._config = config
        self._store = store
        self._transactions = api.transactions
        self._bells = bells
        self._inbox = inbox
        self._owner = owner
        self._clock = clock
        self._grace = grace
        self._pace = pace
        self._lock = threading.Lock()
        self._watches: Dict[str, _Watch] = {}
        # Not on the timers' own threads: a FedaPay that does not answer must not hold up our leases; nor on the
        # same threads: many sparse checks must not hold up a deadline.
        self._checks = Pool("fedapay-check", 4)
        self._deadlines = Pool("fedapay-deadline", 4)
        self._beating = False
        self._has_watched = False
        self._closed = False
        #: Set by whoever serves webhooks in this process: checks may then be rare.
        self.has_receiver = False

    # -- waiting ------------------------------------------------------------------------------------------------

    def listen(
        self,
        id_transaction: TransactionId,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        on_timeout: Union[OnTimeout, str, None] = None,
        api_key: Optional[str] = None,
    ) -> Listen:
        """Begin to wait, without blocking."""
        transaction_id, seconds = checked_id(id_transaction), checked_timeout(timeout)
        policy = self._config.on_timeout if on_timeout is None else timeout_policy(on_timeout)
        key = self.key_for(transaction_id, api_key)
        record = self._store.open_listen(
            self._config.environment,
            transaction_id,
            account=fingerprint(key),
            timeout=seconds,
            delete_at_deadline=policy == OnTimeout.DELETE,
            owner=self._owner,
            lease=LEASE,
        )
        handle = Listen(self, id_transaction, self._clock.monotonic() + seconds)
        if record.is_open or self.look(handle) is None:
            watch = self._watch(transaction_id, key, handle=handle)
            if api_key is not None:
                watch.key = key
            if handle._verdict is None:
                self._bells.add(transaction_id, handle._bell)
                handle._timer = self._later(seconds, self._deadlines, lambda: self._at_deadline(watch, handle))
        return handle

    def finalise(
        self,
        id_transaction: TransactionId,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        on_timeout: Union[OnTimeout, str, None] = None,
        api_key: Optional[str] = None,
    ) -> Outcome:
        """Wait for the end, at most ``timeout`` and the grace."""
        if checked_timeout(timeout) == 0:
            return self._look_once(id_transaction, self.key_for(id_transaction, api_key))
        handle = self.listen(id_transaction, timeout, on_timeout=on_timeout, api_key=api_key)
        try:
            return self.result(handle, None)
        finally:
            self._forget(handle)

    def result(self, handle: Listen, timeout: Optional[float]) -> Outcome:
        """Block until the handle has an end, at most until its deadline and the grace."""
        end = handle._deadline + self._grace
        if timeout is not None:
            end = min(end, self._clock.monotonic() + checked_timeout(timeout))
        while True:
            # Clear, then look. The other way round has a gap: a webhook that lands between the look and the clear
            # rings a bell we then silence, and we sleep on with the answer already on disk.
            handle._bell.clear()
            remaining = end - self._clock.monotonic()
            verdict = self.look(handle)
            if isinstance(verdict, FedapayError):
                raise verdict
            if verdict is not None:
                return verdict
            if remaining <= 0:
                break
            # Sliced: before 3.14 nothing interrupts a longer wait on Windows, and tests hold the clock.
            while (remaining := end - self._clock.monotonic()) > 0 and not handle._bell.wait(min(remaining, 0.2)):
                pass
        if timeout is not None and self._clock.monotonic() < handle._deadline + self._grace:
            raise TimeoutError(f"Pas encore de résultat pour la transaction {handle.id_transaction}.")
        self._forget(handle)
        raise _unknown(handle.id_transaction)

    def look(self, handle: Listen) -> Union[Outcome, FedapayError, None]:
        """The handle's own verdict, or what the store says of its transaction now, if it has ended."""
        if handle._verdict is None:
            try:
                found: Union[Outcome, FedapayError, None] = self._outcome(
                    str(handle.id_transaction), handle.id_transaction
                )
            except AmountMismatch as error:
                found = error
            # Never back to None: the deadline may have spoken meanwhile.
            if found is not None:
                handle._verdict = found
        if handle._verdict is not None:
            self._forget(handle)
        return handle._verdict

    def cancel(self, id_transaction: TransactionId) -> bool:
        """End the wait for everybody, in every process. The transaction itself stays payable."""
        transaction_id = checked_id(id_transaction)
        ended = self._store.end_listen(self._config.environment, transaction_id, "cancelled")
        self._bells.ring(transaction_id)
        return ended

    def cancel_all(self) -> int:
        """End every open wait of this database and environment; how many there were."""
        return sum(self.cancel(each.transaction_id) for each in self._store.open_listens(self._config.environment))

    def close(self) -> None:
        """End the waits of this process as interrupted. Their rows stay open, for whoever restores them."""
        with self._lock:
            self._closed = True
            handles = [handle for watch in self._watches.values() for handle in watch.handles]
            self._watches.clear()
        for handle in handles:
            if handle._verdict is None:
                handle._verdict = _interrupted(handle.id_transaction)
            handle._bell.set()
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

    def resume(self, record: ListenRecord, key: str, after: float) -> None:
        """Watch a restored listen: look at it after a moment, decide at its deadline."""
        watch = self._watch(record.transaction_id, key, first=after)
        # A clock set back must not lengthen the wait.
        remaining = min(max(0.0, record.deadline - self._clock.now()), record.timeout)
        self._later(max(remaining, after), self._deadlines, lambda: self._at_deadline(watch, None))

    # -- reading the end ----------------------------------------------------------------------------------------

    def outcome(self, id_transaction: TransactionId) -> Optional[Outcome]:
        """
        How the wait for that transaction ended, or ``None`` if it has not.

        Raises:
            AmountMismatch: paid, but not what was asked for.
        """
        return self._outcome(str(id_transaction), id_transaction)

    def _outcome(self, transaction_id: str, shown: TransactionId) -> Optional[Outcome]:
        # The row before the events: an event that settles it in between is then seen, and a row that is resolved
        # always has its event. The other way round a payment could look like a cancelled wait.
        record = self._store.listen(self._config.environment, transaction_id)
        events = self._store.final_events(self._config.environment, transaction_id)
        if record is not None and record.delete_at_deadline and record.state in ("closing", "timed_out"):
            # We delete it ourselves at the deadline: the news of that is part of the timeout, not a cancellation.
            events = [event for event in events if event.name != "transaction.deleted"]
        if events:
            return self._of_events(events, shown)
        if record is None or record.is_open:
            return None
        if record.state == "timed_out":
            return _still_pending(shown)
        return Outcome(EventFutureStatus.CANCELLED, id_transaction=shown, reason="attente annulée")

    def _of_events(self, events: List[StoredEvent], shown: TransactionId) -> Outcome:
        """Paid if it was ever paid, else its newest final event."""
        paid = [event for event in events if event.status in PAID_STATUSES]
        newest = (paid or events)[-1]
        histories = [event_of(event) for event in events]
        entity = histories[events.index(newest)].entity
        transaction = entity if isinstance(entity, Transaction) else None
        if paid and newest.suspect:
            raise self._mismatch(shown, transaction)
        if not paid and newest.name == "transaction.deleted":
            status, reason = EventFutureStatus.CANCELLED, "transaction annulée chez FedaPay"
        else:
            status, reason = EventFutureStatus.RESOLVED, newest.status or newest.name
        return Outcome(status, histories, paid=bool(paid), transaction=transaction, id_transaction=shown, reason=reason)

    def _mismatch(self, shown: TransactionId, transaction: Optional[Transaction]) -> AmountMismatch:
        asked = self._store.payment_of(self._config.environment, shown)
        expected = f"{asked.amount} {asked.currency}" if asked else "inconnu"
        received = f"{transaction.amount} (devise n° {transaction.currency_id})" if transaction else "inconnu"
        return AmountMismatch(
            f"La transaction {shown} est payée, mais pas ce qui était demandé : demandé {expected}, reçu {received}. "
            "Ne rien livrer avant d'avoir comparé avec la commande.",
            id_transaction=shown,
            expected=expected,
            received=received,
        )

    def _look_once(self, id_transaction: TransactionId, key: str) -> Outcome:
        transaction_id = checked_id(id_transaction)
        outcome = self._outcome(transaction_id, id_transaction)
        if outcome is None or outcome.webhooks is None:
            # How an earlier wait ended says nothing about now.
            try:
                self._check(transaction_id, key)
            except (ApiError, TransportError) as error:
                raise _unknown(id_transaction, error) from error
            outcome = self._outcome(transaction_id, id_transaction)
        return outcome if outcome is not None and outcome.webhooks else _still_pending(id_transaction)

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
        if _has_ended(transaction):
            self._inbox.take_status(transaction.to_dict())
        return transaction

    def _check(self, transaction_id: str, key: str) -> bool:
        """Look at FedaPay; true if the payment has ended, and then the store knows it."""
        return _has_ended(self.read(transaction_id, key))

    def _watch(
        self, transaction_id: str, key: str, *, first: Optional[float] = None, handle: Optional[Listen] = None
    ) -> _Watch:
        """This process's watch over the transaction, begun if there is none; the handle is one of its waits."""
        pace = self._current_pace()
        with self._lock:
            watch = self._watches.get(transaction_id)
            if watch is None:
                watch = _Watch(transaction_id, key, self._clock.monotonic(), pace.first)
            if handle is not None:
                watch.handles.add(handle)
            if self._closed:
                if handle is not None:
                    handle._verdict = _interrupted(handle.id_transaction)
                return watch
            self._has_watched = True
            if self._watches.setdefault(transaction_id, watch) is watch and watch.timer is None:
                watch.timer = self._later(
                    pace.first if first is None else first, self._checks, lambda: self._sparse_check(watch)
                )
            if not self._beating:
                self._beating = True
                self._bells.later(LEASE / 3, self._beat)
        return watch

    def _sparse_check(self, watch: _Watch) -> None:
        """Look once, and again later if the payment is still open."""
        if self._watches.get(watch.transaction_id) is not watch:
            return
        watch.interval = self._current_pace().next(watch.interval)
        # Nothing that fails in here may end the watch.
        try:
            record = self._store.listen(self._config.environment, watch.transaction_id)
            now = self._clock.now()
            if record is None or record.state in ("resolved", "cancelled") or _is_long_past(record, now):
                self._drop(watch)
                return
            if record.state in ("timed_out", "unknown"):
                # Nobody waits any more, but a late payment must not go unnoticed.
                watch.interval = max(watch.interval, (self._clock.monotonic() - watch.started) / 10)
            if record.is_open and record.deadline <= now:
                # The decision at the deadline is still owed: it failed, or whose it was died.
                self._at_deadline(watch, None)
            elif self._check(watch.transaction_id, watch.key):
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
            self._beating = bool(self._watches) and not self._closed
        if self._beating:
            self._bells.later(LEASE / 3, self._beat)
            self._store.keep_listens(self._owner, LEASE)

    # -- the deadline -------------------------------------------------------------------------------------------

    def _at_deadline(self, watch: _Watch, handle: Optional[Listen]) -> None:
        """FedaPay is asked before anything is called a timeout."""
        if self._closed or (handle is not None and (handle._verdict is not None or handle not in watch.handles)):
            return
        environment, transaction_id = self._config.environment, watch.transaction_id
        try:
            record = self._store.begin_closing(environment, transaction_id, self._grace)
            if record is not None:
                self._decide(record, watch)
            else:
                record = self._store.listen(environment, transaction_id)
                if record is not None and record.is_open and self._is_imminent(record):
                    self._later(1.0, self._deadlines, lambda: self._at_deadline(watch, handle))
                    return
                if record is not None and record.is_open and handle is not None:
                    self._end_of_one(watch, handle)
        finally:
            self._bells.ring(transaction_id)
        if handle is not None:
            # It may never be asked for its result; then nobody needs to be woken for it any more.
            self._bells.remove(transaction_id, handle._bell)

    def _is_imminent(self, record: ListenRecord) -> bool:
        """
        Whether the decision is about to be made.

        Another waiter, here or elsewhere, is asking, and unless it dies its answer is ours; or the wall clock, by
        which a deadline is stored, goes a little slower than the monotonic one, by which we wait.
        """
        return record.state == "closing" or record.deadline - self._clock.now() < 1.0

    def _end_of_one(self, watch: _Watch, handle: Listen) -> None:
        """Somebody else waits longer: this wait ends, and nothing changes for the other."""
        try:
            if not self._check(watch.transaction_id, watch.key):
                handle._verdict = _still_pending(handle.id_transaction)
        except (ApiError, TransportError) as error:
            handle._verdict = _unknown(handle.id_transaction, error)

    def _decide(self, record: ListenRecord, watch: _Watch) -> None:
        """The one who closes: final, still pending, deleted, or not to be found out."""
        environment, transaction_id = self._config.environment, record.transaction_id
        try:
            ended = self._check(transaction_id, watch.key)
            if not ended and record.delete_at_deadline:
                ended = not self._delete(transaction_id, watch.key)
            if self._closed:
                # The waits were told that they were interrupted: the row is for whoever restores it.
                return
            # An ended one has been closed by its event; not by the news of a deletion, which could be our own.
            if self._store.end_listen(environment, transaction_id, "resolved" if ended else "timed_out"):
                log.info("listen of %s ended by its deadline", transaction_id)
        except (ApiError, TransportError) as error:
            if self._closed:
                return
            log.warning("status of %s unknown at its deadline, still watched: %s", transaction_id, error)
            with self._lock:
                handles = list(watch.handles)
            for handle in handles:
                if handle._verdict is None and handle._deadline <= self._clock.monotonic() + 0.05:
                    handle._verdict = _unknown(handle.id_transaction, error)
            self._store.end_listen(environment, transaction_id, "unknown")

    def _delete(self, transaction_id: str, key: str) -> bool:
        """Delete it at FedaPay, so that the timeout is definite; false if it ended otherwise this instant."""
        try:
            self._transactions.delete(transaction_id, api_key=key)
        except (ApiError, TransportError) as refusal:
            # It changed this instant, or FedaPay failed, or its answer was lost: only another look can tell.
            log.info("delete of %s refused (%s); looking again", transaction_id, refusal)
            transaction = self.read(transaction_id, key)
            if not _has_ended(transaction):
                raise
            return transaction.is_deleted and not transaction.was_paid
        return True

    # -- housekeeping -------------------------------------------------------------------------------------------

    def _forget(self, handle: Listen) -> None:
        """Nobody waits on this handle any more. The watch goes on if the payment may still be paid."""
        self._bells.remove(str(handle.id_transaction), handle._bell)
        if handle._timer is not None:
            handle._timer.cancel()
        verdict = handle._verdict
        with self._lock:
            watch = self._watches.get(str(handle.id_transaction))
            if watch is None:
                return
            watch.handles.discard(handle)
            if isinstance(verdict, Outcome) and verdict.status == EventFutureStatus.RESOLVED and not watch.handles:
                self._let_go(watch)

    def _drop(self, watch: _Watch) -> None:
        with self._lock:
            self._let_go(watch)

    def _let_go(self, watch: _Watch) -> None:
        if self._watches.get(watch.transaction_id) is watch:
            del self._watches[watch.transaction_id]
        if watch.timer is not None:
            watch.timer.cancel()

    def key_for(self, id_transaction: TransactionId, api_key: Optional[str]) -> str:
        """The key that the payment was made with: given, remembered by fingerprint, or the connector's own."""
        if api_key is not None:
            return self._config.checked_key(api_key)
        payment = self._store.payment_of(self._config.environment, checked_id(id_transaction))
        return (payment and self._config.key_of(payment.account)) or self._config.api_key


def _has_ended(transaction: Transaction) -> bool:
    return transaction.status in FINAL_STATUSES or transaction.is_deleted


def _is_long_past(record: ListenRecord, now: float) -> bool:
    return record.state in ("timed_out", "unknown") and now - record.deadline > AFTERWARDS


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


def _still_pending(id_transaction: TransactionId) -> Outcome:
    return Outcome(
        EventFutureStatus.TIMEOUT,
        id_transaction=id_transaction,
        reason="échéance passée, paiement encore en attente",
    )


def _interrupted(id_transaction: TransactionId) -> Outcome:
    return Outcome(EventFutureStatus.CANCELLED_INTERNALLY, id_transaction=id_transaction, reason="connecteur fermé")


def _unknown(id_transaction: TransactionId, cause: Optional[BaseException] = None) -> StatusUnknown:
    detail = f" ({cause})" if cause is not None else ""
    return StatusUnknown(
        f"FedaPay n'a pas pu dire où en est la transaction {id_transaction} à l'échéance{detail}. Elle a pu être "
        "payée : ne pas la refaire. Elle reste suivie ; rappeler finalise plus tard, ou attendre le callback "
        "de webhook.",
        id_transaction=id_transaction,
    )


def event_of(stored: StoredEvent) -> WebhookHistory:
    """A stored event as callbacks and outcomes show it."""
    event, _ = readable(stored.body)
    facts = {
        "name": stored.name,
        "event_key": stored.event_key,
        "attempt": max(stored.attempts, 1),
        "late": stored.late,
        "suspect": stored.suspect,
        "source": stored.source,
        "received_at": datetime.fromtimestamp(stored.received_at, timezone.utc),
    }
    with contextlib.suppress(InvalidArgument):
        return WebhookHistory.from_dict({**event, **facts})
    return WebhookHistory.from_dict(facts)
