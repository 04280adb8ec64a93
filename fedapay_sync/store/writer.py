"""
Group commit: one thread of this process writes at a time.

A caller hands in a function of the database and waits for its commit. What has gathered meanwhile is committed
together, by the writer's thread: on a slow disk that is the difference between 40 and 600 webhooks a second. A caller
that finds the database free commits what is there itself, and spares the way to another thread and back.

No lock here is waited for by a caller: a signal handler may close in the midst of any line of one. The thread that
commits holds the file inside its transactions, and waits for no other thread.
"""

import contextlib
import sqlite3
import threading
from collections import deque
from typing import Any, Callable, ContextManager, Deque, Dict, List, Optional, Tuple, TypeVar, cast

import peewee

from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.daemon_thread import start_daemon
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.errors import FedapayError, StoreError
from fedapay_sync.store.connection import Connection
from fedapay_sync.store.database import ConnectionLost, Database, refuses_row
from fedapay_sync.store.jobs import Job, Then, alike

log = get_logger(__name__)

S = TypeVar("S")
T = TypeVar("T")
Operation = Callable[[Database], Any]

#: How long a caller waits for its commit, in seconds. Longer would let FedaPay give up; shorter would refuse webhooks
#: that the disk is about to take, and ten refusals switch a webhook off.
PATIENCE = 10.0
_BATCH = 64
#: Jobs without a waiting caller linger for so long to share a commit, in seconds: a second one delays the next webhook.
_LINGER = 0.002


_Result = Tuple[Job, Any, Optional[BaseException]]


class _GivenUp(Exception):
    """A caller has been told that it did not happen: it must not."""


class Writer:
    """Commits in groups, in the order of arrival. Opens the database with the first of them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._jobs: Deque[Job] = deque()
        #: Held by the thread that commits.
        self._turn = threading.Lock()
        self._times_led = 0
        #: Set when the writer's thread has something to do, and when a caller waits for it.
        self._wake, self._has_awaited = WakeEvent(), WakeEvent()
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
        return cast(T, self._awaited(_job(operation), patience))

    def run_batched(self, work: Callable[[Database, List[S]], List[T]], thing: S, patience: float = PATIENCE) -> T:
        """
        The same for work that is done at once to all things that wait for it next to each other.

        Args:
            work: gives a result for each thing, in their order. When it raises, it is done to each thing alone.
        """
        return cast(T, self._awaited(Job(work, thing), patience))

    def submit_batched(self, work: Callable[[Database, List[S]], List[T]], thing: S, then: Then) -> None:
        """Hand in the same without waiting for it."""
        self._submit(Job(work, thing, then))

    def submit(self, operation: Operation) -> Job:
        """Hand in an operation; it may run more than once if its neighbours in the batch fail."""
        job = _job(operation)
        self._submit(job)
        return job

    def close(self, timeout: float = 3.0) -> None:
        """Write what was handed in, then end."""
        self._closing = True
        self._call_writer(is_awaited=True)
        self._thread.join(timeout)

    def _submit(self, job: Job, *, may_lead: bool = False) -> None:
        if self._closing:
            raise _closed()
        self._jobs.append(job)
        if not (may_lead and self._lead()) or not job.is_set():
            self._call_writer(is_awaited=job.then is None)
        if self._ended:
            # Closed since the first line: the writer may have looked for the last time.
            self._refuse_rest()

    def _call_writer(self, *, is_awaited: bool) -> None:
        if is_awaited:
            self._has_awaited.set()
        self._wake.set()

    def _awaited(self, job: Job, patience: float) -> Any:
        # Not on the main thread: a signal handler that comes in the midst of it could write nothing, nor wait for it.
        self._submit(job, may_lead=threading.current_thread() is not threading.main_thread())
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
        while not (self._closing and not self._jobs):
            is_called = self._wake.wait(self._maintained_in)
            self._wake.clear()
            if self._jobs and not self._closing and self._has_lingered_in_vain():
                continue
            self._has_awaited.clear()
            # After that line: a job that came before it is gathered, and one that comes later sets both.
            if self._jobs or not is_called:
                with self._turn:
                    self._work(self.connection.exclusive())
        self.connection.close()
        self._ended = True
        self._refuse_rest()

    def _has_lingered_in_vain(self) -> bool:
        """Wait for company; true if a caller came and committed what was there: what has come since waits anew."""
        times_led = self._times_led
        if self._has_awaited.wait(_LINGER) or times_led == self._times_led:
            return False
        self._wake.set()
        return True

    def _gathered(self) -> List[Job]:
        """What is there by now, for one transaction."""
        jobs: List[Job] = []
        with contextlib.suppress(IndexError):
            while len(jobs) < _BATCH:
                jobs.append(self._jobs.popleft())
        if self._jobs:
            self._call_writer(is_awaited=True)
        return jobs

    def _refuse_rest(self) -> None:
        """Tell those that came too late: called by the writer as it ends, and by each that comes after."""
        with contextlib.suppress(IndexError):
            while True:
                self._jobs.popleft().end(None, _closed())

    def _lead(self) -> bool:
        """Commit what is there on the caller's thread; false if another thread or process is writing."""
        if not self.has_opened or not self._turn.acquire(blocking=False):
            return False
        try:
            self._times_led += 1
            return self._work(self.connection.exclusive_if_free())
        finally:
            self._turn.release()

    def _work(self, exclusive: ContextManager[Optional[Database]]) -> bool:
        """Commit what is there, with the database that is ours meanwhile; false if it is not to be had."""
        batch: List[Job] = []
        try:
            try:
                with exclusive as database:
                    if database is None:
                        return False
                    # As late as this: those that come while another process writes share the commit.
                    batch = self._gathered()
                    results = self._commit_all(database, batch)
                    self._keep_maintained(database)
            except Exception as error:  # edge of a thread: every caller hears of it, and the thread lives on
                self._maintained_in = None
                batch = batch or self._gathered()
                results = [(job, None, error) for job in batch]
            self._tell(results)
        finally:
            # Where something ends a thread of the program in the midst of it, the callers of the others hear of it.
            for job in batch:
                if not job.is_set():
                    job.end(None, StoreError("L'écriture a été interrompue. Rien n'a été confirmé."))
        return True

    def _keep_maintained(self, database: Database) -> None:
        self._maintained_in = database.maintain()
        if self._maintained_in is not None:
            # Where a caller has committed, it sleeps, and does not know yet until when.
            self._wake.set()

    def _tell(self, results: List[_Result]) -> None:
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
            for group in alike(jobs):
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


def _job(operation: Operation) -> Job:
    return Job(lambda database, _: [operation(database)], None)


def _closed() -> StoreError:
    return StoreError("La base a été fermée. Rien n'a été confirmé.")


def _breaks(problem: Optional[BaseException]) -> bool:
    """Whether the connection may be in no state to go on, as it is after anything but a row refused."""
    return isinstance(problem, (peewee.PeeweeException, sqlite3.Error, OSError)) and not refuses_row(problem)
