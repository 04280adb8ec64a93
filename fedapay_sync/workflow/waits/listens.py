"""
Waiting for the end of payments.

A wait is a row in the store, a bell and a few timers; only those who call ``result`` block a thread. What ends a
wait is always read from the store, whoever put it there: a webhook in this process or another, a status check, a
cancel.
"""

import functools
import os
from typing import TYPE_CHECKING, Any, Callable, Iterable, List, Optional, Sequence, Union

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.common.config import Config, timeout_policy
from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import fingerprint
from fedapay_sync.concurrency.notifier import Bells
from fedapay_sync.enums import RETRIED_STATUSES, OnTimeout
from fedapay_sync.errors import AmountMismatch, ApiError, FedapayError, InvalidArgument, TransactionId, TransportError
from fedapay_sync.models import Outcome
from fedapay_sync.models.params.identifiers import checked_id
from fedapay_sync.workflow.callbacks.validation import check_callback
from fedapay_sync.workflow.reconciliation.status_reader import Statuses
from fedapay_sync.workflow.waits.deadlines import DEFAULT_TIMEOUT, GRACE, Verdict, Wait, checked_timeout
from fedapay_sync.workflow.waits.listen_callbacks import AGAIN, Telling
from fedapay_sync.workflow.waits.outcomes import Outcomes, still_pending, unknown
from fedapay_sync.workflow.waits.status_polling import LEASE, SPACING, Watches

if TYPE_CHECKING:
    from fedapay_sync.store import Store

log = get_logger(__name__)

#: So many waits begin in one commit: webhooks get their turn in between.
_BATCH = 1000
#: Whoever blocks looks up so often, in seconds. Five times a second cost 300 of them a twentieth of a core.
_SLICE = 1.0


class Listen(Wait):
    """
    Une attente en cours, qui ne bloque personne tant qu'on ne demande pas son résultat.

    Attributes:
        id_transaction: transaction attendue.
    """

    __slots__ = ("_listens",)

    def __init__(
        self,
        listens: "Listens",
        id_transaction: TransactionId,
        deadline: float,
        again: "Callable[[TransactionId], Listen]",
    ) -> None:
        super().__init__(id_transaction, deadline, again)
        self._listens = listens

    def result(self, timeout: Optional[float] = None) -> Outcome:
        """
        Attend la fin et la rend.

        Args:
            timeout: secondes à attendre ici ; par défaut, jusqu'à l'échéance de l'attente.

        Raises:
            TimeoutError: rien après ``timeout`` secondes ; l'attente continue, on peut rappeler.
            StatusUnknown: à l'échéance, FedaPay n'a pas répondu.
            AmountMismatch: payé, mais pas ce qui était demandé.
        """
        return self._listens.result(self, timeout)

    def done(self) -> bool:
        """Vrai si le résultat est connu."""
        return self._listens.look(self) is not None

    def add_done_callback(self, callback: Callable[[Outcome], Any]) -> None:
        """
        Appelle cette fonction une fois, avec l'``Outcome``, sur un autre thread ; tout de suite s'il est connu.

        Ce qu'elle lève est noté dans le journal. Si FedaPay ne répond pas à l'échéance, elle est appelée plus tard,
        quand il a répondu. Si ce processus meurt avant, ``on_restored`` reçoit la fin dans un autre.

        Raises:
            ConfigError: ce n'est pas une fonction ordinaire.
        """
        check_callback(callback, "Le callback de l'attente")
        self._listens.telling.when_it_ends(self, callback)

    def cancel(self) -> bool:
        """Met fin à l'attente, pour tous ceux qui attendent cette transaction ; faux si elle est déjà finie."""
        return self._listens.cancel(self.id_transaction)


