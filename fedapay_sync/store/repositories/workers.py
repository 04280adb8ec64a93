"""Heartbeats of worker processes: rows of fp_turn that say until when each is taken to be alive."""

import hashlib

from fedapay_sync.store.database import Database
from fedapay_sync.store.repositories.leases import lease_row
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.tables import LeaseRow

#: What the names of their rows begin with.
PREFIX = "worker:"
#: One that died leaves its row for so long, in seconds.
_KEPT = 86400.0


class WorkerRepository(Repository):
    """Which processes run callbacks."""

    def beat(self, owner: str, lease: float) -> None:
        """That process runs callbacks, and is alive for so many seconds at least."""

        def write(database: Database) -> None:
            now, name = self._clock.now(), _name(owner)
            lease_row(database, name)
            LeaseRow.update(run_after=now + lease).where(LeaseRow.name == name).execute(database)
            gone = LeaseRow.name.startswith(PREFIX) & (LeaseRow.run_after < now - _KEPT)
            LeaseRow.delete().where(gone).execute(database)

        self._engine.write(write)

    def end(self, owner: str) -> None:
        """That process runs callbacks no more."""
        self._engine.write(lambda database: LeaseRow.delete().where(LeaseRow.name == _name(owner)).execute(database))


def _name(owner: str) -> str:
    # Shorter than the column is wide, however long a host is called.
    return PREFIX + hashlib.sha256(owner.encode()).hexdigest()[:32]
