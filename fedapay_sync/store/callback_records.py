"""Records of callbacks: which ones a process has, which ones the database knows, and the work that they are."""

from typing import Collection, NamedTuple, Optional, Sequence, Tuple

from fedapay_sync.store.states import CallbackKind

#: A callback that no process has had a function for in so many seconds is taken for gone.
CALLBACK_GONE = 3600.0
#: A process says so often that it has its functions, in seconds.
CALLBACK_BEAT = 60.0


class Wanted(NamedTuple):
    """
    The work that a process does.

    Attributes:
        accounts: labels of the merchant accounts that the program works for.
        kinds: of the callbacks that it has.
        callbacks: their numbers.
    """

    environment: str
    accounts: Sequence[str]
    kinds: Collection[CallbackKind]
    callbacks: Sequence[int]


class Claim(NamedTuple):
    """
    What takes the calls of an event in the transaction that stores it.

    Attributes:
        callbacks: numbers of the callbacks whose calls are taken; those of others lie ready.
        lease: seconds that they are the owner's.
        erase_bodies: forget the body of an event that no callback wants.
    """

    owner: str
    callbacks: Tuple[int, ...]
    lease: float
    erase_bodies: bool = False


class CallbackName(NamedTuple):
    """
    A function that a process has, by its name.

    Attributes:
        former: names that it had before: it is owed what they were.
        since: a new one is given what came since then, in UTC epoch seconds, and not only what comes from now on.
    """

    name: str
    kind: CallbackKind
    former: Tuple[str, ...] = ()
    since: Optional[float] = None


class KnownCallback(NamedTuple):
    """
    A callback as the database knows it.

    Attributes:
        seen_at: when a process last had a function for it.
        same_as: the name that it was given up for.
        owed: events that it is still to be called with, and when the oldest of them came.
        parked: events with which it failed for good.
    """

    id: int
    environment: str
    account: str
    name: str
    kind: str
    seen_at: float
    same_as: Optional[str]
    owed: int
    oldest: Optional[float]
    parked: int

    def is_gone(self, now: float) -> bool:
        """Whether it is owed events, and no process has had a function for it for so long."""
        return self.owed > 0 and self.same_as is None and now - self.seen_at > CALLBACK_GONE
