"""
Reading up on an absence: what happened at FedaPay while nobody was here to hear of it.

FedaPay repeats a webhook for some twenty minutes. What it told later lies in ``/v1/events``, and comes in from there
under the same key as the webhook would have. The filters of that list are not documented: nothing else may depend on
this going well.

Who is here may miss webhooks as well: the network, the disk or FedaPay fails for a while, or FedaPay has switched the
webhook off. A payment of ours is looked at by itself (``followup.py``); of one that another program began only the
events tell. So they are read once an hour where webhooks are to come in.
"""

import threading
from typing import TYPE_CHECKING, Iterator, Optional

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.common.config import Config
from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import BadRequest, FedapayError
from fedapay_sync.models import Event
from fedapay_sync.models.entity import TRANSACTION
from fedapay_sync.resources.api import Api
from fedapay_sync.workflow.reconciliation.status_reader import may_pass
from fedapay_sync.workflow.webhooks.inbox import Inbox

if TYPE_CHECKING:
    from fedapay_sync.store import Store

log = get_logger(__name__)

#: Seconds without any event that count as an absence.
SHORTEST = 20 * 60.0
#: An absence longer than this is left to the merchant, in seconds.
LONGEST = 30 * 86400.0
#: FedaPay's clock is not ours, and events do not come in order: read so much further back, in seconds.
_OVERLAP = 3600.0
#: Pages read for one account at most.
_PAGES = 50
#: Seconds between two pages.
_GAP = 0.2
#: Where webhooks are to come in, the events are read so many seconds after the last time at the latest, and a process
#: asks every :data:`SHORTEST` seconds whether it is time.
_EVERY = 3600.0
#: Reading belongs to whoever began it for so long, in seconds; then another may.
_LEASE = 600.0
#: After a failure it is tried again so many seconds later.
_AGAIN = 60.0


class Absences:
    """What one connector does about having been away."""

    def __init__(self, config: Config, store: "Store", api: Api, inbox: Inbox, clock: Clock = SYSTEM_CLOCK) -> None:
        self._config = config
        self._store = store
        self._events = api.events
        self._inbox = inbox
        self._clock = clock
        # What came before was heard by others, or by nobody.
        self._here_since = clock.now()
        self._suspected = False
        self._open = False
        self._every: Optional[float] = None
        self._ask_at = 0.0
        self._closed = threading.Event()

    def suspect(self) -> None:
        """There may have been an absence: the first time, see whether there was."""
        if not self._suspected:
            self._suspected = self._open = True

    def expect_webhooks(self) -> None:
        """They are to come in here, and may get lost: from time to time, see whether they did."""
        self.suspect()
        self._every = _EVERY
        now = self._clock.monotonic()
        if now >= self._ask_at:
            self._ask_at, self._open = now + SHORTEST, True

    def close(self) -> None:
        """Stop reading after the page that is being read."""
        self._closed.set()

    def read(self) -> None:
        """Read what is owed to be read, if nobody else does. On a thread that may be held up."""
        if not self._open:
            return
        environment, accounts = self._config.environment, self._config.accounts
        self._open, since = self._store.begin_catching_up(
            environment,
            accounts,
            before=self._here_since,
            shortest=SHORTEST,
            longest=LONGEST,
            lease=_LEASE,
            every=self._every,
            overlap=_OVERLAP,
        )
        if since is None:
            return
        done = False
        try:
            found = [self._take_in(key, since) for key in (self._config.api_key, *self._config.api_keys)]
            done = None not in found
            log.info("%d new events read from FedaPay's list", sum(each or 0 for each in found))
        except FedapayError as error:
            log.warning("reading FedaPay's events failed, again later: %s", error)
        self._open = not done
        self._store.end_catching_up(environment, done=done, again_in=SHORTEST if done else _AGAIN)

    def _take_in(self, key: str, since: float) -> Optional[int]:
        """How many events of that account were new; None if the connector was closed meanwhile."""
        missed = []
        try:
            for event in self._listed(key):
                if event.created_at is not None and event.created_at.timestamp() < since:
                    break
                if event.object in (TRANSACTION, None) and event.entity is not None:
                    missed.append(event)
        except FedapayError as error:
            if may_pass(error):
                raise
            # An old key, or a list that is not what we think: asked again it would be the same.
            log.warning("FedaPay's events not read: %s", error)
        if self._closed.is_set():
            return None
        # As they happened: of two ends, the one that is stored last counts.
        return sum(self._is_new(event) for event in reversed(missed))

    def _is_new(self, event: Event) -> bool:
        try:
            return self._inbox.take_listed(event.as_webhook()).new
        except (TypeError, ValueError, ArithmeticError) as error:
            log.warning("event %s cannot be taken in (%s)", event.id, type(error).__name__)
            return False

    def _listed(self, key: str) -> Iterator[Event]:
        """FedaPay's events, newest first, page after page."""
        try:
            first = self._events.list(filters={"object": TRANSACTION}, api_key=key)
        except BadRequest as error:
            log.info("FedaPay refused a filter of its events (%s); asking without", error.code)
            first = self._events.list(api_key=key)
        for number, page in enumerate(first.pages(), 1):
            yield from page.items
            if number == _PAGES:
                log.warning("more than %d pages of events; the older ones are left", _PAGES)
                return
            if self._closed.wait(_GAP):
                return
