"""Makes the file of an SQLite database and its folder, closed to others on the machine."""

import contextlib
import os
import sqlite3
import stat
import threading
from pathlib import Path

from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import ConfigError

log = get_logger(__name__)

#: ON CONFLICT … DO NOTHING came with this one.
_OLDEST_SQLITE = (3, 24, 0)
#: Held while a file is made, while a connection opens, and over a fork.
opening = threading.Lock()


def prepare_file(path: Path) -> None:
    """
    Make folders (0700) and file (0600) where they are missing; SQLite gives its other files the mode of this one.

    Raises:
        ConfigError: the folder or the file cannot be made or written, or the file is a link.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise ConfigError(
            f"SQLite {sqlite3.sqlite_version} est trop ancien : la version 3.24 au moins est nécessaire. "
            "Mettre Python ou le système à jour."
        )
    try:
        _make_folders(path.parent)
        # The lock's too: it would be made, and held, wherever a planted link points.
        for each in (path, Path(f"{path}.lock")):
            if each.is_symlink():
                raise ConfigError(f"{each} est un lien symbolique : donner le fichier de la base lui-même.")
        with opening, contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        for suffix in ("", "-wal", "-shm"):
            _make_private(Path(f"{path}{suffix}"))
        # Asked, not tried: closing any descriptor of a database drops the locks that SQLite holds on it in this
        # process, and another process may then throw away what it has not copied yet.
        if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(None, "pas un fichier inscriptible")
    except OSError as error:
        raise ConfigError(
            f"La base {path} ne peut pas être écrite ({error.strerror or error}). Donner un dossier où ce programme "
            "a le droit d'écrire, par exemple FEDAPAY_DB_URL=sqlite:////var/lib/boutique/fedapay.db."
        ) from None


def _make_folders(path: Path) -> None:
    """Make the folder and those above it that are missing, each 0700: ``parents`` gives the mode to the last only."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def _make_private(path: Path) -> None:
    """
    Take from others the right to read a file that was made elsewhere, by the asynchronous connector for example.

    A group that may write it is meant to.
    """
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(path)
        kept = 0o770 if found.st_mode & 0o020 else 0o700
        # Asked first: where others own it, it is theirs to say.
        if stat.S_ISREG(found.st_mode) and found.st_mode & 0o777 & ~kept and found.st_uid == _uid():
            os.chmod(path, found.st_mode & kept)
            log.warning("%s could be read by others on this machine; now it cannot", path.name)


def _uid() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else -1
