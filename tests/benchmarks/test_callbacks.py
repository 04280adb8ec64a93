"""
The whole way of a webhook to the program's callback, beside the asynchronous connector.

It calls from memory, before anything is on disk, and what it holds is gone with its process. Ours are stored before the
answer, taken from the store under a lease, and their ends are stored: none is lost, and each is called once unless its
process dies in the midst of it.
"""

import itertools
import statistics
from collections import Counter
from typing import Dict, List, NamedTuple, Sequence

import pytest
from measures import FULL, NUMBERS, ROUNDS, Server, asynchronous, at_least, at_most, load, milliseconds, ours
from support.postgres_server import running_or_skipped

#: Times the asynchronous connector's time to the answer over one connection, its callbacks a second by connections, and
#: its seconds of a core.
ANSWERED, FINISHED, CORE = 1.0, {1: 1.0, 8: 1.2, 32: 1.2}, 0.8
#: Webhooks of one round, by connections.
COUNT = {1: 300, 8: 1000, 32: 1000} if FULL else {1: 150, 8: 500, 32: 500}
ONE = ("livraison",)
THREE = ("livraison", "comptabilite", "courriel")


class Round(NamedTuple):
    """How late webhooks were answered, how many callbacks ended a second, and what a webhook used of a core."""

    late: List[float]
    finished: float
    core: float

    @property
    def answered(self) -> float:
        return statistics.median(self.late)


class Side:
    """One of those that are compared: its server, the names of its callbacks, and its rounds."""

    def __init__(self, server: Server, names: Sequence[str]) -> None:
        self._server, self._names = server, names
        self.rounds: List[Round] = []

    def warm_up(self, connections: int) -> None:
        self._measure(connections, 10 * connections)

    def measure(self, connections: int) -> None:
        self.rounds.append(self._measure(connections, COUNT[connections]))

    def _measure(self, connections: int, count: int) -> Round:
        """From the first webhook sent until the last callback has ended; what is stored after that costs too."""
        numbers, used = NUMBERS.take(count), self._server.cpu()
        # None beforehand: their callbacks would run meanwhile.
        found = load([self._server.url], connections, numbers, warm=0)
        ended = self._server.called(count * len(self._names))
        used = self._server.cpu() - used
        assert found.statuses == [200]
        assert Counter(each[:2] for each in ended) == Counter(itertools.product(numbers, self._names))
        took = max(at for _, _, at in ended) - min(found.sent.values())
        return Round(found.late, len(ended) / took, used / count)

    def end(self) -> None:
        """No callback came a second time later on."""
        assert self._server.called(0) == []

    def __str__(self) -> str:
        late = [seconds for each in self.rounds for seconds in each.late]
        finished, core = (statistics.median(values) for values in zip(*(each[1:] for each in self.rounds)))
        return f"answered {milliseconds(late)}   {finished:5.0f} callbacks a second   {core * 1e3:5.2f} ms of a core"


def compared(sides: Dict[str, Side], connections: int) -> None:
    """Rounds of all sides in turn, so that what else the machine does is done to each of them; printed."""
    for side in sides.values():
        side.warm_up(connections)
    for _ in range(ROUNDS):
        for side in sides.values():
            side.measure(connections)
    print()
    for name, side in sides.items():
        side.end()
        print(f"{f'{name}, connections: {connections}':40} {side}")


def ratio(one: Side, other: Side, figure: str) -> float:
    """How many times the other's figure the one's is: that of the middle round."""
    return statistics.median(
        getattr(mine, figure) / getattr(theirs, figure) for mine, theirs in zip(one.rounds, other.rounds)
    )


@pytest.mark.parametrize("connections", COUNT)
def test_callbacks_keep_up_with_the_asynchronous_connector(installed, tmp_path, sqlite_url, connections):
    """
    Over one connection answered as soon, and as many callbacks a second; over 8 and 32 connections 1.2 times as many,
    for 0.8 of its seconds of a core. Each is called once. Three callbacks are for those who choose.
    """
    other = f"sqlite:///{tmp_path}/three/processes.db"
    with asynchronous(installed, tmp_path, *ONE) as peer, ours(sqlite_url, *ONE) as shop, ours(other, *THREE) as many:
        theirs, found = Side(peer, ONE), Side(shop, ONE)
        compared({"asynchronous": theirs, "ours": found, "ours, three callbacks": Side(many, THREE)}, connections)

    answered, finished, core = (ratio(found, theirs, figure) for figure in ("answered", "finished", "core"))
    print(f"ours / asynchronous: answered {answered:.2f}   callbacks a second {finished:.2f}   of a core {core:.2f}")
    assert finished >= at_least(FINISHED[connections])
    if connections == 1:
        assert answered <= at_most(ANSWERED)
    else:
        assert core <= at_most(CORE)


def test_callbacks_on_postgresql():
    """
    No promise but that each is called once; the figures are for those who choose. The server's own work is not counted.
    """
    # Not the server of the other tests, which does not wait for its disk.
    with running_or_skipped(durable=True) as server:
        for connections in COUNT:
            with ours(server.schema_url(f"callbacks_{connections}"), *ONE) as shop:
                compared({"ours, PostgreSQL": Side(shop, ONE)}, connections)
