"""
Begins waits and answers them: a wait is a row in the store, a waiter and two timers.

Only callers of ``result`` block a thread. The end of a wait is always read from the store, whatever put it there: a
webhook in this process or another, a status read at FedaPay, a cancel.
"""

import contextlib
import functools
import os
from typing import Any, Callable, ContextManager, Iterable, List, Optional, Union

from fedapay_sync.common.config import DEFAULT_TIMEOUT, timeout_policy
from fedapay_sync.common.frames import private_methods
from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.display.interrupts import explain
from fedapay_sync.display.payments import listen_html, verdict_state
from fedapay_sync.enums import OnTimeout
from fedapay_sync.errors import FedapayError, StoreError, TransactionId
from fedapay_sync.models import Outcome
from fedapay_sync.models.params.identifiers import checked_transaction_id
from fedapay_sync.models.params.waits import checked_ids, checked_timeout
from fedapay_sync.store.states import ListenState
from fedapay_sync.workflow.callbacks.program_code import call_in
from fedapay_sync.workflow.callbacks.validation import check_callback
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.keyring import Keyring
from fedapay_sync.workflow.waits.deadlines import GRACE
from fedapay_sync.workflow.waits.listen_callbacks import RESTART_TIMEOUT, ListenCallbacks
from fedapay_sync.workflow.waits.outcomes import unknown
from fedapay_sync.workflow.waits.status_lookup import StatusLookup
from fedapay_sync.workflow.waits.status_polling import LEASE, StatusPolling
from fedapay_sync.workflow.waits.waiters import OutcomeCallback, Waiter, WaiterRegistry

log = get_logger(__name__)

#: So many waits begin in one commit: webhooks get their turn in between.
_BATCH = 1000
#: A thread that blocks looks up so often, in seconds: five times a second cost 300 of them a twentieth of a core.
_SLICE = 1.0


@private_methods
class Listen:
    """
    Une attente en cours, qui ne bloque personne tant qu'on ne demande pas son résultat.

    Attributes:
        id_transaction: transaction attendue.
    """

    __slots__ = ("__weakref__", "_holder", "_listens", "_waiter")

    def __init__(self, listens: "Listens", waiter: Waiter, holder: Optional[object] = None) -> None:
        # The connector: without it nothing would look any more how the wait ends.
        self._holder = holder
        self._listens = listens
        self._waiter = waiter

    @property
    def id_transaction(self) -> TransactionId:
        """Transaction attendue."""
        return self._waiter.id_transaction

    def result(self, timeout: Optional[float] = None) -> Outcome:
        """
        Attend la fin et la rend.

        Args:
            timeout: secondes à attendre ici ; par défaut, jusqu'à l'échéance de l'attente.

        Raises:
            TimeoutError: rien après ``timeout`` secondes ; l'attente continue, on peut rappeler.
            StatusUnknown: à l'échéance, FedaPay n'a pas répondu.
            AmountMismatch: payé, mais pas ce qui était demandé.
            StoreError: la base n'a pas répondu. Ce n'est pas un résultat : rappeler.
        """
        try:
            return self._listens.result(self._waiter, timeout)
        except KeyboardInterrupt as error:
            explain(error, self.id_transaction)
            raise error

    def done(self) -> bool:
        """Vrai si le résultat est connu ; ``StoreError`` si la base n'a pas répondu."""
        return self._waiter.check() is not None

    def add_done_callback(self, callback: OutcomeCallback) -> None:
        """
        Appelle cette fonction une fois, avec l'``Outcome``, sur un autre thread ; tout de suite s'il est connu.

        Ce qu'elle lève est noté dans le journal. Si FedaPay ne répond pas à l'échéance, elle est appelée plus tard,
        quand il a répondu. Si ce processus meurt avant, ``on_restored`` reçoit la fin dans un autre.

        Raises:
            ConfigError: ce n'est pas une fonction ordinaire.
        """
        check_callback(callback, "Le callback de l'attente")
        self._listens.callbacks.add_to_known(self._waiter, self._listens.holding(callback))

    def cancel(self) -> bool:
        """
        Met fin à l'attente, pour tous ceux qui attendent cette transaction ; faux si elle est déjà finie.
        ``StoreError`` si la base n'a pas répondu : recommencer.
        """
        return self._listens.cancel(self.id_transaction)

    def __repr__(self) -> str:
        # The database is not read: a debugger may ask in the midst of anything.
        return f"Listen(id_transaction={self.id_transaction!r}, state={verdict_state(self._waiter.verdict).word!r})"

    def _repr_html_(self) -> str:
        verdict = self._waiter.verdict
        if verdict is None and self._waiter.is_set():
            # There is news, which no thread has read yet. Without an answer of the database the wait is shown as open.
            with contextlib.suppress(StoreError):
                verdict = self._waiter.check()
        return listen_html(self.id_transaction, verdict, self._listens.remaining(self._waiter))


