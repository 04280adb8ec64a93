"""One HTTP POST to a webhook endpoint, with a deadline for the whole answer."""

import socket
import threading
from contextlib import suppress
from typing import Any, List, Mapping, NamedTuple, Optional

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

# Later than the socket's own timeout, which says better what was waited for.
_GRACE = 0.25
#: Of an answer's body, so many bytes are kept.
KEPT = 2000


class Reply(NamedTuple):
    """The endpoint's answer: the status, and the beginning of the body; of an application also what it raised."""

    status: int
    body: bytes
    exception: Optional[BaseException] = None


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout: float, verify: bool) -> Reply:
    """
    Post a body.

    Raises:
        requests.RequestException, ValueError, OSError: no answer in time.
    """
    # requests' timeout is from one byte to the next: a receiver that sends byte by byte would hold us for ever.
    deadline = _Deadline(timeout + _GRACE)
    try:
        with requests.Session() as session:
            session.trust_env = False  # neither a proxy nor a .netrc of this machine
            for prefix in ("http://", "https://"):
                session.mount(prefix, _Adapter(deadline))
            with session.post(
                url, data=body, headers=headers, timeout=timeout, allow_redirects=False, stream=True, verify=verify
            ) as response:
                # An answer that was cut in the middle of its headers looks complete.
                if deadline.passed:
                    raise requests.ReadTimeout
                return Reply(response.status_code, _beginning(response))
    except requests.ConnectionError:
        # Where this machine was held up, the deadline has cut the line before the socket's own timeout came.
        if deadline.passed:
            raise requests.ReadTimeout from None
        raise
    finally:
        deadline.end()


def _beginning(response: requests.Response) -> bytes:
    """The beginning of the body, for debugging; an unreadable body does not undo the answer."""
    with suppress(HTTPError, OSError, ValueError):
        return bytes(response.raw.read(KEPT, decode_content=True))
    return b""


class _Deadline:
    """Shuts the watched connections down when the time is over."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._lock = threading.Lock()
        self._lines: List[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, line: socket.socket) -> None:
        # A duplicate: the TLS layer takes the first one over.
        with self._lock:
            self._lines.append(line.dup())
        if self.passed:
            self._cut()

    def end(self) -> None:
        self._timer.cancel()
        # It ends at once, and no thread of ours is left behind a delivery.
        self._timer.join()
        with self._lock:
            while self._lines:
                self._lines.pop().close()

    def _cut(self) -> None:
        with self._lock:
            self.passed = True
            for each in self._lines:
                with suppress(OSError):  # the receiver has closed it first
                    each.shutdown(socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Has the deadline watch each connection."""

    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _watched(HTTPConnectionPool, self._deadline),
            "https": _watched(HTTPSConnectionPool, self._deadline),
        }


def _watched(pool: Any, deadline: _Deadline) -> Any:
    """A pool class whose connections the deadline cuts."""

    class Connection(pool.ConnectionCls):  # type: ignore[misc]
        def _new_conn(self) -> Any:
            line = super()._new_conn()
            deadline.watch(line)
            return line

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})
