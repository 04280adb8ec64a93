"""
Ends a child process that the program has forked in a callback, where the callback returns or raises in the child.

The child has one thread, which stands in the midst of a loop of ours: going on in it would wait for ever for threads,
locks and answers that are the parent's, and hold the parent's port, sockets and files open.
"""

import contextlib
import os
import sys
from typing import Any, Callable, Iterator, List, Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import escape_controls, mask

log = get_logger(__name__)

_before_exit: List[Callable[[], Any]] = []


def before_child_exit(action: Callable[[], Any]) -> Callable[[], Any]:
    """Have that done in each such child before it ends; usable as a decorator."""
    _before_exit.append(action)
    return action


@contextlib.contextmanager
def forked_child_ends() -> Iterator[None]:
    """
    Around a call of the program's code on a thread of ours.

    In a child that was forked meanwhile, what ``sys.exit`` or an exception would do at the end of a program happens
    here; exit hooks of the parent do not run there, as in a child of ``multiprocessing``.
    """
    pid = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != pid:
            _exit(sys.exc_info()[1])


def _exit(error: Optional[BaseException]) -> None:
    code = 1
    try:
        code = _code_of(error)
        for action in _before_exit:
            action()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, OSError, ValueError):  # none, or closed
                stream.flush()
    finally:
        os._exit(code)


def _code_of(error: Optional[BaseException]) -> int:
    """The code that Python would end with after that."""
    if error is None:
        return 0
    if not isinstance(error, SystemExit):
        log.error("a child forked in a callback failed: %s: %s", type(error).__name__, escape_controls(mask(error)))
        return 1
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    sys.stderr.write(f"{error.code}\n")
    return 1
