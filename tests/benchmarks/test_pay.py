"""
``pay``, one after the other and from 50 threads, beside the least that its work costs and the asynchronous connector.

The least, the floor: two POSTs of a bare ``requests.Session`` and two commits of the bare driver, each of them safe on
disk, in the same process and run. The asynchronous connector keeps nothing on disk.
"""

import contextlib
import json
import secrets
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

import pytest
import requests
from measures import ENVIRONMENT, FULL, HERE, ROUNDS, at_least, at_most
from support.postgres_server import running_or_skipped
from test_get import TRANSACTION

from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

THREADS = 50
#: Payments of one round.
ALONE, TOGETHER = (300, 1500) if FULL else (150, 500)
#: Times the floor's time alone, and of its rate from 50 threads; times the asynchronous connector's rates over TLS.
ALONE_BOUND, TOGETHER_BOUND = 1.5, 0.8
ALONE_RATE, TOGETHER_RATE = 2.5, 1.5
KEY = "sk_sandbox_ClePourMesurer"
SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Hounkpatin", prenom="Ayaba", email="ayaba@boutique.bj", tel="0166000001")
#: No status check of its own during a measurement.
NEVER = Pace(first=10_000, factor=2, longest=10_000)
# What a bare session sends, as somebody would write it.
CREATION = {
    "description": "Paiement",
    "amount": 15000,
    "currency": {"iso": "XOF"},
    "customer": {
        "firstname": "Ayaba",
        "lastname": "Hounkpatin",
        "email": "ayaba@boutique.bj",
        "phone_number": {"number": "0166000001", "country": "bj"},
    },
}
_TABLE = (
    "CREATE TABLE floor (reference VARCHAR(64) PRIMARY KEY, amount INTEGER NOT NULL, currency VARCHAR(3) NOT NULL, "
    "transaction_id VARCHAR(64), state VARCHAR(12) NOT NULL)"
)
_INTENT = "INSERT INTO floor (reference, amount, currency, state) VALUES (?, 15000, 'XOF', 'intent')"
_SENT = "UPDATE floor SET transaction_id = ?, state = 'sent' WHERE reference = ?"


