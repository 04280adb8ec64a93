"""How often the status of a payment is read at FedaPay: growing intervals, rarer where webhooks come in."""

import random
from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Pace:
    """
    Rythme des lectures de statut : des intervalles qui grandissent.

    Attributes:
        first: premier intervalle, en secondes.
        factor: chaque intervalle vaut le précédent multiplié par ce nombre, 1 ou plus.
        longest: intervalle le plus long, en secondes.
    """

    first: float
    factor: float
    longest: float


#: While a thread or callback waits for a payment. With webhooks, polls only make a missed one late instead of lost.
WAIT_BESIDE_WEBHOOKS = Pace(first=5.0, factor=1.5, longest=60.0)
#: Without a webhook receiver they are the way.
WAIT_WITHOUT_WEBHOOKS = Pace(first=1.0, factor=1.3, longest=10.0)
#: For a payment that no thread waits for.
FOLLOW_UP_BESIDE_WEBHOOKS = Pace(first=60.0, factor=2.0, longest=3600.0)
FOLLOW_UP_WITHOUT_WEBHOOKS = Pace(first=5.0, factor=1.5, longest=3600.0)


class PollingPolicy:
    """
    The intervals of one connector, in all its processes.

    Args:
        pace: takes the place of all four paces, for tests.

    Attributes:
        has_receiver: whether webhooks are received in this process.
    """

    def __init__(self, pace: Optional[Pace] = None, *, has_receiver: bool = False) -> None:
        self._pace = pace
        self.has_receiver = has_receiver

    @property
    def first_interval(self) -> float:
        """Seconds until the first poll of a payment that is waited for."""
        return self._wait_pace.first

    def next_interval(self, interval: float) -> float:
        """The interval after that one, with jitter so that many waits do not ask at once."""
        pace = self._wait_pace
        return min(interval * pace.factor, pace.longest) * random.uniform(0.85, 1.15)

    def follow_up_interval(self, polls: int, factor: float = 1.0) -> float:
        """Seconds until the next poll of a payment after so many, with jitter so that many are not due at once."""
        pace = self._pace or (FOLLOW_UP_BESIDE_WEBHOOKS if self.has_receiver else FOLLOW_UP_WITHOUT_WEBHOOKS)
        grown = factor * pace.first * pace.factor ** min(polls, 60)
        return min(grown, pace.longest) * random.uniform(0.9, 1.1)

    @property
    def _wait_pace(self) -> Pace:
        return self._pace or (WAIT_BESIDE_WEBHOOKS if self.has_receiver else WAIT_WITHOUT_WEBHOOKS)
