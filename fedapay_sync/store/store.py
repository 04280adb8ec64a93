"""
The truth: every query of the package, each an atomic verb that says what it promises.

Truth lies in rows; what wakes threads (:mod:`fedapay_sync.bells`) only makes them look here.
"""

from typing import Tuple

from .events import EventVerbs
from .listens import ListenVerbs
from .payments import PaymentVerbs


class Store(EventVerbs, ListenVerbs, PaymentVerbs):
    """The database of one connector in one process: events, listens and payments."""

    def data_version(self) -> Tuple[int, int]:
        """A sign that changes when another connection, in this process or another, has committed."""
        with self._reading() as (times_opened, database):
            return times_opened, int(database.execute_sql("PRAGMA data_version").fetchone()[0])
