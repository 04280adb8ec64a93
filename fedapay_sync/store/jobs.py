"""What the writer is handed: a piece of work, and what its caller and the committing thread agree on about it."""

import contextlib
import threading
from typing import Any, Callable, Dict, Iterator, List, Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.store.database import Database

log = get_logger(__name__)

Work = Callable[[Database, List[Any]], List[Any]]
#: The done callback of a job without a waiting caller. The thread that commits calls it: no lock may be waited for, as
#: a signal handler may wait for that commit while its own thread holds the lock.
Then = Callable[[Any, Optional[BaseException]], None]


class Job(WakeEvent):
    """
    Something to be written, what came of it, and what its caller and the writer agree on: given up, or about to be
    committed, never both. Set once it is known what came of it.

    Args:
        work: gives a result for each thing that it is done to.
        thing: the one of these that is ours.
        then: the done callback of a job without a waiting caller.
    """

    __slots__ = ("_committing", "_fate", "_problem", "_value", "given_up", "then", "thing", "work")

    def __init__(self, work: Work, thing: Any, then: Optional[Then] = None) -> None:
        super().__init__()
        self.work = work
        self.thing = thing
        self.then = then
        self.given_up = False
        self._committing = False
        # Acquired once, by whichever of the two decides first.
        self._fate = threading.Lock()
        self._value: Any = None
        self._problem: Optional[BaseException] = None

    def give_up(self) -> bool:
        """The caller waits no longer; false if it is about to be committed."""
        self.given_up = self._fate.acquire(blocking=False)
        return self.given_up

    def may_commit(self) -> bool:
        """Whether the writer may commit it; its caller can give it up no more."""
        if not self._committing:
            self._committing = self._fate.acquire(blocking=False)
        return self._committing

    def result(self, timeout: float) -> Any:
        """
        What came of it, once it is committed.

        Raises:
            TimeoutError: not in that many seconds.
        """
        if not self.wait(timeout):
            raise TimeoutError
        if self._problem is not None:
            raise self._problem
        return self._value

    def end(self, value: Any, problem: Optional[BaseException] = None) -> None:
        """Wake the waiting caller, or call the done callback."""
        self._value, self._problem = value, problem
        self.set()
        if self.then is not None:
            try:
                self.then(value, problem)
            except Exception as error:  # edge of a thread: with the writer's thread dead, no later job would be written
                with contextlib.suppress(Exception):  # edge of a thread: the program's own logging may be what raises
                    log.error("the done callback of a write failed: %s: %s", type(error).__name__, error)


def alike(jobs: List[Job]) -> Iterator[List[Job]]:
    """
    The jobs in groups that are done at once. One group may pass another, as no caller has jobs in two of them; but none
    passes an operation, whose caller may have handed in another job after it without waiting.
    """
    groups: Dict[Work, List[Job]] = {}
    for job in jobs:
        if job.thing is None:
            yield from groups.values()
            yield [job]
            groups = {}
        else:
            groups.setdefault(job.work, []).append(job)
    yield from groups.values()
