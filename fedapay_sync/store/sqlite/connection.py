"""One connection to an SQLite file: made private, locked against other writers, closed before a fork."""

import contextlib
import gc
import os
import sqlite3
import threading
import time
import urllib.parse
from pathlib import Path
from typing import ContextManager, Dict, Iterator, List, Optional

import peewee

from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import ConfigError, StoreError
from fedapay_sync.store.connection import Connection
from fedapay_sync.store.migrations import EMPTIED, migrate
from fedapay_sync.store.sqlite.advice import explained
from fedapay_sync.store.sqlite.database import BUSY_MS, SqliteDatabase, connect
from fedapay_sync.store.sqlite.file_mark import FileChanging, FileMark, no_checkpoint, transactions_in
from fedapay_sync.store.sqlite.files import opening
from fedapay_sync.store.sqlite.lockfile import HAS_LOCKS, ProcessLock
from fedapay_sync.store.sqlite.logs import Identity, OpenLogs, identity, logs_at
from fedapay_sync.store.sqlite.wal import WalLimiter

log = get_logger(__name__)

#: How long a fork waits for one connection before it lets the others have their turn, in seconds.
_FORK_WAIT = 0.005

#: The open connections, and in a child that was forked unprepared those it inherited.
_open: Dict[int, "SqliteConnection"] = {}


def file_of(url: str) -> Path:
    """The file that a ``sqlite:///`` URL names."""
    path = urllib.parse.unquote(url[len("sqlite:///") :].partition("?")[0], errors="surrogateescape")
    return Path(path).expanduser().absolute()


