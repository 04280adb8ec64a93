"""
Heartbeats of processes that run callbacks, or receive webhooks: rows of fp_turn that say until when each is taken to be
alive.
"""

import hashlib
from typing import Iterable, List

from fedapay_sync.store.database import Database
from fedapay_sync.store.repositories.leases import lease_row
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.tables import LeaseRow

#: What the names of their rows begin with, and a colon.
_WORKER = "worker"
#: The name of a worker without its owner is so long.
SUBJECT_LENGTH = len(_WORKER) + 1 + 16
#: One that died leaves its row for so long, in seconds.
_KEPT = 86400.0


class WorkerRepository(Repository):
    """Which processes run callbacks, or have another role, and for which accounts."""

    def beat(self, owner: str, environment: str, accounts: Iterable[str], lease: float, *, role: str = _WORKER) -> None:
        """That process has that role for these accounts, and is alive for so many seconds at least."""
        names = _names(owner, environment, accounts, role)

        def write(database: Database) -> None:
            now = self._clock.now()
            for name in names:
                lease_row(database, name)
                LeaseRow.update(run_after=now + lease).where(LeaseRow.name == name).execute(database)
            gone = LeaseRow.name.startswith(f"{role}:") & (LeaseRow.run_after < now - _KEPT)
            LeaseRow.delete().where(gone).execute(database)

        self._engine.write(write)

    def end(self, owner: str, environment: str, accounts: Iterable[str], *, role: str = _WORKER) -> None:
        """That process has that role no more."""
        query = LeaseRow.delete().where(LeaseRow.name.in_(_names(owner, environment, accounts, role)))
        self._engine.write(query.execute)

    def has_other(self, owner: str, environment: str, accounts: Iterable[str], *, role: str) -> bool:
        """Whether another process that is alive has that role for one of these accounts."""
        labels = list(accounts)
        own = _names(owner, environment, labels, role)

        def read(database: Database) -> bool:
            alive = list(
                LeaseRow.select(LeaseRow.name)
                .where(LeaseRow.name.startswith(f"{role}:"), LeaseRow.run_after > self._clock.now())
                .tuples()
                .execute(database)
            )
            subjects = tuple(worker_subject(environment, account, role) for account in labels)
            return any(name.startswith(subjects) and name not in own for (name,) in alive)

        return self._engine.read(read)


def worker_subject(environment: str, account: str, role: str = _WORKER) -> str:
    """What the names of the rows of processes with that role for that account begin with."""
    return f"{role}:" + _digest(f"{environment}:{account}")[:16]


def _names(owner: str, environment: str, accounts: Iterable[str], role: str) -> List[str]:
    # Shorter than the column is wide, however long a host is called.
    return [worker_subject(environment, account, role) + _digest(owner)[:32] for account in accounts]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
