"""
What each promise of durability costs on this disk: of a commit, a webhook, its callback, a payment and a wait.

Figures without a bound, for docs/architecture.md and for those who choose a disk or a database. Steps of one table do
the same work, each a little more of it than the one above, in turn in one run.
"""

import contextlib
import shutil
import sqlite3
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import pytest
from load import webhook
from measures import KEY, NO_API, NUMBERS, ROUNDS, Server, bare, load, ours
from support.postgres_server import running_or_skipped
from support.stored_listens import make_known
from test_pay import CLIENT, NEVER, SETUP, Floor, standing_in

from fedapay_sync import Connector
from fedapay_sync.store import Store
from fedapay_sync.store.sqlite.connection import SqliteConnection
from fedapay_sync.store.sqlite.lockfile import ProcessLock

#: Of one round: commits, webhooks by connections, payments and waits.
COMMITS, WEBHOOKS, PAYMENTS = 300, {1: 150, 32: 320}, 60
CALLBACK = "livraison"


class Took(NamedTuple):
    """What one of many took, in seconds: the median; of a core; and how many commits there were for each."""

    each: float
    core: float
    commits: Optional[float] = None


Step = Callable[[], Took]


def shown(title: str, steps: Dict[str, Step]) -> Dict[str, Took]:
    """The middle of the rounds of each step, all of them in turn; printed, with what a step adds to the one above."""
    rounds: Dict[str, List[Took]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            rounds[name].append(step())
    found = {
        name: Took(*(None if None in values else statistics.median(values) for values in zip(*each)))
        for name, each in rounds.items()
    }
    print(f"\n{title:62} {'median':>10}  {'more':>8}  {'of a core':>10}  commits")
    above = None
    for name, took in found.items():
        more = "" if above is None else f"{(took.each - above) * 1e3:+8.3f}"
        commits = "" if took.commits is None else f"{took.commits:7.2f}"
        print(f"  {name:60} {took.each * 1e3:7.3f} ms  {more:8}  {took.core * 1e3:7.3f} ms  {commits}")
        above = took.each
    assert all(took.each > 0 and took.core > 0 for took in found.values())
    return found


def timed(calls: List[Callable[[], object]], commits: Optional[Callable[[], int]] = None) -> Took:
    """One after the other, in this thread."""
    before, used, late = commits() if commits else 0, time.process_time(), []
    for call in calls:
        begun = time.perf_counter()
        call()
        late.append(time.perf_counter() - begun)
    used = time.process_time() - used
    counted = (commits() - before) / len(calls) if commits else None
    return Took(statistics.median(late), used / len(calls), counted)


class Database:
    """One of the two, and how many transactions have changed something in it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.store = Store(url)
        self.is_file = self.store.path is not None
        self._count = (
            "SELECT MAX(seq) FROM sqlite_sequence WHERE name = 'fp_transactions'"
            if self.is_file
            # Those of the whole server, which is this test's own.
            else "SELECT txid_snapshot_xmax(txid_current_snapshot())"
        )

    def commits(self) -> int:
        return int(self.store.read(lambda database: database.execute_sql(self._count).fetchone()[0] or 0))

    def connector(self, api: str = NO_API) -> Connector:
        return Connector(api, db_url=self.url, api_key=KEY, pace=NEVER)


class Events:
    """Rows of fp_event as a webhook leaves them, each of another transaction."""

    def __init__(self, database: Database) -> None:
        with contextlib.closing(database.connector()) as connector:
            connector.save_webhook(webhook(1))
        query = "SELECT * FROM fp_event WHERE entity_id = '1'"
        cursor = database.store.read(lambda opened: opened.execute_sql(query))
        # Fetched by the driver as it was executed, or else here.
        row = dict(zip((each[0] for each in cursor.description), cursor.fetchone()))
        del row["id"]
        self._row = row
        mark = "?" if database.is_file else "%s"
        self.insert = f"INSERT INTO fp_event ({', '.join(row)}) VALUES ({', '.join(mark for _ in row)})"

    def some(self) -> List[Tuple[Any, ...]]:
        names = {number: str(number) for number in NUMBERS.take(COMMITS)}
        own = ("dedup_key", "event_key", "entity_id")
        return [tuple(name if key in own else value for key, value in self._row.items()) for name in names.values()]


@contextlib.contextmanager
def committing(path: Path, synchronous: str, *, locked: bool = False) -> Iterator[Callable[[str, Any], None]]:
    """One row in one commit of the bare driver, in the lock file or without."""
    file = sqlite3.connect(path, isolation_level=None)
    file.execute("PRAGMA journal_mode = WAL")
    file.execute(f"PRAGMA synchronous = {synchronous}")
    lock = ProcessLock(path)

    def commit(statement: str, values: Any) -> None:
        with lock.held() if locked else contextlib.nullcontext():
            file.execute("BEGIN IMMEDIATE")
            file.execute(statement, values)
            file.execute("COMMIT")

    with contextlib.closing(file), contextlib.closing(lock):
        yield commit


def test_what_a_commit_costs_on_sqlite(sqlite_url, tmp_path):
    """
    From one that a power cut may take back to ours.
    """
    database = Database(sqlite_url)
    events = Events(database)
    database.store.close()

    def copy(name: str) -> Path:
        return Path(shutil.copy(database.store.path, tmp_path / f"{name}.db"))

    with contextlib.ExitStack() as stack:
        bare_ones = {
            "synchronous=OFF": committing(copy("off"), "OFF"),
            "synchronous=NORMAL: kept by the system, not by the disk": committing(copy("normal"), "NORMAL"),
            "synchronous=FULL: on disk": committing(copy("full"), "FULL"),
            "+ the lock file: no commit is lost among processes": committing(copy("locked"), "FULL", locked=True),
        }
        writes = {name: stack.enter_context(each) for name, each in bare_ones.items()}
        marked = SqliteConnection(copy("marked"), writes=True)
        stack.callback(marked.close)
        store = Store(f"sqlite:///{copy('store')}")
        stack.callback(store.close)

        def in_marked(statement: str, values: Any) -> None:
            with marked.exclusive() as opened:
                opened.transact(lambda inside: inside.execute_sql(statement, values))

        def in_store(statement: str, values: Any) -> None:
            store.write(lambda inside: inside.execute_sql(statement, values) and None)

        writes["+ the mark of the file: an older copy is noticed"] = in_marked
        writes["+ the writer thread: callers commit together"] = in_store
        shown("SQLite, a commit of one event", {name: step_of(write, events) for name, write in writes.items()})


def test_what_a_commit_costs_on_postgresql():
    """
    The same for a server on this machine, whose disk it is.
    """
    with running_or_skipped(durable=True) as server, contextlib.ExitStack() as stack:
        import psycopg2

        database = Database(server.schema_url("durability"))
        stack.callback(database.store.close)
        events = Events(database)
        writes = {}
        for setting in ("off", "on"):
            connection = psycopg2.connect(database.url)
            stack.callback(connection.close)
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(f"SET synchronous_commit = {setting}")
            writes[f"synchronous_commit={setting}"] = cursor.execute
        writes["ours, with the writer thread and its timeouts"] = lambda statement, values: database.store.write(
            lambda inside: inside.execute_sql(statement, values) and None
        )
        shown("PostgreSQL, a commit of one event", {name: step_of(write, events) for name, write in writes.items()})


def step_of(write: Callable[[str, Any], Any], events: Events) -> Step:
    def step() -> Took:
        return timed([lambda row=row: write(events.insert, row) for row in events.some()])

    return step


@contextlib.contextmanager
def databases(kind: str, folder: Path, count: int) -> Iterator[List[Database]]:
    """So many of that kind, empty."""
    with contextlib.ExitStack() as stack:
        if kind == "sqlite":
            found = [Database(f"sqlite:///{folder}/{each}/processes.db") for each in range(count)]
        else:
            # Not the server of the other tests, which does not wait for its disk.
            server = stack.enter_context(running_or_skipped(durable=True))
            found = [Database(server.schema_url(f"durability_{each}")) for each in range(count)]
        for each in found:
            each.store.open()
            stack.callback(each.store.close)
        yield found


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_a_webhook_costs(kind, tmp_path):
    """
    Not stored; stored before the answer; with a callback that is taken and ended in the store. Over one connection each
    is on disk by a commit of its own.
    """

    def step_of(server: Server, database: Optional[Database], callbacks: int, connections: int, count: int) -> Step:
        def step() -> Took:
            before, used = database.commits() if database else 0, server.cpu()
            found = load([server.url], connections, NUMBERS.take(count), warm=0)
            assert found.statuses == [200]
            if callbacks:
                assert len(server.called(count)) == count
            used = server.cpu() - used
            commits = (database.commits() - before) / count if database else None
            return Took(statistics.median(found.late), used / count, commits)

        return step

    with contextlib.ExitStack() as stack:
        one, other = stack.enter_context(databases(kind, tmp_path, 2))
        sides: Dict[str, Tuple[Server, Optional[Database], int]] = {}
        if kind == "sqlite":
            # It has no database: once is enough.
            sides['answered "ok" by a bare Flask endpoint'] = (stack.enter_context(bare()), None, 0)
        sides["+ checked, and stored before the answer"] = (stack.enter_context(ours(one.url)), one, 0)
        calling = stack.enter_context(ours(other.url, CALLBACK))
        sides["+ its callback taken under a lease, and its end stored"] = (calling, other, 1)
        for connections, count in WEBHOOKS.items():
            steps = {name: step_of(*side, connections, count) for name, side in sides.items()}
            found = shown(f"{kind}, a webhook until it is answered, connections: {connections}", steps)
            stored = [took.commits for took in found.values() if took.commits is not None]
            assert min(stored) >= 1 if connections == 1 else min(stored) > 0


class Posts(Floor):
    """The two POSTs alone."""

    def _commit(self, statement: str, *values: str) -> None:
        """Nothing is written down."""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_a_payment_and_a_wait_cost(kind, tmp_path, authority):
    """
    What is asked is on disk before FedaPay hears of it, and a wait before it begins: a commit for each at least.
    """
    bundle = str(authority / "bundle.pem")
    with contextlib.ExitStack() as stack:
        (database,) = stack.enter_context(databases(kind, tmp_path, 1))
        url, _ = stack.enter_context(standing_in(authority))
        connector = stack.enter_context(contextlib.closing(database.connector(url)))
        sides: Dict[str, Tuple[Callable[[], object], Optional[Callable[[], int]]]] = {}
        for name, made in (("two POSTs, nothing stored", Posts), ("+ two commits by the bare driver", Floor)):
            folder = tmp_path / made.__name__
            folder.mkdir()
            floor = made(url, bundle, database.url if made is Floor else "sqlite", folder)
            stack.callback(floor.close)
            sides[name] = (floor.pay, None)
        sides["pay: intent stored before the first, id before the second"] = (
            lambda: connector.pay(SETUP, CLIENT, 15000),
            database.commits,
        )
        for pay, _ in sides.values():
            pay()
        payments = shown(
            f"{kind}, a payment",
            {name: lambda pay=pay, count=count: timed([pay] * PAYMENTS, count) for name, (pay, count) in sides.items()},
        )

        def listened() -> Took:
            numbers = NUMBERS.take(PAYMENTS)
            make_known(database.store, numbers)
            return timed([lambda each=each: connector.listen(each, timeout=3600) for each in numbers], database.commits)

        waits = shown(f"{kind}, the beginning of a wait", {"listen: stored before it begins": listened})
    assert all(took.commits is None or took.commits >= 1 for took in (*payments.values(), *waits.values()))
