"""
Following each payment from its intent to its end, whoever waits for it, or nobody.

Payments that are not over are due from time to time, and any process that has their key looks at them, one look at a
time. What is found goes into the store like any other event. Nobody is asked for money here, nothing is deleted, and
no wait is made longer or shorter.
"""

import random
import threading
from typing import TYPE_CHECKING, Optional

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.common.config import Config
from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.notifier import Bells, Timer
from fedapay_sync.concurrency.thread_pool import Pool
from fedapay_sync.enums import RETRIED_STATUSES
from fedapay_sync.errors import FedapayError, NotFound
from fedapay_sync.models import Transaction
from fedapay_sync.resources.api import Api
from fedapay_sync.store import WATCHED, Look
from fedapay_sync.store.payment_record import Intent
from fedapay_sync.workflow.reconciliation.event_catchup import Absences
from fedapay_sync.workflow.reconciliation.status_reader import Statuses, has_ended, may_pass
from fedapay_sync.workflow.waits.status_polling import Pace, Watches

if TYPE_CHECKING:
    from fedapay_sync.store import Store

log = get_logger(__name__)

#: Seconds between two looks, whichever processes make them.
_GAP = 0.2
#: A look belongs to whoever took it for so long, in seconds.
_LEASE = 30.0
#: A process looks at the store at least so often for what others have left, in seconds.
_ROUND = 30.0
#: A process begins so many seconds after its connector came into use.
_BEGINNING = 5.0
#: While somebody waits for a payment, his looks are enough; asked again so many seconds later.
_BESIDE_WAIT = 60.0
#: Twice unknown to FedaPay, so many seconds apart, a merchant reference has no transaction.
_ABSENT = 60.0
#: What may be tried again after a refusal is looked at so many times more rarely.
_RARER = 4.0

#: With webhooks, looks only make a missed one late instead of lost.
BESIDE_WEBHOOKS = Pace(first=60.0, factor=2.0, longest=3600.0)
#: Without, they are the way.
WITHOUT_WEBHOOKS = Pace(first=5.0, factor=1.5, longest=3600.0)