class Floor:
    """Two POSTs of a bare session of this thread, and two commits of a bare connection that all threads share."""

    def __init__(self, url: str, bundle: str, db_url: str, folder: Any) -> None:
        self._url, self._bundle = url, bundle
        self._local = threading.local()
        self._lock = threading.Lock()
        self._marks = "?"
        if db_url.startswith("sqlite"):
            self._database = sqlite3.connect(folder / "floor.db", isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._cursor: Any = self._database
        else:
            import psycopg2

            self._marks = "%s"
            self._database = psycopg2.connect(db_url)
            self._database.autocommit = True
            self._cursor = self._database.cursor()
        self._cursor.execute(_TABLE)

    def pay(self) -> None:
        reference = secrets.token_hex(16)
        self._commit(_INTENT, reference)
        created = self._post("/transactions", {**CREATION, "merchant_reference": reference})["v1/transaction"]
        self._commit(_SENT, str(created["id"]), reference)
        phone = {"number": "0166000001", "country": "bj"}
        intent = self._post("/momo_test", {"token": created["payment_token"], "phone_number": phone})
        assert intent["v1/payment_intent"]["status"] == "pending"

    def close(self) -> None:
        self._database.close()

    def _post(self, path: str, body: Dict[str, Any]) -> Any:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False
            session.verify = self._bundle
            session.headers["Authorization"] = f"Bearer {KEY}"
        response = session.post(f"{self._url}/v1{path}", json=body, timeout=(5, 30))
        response.raise_for_status()
        return response.json()

    def _commit(self, statement: str, *values: str) -> None:
        with self._lock:
            self._cursor.execute(statement.replace("?", self._marks), values)


class Took(NamedTuple):
    """One round: how long a payment took from one to the next, and what it used of a core; in seconds."""

    each: float
    core: float


Round = Callable[[int, int], Took]


def of_threads(pay: Callable[[], object]) -> Round:
    """Rounds of payments from threads of this process, each of which has paid before."""

    def run(count: int, at_once: int) -> Took:
        ready, go, failed = threading.Barrier(at_once + 1), threading.Barrier(at_once + 1), []

        def work() -> None:
            try:
                for _ in range(2):
                    pay()
                ready.wait()
                go.wait()
                for _ in range(count // at_once):
                    pay()
            except BaseException as error:
                failed.append(error)
                ready.abort()

        threads = [threading.Thread(target=work) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        ready.wait()
        start, used = time.perf_counter(), time.process_time()
        go.wait()
        for thread in threads:
            thread.join()
        assert not failed, failed
        return Took((time.perf_counter() - start) / count, (time.process_time() - used) / count)

    return run


@contextlib.contextmanager
def standing_in(authority: Path, delay: float = 0.0) -> Iterator[Tuple[str, str]]:
    """The addresses of the stand-in, plain and over TLS."""
    # It does not read what it is asked, and so shows no reference.
    answer = json.dumps({"v1/transaction": {**TRANSACTION, "merchant_reference": None}})
    command = [sys.executable, str(HERE / "stand_in.py"), answer, str(authority / "server.pem"), str(delay)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    plain, tls = [process.stdout.readline().strip() for _ in range(2)]
    try:
        yield plain, tls
    finally:
        process.communicate(timeout=20)


@contextlib.contextmanager
def asynchronous(python: str, url: str, bundle: str, folder: Any) -> Any:
    """Rounds of the asynchronous connector, in a process of its own."""
    # It knows no momo_test, which is all one to the stand-in.
    environment = {**ENVIRONMENT, "PYTHONPATH": "", "FEDAPAY_API_KEY": KEY, "SSL_CERT_FILE": bundle}
    process = subprocess.Popen(
        [python, str(HERE / "peer_pay.py"), url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment, cwd=str(folder),
    )  # fmt: skip

    def run(count: int, at_once: int) -> Took:
        process.stdin.write(json.dumps([count, at_once]) + "\n")
        process.stdin.flush()
        took, used = json.loads(process.stdout.readline())
        return Took(took / count, used / count)

    try:
        assert process.stdout.readline() == "ready\n"
        yield run
    finally:
        process.communicate(timeout=20)


@pytest.fixture
def bundle(authority, monkeypatch):
    path = str(authority / "bundle.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", path)
    return path


@pytest.fixture(params=[0.0, 0.02], ids=["at-once", "after-20-ms"])
def addresses(request, authority):
    """The stand-in, by scheme."""
    with standing_in(authority, request.param) as (plain, tls):
        yield {"plain": plain, "tls": tls, "delay": request.param}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, sqlite_url):
    if request.param == "sqlite":
        yield sqlite_url
    else:
        with running_or_skipped(durable=True) as server:
            yield server.schema_url("pay")


@pytest.mark.parametrize("scheme", ["plain", "tls"])
def test_pay_costs_little_more_than_its_posts_and_commits(installed, addresses, bundle, database, scheme, tmp_path):
    """
    On SQLite, where FedaPay answers at once: alone 1.5 times the floor at most, and 0.8 of its rate from 50 threads;
    over TLS 2.5 and 1.5 times the rate of the asynchronous connector.
    """
    url = addresses[scheme]
    floor = Floor(url, bundle, database, tmp_path)
    connector = Connector(url, db_url=database, api_key=KEY, pace=NEVER)

    def pay() -> None:
        payment = connector.pay(SETUP, CLIENT, 15000)
        assert payment.set_methode_data is not None

    with contextlib.ExitStack() as stack:
        stack.callback(floor.close)
        stack.callback(connector.close)
        sides: Dict[str, Round] = {
            "floor": of_threads(floor.pay),
            "ours": of_threads(pay),
            "asynchronous": stack.enter_context(asynchronous(installed, url, bundle, tmp_path)),
        }
        alone = figures(sides, ALONE if not addresses["delay"] else ALONE // 5, 1)
        together = figures(sides, TOGETHER, THREADS)

    kind = f"{database.partition(':')[0]}, {scheme}, answers after {addresses['delay'] * 1e3:.0f} ms"
    show(f"one after the other, {kind}", alone)
    show(f"{THREADS} threads, {kind}", together)
    if addresses["delay"] or not database.startswith("sqlite"):
        return
    if scheme == "plain":
        assert ratio(alone, "ours", "floor") <= at_most(ALONE_BOUND)
        assert ratio(together, "floor", "ours") >= at_least(TOGETHER_BOUND)
    else:
        assert ratio(alone, "asynchronous", "ours") >= at_least(ALONE_RATE)
        assert ratio(together, "asynchronous", "ours") >= at_least(TOGETHER_RATE)


Figures = Dict[str, List[Took]]


def figures(sides: Dict[str, Round], count: int, at_once: int) -> Figures:
    """Rounds of all sides in turn, so that what else the machine does is done to each of them."""
    found: Figures = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, run in sides.items():
            found[name].append(run(count, at_once))
    return found


def ratio(found: Figures, one: str, other: str) -> float:
    """How many times the other's time a payment takes: that of the middle round."""
    return statistics.median(mine.each / theirs.each for mine, theirs in zip(found[one], found[other]))


def show(title: str, found: Figures) -> None:
    print(f"\n{title}")
    for name, rounds in found.items():
        each, core = (statistics.median(values) for values in zip(*rounds))
        print(
            f"  {name:13} {each * 1e3:6.2f} ms   {1 / each:5.0f}/s   {core * 1e3:5.2f} ms of a core   "
            f"{ratio(found, name, 'floor'):5.2f} x the floor's time"
        )
