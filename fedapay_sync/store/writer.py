"""
The only thread of this process that writes.

Whoever wants something written hands in a function of the database and waits for its commit. What has gathered
meanwhile is committed together: on a slow disk that is the difference between 40 and 600 webhooks a second.
"""

import queue
import sqlite3
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Callable, List, Optional, Tuple, TypeVar, cast

import peewee

from ..errors import FedapayError, StoreError
from ..masking import get_logger
from .connection import Connection
from .dialect import ConnectionLost, Database

log = get_logger(__name__)

T = TypeVar("T")
Operation = Callable[[Database], Any]

#: How long a caller waits for its commit, in seconds. Longer would let FedaPay give up; shorter would refuse webhooks
#: that the disk is about to take, and ten refusals switch a webhook off.
PATIENCE = 10.0
_BATCH = 64


class _Job:
    """An operation, and what its caller and the writer agree on: given up, or about to be committed, never both."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.future: Future[Any] = Future()
        self.given_up = False
        self.committing = False


_Result = Tuple[_Job, Any, Optional[BaseException]]


class _GivenUp(Exception):
    """A caller has been told that it did not happen: it must not."""


class Writer:
    """Commits in groups, in the order of arrival. Opens the database with the first of them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._jobs: queue.SimpleQueue[Optional[_Job]] = queue.SimpleQueue()
        self._deciding = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="fedapay-writer", daemon=True)
        try:
            self._thread.start()
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
        job = self._submitted(operation)
        try:
            return cast(T, job.future.result(timeout=patience))
        except FutureTimeout:
            with self._deciding:
                job.given_up = not job.committing
        try:
            # On its way to the disk: only the disk knows the answer, and it comes soon or never.
            return cast(T, job.future.result(timeout=0 if job.given_up else patience))
        except FutureTimeout:
            raise StoreError(
                f"La base n'a pas répondu en {patience:g} s : un autre programme la tient, ou le disque est "
                "trop lent. Rien n'a été confirmé."
            ) from None

    def submit(self, operation: Operation) -> "Future[Any]":
        """Hand in an operation; it may run more than once if its neighbours in the batch fail."""
        return self._submitted(operation).future

    def close(self, timeout: float = 3.0) -> None:
        """Write what was handed in, then end."""
        with self._deciding:
            self._closed = True
            self._jobs.put(None)
        self._thread.join(timeout)

    def _submitted(self, operation: Operation) -> _Job:
        job = _Job(operation)
        with self._deciding:
            if self._closed:
                raise StoreError("La base a été fermée. Rien n'a été confirmé.")
            self._jobs.put(job)
        return job

    def _run(self) -> None:
        closing = False
        while not closing:
            batch, closing = self._next_batch()
            if batch:
                self._work(batch)
        self.connection.close()

    def _next_batch(self) -> Tuple[List[_Job], bool]:
        """What is waiting, and whether we are asked to end after it."""
        jobs: List[_Job] = []
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) >= _BATCH:
                return jobs, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _work(self, batch: List[_Job]) -> None:
        results: List[_Result]
        try:
            with self.connection.used() as database:
                results = self._commit_all(database, batch)
        except Exception as error:  # edge of a thread: every caller hears of it, and the thread lives on
            results = [(job, None, error) for job in batch]
        if any(_breaks(problem) for _, _, problem in results):
            self.connection.close()
        # Only now, after the commit, does anybody hear of it.
        for job, value, problem in results:
            if problem is None:
                job.future.set_result(value)
            else:
                job.future.set_exception(
                    problem if isinstance(problem, FedapayError) else self.connection.explained(problem)
                )

    def _commit_all(self, database: Database, batch: List[_Job]) -> List[_Result]:
        """One transaction for all; if one of them fails, a transaction for each, so that none pays for another."""
        jobs = [job for job in batch if not job.given_up]
        begun = False

        def work(db: Database) -> List[Any]:
            nonlocal begun
            begun = True
            values = [job.operation(db) for job in jobs]
            with self._deciding:
                if any(job.given_up for job in jobs):
                    raise _GivenUp
                for job in jobs:
                    job.committing = True
            return values

        if not jobs:
            return []
        try:
            return [(job, value, None) for job, value in zip(jobs, database.transact(work))]
        except _GivenUp:
            return self._commit_all(database, jobs)
        except Exception as error:  # edge of a thread: it must outlive whatever it is handed
            if len(jobs) == 1 or not begun or isinstance(error, ConnectionLost):
                return [(job, None, error) for job in jobs]
            log.info("a batch of %d failed (%s); committing one by one", len(jobs), type(error).__name__)
            return [result for job in jobs for result in self._commit_all(database, [job])]


def _breaks(problem: Optional[BaseException]) -> bool:
    """Whether the connection may be in no state to go on, as it is after anything but a row refused."""
    return isinstance(problem, (peewee.PeeweeException, sqlite3.Error, OSError)) and not isinstance(
        problem, (peewee.IntegrityError, peewee.DataError)
    )
