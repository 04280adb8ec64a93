"""The budget of status readings: so many slots a second for all processes, the urgent ones first."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from fedapay_sync.common.clock import Clock
from fedapay_sync.store import Priority


class StoppedClock(Clock):
    """It stands, and starts at a second in which nothing is everybody's."""

    def __init__(self):
        self.time = 1_800_000_001.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.time


@pytest.fixture
def clock():
    return StoppedClock()


def take(store, *, rate=5.0, account="shop", **wanted):
    """When slots come, in seconds, and for what none do."""
    grant = store.poll_budget.take(
        "sandbox", account, {Priority[name]: count for name, count in wanted.items()}, rate=rate
    )
    return [round(slot, 3) for slot in grant.slots], {each.name for each in grant.refused}


def test_the_first_reading_may_be_made_at_once(store):
    assert take(store, waited=1) == ([0.0], set())


def test_slots_come_at_the_rate_and_at_most_a_second_ahead(store, second, clock):
    """
    What was saved while nothing was read is three readings at most (at five a second), however long that was.
    """
    slots, _ = take(store, followed=100, rate=4.0)
    assert slots == [0.0, 0.0, 0.0, 0.15, 0.4, 0.65, 0.9]
    assert take(second, followed=100, rate=4.0) == ([], set())
    clock.time += 1.0
    assert take(second, followed=100, rate=4.0)[0] == [0.15, 0.4, 0.65, 0.9]


def test_no_second_has_more_than_twice_the_budget_whichever_processes_ask(store, second, clock):
    begun, readings = clock.time, []
    for step in range(400):
        clock.time = begun + step * 0.05 + (100.0 if step >= 200 else 0.0)
        slots, _ = take((store, second)[step % 2], followed=3, rate=5.0)
        readings += [clock.time - begun + slot for slot in slots]
    readings.sort()
    assert all(sum(first <= each < first + 1.0 for each in readings) <= 10 for first in readings)
    assert 90 <= len(readings) <= 5 * 20 + 2 * 8


def test_two_processes_never_get_the_same_slot(store, second, clock):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda place: take((store, second)[place % 2], waited=2)[0], range(16)))
    # What was saved, and as far ahead as a process looks that is not granted several at once.
    assert 6 <= sum(map(len, found)) <= 9


def test_each_account_and_each_rate_has_its_own(store, clock):
    take(store, waited=100)
    assert take(store, account="other", waited=1)[0] == [0.0]
    assert take(store, account="slow", waited=2, rate=0.1)[0] == [0.0]
    clock.time += 8
    assert take(store, account="slow", waited=2, rate=0.1)[0] == []
    clock.time += 1
    assert take(store, account="slow", waited=2, rate=0.1)[0] == [0.4]


def test_what_is_urgent_and_has_no_slot_keeps_the_next_ones_from_what_is_not(store, second, clock):
    """
    Also in another process; and when it is over the others go on.
    """
    assert take(store, deadline=100)[1] == set()
    clock.time += 1.0
    assert take(second, waited=5, followed=5) == ([], {"waited", "followed"})
    assert len(take(second, begun=1, waited=5)[0]) == 1
    clock.time += 2.0
    assert take(second, waited=5)[1] == set()


def test_waits_come_before_what_no_thread_waits_for_but_for_one_second_in_five(store, second, clock):
    """
    Whichever one: a server's clock stands where it stands.
    """
    refused = []
    for _ in range(5):
        take(store, waited=100)
        refused.append(take(second, followed=5)[1])
        clock.time += 1.0
    assert sorted(refused, key=len) == [set(), *[{"followed"}] * 4]


def test_while_one_process_reads_lists_deadlines_have_no_slots_of_their_own(store, second, clock):
    """
    A list decides many. Payments that have just begun are looked at all the same.
    """
    assert store.poll_budget.begin_listing("sandbox", "shop")
    assert not second.poll_budget.begin_listing("sandbox", "shop")
    assert take(second, deadline=5) == ([], {"deadline", "waited", "followed"})
    assert take(second, deadline=5, begun=1)[0] == [0.0]
    assert take(store, listed=2)[0] == [0.0, 0.0]
    store.poll_budget.end_listing("sandbox", "shop")
    assert take(second, deadline=5)[0]


def test_a_process_that_dies_while_it_reads_lists_is_noticed(store, second, clock):
    """
    As long as it asks for pages it is alive.
    """
    store.poll_budget.begin_listing("sandbox", "shop")
    for _ in range(5):
        clock.time += 10
        take(store, listed=1)
    assert not second.poll_budget.begin_listing("sandbox", "shop")
    clock.time += 16
    assert take(second, deadline=1)[0] == [0.0]
    assert second.poll_budget.begin_listing("sandbox", "shop")


@pytest.mark.parametrize("seconds", [3600, 60, 20])
def test_a_clock_set_back_holds_nothing_up(store, clock, seconds):
    store.poll_budget.begin_listing("sandbox", "shop")
    take(store, listed=100, deadline=100, waited=100)
    clock.time -= seconds
    assert take(store, deadline=1, waited=1, followed=1)[0][0] == 0.0


def test_nothing_is_written_where_nothing_is_granted(store, second, clock):
    take(store, followed=100)
    version = second.data_version()
    assert take(store, followed=100)[0] == []
    assert second.data_version() == version
