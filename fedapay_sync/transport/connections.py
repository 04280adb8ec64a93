"""
HTTP connections that end with the call they carry: each operation on a socket gets the time that the call has left.

A timeout counts from the last byte, so a server that sends one byte now and then would hold a call for hours.
"""

import io
import math
import socket
import threading
import time
from contextlib import contextmanager
from functools import lru_cache
from http.client import HTTPResponse
from typing import Any, Iterator, Optional

from requests.adapters import HTTPAdapter

#: One TLS record: what is sent between two looks at the clock.
_PIECE = 16 * 1024


class _Call(threading.local):
    """The call that this thread is in."""

    #: When it must be over, in monotonic seconds; infinite outside of a call.
    end = math.inf
    #: Whether any of the request may have left this machine.
    sent = False


_CALL = _Call()


@contextmanager
def call_deadline(seconds: float) -> Iterator[None]:
    """A call of this thread that lasts no longer than that on our connections, whatever the other side does."""
    _CALL.end, _CALL.sent = time.monotonic() + seconds, False
    try:
        yield
    finally:
        _CALL.end = math.inf


def is_in_call() -> bool:
    """Whether this thread is in a call."""
    return _CALL.end < math.inf


def was_sent() -> bool:
    """Whether any of the request of this thread's latest call may have left."""
    return _CALL.sent


def _apply_deadline(sock: Any) -> None:
    """
    Let the next operation on that socket end with the call.

    Raises:
        socket.timeout: the call is over.
    """
    left = _CALL.end - time.monotonic()
    if left <= 0:
        raise socket.timeout("the time of this call is over")
    allowed = sock.gettimeout()
    if allowed is None or left < allowed:
        sock.settimeout(left)


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket, each time within what the call has left."""

    def __init__(self, raw: Any, sock: Any) -> None:
        self._raw = raw
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Optional[int]:
        _apply_deadline(self._sock)
        got: Optional[int] = self._raw.readinto(buffer)
        return got

    def close(self) -> None:
        self._raw.close()
        super().close()


class _DeadlineResponse(HTTPResponse):
    """A response whose every line and byte, a proxy's included, comes within the call."""

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_DeadlineReader(self.fp.detach(), sock))


class _DeadlineConnection:
    """Mixed into a class of connections: sends and receives within the call, and notes that something was sent."""

    response_class = _DeadlineResponse
    _ready = False

    def connect(self) -> None:
        self._ready = False
        super().connect()  # type: ignore[misc]
        self._ready = True

    def send(self, data: Any) -> None:
        this: Any = self
        if this.sock is None:
            self.connect()
        if self._ready:  # before, it is a proxy that is spoken to: not a word of the request
            _CALL.sent = True
        for start in range(0, len(data), _PIECE):
            _apply_deadline(this.sock)
            super().send(data[start : start + _PIECE])  # type: ignore[misc]


@lru_cache(maxsize=16)
def _with_deadlines(pool: Any) -> Any:
    """That class of connection pools, SOCKS included, with connections that keep to the call."""
    if issubclass(pool.ConnectionCls, _DeadlineConnection):
        return pool
    connection = type(f"Deadline{pool.ConnectionCls.__name__}", (_DeadlineConnection, pool.ConnectionCls), {})
    return type(f"Deadline{pool.__name__}", (pool,), {"ConnectionCls": connection})


class DeadlineAdapter(HTTPAdapter):
    """requests' adapter, over connections that keep to the call."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self._bind(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        self._bind(manager)
        return manager

    def _bind(self, manager: Any) -> None:
        pools = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {scheme: _with_deadlines(pool) for scheme, pool in pools.items()}
