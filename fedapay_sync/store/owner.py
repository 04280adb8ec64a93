"""Who holds a lease: a process, under a name that tells whether it still lives."""

import os
import secrets
import socket
from pathlib import Path
from typing import Set

_ours: Set[str] = set()


def new_owner() -> str:
    """A name for one connector in this process: ``host:pid:start:random``."""
    pid = os.getpid()
    token = f"{socket.gethostname()[:32]}:{pid}:{_start_of(pid)}:{secrets.token_hex(4)}"
    _ours.add(token)
    return token


def retire(token: str) -> None:
    """That name holds nothing any more."""
    _ours.discard(token)


def is_dead(token: str) -> bool:
    """True only where it is certain: a process of this machine that is gone, or an earlier life of this one."""
    host, _, rest = token.partition(":")
    pid, _, rest = rest.partition(":")
    start = rest.partition(":")[0]
    if host != socket.gethostname()[:32] or not pid.isdigit() or not start.isdigit() or start == "0":
        return False
    if int(pid) == os.getpid():
        return token not in _ours
    # A process id is soon given to another; a process id with its start is not.
    return _start_of(int(pid)) != start


def _start_of(pid: int) -> str:
    """When that process started, in ticks since boot: "" if it is gone, "0" where the system does not tell."""
    proc = Path("/proc")
    if not (proc / "self" / "stat").exists():
        return "0"
    try:
        # The name in parentheses may hold spaces and parentheses of its own.
        return (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
