"""
Beside the asynchronous connector: webhooks a second, and how soon a wait ends. It keeps webhooks in memory, we on disk.
"""

import statistics

import pytest
from measures import NUMBERS, ROUNDS, asynchronous, at_least, at_most, load, milliseconds, ours, percentile

#: Times its webhooks a second, and of its time to wake: median and p99.
UNAWAITED, AWAITED, WAKE, WAKE_P99 = 1.5, 4, 0.5, 1.0
WAITERS, CONNECTIONS = 300, 8


@pytest.fixture
def pair(installed, tmp_path, sqlite_url):
    """The peer and ours, running."""
    with asynchronous(installed, tmp_path) as peer, ours(sqlite_url) as shop:
        yield peer, shop


def unawaited(server):
    """Webhooks a second while nobody waits."""
    found = load([server.url], CONNECTIONS, NUMBERS.take(1000))
    assert found.statuses == [200]
    return found.rate


def awaited(server):
    """Webhooks a second where each has somebody who waits, until the last wait has ended."""
    numbers = NUMBERS.take(WAITERS)
    server.wait_for(numbers)
    found, ended = load([server.url], CONNECTIONS, numbers), server.ended()
    assert found.statuses == [200]
    return WAITERS / (max(*ended.values(), *found.answered.values()) - min(found.sent.values()))


def woken(server):
    """Seconds from sending a webhook to the end of the wait for it, one after the other."""
    numbers = NUMBERS.take(100)
    server.wait_for(numbers)
    found, ended = load([server.url], 1, numbers), server.ended()
    return [ended[number] - found.sent[number] for number in numbers]


def both(pair, measure):
    """Rounds of both in turn: the peer's figures and ours."""
    rounds = [(measure(pair[0]), measure(pair[1])) for _ in range(ROUNDS)]
    return [each for each, _ in rounds], [each for _, each in rounds]


@pytest.mark.parametrize(("measure", "times"), [(unawaited, UNAWAITED), (awaited, AWAITED)])
def test_more_webhooks_a_second_than_the_asynchronous_connector(pair, measure, times):
    """
    1.5 times as many when nobody waits, 4 times when each has a waiter.
    """
    theirs, found = (statistics.median(each) for each in both(pair, measure))

    print(f"\nthe asynchronous connector, in memory, {measure.__name__:10} {theirs:6.0f} webhooks a second")
    print(f"durable webhooks,                      {measure.__name__:10} {found:6.0f} webhooks a second", end="")
    print(f"   {found / theirs:.1f} times as many")
    assert found / theirs >= at_least(times)


def test_a_wait_ends_sooner_than_in_the_asynchronous_connector(pair):
    """
    In half its time at most, from the sending of the webhook on, and p99 no later than its own.
    """
    theirs, found = ([late for each in rounds for late in each] for rounds in both(pair, woken))

    print(f"\nthe asynchronous connector, webhook sent -> finalise returned   {milliseconds(theirs)}")
    print(f"ours,                       webhook sent -> finalise returned   {milliseconds(found)}")
    assert statistics.median(found) <= at_most(WAKE) * statistics.median(theirs)
    assert percentile(found, 0.99) <= at_most(WAKE_P99) * percentile(theirs, 0.99)
