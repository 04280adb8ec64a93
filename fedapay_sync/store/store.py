"""
The truth: every query of the package, each an atomic verb that says what it promises.

Truth lies in rows; what wakes threads (:mod:`fedapay_sync.bells`) only makes them look here.
"""

from typing import Tuple

from ..bells import Ear
from .beginnings import BeginningVerbs
from .events import EventVerbs
from .housekeeping import HousekeepingVerbs
from .listens import ListenVerbs
from .looks import LookVerbs
from .moving import MovingVerbs
from .payments import PaymentVerbs


class Store(EventVerbs, BeginningVerbs, ListenVerbs, PaymentVerbs, LookVerbs, HousekeepingVerbs, MovingVerbs):
    """The database of one connector in one process: events, listens, payments and looks at them."""

    def data_version(self) -> Tuple[int, object]:
        """A sign that changes when another connection, in this process or another, has committed."""
        with self._reading() as (times_opened, database):
            return times_opened, database.sign()

    def ear(self) -> Ear:
        """What tells the waker of this process that another connection has committed."""
        return self._backend.ear(self.data_version)
