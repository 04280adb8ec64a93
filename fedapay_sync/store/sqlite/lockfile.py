"""The lock file beside an SQLite file, held by the process that writes."""

import contextlib
import os
from pathlib import Path
from typing import Dict, Iterator, Optional

from fedapay_sync.store.sqlite.files import opening

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HAS_LOCKS = fcntl is not None
#: Bytes that a holder may leave for the next one.
_LONGEST = 120

#: Those whose file is open.
_open: Dict[int, "ProcessLock"] = {}


class ProcessLock:
    """
    Held by the one connection that writes, from BEGIN to the return of COMMIT.

    It keeps checkpoints and commits of different processes apart (``database._has_wal_reset_defect`` says why), and
    its queue is fairer than SQLite's sleeping busy handler. Its descriptor is closed before a fork, or else in
    the child: inherited, it would give the lock to both sides, and keep it from all others should the parent be killed
    while it holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path = f"{path}.lock"
        self._file: Optional[int] = None

    @contextlib.contextmanager
    def held(self, *, wait: bool = True) -> Iterator[bool]:
        """
        Wait for the lock, without limit: the callers that wait for us have a limit of their own.

        Args:
            wait: if not, what is had says whether it is ours.
        """
        if fcntl is None:
            yield True
            return
        if self._file is None:
            # A link planted in its place would be followed, and the file behind it made or held.
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            with opening:
                self._file = os.open(self._path, flags, 0o600)
                _open[id(self)] = self
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def read(self) -> bytes:
        """What the last holder left for the next one, in the file. For the holder; nothing where there are no locks."""
        return b"" if self._file is None else os.pread(self._file, _LONGEST, 0)

    def write(self, text: bytes) -> None:
        """Leave that for the next holder."""
        if self._file is not None:
            # In one write of one length: a process that is killed leaves the one or the other.
            os.pwrite(self._file, text.ljust(_LONGEST), 0)

    def close(self) -> None:
        """Give the descriptor back."""
        _open.pop(id(self), None)
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _close_inherited() -> None:
    # Of a connection that was not open yet: a thread of the parent waits with it for the end of the fork.
    for each in list(_open.values()):
        each.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)
