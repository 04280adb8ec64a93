"""
psycopg2 connections to a PostgreSQL server: opened, waited on with a limit, closed in a forked child.

psycopg2 is imported where a connection is opened, and nowhere else.
"""

import contextlib
import math
import os
import select
import time
import urllib.parse
import weakref
from typing import Any, Dict, List, Optional, Sequence

from fedapay_sync.common.masking import escape_controls, mask
from fedapay_sync.errors import ConfigError
from fedapay_sync.store.postgres.encryption import encryption_settings, warn_of_clear_text

#: How long one attempt to connect may take, in seconds.
_CONNECT_TIMEOUT = 5.0
#: No wait on a descriptor lasts longer, in seconds; a caller that has reason to wait on waits again.
_MAX_WAIT = 86400.0

#: Connections of this process.
_connections: "weakref.WeakSet[Any]" = weakref.WeakSet()


def check_driver() -> None:
    """
    Make sure that psycopg2 is there.

    Raises:
        ConfigError: it is not.
    """
    try:
        import psycopg2  # noqa: F401 - lazily: a shop on SQLite has none
    except ImportError as error:
        raise ConfigError(
            f"FEDAPAY_DB_URL désigne PostgreSQL, mais psycopg2 ne se charge pas ({error}). "
            "L'installer : pip install 'fedapay_sync[postgres]'."
        ) from None


def connect(url: str, end: float) -> Any:
    """
    An open asynchronous connection: ``wait`` after each statement. It commits each statement by itself.

    Raises:
        psycopg2.Error: not to be had until ``end`` on the monotonic clock.
    """
    import psycopg2  # lazily: see above

    given = psycopg2.extensions.parse_dsn(url)
    settings: Dict[str, Any] = {
        "application_name": "fedapay_sync",
        # A connection on which nothing is asked hears of a vanished server by these only.
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        **encryption_settings(given),
    }
    settings = {name: settings[name] for name in settings if name not in given}
    # Ours whatever the URL says: in another one, some texts could be neither sent nor read.
    connection = psycopg2.connect(url, async_=1, **{**settings, "client_encoding": "utf8"})
    _connections.add(connection)
    try:
        wait(connection, min(end, time.monotonic() + _CONNECT_TIMEOUT))
    except BaseException:
        connection.close()
        raise
    warn_of_clear_text(given, is_encrypted=bool(connection.info.ssl_in_use))
    return connection


def wait(connection: Any, end: float) -> None:
    """
    Wait for the answer to what was asked, until ``end`` on the monotonic clock, but at least look once.

    Raises:
        psycopg2.Error: the server refused, or is gone; or it did not answer in time, and then the connection is closed.
    """
    # The values of psycopg2.extensions.POLL_OK, POLL_READ and POLL_WRITE, which is not imported for them.
    while (state := connection.poll()) != 0:
        remaining = end - time.monotonic()
        if remaining <= 0:
            connection.close()
            raise connection.OperationalError("pas de réponse à temps")
        wait_ready([connection] if state == 1 else [], remaining, writing=[connection] if state == 2 else [])


def is_alive(connection: Any) -> bool:
    """Whether the server has not hung up while nothing was asked of it."""
    try:
        # What it says as it goes comes first, the end of the stream after it.
        while not connection.closed and wait_ready([connection], 0):
            connection.poll()
    except (connection.Error, OSError):
        return False
    return not connection.closed


def wait_ready(reading: Sequence[Any], seconds: Optional[float], writing: Sequence[Any] = ()) -> List[Any]:
    """Those that have something to be read, or room to be written to, after at most so many seconds, or a day."""
    # Systems refuse to wait for weeks.
    seconds = None if seconds is None else min(seconds, _MAX_WAIT)
    if not hasattr(select, "poll"):  # Windows; elsewhere select cannot see descriptors from 1024 on
        found, free, _ = select.select(reading, writing, [], seconds)
        return [*found, *free]
    poll = select.poll()
    by_number = {each.fileno(): each for each in (*reading, *writing)}
    for each in reading:
        poll.register(each, select.POLLIN)
    for each in writing:
        poll.register(each, select.POLLOUT)
    return [by_number[number] for number, _ in poll.poll(None if seconds is None else math.ceil(seconds * 1000))]


def address_of(url: str) -> str:
    """Where the database is, without user, password and settings."""
    # Not by its parts: in a password with an unescaped / or ? they are not what they seem.
    return "postgresql://" + url.rpartition("@" if "@" in url else "://")[2].partition("?")[0]


def without_secrets(text: str, url: str) -> str:
    """What the server or its driver said about that URL, without its password."""
    parts = urllib.parse.urlsplit(url)
    # As they are written there: what cannot be decoded is quoted so.
    settings = [each.partition("=") for each in parts.query.split("&")]
    secrets = [parts.password or "", *(value for name, _, value in settings if "pass" in name)]
    for secret in secrets:
        decoded = urllib.parse.unquote(secret)
        for form in (secret, decoded, urllib.parse.quote(decoded)):
            text = text.replace(form, "***") if form else text
    return escape_controls(mask(text))


def _close_inherited() -> None:
    # The child never uses these, and psycopg2 never closes them here, which would end the parent's sessions. But
    # open in here, they would keep those sessions alive on the server after the parent's death.
    for connection in list(_connections):
        with contextlib.suppress(connection.Error, OSError):
            os.close(connection.fileno())
    _connections.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)
