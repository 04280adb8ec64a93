"""Common ancestor of the repositories: the engine that executes their queries, and the clock that stamps their rows."""

from fedapay_sync.store.engine import Engine


class Repository:
    """
    The queries of one kind of row.

    They look at the clock inside their transaction, as a server says what time it is when one begins.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._clock = engine.clock
