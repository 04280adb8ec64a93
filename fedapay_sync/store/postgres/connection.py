"""One connection to a PostgreSQL server: opened when needed and after a restart, never waited for without end."""

import contextlib
import threading
import time
from typing import Iterator, Optional

import peewee

from fedapay_sync.common.clock import Clock
from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import escape_controls
from fedapay_sync.errors import ConfigError, StoreError
from fedapay_sync.store.connection import Connection
from fedapay_sync.store.database import refuses_row
from fedapay_sync.store.migrations import migrate
from fedapay_sync.store.postgres.database import PostgresDatabase, first_line_of
from fedapay_sync.store.postgres.driver import address_of, connect, without_secrets

log = get_logger(__name__)

#: How long one use of a connection may take in all, in seconds: less than the writer's callers are patient.
TIMEOUT = 9.0
#: A server that was there and is gone is waited for so long: most restarts are over by then, and no webhook is refused.
_RESTART_TIMEOUT = 6.0
_RETRY_INTERVAL = 0.2

_ADVICE = (
    ("authentication", "Corriger l'utilisateur et le mot de passe dans FEDAPAY_DB_URL."),
    ("no password", "Corriger l'utilisateur et le mot de passe dans FEDAPAY_DB_URL."),
    ("pg_hba", "Le serveur n'admet pas cette connexion : corriger pg_hba.conf, ou ajouter ?sslmode=require."),
    (
        "SSL was required",
        "Le serveur ne chiffre pas, et son adresse est publique : activer ssl sur le serveur, ou ajouter "
        "?sslmode=disable à FEDAPAY_DB_URL si le réseau est sûr (un VPN).",
    ),
    ("lock timeout", "Un autre programme tient les tables fp_… : le terminer."),
    ("statement timeout", "Le serveur est trop lent ou bloqué ; l'écriture reprendra seule."),
    ("No space", "Le disque du serveur est plein : libérer de la place. L'écriture reprendra seule."),
    ("could not extend", "Le disque du serveur est plein : libérer de la place. L'écriture reprendra seule."),
    ("permission denied", "Donner à cet utilisateur le droit de créer et d'écrire les tables fp_… de cette base."),
    ("no schema", "Le search_path de cet utilisateur ne désigne aucun schéma : le corriger, ou créer le schéma."),
    ("read-only", "C'est un serveur de secours : donner l'adresse du serveur principal."),
    ("too many", "Le serveur n'a plus de connexion libre : augmenter max_connections."),
    ("slots", "Le serveur n'a plus de connexion libre : augmenter max_connections."),
    ("does not exist", "Créer la base et l'utilisateur, ou corriger FEDAPAY_DB_URL."),
)
_REFUSED = "Cette écriture-là est refusée, et le serait encore ; les autres continuent."
_UNREACHABLE = "Vérifier que le serveur tourne et que ce programme l'atteint ; tout reprendra sans redémarrage."


class PostgresConnection(Connection):
    """
    A connection to a PostgreSQL server, for one thread at a time.

    Args:
        clock: hears the server's time; see :class:`PostgresDatabase`.
        writes: make the tables at first; otherwise each use is a transaction that only reads.
    """

    def __init__(self, url: str, clock: Clock, *, writes: bool = False) -> None:
        self._url = url
        self._clock = clock
        self._writes = writes
        self._in_use = threading.Lock()
        self._database: Optional[PostgresDatabase] = None

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[PostgresDatabase]:
        """
        The open database, ours alone for a while, at most nine seconds. After an error it is opened anew.

        Raises:
            StoreError: too many stand in line before us.
        """
        end = time.monotonic() + TIMEOUT
        if not self._in_use.acquire(timeout=TIMEOUT):
            raise self.explain(TimeoutError("pas de réponse à temps"))
        try:
            database = self._opened(end)
            with contextlib.nullcontext() if self._writes else database.read_only():
                yield database
        except BaseException:
            self._drop()
            raise
        finally:
            self._in_use.release()

    def close(self) -> None:
        """Close it; the next use opens it again."""
        with self._in_use:
            self._drop()

    def explain(self, error: BaseException) -> StoreError:
        """The database's own words as an error that says what to do."""
        text = without_secrets(first_line_of(error), self._url)
        refused = refuses_row(error)
        otherwise = _REFUSED if refused else _UNREACHABLE
        advice = next((advice for sign, advice in _ADVICE if sign in text), otherwise)
        return StoreError(
            f"La base {address_of(self._url)} a échoué ({text}). Rien n'a été confirmé. {advice}", permanent=refused
        )

    def _opened(self, end: float) -> PostgresDatabase:
        if self._database is not None and not self._database.is_usable():
            self._drop()
        if self._database is None:
            self._database = self._connected(end)
            if self._writes:
                _check_encoding(self._database.encoding(), self._url)
                again = self.times_opened > 0
                self._database.transact(lambda database: migrate(database, again=again), creates_tables=True)
            self.times_opened += 1
        self._database.deadline = end
        return self._database

    def _drop(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            try:
                database.close()
            except peewee.PeeweeException as error:
                log.warning("closing the connection failed: %s", type(error).__name__)

    def _connected(self, end: float) -> PostgresDatabase:
        database = PostgresDatabase(lambda until: connect(self._url, until), self._clock)
        database.deadline = end
        # One that was never there is a mistake of configuration, or told as one: at once.
        patient_until = min(end, time.monotonic() + _RESTART_TIMEOUT) if self.times_opened else 0.0
        while True:
            try:
                database.connect()
                return database
            except peewee.OperationalError:
                if time.monotonic() + _RETRY_INTERVAL > patient_until:
                    raise
            threading.Event().wait(_RETRY_INTERVAL)


def _check_encoding(encoding: str, url: str) -> None:
    """
    Refuse a database that cannot hold every text: a payer's name, or what a callback complains of, may have any letter.

    Raises:
        ConfigError: its encoding is not UTF-8.
    """
    if encoding.upper() not in ("UTF8", "UTF-8", "UNICODE"):
        raise ConfigError(
            f"La base {address_of(url)} est en {escape_controls(encoding)}, et ne peut pas garder tous les textes "
            "(€, œ, ’). Créer une base en UTF8 (CREATE DATABASE boutique ENCODING 'UTF8' TEMPLATE template0), y "
            "recopier les tables fp_… avec pg_dump et pg_restore s'il y en a, et la donner dans FEDAPAY_DB_URL."
        )
