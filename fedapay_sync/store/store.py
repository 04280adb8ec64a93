"""
The store of a connector: one repository for each kind of row, on one engine.

Every query of the package stands in a repository, as an atomic method that says what it promises. Truth lies in rows:
what wakes threads (:mod:`fedapay_sync.concurrency.notifier`) only makes them read here.
"""

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.store.engine import Engine
from fedapay_sync.store.repositories.async_import import AsyncImportRepository
from fedapay_sync.store.repositories.callback_names import CallbackNameRepository
from fedapay_sync.store.repositories.callback_queue import CallbackRepository
from fedapay_sync.store.repositories.deadlines import DeadlineRepository
from fedapay_sync.store.repositories.event_catchup import EventCatchUpRepository
from fedapay_sync.store.repositories.events import EventRepository
from fedapay_sync.store.repositories.health import HealthRepository
from fedapay_sync.store.repositories.listens import ListenRepository
from fedapay_sync.store.repositories.overview import OverviewRepository
from fedapay_sync.store.repositories.payments import PaymentRepository
from fedapay_sync.store.repositories.poll_budget import PollBudgetRepository
from fedapay_sync.store.repositories.polls import PollRepository
from fedapay_sync.store.repositories.retention import RetentionRepository
from fedapay_sync.store.repositories.workers import WorkerRepository


class Store(Engine):
    """
    The database of one connector in one process, with the repositories that query it. Opens at first use.

    Args:
        url: ``sqlite:///…`` or ``postgresql://…``
        clock: that of this machine.
    """

    def __init__(self, url: str, clock: Clock = SYSTEM_CLOCK, *, kept_open: bool = True) -> None:
        super().__init__(url, clock, kept_open=kept_open)
        self.events = EventRepository(self)
        self.callbacks = CallbackRepository(self)
        self.callback_names = CallbackNameRepository(self)
        self.listens = ListenRepository(self)
        self.deadlines = DeadlineRepository(self)
        self.payments = PaymentRepository(self)
        self.polls = PollRepository(self)
        self.poll_budget = PollBudgetRepository(self)
        self.event_catchup = EventCatchUpRepository(self)
        self.health = HealthRepository(self)
        self.overview = OverviewRepository(self)
        self.retention = RetentionRepository(self)
        self.workers = WorkerRepository(self)
        self.async_import = AsyncImportRepository(self)
