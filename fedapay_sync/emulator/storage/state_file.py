"""State files: records by kind and number in SQLite, or nowhere."""

import json
import os
import sqlite3
import struct
from contextlib import suppress
from typing import Any, List, Optional, Tuple, Union

from fedapay_sync.emulator.http.serializers import Record, compact
from fedapay_sync.errors import ConfigError

#: Kind of the record that names the environment of a state, or of a namespace; existing files have it so.
ENVIRONMENT_KIND = "books"
#: In the file's header, so that no other program's database is taken for ours ("FpEm").
_APPLICATION_ID = 0x4670456D
_VERSION = 1
# Where SQLite's header has the two numbers, so that a foreign file is known without opening it as a database.
_HEADER = struct.Struct(">16s44xI4xI")
_MAGIC = b"SQLite format 3\x00"


class State:
    """Interface of a state; this one keeps nothing beyond the process."""

    is_open = True

    def open(self) -> None:
        """Open the file, with an exclusive lock."""

    def close(self) -> None:
        """Close the file; what is written from now on is dropped."""

    def read(self, kind: str) -> List[Record]:
        """The records of that kind, oldest first."""
        return []

    def begin(self) -> None:
        """What is written from now on is kept at ``end``, all of it or nothing."""

    def end(self) -> None:
        """Keep what was written since ``begin``; ConfigError if the file refused any of it, and has none of it."""

    def write(self, kind: str, number: int, record: Record) -> None:
        """Keep a record, new or changed."""

    def erase(self, kind: str, number: int) -> None:
        """Forget a record."""

    def clear(self) -> None:
        """Forget all records."""

    def last_number(self) -> int:
        """The highest number in use; 0 if there is none."""
        return 0


