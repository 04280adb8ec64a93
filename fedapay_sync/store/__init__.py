"""The store: what must outlive a process."""

from typing import TYPE_CHECKING, Any

from fedapay_sync.store.records import (
    LOCAL,
    PAYMENT_NAME,
    RESTORED_NAME,
    WATCHED,
    Accepted,
    Listen,
    NewEvent,
    Payment,
    Poll,
    Priority,
    StoredEvent,
)
from fedapay_sync.store.retention_records import Erased, Purged

if TYPE_CHECKING:
    from fedapay_sync.store.store import Store

__all__ = [
    "LOCAL",
    "PAYMENT_NAME",
    "RESTORED_NAME",
    "WATCHED",
    "Accepted",
    "Erased",
    "Listen",
    "NewEvent",
    "Payment",
    "Poll",
    "Priority",
    "Purged",
    "Store",
    "StoredEvent",
]


def __getattr__(name: str) -> Any:
    # Peewee is loaded when a database is opened, and not by a program that only imports the package.
    if name == "Store":
        from fedapay_sync.store.store import Store

        return Store
    raise AttributeError(name)
