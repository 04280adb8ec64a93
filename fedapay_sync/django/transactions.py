"""Transactions of the project: what has to wait for their commit, and what a callback is called in."""

import contextlib
from typing import Any, Callable, Iterator, Optional

from django.core import mail
from django.db import connections, transaction

from fedapay_sync.common.env import test_settings


def is_test_run() -> bool:
    """Whether Django's test environment is set up; this is what it leaves in its own mail module."""
    return hasattr(mail, "outbox")


def has_open_transaction() -> bool:
    """Whether this thread has a transaction open that may yet be rolled back."""
    return any(_is_open(connection) for connection in connections.all(initialized_only=True))


def postpone_until_commit(run: Callable[[], None]) -> bool:
    """Whether this thread has a transaction open; what is given is then called after its commit, and only then."""
    for connection in connections.all(initialized_only=True):
        if _is_open(connection):
            transaction.on_commit(run, using=connection.alias)
            return True
    return False


def run_after_commit(run: Callable[[], None], using: Optional[str]) -> None:
    """Call that after the commit of this thread's open transaction, that of ``using`` if it is named; or else now."""
    if using is None:
        if not postpone_until_commit(run):
            run()
    elif _is_open(connections[using]):
        transaction.on_commit(run, using=using)
    else:
        run()


@contextlib.contextmanager
def fresh_connections() -> Iterator[None]:
    """Around a callback: no connection that has broken or is too old before it, and none left open after it."""
    _close_old_connections()
    try:
        yield
    finally:
        _close_old_connections()


def _close_old_connections() -> None:
    """Django's function of that name closes in the midst of a transaction, too, and so rolls it back."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _is_open(connection: Any) -> bool:
    """Whether a block is open that commits: that of a ``TestCase`` never does, and with our fixtures does not count."""
    blocks = connection.atomic_blocks
    if not test_settings:
        return bool(connection.in_atomic_block)
    return any(not getattr(each, "_from_testcase", False) for each in blocks)
