"""Restores the waits that a process which is gone has left open: acquires their leases, and watches on."""

from typing import Set

from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.errors import FedapayError
from fedapay_sync.store.owner import is_dead
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.reconciler import Reconciler
from fedapay_sync.workflow.waits.status_polling import LEASE, StatusPolling

log = get_logger(__name__)

#: How often this process looks for listens whose process has died since, in seconds.
_ROUND = 20.0
#: Where more than these are restored at once, the first is polled so many seconds later: all are watched by then.
_FEW = 30
_FIRST_POLL = 1.0


class Recovery:
    """Restores the listens of processes that are gone, now and from time to time."""

    def __init__(self, context: Context, notifier: Notifier, polling: StatusPolling, reconciler: Reconciler) -> None:
        self._config, self._store, _, self._owner = context
        self._notifier = notifier
        self._polling = polling
        self._reconciler = reconciler
        self._going_round = False
        self._foreign: Set[str] = set()

    def restore(self) -> int:
        """Acquire what no process watches; how many payments that was. Goes on doing so while the process lives."""
        adopted = self._store.listens.acquire_abandoned(
            self._config.environment, self._owner, LEASE, is_dead=is_dead, can_watch=self._can_watch
        )
        accounts = {each.account for each in adopted}
        keys = {each: self._config.keys_by_account.get(each, self._config.api_key) for each in accounts}
        first = _FIRST_POLL if len(adopted) > _FEW else 0.0
        for record in adopted:
            self._polling.resume(record, keys[record.account], first)
        if adopted:
            log.info("%d listens restored", len(adopted))
        if not self._going_round:
            self._going_round = True
            self._reconciler.catch_up()
            self._notifier.call_later(_ROUND, self._round)
        return len(adopted)

    @property
    def has_begun(self) -> bool:
        """Whether this process restores, now and from time to time."""
        return self._going_round

    def _can_watch(self, account: str) -> bool:
        if account in self._config.keys_by_account:
            return True
        if account not in self._foreign:
            self._foreign.add(account)
            log.warning("open listens of key %s left alone: this program does not have it (api_keys)", account)
        return False

    def _round(self) -> None:
        try:
            self.restore()
        except FedapayError as error:
            log.warning("looking for listens to restore failed, again later: %s", error)
        finally:
            # Nothing that failed may end the rounds.
            self._notifier.call_later(_ROUND, self._round)
