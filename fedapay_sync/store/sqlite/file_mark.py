"""
Notices an older copy that was put in place of the database file, under a running program or between two.

SQLite does not notice: the file is the same, with another content. It would go on with the pages in its memory and in
the -wal, confirm what no later reader finds, and copy pages of the -wal among older ones.

Each transaction that changes something counts one (``SqliteDatabase.transact``). The file itself, without the -wal,
changes by checkpoints alone; each writing connection leaves beside it, in the lock file, how it stood after the last
one: size, time of change, and how many transactions it held. A file that has changed since is looked at. Fewer
transactions than the mark says: an older copy. As many or more: a checkpoint, or a copy since the last one, whose
differences all lie in the -wal.
"""

import contextlib
import os
import shutil
import sqlite3
import struct
import time
from pathlib import Path
from typing import Iterator, NamedTuple, Optional, Tuple

from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import StoreError
from fedapay_sync.store.migrations import EMPTIED
from fedapay_sync.store.sqlite.database import COUNTER
from fedapay_sync.store.sqlite.lockfile import ProcessLock

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

log = get_logger(__name__)

#: What was written to so lately may be in the midst of a copy, or of another program's checkpoint, in seconds.
_QUIET = 1.0
#: What SQLite locks in a file: where the bytes that readers share begin, and how many they are.
_SHARED = (0x40000002, 510)
#: How a file is opened to read it with its -wal; and alone, where SQLite takes no lock and remembers nothing.
_WITH_WAL, _ALONE = "mode=ro", "mode=ro&immutable=1"


_CHANGING = (
    "La base {} est en train d'être remplacée, ou est abîmée. Rien n'a été confirmé ; l'écriture reprendra seule dès "
    "qu'une copie saine et entière est en place."
)


class FileChanging(StoreError):
    """The file is not to be used now; what is open stays so, as closing would write into it."""


class _Mark(NamedTuple):
    """How the file stood. The generation is one more after each older copy."""

    generation: int
    changed_ns: int
    size: int
    transactions: int


class FileMark:
    """
    The mark of one file, as one connection reads and leaves it. Call it while the lock is held.

    Attributes:
        times_replaced: how often an older copy was noticed here.
    """

    def __init__(self, path: Path, lock: ProcessLock) -> None:
        self._path = path
        self._lock = lock
        self._generation: Optional[int] = None
        # As it was last read, or left: the next process reads it, and this one only where it is another.
        self._mark: Optional[_Mark] = None
        self._text = b""
        # How the file stood when a checkpoint was last found to have been cut.
        self._cut: Optional[Tuple[int, int]] = None
        self.times_replaced = 0

    def is_replaced(self, *, been_open: bool) -> bool:
        """
        Whether what this process has open is of another content than the file: an older copy was put in its place.
        True until :meth:`go_on`.

        Args:
            been_open: this process has had the file open before.

        Raises:
            FileChanging: the file is empty, unreadable, or being written.
        """
        mark, stood = self._read(), self._stands()
        if self._generation is None and mark is not None:
            self._generation = mark.generation
        if mark is not None and stood not in ((mark.changed_ns, mark.size), self._cut):
            mark = self._look(mark, stood, been_open)
        return mark is not None and mark.generation != self._generation

    def is_as_left(self) -> bool:
        """Whether the file stands as the last transaction left it, as far as this connection knows."""
        with contextlib.suppress(OSError):
            return self._mark is not None and self._stands() in ((self._mark.changed_ns, self._mark.size), self._cut)
        return False

    def go_on(self) -> None:
        """Nothing is open any more of the content that is gone."""
        self._generation = None if self._mark is None else self._mark.generation

    def leave(self) -> None:
        """
        Mark the file as it stands after a transaction.

        Raises:
            FileChanging: it was replaced during that.
        """
        if self.is_as_left():
            return
        mark, stood = self._mark, self._stands()
        held = transactions_in(self._path)
        if mark is not None and (held is None or held < mark.transactions):
            # Or a checkpoint of ours was cut: that is told by the next look, when the file has been quiet for a while.
            raise FileChanging(_CHANGING.format(self._path))
        self._generation = self._generation or 0
        self._write(_Mark(self._generation, *stood, held or 0))

    def _look(self, mark: _Mark, stood: Tuple[int, int], been_open: bool) -> Optional[_Mark]:
        """The mark for a file that has changed since it was left."""
        changed_ns, size = stood
        if not size:
            if been_open:
                raise FileChanging(EMPTIED)
            # A new database in the place of one that is gone: who restarts has decided.
            return self._write(_Mark(mark.generation, changed_ns, size, 0))
        held = transactions_in(self._path)
        if held is not None and held >= mark.transactions:
            return self._write(_Mark(mark.generation, changed_ns, size, held))
        is_changing = abs(time.time() - changed_ns / 1e9) < _QUIET
        if is_changing and been_open:
            raise FileChanging(_CHANGING.format(self._path))
        if is_changing:
            # At the start no caller waits for long, and an error would end the program.
            time.sleep(_QUIET)
            return self._look(mark, self._stands(), been_open)
        if self._is_cut(held, mark, stood):
            return mark
        if held is None or not _is_whole(self._path, _ALONE):
            if been_open:
                raise FileChanging(_CHANGING.format(self._path))
            # SQLite says what is wrong with it.
            return mark
        log.error(
            "an older copy was put in place of %s: %d of %d transactions are left; what FedaPay still knows of the "
            "others is read again; what lay in the -wal is kept in %s",
            self._path.name, held, mark.transactions, kept_wal(self._path).name,
        )  # fmt: skip
        _remove_logs(self._path)
        self.times_replaced += 1
        return self._write(_Mark(mark.generation + 1, changed_ns, size, held))

    def _is_cut(self, held: Optional[int], mark: _Mark, stood: Tuple[int, int]) -> bool:
        """
        Whether the file is no older copy, but in the midst of a checkpoint that was cut, by a kill, a power cut, a full
        disk or a reader. SQLite makes it whole with the next one.
        """
        # Its counter may be unreadable or missing then, but never less: it is written as a whole.
        if held or not _is_whole(self._path, _WITH_WAL, mark.transactions):
            return False
        self._cut = stood
        return True

    def _stands(self) -> Tuple[int, int]:
        found = os.stat(self._path)
        return found.st_mtime_ns, found.st_size

    def _read(self) -> Optional[_Mark]:
        text = self._lock.read()
        if text != self._text:
            try:
                self._mark = _Mark(*(int(each) for each in text.split()))
            except (TypeError, ValueError):
                self._mark = None
            self._text = text
        return self._mark

    def _write(self, mark: _Mark) -> _Mark:
        # Without it an older copy may go unnoticed; for that, what was committed is not to be refused.
        with contextlib.suppress(OSError):
            self._lock.write(b"%d %d %d %d" % mark)
        self._mark, self._text = mark, b""
        return mark


