"""Backends: which database a URL names, its connections and its commit listener."""

from typing import Callable, Tuple, Union

from fedapay_sync.common.clock import Clock
from fedapay_sync.concurrency.commit_listener import CommitListener
from fedapay_sync.store.connection import Connection
from fedapay_sync.store.postgres.clock import ServerClock
from fedapay_sync.store.postgres.connection import PostgresConnection
from fedapay_sync.store.postgres.driver import check_driver
from fedapay_sync.store.postgres.listener import PostgresCommitListener
from fedapay_sync.store.sqlite.connection import SqliteConnection, file_of
from fedapay_sync.store.sqlite.files import prepare_file


class SqliteBackend:
    """An SQLite file of this machine."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.path = file_of(url)
        #: A file is for the processes of one machine, and they have one clock.
        self.clock = clock

    def connections(self) -> Tuple[Connection, Connection]:
        """
        The one that writes and the one that reads.

        Raises:
            ConfigError: the file cannot be made or written.
        """
        prepare_file(self.path)
        writing = SqliteConnection(self.path, writes=True)
        return writing, SqliteConnection(self.path, beside=writing)

    def commit_listener(self, version: Callable[[], object]) -> CommitListener:
        """Asks now and then whether another connection has committed."""
        return CommitListener(version)


class PostgresBackend:
    """A PostgreSQL server, for programs on several machines."""

    #: No file of this machine.
    path = None

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        #: The clocks of several machines differ: all keep their leases by the server's. One that a test hands in rules.
        self.clock = ServerClock(clock) if type(clock) is Clock else clock

    def connections(self) -> Tuple[Connection, Connection]:
        """
        The one that writes and the one that reads.

        Raises:
            ConfigError: psycopg2 is missing.
        """
        check_driver()
        return PostgresConnection(self._url, self.clock, writes=True), PostgresConnection(self._url, self.clock)

    def commit_listener(self, version: Callable[[], object]) -> CommitListener:
        """Listens to the commits of other connections."""
        return PostgresCommitListener(self._url, version, PostgresConnection(self._url, self.clock).explain)


def backend_of(url: str, clock: Clock) -> Union[SqliteBackend, PostgresBackend]:
    """The kind of database that a URL names."""
    return SqliteBackend(url, clock) if url.startswith("sqlite:") else PostgresBackend(url, clock)
