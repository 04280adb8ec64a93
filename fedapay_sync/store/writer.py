"""
The only thread of this process that writes.

Whoever wants something written hands in a function of the database and waits for its commit. What has gathered
meanwhile is committed together: on a slow disk that is the difference between 40 and 600 webhooks a second.
"""

import os
import queue
import threading
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any, Callable, List, Optional, Tuple, TypeVar, cast

import peewee

from ..errors import FedapayError, StoreError
from ..masking import get_logger
from .database import ProcessLock, connect, explained, migrate, raw

log = get_logger(__name__)

T = TypeVar("T")
Database = peewee.SqliteDatabase
Operation = Callable[[Database], Any]
_Job = Tuple[Operation, "Future[Any]"]

#: How long a caller waits for its commit, in seconds. Longer would let FedaPay give up; shorter would refuse webhooks
#: that the disk is about to take, and ten refusals switch a webhook off.
PATIENCE = 10.0
_BATCH = 64


class Writer:
    """Commits in groups, in the order of arrival."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[Optional[_Job]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="fedapay-writer", daemon=True)
        self._thread.start()
        self.run(lambda database: None)

    def run(self, operation: Callable[[Database], T], patience: float = PATIENCE) -> T:
        """
        Do it in a transaction and come back when it is committed.

        Raises:
            StoreError: not committed in time, or refused by the database.
        """
        future = self.submit(operation)
        try:
            return cast(T, future.result(timeout=patience))
        except (FutureTimeout, CancelledError):
            # Where it had not begun it never will: the caller has been told that it did not happen.
            future.cancel()
            raise StoreError(
                f"La base locale n'a pas répondu en {patience:g} s : un autre programme la tient, ou le disque est "
                "trop lent. Rien n'a été confirmé."
            ) from None

    def submit(self, operation: Operation) -> "Future[Any]":
        """Hand in an operation; it may run more than once if its neighbours in the batch fail."""
        future: Future[Any] = Future()
        self._jobs.put((operation, future))
        return future

    def close(self, timeout: float = 3.0) -> None:
        """Write what was handed in, then end."""
        self._jobs.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        database: Optional[Database] = None
        lock: Optional[ProcessLock] = None
        opened: Tuple[int, int] = (0, 0)
        closing = False
        while not closing:
            batch, closing = self._next_batch()
            if not batch:
                continue
            results: List[Tuple[Future[Any], Any, Optional[BaseException]]]
            try:
                lock = lock or ProcessLock(self._path)
                if database is not None and _identity(self._path) != opened:
                    # The file was deleted or replaced: what we hold open is nobody's database any more.
                    _close(database)
                    database = None
                if database is None:
                    database, opened = self._open(lock), _identity(self._path)
                with lock.held():
                    results = _commit_all(database, batch)
            except Exception as error:  # edge of a thread: every caller hears of it, and the thread lives on
                results = [(future, None, error) for _, future in batch]
            if any(isinstance(problem, (peewee.DatabaseError, OSError)) for _, _, problem in results):
                _close(database)
                database = None
            # Only now, after the commit, does anybody hear of it.
            for future, value, problem in results:
                if problem is None:
                    future.set_result(value)
                else:
                    future.set_exception(problem if isinstance(problem, FedapayError) else explained(problem))
        _close(database)
        if lock is not None:
            lock.close()

    def _open(self, lock: ProcessLock) -> Database:
        database = connect(self._path)
        with lock.held():
            try:
                _in_transaction(database, migrate)
            except BaseException:
                database.close()
                raise
        return database

    def _next_batch(self) -> Tuple[List[_Job], bool]:
        """What is waiting, and whether we are asked to end after it."""
        jobs: List[_Job] = []
        job = self._jobs.get()
        while job is not None:
            if job[1].set_running_or_notify_cancel():
                jobs.append(job)
            if len(jobs) >= _BATCH:
                return jobs, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True


def _commit_all(database: Database, batch: List[_Job]) -> List[Tuple["Future[Any]", Any, Optional[BaseException]]]:
    """One transaction for all; if one of them fails, a transaction for each, so that none pays for another."""
    try:
        values = _in_transaction(database, lambda db: [operation(db) for operation, _ in batch])
        return [(future, value, None) for (_, future), value in zip(batch, values)]
    except Exception as error:  # edge of a thread: it must outlive whatever it is handed
        if len(batch) == 1:
            return [(batch[0][1], None, error)]
        log.info("a batch of %d failed (%s); committing one by one", len(batch), type(error).__name__)
        return [result for job in batch for result in _commit_all(database, [job])]


def _in_transaction(database: Database, work: Callable[[Database], T]) -> T:
    connection = raw(database)
    # Immediate: a transaction that reads first and writes later is refused at once, whatever the busy timeout.
    database.execute_sql("BEGIN IMMEDIATE")
    try:
        value = work(database)
        database.execute_sql("COMMIT")
        return value
    except BaseException:
        # A full disk has already rolled back; rolling back again would hide why.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _identity(path: Path) -> Tuple[int, int]:
    """Which file stands at that path; (0, 0) if none does."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _close(database: Optional[Database]) -> None:
    """Close a connection, quietly: it may be the one that failed."""
    if database is not None:
        try:
            database.close()
        except peewee.PeeweeException as error:
            log.warning("closing the database failed: %s", type(error).__name__)
