"""Heartbeats of processes that run callbacks: rows of fp_turn that say until when each is taken to be alive."""

import hashlib
from typing import Iterable, List

from fedapay_sync.store.database import Database
from fedapay_sync.store.repositories.leases import lease_row
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.tables import LeaseRow

#: What the names of their rows begin with.
_PREFIX = "worker:"
#: A name without its owner is so long.
SUBJECT_LENGTH = len(_PREFIX) + 16
#: One that died leaves its row for so long, in seconds.
_KEPT = 86400.0


class WorkerRepository(Repository):
    """Which processes run callbacks, and for which accounts."""

    def beat(self, owner: str, environment: str, accounts: Iterable[str], lease: float) -> None:
        """That process runs the callbacks of these accounts, and is alive for so many seconds at least."""
        names = _names(owner, environment, accounts)

        def write(database: Database) -> None:
            now = self._clock.now()
            for name in names:
                lease_row(database, name)
                LeaseRow.update(run_after=now + lease).where(LeaseRow.name == name).execute(database)
            gone = LeaseRow.name.startswith(_PREFIX) & (LeaseRow.run_after < now - _KEPT)
            LeaseRow.delete().where(gone).execute(database)

        self._engine.write(write)

    def end(self, owner: str, environment: str, accounts: Iterable[str]) -> None:
        """That process runs callbacks no more."""
        query = LeaseRow.delete().where(LeaseRow.name.in_(_names(owner, environment, accounts)))
        self._engine.write(query.execute)


def worker_subject(environment: str, account: str) -> str:
    """What the names of the rows of workers for that account begin with."""
    return _PREFIX + _digest(f"{environment}:{account}")[:16]


def _names(owner: str, environment: str, accounts: Iterable[str]) -> List[str]:
    # Shorter than the column is wide, however long a host is called.
    return [worker_subject(environment, account) + _digest(owner)[:32] for account in accounts]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
