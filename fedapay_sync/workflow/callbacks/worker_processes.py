"""The heartbeat of worker processes, and the watch that the processes keep which leave their callbacks to them."""

from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.errors import FedapayError
from fedapay_sync.workflow.context import Context

log = get_logger(__name__)

#: A worker process writes its heartbeat so often, and is taken for dead so long after the last one, in seconds.
_BEAT = 20.0
_LEASE = 60.0
#: One that comes from time to time is taken for dead so long after it came: what is owed too long is said in any case.
_NEXT_CRON = 3600.0
#: The others look so often, in seconds.
_WATCH = 60.0
#: A callback may be owed for so long before they say so, in seconds.
LONGEST_OWED = 300.0


class WorkerProcesses:
    """Whether processes that run the callbacks of this database are alive."""

    def __init__(self, context: Context, notifier: Notifier) -> None:
        self._config, self._store, _, self._owner = context
        self._notifier = notifier
        self._beating = self._watching = self._closed = False

    def begin_to_beat(self) -> None:
        """Say from now on that this process is one of them; nothing if that is done."""
        if not self._beating:
            self._beating = True
            self._beat()

    def beat_once(self) -> None:
        """
        Say that this process runs callbacks now and will come again, as cron does.

        Raises:
            StoreError: the database could not take it.
        """
        self._write(_NEXT_CRON)

    def begin_to_watch(self) -> None:
        """Say from now on in the log, once a minute, that none of them is alive; nothing if that is done."""
        if not self._watching:
            self._watching = True
            self._notifier.call_later(_WATCH, self._watch)

    def close(self) -> None:
        """This process is none of them any more."""
        self._closed = True
        if self._beating:
            try:
                self._store.workers.end(self._owner, self._config.environment, self._config.accounts)
            except FedapayError as error:
                log.info("the heartbeat ends by itself: %s", error)

    def _beat(self) -> None:
        if self._closed:
            return
        try:
            self._write(_LEASE)
        except FedapayError as error:
            log.warning("the heartbeat of this worker process was not written, again soon: %s", error)
        finally:
            self._notifier.call_later(_BEAT, self._beat)

    def _write(self, lease: float) -> None:
        self._store.workers.beat(self._owner, self._config.environment, self._config.accounts, lease)

    def _watch(self) -> None:
        try:
            found = self._store.health.read(self._config.environment, self._config.accounts)
            if not found.workers:
                log.error(
                    "no worker process is alive: nobody runs the callbacks that are owed here. "
                    "Start one: fedapay-sync worker MODULE:NAME (Flask: flask fedapay worker)"
                )
            for name, _ in found.gone:
                log.error("callback %s is owed events, and no process has registered it for an hour", name)
            for name, owed in found.owed.items():
                if owed.oldest is not None and owed.oldest > LONGEST_OWED:
                    log.error("callback %s is owed for %.0f minutes (%d events)", name, owed.oldest / 60, owed.count)
        except FedapayError as error:
            log.error("whether worker processes are alive cannot be read: %s", error)
        finally:
            self._notifier.call_later(_WATCH, self._watch)
