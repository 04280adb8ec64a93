"""The parts of a connector, put together once in each process."""

import contextlib
import os
from typing import Callable, Dict, Optional

from fedapay_sync.common.clock import Clock
from fedapay_sync.common.config import Config
from fedapay_sync.concurrency.notifier import Bells
from fedapay_sync.resources.api import Api
from fedapay_sync.server.web_server import WebServer
from fedapay_sync.store.owner import new_owner, retire
from fedapay_sync.transport.exchange import Exchange
from fedapay_sync.transport.transport import Transport
from fedapay_sync.workflow.async_import import Moving
from fedapay_sync.workflow.callbacks.worker import Callbacks
from fedapay_sync.workflow.payments import Payments
from fedapay_sync.workflow.reconciliation.confirmation import Confirmation
from fedapay_sync.workflow.reconciliation.event_catchup import Absences
from fedapay_sync.workflow.reconciliation.reconciler import FollowUp
from fedapay_sync.workflow.reconciliation.status_reader import Statuses
from fedapay_sync.workflow.waits.deadlines import GRACE, Deadlines
from fedapay_sync.workflow.waits.listens import Listens
from fedapay_sync.workflow.waits.outcomes import Outcomes
from fedapay_sync.workflow.waits.recovery import Recovery
from fedapay_sync.workflow.waits.status_polling import Pace, Watches
from fedapay_sync.workflow.webhooks.inbox import Inbox
from fedapay_sync.workflow.webhooks.wsgi import MAX_BODY, Receive, application


class Parts:
    """Everything of a connector that belongs to one process: connections, threads, leases."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        pace: Optional[Pace],
        observer: Optional[Callable[[Exchange], object]] = None,
    ) -> None:
        self.pid = os.getpid()
        self.config = config
        self.owner = new_owner()
        from fedapay_sync.store import Store

        self.store = Store(config.db_url, clock)
        self.transport = Transport(config.api_url, clock=clock, observer=observer)
        self.api = Api(self.transport, config.checked_key)
        # The looks that a deadline waits for: three of them, one after the other, end within the grace.
        self.quick = Transport(config.api_url, clock=clock, budget=GRACE * 0.3, observer=observer)
        self.bells = Bells(
            ear=self.store.ear(),
            ended=lambda keys: self.store.ended(config.environment, keys),
            lately=lambda seconds: self.store.ended_lately(config.environment, seconds),
            clock=clock,
        )
        self.callbacks = Callbacks(config, self.store, self.owner, clock, chore=self._blank_old_bodies)
        self._blanked = 0
        self.inbox = Inbox(config, self.store, self.bells, self.callbacks, clock)
        self.outcomes = Outcomes(config, self.store)
        quick = Api(self.quick, config.checked_key)
        self.statuses = Statuses(config, self.store, quick, self.inbox)
        deadlines = Deadlines(config, self.store, quick, self.bells, self.statuses, self.callbacks, clock)
        self.watches = Watches(config, self.store, self.bells, self.statuses, deadlines, self.owner, clock, pace=pace)
        self.confirmation = Confirmation(self.inbox, self.statuses)
        self.inbox.on_claim = self.confirmation.soon
        self.listens = Listens(
            config, self.store, self.bells, self.outcomes, self.statuses, self.watches, self.owner, clock
        )
        self.follow_up = FollowUp(
            config,
            self.store,
            quick,
            self.bells,
            self.statuses,
            self.watches,
            Absences(config, self.store, self.api, self.inbox, clock),
            clock,
            pace=pace,
        )
        self.payments = Payments(config, self.store, self.api, self.callbacks, self.follow_up, clock)
        self.recovery = Recovery(config, self.store, self.bells, self.watches, self.follow_up, self.owner, clock)
        self.moving = Moving(config, self.store, self.inbox)
        self.server: Optional[WebServer] = None

    def serve(self, receive: Receive) -> WebServer:
        """The integrated webhook server, running."""
        if self.server is None:
            config = self.config
            self.server = WebServer(
                application(receive, config.endpoint_name),
                host=config.host,
                port=config.port,
                name="fedapay-webhooks",
                # As many webhooks as wait for a commit at the same time, and share it.
                threads=16,
                max_body=MAX_BODY,
            )
        self.server.start()
        self.watches.has_receiver = True
        return self.server

    def close(self) -> None:
        """Answer what runs, end the waits, let callbacks finish, commit, let go. Open listens stay on disk."""
        with contextlib.ExitStack() as steps:
            # From the last to the first; one that fails keeps none of the others from happening.
            steps.callback(self._retire)
            steps.callback(self.store.close)
            steps.callback(self.bells.close)
            steps.callback(self.callbacks.close, self.config.callback_timeout)
            steps.callback(self.listens.close)
            steps.callback(self.watches.close)
            steps.callback(self.confirmation.close)
            steps.callback(self.follow_up.close)
            steps.callback(self.transport.close)
            steps.callback(self.quick.close)
            if self.server is not None:
                steps.callback(self.server.stop)

    def _blank_old_bodies(self) -> bool:
        """Forget what personal data the next few rows hold; true if there are more rows."""
        if self.config.keep_bodies_days is None:
            return False
        reached = self.store.blank_bodies(self.config.keep_bodies_days * 86400, self._blanked)
        self._blanked = reached or 0
        return reached is not None

    def _retire(self) -> None:
        # A callback that outlives the closing still has its lease, and elsewhere it must not run a second time.
        if self.callbacks.is_idle():
            retire(self.owner)

    def close_at_exit(self) -> None:
        """At the end of the interpreter: only what needs no new thread. What was answered 200 is on disk anyway."""
        if self.pid == os.getpid():
            with contextlib.ExitStack() as steps:
                steps.callback(self.store.close)
                # A script that simply ends does not cut its callback in the middle.
                steps.callback(self.callbacks.close, self.config.callback_timeout)
                if self.server is not None:
                    steps.callback(self.server.stop, 2.0)


class PerProcess:
    """Parts made at first use, and anew in a forked child, whose inherited threads and sockets are not its own."""

    def __init__(self, make: Callable[[], Parts]) -> None:
        self._make = make
        # A child neither uses nor closes its parent's parts; staying in here, nothing collects them either.
        self._of_pid: Dict[int, Parts] = {}

    def get(self) -> Parts:
        """This process's parts."""
        pid = os.getpid()
        parts = self._of_pid.get(pid)
        # Making starts nothing, and setdefault is atomic: no lock that a fork could leave locked.
        return parts if parts is not None else self._of_pid.setdefault(pid, self._make())

    def peek(self) -> Optional[Parts]:
        """This process's parts if there are any."""
        return self._of_pid.get(os.getpid())

    def forget(self, parts: Parts) -> None:
        """These are closed; the next use makes others."""
        if self._of_pid.get(os.getpid()) is parts:
            del self._of_pid[os.getpid()]
