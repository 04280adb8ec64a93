"""How much work a process takes ahead of its threads: the less, the longer its callbacks run."""

from typing import Optional

#: Work is taken ahead for so long, in seconds: what lies here in line, another process could be calling.
_HORIZON = 0.1
#: And never more pieces than that.
_MOST = 28
#: What the latest callback weighs in the mean.
_WEIGHT = 0.2


class Prefetch:
    """
    The limit of one connector's callbacks.

    Args:
        threads: how many callbacks run at the same time.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._mean: Optional[float] = None

    @property
    def limit(self) -> int:
        """So many pieces of work may be held at once, those that run included. Nothing is taken ahead at first."""
        if self._mean is None:
            return self._threads
        return self._threads + min(_MOST, int(self._threads * _HORIZON / max(self._mean, 1e-6)))

    def add(self, seconds: float) -> None:
        """A callback has run for so long. A slow one counts at once."""
        mean = seconds if self._mean is None else self._mean + _WEIGHT * (seconds - self._mean)
        self._mean = max(mean, seconds if seconds >= _HORIZON else 0.0)
