"""
Reconciles payments with FedaPay: polls each from its intent to its end, also those that no thread waits for.

Payments that are not over are due from time to time, and any process that has their key polls them, one poll at a
time. What is found goes into the store like any other event. No payer is asked for money here, nothing is deleted,
and no wait is made longer or shorter.
"""

import random
import threading
from typing import Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.secret import Secret
from fedapay_sync.concurrency.notifier import Notifier, TimerHandle
from fedapay_sync.concurrency.thread_pool import DaemonThreadPool
from fedapay_sync.enums import RETRIED_STATUSES
from fedapay_sync.errors import FedapayError, NotFound
from fedapay_sync.models import Transaction
from fedapay_sync.resources.api import Api
from fedapay_sync.store import WATCHED, Poll
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.adoption import Adoption
from fedapay_sync.workflow.reconciliation.event_catchup import EventCatchUp
from fedapay_sync.workflow.reconciliation.keyring import Keyring
from fedapay_sync.workflow.reconciliation.polling_policy import PollingPolicy
from fedapay_sync.workflow.reconciliation.status_reader import StatusReader, has_ended, is_transient

log = get_logger(__name__)

#: Seconds between two polls, of all processes together.
_GAP = 0.2
#: A poll belongs to the process that acquired it for so long, in seconds.
_LEASE = 30.0
#: A process looks at the store at least so often for what others have left, in seconds.
_ROUND = 30.0
#: A process begins so many seconds after its connector came into use.
_BEGINNING = 5.0
#: While a wait is open for a payment, the polls of that wait are enough; asked again so many seconds later.
_BESIDE_WAIT = 60.0
#: Twice unknown to FedaPay, so many seconds apart, a merchant reference has no transaction.
_ABSENT = 60.0
#: A payment that may be tried again after a refusal is polled so many times more rarely.
_RARER = 4.0


