"""How an SQLite file is opened so that what is committed stays, whoever else has it open."""

import sqlite3
from pathlib import Path

from fedapay_sync.store.database import SqliteFile
from fedapay_sync.store.sqlite.lockfile import HAS_LOCKS

#: How long SQLite waits for a foreign lock, in milliseconds.
BUSY_MS = 10_000


def connect(path: Path) -> SqliteFile:
    """
    An open connection that commits durably: WAL, one sync for each commit.

    It may move between threads (whoever holds it serialises its use), and opens no transaction by itself.
    """
    journal = "WAL" if HAS_LOCKS or not _has_wal_reset_defect() else "TRUNCATE"
    database = SqliteFile(
        # mode=rw: a file that vanished this instant is not made anew.
        f"{path.as_uri()}?mode=rw",
        uri=True,
        pragmas=[
            # First, so that the others wait too.
            ("busy_timeout", BUSY_MS),
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
