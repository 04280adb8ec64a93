"""How the waker hears of commits on PostgreSQL: by LISTEN, and by asking where that is not possible."""

import contextlib
import socket
import time
from typing import Any, Callable, Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.commit_listener import CommitListener
from fedapay_sync.concurrency.notifier import FULL_LOOKUP_INTERVAL
from fedapay_sync.errors import StoreError
from fedapay_sync.store.postgres.database import CHANNEL
from fedapay_sync.store.postgres.driver import connect, is_alive, ready, wait

log = get_logger(__name__)

#: How long the waker, which is also the timer, may be held up by a connection, in seconds.
_LIMIT = 3.0
#: How often a server that is away is tried, in seconds.
_AGAIN = 0.5


class PostgresCommitListener(CommitListener):
    """
    Sleeps on a socket of its own to the server and on a pair of sockets by which this process wakes it.

    What it hears is a hint: the tables are looked at all the same every two seconds. There is no cursor over ids:
    they are given in another order than they are committed.

    Args:
        version: what to ask instead where a pooler stands between, which gives each transaction another connection.
        explained: what the database said, as an error of ours.
    """

    def __init__(
        self, url: str, version: Callable[[], object], explained: Callable[[BaseException], StoreError]
    ) -> None:
        super().__init__(version)
        self._url = url
        self._explained = explained
        self._here, self._there = socket.socketpair()
        for each in (self._here, self._there):
            each.setblocking(False)
        self._line: Optional[Any] = None
        self._heard = 0
        self._possible = True

    @property
    def interval(self) -> float:
        """Seconds until it is asked again, at most."""
        if not self._possible:
            return super().interval
        return _AGAIN if self._line is None else FULL_LOOKUP_INTERVAL / 2

    def version(self) -> object:
        """What changes when another process may have ended something."""
        if self._possible and self._line is None:
            self._listen()
        if self._line is None:
            return super().version()
        self._take_in()
        return self._heard

    def sleep(self, seconds: Optional[float]) -> None:
        """Until there is news, until ``wake``, or for so long."""
        line = self._line
        found = ready([self._here] if line is None else [self._here, line], seconds)
        with contextlib.suppress(BlockingIOError):
            self._here.recv(4096)
        if line in found:
            self._take_in()

    def wake(self) -> None:
        """End the sleep, or the next one."""
        # Full of calls it wakes as well as with one more; closed, nobody sleeps any more.
        with contextlib.suppress(OSError):
            self._there.send(b"!")

    def close(self) -> None:
        """Let go of the sockets."""
        self._hang_up()
        self._here.close()
        self._there.close()

    def _listen(self) -> None:
        import psycopg2  # lazily: a shop on SQLite has none

        try:
            line = connect(self._url, time.monotonic() + _LIMIT)
        except psycopg2.Error as error:
            raise self._explained(error) from None
        try:
            cursor = line.cursor()
            cursor.execute(f"LISTEN {CHANNEL}")
            wait(line, time.monotonic() + _LIMIT)
            cursor.execute("SELECT pg_backend_pid()")
            wait(line, time.monotonic() + _LIMIT)
            # A pooler answers for a server process that is another one each time, and says yes to LISTEN.
            direct = cursor.fetchone()[0] == line.info.backend_pid
        except line.Error as error:
            lost = not is_alive(line)
            line.close()
            if lost:
                raise self._explained(error) from None
            log.info("LISTEN refused: %s", type(error).__name__)
            direct = False
        if direct:
            # What was committed while nobody listened is looked for now.
            self._line, self._heard = line, self._heard + 1
        else:
            line.close()
            self._possible = False
            log.info("no LISTEN through a pooler; the server is asked every %.0f ms", 1000 * super().interval)

    def _take_in(self) -> None:
        line = self._line
        if line is None:
            return
        if not is_alive(line):
            self._hang_up()
            self._heard += 1
        elif line.notifies:
            self._heard += 1
            line.notifies.clear()

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()
