"""A PostgreSQL server as a Peewee database: one transaction at a time, and no wait for an answer without end."""

import contextlib
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Sequence, TypeVar

import peewee

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.errors import ConfigError
from fedapay_sync.store.database import ConnectionLost, Database
from fedapay_sync.store.migrations import COMPATIBILITY, check_compatible
from fedapay_sync.store.postgres.clock import ServerClock
from fedapay_sync.store.postgres.driver import is_alive, wait

T = TypeVar("T")

#: The NOTIFY channel on which the commit listeners of all processes hear that something has ended.
CHANNEL = "fedapay_sync"
#: The advisory lock under which the tables are made, so that processes that start together make them once.
_CREATION_LOCK = 0x0FED_A9A4
#: What one transaction that writes has at a time, in whichever process.
_TURN = "LOCK TABLE fp_meta IN EXCLUSIVE MODE"
_TIME = "extract(epoch FROM clock_timestamp())::float8"
#: What PostgreSQL itself gives up after, in milliseconds: before the callers that wait for us give up.
_STATEMENT_MS = 8_000
_LOCK_MS = 7_000
#: A process that is stopped in the midst of a transaction holds up all others for so long at most.
_IDLE_MS = 5_000


class PostgresDatabase(peewee.PostgresqlDatabase, Database):
    """
    One connection to a PostgreSQL server.

    Asynchronous beneath, so that a thread that waits for an answer can stop waiting: a server that was stopped, or a
    network that swallows everything, would hold a blocking call for ever.

    Args:
        connect: opens a connection of psycopg2 until that moment of the monotonic clock.
        clock: a :class:`ServerClock` hears the server's time as each transaction begins; a test may hand in another.
    """

    # No caller asks for the id of a new row, and the oldest Peewee adds RETURNING to bound tables only.
    returning_clause = False

    def __init__(self, connect: Callable[[float], Any], clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__("fedapay_sync", thread_safe=False, autoconnect=False)
        self._open = connect
        self._clock = clock if isinstance(clock, ServerClock) else None
        #: What makes a commit wait for the disk where the server is set not to; None until it was asked.
        self._durably: Optional[str] = None
        #: When the thread that uses it stops waiting, on the monotonic clock.
        self.deadline = 0.0

    def _connect(self) -> Any:
        return self._open(self.deadline)

    def last_insert_id(self, cursor: Any, query_type: Optional[Any] = None) -> None:
        """None: what to do with a row is decided by how many there were."""

    def execute_sql(self, sql: str, params: Optional[Any] = None, commit: Optional[Any] = None) -> Any:
        """Send it and wait for the answer, until the deadline."""
        cursor = super().execute_sql(sql, params)  # type: ignore[no-untyped-call]
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            wait(self.connection(), self.deadline)
        return cursor

    def transact(self, work: Callable[[Database], T], *, creates_tables: bool = False) -> T:
        """
        The result of that work, committed; or nothing of it.

        One transaction at a time, as on SQLite: the verbs read before they write, and what they read must still be
        true when they commit. Otherwise a wait that begins while its webhook arrives would miss it.

        Raises:
            ConnectionLost: it broke on the way, perhaps after the commit. A caller that repeats finds a duplicate then.
        """
        if self._durably is None:
            lax = self.execute_sql("SELECT current_setting('synchronous_commit') = 'off'").fetchone()[0]
            self._durably = "SET LOCAL synchronous_commit = on;" if lax else ""
        lock = f"SELECT pg_advisory_xact_lock({_CREATION_LOCK})" if creates_tables else _TURN
        try:
            # LOCAL and in one message: through a pooler the next transaction may have another connection.
            found = self._begin(
                f"BEGIN; SET LOCAL statement_timeout = {_STATEMENT_MS}; SET LOCAL lock_timeout = {_LOCK_MS};"
                f"SET LOCAL idle_in_transaction_session_timeout = {_IDLE_MS}; {self._durably} {lock}",
                "" if creates_tables else COMPATIBILITY,
            )
            if not creates_tables:
                check_compatible(found)
            value = work(self)
            if self.execute_sql("COMMIT").statusmessage != "COMMIT":
                raise peewee.OperationalError("the transaction was rolled back")
            return value
        except BaseException as error:
            try:
                self.execute_sql("ROLLBACK")
            except peewee.PeeweeException:
                if isinstance(error, peewee.PeeweeException):
                    raise ConnectionLost(first_line_of(error)) from None
            raise

    def lock_out_writers(self) -> None:
        """Let no other connection write until this transaction is over."""
        self.execute_sql(_TURN)

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """A transaction that only reads, so that the limit of its statements is its own. An error leaves it open."""
        self._begin(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {_STATEMENT_MS}")
        yield
        self.execute_sql("COMMIT")

    def _begin(self, statements: str, question: str = "") -> Optional[Sequence[Any]]:
        """Begin a transaction; the row that the question finds in it, if any."""
        # In the same message, which costs no journey; last, so that the time is that after the wait for the lock.
        asked = f", found.* FROM (SELECT 1) AS always LEFT JOIN ({question}) AS found ON true" if question else ""
        server_time, *found = self.execute_sql(f"{statements}; SELECT {_TIME}{asked}").fetchone()
        if self._clock is not None:
            self._clock.hear(server_time)
        return found if any(each is not None for each in found) else None

    def notify_listeners(self) -> None:
        """Wake the listeners of other processes, with the commit. Said twice in a transaction, it is heard once."""
        self.execute_sql(f"NOTIFY {CHANNEL}")

    def data_version(self) -> object:
        """What changes when any connection has committed, in this database or another of the server."""
        return str(self.execute_sql("SELECT txid_current_snapshot()").fetchone()[0])

    def copy_to(self, path: Path) -> None:
        """
        Not here.

        Raises:
            ConfigError: PostgreSQL has a tool of its own.
        """
        raise ConfigError(
            "La base est un serveur PostgreSQL : la sauvegarder avec pg_dump, par exemple "
            "pg_dump --table='fp_*' --format=custom --file=fedapay.dump ADRESSE (docs/sauvegarde.md)."
        )

    def has_tables(self) -> bool:
        """Whether the last of the tables is there, and so all of them."""
        return bool(self.execute_sql("SELECT to_regclass('fp_meta') IS NOT NULL").fetchone()[0])

    def encoding(self) -> str:
        """In which encoding the server stores texts."""
        # The server says so as it greets; a pooler may keep it to itself.
        told = self.connection().info.parameter_status("server_encoding")
        return str(told or self.execute_sql("SHOW server_encoding").fetchone()[0])

    def is_usable(self) -> bool:
        """Whether the server has not hung up while nothing was asked of it."""
        return is_alive(self.connection())


def first_line_of(error: BaseException) -> str:
    """The first line of what the database said. The others may hold the row, and so a customer's name."""
    said = str(error.args[-1] if error.args else error).strip()
    return said.splitlines()[0] if said else type(error).__name__
