"""Opens the database and gives the two ways to it: the writer's queue, and a connection that only reads."""

import contextlib
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, Callable, Collection, Dict, Iterator, List, Optional, Tuple, TypeVar

import peewee

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.concurrency.commit_listener import CommitListener
from fedapay_sync.errors import FedapayError
from fedapay_sync.store.backends import backend_of
from fedapay_sync.store.connection import Connection
from fedapay_sync.store.database import Database
from fedapay_sync.store.jobs import Then
from fedapay_sync.store.writer import Writer

S = TypeVar("S")
T = TypeVar("T")

#: How long closing waits for calls that are under way, in seconds; the same where one of them is our caller's, which a
#: signal handler has interrupted; and how often it looks.
_CLOSE_TIMEOUT = 3.0
_INTERRUPTED_TIMEOUT = 0.5
_CLOSE_POLL = 0.002


class _Connections:
    """
    The connections of an open database, closed by the thread that finds them to be closed and unused.

    Without a lock: a thread says that it uses them and then asks whether they are to be closed, and closing looks the
    other way round, so that one of the two sees the other. A signal handler may come between any two lines.
    """

    def __init__(self, writing: Connection, reading: Connection) -> None:
        self.writer, self.reader = Writer(writing), reading
        #: The threads that use them, once for each use.
        self.users: List[int] = []
        self.is_closing = False
        self._to_close = threading.Lock()

    def close_if_unused(self) -> None:
        if self.is_closing and not self.users and self._to_close.acquire(blocking=False):
            self.writer.close()
            self.reader.close()


class Engine:
    """
    The connections to one database: the writer's queue, and one that only reads. Opens at first use, and in a forked
    child once more.

    Args:
        url: ``sqlite:///…`` or ``postgresql://…``
        clock: that of this machine.
        kept_open: whether it stays open after a use; if not, until ``keep_open`` or ``open``, each use closes it again.
    """

    def __init__(self, url: str, clock: Clock = SYSTEM_CLOCK, *, kept_open: bool = True) -> None:
        self._backend = backend_of(url, clock)
        # By process: a child has neither its parent's writer, nor its sessions with a server, and may have inherited
        # any lock as it was held. It keeps them unused: collected, they would be closed. For each process one entry at
        # most: setdefault and pop are done or not, wherever a signal handler comes.
        self._open: Dict[int, _Connections] = {}
        self._kept_open = kept_open

    @property
    def is_open(self) -> bool:
        """Whether it has been used since it was made or closed."""
        return os.getpid() in self._open

    @property
    def clock(self) -> Clock:
        """
        What rows are stamped and leases kept by: the clock of this machine, or that of the server.

        In a transaction it is exact. Before the first one the server's time is not known, and it is the machine's.
        """
        return self._backend.clock

    @property
    def path(self) -> Optional[Path]:
        """The file that the database is, or None where it is a server."""
        return self._backend.path

    @property
    def times_replaced(self) -> int:
        """How often, since it was opened, it was noticed that an older copy was put in place of the database."""
        connections = self._open.get(os.getpid())
        return 0 if connections is None else connections.writer.connection.times_replaced

    def open(self) -> None:
        """
        Make the database ready and start the writer; nothing if that is done.

        Raises:
            ConfigError: the file cannot be made or written, or the driver is missing.
            StoreError: it is no database of ours.
        """
        self.keep_open()
        self.write(lambda database: None)

    def keep_open(self) -> None:
        """Once it is used, stay open until ``close``."""
        self._kept_open = True

    def close(self, without: Collection[int] = ()) -> None:
        """
        Commit what was handed in and close the database.

        A callback that outlives its connector may still say that it is done: a later call opens it for itself alone.

        Args:
            without: threads whose calls are not waited for, as they wait for this; they close it as they leave.
        """
        self._kept_open = False
        connections = self._detach()
        if connections is not None:
            # One that was interrupted while it reads keeps the others from reading until it goes on.
            is_interrupted = not set(connections.users).isdisjoint(without)
            end = time.monotonic() + (_INTERRUPTED_TIMEOUT if is_interrupted else _CLOSE_TIMEOUT)
            while set(connections.users).difference(without) and time.monotonic() < end:
                time.sleep(_CLOSE_POLL)
            connections.close_if_unused()

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

    def write_batched_soon(self, work: Callable[[Database, List[S]], List[T]], thing: S, then: Then) -> None:
        """
        Hand in the same without waiting for its commit.

        Args:
            then: called with its result, or the error, by the writer's thread; it may wait for no lock.

        Raises:
            StoreError: not handed in: the database is being closed, or cannot be opened.
        """
        with self._in_use() as (writer, _):
            writer.submit_batched(work, thing, then)

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

    def reclaim_space(self) -> None:
        """
        Give back to the disk what deleted rows have left free, in small pieces: webhooks get their turn in between.

        Raises:
            StoreError: the disk is full, or another program keeps the database locked. What was deleted is.
        """
        with self._in_use() as (writer, _):
            # It makes the tables.
            writer.run(lambda database: None)
            try:
                with writer.connection.exclusive() as database:
                    database.prepare_reclaim()
            except (peewee.PeeweeException, sqlite3.Error) as error:
                raise writer.connection.explain(error) from None
            while writer.run(lambda database: database.reclaim()):
                pass

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
            except FedapayError:
                raise
            except (peewee.PeeweeException, sqlite3.Error, ValueError) as error:
                # A text that no database can hold has no bytes either: the driver says so in Python's words.
                raise reader.explain(error) from None

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[Tuple[Writer, Connection]]:
        thread = threading.get_ident()
        connections = self._connections()
        connections.users.append(thread)
        if connections.is_closing:
            # Closed since they were found: ours are others.
            self._leave(connections, thread)
            with self._in_use() as others:
                yield others
            return
        try:
            yield connections.writer, connections.reader
        finally:
            self._leave(connections, thread)

    def _leave(self, connections: _Connections, thread: int) -> None:
        connections.users.remove(thread)
        if not self._kept_open:
            self._detach()
        connections.close_if_unused()

    def _connections(self) -> _Connections:
        """Those that are open, or else new ones."""
        connections = self._open.get(os.getpid())
        if connections is None:
            made = _Connections(*self._backend.connections())
            connections = self._open.setdefault(os.getpid(), made)
            if connections is not made:
                # Another thread was quicker.
                made.is_closing = True
                made.close_if_unused()
        return connections

    def _detach(self) -> Optional[_Connections]:
        """Let no further call find the connections; they are closed once unused."""
        connections = self._open.pop(os.getpid(), None)
        if connections is not None:
            connections.is_closing = True
        return connections
