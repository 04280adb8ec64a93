"""Calls one callback with one event, and says what came of it; nothing that it raises gets past this."""

from typing import Callable, List, NamedTuple, Optional

from fedapay_sync.store import StoredEvent
from fedapay_sync.workflow.callbacks.ends import Failure, failure_of, failure_of_returned
from fedapay_sync.workflow.callbacks.names import CallbackNames
from fedapay_sync.workflow.callbacks.retry_policy import is_beyond_last
from fedapay_sync.workflow.callbacks.taken_threads import TakenThreads

FailureObserver = Callable[[StoredEvent, str, Optional[BaseException]], object]

#: Called with each failure of the program's callbacks, in its thread, and with what was raised: a test is told of it.
failure_observers: List[FailureObserver] = []


class Called(NamedTuple):
    """
    Attributes:
        failure: None if it did not fail.
        to_give: the work was the event itself, and callbacks are to be called with it now.
        raised: what Ctrl-C or ``sys.exit`` raised in it, if they did.
    """

    failure: Optional[Failure]
    to_give: bool = False
    raised: Optional[BaseException] = None


def call(
    work: StoredEvent, names: CallbackNames, examine: Callable[[StoredEvent], bool], calls: TakenThreads
) -> Called:
    """
    Call the callback that this work is of, or examine the event that it is.

    Args:
        calls: where it is noted while it runs.
    """
    try:
        if is_beyond_last(work.attempts):
            # One that takes its process down each time would do so for ever.
            raise RuntimeError("every attempt ended with the process that made it")
        if work.call is None:
            calls.begin(work.key, examine, work.event_key)
            return Called(None, examine(work))
        callback = names.of(work)
        calls.begin(work.key, callback.function(), work.event_key)
        failure = failure_of_returned(work, callback.handler(work))
        if failure is not None:
            _tell(work, failure, None)
        return Called(failure)
    except BaseException as error:  # edge of a thread: sys.exit in a callback is a failure of the callback
        failure = failure_of(work, error)
        _tell(work, failure, error)
        return Called(failure, raised=None if isinstance(error, Exception) else error)
    finally:
        calls.end(work.key)


def _tell(work: StoredEvent, failure: Failure, error: Optional[BaseException]) -> None:
    for observer in failure_observers:
        observer(work, failure.problem, error)
