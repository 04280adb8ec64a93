"""
Group commit: the only thread of this process that writes.

A caller hands in a function of the database and waits for its commit. What has gathered meanwhile is committed
together: on a slow disk that is the difference between 40 and 600 webhooks a second.

No lock here is waited for: a signal handler may close in the midst of any line of a caller, and the writer, which
holds the file inside its transactions, waits for no other thread.
"""

import contextlib
import queue
import sqlite3
import threading
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, TypeVar, cast

import peewee

from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.daemon_thread import start_daemon
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.errors import FedapayError, StoreError
from fedapay_sync.store.connection import Connection
from fedapay_sync.store.database import ConnectionLost, Database, refuses_row

log = get_logger(__name__)

S = TypeVar("S")
T = TypeVar("T")
Operation = Callable[[Database], Any]
Work = Callable[[Database, List[Any]], List[Any]]
#: The done callback of a job without a waiting caller. The writer's thread calls it: no lock may be waited for, as a
#: signal handler may wait for the writer while its own thread holds that lock.
Then = Callable[[Any, Optional[BaseException]], None]

#: How long a caller waits for its commit, in seconds. Longer would let FedaPay give up; shorter would refuse webhooks
#: that the disk is about to take, and ten refusals switch a webhook off.
PATIENCE = 10.0
_BATCH = 64
#: Jobs without a waiting caller linger for so long to share a commit, in seconds: a second one delays the next webhook.
_LINGER = 0.002


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


_Result = Tuple[Job, Any, Optional[BaseException]]


class _GivenUp(Exception):
    """A caller has been told that it did not happen: it must not."""


