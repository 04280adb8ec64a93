"""What the writer and the engine ask of a connection, whichever the database."""

import abc
import contextlib
from typing import ContextManager, Optional

from fedapay_sync.errors import StoreError
from fedapay_sync.store.database import Database


class Connection(abc.ABC):
    """One connection: opened when needed, used by one thread at a time, opened anew after an error."""

    #: How often it was opened: what a database counts for a connection begins anew with each.
    times_opened = 0
    #: How often it was noticed that an older copy was put in place of the database; servers see to that themselves.
    times_replaced = 0

    @abc.abstractmethod
    def exclusive(self) -> ContextManager[Database]:
        """
        The open database, ours alone for a while. After an error it is opened anew.

        Raises:
            StoreError: it cannot be had.
        """

    def exclusive_if_free(self) -> ContextManager[Optional[Database]]:
        """The same, or None: where another thread or process has it, or it is not worth the thread's while."""
        return contextlib.nullcontext()

    @abc.abstractmethod
    def close(self) -> None:
        """Close it; the next use opens it again."""

    @abc.abstractmethod
    def explain(self, error: BaseException) -> StoreError:
        """The database's own words as an error that says what to do."""
