"""Calling the functions that were given to a wait, each once, with its end, on a thread of ours."""

import functools
from typing import Any, Callable

from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.notifier import Bells
from fedapay_sync.concurrency.thread_pool import Pool
from fedapay_sync.errors import AmountMismatch, FedapayError
from fedapay_sync.models import Outcome
from fedapay_sync.workflow.waits.deadlines import Verdict, Wait
from fedapay_sync.workflow.waits.outcomes import mismatched

log = get_logger(__name__)

#: Where FedaPay did not answer at the deadline, a callback waits on for so long at least, in seconds.
AGAIN = 60.0


class Telling:
    """
    The callbacks of one connector's waits.

    Args:
        found: the end of a wait, if it is known by now.
    """

    def __init__(self, bells: Bells, found: Callable[[Wait], Verdict]) -> None:
        self._bells = bells
        self._found = found
        self._pool = Pool("fedapay-listen", 4)

    def when_it_rings(self, wait: Wait, callback: Callable[[Outcome], Any]) -> None:
        """Call that function with the end of a wait that nobody else has yet; at once if its bell has rung."""
        wait._callbacks.append(callback)
        # The bell rings first and then looks what to do besides; we say what to do first and then look at the bell.
        wait._bell.then = functools.partial(self.hand_over, wait)
        if wait._bell.is_set():
            self.hand_over(wait)

    def when_it_ends(self, wait: Wait, callback: Callable[[Outcome], Any]) -> None:
        """Call that function with the end of a wait, at once if it is known: somebody may have silenced its bell."""
        self.when_it_rings(wait, callback)
        self.hand_over(wait)

    def hand_over(self, wait: Wait) -> None:
        """Tell it soon, if it has ended; whoever rings has others to ring for."""
        try:
            self._pool.submit(functools.partial(self._tell, wait))
        except RuntimeError as error:
            log.error("no thread for the callback of the wait for %s, trying again: %s", wait.id_transaction, error)
            self._bells.later(1.0, functools.partial(self.hand_over, wait))

    def close(self) -> None:
        """Call nothing new but what has been handed over."""
        self._pool.close()

    def _tell(self, wait: Wait) -> None:
        verdict = self._found(wait)
        if verdict is None:
            return
        while True:
            try:
                # Taken out before it is called: several bells may ring for one end.
                callback = wait._callbacks.pop(0)
            except IndexError:
                return
            if isinstance(verdict, AmountMismatch):
                verdict = mismatched(wait.id_transaction, verdict)
            if isinstance(verdict, FedapayError):
                self._tell_when_known(wait, callback)
                continue
            try:
                callback(verdict)
            except BaseException as error:  # edge of a thread: one program's mistake must not cost the others theirs
                log.error(
                    "callback of the wait for %s failed: %s: %s", wait.id_transaction, type(error).__name__, error
                )

    def _tell_when_known(self, wait: Wait, callback: Callable[[Outcome], Any]) -> None:
        """FedaPay did not answer at the deadline. That is no end to tell, and a callback has nobody to ask again."""
        try:
            self.when_it_ends(wait._again(wait.id_transaction), callback)
        except FedapayError as error:
            log.warning("wait for %s not prolonged, again later: %s", wait.id_transaction, error)
            # Not among the callbacks before then: whoever takes them from there would try again at once.
            self._bells.later(AGAIN, functools.partial(self.when_it_ends, wait, callback))
