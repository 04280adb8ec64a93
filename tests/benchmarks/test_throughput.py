"""Webhooks a second, each on disk before it is answered, beside a Flask endpoint that only answers "ok"."""

import contextlib
import statistics
from typing import Dict, List, NamedTuple, Sequence, Tuple

import pytest
from measures import (
    FULL,
    NUMBERS,
    ROUNDS,
    WARM,
    Load,
    Server,
    at_least,
    at_most,
    bare,
    load,
    milliseconds,
    ours,
    percentile,
)
from support.postgres_server import running_or_skipped

#: Of the bare endpoint's requests a second, in the same run.
SHARE, SHARE_OF_TWO = 0.40, 0.25
#: Seconds: p99 with 32 connections; the longest with two processes.
LATEST, LATEST_OF_TWO = 0.150, 0.500
COUNT = 3000 if FULL else 1500


class Side(NamedTuple):
    """One of the two that are compared: its rounds, and what a request costs it in seconds of a core."""

    rounds: List[Load]
    cost: float

    @property
    def late(self) -> List[float]:
        return [seconds for each in self.rounds for seconds in each.late]

    def __str__(self) -> str:
        rate = statistics.median(each.rate for each in self.rounds)
        return f"{rate:6.0f} a second   {milliseconds(self.late)}   {self.cost * 1e6:4.0f} µs of a core each"


def compared(
    name: str, floor: Sequence[Server], ours: Sequence[Server], connections: int, count: int = COUNT
) -> Tuple[float, Side]:
    """Our share of the floor's requests a second, that of the middle round, and how ours did; both are printed."""
    rounds: Dict[str, List[Load]] = {"floor": [], "ours": []}
    used = {"floor": 0.0, "ours": 0.0}
    for _ in range(ROUNDS):
        # In turn, so that what else the machine does is done to both.
        for side, servers in (("floor", floor), ("ours", ours)):
            before = sum(server.cpu() for server in servers)
            rounds[side].append(load([server.url for server in servers], connections, NUMBERS.take(count)))
            used[side] += sum(server.cpu() for server in servers) - before
    sides = {side: Side(rounds[side], used[side] / ROUNDS / (count + WARM * connections)) for side in rounds}
    share = statistics.median(found.rate / beside.rate for found, beside in zip(rounds["ours"], rounds["floor"]))
    print(f"\nbare Flask/waitress, {name:27} {sides['floor']}")
    print(f"durable webhooks,    {name:27} {sides['ours']}   {share:.2f} of the bare")
    assert all(each.statuses == [200] for each in rounds["ours"])
    return share, sides["ours"]


@pytest.mark.parametrize("connections", [8, 32])
def test_durable_webhooks_keep_up_with_a_bare_endpoint(sqlite_url, connections):
    """
    0.40 of its requests a second, none refused, and p99 150 ms at most with 32 connections.
    """
    with bare() as floor, ours(sqlite_url) as shop:
        share, found = compared(f"{connections} connections", [floor], [shop], connections)

    assert share >= at_least(SHARE)
    if connections == 32:
        assert percentile(found.late, 0.99) <= at_most(LATEST)


def test_two_processes_on_one_file_keep_up_too(sqlite_url):
    """
    A quarter of two bare endpoints at least, and nobody waits half a second.
    """
    with contextlib.ExitStack() as running:
        floor = [running.enter_context(bare()) for _ in range(2)]
        shops = [running.enter_context(ours(sqlite_url)) for _ in range(2)]
        share, found = compared("2 processes, 32 connections", floor, shops, 32)

    assert share >= at_least(SHARE_OF_TWO)
    assert max(found.late) <= at_most(LATEST_OF_TWO)


def test_durable_webhooks_on_postgresql():
    """
    No promise but that none is refused; the figure is for those who choose.
    """
    # Not the server of the other tests, which does not wait for its disk.
    with running_or_skipped(durable=True) as server, bare() as floor, ours(server.url) as shop:
        for connections in (8, 32):
            compared(f"PostgreSQL, {connections} connections", [floor], [shop], connections, 1500)
