"""The runtime of each process: built at first use, and anew in a forked child."""

import os
from typing import TYPE_CHECKING, Callable, Dict, Optional

if TYPE_CHECKING:
    # With it come all services of a connector, which a program that only imports the package does not need.
    from fedapay_sync.connector.runtime import Runtime


class PerProcess:
    """A runtime built at first use, and anew in a forked child, whose inherited threads and sockets are not its own."""

    def __init__(self, build: Callable[[], "Runtime"]) -> None:
        self._build = build
        # A child neither uses nor closes its parent's runtime; staying in here, it is not collected either.
        self._of_pid: Dict[int, Runtime] = {}

    def get(self) -> "Runtime":
        """This process's runtime, built if there is none."""
        pid = os.getpid()
        runtime = self._of_pid.get(pid)
        # Building starts nothing, and setdefault is atomic: no lock that a fork could leave locked.
        return runtime if runtime is not None else self._of_pid.setdefault(pid, self._build())

    def peek(self) -> Optional["Runtime"]:
        """This process's runtime if there is one."""
        return self._of_pid.get(os.getpid())

    def forget(self, runtime: "Runtime") -> None:
        """This runtime is closed; the next use builds another."""
        if self._of_pid.get(os.getpid()) is runtime:
            del self._of_pid[os.getpid()]
