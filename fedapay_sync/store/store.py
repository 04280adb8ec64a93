"""
The store of a connector: one repository for each kind of row, on one engine.

Every query of the package stands in a repository, as an atomic method that says what it promises. Truth lies in rows:
what wakes threads (:mod:`fedapay_sync.concurrency.notifier`) only makes them read here.
"""

from pathlib import Path
from typing import Optional, Tuple

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.concurrency.commit_listener import CommitListener
from fedapay_sync.store.engine import Engine
from fedapay_sync.store.repositories.async_import import AsyncImportRepository
from fedapay_sync.store.repositories.callback_queue import CallbackRepository
from fedapay_sync.store.repositories.event_catchup import EventCatchUpRepository
from fedapay_sync.store.repositories.events import EventRepository
from fedapay_sync.store.repositories.listens import ListenRepository
from fedapay_sync.store.repositories.payments import PaymentRepository
from fedapay_sync.store.repositories.polls import PollRepository
from fedapay_sync.store.repositories.retention import RetentionRepository


class Store:
    """
    The database of one connector in one process. Opens at first use.

    Args:
        url: ``sqlite:///…`` or ``postgresql://…``
    """

    def __init__(self, url: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self.engine = Engine(url)
        self.events = EventRepository(self.engine, clock)
        self.callbacks = CallbackRepository(self.engine, clock)
        self.listens = ListenRepository(self.engine, clock)
        self.payments = PaymentRepository(self.engine, clock)
        self.polls = PollRepository(self.engine, clock)
        self.event_catchup = EventCatchUpRepository(self.engine, clock)
        self.retention = RetentionRepository(self.engine, clock)
        self.async_import = AsyncImportRepository(self.engine, clock)

    @property
    def is_open(self) -> bool:
        """Whether it has been used since it was made or closed."""
        return self.engine.is_open

    @property
    def path(self) -> Optional[Path]:
        """The file that the database is, or None where it is a server."""
        return self.engine.path

    def open(self) -> None:
        """
        Make the database ready and start the writer; nothing if that is done.

        Raises:
            ConfigError: the file cannot be made or written, or the driver is missing.
            StoreError: it is no database of ours.
        """
        self.engine.open()

    def close(self) -> None:
        """Commit what was handed in and let go of the database; a later call opens it for itself alone."""
        self.engine.close()

    def data_version(self) -> Tuple[int, object]:
        """A sign that changes when another connection, in this process or another, has committed."""
        return self.engine.data_version()

    def commit_listener(self) -> CommitListener:
        """Tells the waker of this process that another connection has committed."""
        return self.engine.commit_listener()
