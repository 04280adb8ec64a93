"""What every service of a connector is given: settings, store, clock, and who holds its leases."""

from typing import TYPE_CHECKING, NamedTuple

from fedapay_sync.common.clock import Clock
from fedapay_sync.common.config import Config

if TYPE_CHECKING:
    # Peewee is loaded when a database is opened, not by an import.
    from fedapay_sync.store import Store


class Context(NamedTuple):
    """
    The same for all services of one connector in one process.

    Attributes:
        owner: the name under which this process holds leases, made by ``store.owner.new_owner``.
    """

    config: Config
    store: "Store"
    clock: Clock
    owner: str
