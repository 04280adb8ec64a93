"""Webhooks a second, each on disk before it is answered, beside a Flask endpoint that only answers "ok"."""

import contextlib
import statistics

import pytest
from measures import FULL, NUMBERS, ROUNDS, Load, at_least, at_most, bare, load, milliseconds, ours, percentile
from postgres_server import running_or_skipped

#: Of the bare endpoint's requests a second, in the same run.
SHARE, SHARE_OF_TWO = 0.40, 0.25
#: Seconds: p99 with 32 connections; the longest with two processes.
LATEST, LATEST_OF_TWO = 0.150, 0.500
COUNT = 3000 if FULL else 1500


def compared(floor_urls, our_urls, connections, count=COUNT):
    """Rounds of both in turn, so that what else the machine does is done to both."""
    floors, found = [], []
    for _ in range(ROUNDS):
        floors.append(load(floor_urls, connections, NUMBERS.take(count)))
        found.append(load(our_urls, connections, NUMBERS.take(count)))
    return floors, found


def told(name, floors, found):
    """The share that counts, that of the middle round, and the lines that show it."""
    floor, rate = (statistics.median(each.rate for each in rounds) for rounds in (floors, found))
    share = statistics.median(each.rate / beside.rate for each, beside in zip(found, floors))
    late = [seconds for each in found for seconds in each.late]
    print(
        f"\nbare Flask/waitress, {name:36} {floor:6.0f} a second   {milliseconds([s for f in floors for s in f.late])}"
    )
    print(f"durable webhooks,    {name:36} {rate:6.0f} a second   {milliseconds(late)}   {share:.2f} of the bare")
    return share, late


def all_well(rounds: "list[Load]") -> bool:
    return all(each.statuses == [200] for each in rounds)


@pytest.mark.parametrize("connections", [8, 32])
def test_durable_webhooks_keep_up_with_a_bare_endpoint(sqlite_url, connections):
    """
    0.40 of its requests a second, none refused, and p99 150 ms at most with 32 connections.
    """
    with bare() as floor, ours(sqlite_url) as shop:
        floors, found = compared([floor.url], [shop.url], connections)

    share, late = told(f"{connections} connections", floors, found)
    assert all_well(found)
    assert share >= at_least(SHARE)
    if connections == 32:
        assert percentile(late, 0.99) <= at_most(LATEST)


def test_two_processes_on_one_file_keep_up_too(sqlite_url):
    """
    A quarter of two bare endpoints at least, and nobody waits half a second.
    """
    with contextlib.ExitStack() as running:
        floor = [running.enter_context(bare()).url for _ in range(2)]
        shops = [running.enter_context(ours(sqlite_url)).url for _ in range(2)]
        floors, found = compared(floor, shops, 32)

    share, late = told("2 processes, 32 connections", floors, found)
    assert all_well(found)
    assert share >= at_least(SHARE_OF_TWO)
    assert max(late) <= at_most(LATEST_OF_TWO)


def test_durable_webhooks_on_postgresql():
    """
    No promise but that none is refused; the figure is for those who choose.
    """
    # Not the server of the other tests, which does not wait for its disk.
    with running_or_skipped(durable=True) as server, bare() as floor, ours(server.url) as shop:
        for connections in (8, 32):
            floors, found = compared([floor.url], [shop.url], connections, 1500)
            told(f"PostgreSQL, {connections} connections", floors, found)
            assert all_well(found)
