"""Helpers behind the pytest fixtures: runs a test's emulator, and opens and closes the connectors that talk to it."""

import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.common.env import API_KEY, API_URL, AUTH_KEY, CALLBACKS, DB_URL, ENDPOINT_NAME, WEBHOOK_PATH
from fedapay_sync.connector.connector import Connector, call_owed, living
from fedapay_sync.connector.per_process import is_closed
from fedapay_sync.emulator import Emulator
from fedapay_sync.errors import PortUnavailable
from fedapay_sync.testing.payer import PATIENCE

_POLL = 0.002
#: Ten attempts take a second: when a gesture of the payer has failed, they are over.
_RETRY_FACTOR = 0.002
#: The longest wait for threads that a connector has left to end by themselves, in seconds.
_LEAVING = 10.0
#: Threads that begin or close a connector, and that it does not wait for.
_PASSING = ("fedapay-start", "fedapay-closing")


@contextmanager
def running_emulator(ports: List[int], options: Dict[str, Any]) -> Iterator[Emulator]:
    """An emulator that runs, on the port of the earlier ones if that is free."""
    emulator = _started(ports, {"retry_factor": _RETRY_FACTOR, **options})
    emulator.clock.on_advance(before=lambda ahead: None, after=lambda: wait_until_idle(emulator))
    try:
        yield emulator
    finally:
        emulator.stop()


def settings(emulator: Emulator, folder: Path, callbacks: str) -> Dict[str, str]:
    """What leads a shop to the emulator, by the names of the environment variables and of ``app.config``."""
    return {
        API_URL: emulator.url,
        API_KEY: emulator.secret_key,
        AUTH_KEY: emulator.webhook_secret,
        DB_URL: _database(folder),
        CALLBACKS: callbacks,
    }


def environment(emulator: Emulator, folder: Path, callbacks: str) -> Dict[str, Optional[str]]:
    """Environment variables that lead to the emulator, in place of the caller's; None: absent."""
    return {
        **settings(emulator, folder, callbacks),
        ENDPOINT_NAME: None,
        WEBHOOK_PATH: None,
        # A proxy of the machine would be asked for the way to the emulator.
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def open_connector(emulator: Emulator, folder: Path, callbacks: str) -> Connector:
    """
    A connector whose server gets the emulator's webhooks, unless an application does; ``close_connectors`` closes it.
    """
    connector = Connector(
        emulator.url,
        use_listen_server=True,
        listen_server_port=0,
        fedapay_webhooks_secret_key=emulator.webhook_secret,
        db_url=_database(folder),
        api_key=emulator.secret_key,
        callbacks=callbacks,
    )
    connector.start_webhook_server()
    if not emulator._has_application:
        emulator.webhook_url = connector.webhook_url
    return connector


def wait_until_idle(emulator: Emulator, patience: float = PATIENCE) -> None:
    """
    Wait until webhooks are delivered, and the callbacks that they bring have been called: in this thread, where only an
    event or a worker process would have them called.
    """
    end = SYSTEM_CLOCK.monotonic() + patience
    with suppress(TimeoutError):  # a shop that refuses its webhooks is the test's affair
        emulator.wait_for_deliveries(patience)
    pause = threading.Event()
    for each in living(emulator.url):
        call_owed(each, max(0.0, end - SYSTEM_CLOCK.monotonic()))
    while any(each.owes_callbacks() for each in living(emulator.url)) and SYSTEM_CLOCK.monotonic() < end:
        pause.wait(_POLL)


def close_connectors(emulator: Emulator) -> None:
    """
    Close every connector that talks to the emulator, and leave no thread of it; one that lives on opens again when it
    is used.
    """
    end = SYSTEM_CLOCK.monotonic() + _LEAVING
    pause = threading.Event()
    while True:
        for each in living(emulator.url):
            each.close()
        passing = [each for each in threading.enumerate() if each.name in _PASSING]
        # A last request may have begun to start one that was closed just now; one that was collected closes by itself.
        if (not passing and is_closed(emulator.url)) or SYSTEM_CLOCK.monotonic() >= end:
            return
        for thread in passing:
            # To its end: closing in the midst of a start is slower. One that is only about to run cannot be joined.
            if thread.is_alive():
                thread.join(max(0.0, end - SYSTEM_CLOCK.monotonic()))
        pause.wait(_POLL)


def _database(folder: Path) -> str:
    return f"sqlite:///{folder / 'fedapay_sync' / 'processes.db'}"


def _started(ports: List[int], options: Dict[str, Any]) -> Emulator:
    for port in (*ports, 0):
        emulator = Emulator(**{"port": port, **options})
        try:
            emulator.start()
        except PortUnavailable:
            emulator.stop()
            if not port or "port" in options:
                raise
        else:
            ports[:] = [int(emulator.url.rpartition(":")[2])]
            return emulator
    raise AssertionError("unreachable: port 0 is free or has raised")
