"""What the benchmarks share: bounds, servers and the load on them in processes of their own, and how figures read."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from load import WARM

import fedapay_sync

ROOT = Path(fedapay_sync.__file__).parents[1]
SECRET = "wh_sandbox_SecretPourMesurer"
#: Nobody answers there: nothing that is measured asks FedaPay anything.
NO_API, KEY = "http://127.0.0.1:9", "sk_sandbox_ClePourMesurer"
ROUNDS = 3
HERE = Path(__file__).resolve().parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE.parent)]),
    "NO_PROXY": "127.0.0.1,localhost",
}

#: On a machine that is shared with others, as in CI, half of what is promised must do.
FULL = os.environ.get("FULL_BOUNDS") == "1" or os.environ.get("CI") != "true"


def at_least(promised: float) -> float:
    return promised if FULL else promised / 2


def at_most(promised: float) -> float:
    return promised if FULL else promised * 2


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def milliseconds(values: Sequence[float]) -> str:
    return (
        f"median {statistics.median(values) * 1e3:7.2f} ms   "
        f"p99 {percentile(values, 0.99) * 1e3:7.2f} ms   max {max(values) * 1e3:7.2f} ms"
    )


class Server:
    """A server in a process of its own, and what it can be told over its stdin."""

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **{"env": ENVIRONMENT, **options}
        )
        self.url = self.process.stdout.readline().strip()
        assert self.url, "the server did not start"

    def wait_for(self, numbers: Sequence[int]) -> None:
        """Have the ends of these payments waited for; comes back when they are."""
        self.process.stdin.write(json.dumps(list(numbers)) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "waiting\n"

    def ended(self) -> Dict[int, float]:
        """When each wait ended, on the machine's monotonic clock."""
        return {int(number): at for number, at in json.loads(self.process.stdout.readline()).items()}

    def called(self, count: int) -> List[Tuple[int, str, float]]:
        """
        The callbacks that have ended since it was last asked: of which payment, under which name, and when.

        Comes back when they are so many, and what the server does after their ends is done; or after a minute.
        """
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return [(number, name, at) for number, name, at in json.loads(self.process.stdout.readline())]

    def cpu(self) -> float:
        """Seconds of a core that it has used so far."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[Server]:
    """One of the servers of shop.py."""
    server = Server([sys.executable, str(HERE / "shop.py"), *arguments])
    try:
        yield server
    finally:
        server.stop()


def bare() -> Any:
    return serving("bare")


def ours(db_url: str, *callbacks: str) -> Any:
    """A connector, with callbacks of these names."""
    return serving("ours", NO_API, KEY, SECRET, db_url, *callbacks)


@contextlib.contextmanager
def asynchronous(python: str, folder: Path, *arguments: str) -> Iterator[Server]:
    """The asynchronous connector, by the interpreter that has it."""
    environment = {**ENVIRONMENT, "PYTHONPATH": "", "FEDAPAY_API_KEY": KEY}
    server = Server([python, str(HERE / "peer.py"), NO_API, SECRET, *arguments], cwd=str(folder), env=environment)
    try:
        yield server
    finally:
        server.stop()


class Load(NamedTuple):
    """How a number of webhooks were answered: how many a second, how late each, and which was sent when."""

    rate: float
    late: List[float]
    statuses: List[int]
    sent: Dict[int, float]
    answered: Dict[int, float]


class Numbers:
    """Numbers of transactions, none of them twice."""

    def __init__(self) -> None:
        self._next = 1_000_000

    def take(self, count: int) -> range:
        # Room before them for those that warm everything up.
        first = self._next + 1_000
        self._next = first + count
        return range(first, first + count)


NUMBERS = Numbers()


def load(urls: Sequence[str], connections: int, numbers: range, warm: int = WARM) -> Load:
    """Send a webhook for each of the numbers, over so many connections that are kept."""
    order = {"urls": list(urls), "connections": connections, "first": numbers[0], "count": len(numbers), "warm": warm}
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py")], input=json.dumps({**order, "secret": SECRET}), env=ENVIRONMENT,
        stdout=subprocess.PIPE, text=True, timeout=120, check=True,
    )  # fmt: skip
    rows = json.loads(done.stdout)
    sent, answered = {row[0]: row[2] for row in rows}, {row[0]: row[3] for row in rows}
    return Load(
        rate=len(rows) / (max(answered.values()) - min(sent.values())),
        late=[answered[number] - sent[number] for number in sent],
        statuses=sorted({row[1] for row in rows}),
        sent=sent,
        answered=answered,
    )