def transactions_in(path: Path) -> Optional[int]:
    """How many transactions the file holds without its -wal; None if it cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?{_ALONE}", uri=True)) as file:
            # A checkpoint that was cut leaves a file shorter than it says.
            file.execute("PRAGMA writable_schema = ON")
            return _counted(file)
    except (sqlite3.Error, TypeError, ValueError):
        return None


def _is_whole(path: Path, how: str, transactions: int = 0) -> bool:
    """Whether the file, alone or with its -wal, is sound, and holds so many transactions: half of a copy is neither."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?{how}", uri=True)) as file:
            return _counted(file) >= transactions and file.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
    except (sqlite3.Error, TypeError, ValueError):
        return False


def _counted(file: sqlite3.Connection) -> int:
    if not file.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchall():
        return 0
    row = file.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (COUNTER,)).fetchone()
    return 0 if row is None else int(row[0])


@contextlib.contextmanager
def no_checkpoint(path: Path) -> Iterator[None]:
    """
    Meanwhile connections to that file close without copying their -wal into it, where the system has locks that belong
    to a descriptor and not to the process. None of this process may be left open at the end.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        if hasattr(fcntl, "F_OFD_SETLK"):
            # As another reader would hold it. SQLite copies only what no other has open.
            lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, *_SHARED, 0)
            with contextlib.suppress(OSError):
                fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
        yield
    finally:
        # It takes the locks of any connection that is left open with it.
        os.close(file)


def kept_wal(path: Path) -> Path:
    """Where the -wal of the content that is gone is kept: only a person can tell whether it came with the copy."""
    return Path(f"{path}-wal.replaced")


def _remove_logs(path: Path) -> None:
    """
    Remove -wal and -shm: their pages are of the content that is gone.

    The -wal is emptied first: a process that has it open can then copy nothing out of it.
    """
    wal = Path(f"{path}-wal")
    with contextlib.suppress(FileNotFoundError):
        # A full disk is no reason to refuse what comes.
        with contextlib.suppress(OSError):
            if wal.stat().st_size:
                kept_wal(path).unlink(missing_ok=True)
                # With its mode, which is that of the file.
                shutil.copy(wal, kept_wal(path))
        os.truncate(wal, 0)
        wal.unlink()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{path}-shm")