class SqliteConnection(Connection):
    """
    One connection: opened when needed, exclusive by one thread at a time, closed before a fork.

    SQLite remembers which locks its process holds on which file. A forked child inherits that memory without the
    locks: even connections of its own would lock nothing, and lose commits when the parent closes the file.

    Args:
        writes: take the lock file, from BEGIN to the return of COMMIT, and make the tables at first.
        beside: another connection, whose file must be this one's too; closed after an error, both open anew.
    """

    def __init__(self, path: Path, *, writes: bool = False, beside: Optional["SqliteConnection"] = None) -> None:
        self._path = path
        self._beside = beside
        self._process_lock = ProcessLock(path) if writes else None
        self._mark = FileMark(path, self._process_lock) if self._process_lock is not None and HAS_LOCKS else None
        self._wal = WalLimiter(path) if writes else None
        self._in_use = threading.Lock()
        self._database: Optional[SqliteDatabase] = None
        self._pid = 0
        self._file: Optional[Identity] = None
        self._logs: Optional[OpenLogs] = None  # those of the open database
        self._times_closed = self._closed_beside = 0

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[SqliteDatabase]:
        """
        The open database, ours alone for a while. After an error it is opened anew.

        Raises:
            StoreError: the file is not there any more, or is not the one that was opened first.
        """
        with self._in_use, self._file_lock(), self._in_hand() as database:
            yield database

    @contextlib.contextmanager
    def exclusive_if_free(self) -> Iterator[Optional[SqliteDatabase]]:
        """The same, or None where another thread or process has it. For a thread that no signal interrupts."""
        if not self._in_use.acquire(blocking=False):
            yield None
            return
        try:
            with self._file_lock(wait=False) as is_ours:
                if not is_ours:
                    yield None
                    return
                with self._in_hand() as database:
                    yield database
        finally:
            self._in_use.release()

    def _file_lock(self, *, wait: bool = True) -> ContextManager[bool]:
        return contextlib.nullcontext(True) if self._process_lock is None else self._process_lock.held(wait=wait)

    @contextlib.contextmanager
    def _in_hand(self) -> Iterator[SqliteDatabase]:
        try:
            yield self._opened()
            if self._mark is not None:
                self._mark.leave()
        except FileChanging:
            raise
        except BaseException:
            with self._unwritten():
                self._close_database()
            raise

    def close(self) -> None:
        """Close it; the next use opens it again."""
        with self._in_use:
            if self._database is not None and self._process_lock is not None:
                # The last one to close copies the -wal into the file: not into an older copy, nor into half of one.
                with self._process_lock.held(), contextlib.suppress(StoreError, OSError):
                    try:
                        self._part_from_replaced()
                    except FileChanging:
                        self._close_without_checkpoint()
            self._close_all()

    def explain(self, error: BaseException) -> StoreError:
        """The database's own words as an error that says what to do."""
        return explained(error)

    def _opened(self) -> SqliteDatabase:
        found = identity(self._path)
        known = {each._file for each in (self, self._beside) if each is not None and each._file is not None}
        if found is None or known - {found}:
            # SQLite would go on with a file that no program will ever find, or make a new one, empty.
            self._close_database()
            raise StoreError(
                f"La base {self._path} a disparu ou a été remplacée. La remettre en place, ou redémarrer le programme."
            )
        self._part_from_replaced()
        if self._beside is not None and self._beside._times_closed != self._closed_beside:
            # While one stays open, SQLite shares with all of the process what it knows of a file put right since.
            self._close_database()
            self._closed_beside = self._beside._times_closed
        if self._logs is not None and not self._logs.are_in_place():
            # SQLite would go on, and confirm what it writes into files that no program will ever find.
            log.error("the -wal or -shm of %s was taken from under an open database; reopening", self._path.name)
            self._close_database()
        if self._database is None:
            been_open = self.times_opened or (self._beside is not None and self._beside.times_opened)
            if been_open and not os.path.getsize(self._path):
                # Opened, it would be locked as a new database is made, ten seconds for each who comes.
                raise StoreError(EMPTIED)
            if been_open and None in logs_at(self._path):
                # A statement that failed stays in a circle with its error until it is collected, and in SQLite keeps
                # its closed connection alive, whose -shm a new one would share: it is gone, and tells of another -wal.
                gc.collect()
            self._close_stale(found)
            with opening:
                if any(each._pid != os.getpid() and each._file == found for each in list(_open.values())):
                    raise ConfigError(
                        f"La base {self._path} était ouverte quand ce processus a été créé par fork, et ne peut plus "
                        "l'être ici sans risque. N'utiliser le connecteur qu'après le fork (uWSGI : lazy-apps = true)."
                    )
                self._database, self._file, self._pid = connect(self._path), found, os.getpid()
                _open[id(self)] = self
            self._database.wal = self._wal
            if self._process_lock is not None:
                again = self.times_opened > 0
                self._database.transact(lambda database: migrate(database, again=again), creates_tables=True)
                if not transactions_in(self._path):
                    self._database.write_schema()
            self.times_opened += 1
            self._logs = self._database.logs = OpenLogs(self._path)
        return self._database

    def _part_from_replaced(self) -> None:
        """Where an older copy was put in place of the file, close what this process has open of the other content."""
        if self._mark is None or not self._mark.is_replaced(been_open=self.times_opened > 0):
            return
        self._close_without_checkpoint()
        self._mark.go_on()
        self.times_replaced = self._mark.times_replaced

    @contextlib.contextmanager
    def _unwritten(self) -> Iterator[None]:
        """
        Meanwhile this connection closes without writing, if the file is not as it was left: the last one to close
        copies the -wal into it, and it may be an older copy by now, or half of one.
        """
        others = [each for each in list(_open.values()) if each is not self and each._database is not None]
        is_last = not any(each._file == self._file for each in others)
        mark = self._mark if self._beside is None else self._beside._mark
        with contextlib.ExitStack() as held:
            if is_last and self._database is not None and mark is not None and not mark.is_as_left():
                with contextlib.suppress(OSError):
                    held.enter_context(no_checkpoint(self._path))
            yield

    def _close_without_checkpoint(self) -> None:
        """
        Close all that this process has open of the file, and write nothing into it.

        Raises:
            StoreError: something of it is in use.
        """
        found = identity(self._path)
        others = [each for each in list(_open.values()) if each._pid == os.getpid() and each._file == found]
        with contextlib.ExitStack() as held:
            for each in others:
                if each is not self:
                    each._take(self._path)
                    held.callback(each._in_use.release)
            with no_checkpoint(self._path):
                for each in others:
                    each._close_database()

    def _take(self, path: Path) -> None:
        """Hold it for another that opens the file anew."""
        # Not for long: it may be waiting for that one.
        if not self._in_use.acquire(timeout=1.0):
            raise StoreError(f"La base {path} est en train d'être rouverte. Rien n'a été confirmé.")

    def _close_stale(self, found: Identity) -> None:
        """
        Close what else this process has open on that file with logs that are gone: SQLite shares between all of its
        connections what it knows of them.

        Raises:
            StoreError: one of them is in use.
        """
        for each in list(_open.values()):
            if each._pid != os.getpid() or each._file != found or each._has_logs_in_place():
                continue
            each._take(self._path)
            try:
                if not each._has_logs_in_place():
                    each._close_database()
            finally:
                each._in_use.release()

    def _has_logs_in_place(self) -> bool:
        # Without: it is being opened.
        return self._logs is None or self._logs.are_in_place()

    def _close_all(self) -> None:
        self._close_database()
        if self._process_lock is not None:
            self._process_lock.close()

    def _close_database(self) -> None:
        database, self._database, logs, self._logs = self._database, None, self._logs, None
        try:
            if database is not None:
                self._times_closed += 1
                database.close()
        except (peewee.PeeweeException, sqlite3.Error) as error:
            log.warning("closing the database failed: %s", type(error).__name__)
        finally:
            if logs is not None:
                logs.close()
            # Until here a fork waits: in the midst of it SQLite holds locks of its own, of all of its connections.
            _open.pop(id(self), None)


_held_during_fork: List[SqliteConnection] = []


def _before_fork() -> None:
    end = time.monotonic() + BUSY_MS / 1000
    while True:
        opening.acquire()
        left = [each for each in list(_open.values()) if each._pid == os.getpid() and not _closed_for_fork(each)]
        # One that is not to be had in time stays open, and the child will refuse that file.
        if not left or time.monotonic() > end:
            return
        # It may be waiting for the lock file, which another has that waits here to be opened.
        opening.release()
        time.sleep(_FORK_WAIT)


def _closed_for_fork(connection: SqliteConnection) -> bool:
    """Close it for the time of a fork, if it is free now or soon."""
    if not connection._in_use.acquire(timeout=_FORK_WAIT):
        return False
    with connection._unwritten():
        connection._close_all()
    _held_during_fork.append(connection)
    return True


def _after_fork() -> None:
    while _held_during_fork:
        _held_during_fork.pop()._in_use.release()
    opening.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
