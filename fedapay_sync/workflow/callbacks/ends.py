"""Records how callbacks ended: done, to be retried, or parked; also where the database refuses that end itself."""

from typing import Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import escape_controls, mask
from fedapay_sync.errors import StoreError
from fedapay_sync.store import StoredEvent
from fedapay_sync.workflow.callbacks.retry_policy import backoff
from fedapay_sync.workflow.context import Context

log = get_logger(__name__)

#: Stored in place of an end that the database refuses: plain letters, and nothing of what was refused.
_REFUSED = "the database refused to store how the callback ended; the log of that moment says why"


class CallbackEnds:
    """The ends of one connector's callbacks."""

    def __init__(self, context: Context) -> None:
        self._config, self._store, _, self._owner = context

    def record(self, work: StoredEvent, problem: Optional[str], permanent: bool) -> None:
        """
        Mark the callback as done, or retry it after its backoff, or park it.

        Args:
            problem: why it failed; None if it did not.
            permanent: whether another attempt would not help.

        Raises:
            StoreError: the database could not take it now; tried again, it may.
        """
        try:
            self._record(work, problem, permanent)
        except StoreError as error:
            if not error.permanent:
                raise
            # Tried again it would be refused again, and the events behind this one would wait for ever.
            log.error("the end of the callback of %s is refused by the database, parking it: %s", work.event_key, error)
            self._park(work)

    def _record(self, work: StoredEvent, problem: Optional[str], permanent: bool) -> None:
        if problem is None:
            erase = self._config.keep_bodies_days == 0
            if not self._store.callbacks.mark_done(work, self._owner, erase_body=erase):
                self._tell_if_taken(work)
            return
        again = None if permanent else backoff(work.attempts)
        if not self._store.callbacks.retry_or_park(work, self._owner, error=problem, again_in=again):
            self._tell_if_taken(work)
        elif again is None:
            log.error("callback of %s failed %d times and is parked: %s", work.event_key, work.attempts, problem)
        else:
            text = "callback of %s failed (attempt %d), again in %.0f s: %s"
            log.warning(text, work.event_key, work.attempts, again, problem)

    def _tell_if_taken(self, work: StoredEvent) -> None:
        # Not ours to end, for a harmless reason most often: an end that was stored while its answer was lost, a payment
        # that was forgotten.
        if self._store.callbacks.was_taken(work):
            log.warning("%s was taken by another process before its callback ended here: it ran twice", work.event_key)

    def _park(self, work: StoredEvent) -> None:
        try:
            self._store.callbacks.retry_or_park(work, self._owner, error=_REFUSED, again_in=None)
        except StoreError as error:
            if not error.permanent:
                raise
            log.error("%s cannot even be parked: once its lease has ended it runs again: %s", work.event_key, error)


def text_of(error: BaseException) -> str:
    """What a failure says of itself, as it may stand on record and in the log: masked, on one line."""
    try:
        return escape_controls(mask(error))
    except BaseException as broken:  # the program's own class: what it does in its __str__ is the program's
        return f"(its text raises {type(broken).__name__})"
