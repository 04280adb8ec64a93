"""Starting a daemon thread, so that a caller can tell Ctrl-C from a system that has no thread to give."""

import threading
from typing import Callable


def start_daemon(target: Callable[[], object], name: str) -> threading.Thread:
    """
    Run the function in a new daemon thread.

    Raises:
        RuntimeError: the system has no thread to give.
    """
    thread = threading.Thread(target=target, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        # ``start`` waits for the thread on a condition, which complains of its lock where Ctrl-C cuts that wait.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise
    return thread
