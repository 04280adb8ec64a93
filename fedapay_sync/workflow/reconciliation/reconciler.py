"""
Reconciles payments with FedaPay: polls each from its intent to its end, also those that no thread waits for.

Payments that are not over are due from time to time, and any process that has their key polls them, within the budget
of status readings. What is found goes into the store like any other event. No payer is asked for money here, nothing is
deleted, and no wait is made longer or shorter.
"""

import threading
from collections import Counter
from typing import List, Optional, Tuple

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.secret import Secret
from fedapay_sync.concurrency.notifier import Notifier, TimerHandle
from fedapay_sync.concurrency.thread_pool import DaemonThreadPool
from fedapay_sync.enums import RETRIED_STATUSES
from fedapay_sync.errors import FedapayError, NotFound
from fedapay_sync.models import Transaction
from fedapay_sync.resources.api import Api
from fedapay_sync.store import WATCHED, Poll, Priority
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.adoption import Adoption
from fedapay_sync.workflow.reconciliation.event_catchup import EventCatchUp
from fedapay_sync.workflow.reconciliation.keyring import Keyring
from fedapay_sync.workflow.reconciliation.poll_budget import PollBudget, Reading
from fedapay_sync.workflow.reconciliation.polling_policy import PollingPolicy
from fedapay_sync.workflow.reconciliation.status_reader import StatusReader, has_ended, is_transient

log = get_logger(__name__)

#: Polls for which a process asks for slots at the same time.
_AT_ONCE = 5
#: A poll belongs to the process that acquired it for so long, in seconds.
_LEASE = 30.0
#: A process looks at the store at least so often for what others have left, in seconds.
_ROUND = 30.0
#: Where another process has taken what was due, more is looked for after so many seconds.
_AFTER_OTHERS = 1.0
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
        budget: PollBudget,
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
        self._budget = budget
        # Threads of its own, so that a FedaPay that does not answer holds up nothing else; and one for the rounds.
        self._pool = DaemonThreadPool("fedapay-followup", 1)
        self._readers = DaemonThreadPool("fedapay-poll", _AT_ONCE)
        self._requested: Counter[Tuple[str, Priority]] = Counter()
        self._lock = threading.Lock()
        self._timer: Optional[TimerHandle] = None
        self._due = 0.0
        self._started = False
        self._closed = False

    @property
    def is_working(self) -> bool:
        """Whether payments are followed up in this process."""
        return self._started and not self._closed

    def start(self) -> None:
        """Begin, soon; nothing if that is done."""
        if not self._started:
            self._started = True
            self._schedule(_BEGINNING)

    def schedule_first_poll(self, key: Secret) -> float:
        """Poll a payment that is touched now, made with that key; in how many seconds that is due."""
        self._keyring.remember(key)
        seconds = self._policy.follow_up_interval(0)
        if self._started:
            self._schedule(seconds)
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
        self._readers.close()

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
                self._timer = self._notifier.call_later(seconds, self._round, self._pool)
            except RuntimeError as error:
                # No thread to be had, as at the end of the interpreter: another process may have one.
                log.info("payments are not followed up here: %s", error)

    def _round(self) -> None:
        """Ask for slots for what is due; then another round."""
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
                pause = self._request_due()
        except FedapayError as error:
            log.warning("following up payments failed, again later: %s", error)
        finally:
            self._schedule(pause)

    def _request_due(self) -> float:
        """Ask for slots for the polls that are due; seconds until more may be."""
        due = self._store.polls.due(self._environment, self._keyring.by_account(), most=_AT_ONCE)
        for priority, counts in ((Priority.begun, due.begun), (Priority.followed, due.followed)):
            for account, count in counts.items():
                # Beyond these, the next round comes when one of them is made.
                for _ in range(min(count, _AT_ONCE - self._requested[account, priority])):
                    self._request(account, priority)
        if due.next_at is None:
            return _ROUND
        return min(max(0.0, due.next_at - self._store.clock.now()), _ROUND)

    def _request(self, account: str, priority: Priority) -> None:
        """Ask for a slot; what is polled is what is most urgent when it comes, here and in other processes."""
        taken: List[Poll] = []
        with self._lock:
            self._requested[account, priority] += 1

        def acquire() -> bool:
            poll = None
            try:
                poll = self._store.polls.acquire(self._environment, [account], lease=_LEASE, beside_wait=_BESIDE_WAIT)
            finally:
                if poll is None:
                    self._requested_less(account, priority, again_in=_AFTER_OTHERS)
            taken.extend([poll] if poll else [])
            return poll is not None

        def make() -> None:
            try:
                self._poll(taken[0], self._keyring.by_account()[account])
            finally:
                self._requested_less(account, priority, again_in=0.0)

        self._budget.request(Reading(priority, account, make, self._readers, acquire))

    def _requested_less(self, account: str, priority: Priority, again_in: float) -> None:
        with self._lock:
            self._requested[account, priority] -= 1
        self._schedule(again_in)

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
