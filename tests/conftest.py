"""What every test may ask for: an emulator, connectors that are closed again, a clock that obeys, patience."""

import faulthandler
import gc
import os
import signal
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional

import pytest
from hypothesis import HealthCheck, settings
from support.postgres_server import PostgresServer, running_or_skipped

from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.common import hosting
from fedapay_sync.common.clock import Clock
from fedapay_sync.emulator import Emulator
from fedapay_sync.workflow import duplicates

# How long one example takes says how busy the machine is, and nothing about the code: benchmarks measure that.
settings.register_profile("busy machine", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # So it is in a background job of a shell. Children would inherit it, and a test that sends Ctrl-C wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """
    Let child processes keep bytecode in pytest's cache where PYTHONDONTWRITEBYTECODE forbids it beside the sources.

    Without any, each of hundreds of processes compiles the package, and each worker of xdist rewrites all test modules.
    """
    cache = getattr(config, "cache", None)
    if os.environ.get("PYTHONDONTWRITEBYTECODE") and cache is not None:
        os.environ["PYTHONPYCACHEPREFIX"] = str(cache.mkdir("bytecode"))
        del os.environ["PYTHONDONTWRITEBYTECODE"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> Optional[int]:
    """Two more than there are cores, as most tests wait for something: that takes a third off the whole."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ours + 2


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """The limit of every day is none for a test that is marked as long: it has twenty minutes."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(1200))


def pytest_collection_finish() -> None:
    """Spare each later collection of garbage the thousands of tests, which stay: a third of a second."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """End a process that hangs in the cleaning up after a test, which pytest-timeout does not: the others go on."""
    faulthandler.dump_traceback_later(120, exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def eventually(condition: Callable[[], Any], timeout: float = 30.0) -> Any:
    """
    Wait until the condition gives something true, and give that; fail when it does not in time.
    """
    end = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not in {timeout} s: {condition}"
        pause.wait(0.005)


@pytest.fixture(name="eventually", scope="session")
def _eventually() -> Callable[..., Any]:
    return eventually


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class ObedientClock(Clock):
    """A clock that goes with the machine's, and jumps ahead when told."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.wall_ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead + self.wall_ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def advance(self, seconds: float) -> None:
        """Let that much time pass at once, on both clocks."""
        self.ahead += seconds


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads the settings of whoever runs it, or writes into the checkout."""
    for name in [name for name in os.environ if name.startswith("FEDAPAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def told_of_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests ask one payer again and again, without a reference: the one warning of a process is out already."""
    monkeypatch.setattr(hosting, "_warned", {(os.getpid(), duplicates.WARNING)})


@pytest.fixture
def clock() -> ObedientClock:
    return ObedientClock()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A sandbox in which nothing happens until it is told to."""
    with Emulator(retry_factor=0.01) as running:
        yield running


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store/processes.db"


@pytest.fixture
def db_url(sqlite_url: str) -> str:
    """The database of a test; a folder whose tests run on both has a fixture of its own under this name."""
    return sqlite_url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A throwaway PostgreSQL for all tests of this worker; who stops it takes one of his own."""
    with running_or_skipped() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """A schema of its own."""
    return postgres_server.schema_url(f"t{uuid.uuid4().hex}")


@pytest.fixture
def make_connector(emulator: Emulator, db_url: str) -> Iterator[Callable[..., Connector]]:
    """Connectors to the emulator, on one database unless told otherwise; closed at the end."""
    made: List[Connector] = []

    def make(**changes: Any) -> Connector:
        settings = {
            "fedapay_api_url": emulator.url,
            "api_key": emulator.secret_key,
            "fedapay_webhooks_secret_key": emulator.webhook_secret,
            "listen_server_port": 0,
            "db_url": db_url,
            # What a test asks for at its own pace shall not wait for slots, unless it is about these.
            "poll_rate": 1000,
            **changes,
        }
        connector = Connector(**settings)
        made.append(connector)
        return connector

    yield make
    for connector in made:
        connector.close()


@pytest.fixture
def connector(make_connector: Callable[..., Connector], emulator: Emulator) -> Connector:
    """A connector whose webhook server runs and gets the emulator's webhooks."""
    connector = make_connector(use_listen_server=True)
    connector.start_webhook_server()
    emulator.webhook_url = connector.webhook_url
    return connector
