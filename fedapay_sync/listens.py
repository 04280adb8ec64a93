"""
Waiting for the end of payments.

A wait is a row in the store, a bell and a few timers; only those who call ``result`` block a thread. What ends a
wait is always read from the store, whoever put it there: a webhook in this process or another, a status check, a
cancel.
"""

import queue
import threading
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from .bells import Bells, Pool
from .callbacks import check_callback
from .clock import SYSTEM_CLOCK, Clock
from .config import Config, timeout_policy
from .enums import RETRIED_STATUSES, OnTimeout
from .errors import (
    AmountMismatch,
    ApiError,
    FedapayError,
    InvalidArgument,
    TransactionId,
    TransportError,
)
from .masking import fingerprint, get_logger
from .models import Outcome
from .models.sent import checked_id
from .outcomes import Outcomes, mismatched, still_pending, unknown
from .watches import GRACE, LEASE, Wait, Watches

if TYPE_CHECKING:
    from .store import Store

log = get_logger(__name__)

DEFAULT_TIMEOUT = 600.0
#: Where FedaPay did not answer at the deadline, a callback waits on for so long at least, in seconds.
_AGAIN = 60.0


class _Bell(threading.Event):
    """Rings, and besides has something done for those who do not block a thread."""

    then: Optional[Callable[[], None]] = None

    def set(self) -> None:
        super().set()
        if self.then is not None:
            self.then()


