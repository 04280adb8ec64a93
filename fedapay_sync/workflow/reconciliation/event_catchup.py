"""
Catches up on missed events: after an outage, and hourly, reads ``/v1/events`` into the inbox.

FedaPay repeats a webhook for some twenty minutes. What it told later lies in ``/v1/events``, and comes in from there
under the same key as the webhook would have. The filters of that list are not documented: nothing else may depend on
this going well.

A process that is up may miss webhooks as well: the network, the disk or FedaPay fails for a while, or FedaPay has
switched the webhook off. A payment of ours is polled by itself (``reconciler.py``); of one that another program began
only the events tell. So they are read once an hour where webhooks are to come in.
"""

from typing import Callable, Dict, NamedTuple, Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.secret import Secret
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.errors import BadRequest, FedapayError, StoreError
from fedapay_sync.models import Event, PagedList
from fedapay_sync.models.entity import TRANSACTION
from fedapay_sync.resources.api import Api
from fedapay_sync.store import Accepted
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.event_list import MOST_PAGES, EventList
from fedapay_sync.workflow.reconciliation.status_reader import is_transient
from fedapay_sync.workflow.webhooks.inbox import Inbox

log = get_logger(__name__)

#: Seconds without any event that count as an outage.
SHORTEST_OUTAGE = 20 * 60.0
#: An outage longer than this is left to the merchant, in seconds.
LONGEST_OUTAGE = 30 * 86400.0
#: FedaPay's clock is not ours, and events do not come in order: read so much further back, in seconds.
_OVERLAP = 3600.0
#: Seconds between two pages.
_GAP = 0.2
#: Where webhooks are to come in, the events are read so many seconds after the last time at the latest, and a process
#: asks every :data:`SHORTEST_OUTAGE` seconds whether it is time.
_EVERY = 3600.0
#: A reading belongs to the process that began it for so long, in seconds; then another may.
_LEASE = 600.0
#: After a failure it is tried again so many seconds later.
_RETRY_AFTER = 60.0
#: That the list is in no order is said so often, in seconds.
_WARN_EVERY = 86400.0


class _Found(NamedTuple):
    """How many events of an account were new, and whether its list has no other that is owed."""

    new: int
    is_complete: bool


class EventCatchUp:
    """The catching up of one connector."""

    def __init__(self, context: Context, api: Api, inbox: Inbox, confirm: Callable[[Accepted], None]) -> None:
        self._config, self._store, self._clock, _ = context
        self._events = api.events
        self._inbox = inbox
        self._confirm = confirm
        # What came before was taken in by other processes, or by none.
        self._here_since = self._clock.monotonic()
        self._checked = False
        self._open = False
        self._every: Optional[float] = None
        self._ask_at = self._warn_at = 0.0
        self._times_replaced = 0
        self._closed = WakeEvent()

    def check_for_outage(self) -> None:
        """There may have been an outage: the first time, see whether there was."""
        if not self._checked:
            self._checked = self._open = True

    def expect_webhooks(self) -> None:
        """Webhooks are to come in here, and may get lost: from time to time, see whether some did."""
        self.check_for_outage()
        self._every = _EVERY
        now = self._clock.monotonic()
        if now >= self._ask_at:
            self._ask_at, self._open = now + SHORTEST_OUTAGE, True

    def close(self) -> None:
        """Stop reading after the page that is being read."""
        self._closed.set()

    def read(self) -> None:
        """Read what is owed to be read, if no other process does. For a thread that may be held up."""
        environment, accounts = self._config.environment, self._config.accounts
        times_replaced = self._store.times_replaced
        if times_replaced > self._times_replaced:
            self._store.event_catchup.owe(environment, accounts)
            self._open = True
        # Less, where the store was closed and opened again.
        self._times_replaced = times_replaced
        if not self._open:
            return
        self._open, since = self._store.event_catchup.begin(
            environment,
            accounts,
            here_for=self._clock.monotonic() - self._here_since,
            shortest=SHORTEST_OUTAGE,
            longest=LONGEST_OUTAGE,
            lease=_LEASE,
            every=self._every,
            overlap=_OVERLAP,
        )
        if since is None:
            return
        done, again_in = False, _RETRY_AFTER
        try:
            found = [self._take_in(key, since) for key in (self._config.api_key, *self._config.api_keys)]
            read = [each for each in found if each is not None]
            if len(read) == len(found):
                done = all(each.is_complete for each in read)
                # A list in no order is read again with the next one; one that closing has interrupted, soon.
                again_in = SHORTEST_OUTAGE if done else _EVERY
            log.info("%d new events read from FedaPay's list", sum(each.new for each in read))
        except FedapayError as error:
            log.warning("reading FedaPay's events failed, again later: %s", error)
        self._open = not done
        self._store.event_catchup.finish(environment, done=done, again_in=again_in)

    def _take_in(self, key: Secret, since: float) -> Optional[_Found]:
        """Take in what the list of that account has; None if the connector was closed meanwhile."""
        try:
            reading = EventList(self._pages_of(key), lambda: not self._closed.wait(_GAP)).read_back_to(since)
        except FedapayError as error:
            if is_transient(error):
                raise
            # An old key, or a list that is not what we think: asked again it would be the same.
            log.warning("FedaPay's events not read: %s", error)
            return _Found(0, True)
        if reading is None or self._closed.is_set():
            return None
        # As they happened: of two ends, the one that is stored last counts.
        missed = [each for each in reading.events if each.object in (TRANSACTION, None) and each.entity is not None]
        new = sum(self._is_new(event) for event in missed)
        if not reading.is_complete:
            self._warn_of_disorder()
        return _Found(new, reading.is_complete)

    def _is_new(self, event: Event) -> bool:
        try:
            accepted = self._inbox.ingest_listed(event.as_webhook())
        except (TypeError, ValueError, ArithmeticError) as error:
            log.warning("event %s cannot be taken in (%s)", event.id, type(error).__name__)
            return False
        except StoreError as error:
            if not error.permanent:
                raise
            # Those behind it would wait for it for ever.
            log.error("event %s is refused by the database, going on with the others: %s", event.id, error)
            return False
        self._confirm(accepted)
        return accepted.new

    def _warn_of_disorder(self) -> None:
        now = self._clock.monotonic()
        if now >= self._warn_at:
            self._warn_at = now + _WARN_EVERY
            log.warning("FedaPay's events are listed in no order: %d pages read, some may be missing", MOST_PAGES)

    def _pages_of(self, key: Secret) -> Callable[[int], PagedList[Event]]:
        """Reads the pages of that account's list."""
        filters: Optional[Dict[str, str]] = {"object": TRANSACTION}

        def read(number: int) -> PagedList[Event]:
            nonlocal filters
            try:
                return self._events.list(page=number, filters=filters, api_key=key)
            except BadRequest as error:
                if filters is None or number > 1:
                    raise
                log.info("FedaPay refused a filter of its events (%s); asking without", error.code)
                filters = None
                return read(number)

        return read