class Listens:
    """The waits of one connector."""

    def __init__(
        self,
        config: Config,
        store: "Store",
        bells: Bells,
        outcomes: Outcomes,
        statuses: Statuses,
        watches: Watches,
        owner: str,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._config = config
        self._store = store
        self._bells = bells
        self._outcomes = outcomes
        self._statuses = statuses
        self._watches = watches
        self._owner = owner
        self._pid = os.getpid()
        self._clock = clock
        self.telling = Telling(bells, self._found)

    def listen(self, id_transaction: TransactionId, timeout: float = DEFAULT_TIMEOUT, **asked: Any) -> Listen:
        """Begin to wait, without blocking; see :meth:`listen_many`."""
        (handle,) = self.listen_many([id_transaction], timeout, **asked)
        return handle

    def listen_many(
        self,
        ids: Iterable[TransactionId],
        timeout: float = DEFAULT_TIMEOUT,
        *,
        on_timeout: Union[OnTimeout, str, None] = None,
        api_key: Optional[str] = None,
        callback: Optional[Callable[[Outcome], Any]] = None,
    ) -> List[Listen]:
        """Begin to wait for each of these, without blocking."""
        if callback is not None:
            check_callback(callback, "Le callback de l'attente")
        shown, seconds = _checked_ids(ids), checked_timeout(timeout)
        policy = self._config.on_timeout if on_timeout is None else timeout_policy(on_timeout)
        keys = self._statuses.keys_for(map(str, shown), api_key)
        labels = {key: fingerprint(key) for key in set(keys.values())}
        again = functools.partial(self.listen, timeout=max(seconds, AGAIN), on_timeout=on_timeout, api_key=api_key)
        handles: List[Listen] = []
        for start in range(0, len(shown), _BATCH):
            part = shown[start : start + _BATCH]
            records = self._store.open_many(
                self._config.environment,
                {str(each): labels[keys[str(each)]] for each in part},
                timeout=seconds,
                delete_at_deadline=policy == OnTimeout.DELETE,
                owner=self._owner,
                lease=LEASE,
            )
            deadline = self._clock.monotonic() + seconds
            begun = [Listen(self, each, deadline, again) for each in part]
            still_open = [each for each in begun if records[str(each.id_transaction)].is_open]
            self._watches.wait_all(
                [(each, keys[str(each.id_transaction)]) for each in still_open],
                key_was_given=api_key is not None,
                after=start * SPACING,
            )
            for each in begun:
                if not records[str(each.id_transaction)].is_open:
                    each._bell.set()
            handles += begun
        # Only now: if the store fails in the midst, whoever tries again has nothing called twice.
        if callback is not None:
            for each in handles:
                self.telling.when_it_rings(each, callback)
        return handles

    def finalise(
        self,
        id_transaction: TransactionId,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        on_timeout: Union[OnTimeout, str, None] = None,
        api_key: Optional[str] = None,
    ) -> Outcome:
        """Wait for the end, at most ``timeout`` and the grace."""
        if checked_timeout(timeout) == 0:
            return self._look_once(id_transaction, self._statuses.key_for(id_transaction, api_key))
        handle = self.listen(id_transaction, timeout, on_timeout=on_timeout, api_key=api_key)
        if handle._bell.is_set() and self.look(handle) is not None:
            # It had ended before we came; if the payer may have tried again since, FedaPay knows.
            self._look_again(handle, api_key)
        try:
            return self.result(handle, None)
        finally:
            self._watches.leave(handle)

    def result(self, handle: Listen, timeout: Optional[float]) -> Outcome:
        """Block until the handle has an end, at most until its deadline and the grace."""
        end = handle._deadline + GRACE
        if timeout is not None:
            end = min(end, self._clock.monotonic() + checked_timeout(timeout))
        while True:
            # Clear, then look. The other way round has a gap: a webhook that lands between the look and the clear
            # rings a bell we then silence, and we sleep on with the answer already on disk.
            handle._bell.clear()
            remaining = end - self._clock.monotonic()
            verdict = self.look(handle)
            if isinstance(verdict, FedapayError):
                raise verdict
            if verdict is not None:
                return verdict
            if remaining <= 0:
                break
            # Sliced: before 3.14 nothing interrupts a longer wait on Windows, and tests hold the clock.
            # And another thread that asks the same handle may silence the bell right after it has found the end.
            while (
                (remaining := end - self._clock.monotonic()) > 0
                and handle._verdict is None
                and not handle._bell.wait(min(remaining, _SLICE))
            ):
                if os.getpid() != self._pid:
                    # A handle from before a fork: who would ring the bell is in the parent, so look again.
                    break
        if timeout is not None and self._clock.monotonic() < handle._deadline + GRACE:
            raise TimeoutError(f"Pas encore de résultat pour la transaction {handle.id_transaction}.")
        if not handle._callbacks:
            self._watches.leave(handle)
        raise unknown(handle.id_transaction)

    def look(self, handle: Listen) -> Verdict:
        """The handle's own verdict, or what the store says of its transaction now, if it has ended."""
        verdict = self._found(handle)
        if verdict is not None and handle._callbacks:
            # Whoever finds the end first has it told: the handle has left, and no bell rings for it any more.
            self.telling.hand_over(handle)
        return verdict

    def _found(self, handle: Wait) -> Verdict:
        if handle._verdict is None:
            try:
                found: Verdict = self._outcomes.of(handle.id_transaction)
            except AmountMismatch as error:
                found = error
            # Never back to None: the deadline may have spoken meanwhile.
            if found is not None:
                handle._verdict = found
                # Another thread may block on the same handle: once we have left, nobody else rings for it.
                handle._bell.wake()
        if handle._verdict is not None:
            self._watches.leave(handle)
        return handle._verdict

    def close(self) -> None:
        """Call nothing new but what has been handed over."""
        self.telling.close()

    def cancel(self, id_transaction: TransactionId) -> bool:
        """End the wait for everybody, in every process. The transaction itself stays payable."""
        transaction_id = checked_id(id_transaction)
        ended = self._store.end_listen(self._config.environment, transaction_id, "cancelled")
        self._bells.ring(transaction_id)
        return ended

    def cancel_all(self) -> int:
        """End every open wait of this database and environment; how many there were."""
        ended = self._store.cancel_all(self._config.environment)
        for each in ended:
            self._bells.ring(each)
        return len(ended)

    def _look_again(self, handle: Listen, api_key: Optional[str]) -> None:
        verdict = handle._verdict
        if not isinstance(verdict, Outcome) or verdict.reason not in RETRIED_STATUSES:
            return
        transaction_id = str(handle.id_transaction)
        try:
            self._statuses.check(transaction_id, self._statuses.key_for(transaction_id, api_key))
        except (ApiError, TransportError) as error:
            log.info("looking again at %s failed, what was known stands: %s", transaction_id, error.code)
            return
        handle._verdict = None
        self.look(handle)

    def _look_once(self, id_transaction: TransactionId, key: str) -> Outcome:
        transaction_id = checked_id(id_transaction)
        outcome = self._outcomes.of(id_transaction)
        if outcome is None or outcome.webhooks is None or outcome.reason in RETRIED_STATUSES:
            # How an earlier wait ended says nothing about now.
            try:
                self._statuses.check(transaction_id, key)
            except (ApiError, TransportError) as error:
                raise unknown(id_transaction, error) from error
            outcome = self._outcomes.of(id_transaction)
        return outcome if outcome is not None and outcome.webhooks else still_pending(id_transaction)


def _checked_ids(ids: Iterable[TransactionId]) -> Sequence[TransactionId]:
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise InvalidArgument(
            f"ids={ids!r} : une liste d'identifiants FedaPay est attendue ; pour un seul, appeler listen.", field="ids"
        )
    shown = list(ids)
    for each in shown:
        checked_id(each)
    return shown