class Writer:
    """Commits in groups, in the order of arrival. Opens the database with the first of them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._jobs: queue.SimpleQueue[Optional[Job]] = queue.SimpleQueue()
        #: Set with each job that has a waiting caller.
        self._has_awaited = WakeEvent()
        self._closing = False
        self._ended = False
        # Until the database wants housekeeping, in seconds, if it does without a transaction.
        self._maintained_in: Optional[float] = None
        try:
            self._thread = start_daemon(self._run, "fedapay-writer")
        except RuntimeError as error:
            raise StoreError(f"Le thread d'écriture de la base ne peut pas démarrer ({error}).") from None

    @property
    def has_opened(self) -> bool:
        """Whether the tables are there."""
        return self.connection.times_opened > 0

    def run(self, operation: Callable[[Database], T], patience: float = PATIENCE) -> T:
        """
        Do it in a transaction and come back when it is committed.

        Raises:
            StoreError: not committed in time, and it never will be; or refused by the database.
        """
        return cast(T, self._awaited(self.submit(operation), patience))

    def run_batched(self, work: Callable[[Database, List[S]], List[T]], thing: S, patience: float = PATIENCE) -> T:
        """
        The same for work that is done at once to all things that wait for it next to each other.

        Args:
            work: gives a result for each thing, in their order. When it raises, it is done to each thing alone.
        """
        return cast(T, self._awaited(self._submitted(Job(work, thing)), patience))

    def submit_batched(self, work: Callable[[Database, List[S]], List[T]], thing: S, then: Then) -> None:
        """Hand in the same without waiting for it."""
        self._submitted(Job(work, thing, then))

    def submit(self, operation: Operation) -> Job:
        """Hand in an operation; it may run more than once if its neighbours in the batch fail."""
        return self._submitted(Job(lambda database, _: [operation(database)], None))

    def close(self, timeout: float = 3.0) -> None:
        """Write what was handed in, then end."""
        self._closing = True
        self._jobs.put(None)
        self._has_awaited.set()
        self._thread.join(timeout)

    def _submitted(self, job: Job) -> Job:
        if self._closing:
            raise _closed()
        self._jobs.put(job)
        if job.then is None:
            self._has_awaited.set()
        if self._ended:
            # Closed since the line above: the writer may have looked for the last time.
            self._refuse_rest()
        return job

    def _awaited(self, job: Job, patience: float) -> Any:
        try:
            return job.result(patience)
        except TimeoutError:
            # On its way to the disk, only the disk knows the answer, and it comes soon or never.
            left = 0.0 if job.give_up() else patience
        try:
            return job.result(left)
        except TimeoutError:
            raise StoreError(
                f"La base n'a pas répondu en {patience:g} s : un autre programme la tient, ou le disque est "
                "trop lent. Rien n'a été confirmé."
            ) from None

    def _run(self) -> None:
        while not (self._closing and self._jobs.empty()):
            batch = self._next_batch()
            if batch or self._maintained_in is not None:
                self._work(batch)
        self.connection.close()
        self._ended = True
        self._refuse_rest()

    def _next_batch(self) -> List[Job]:
        """What is waiting; nothing where we are asked to end, or the database wants housekeeping."""
        try:
            job = self._jobs.get(timeout=self._maintained_in)
        except queue.Empty:
            return []
        self._has_awaited.clear()
        # After that line: a job that came before it is gathered, and one that comes later sets it.
        jobs = [] if job is None else self._gathered([job])
        may_linger = bool(jobs) and not self._closing and all(each.then is not None for each in jobs)
        if may_linger and self._has_awaited.wait(_LINGER):
            jobs = self._gathered(jobs)
        return jobs

    def _gathered(self, jobs: List[Job]) -> List[Job]:
        """These, and what else is there by now."""
        with contextlib.suppress(queue.Empty):
            # Not with a timeout of nothing: a thread that is put aside in the midst of it waits for ever in Python 3.9.
            while len(jobs) < _BATCH and (job := self._jobs.get_nowait()) is not None:
                jobs.append(job)
        return jobs

    def _refuse_rest(self) -> None:
        """Tell those that came too late: called by the writer as it ends, and by each that comes after."""
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    job.end(None, _closed())

    def _work(self, batch: List[Job]) -> None:
        results: List[_Result]
        self._maintained_in = None
        try:
            with self.connection.exclusive() as database:
                results = self._commit_all(database, batch)
                self._maintained_in = database.maintain()
        except Exception as error:  # edge of a thread: every caller hears of it, and the thread lives on
            results = [(job, None, error) for job in batch]
        if any(_breaks(problem) for _, _, problem in results):
            self.connection.close()
        # Only now, after the commit, does any caller hear of it.
        for job, value, problem in results:
            if problem is not None and not isinstance(problem, FedapayError):
                problem = self.connection.explain(problem)
            job.end(value, problem)

    def _commit_all(self, database: Database, batch: List[Job]) -> List[_Result]:
        """One transaction for all; if one of them fails, a transaction for each, so that none pays for another."""
        jobs = [job for job in batch if not job.given_up]
        begun = False

        def work(db: Database) -> Dict[Job, Any]:
            nonlocal begun
            begun = True
            values: Dict[Job, Any] = {}
            for group in _alike(jobs):
                values.update(zip(group, group[0].work(db, [job.thing for job in group])))
            if not all(job.may_commit() for job in jobs):
                raise _GivenUp
            return values

        if not jobs:
            return []
        try:
            values = database.transact(work)
            return [(job, values[job], None) for job in jobs]
        except _GivenUp:
            return self._commit_all(database, jobs)
        except Exception as error:  # edge of a thread: it must outlive whatever it is handed
            if len(jobs) == 1 or not begun or isinstance(error, ConnectionLost):
                return [(job, None, error) for job in jobs]
            log.info("a batch of %d failed (%s); committing one by one", len(jobs), type(error).__name__)
            return [result for job in jobs for result in self._commit_all(database, [job])]


def _alike(jobs: List[Job]) -> Iterator[List[Job]]:
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


def _closed() -> StoreError:
    return StoreError("La base a été fermée. Rien n'a été confirmé.")


def _breaks(problem: Optional[BaseException]) -> bool:
    """Whether the connection may be in no state to go on, as it is after anything but a row refused."""
    return isinstance(problem, (peewee.PeeweeException, sqlite3.Error, OSError)) and not refuses_row(problem)