class FollowUp:
    """The looks that one connector makes in one process, from the first use of it to its end."""

    def __init__(
        self,
        config: Config,
        store: "Store",
        api: Api,
        bells: Bells,
        statuses: Statuses,
        watches: Watches,
        absences: Absences,
        clock: Clock = SYSTEM_CLOCK,
        *,
        pace: Optional[Pace] = None,
    ) -> None:
        self._config = config
        self._store = store
        self._transactions = api.transactions
        self._bells = bells
        self._statuses = statuses
        self._watches = watches
        self._absences = absences
        self._clock = clock
        self._pace = pace
        # One thread, so that looks come one after the other; of its own, so that a FedaPay that does not answer
        # holds up nothing else.
        self._pool = Pool("fedapay-followup", 1)
        self._lock = threading.Lock()
        self._timer: Optional[Timer] = None
        self._due = 0.0
        self._started = False
        self._closed = False

    def start(self) -> None:
        """Begin, soon; nothing if that is done."""
        if not self._started:
            self._started = True
            self._again(_BEGINNING)

    def expect(self, key: str) -> float:
        """In how many seconds a payment that is touched now, with that key, is to be looked at; this process will."""
        self._statuses.remember_key(key)
        seconds = self.interval(0)
        self._started = True
        self._again(seconds + _GAP)
        return seconds

    def catch_up(self) -> None:
        """Read up on an absence, if there was one, without waiting for it."""
        self._absences.suspect()
        self._started = True
        self._again(0.0)

    def close(self) -> None:
        """Look at nothing more."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
        self._absences.close()
        self._pool.close()

    def interval(self, looks: int, factor: float = 1.0) -> float:
        """Seconds until the next look after so many, with jitter so that many payments are not due at once."""
        pace = self._pace or (BESIDE_WEBHOOKS if self._watches.has_receiver else WITHOUT_WEBHOOKS)
        grown = factor * pace.first * pace.factor ** min(looks, 60)
        return min(grown, pace.longest) * random.uniform(0.9, 1.1)

    # -- one round ----------------------------------------------------------------------------------------------

    def _again(self, seconds: float) -> None:
        """Go round in that many seconds, or earlier if that is arranged already."""
        with self._lock:
            due = self._clock.monotonic() + seconds
            if self._closed or (self._timer is not None and self._due <= due):
                return
            if self._timer is not None:
                self._timer.cancel()
            self._due = due
            try:
                self._timer = self._bells.later(seconds, lambda: self._pool.submit(self._round))
            except RuntimeError as error:
                # No thread to be had, as at the end of the interpreter: another process may have one.
                log.info("payments are not followed up here: %s", error)

    def _round(self) -> None:
        """At most one look; then another round."""
        with self._lock:
            self._timer = None
            if self._closed:
                return
        pause = _ROUND
        try:
            # A program that has not used the database so far gets none because of us.
            if self._store.is_open:
                if self._watches.has_receiver:
                    self._absences.expect_webhooks()
                self._absences.read()
                pause = self._look_if_due()
        except FedapayError as error:
            log.warning("following up payments failed, again later: %s", error)
        finally:
            self._again(pause)

    def _look_if_due(self) -> float:
        """Make the look that is due, if one is; seconds until the next one may be."""
        environment, keys = self._config.environment, self._statuses.keys()
        due = self._store.next_look(environment, keys)
        wait = _ROUND if due is None else due - self._clock.now()
        if wait > 0:
            return min(wait, _ROUND)
        gap = _GAP * random.uniform(1.0, 1.5)
        look = self._store.claim_look(environment, keys, lease=_LEASE, gap=gap, beside_wait=_BESIDE_WAIT)
        if look is not None:
            self._look(look, keys[look.account])
        return gap

    def _look(self, look: Look, key: str) -> None:
        subject = look.transaction_id or look.merchant_reference
        try:
            if look.transaction_id is not None:
                self._settle(look, self._statuses.read(look.transaction_id, key))
            else:
                self._adopt(look, self._transactions.by_merchant_reference(str(look.merchant_reference), api_key=key))
        except NotFound:
            if look.transaction_id is None:
                self._not_found(look)
            else:
                log.warning("FedaPay does not know transaction %s", subject)
                self._later(look)
        except FedapayError as error:
            log.warning("look at %s failed, again later: %s", subject, error)
            self._later(look, answered=not may_pass(error))

    def _settle(self, look: Look, transaction: Transaction) -> None:
        """What was read is in the store already, if it is an end."""
        may_retry = isinstance(transaction.status, str) and transaction.status in RETRIED_STATUSES
        if has_ended(transaction) and (transaction.is_deleted or not may_retry):
            self._store.end_look(look, again_in=None)
        else:
            self._later(look, factor=_RARER if may_retry else 1.0)

    def _later(self, look: Look, *, answered: bool = True, factor: float = 1.0) -> None:
        """Once more after a while, unless this was the last time."""
        left = look.since + WATCHED - self._clock.now()
        if answered and left <= 0:
            log.info("%s is not looked at any more", look.transaction_id or look.merchant_reference)
            self._store.end_look(look, again_in=None, absent_at=look.absent_at)
            return
        seconds = self.interval(look.looks, factor)
        self._store.end_look(look, again_in=min(seconds, left) if left > 0 else seconds, absent_at=look.absent_at)

    # -- a payment that has no transaction yet ------------------------------------------------------------------

    def _adopt(self, look: Look, transaction: Transaction) -> None:
        """
        The intent had arrived. The customer is not asked here: whoever called ``pay`` was told to call it again.
        """
        environment, reference = self._config.environment, str(look.merchant_reference)
        other = self._store.payment_of(environment, transaction.id)
        if other is not None and other.merchant_reference != reference:
            log.error("FedaPay gives transaction %s for two merchant references; left alone", transaction.id)
            self._later(look)
            return
        Intent(self._store, environment, look.account, reference, self.interval(0)).adopt(transaction)
        log.info("transaction %s found for an intent whose creation had no answer", transaction.id)
        if has_ended(transaction):
            self._statuses.take(transaction)

    def _not_found(self, look: Look) -> None:
        now = self._clock.now()
        if look.absent_at is None or look.absent_at > now:
            self._store.end_look(look, again_in=max(_ABSENT, self.interval(look.looks)), absent_at=now)
        elif now - look.absent_at < _ABSENT:
            self._store.end_look(look, again_in=_ABSENT, absent_at=look.absent_at)
        elif self._store.end_look(look, again_in=None, absent_at=look.absent_at, failed=True):
            log.info("an intent never reached FedaPay; pay may be called again under its merchant reference")
