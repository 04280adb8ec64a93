"""The SQLite file: made private, opened durably, locked against the writers of other processes."""

import contextlib
import os
import sqlite3
import threading
import urllib.parse
from pathlib import Path
from typing import Any, Iterator, Optional

import peewee

from ..errors import ConfigError, StoreError
from ..masking import mask
from .tables import SCHEMA_VERSION, TABLES, MetaRow

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: How long SQLite waits for a foreign lock, in milliseconds.
_BUSY_MS = 10_000
#: ON CONFLICT … DO NOTHING came with this one.
_OLDEST_SQLITE = (3, 24, 0)


def file_of(url: str) -> Path:
    """The file that a ``sqlite:///`` URL names."""
    path = urllib.parse.unquote(url[len("sqlite:///") :].partition("?")[0])
    return Path(path).expanduser().absolute()


def prepare_file(path: Path) -> None:
    """
    Make folder (0700) and file (0600) where they are missing; SQLite gives its other files the mode of this one.

    Raises:
        ConfigError: the folder or the file cannot be made or written, or the file is a link.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise ConfigError(
            f"SQLite {sqlite3.sqlite_version} est trop ancien : la version 3.24 au moins est nécessaire. "
            "Mettre Python ou le système à jour."
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_symlink():
            raise ConfigError(f"{path} est un lien symbolique : donner le fichier de la base lui-même.")
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with open(path, "r+b"):
            pass
    except OSError as error:
        raise ConfigError(
            f"La base {path} ne peut pas être écrite ({error.strerror or error}). Donner un dossier où ce programme "
            "a le droit d'écrire, par exemple FEDAPAY_DB_URL=sqlite:////var/lib/boutique/fedapay.db."
        ) from None


def connect(path: Path) -> peewee.SqliteDatabase:
    """
    An open connection that commits durably: WAL, one sync for each commit.

    It may move between threads (whoever holds it serialises its use), and opens no transaction by itself.
    """
    if not path.exists():
        # SQLite would silently make a new one, world-readable and empty.
        raise StoreError(
            f"La base {path} a disparu. La remettre en place, ou redémarrer le programme pour en créer une neuve."
        )
    journal = "WAL" if fcntl is not None or not _has_wal_reset_defect() else "TRUNCATE"
    database = peewee.SqliteDatabase(
        str(path),
        pragmas=[
            # First, so that the others wait too.
            ("busy_timeout", _BUSY_MS),
            ("journal_mode", journal),
            ("synchronous", "FULL"),
            ("foreign_keys", 1),
        ],
        check_same_thread=False,
        thread_safe=False,
        timeout=_BUSY_MS / 1000,
    )
    database.connect()
    return database


def _has_wal_reset_defect() -> bool:
    """SQLite before 3.51.3 (3.44.6 and 3.50.7 excepted) may lose commits at a checkpoint among several writers."""
    version = sqlite3.sqlite_version_info
    return version < (3, 51, 3) and not ((3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51))


def migrate(database: peewee.SqliteDatabase) -> None:
    """
    Make the tables, inside the caller's transaction.

    Raises:
        StoreError: the tables were made by a newer version of this package.
    """
    for table in TABLES:
        peewee.SchemaManager(table, database).create_all(safe=True)
    stored: Optional[int] = MetaRow.select(MetaRow.schema_version).scalar(database)
    if stored is None:
        MetaRow.insert(schema_version=SCHEMA_VERSION).execute(database)
    elif stored > SCHEMA_VERSION:
        raise StoreError(
            f"La base a été écrite par une version plus récente de fedapay_sync (schéma {stored}, celui-ci connaît "
            f"{SCHEMA_VERSION}). Mettre fedapay_sync à jour, ou donner une autre base."
        )


class ProcessLock:
    """
    Held by the one process that writes, from BEGIN to the return of COMMIT.

    It keeps checkpoints and commits of different processes apart (see ``_has_wal_reset_defect``), and its queue is
    fairer than SQLite's sleeping busy handler. Opened once per process: a descriptor inherited over a fork would
    give the lock to both sides.
    """

    def __init__(self, path: Path) -> None:
        self._threads = threading.Lock()
        self._file: Optional[int] = None
        if fcntl is not None:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            self._file = os.open(f"{path}.lock", flags, 0o600)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, without limit: those who wait for us have a limit of their own."""
        with self._threads:
            if self._file is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                if self._file is not None:
                    fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the descriptor back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def explained(error: BaseException) -> StoreError:
    """The database's own words as an error that says what to do."""
    text = mask(error)
    for sign, advice in (
        (
            "full",
            "Le disque est plein : libérer de la place. Rien n'a été confirmé ; l'écriture reprendra seule.",
        ),
        (
            "locked",
            "Un autre programme tient la base verrouillée : le fermer (un shell sqlite3, une sauvegarde ?).",
        ),
        ("malformed", "Le fichier est abîmé : le remplacer par une sauvegarde saine."),
        ("not a database", "Ce fichier n'est pas une base SQLite : corriger FEDAPAY_DB_URL."),
        ("readonly", "Le fichier n'est pas inscriptible : corriger ses droits."),
        ("unable to open", "Le fichier ne peut pas être ouvert : vérifier le dossier et ses droits."),
        ("disk I/O", "Le disque ou le dossier a disparu ou refuse : vérifier le stockage."),
    ):
        if sign in text:
            return StoreError(f"La base locale a échoué ({text}). {advice}")
    return StoreError(f"La base locale a échoué ({type(error).__name__} : {text}).")


def raw(database: peewee.SqliteDatabase) -> Any:
    """The driver's own connection, for the transaction statements."""
    return database.connection()
