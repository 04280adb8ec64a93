"""The store: what must outlive a process."""

from .records import LOCAL, PAYMENT_NAME, RESTORED_NAME, Accepted, Listen, NewEvent, Payment, StoredEvent
from .store import Store

__all__ = [
    "LOCAL",
    "PAYMENT_NAME",
    "RESTORED_NAME",
    "Accepted",
    "Listen",
    "NewEvent",
    "Payment",
    "Store",
    "StoredEvent",
]
