"""
Decides many deadlines by FedaPay's list of transactions: a page shows as many as that many single readings.

One process at a time reads the list, for all that share the database, newest first. A page decides what it shows of the
waits whose deadline had come before it was asked for; what no page shows is read one by one, as ever.
"""

from functools import partial
from threading import Lock
from typing import Any, Dict, List, Optional, Sequence, Set

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.secret import Secret
from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.concurrency.thread_pool import DaemonThreadPool
from fedapay_sync.errors import BadRequest, FedapayError
from fedapay_sync.models import Transaction
from fedapay_sync.models.pagination import PagedList
from fedapay_sync.resources.api import Api
from fedapay_sync.store import Priority
from fedapay_sync.workflow.callbacks.worker import CallbackWorker
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.poll_budget import PollBudget, Reading
from fedapay_sync.workflow.reconciliation.status_reader import StatusReader, has_ended

log = get_logger(__name__)

#: Fewer deadlines than these are decided one by one: within two seconds, unless the budget is small.
MANY = 10
#: What is asked for; how many come, FedaPay says.
_PER_PAGE = 100
#: Pages that are read at the same time, once they show what is looked for.
_AT_ONCE = 5
#: Pages that one listing reads at most: they are older than any wait.
_PAGES = 400
#: Where a list decided next to nothing, none is read for so long, in seconds.
_PAUSE = 30.0
#: Where another process reads the list, it is looked after so many seconds whether it still does.
_AGAIN = 5.0


