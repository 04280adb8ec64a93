"""FedaPay's list of events is read back to a moment whichever way round it is, and says whether all was seen."""

from datetime import datetime, timezone

import pytest

from fedapay_sync.models import Event, PagedList
from fedapay_sync.workflow.reconciliation.event_list import MOST_PAGES, EventList

SIZE = 4
HOUR = 3600
#: Stamps of the events, by their numbers: one an hour.
BEGINNING = 1_700_000_000


def event(number, at=None):
    seconds = BEGINNING + number * HOUR if at is None else at
    return Event.from_dict({"id": f"e{number}", "created_at": stamp(seconds), "object": "transaction"})


def stamp(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat()


class Server:
    """A list in pages, as FedaPay would give it; before each page something may happen to it."""

    def __init__(self, events, *, meta="whole", meanwhile=None):
        self.events = list(events)
        self.meta = meta
        self.meanwhile = meanwhile
        self.asked = []

    def read(self, number):
        self.asked.append(number)
        if self.meanwhile is not None and len(self.asked) > 1:
            self.meanwhile(self.events, len(self.asked))
        items = self.events[(number - 1) * SIZE : number * SIZE]
        total = -(-len(self.events) // SIZE)
        meta = {
            "whole": {
                "current_page": number, "next_page": number + 1 if number < total else None, "per_page": SIZE,
                "total_pages": total, "total_count": len(self.events),
            },
            "count": {"current_page": number, "per_page": SIZE, "total_count": len(self.events)},
            "next": {"next_page": number + 1 if number < total else None},
            "empty": {},
            "missing": None,
        }[self.meta]  # fmt: skip
        return PagedList("events", items, meta, self.read)

    def back_to(self, number):
        return EventList(self.read, lambda: True).read_back_to(BEGINNING + number * HOUR)


def numbers(reading):
    return [int(each.id[1:]) for each in reading.events]


@pytest.mark.parametrize("meta", ["whole", "count", "next", "empty", "missing"])
@pytest.mark.parametrize("step", [1, -1], ids=["oldest first", "newest first"])
def test_what_happened_since_is_read_whichever_end_comes_first(step, meta):
    """
    Also where meta is missing, or says little.
    """
    server = Server([event(number) for number in range(1, 31)][::step], meta=meta)
    reading = server.back_to(24)
    assert reading.is_complete and numbers(reading) == list(range(24, 31))


@pytest.mark.parametrize(("step", "pages"), [(1, [1, 8, 7, 6]), (-1, [1, 2, 3])], ids=["oldest first", "newest first"])
def test_no_more_pages_are_read_than_it_takes(step, pages):
    server = Server([event(number) for number in range(1, 31)][::step])
    server.back_to(22)
    assert server.asked == pages


@pytest.mark.parametrize("step", [1, -1])
def test_one_page_needs_no_order(step):
    server = Server([event(number) for number in (1, 3, 2)][::step])
    reading = server.back_to(2)
    assert reading.is_complete and numbers(reading) == [2, 3] and server.asked == [1]


def test_events_of_one_moment_come_in_any_order():
    """
    FedaPay's clocks are several: seconds tell nothing.
    """
    jitter = [event(number, BEGINNING + number * HOUR + (number % 3) * 20) for number in range(1, 31)]
    for step in (1, -1):
        reading = Server(jitter[::step]).back_to(25)
        assert reading.is_complete and numbers(reading) == list(range(25, 31))


def test_a_list_in_no_order_is_read_whole_and_is_not_done():
    """
    In the order in which it happened, all the same: of two ends the last one counts.
    """
    mixed = [event(number) for number in (5, 9, 2, 11, 1, 8, 12, 3, 10, 4, 7, 6)]
    reading = Server(mixed).back_to(6)
    assert not reading.is_complete and numbers(reading) == [6, 7, 8, 9, 10, 11, 12]


def test_a_list_that_turns_out_to_be_in_no_order_later_is_read_whole():
    newest_first = [event(number) for number in range(30, 10, -1)]
    reading = Server([*newest_first, *(event(number) for number in range(40, 50))]).back_to(5)
    assert not reading.is_complete and numbers(reading) == [*range(11, 31), *range(40, 50)]
    oldest_first = [event(number) for number in range(1, 5)]
    reading = Server([*oldest_first, *(event(number) for number in range(50, 4, -1))]).back_to(20)
    assert not reading.is_complete and numbers(reading) == list(range(20, 51))


def test_new_events_move_the_others_to_the_next_page_and_none_is_missed_or_doubled():
    def arrive(events, reading):
        events.insert(0, event(100 + reading))

    reading = Server([event(number) for number in range(30, 0, -1)], meanwhile=arrive).back_to(5)
    assert reading.is_complete and numbers(reading) == list(range(5, 31))


def test_new_events_at_the_end_hide_none_of_those_before():
    """
    What came after the reading began is the next reading's.
    """

    def arrive(events, reading):
        events.append(event(100 + reading))

    reading = Server([event(number) for number in range(1, 31)], meanwhile=arrive).back_to(5)
    assert reading.is_complete and [each for each in numbers(reading) if each <= 30] == list(range(5, 31))


def test_old_events_that_are_dropped_meanwhile_move_the_others_back_and_none_is_missed():
    def drop(events, _):
        del events[0]

    reading = Server([event(number) for number in range(1, 61)], meanwhile=drop).back_to(40)
    assert reading.is_complete and numbers(reading) == list(range(40, 61))


@pytest.mark.parametrize("step", [1, -1], ids=["oldest first", "newest first"])
def test_of_too_many_pages_the_newest_are_read(step):
    count = (MOST_PAGES + 20) * SIZE
    server = Server([event(number) for number in range(1, count + 1)][::step])
    reading = server.back_to(1)
    assert len(server.asked) == MOST_PAGES and reading.is_complete
    assert numbers(reading)[-1] == count and len(numbers(reading)) >= (MOST_PAGES - 1) * SIZE


def test_a_list_whose_end_is_not_told_and_not_reached_is_not_done():
    """
    Oldest first and no meta: the newest are beyond the last page that is read.
    """
    server = Server([event(number) for number in range(1, (MOST_PAGES + 20) * SIZE)], meta="missing")
    assert not server.back_to(1).is_complete and len(server.asked) == MOST_PAGES


@pytest.mark.parametrize("meta", ["whole", "missing"])
def test_a_server_that_knows_no_pages_is_asked_twice_at_most(meta):
    server = Server([event(number) for number in range(SIZE, 0, -1)], meta=meta)
    reading = EventList(lambda _: server.read(1), lambda: True).read_back_to(BEGINNING)
    assert reading.is_complete and numbers(reading) == [1, 2, 3, 4] and len(server.asked) <= 2


def test_a_reading_that_is_stopped_tells_nothing():
    for step in (1, -1):
        server = Server([event(number) for number in range(1, 31)][::step])
        assert EventList(server.read, lambda: False).read_back_to(BEGINNING) is None
        assert server.asked == [1]


def test_an_empty_list_is_complete():
    reading = Server([]).back_to(1)
    assert reading.is_complete and reading.events == []
