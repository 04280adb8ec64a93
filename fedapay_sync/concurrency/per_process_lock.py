"""A lock of which each process has its own: a thread that holds the parent's at a fork locks no forked child out."""

import os
import threading
from typing import Dict


class PerProcessLock:
    """
    A lock between the threads of one process; each process has its own: ``with lock.mine():``

    At a fork any thread of the parent may hold a lock, and in the child there is no such thread to release it.
    """

    __slots__ = ("_of_pid",)

    def __init__(self) -> None:
        # setdefault is atomic: no lock that a fork could leave locked.
        self._of_pid: Dict[int, threading.Lock] = {os.getpid(): threading.Lock()}

    def mine(self) -> threading.Lock:
        """That of this process. Entered itself: Ctrl-C on the way into a method of ours would leave it locked."""
        pid = os.getpid()
        return self._of_pid.get(pid) or self._of_pid.setdefault(pid, threading.Lock())
