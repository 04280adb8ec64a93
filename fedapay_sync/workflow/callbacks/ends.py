"""Records how callbacks ended: done, to be retried, or parked; also where the database refuses that end itself."""

import inspect
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

from fedapay_sync.common.logging import get_logger, with_traceback
from fedapay_sync.common.tracebacks import text_of
from fedapay_sync.errors import FedapayError, StoreError
from fedapay_sync.store import StoredEvent
from fedapay_sync.store.records import WorkKey
from fedapay_sync.workflow.callbacks.program_code import program_traceback
from fedapay_sync.workflow.callbacks.retry_policy import backoff, is_first, is_last
from fedapay_sync.workflow.context import Context

log = get_logger(__name__)

#: Stored in place of an end that the database refuses: plain letters, and nothing of what was refused.
_REFUSED = "the database refused to store how the callback ended; the log of that moment says why"


class PermanentFailure(Exception):
    """What a handler raises when trying again would not help: the event is parked at once."""


class Failure(NamedTuple):
    """
    How a callback failed, without the exception, whose frames would stay in memory.

    Attributes:
        problem: one line, masked; stored.
        permanent: whether another attempt would not help.
        traceback: masked; None except for the first failure of an event.
    """

    problem: str
    permanent: bool
    traceback: Optional[str] = None


def failure_of(work: StoredEvent, error: BaseException) -> Failure:
    """The failure of a callback that raised."""
    traceback = program_traceback(error) if is_first(work.attempts) else None
    if isinstance(error, PermanentFailure):
        return Failure(text_of(error), True, traceback)
    return Failure(f"{type(error).__name__}: {text_of(error)}", is_last(work.attempts), traceback)


def failure_of_returned(work: StoredEvent, returned: Any) -> Optional[Failure]:
    """The failure of a callback that returned that; None if it did not fail."""
    if not inspect.isawaitable(returned):
        return None
    close = getattr(returned, "close", None)
    if close is not None:
        close()
    problem = "the callback returned a coroutine that nobody awaits; delete async from it"
    return Failure(problem, is_last(work.attempts))


class CallbackEnds:
    """The ends of one connector's callbacks."""

    def __init__(self, context: Context) -> None:
        self._config, self._store, _, self._owner = context
        #: What has ended, and whose end the store could not take yet.
        self._unrecorded: Dict[WorkKey, Tuple[StoredEvent, Optional[Failure], bool]] = {}

    def is_unrecorded(self, key: WorkKey) -> bool:
        """Whether that work has ended, and the store does not know it yet."""
        return key in self._unrecorded

    def record_or_keep(self, work: StoredEvent, failure: Optional[Failure], to_give: bool) -> None:
        """Record the end; where the store cannot take it now, ``record_again`` does."""
        try:
            self.record(work, failure, to_give=to_give)
        except FedapayError as error:
            # Still ours, and not to be called again while we live: its end is told as soon as the store takes it.
            text = "the end of the callback of %s could not be stored, trying again: %s"
            log.error(text, work.event_key, error, extra=with_traceback(failure and failure.traceback))
            self._unrecorded[work.key] = (work, failure and failure._replace(traceback=None), to_give)

    def record_done_soon(self, work: StoredEvent, then: Callable[[StoredEvent], None]) -> None:
        """
        Mark a call as done, together with what else is written just then.

        Args:
            then: called by the writer's thread once it is, or ``record_again`` has to do it; it may wait for no lock.
        """

        def ended(is_done: Optional[bool], problem: Optional[BaseException]) -> None:
            if not is_done:
                # Refused, or not ours: the worker's thread reads and logs which, as the writer's must not wait.
                self._unrecorded[work.key] = (work, None, False)
            then(work)
            if problem is not None:
                log.error(
                    "the end of the callback of %s could not be stored, trying again: %s", work.event_key, problem
                )

        erase = self._config.keep_bodies_days == 0
        try:
            self._store.callbacks.mark_done_soon(work, self._owner, erase_body=erase, then=ended)
        except FedapayError as error:
            ended(None, error)

    def record_again(self, forget: Callable[[StoredEvent], None], *, is_last: bool) -> None:
        """
        Tell the store of the ends that it could not take before.

        Args:
            forget: called with each that need be kept no longer.
            is_last: what it cannot take now, either, is called again by another process.
        """
        for key, (work, failure, to_give) in list(self._unrecorded.items()):
            try:
                self.record(work, failure, to_give=to_give)
            except FedapayError:
                if not is_last:
                    # Each try takes its time, and heartbeats wait for it: next time another comes first.
                    self._unrecorded.pop(key, None)
                    self._unrecorded[key] = work, failure, to_give
                    return
                # Once its lease has ended it is called again, with the same event key.
                log.error("the end of the callback of %s was not stored; it will run again", work.event_key)
            self._unrecorded.pop(work.key, None)
            forget(work)

    def record(self, work: StoredEvent, failure: Optional[Failure], *, to_give: bool = False) -> None:
        """
        Mark the callback as done, or retry it after its backoff, or park it.

        Args:
            to_give: it was work of the event itself, and callbacks are to be called with the event now.

        Raises:
            StoreError: the database could not take it now; tried again, it may.
        """
        try:
            self._record(work, failure, to_give)
        except StoreError as error:
            if not error.permanent:
                raise
            # Tried again it would be refused again, and the events behind this one would wait for ever.
            text = "the end of the callback of %s is refused by the database, parking it: %s"
            log.error(text, work.event_key, error, extra=with_traceback(failure and failure.traceback))
            self._park(work)

    def _record(self, work: StoredEvent, failure: Optional[Failure], to_give: bool) -> None:
        erase = self._config.keep_bodies_days == 0
        if failure is None and to_give:
            if not self._store.callbacks.give_to_callbacks(work, self._owner, erase_body=erase):
                self._tell_if_taken(work)
            return
        if failure is None:
            if not self._store.callbacks.mark_done(work, self._owner, erase_body=erase):
                self._tell_if_taken(work)
            return
        problem, traceback = failure.problem, with_traceback(failure.traceback)
        again = None if failure.permanent else backoff(work.attempts)
        if not self._store.callbacks.retry_or_park(work, self._owner, error=problem, again_in=again):
            self._tell_if_taken(work)
        elif again is None:
            text = "callback of %s failed %d times and is parked: %s"
            log.error(text, work.event_key, work.attempts, problem, extra=traceback)
        else:
            text = "callback of %s failed (attempt %d), again in %.0f s: %s"
            log.warning(text, work.event_key, work.attempts, again, problem, extra=traceback)

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
