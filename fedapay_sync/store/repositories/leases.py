"""
Leases on what one process at a time may do, on whichever machine: rows of fp_turn that say until when each is taken.
"""

from typing import Any, Dict, Optional

from fedapay_sync.store.database import Database
from fedapay_sync.store.tables import LeaseRow


def lease_row(database: Database, name: str) -> Dict[str, Any]:
    """The row of that lease, made if it is missing."""
    LeaseRow.insert(name=name, run_after=0).on_conflict(
        conflict_target=[LeaseRow.name], update={LeaseRow.name: name}
    ).execute(database)
    found: Dict[str, Any] = next(iter(LeaseRow.select().where(LeaseRow.name == name).dicts().execute(database)))
    return found


def is_free(lease: Dict[str, Any], now: float, longest: float) -> bool:
    """Whether the lease may be taken. One that ends too far ahead was taken before the clock was set back."""
    return not now < lease["run_after"] <= now + longest * 10


def take_lease(database: Database, lease: Dict[str, Any], until: float, since: Optional[float]) -> bool:
    """Take it until then; false if another process has taken it since the row was read."""
    query = LeaseRow.update(run_after=until, since=since).where(
        LeaseRow.name == lease["name"], LeaseRow.run_after == lease["run_after"]
    )
    return bool(query.execute(database))
