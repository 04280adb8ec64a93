"""The commit listener of PostgreSQL: LISTEN on a connection of its own, polling where a pooler stands between."""

import contextlib
import socket
import time
from typing import Any, Callable, Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.commit_listener import CommitListener
from fedapay_sync.concurrency.notifier import FULL_LOOKUP_INTERVAL
from fedapay_sync.errors import StoreError
from fedapay_sync.store.postgres.database import CHANNEL
from fedapay_sync.store.postgres.driver import connect, is_alive, wait, wait_ready

log = get_logger(__name__)

#: How long the waker, which is also the timer, may be held up by a connection, in seconds.
_TIMEOUT = 3.0
#: How often a server that is away is tried, in seconds.
_RETRY_INTERVAL = 0.5


class PostgresCommitListener(CommitListener):
    """
    Sleeps on a socket of its own to the server and on a pair of sockets by which this process wakes it.

    A notification is a hint: the tables are read all the same every two seconds. There is no cursor over ids:
    they are given in another order than they are committed.

    Args:
        version: what to ask instead where a pooler stands between, which gives each transaction another connection.
        explain: makes of what the database said an error of ours.
    """

    def __init__(self, url: str, version: Callable[[], object], explain: Callable[[BaseException], StoreError]) -> None:
        super().__init__(version)
        self._url = url
        self._explain = explain
        self._wake_reader, self._wake_writer = socket.socketpair()
        for each in (self._wake_reader, self._wake_writer):
            each.setblocking(False)
        self._connection: Optional[Any] = None
        self._commits = 0
        self._can_listen = True

    @property
    def interval(self) -> float:
        """Seconds until it is asked again, at most."""
        if not self._can_listen:
            return super().interval
        return _RETRY_INTERVAL if self._connection is None else FULL_LOOKUP_INTERVAL / 2

    def version(self) -> object:
        """What changes when another process may have ended something."""
        if self._can_listen and self._connection is None:
            self._start_listening()
        if self._connection is None:
            return super().version()
        self._receive()
        return self._commits

    def sleep(self, seconds: Optional[float]) -> None:
        """Block until a notification comes, until ``wake``, or for so long."""
        connection = self._connection
        found = wait_ready([self._wake_reader] if connection is None else [self._wake_reader, connection], seconds)
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(4096)
        if connection in found:
            self._receive()

    def wake(self) -> None:
        """End the sleep, or the next one."""
        # Full of calls it wakes as well as with one more; closed, no thread sleeps any more.
        with contextlib.suppress(OSError):
            self._wake_writer.send(b"!")

    def close(self) -> None:
        """Close the sockets."""
        self._disconnect()
        self._wake_reader.close()
        self._wake_writer.close()

    def _start_listening(self) -> None:
        import psycopg2  # lazily: a shop on SQLite has none

        try:
            connection = connect(self._url, time.monotonic() + _TIMEOUT)
        except psycopg2.Error as error:
            raise self._explain(error) from None
        try:
            cursor = connection.cursor()
            cursor.execute(f"LISTEN {CHANNEL}")
            wait(connection, time.monotonic() + _TIMEOUT)
            cursor.execute("SELECT pg_backend_pid()")
            wait(connection, time.monotonic() + _TIMEOUT)
            # A pooler answers for a server process that is another one each time, and says yes to LISTEN.
            direct = cursor.fetchone()[0] == connection.info.backend_pid
        except connection.Error as error:
            lost = not is_alive(connection)
            connection.close()
            if lost:
                raise self._explain(error) from None
            log.info("LISTEN refused: %s", type(error).__name__)
            direct = False
        if direct:
            # What was committed before there was a listener is looked for now.
            self._connection, self._commits = connection, self._commits + 1
        else:
            connection.close()
            self._can_listen = False
            log.info("no LISTEN through a pooler; the server is asked every %.0f ms", 1000 * super().interval)

    def _receive(self) -> None:
        connection = self._connection
        if connection is None:
            return
        if not is_alive(connection):
            self._disconnect()
            self._commits += 1
        elif connection.notifies:
            self._commits += 1
            connection.notifies.clear()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
