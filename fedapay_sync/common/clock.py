"""The clock, handed in wherever time is read, so that tests can stop it and set it."""

import time


class Clock:
    """Two clocks: UTC seconds for what is stored, monotonic seconds for waiting."""

    def now(self) -> float:
        """Seconds since 1970, UTC. May jump when the machine's clock is set."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that only ever grow; meaningful in this process only."""
        return time.monotonic()


SYSTEM_CLOCK = Clock()
