"""
An SQLite file as a Peewee database, opened so that what is committed stays, whichever other program has it open.
"""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Callable, Optional, TypeVar

import peewee

from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import ConfigError, StoreError
from fedapay_sync.store.database import Database
from fedapay_sync.store.migrations import COMPATIBILITY, check_compatible
from fedapay_sync.store.sqlite.lockfile import HAS_LOCKS
from fedapay_sync.store.sqlite.logs import OpenLogs
from fedapay_sync.store.sqlite.wal import WalLimiter

log = get_logger(__name__)

T = TypeVar("T")

#: How long SQLite waits for a foreign lock, in milliseconds.
BUSY_MS = 10_000
#: The row that counts transactions, in a table that SQLite writes for each new row of ours anyway: no page more.
COUNTER = "fp_transactions"
_COUNT = f"UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = '{COUNTER}'"
_BEGIN_COUNT = f"INSERT INTO sqlite_sequence (name, seq) VALUES ('{COUNTER}', 1)"
#: Free pages are given back when asked for: at each commit would cost each commit.
_INCREMENTAL = 2
#: Pages that are given back in one transaction.
_PIECE = 500
#: An old file is written anew for so many free pages at least, and up to so many bytes.
_WORTH_IT, _LARGE = 256, 100 * 1024 * 1024


class SqliteDatabase(peewee.SqliteDatabase, Database):
    """One connection to an SQLite file."""

    #: What keeps the -wal short, on the connection that writes.
    wal: Optional[WalLimiter] = None
    logs: Optional[OpenLogs] = None

    def transact(self, work: Callable[[Database], T], *, creates_tables: bool = False) -> T:
        """The result of that work, committed; or nothing of it."""
        connection: sqlite3.Connection = self.connection()
        # Immediate: a transaction that reads first and writes later is refused at once, whatever the busy timeout.
        self.execute_sql("BEGIN IMMEDIATE")
        changes = connection.total_changes
        try:
            if not creates_tables:
                check_compatible(self.execute_sql(COMPATIBILITY).fetchone())
            value = work(self)
            if connection.total_changes != changes and not connection.execute(_COUNT).rowcount:
                connection.execute(_BEGIN_COUNT)
            self.execute_sql("COMMIT")
            return value
        except BaseException:
            # A full disk has already rolled back; rolling back again would hide why.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def lock_out_writers(self) -> None:
        """Nothing to do: there is one transaction that writes at a time."""

    def notify_listeners(self) -> None:
        """Nothing to say: others see the commit itself."""

    def data_version(self) -> object:
        """What changes when another connection has committed."""
        return self._pragma("data_version")

    def copy_to(self, path: Path) -> None:
        """
        Write all that is committed at this moment into that new file, while others go on writing.

        Raises:
            ConfigError: the file is there already, or cannot be written.
            StoreError: what was written is not sound; it is removed again.
        """
        try:
            # Private before anything is in it.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            reason = "existe déjà" if isinstance(error, FileExistsError) else f"({error.strerror or error})"
            raise ConfigError(
                f"La sauvegarde {path} ne peut pas être écrite : {reason}. Donner un fichier neuf dans un dossier "
                "inscriptible."
            ) from None
        source: sqlite3.Connection = self.connection()
        try:
            with contextlib.closing(sqlite3.connect(path)) as copy:
                source.backup(copy)
                # One file: a -wal beside it would be left behind where the copy is carried elsewhere.
                copy.execute("PRAGMA journal_mode = DELETE")
                found = copy.execute("PRAGMA quick_check").fetchone()[0]
            if found != "ok":
                raise StoreError(
                    f"La sauvegarde {path} n'est pas saine ({found}) ; elle est effacée. La base l'est-elle ?"
                )
        except BaseException:
            path.unlink()
            raise

    def maintain(self) -> Optional[float]:
        """Keep the -wal short."""
        if self.wal is None or self.logs is None:
            return None
        return self.wal.limit(self.execute_sql, BUSY_MS, self.logs.wal_size())

    def write_schema(self) -> None:
        """
        Copy the -wal into the file where it holds the tables themselves: from then on the file can be read alone, also
        where a reader lets through a part of a checkpoint, or a kill cuts it.
        """
        # On a full disk the next checkpoint does it.
        with contextlib.suppress(peewee.OperationalError):
            self.execute_sql("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def prepare_reclaim(self) -> None:
        """Write a file anew, once, that was made before files could give pages back; not a very large one."""
        free, pages = self._pragma("freelist_count"), self._pragma("page_count")
        if self._pragma("auto_vacuum") == _INCREMENTAL or free < _WORTH_IT:
            return
        size = pages * self._pragma("page_size")
        if size > _LARGE:
            # It would hold webhooks up for longer than FedaPay waits.
            log.warning(
                "%d of %d MB are free in the database and stay in its file; to give them back, stop all programs and "
                "run: sqlite3 FILE 'PRAGMA auto_vacuum = 2; VACUUM'",
                size * free / pages / 1e6, size / 1e6,
            )  # fmt: skip
            return
        self.execute_sql(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
        self.execute_sql("VACUUM")
        self.execute_sql(_COUNT)
        self.write_schema()

    def reclaim(self) -> bool:
        """Give some free pages back; true if there are more."""
        if self._pragma("auto_vacuum") == _INCREMENTAL and self._pragma("freelist_count"):
            # To its end: a page goes with each step.
            self.execute_sql(f"PRAGMA incremental_vacuum({_PIECE})").fetchall()
            # It changes no row, and yet which page holds what.
            self.execute_sql(_COUNT)
            return self._pragma("freelist_count") > 0
        return False

    def _pragma(self, name: str) -> int:
        return int(self.execute_sql(f"PRAGMA {name}").fetchone()[0])

    def has_tables(self) -> bool:
        """Whether the last of the tables is there, and so all of them."""
        return bool(self.execute_sql("SELECT 1 FROM sqlite_master WHERE name = 'fp_meta'").fetchall())


def connect(path: Path) -> SqliteDatabase:
    """
    An open connection that commits durably: WAL, one sync for each commit.

    It may move between threads (its holder serialises its use), and opens no transaction by itself.
    """
    journal = "WAL" if HAS_LOCKS or not _has_wal_reset_defect() else "TRUNCATE"
    # Before anything is in it: later it takes a VACUUM, and to say it again would be to write.
    made_new = [("auto_vacuum", _INCREMENTAL)] if path.exists() and not os.path.getsize(path) else []
    database = SqliteDatabase(
        # mode=rw: a file that vanished this instant is not made anew.
        f"{path.as_uri()}?mode=rw",
        uri=True,
        pragmas=[
            # First, so that the others wait too.
            ("busy_timeout", BUSY_MS),
            *made_new,
            ("journal_mode", journal),
            ("synchronous", "FULL"),
            ("foreign_keys", 1),
            # What a statement of many rows writes down to undo itself needs no file of its own.
            ("temp_store", "MEMORY"),
        ],
        check_same_thread=False,
        thread_safe=False,
        autoconnect=False,
        timeout=BUSY_MS / 1000,
    )
    database.connect()
    return database


def _has_wal_reset_defect() -> bool:
    """SQLite before 3.51.3 (3.44.6 and 3.50.7 excepted) may lose commits at a checkpoint among several writers."""
    version = sqlite3.sqlite_version_info
    return version < (3, 51, 3) and not ((3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51))