class _Listing:
    """
    One pass over the list, some pages at a time.

    Attributes:
        due: the transactions that are looked for on the pages after ``newer``.
        newer: up to that page everything was seen, or is newer than what is looked for.
        older: a page that was found to lie behind something that is looked for.
        first, count: the pages that are being read.
        numbers: the transactions that they have shown.
    """

    def __init__(self, key: Secret, due: Set[int]) -> None:
        self.key = key
        self.due = due
        self.newer = 0
        self.older: Optional[int] = None
        self.first = self.count = 1
        self.running = 0
        self.numbers: Set[int] = set()
        self.is_last = self.has_failed = False
        self.read = self.decided = 0

    def find_next(self) -> bool:
        """Choose the pages to read next, after those that were read; false if none is to be."""
        last, shown = self.first + self.count - 1, self.due & self.numbers
        is_past_it = not self.numbers or max(self.due) > max(self.numbers)
        if is_past_it and self.first > self.newer + 1:
            # It went too far.
            self.older, self.due = self.first, self.due - shown
            self.first = max(self.newer + 1, (self.newer + self.older) // 2)
        else:
            # What these pages do not show, though it should be there, is in no list.
            self.due = {each for each in self.due if self.numbers and each < min(self.numbers)}
            self.newer = last
            if not self.due or self.is_last:
                return False
            # Ids grow with time, though not by one: other merchants' lie in between.
            width = (max(self.numbers) - min(self.numbers)) / self.count
            gap = (min(self.numbers) - max(self.due)) / max(1.0, width)
            self.first = last + 1 + int(0.8 * gap)
            if self.older is not None:
                self.first = max(last + 1, min(self.first, self.older - 1))
                self.older = self.older if last + 1 < self.older else None
        self.count = _AT_ONCE if shown else 1
        self.numbers, self.is_last = set(), False
        return bool(self.due) and not self.has_failed and self.read < _PAGES


class DeadlineLists:
    """The listings of one connector in one process, at most one for each account."""

    def __init__(
        self,
        context: Context,
        api: Api,
        notifier: Notifier,
        statuses: StatusReader,
        callbacks: CallbackWorker,
        budget: PollBudget,
        pool: DaemonThreadPool,
    ) -> None:
        self._environment = context.config.environment
        self._store = context.store
        self._clock = context.clock
        self._transactions = api.transactions
        self._notifier = notifier
        self._statuses = statuses
        self._callbacks = callbacks
        self._budget = budget
        self._pool = pool
        self._lock = Lock()
        # The currency that each names, as in a single reading.
        self._params: Dict[str, Any] = {"per_page": _PER_PAGE, "include": "currency"}
        # By account: those that list, and those that shall not before some time.
        self._active: Set[str] = set()
        self._not_before: Dict[str, float] = {}

    def consider(self, key: Secret) -> None:
        """Read the list, if many deadlines of that account wait to be decided."""
        account = key.label
        if self._budget.waiting(account, Priority.deadline) <= MANY:
            return
        with self._lock:
            if account in self._active or self._clock.monotonic() < self._not_before.get(account, 0.0):
                return
            self._active.add(account)
        self._notifier.call_later(0.0, partial(self._begin, key), self._pool)

    def _begin(self, key: Secret) -> None:
        listing = None
        try:
            overdue = self._store.deadlines.overdue(self._environment, key.label)
            due = {int(each) for each in overdue if each.isdecimal()}
            if len(due) > MANY and self._store.poll_budget.begin_listing(self._environment, key.label):
                log.info("%d deadlines at once: FedaPay's list is read", len(due))
                listing = _Listing(key, due)
        except FedapayError as error:
            log.warning("list of transactions not read: %s", error)
        if listing is None:
            self._pause(key, _AGAIN)
        else:
            self._go_on(listing)

    def _go_on(self, listing: _Listing) -> None:
        """Ask for slots for the next pages."""
        listing.running = listing.count
        for number in range(listing.first, listing.first + listing.count):
            make = partial(self._read_page, listing, number)
            self._budget.request(Reading(Priority.listed, listing.key.label, make, self._pool))

    def _end(self, listing: _Listing) -> None:
        log.info("%d deadlines decided by %d pages of FedaPay's list", listing.decided, listing.read)
        try:
            self._store.poll_budget.end_listing(self._environment, listing.key.label)
        except FedapayError as error:
            log.warning("end of a listing not stored, others notice: %s", error)
        self._pause(listing.key, _PAUSE if listing.decided < 2 * listing.read else 0.0)

    def _pause(self, key: Secret, seconds: float) -> None:
        with self._lock:
            self._active.discard(key.label)
            self._not_before[key.label] = self._clock.monotonic() + seconds
        # By then others may have come, or the process that read the list may be gone.
        self._notifier.call_later(seconds, partial(self.consider, key))

    def _read_page(self, listing: _Listing, number: int) -> None:
        has_failed = True
        try:
            read_at = self._store.clock.now()
            page = self._list(number, listing.key)
            self._decide(listing, page.items, read_at)
            with self._lock:
                listing.numbers.update(each.id for each in page.items if isinstance(each.id, int))
                listing.is_last = listing.is_last or not isinstance(page.meta.next_page, int)
            has_failed = False
        except FedapayError as error:
            log.warning("page %d of FedaPay's list not read: %s", number, error)
        finally:
            with self._lock:
                listing.read += 1
                listing.running -= 1
                listing.has_failed = listing.has_failed or has_failed
                is_done = not listing.running
                goes_on = is_done and listing.find_next()
            if goes_on:
                self._go_on(listing)
            elif is_done:
                self._end(listing)

    def _list(self, number: int, key: Secret) -> PagedList[Transaction]:
        try:
            return self._transactions.list(page=number, api_key=key, **self._params)
        except BadRequest as error:
            if not self._params:
                raise
            log.info("FedaPay refused a parameter of its list (%s); asking without", error.code)
            self._params = {}
            return self._transactions.list(page=number, api_key=key)

    def _decide(self, listing: _Listing, shown: Sequence[Transaction], read_at: float) -> None:
        """End those waits of which the page says how they stand."""
        pending: List[str] = []
        decided = 0
        for transaction in shown:
            if transaction.id not in listing.due:
                continue
            if not has_ended(transaction):
                pending.append(str(transaction.id))
                continue
            try:
                self._statuses.take_in(transaction, listing.key)
                decided += 1
            except FedapayError as error:
                log.warning("%s of the list not taken in, it is read alone: %s", transaction.id, error)
        ended = self._store.deadlines.time_out(self._environment, pending, read_at=read_at) if pending else []
        for each in ended:
            self._notifier.notify(each)
        if ended:
            self._callbacks.notify()
        with self._lock:
            listing.decided += decided + len(ended)
