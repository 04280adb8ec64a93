"""The -wal and -shm of an open SQLite file: whether they are still those at its path, and how long the -wal is."""

import contextlib
import os
from pathlib import Path
from typing import Optional, Tuple, Union

Identity = Tuple[int, int]


def identity(path: Union[Path, str]) -> Optional[Identity]:
    """Which file stands at that path, if any."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def logs_at(path: Path) -> Tuple[Optional[Identity], ...]:
    """Which files hold what was committed and is not in the database file yet."""
    return identity(f"{path}-wal"), identity(f"{path}-shm")


class OpenLogs:
    """
    Those of one connection, from its opening until ``close``.

    It is asked at each transaction, and then does not ``stat`` the -wal: since Linux 6.13 the write that follows gets a
    time of its own, which costs each commit 40 µs. Where the system tells what an open descriptor leads to, that is
    read, and it says so when the file was removed, replaced or renamed.
    """

    def __init__(self, path: Path) -> None:
        self.files = logs_at(path)
        self._path, self._shm = path, f"{path}-shm"
        self._wal: Optional[int] = None
        self._link = self._place = ""
        with contextlib.suppress(OSError):  # none: the journal is of another kind
            self._wal = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            found = os.fstat(self._wal)
            if (found.st_dev, found.st_ino) == self.files[0]:
                self._link = f"/proc/self/fd/{self._wal}"
                self._place = os.readlink(self._link)

    def are_in_place(self) -> bool:
        """Whether other programs find at the path what is open here."""
        if not self._place:
            return self.files == logs_at(self._path)
        return os.readlink(self._link) == self._place and identity(self._shm) == self.files[1]

    def wal_size(self) -> int:
        """In bytes."""
        return 0 if self._wal is None else os.lseek(self._wal, 0, os.SEEK_END)

    def close(self) -> None:
        """Give the descriptor back. SQLite has no locks on that file."""
        wal, self._wal, self._place = self._wal, None, ""
        if wal is not None:
            os.close(wal)
