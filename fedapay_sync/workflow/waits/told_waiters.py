"""Settles waiters that had news and that nobody asks: what a program has let go of is not kept until its deadline."""

import collections
import contextlib
from typing import Callable, Deque, Protocol

from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import StoreError

log = get_logger(__name__)

#: So many are gathered before the store is read for them.
_MANY = 500


class Told(Protocol):
    """A waiter that had news."""

    def check(self) -> object:
        """Settle it if the store knows the end of its transaction by now."""


class ToldWaiters:
    """
    Those of one connector. Added from any thread, without a lock.

    Args:
        soon: has a function called by a thread that may read the store.
    """

    def __init__(self, soon: Callable[[Callable[[], object]], object]) -> None:
        self._soon = soon
        self._told: Deque[Told] = collections.deque()
        self._is_due = False

    def add(self, waiter: Told) -> None:
        """There may be news for it, and it is not settled yet. A thread that blocks on it settles it itself."""
        self._told.append(waiter)
        if len(self._told) >= _MANY and not self._is_due:
            self._is_due = True
            try:
                self._soon(self._settle)
            except RuntimeError as error:
                self._is_due = False
                log.info("no thread to settle waits, trying again with the next one: %s", error)

    def _settle(self) -> None:
        self._is_due = False
        # What comes meanwhile is for the next time; and another thread may be at it, too.
        for _ in range(len(self._told)):
            with contextlib.suppress(IndexError):
                waiter = self._told.popleft()
                try:
                    waiter.check()
                except StoreError:
                    # Away: each of the others would wait for it as long, on a thread that others need.
                    self._told.append(waiter)
                    return