class FileState(State):
    """
    Records in an SQLite file.

    Used under the lock of the data. A power cut may lose the last records; a killed process loses none.

    Raises:
        ConfigError: the file is not ours, is in use, or cannot be opened; later, it refuses a record.
    """

    is_open = False

    def __init__(self, path: str) -> None:
        self._path = path
        # Steps are nested: one may span several shops.
        self._depth = 0
        # The first error since ``begin``: the whole step is lost with it, what came before and what follows.
        self._refused: Optional[sqlite3.Error] = None
        self.open()

    def open(self) -> None:
        folder = os.path.dirname(self._path)
        if folder and not os.path.isdir(folder):
            raise ConfigError(
                f"Fichier d'état de l'émulateur : le dossier {folder!r} n'existe pas. Le créer, ou donner un autre "
                "chemin."
            )
        self._refuse_foreign()
        try:
            self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=0.5)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise
        except (sqlite3.Error, ValueError) as error:
            if "locked" in str(error):
                raise ConfigError(
                    f"Un autre émulateur utilise le fichier d'état {self._path} ({error}). L'arrêter, ou donner un "
                    "fichier qu'aucun autre émulateur n'utilise."
                ) from None
            if "unable to open" in str(error) or "readonly" in str(error):
                raise ConfigError(
                    f"Fichier d'état de l'émulateur : {os.path.abspath(self._path)} ne peut pas être écrit ({error}). "
                    "Donner un chemin dans un dossier où ce programme a le droit d'écrire."
                ) from None
            raise ConfigError(
                f"Fichier d'état de l'émulateur inutilisable : {self._path} ({error}). Donner un fichier neuf, ou un "
                "fichier fait par l'émulateur."
            ) from None
        self.is_open = True

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._db.close()

    def read(self, kind: str) -> List[Record]:
        rows = self._ask("SELECT record FROM records WHERE kind = ? ORDER BY number", kind)
        try:
            return [json.loads(record) for (record,) in rows]
        except ValueError as error:
            raise self._damaged(error) from None

    def begin(self) -> None:
        self._depth += 1

    def end(self) -> None:
        self._depth -= 1
        if self._depth:
            return
        refused, self._refused = self._refused, None
        if self.is_open and self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK" if refused else "COMMIT")
            except sqlite3.Error as error:
                refused = refused or error
                with suppress(sqlite3.Error):  # SQLite has done it already, for some of its errors
                    self._db.execute("ROLLBACK")
        if refused:
            raise self._full(refused)

    def write(self, kind: str, number: int, record: Record) -> None:
        self._change("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", kind, number, compact(record))

    def erase(self, kind: str, number: int) -> None:
        self._change("DELETE FROM records WHERE kind = ? AND number = ?", kind, number)

    def clear(self) -> None:
        self._change("DELETE FROM records")

    def last_number(self) -> int:
        ((number,),) = self._ask("SELECT max(number) FROM records")
        return number or 0

    def _change(self, order: str, *values: Union[str, int]) -> None:
        if not self.is_open:
            return
        if self._refused:
            raise self._full(self._refused)
        try:
            # Begun at the first write: most calls only read.
            if self._depth and not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(order, values)
        except sqlite3.Error as error:
            if self._depth:
                self._refused = error
            raise self._full(error) from None

    def _full(self, error: sqlite3.Error) -> ConfigError:
        return ConfigError(
            f"Fichier d'état {self._path} : plus de place ou illisible ({error}). Rien de cet appel n'a été gardé."
        )

    def _ask(self, question: str, *values: str) -> List[Tuple[Any, ...]]:
        try:
            return self._db.execute(question, values).fetchall()
        except sqlite3.Error as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"Fichier d'état de l'émulateur abîmé : {self._path} ({error}). L'effacer, ou donner un autre chemin."
        )

    def _refuse_foreign(self) -> None:
        """Look at the first bytes only: opening another program's database could already change it."""
        try:
            if not os.path.lexists(self._path) or (os.path.isfile(self._path) and not os.path.getsize(self._path)):
                return
            head = b""
            if os.path.isfile(self._path):  # not a pipe, which would wait for a writer
                with open(self._path, "rb") as file:
                    head = file.read(_HEADER.size)
        except (OSError, ValueError) as error:
            raise ConfigError(f"Fichier d'état de l'émulateur illisible : {self._path} ({error}).") from None
        known = _HEADER.unpack(head) if len(head) == _HEADER.size else None
        if known != (_MAGIC, _VERSION, _APPLICATION_ID):
            raise ConfigError(
                f"{self._path} n'est pas un fichier d'état de cette version de l'émulateur : il n'a pas été touché. "
                "Donner un autre chemin."
            )

    def _prepare(self) -> None:
        # Exclusive: two emulators on one file would each overwrite what the other knows.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA synchronous = OFF")
        # One transaction, still without WAL: the two numbers are in the header from the first byte on.
        self._db.execute("BEGIN EXCLUSIVE")
        self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._db.execute(f"PRAGMA user_version = {_VERSION}")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS records (kind TEXT, number INTEGER, record TEXT, PRIMARY KEY (kind, number))"
        )
        self._db.execute("COMMIT")
        self._db.execute("PRAGMA journal_mode = WAL")
        # The first write takes the lock, which then stays.
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("COMMIT")


class NamespacedState(State):
    """One shop's part of a shared state: its kinds carry a prefix."""

    def __init__(self, whole: State, name: str) -> None:
        self._whole = whole
        self._name = f"{name}/"

    @property
    def is_open(self) -> bool:  # type: ignore[override]
        return self._whole.is_open

    def close(self) -> None:
        self._whole.close()

    def read(self, kind: str) -> List[Record]:
        return self._whole.read(self._name + kind)

    def begin(self) -> None:
        self._whole.begin()

    def end(self) -> None:
        self._whole.end()

    def write(self, kind: str, number: int, record: Record) -> None:
        self._whole.write(self._name + kind, number, record)

    def erase(self, kind: str, number: int) -> None:
        self._whole.erase(self._name + kind, number)
