"""
The truth: every query of the package, each an atomic verb that says what it promises.

Truth lies in rows; what wakes threads (:mod:`fedapay_sync.notifier`) only makes them look here.
"""

from typing import Tuple

from fedapay_sync.concurrency.commit_listener import CommitListener
from fedapay_sync.store.repositories.async_import import MovingVerbs
from fedapay_sync.store.repositories.events import EventVerbs
from fedapay_sync.store.repositories.listens import ListenVerbs
from fedapay_sync.store.repositories.open_listens import BeginningVerbs
from fedapay_sync.store.repositories.payments import PaymentVerbs
from fedapay_sync.store.repositories.polls import LookVerbs
from fedapay_sync.store.repositories.retention import HousekeepingVerbs


class Store(EventVerbs, BeginningVerbs, ListenVerbs, PaymentVerbs, LookVerbs, HousekeepingVerbs, MovingVerbs):
    """The database of one connector in one process: events, listens, payments and looks at them."""

    def data_version(self) -> Tuple[int, object]:
        """A sign that changes when another connection, in this process or another, has committed."""
        with self._reading() as (times_opened, database):
            return times_opened, database.sign()

    def ear(self) -> CommitListener:
        """What tells the waker of this process that another connection has committed."""
        return self._backend.ear(self.data_version)
