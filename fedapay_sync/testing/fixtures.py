"""Helpers behind the pytest fixtures: runs a test's emulator, and opens and closes the connectors that talk to it."""

import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.common.env import API_KEY, API_URL, AUTH_KEY, DB_URL, ENDPOINT_NAME
from fedapay_sync.connector.connector import Connector, living
from fedapay_sync.emulator import Emulator
from fedapay_sync.errors import PortUnavailable

#: The longest wait for webhooks and callbacks to be done, in seconds.
PATIENCE = 5.0
_POLL = 0.002


@contextmanager
def running_emulator(ports: List[int], options: Dict[str, Any]) -> Iterator[Emulator]:
    """An emulator that runs, on the port of the earlier ones if that is free."""
    emulator = _started(ports, {"retry_factor": 0.01, **options})
    emulator.clock.on_advance(before=lambda ahead: None, after=lambda: wait_until_idle(emulator))
    try:
        yield emulator
    finally:
        emulator.stop()


def environment(emulator: Emulator, folder: Path) -> Dict[str, Optional[str]]:
    """Environment variables that lead to the emulator, in place of the caller's; None: absent."""
    return {
        API_URL: emulator.url,
        API_KEY: emulator.secret_key,
        AUTH_KEY: emulator.webhook_secret,
        DB_URL: _database(folder),
        ENDPOINT_NAME: None,
        # A proxy of the machine would be asked for the way to the emulator.
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def open_connector(emulator: Emulator, folder: Path) -> Connector:
    """A connector whose server gets the emulator's webhooks; ``close_connectors`` closes it."""
    connector = Connector(
        emulator.url,
        use_listen_server=True,
        listen_server_port=0,
        fedapay_webhooks_secret_key=emulator.webhook_secret,
        db_url=_database(folder),
        api_key=emulator.secret_key,
    )
    connector.start_webhook_server()
    emulator.webhook_url = connector.webhook_url
    return connector


def wait_until_idle(emulator: Emulator, patience: float = PATIENCE) -> None:
    """Wait until webhooks are delivered, and the callbacks that they bring have been called."""
    end = SYSTEM_CLOCK.monotonic() + patience
    with suppress(TimeoutError):  # a shop that refuses its webhooks is the test's affair
        emulator.wait_for_deliveries(patience)
    pause = threading.Event()
    while any(each.owes_callbacks() for each in living(emulator.url)) and SYSTEM_CLOCK.monotonic() < end:
        pause.wait(_POLL)


def close_connectors(emulator: Emulator) -> None:
    """Close every connector that talks to the emulator; one that lives on opens again when it is used."""
    for each in living(emulator.url):
        each.close()


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
