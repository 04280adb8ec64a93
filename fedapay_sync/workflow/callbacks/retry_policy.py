"""How often a callback that fails is retried before it is parked, and the backoff between two attempts."""

import random

#: After so many failures, most of a day, an event is parked.
MAX_ATTEMPTS = 30
#: The one more attempt is not made: it tells that the last one ended with its process. Replayed, a parked event begins
#: another round of attempts.
ROUND = MAX_ATTEMPTS + 1


def is_first(attempts: int) -> bool:
    """Whether it is the first attempt of its round."""
    return attempts % ROUND == 1


def is_last(attempts: int) -> bool:
    """Whether nothing is tried after so many attempts."""
    return attempts % ROUND in (MAX_ATTEMPTS, 0)


def is_beyond_last(attempts: int) -> bool:
    """Whether every attempt of the round ended with the process that made it."""
    return attempts % ROUND == 0


def next_round(attempts: int) -> int:
    """The count of attempts from which another round of them begins."""
    return -(-attempts // ROUND) * ROUND


def backoff(attempts: int) -> float:
    """Seconds until the next attempt after so many, with jitter so that what failed together is not tried together."""
    return longest_backoff(attempts) * random.uniform(0.6, 1.0)


def longest_backoff(attempts: int) -> float:
    """The most that ``backoff`` may be: from 2.5 s, doubling, to 75 min; a database may be away for a night."""
    return min(2.5 * float(2 ** (max(attempts % ROUND, 1) - 1)), 4500.0)