class Listen(Wait):
    """
    Une attente en cours, qui ne bloque personne tant qu'on ne demande pas son résultat.

    Attributes:
        id_transaction: transaction attendue.
    """

    def __init__(self, listens: "Listens", id_transaction: TransactionId, deadline: float) -> None:
        super().__init__(id_transaction, deadline)
        self._bell: _Bell = _Bell()
        self._listens = listens
        self._callbacks: queue.SimpleQueue[Callable[[Outcome], Any]] = queue.SimpleQueue()
        self._again: Callable[[], Listen] = lambda: self

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
        self._listens.tell_later(self, callback)

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
        watches: Watches,
        owner: str,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._config = config
        self._store = store
        self._bells = bells
        self._outcomes = outcomes
        self._watches = watches
        self._owner = owner
        self._clock = clock
        self._pool = Pool("fedapay-listen", 4)

    def listen(
        self,
        id_transaction: TransactionId,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        on_timeout: Union[OnTimeout, str, None] = None,
        api_key: Optional[str] = None,
        callback: Optional[Callable[[Outcome], Any]] = None,
    ) -> Listen:
        """Begin to wait, without blocking."""
        if callback is not None:
            check_callback(callback, "Le callback de l'attente")
        transaction_id, seconds = checked_id(id_transaction), checked_timeout(timeout)
        policy = self._config.on_timeout if on_timeout is None else timeout_policy(on_timeout)
        key = self._watches.key_for(transaction_id, api_key)
        record = self._store.open_listen(
            self._config.environment,
            transaction_id,
            account=fingerprint(key),
            timeout=seconds,
            delete_at_deadline=policy == OnTimeout.DELETE,
            owner=self._owner,
            lease=LEASE,
        )
        handle = Listen(self, id_transaction, self._clock.monotonic() + seconds)
        handle._again = lambda: self.listen(
            id_transaction, max(seconds, _AGAIN), on_timeout=on_timeout, api_key=api_key
        )
        if record.is_open or self.look(handle) is None:
            self._watches.wait(handle, key, seconds, key_was_given=api_key is not None)
        if callback is not None:
            self.tell_later(handle, callback)
        return handle

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
            return self._look_once(id_transaction, self._watches.key_for(id_transaction, api_key))
        handle = self.listen(id_transaction, timeout, on_timeout=on_timeout, api_key=api_key)
        if handle._verdict is not None:
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
            while (remaining := end - self._clock.monotonic()) > 0 and not handle._bell.wait(min(remaining, 0.2)):
                pass
        if timeout is not None and self._clock.monotonic() < handle._deadline + GRACE:
            raise TimeoutError(f"Pas encore de résultat pour la transaction {handle.id_transaction}.")
        if handle._callbacks.empty():
            self._watches.leave(handle)
        raise unknown(handle.id_transaction)

    def look(self, handle: Listen) -> Union[Outcome, FedapayError, None]:
        """The handle's own verdict, or what the store says of its transaction now, if it has ended."""
        verdict = self._found(handle)
        if verdict is not None and not handle._callbacks.empty():
            # Whoever finds the end first has it told: the handle has left, and no bell rings for it any more.
            self._hand_over(handle)
        return verdict

    def _found(self, handle: Listen) -> Union[Outcome, FedapayError, None]:
        if handle._verdict is None:
            try:
                found: Union[Outcome, FedapayError, None] = self._outcomes.of(handle.id_transaction)
            except AmountMismatch as error:
                found = error
            # Never back to None: the deadline may have spoken meanwhile.
            if found is not None:
                handle._verdict = found
        if handle._verdict is not None:
            self._watches.leave(handle)
        return handle._verdict

    def tell_later(self, handle: Listen, callback: Callable[[Outcome], Any]) -> None:
        """Call that function once with the end of the wait, on a thread of ours."""
        handle._callbacks.put(callback)
        handle._bell.then = lambda: self._hand_over(handle)
        # It may have rung already.
        self._hand_over(handle)

    def _hand_over(self, handle: Listen) -> None:
        try:
            self._pool.submit(lambda: self._tell(handle))
        except RuntimeError as error:
            # Whoever rings has others to ring for.
            log.error("no thread for the callback of the wait for %s, trying again: %s", handle.id_transaction, error)
            self._bells.later(1.0, lambda: self._hand_over(handle))

    def _tell(self, handle: Listen) -> None:
        verdict = self._found(handle)
        if verdict is None:
            return
        while True:
            try:
                # Taken out before it is called: several bells may ring for one end.
                callback = handle._callbacks.get_nowait()
            except queue.Empty:
                return
            if isinstance(verdict, AmountMismatch):
                verdict = mismatched(handle.id_transaction, verdict)
            if isinstance(verdict, FedapayError):
                self._tell_when_known(handle, callback)
                continue
            try:
                callback(verdict)
            except BaseException as error:  # edge of a thread: one program's mistake must not cost the others theirs
                log.error(
                    "callback of the wait for %s failed: %s: %s", handle.id_transaction, type(error).__name__, error
                )

    def _tell_when_known(self, handle: Listen, callback: Callable[[Outcome], Any]) -> None:
        """FedaPay did not answer at the deadline. That is no end to tell, and a callback has nobody to ask again."""
        try:
            self.tell_later(handle._again(), callback)
        except FedapayError as error:
            log.warning("wait for %s not prolonged, again later: %s", handle.id_transaction, error)
            handle._callbacks.put(callback)
            self._bells.later(_AGAIN, lambda: self._hand_over(handle))

    def close(self) -> None:
        """Call nothing new but what has been handed over."""
        self._pool.close()

    def cancel(self, id_transaction: TransactionId) -> bool:
        """End the wait for everybody, in every process. The transaction itself stays payable."""
        transaction_id = checked_id(id_transaction)
        ended = self._store.end_listen(self._config.environment, transaction_id, "cancelled")
        self._bells.ring(transaction_id)
        return ended

    def cancel_all(self) -> int:
        """End every open wait of this database and environment; how many there were."""
        return sum(self.cancel(each.transaction_id) for each in self._store.open_listens(self._config.environment))

    def _look_again(self, handle: Listen, api_key: Optional[str]) -> None:
        verdict = handle._verdict
        if not isinstance(verdict, Outcome) or verdict.reason not in RETRIED_STATUSES:
            return
        transaction_id = str(handle.id_transaction)
        try:
            self._watches.check(transaction_id, self._watches.key_for(transaction_id, api_key))
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
                self._watches.check(transaction_id, key)
            except (ApiError, TransportError) as error:
                raise unknown(id_transaction, error) from error
            outcome = self._outcomes.of(id_transaction)
        return outcome if outcome is not None and outcome.webhooks else still_pending(id_transaction)


def checked_timeout(timeout: float) -> float:
    """
    Seconds to wait.

    Raises:
        InvalidArgument: no number of seconds, negative, not finite, or more than a month.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 <= timeout <= 31 * 86400:
        raise InvalidArgument(
            f"timeout={timeout!r} : un nombre de secondes de 0 (regarder une fois) à {31 * 86400} est attendu ; "
            "600 par défaut.",
            field="timeout",
        )
    return float(timeout)
