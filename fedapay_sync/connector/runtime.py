"""The services of a connector, built once in each process and wired together, and the order in which they close."""

import contextlib
import os
import threading
import time
from typing import Iterator, List, Optional

from fedapay_sync.common.clock import Clock
from fedapay_sync.common.config import Config
from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.daemon_thread import start_daemon
from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.connector.functions import WeakConnector
from fedapay_sync.enums import CallbackMode
from fedapay_sync.resources.api import Api
from fedapay_sync.server import WebServer
from fedapay_sync.store.callback_records import CallbackName
from fedapay_sync.store.owner import new_owner, retire
from fedapay_sync.transport.transport import Transport
from fedapay_sync.workflow.async_import import AsyncImport
from fedapay_sync.workflow.callback_handlers import CallbackHandlers
from fedapay_sync.workflow.callbacks.names import NamedCallback
from fedapay_sync.workflow.callbacks.worker import CallbackWorker
from fedapay_sync.workflow.callbacks.worker_processes import WorkerProcesses
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.decisions import Decisions
from fedapay_sync.workflow.health import HealthCheck
from fedapay_sync.workflow.payments import Payments
from fedapay_sync.workflow.reconciliation.adoption import Adoption
from fedapay_sync.workflow.reconciliation.confirmation import Confirmation
from fedapay_sync.workflow.reconciliation.event_catchup import EventCatchUp
from fedapay_sync.workflow.reconciliation.keyring import Keyring
from fedapay_sync.workflow.reconciliation.poll_budget import PollBudget
from fedapay_sync.workflow.reconciliation.polling_policy import PollingPolicy
from fedapay_sync.workflow.reconciliation.reconciler import Reconciler
from fedapay_sync.workflow.reconciliation.status_reader import StatusReader
from fedapay_sync.workflow.waits.completions import Completions
from fedapay_sync.workflow.waits.deadlines import GRACE, Deadlines
from fedapay_sync.workflow.waits.listens import Listens
from fedapay_sync.workflow.waits.outcomes import OutcomeReader
from fedapay_sync.workflow.waits.recovery import Recovery
from fedapay_sync.workflow.waits.status_lookup import StatusLookup
from fedapay_sync.workflow.waits.status_polling import StatusPolling
from fedapay_sync.workflow.waits.waiters import WaiterRegistry
from fedapay_sync.workflow.webhooks.inbox import Inbox
from fedapay_sync.workflow.webhooks.receivers import Receivers
from fedapay_sync.workflow.webhooks.wsgi import Receive, application

log = get_logger(__name__)

#: Closing takes at most so long, in seconds, besides what running callbacks are given.
_CLOSE_TIMEOUT = 5.0
#: Of that, webhooks that are being answered have so much.
_SERVER_GRACE = 3.0


