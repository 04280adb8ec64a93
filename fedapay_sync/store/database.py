"""What the repositories, the migrations and the writer ask of a Peewee database, whichever it is."""

import abc
import logging
from pathlib import Path
from typing import Callable, Optional, TypeVar

import peewee

from fedapay_sync.errors import FedapayError

T = TypeVar("T")


class _ParameterFilter(logging.Filter):
    """Peewee logs each statement with its parameters: of those on our tables the statement alone stays."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, tuple) and record.msg and "fp_" in str(record.msg[0]):
            record.msg, record.args = str(record.msg[0]), None
        return True


# Peewee's own logger; adding it twice is adding it once.
_FILTER = _ParameterFilter()
logging.getLogger(peewee.__name__).addFilter(_FILTER)


class Database(peewee.Database, abc.ABC):
    """
    One open connection to a database.

    What differs between SQLite and PostgreSQL stands behind these words. Everything else in this package is written
    once, in SQL that both understand.
    """

    @abc.abstractmethod
    def transact(self, work: Callable[["Database"], T], *, creates_tables: bool = False) -> T:
        """
        The result of that work, committed; or nothing of it.

        Args:
            creates_tables: the tables may be missing, or of an earlier version.

        Raises:
            StoreError: a newer version has made of them what this one cannot work with.
        """

    @abc.abstractmethod
    def lock_out_writers(self) -> None:
        """Let no other connection write until this transaction is over."""

    @abc.abstractmethod
    def notify_listeners(self) -> None:
        """Wake the commit listeners of other processes, with the commit."""

    @abc.abstractmethod
    def data_version(self) -> object:
        """A sign that changes when another connection has committed."""

    @abc.abstractmethod
    def copy_to(self, path: Path) -> None:
        """
        Write all that is committed at this moment into that new file.

        Raises:
            ConfigError: the file is there already or cannot be written, or the database is none that is a file.
        """

    def maintain(self) -> Optional[float]:
        """
        Housekeeping between two transactions of the connection that writes.

        Returns:
            Seconds until it is to be done again; None: after the next transaction.
        """
        return None

    def prepare_reclaim(self) -> None:
        """Make ``reclaim`` possible where it is not yet. To be called without a transaction."""

    def reclaim(self) -> bool:
        """
        Give a piece of what deleted rows have left free back to the disk; true if there is more. Nothing on a server:
        PostgreSQL's autovacuum makes the place free for other rows by itself.
        """
        return False

    @abc.abstractmethod
    def has_tables(self) -> bool:
        """Whether the last of the tables is there, and so all of them."""


class ConnectionLost(peewee.OperationalError):
    """The connection broke during a transaction: what became of it is unknown."""


#: Classes of PostgreSQL's error codes that are about what is written: data, integrity, a view's check, a limit of its
#: own, and what a trigger raises. The drivers put some of them among the server's own failures.
_ROW_CODES = ("22", "23", "44", "54", "P0")


def refuses_row(problem: BaseException) -> bool:
    """Whether the database, or its driver, refuses what was to be written, and would refuse it again."""
    if isinstance(problem, (peewee.IntegrityError, peewee.DataError)):
        return True
    if isinstance(problem, peewee.PeeweeException):
        # The driver's own error, behind Peewee's.
        return str(getattr(problem.__context__, "pgcode", None))[:2] in _ROW_CODES
    # A character that has no bytes, a number that is too large: the driver says so in Python's words.
    return isinstance(problem, (ValueError, TypeError, ArithmeticError)) and not isinstance(problem, FedapayError)
