"""Settles waiters that were notified and not checked since, in batches: a dropped handle is freed."""

import collections
import weakref
from typing import Callable, Deque, Protocol

from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import StoreError

log = get_logger(__name__)

#: Waiters in a batch.
_BATCH = 500


class Notified(Protocol):
    """A waiter that was notified."""

    def check(self) -> object:
        """Settle it if the store knows the end of its transaction by now."""


class NotifiedWaiters:
    """
    The notified waiters of one connector. Added from any thread, without a lock.

    Args:
        call_soon: has a function called on a timer thread, which may read the store.
    """

    def __init__(self, call_soon: Callable[[Callable[[], object]], object]) -> None:
        self._call_soon = call_soon
        # Weakly: the registry holds each until it is settled, and then it may go.
        self._notified: Deque[weakref.ref[Notified]] = collections.deque()
        self._is_settling = False

    def add(self, waiter: Notified) -> None:
        """Add a waiter that is not settled yet. A thread that blocks on it settles it by itself, and long before."""
        self._notified.append(weakref.ref(waiter))
        if len(self._notified) >= _BATCH and not self._is_settling:
            self._is_settling = True
            try:
                self._call_soon(self._settle)
            except RuntimeError as error:
                self._is_settling = False
                log.info("no thread to settle waits, trying again with the next one: %s", error)

    def _settle(self) -> None:
        try:
            # Those that are added meanwhile are left to the next batch.
            for _ in range(len(self._notified)):
                reference = self._notified.popleft()
                waiter = reference()
                try:
                    if waiter is not None:
                        waiter.check()
                except StoreError:
                    # Each further check would block this timer thread for as long.
                    self._notified.append(reference)
                    return
        finally:
            self._is_settling = False