class Runtime:
    """What a connector has in one process: connections, threads, leases. Building it opens and starts nothing."""

    def __init__(self, config: Config, clock: Clock, policy: PollingPolicy, connector: WeakConnector) -> None:
        # Lazily: peewee is loaded where a database is opened, not by an import.
        from fedapay_sync.store import Store

        self.pid = os.getpid()
        self.has_begun = False
        self._restoring = threading.RLock()
        self._restored_at_start = 0
        self._closers: List[int] = []
        self._to_close = threading.Lock()
        self._closed = WakeEvent()
        self.config = config
        self._connector = connector
        observer = connector.observer
        self.policy = policy
        self.owner = new_owner()
        self.store = store = Store(config.db_url, clock, kept_open=False)
        context = Context(config, store, clock, self.owner)
        self.transport = Transport(config.api_url, clock=clock, observer=observer)
        self.api = Api(self.transport, config.checked_key)
        # For the readings that a deadline waits for: three of them, one after the other, end within the grace.
        self.quick_transport = Transport(config.api_url, clock=clock, budget=GRACE * 0.3, observer=observer)
        quick_api = Api(self.quick_transport, config.checked_key)
        self.notifier = notifier = Notifier(
            listener=store.commit_listener(),
            ended=lambda keys: store.listens.ended(config.environment, keys),
            ended_lately=lambda seconds: store.listens.ended_lately(config.environment, seconds),
            clock=clock,
        )
        self.callbacks = CallbackWorker(
            context,
            chore=self._erase_old_bodies,
            hold=connector.hold,
            inline=config.callbacks == CallbackMode.INLINE,
            left=config.callbacks == CallbackMode.WORKER,
        )
        self._erased_to = 0
        self.inbox = Inbox(context, notifier, self.callbacks)
        self.keyring = Keyring(context)
        self.outcomes = OutcomeReader(context)
        adoption = Adoption(context, quick_api, policy)
        self.statuses = StatusReader(quick_api, self.keyring, self.inbox, adoption)
        self.confirmation = Confirmation(context, self.inbox, self.statuses, self.keyring)
        self.handlers = CallbackHandlers(self.inbox, self.confirmation, self.outcomes)
        self.callbacks.examine, self.callbacks.inline.postpone = self.handlers.examine, connector.postpone
        self.budget = PollBudget(context, notifier)
        self.waits = WaiterRegistry(context, notifier, self.outcomes)
        deadlines = Deadlines(context, quick_api, notifier, self.statuses, self.callbacks, self.waits, self.budget)
        self.polling = StatusPolling(context, notifier, self.statuses, policy, deadlines, self.waits, self.budget)
        self.lookup = StatusLookup(context, self.statuses, self.outcomes)
        self.listens = Listens(
            context,
            notifier,
            self.keyring,
            self.lookup,
            self.waits,
            self.polling,
            hold=connector.hold,
            around=connector.around,
        )
        self.completions = Completions(context, self.listens, self.lookup, connector.hold)
        catch_up = EventCatchUp(context, self.api, self.inbox, self.confirmation.schedule)
        self.reconciler = Reconciler(
            context, quick_api, notifier, self.keyring, self.statuses, catch_up, adoption, policy, self.budget
        )
        self.health = HealthCheck(
            context, self.reconciler, (self.transport, self.quick_transport), callbacks=connector.names
        )
        self.payments = Payments(context, self.api, self.callbacks, self.reconciler)
        self.decisions = Decisions(context, self.api, notifier, self.callbacks, self.statuses, self.reconciler)
        self.recovery = Recovery(context, notifier, self.polling, self.reconciler)
        self.async_import = AsyncImport(context, self.inbox)
        self.worker_processes = WorkerProcesses(context, notifier)
        self.receivers = Receivers(context, notifier)
        self.server: Optional[WebServer] = None

    @property
    def works(self) -> bool:
        """Whether callbacks are called here, and payments followed up; if not, worker processes do."""
        return not self.callbacks.is_left

    def start(self) -> None:
        """Begin what is this process's to do: from now on its database stays open, and its callbacks are called."""
        if self.is_closing:
            # What comes while it closes, a callback's call or a last webhook, begins nothing new.
            return
        self.has_begun = True
        self.store.keep_open()
        if self.works:
            self.callbacks.start()
            self.reconciler.start()
        else:
            self.worker_processes.begin_to_watch()

    @contextlib.contextmanager
    def open_meanwhile(self) -> Iterator[None]:
        """The database stays open between two uses, and is closed after them if this process has not begun to work."""
        self.store.keep_open()
        try:
            yield
        finally:
            if not self.has_begun:
                self.store.close()

    def restore(self) -> int:
        """Take over the waits of processes that are gone; how many that were, those of ``restore_once`` included."""
        with self._restoring:
            self.async_import.import_own()
            restored = self.recovery.restore()
            return self._restored_at_start + restored

    def restore_once(self) -> int:
        """The same as the work begins, where it is not done yet."""
        with self._restoring:
            if not self.recovery.has_begun:
                self.async_import.import_own()
                self._restored_at_start = self.recovery.restore()
            return self._restored_at_start

    def set_callback(self, name: CallbackName) -> None:
        """Call the connector's function of that name with what it is owed."""
        handler = self.handlers.handler_for(name.kind, self._connector.callback(name.name))
        self.callbacks.set(NamedCallback(name, handler, lambda: self._connector.function(name.name)))

    def serve(self, receive: Receive) -> WebServer:
        """Start the integrated webhook server; the one that runs if it does."""
        if self.server is None:
            config = self.config
            self.server = WebServer(
                application(receive, config.endpoint_name),
                host=config.host,
                port=config.port,
                name="fedapay-webhooks",
                threads=16,  # as many webhooks as wait for a commit at the same time, and share it
            )
        self.receivers.start(self.server)
        self.policy.has_receiver = True
        return self.server

    def close(self) -> None:
        """
        Answer what runs, end the waits, let callbacks finish, commit, release. Open listens stay on disk.

        A signal handler may call it in the midst of any line of any thread, and more than once. A thread of its own
        closes, and the caller waits for that thread for a bounded time: where the handler has interrupted a line that
        holds a lock, the closing thread gets that lock only once the handler has returned.
        """
        # The call that this thread was interrupted in goes on after this one, so closing does not wait for it.
        self._closers.append(threading.get_ident())
        try:
            start_daemon(self._close, "fedapay-closing")
        except RuntimeError:
            # The system has no thread to give, or the interpreter is at its end.
            self._close()
        self._wait_until_closed()

    def close_dropped(self) -> None:
        """Close in this thread, after the program has let go of the connector; ``api`` may still be in use."""
        self._close()
        self._wait_until_closed()
        self.transport.forget()
        self.quick_transport.forget()

    @property
    def is_closing(self) -> bool:
        """Whether it is being closed, or is closed."""
        return self._to_close.locked()

    def _wait_until_closed(self) -> None:
        if self._closed.wait(_CLOSE_TIMEOUT):
            return
        is_idle = self.callbacks.is_idle() and self.listens.callbacks.is_over
        if is_idle or not self._closed.wait(self.config.callback_timeout):
            log.warning("closing takes long, and goes on by itself")

    def _close(self) -> None:
        """The body of a closing thread; of several, the first one closes."""
        if not self._to_close.acquire(blocking=False):
            return
        try:
            self._close_all()
        except Exception as error:  # edge of a thread: callers of close() wait for its end
            log.error("closing failed: %s: %s", type(error).__name__, error)
        finally:
            self._closed.set()

    def _close_all(self) -> None:
        end = time.monotonic() + self.config.callback_timeout
        with contextlib.ExitStack() as steps:
            # From the last to the first; one that fails keeps none of the others from happening.
            steps.callback(self._retire)
            steps.callback(self.store.close, self._closers)
            steps.callback(self.notifier.close)
            steps.callback(lambda: self.listens.callbacks.join(end - time.monotonic(), self._closers))
            steps.callback(lambda: self.callbacks.close(end - time.monotonic(), self._closers))
            steps.callback(self.worker_processes.close)
            steps.callback(self.receivers.close)
            steps.callback(self.listens.close)
            steps.callback(self.polling.close)
            steps.callback(self.confirmation.close)
            steps.callback(self.reconciler.close)
            steps.callback(self.budget.close)
            steps.callback(self.transport.close)
            steps.callback(self.quick_transport.close)
            if self.server is not None:
                steps.callback(self.server.stop, _SERVER_GRACE)

    def close_at_exit(self) -> None:
        """At the end of the interpreter: only what needs no new thread. What was answered 200 is on disk anyway."""
        if self.pid != os.getpid():
            return
        if not self._to_close.acquire(blocking=False):
            # A thread is at it, and dies with the interpreter.
            self._wait_until_closed()
            return
        try:
            with contextlib.ExitStack() as steps:
                steps.callback(self.store.close)
                # A script that simply ends does not cut its callback in the middle.
                steps.callback(self.listens.callbacks.join, _CLOSE_TIMEOUT)
                steps.callback(self.callbacks.close, self.config.callback_timeout)
                steps.callback(self.listens.close)
                if self.server is not None:
                    steps.callback(self.server.stop, 2.0)
        finally:
            self._closed.set()

    def _erase_old_bodies(self) -> bool:
        """Erase the bodies, and so the personal data, of the next few old rows; true if there are more rows."""
        if self.config.keep_bodies_days is None:
            return False
        reached = self.store.retention.erase_bodies(self.config.keep_bodies_days * 86400, self._erased_to)
        self._erased_to = reached or 0
        return reached is not None

    def _retire(self) -> None:
        # A callback that outlives the closing still has its lease, and elsewhere it must not run a second time.
        if self.callbacks.is_idle():
            retire(self.owner)
