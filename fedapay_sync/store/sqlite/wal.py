"""Keeps the -wal of an SQLite file short: it is copied into the file and cut as soon as no program reads it."""

import sqlite3
from pathlib import Path
from typing import Any, Callable, Optional

import peewee

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.common.logging import get_logger

log = get_logger(__name__)

#: SQLite begins the -wal anew at 4 MB, unless a program reads what is in it, and never cuts it. Beyond so many bytes,
#: we do.
LIMIT = 8 * 1024 * 1024
#: How often that is tried while a program reads, in seconds; each time others may not write for a moment.
INTERVAL = 2.0
PATIENCE_MS = 100
#: A reading that has lasted so long is no backup of a moment, in seconds.
LONG = 20.0
#: It is told of so often, in seconds.
REMINDER = 3600.0


class WalLimiter:
    """The -wal of one file, in one process that writes to it."""

    def __init__(self, path: Path, clock: Clock = SYSTEM_CLOCK) -> None:
        self._name = f"{path.name}-wal"
        self._clock = clock
        self._next_try = self._next_telling = 0.0
        self._held_since: Optional[float] = None

    def limit(self, execute: Callable[[str], Any], patience_ms: int, size: int) -> Optional[float]:
        """
        Cut the -wal if it is long. To be called with the lock file held and no transaction open: a checkpoint beside a
        commit is what some versions of SQLite lose rows by.

        Args:
            execute: executes SQL on the connection that writes.
            patience_ms: how long that connection waits for locks otherwise.
            size: that of the -wal, in bytes.

        Returns:
            Seconds until it is to be called again; None: after the next transaction.
        """
        if size <= LIMIT:
            self._held_since = None
            return None
        now = self._clock.monotonic()
        if now < self._next_try:
            return self._next_try - now
        self._next_try = now + INTERVAL
        held_since = self._held_since = now if self._held_since is None else self._held_since
        try:
            if self._cut(execute, patience_ms):
                self._held_since = None
                return None
        except (peewee.PeeweeException, sqlite3.Error) as error:
            log.warning("%s could not be cut: %s", self._name, type(error).__name__)
        if now - held_since >= LONG and now >= self._next_telling:
            self._next_telling = now + REMINDER
            log.error(
                "%s has grown to %d MB and cannot be cut, as a program has been reading the database for %d s or more: "
                "end its transaction or close it (a sqlite3 shell, a viewer, a backup that hangs?). Webhooks are still "
                "stored, until the disk is full",
                self._name, size / 1e6, now - held_since,
            )  # fmt: skip
        return INTERVAL

    def _cut(self, execute: Callable[[str], Any], patience_ms: int) -> bool:
        execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
        try:
            busy = execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            execute(f"PRAGMA busy_timeout = {patience_ms}")
        return not busy
