"""Owners of leases: names of processes, by which others on the machine can tell whether one still lives."""

import contextlib
import functools
import hashlib
import os
import secrets
import socket
from pathlib import Path
from typing import Optional, Set

_ours: Set[str] = set()
_PROC = Path("/proc")


def new_owner() -> str:
    """A name for one connector in this process: ``host:place:pid:start:random``."""
    pid = os.getpid()
    token = f"{socket.gethostname()[:24].replace(':', '.')}:{_place()}:{pid}:{_start_of(pid)}:{secrets.token_hex(4)}"
    _ours.add(token)
    return token


def retire(token: str) -> None:
    """That name holds nothing any more."""
    _ours.discard(token)


def is_dead(token: str) -> bool:
    """True only where it is certain: a process in sight of this one that is gone, or an earlier life of this one."""
    return _lives(token) is False


def is_alive(token: str) -> bool:
    """True only where it is certain: a process in sight of this one that runs, under a name that it still uses."""
    return _lives(token) is True


def _lives(token: str) -> Optional[bool]:
    """Whether that owner lives; ``None`` where it cannot be told from here."""
    parts = token.split(":")
    if token in _ours and parts[2] == str(os.getpid()):
        # Even where the system tells nothing of processes.
        return True
    if len(parts) != 5 or not parts[1] or parts[1] != _place() or not parts[2].isdigit():
        # Another machine, another boot of this one, another container: its numbers mean nothing here.
        return None
    pid, start = int(parts[2]), parts[3]
    if pid == os.getpid():
        # Of an earlier connector, or from before an exec, which keeps the number and the start.
        return False
    found = _start_of(pid)
    if found is not None:
        # A process id is soon given to another; a process id with its start is not.
        return found == start
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    # There is one, of a user whose processes are hidden from us (hidepid).
    return None


@functools.cache
def _boot() -> str:
    """This boot of this machine; "" where the system does not tell."""
    with contextlib.suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return ""


def _place() -> str:
    """
    Where a process id names one process: this boot of this machine, this namespace of process ids. "" if unknown.

    A host name is not enough: containers share it, and so does the machine with its life before the last boot.
    """
    with contextlib.suppress(OSError):
        namespace = os.stat(_PROC / "self/ns/pid").st_ino
        if _boot():
            return hashlib.sha256(f"{_boot()}:{namespace}".encode()).hexdigest()[:16]
    return ""


def _start_of(pid: int) -> Optional[str]:
    """When that process started, in ticks since boot; "" if it has ended, ``None`` if nothing is to be seen of it."""
    try:
        # The name in parentheses may hold spaces and parentheses of its own.
        words = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        # A zombie runs nothing: only its parent has not looked yet.
        return "" if words[0] in "ZX" else words[19]
    except (OSError, IndexError):
        return None
