"""
Reads FedaPay's list of events back to a moment, whichever way round it is listed.

Every list that was recorded has the newest first; nothing promises it. The stamps tell it. Where the oldest come first,
the reading goes on from the last page backwards. Where neither is true no page tells what others hold: all are read.
"""

from enum import Enum
from typing import Callable, List, NamedTuple, Optional, Sequence, Set

from fedapay_sync.common.logging import get_logger
from fedapay_sync.models import Event, PagedList

log = get_logger(__name__)

#: Pages read at most.
MOST_PAGES = 50
#: Events of one moment come in no order: stamps that differ by less, in seconds, say nothing.
_SLACK = 60.0


class Order(Enum):
    """How events are listed, as far as their stamps tell."""

    newest_first = "newest first"
    oldest_first = "oldest first"
    mixed = "mixed"
    #: All have one stamp, or there are fewer than two.
    untold = "untold"


class Reading(NamedTuple):
    """
    What was read.

    Attributes:
        events: those since the moment, as they happened.
        is_complete: the list has no other of them, as far as its order tells.
    """

    events: List[Event]
    is_complete: bool


class EventList:
    """
    One reading of one account's list.

    Args:
        read: gives the page of a number; the first is 1.
        pause: waits between two pages; false if there is to be no other.
    """

    def __init__(self, read: Callable[[int], PagedList[Event]], pause: Callable[[], bool]) -> None:
        self._read = read
        self._pause = pause
        # As they are listed: what was read from the first page on, and what was read from the last page back.
        self._front: List[Event] = []
        self._back: List[Event] = []
        self._ids: Set[object] = set()
        self._pages = 0
        # The page after those that were read from the first on; None after the last.
        self._next: Optional[int] = 1
        self._last: Optional[int] = None

    def read_back_to(self, since: float) -> Optional[Reading]:
        """Read what happened since then; None if there was no time."""
        while self._next is not None and self._pages < MOST_PAGES:
            if self._pages and not self._pause():
                return None
            self._read_next()
            order = _order_of(self._front)
            if order == Order.newest_first and _oldest(self._front) < since:
                break
            if order == Order.oldest_first and self._next is not None and self._last is not None and not self._back:
                if not self._read_from_the_end(since):
                    return None
                if _order_of(self._front + self._back) != Order.mixed:
                    break
        return self._reading(since)

    def _read_next(self) -> None:
        number = self._next or 1
        page = self._read(number)
        self._front += (new := self._take(page))
        self._next = number + 1 if new and _has_more(page, number) else None
        self._last = _last_page(page)

    def _read_from_the_end(self, since: float) -> bool:
        """Read pages from the last one backwards; false if there was no time."""
        numbers = range(self._last or 0, (self._next or 1) - 1, -1)
        for number in numbers[: MOST_PAGES - self._pages]:
            if not self._pause():
                return False
            new = self._take(self._read(number))
            self._back = new + self._back
            if new and _oldest(new) < since:
                break
        else:
            if len(numbers) <= MOST_PAGES - self._pages:
                self._next = None
        return True

    def _take(self, page: PagedList[Event]) -> List[Event]:
        """The events of that page that were on none before: what comes in meanwhile moves others to the next page."""
        self._pages += 1
        new = [each for each in page.items if each.id is None or each.id not in self._ids]
        self._ids.update(each.id for each in new)
        return new

    def _reading(self, since: float) -> Reading:
        listed = self._front + self._back
        order = _order_of(listed)
        is_told = order == Order.newest_first or (order == Order.oldest_first and bool(self._back))
        if is_told and self._pages >= MOST_PAGES:
            log.warning("more than %d pages of events; the older ones are left", MOST_PAGES)
        if order == Order.newest_first:
            listed.reverse()
        elif order == Order.mixed:
            listed.sort(key=lambda event: _stamp(event, since))
        kept = [each for each in listed if _stamp(each, since) >= since]
        # Of a list in no order, what came in during the reading may have moved anything to a page read before.
        is_whole = self._next is None and (order != Order.mixed or self._pages == 1)
        return Reading(kept, is_told or is_whole)


def _order_of(events: Sequence[Event]) -> Order:
    stamps = [each.created_at.timestamp() for each in events if each.created_at is not None]
    pairs = list(zip(stamps, stamps[1:]))
    falls, rises = (all(sign * (b - a) <= _SLACK for a, b in pairs) for sign in (1, -1))
    if not pairs or (falls and rises and stamps[0] == stamps[-1]):
        return Order.untold
    if falls and stamps[0] > stamps[-1]:
        return Order.newest_first
    if rises and stamps[0] < stamps[-1]:
        return Order.oldest_first
    return Order.mixed


def _oldest(events: Sequence[Event]) -> float:
    return min((each.created_at.timestamp() for each in events if each.created_at is not None), default=float("inf"))


def _stamp(event: Event, otherwise: float) -> float:
    return otherwise if event.created_at is None else event.created_at.timestamp()


def _has_more(page: PagedList[Event], number: int) -> bool:
    """Whether there may be a page after that one; also where ``meta`` is missing, or says nothing of it."""
    meta = page.meta
    if isinstance(meta.next_page, int):
        return True
    if isinstance(meta.total_pages, int):
        # A list without it looks as if it were one page.
        is_missing = meta.total_pages == 1 and meta.per_page == meta.total_count == len(page.items)
        return is_missing or meta.total_pages > number
    return True


def _last_page(page: PagedList[Event]) -> Optional[int]:
    """The number of the last page, as far as ``meta`` tells."""
    meta = page.meta
    if isinstance(meta.total_pages, int) and meta.total_pages > 1:
        return meta.total_pages
    if isinstance(meta.total_count, int) and isinstance(meta.per_page, int) and meta.total_count > meta.per_page > 0:
        return -(-meta.total_count // meta.per_page)
    return None
