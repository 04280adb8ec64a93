"""Opens the database and gives the two ways to it: the writer's queue, and a connection that only reads."""

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional, Tuple, TypeVar

import peewee

from fedapay_sync.concurrency.commit_listener import CommitListener
from fedapay_sync.store.backends import backend_of
from fedapay_sync.store.connection import Connection
from fedapay_sync.store.database import Database
from fedapay_sync.store.writer import Writer

S = TypeVar("S")
T = TypeVar("T")

#: How long closing waits for calls that are under way, in seconds.
_CLOSE_TIMEOUT = 3.0


class Engine:
    """
    The connections to one database in one process: the writer's queue, and one that only reads. Opens at first use.

    Args:
        url: ``sqlite:///…`` or ``postgresql://…``
    """

    def __init__(self, url: str) -> None:
        self._backend = backend_of(url)
        self._changed = threading.Condition()
        self._connections: Optional[Tuple[Writer, Connection]] = None
        self._users = 0
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether it has been used since it was made or closed."""
        return self._connections is not None

    @property
    def path(self) -> Optional[Path]:
        """The file that the database is, or None where it is a server."""
        return self._backend.path

    def open(self) -> None:
        """
        Make the database ready and start the writer; nothing if that is done.

        Raises:
            ConfigError: the file cannot be made or written, or the driver is missing.
            StoreError: it is no database of ours.
        """
        with self._changed:
            self._closed = False
        self.write(lambda database: None)

    def close(self) -> None:
        """
        Commit what was handed in and close the database.

        A callback that outlives its connector may still say that it is done: a later call opens it for itself alone.
        """
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._users, _CLOSE_TIMEOUT)
            self._close_if_unused()

    def write(self, operation: Callable[[Database], T]) -> T:
        """
        The result of that operation, once it is committed.

        Raises:
            StoreError: not committed, and it never will be.
        """
        with self._in_use() as (writer, _):
            return writer.run(operation)

    def write_batched(self, work: Callable[[Database, List[S]], List[T]], thing: S) -> T:
        """The same for work that takes all things waiting for it at once and gives a result for each of them."""
        with self._in_use() as (writer, _):
            return writer.run_batched(work, thing)

    def write_soon(self, operation: Callable[[Database], Any]) -> None:
        """Hand in a write without waiting for its commit."""
        with self._in_use() as (writer, _):
            writer.submit(operation)

    def read(self, query: Callable[[Database], T]) -> T:
        """
        The result of that query, on the connection that only reads.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._reading() as (_, database):
            return query(database)

    def backup(self, path: Path) -> None:
        """
        Write all that is committed at this moment into that new file; others go on writing meanwhile.

        Raises:
            ConfigError: the file is there already or cannot be written, or the database is a server.
            StoreError: the database cannot be read, or the copy is not sound.
        """
        self.read(lambda database: database.copy_to(path))

    def data_version(self) -> Tuple[int, object]:
        """A sign that changes when another connection, in this process or another, has committed."""
        with self._reading() as (times_opened, database):
            return times_opened, database.data_version()

    def commit_listener(self) -> CommitListener:
        """Tells the waker of this process that another connection has committed."""
        return self._backend.commit_listener(self.data_version)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Tuple[int, Database]]:
        """The reading connection, and how often it was opened."""
        with self._in_use() as (writer, reader):
            if not writer.has_opened:
                # It makes the tables.
                writer.run(lambda database: None)
            try:
                with reader.exclusive() as database:
                    yield reader.times_opened, database
            except (peewee.PeeweeException, sqlite3.Error) as error:
                raise reader.explain(error) from None

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[Tuple[Writer, Connection]]:
        with self._changed:
            if self._connections is None:
                writing, reading = self._backend.connections()
                self._connections = (Writer(writing), reading)
            connections = self._connections
            self._users += 1
        try:
            yield connections
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()
                self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._closed and not self._users and self._connections is not None:
            (writer, reader), self._connections = self._connections, None
            writer.close()
            reader.close()