class Listens:
    """The waits of one connector."""

    def __init__(
        self,
        context: Context,
        notifier: Notifier,
        keyring: Keyring,
        lookup: StatusLookup,
        waits: WaiterRegistry,
        polling: StatusPolling,
        *,
        hold: Callable[[], Optional[object]] = object,
        around: Callable[[], ContextManager[Any]] = contextlib.nullcontext,
    ) -> None:
        self._config, self._store, self._clock, self._owner = context
        self._pid = os.getpid()
        self._notifier = notifier
        self._keyring = keyring
        self._lookup = lookup
        self._waits = waits
        self._polling = polling
        self._hold = hold
        self._around = around
        self.callbacks = ListenCallbacks(context.clock, notifier)

    def listen(self, id_transaction: TransactionId, timeout: float = DEFAULT_TIMEOUT, **asked: Any) -> Listen:
        """Begin to wait, without blocking; see :meth:`listen_many`."""
        (handle,) = self.listen_many([id_transaction], timeout, **asked)
        return handle

    def listen_many(self, ids: Iterable[TransactionId], timeout: float = DEFAULT_TIMEOUT, **asked: Any) -> List[Listen]:
        """Begin to wait for each of these, without blocking."""
        return [Listen(self, waiter, self._hold()) for waiter in self.begin(ids, timeout, **asked)]

    def finalise(
        self,
        id_transaction: TransactionId,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        on_timeout: Union[OnTimeout, str, None] = None,
        api_key: Optional[str] = None,
        tick: Callable[[], object] = object,
    ) -> Outcome:
        """Wait for the end, at most ``timeout`` and the grace; ``tick`` is called about once a second meanwhile."""
        if checked_timeout(timeout) == 0:
            return self._lookup.now(id_transaction, api_key)
        (waiter,) = self.begin([id_transaction], timeout, on_timeout=on_timeout, api_key=api_key)
        try:
            if waiter.is_set():
                self._lookup.refresh(waiter.id_transaction, api_key)
            return self.result(waiter, None, tick)
        finally:
            waiter.leave()

    def remaining(self, waiter: Waiter) -> float:
        """Seconds until the deadline of that wait."""
        return waiter.deadline - self._clock.monotonic()

    def result(self, waiter: Waiter, timeout: Optional[float], tick: Callable[[], object] = object) -> Outcome:
        """Block until the waiter is settled, at most until its deadline and the grace."""
        end = waiter.deadline + GRACE
        if timeout is not None:
            end = min(end, self._clock.monotonic() + checked_timeout(timeout))
        while True:
            # Clear, then look. The other way round has a gap: a webhook that lands between the look and the clear
            # sets a flag that is then cleared, and the thread sleeps on with the answer already on disk.
            waiter.clear()
            remaining = end - self._clock.monotonic()
            verdict = waiter.check()
            if isinstance(verdict, FedapayError):
                # Raised in each thread that asks: not with the frames of another.
                raise verdict.with_traceback(None)
            if verdict is not None:
                return verdict
            if remaining <= 0:
                break
            # Sliced: before 3.14 nothing interrupts a longer wait on Windows, and tests hold the clock.
            # And another thread that asks the same handle may clear the flag right after it has found the end.
            while (
                (remaining := end - self._clock.monotonic()) > 0
                and waiter.verdict is None
                and not waiter.wait(min(remaining, _SLICE))
            ):
                if os.getpid() != self._pid:
                    # A handle from before a fork: the thread that would set it is in the parent, so look again.
                    break
                tick()
        if timeout is not None and self._clock.monotonic() < waiter.deadline + GRACE:
            raise TimeoutError(f"Pas encore de résultat pour la transaction {waiter.id_transaction}.")
        if not waiter.has_callbacks:
            waiter.leave()
        raise unknown(waiter.id_transaction)

    def cancel(self, id_transaction: TransactionId) -> bool:
        """End the wait in every process. The transaction itself stays payable."""
        transaction_id = checked_transaction_id(id_transaction)
        ended = self._store.listens.end(self._config.environment, transaction_id, ListenState.cancelled)
        self._notifier.notify(transaction_id)
        return ended

    def cancel_all(self) -> int:
        """End every open wait of this database and environment; how many there were."""
        ended = self._store.listens.cancel_all(self._config.environment)
        for each in ended:
            self._notifier.notify(each)
        return len(ended)

    def holding(self, callback: OutcomeCallback) -> OutcomeCallback:
        """That function, which keeps the connector alive until it has been called."""
        call = functools.partial(_call_holding, self._hold(), self._around, callback)
        return functools.update_wrapper(call, callback)

    def close(self) -> None:
        """Call no further callback but what has been handed over."""
        self.callbacks.close()

    def begin(
        self,
        ids: Iterable[TransactionId],
        timeout: float,
        *,
        on_timeout: Union[OnTimeout, str, None] = None,
        api_key: Optional[str] = None,
        callback: Optional[OutcomeCallback] = None,
    ) -> List[Waiter]:
        """Store a row for each of these, and watch it. Where the end is known already, its waiter is set."""
        if callback is not None:
            check_callback(callback, "Le callback de l'attente")
        given, seconds = checked_ids(ids), checked_timeout(timeout)
        policy = self._config.on_timeout if on_timeout is None else timeout_policy(on_timeout)
        keys = self._keyring.keys_for(map(str, given), api_key)
        restart = functools.partial(
            self._begin_one, timeout=max(seconds, RESTART_TIMEOUT), on_timeout=on_timeout, api_key=api_key
        )
        waiters: List[Waiter] = []
        for start in range(0, len(given), _BATCH):
            part = given[start : start + _BATCH]
            records = self._store.listens.open_many(
                self._config.environment,
                {str(each): keys[str(each)].label for each in part},
                timeout=seconds,
                delete_at_deadline=policy == OnTimeout.DELETE,
                owner=self._owner,
                lease=LEASE,
            )
            deadline = self._clock.monotonic() + seconds
            begun = [Waiter(self._waits, each, deadline, restart) for each in part]
            still_open = [each for each in begun if records[str(each.id_transaction)].is_open]
            self._polling.watch(
                [(each, keys[str(each.id_transaction)]) for each in still_open],
                unknown={number for number, record in records.items() if not record.known},
                key_was_given=api_key is not None,
            )
            for each in begun:
                if not records[str(each.id_transaction)].is_open:
                    each.set()
            waiters += begun
        # Only now: if the store fails in the midst, a caller that tries again has nothing called twice.
        if callback is not None:
            for each in waiters:
                self.callbacks.add(each, self.holding(callback))
        return waiters

    def _begin_one(self, id_transaction: TransactionId, **asked: Any) -> Waiter:
        (waiter,) = self.begin([id_transaction], **asked)
        return waiter


def _call_holding(
    holder: Optional[object], around: Callable[[], ContextManager[Any]], callback: OutcomeCallback, outcome: Outcome
) -> Any:
    return call_in(around, callback, outcome)