class Reconciler:
    """The polls that one connector makes in one process, from the first use of it to its end."""

    def __init__(
        self,
        context: Context,
        api: Api,
        notifier: Notifier,
        keyring: Keyring,
        statuses: StatusReader,
        catch_up: EventCatchUp,
        adoption: Adoption,
        policy: PollingPolicy,
    ) -> None:
        self._environment = context.config.environment
        self._store = context.store
        self._clock = context.clock
        self._transactions = api.transactions
        self._notifier = notifier
        self._keyring = keyring
        self._statuses = statuses
        self._catch_up = catch_up
        self._adoption = adoption
        self._policy = policy
        # One thread, so that polls come one after the other; of its own, so that a FedaPay that does not answer
        # holds up nothing else.
        self._pool = DaemonThreadPool("fedapay-followup", 1)
        self._lock = threading.Lock()
        self._timer: Optional[TimerHandle] = None
        self._due = 0.0
        self._started = False
        self._closed = False

    def start(self) -> None:
        """Begin, soon; nothing if that is done."""
        if not self._started:
            self._started = True
            self._schedule(_BEGINNING)

    def schedule_first_poll(self, key: Secret) -> float:
        """Poll a payment that is touched now, made with that key; in how many seconds that is due."""
        self._keyring.remember(key)
        seconds = self._policy.follow_up_interval(0)
        self._started = True
        self._schedule(seconds + _GAP)
        return seconds

    def catch_up(self) -> None:
        """Read the events of an outage, if there was one, without waiting for them."""
        self._catch_up.check_for_outage()
        self._started = True
        self._schedule(0.0)

    def close(self) -> None:
        """Poll nothing more."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
        self._catch_up.close()
        self._pool.close()

    # -- one round ----------------------------------------------------------------------------------------------

    def _schedule(self, seconds: float) -> None:
        """Go round in that many seconds, or earlier if that is arranged already."""
        with self._lock:
            due = self._clock.monotonic() + seconds
            if self._closed or (self._timer is not None and self._due <= due):
                return
            if self._timer is not None:
                self._timer.cancel()
            self._due = due
            try:
                self._timer = self._notifier.call_later(seconds, lambda: self._pool.submit(self._round))
            except RuntimeError as error:
                # No thread to be had, as at the end of the interpreter: another process may have one.
                log.info("payments are not followed up here: %s", error)

    def _round(self) -> None:
        """At most one poll; then another round."""
        with self._lock:
            self._timer = None
            if self._closed:
                return
        pause = _ROUND
        try:
            # A program that has not used the database so far gets none because of this thread.
            if self._store.is_open:
                if self._policy.has_receiver:
                    self._catch_up.expect_webhooks()
                self._catch_up.read()
                pause = self._poll_if_due()
        except FedapayError as error:
            log.warning("following up payments failed, again later: %s", error)
        finally:
            self._schedule(pause)

    def _poll_if_due(self) -> float:
        """Make the poll that is due, if one is; seconds until the next one may be."""
        environment, keys = self._environment, self._keyring.by_account()
        due = self._store.polls.next_due(environment, keys)
        wait = _ROUND if due is None else due - self._store.clock.now()
        if wait > 0:
            return min(wait, _ROUND)
        gap = _GAP * random.uniform(1.0, 1.5)
        poll = self._store.polls.acquire(environment, keys, lease=_LEASE, gap=gap, beside_wait=_BESIDE_WAIT)
        if poll is not None:
            self._poll(poll, keys[poll.account])
        return gap

    def _poll(self, poll: Poll, key: Secret) -> None:
        subject = poll.transaction_id or poll.merchant_reference
        try:
            if poll.transaction_id is not None:
                self._settle(poll, self._statuses.read(poll.transaction_id, key))
            else:
                found = self._transactions.by_merchant_reference(
                    str(poll.merchant_reference), include="customer,currency", api_key=key
                )
                self._adopt(poll, found, key)
        except NotFound:
            if poll.transaction_id is None:
                self._not_found(poll)
            else:
                log.warning("FedaPay does not know transaction %s", subject)
                self._poll_again(poll)
        except FedapayError as error:
            log.warning("look at %s failed, again later: %s", subject, error)
            self._poll_again(poll, answered=not is_transient(error))

    def _settle(self, poll: Poll, transaction: Transaction) -> None:
        """What was read is in the store already, if it is an end."""
        may_retry = isinstance(transaction.status, str) and transaction.status in RETRIED_STATUSES
        if has_ended(transaction) and (transaction.is_deleted or not may_retry):
            self._store.polls.finish(poll, again_in=None)
        else:
            self._poll_again(poll, factor=_RARER if may_retry else 1.0)

    def _poll_again(self, poll: Poll, *, answered: bool = True, factor: float = 1.0) -> None:
        """Once more after a while, unless this was the last time."""
        left = poll.since + WATCHED - self._store.clock.now()
        if answered and left <= 0:
            log.info("%s is not looked at any more", poll.transaction_id or poll.merchant_reference)
            self._store.polls.finish(poll, again_in=None, absent_at=poll.absent_at)
            return
        seconds = self._policy.follow_up_interval(poll.polls, factor)
        self._store.polls.finish(poll, again_in=min(seconds, left) if left > 0 else seconds, absent_at=poll.absent_at)

    # -- a payment that has no transaction yet ------------------------------------------------------------------

    def _adopt(self, poll: Poll, transaction: Transaction, key: Secret) -> None:
        """The intent had arrived, if what bears its reference is what was asked."""
        if not self._adoption.adopt(transaction, key):
            self._poll_again(poll)
        elif has_ended(transaction):
            self._statuses.store_end(transaction)

    def _not_found(self, poll: Poll) -> None:
        now = self._store.clock.now()
        if poll.absent_at is None or poll.absent_at > now:
            self._store.polls.finish(
                poll, again_in=max(_ABSENT, self._policy.follow_up_interval(poll.polls)), absent_at=now
            )
        elif now - poll.absent_at < _ABSENT:
            self._store.polls.finish(poll, again_in=_ABSENT, absent_at=poll.absent_at)
        elif self._store.polls.finish(poll, again_in=None, absent_at=poll.absent_at, failed=True):
            log.info("an intent never reached FedaPay; pay may be called again under its merchant reference")
