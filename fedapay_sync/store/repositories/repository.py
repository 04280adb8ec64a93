"""Common ancestor of the repositories: the engine that executes their queries, and the clock that stamps their rows."""

from fedapay_sync.common.clock import Clock
from fedapay_sync.store.engine import Engine


class Repository:
    """The queries of one kind of row."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
