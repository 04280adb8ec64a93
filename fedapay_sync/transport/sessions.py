"""
The sessions that carry calls to FedaPay: one for each thread and process, over connections that keep to the call.

requests looks proxies, .netrc and CA bundle up at every call. Here they are resolved when a session is made, and a
new one is made when they have changed; .netrc is never read, it would replace the key.
"""

import io
import logging
import math
import os
import re
import socket
import threading
import time
from contextlib import contextmanager
from functools import lru_cache
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Iterator, Optional, Tuple

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from fedapay_sync.common.credentials import is_loopback
from fedapay_sync.common.env import from_environment
from fedapay_sync.common.masking import mask

_PROXIES = tuple(
    each for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY") for each in (name, name.lower())
)
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
#: One TLS record: what is sent between two looks at the clock.
_PIECE = 16 * 1024


class NoSuchBundle(FileNotFoundError):
    """The file of certificates that the environment names is not there. Its text is that name."""


class _Call(threading.local):
    """The call that this thread is in."""

    #: When it must be over, in monotonic seconds; infinite outside of a call.
    end = math.inf
    #: Whether any of the request may have left this machine.
    sent = False


_CALL = _Call()


@contextmanager
def call_of(seconds: float) -> Iterator[None]:
    """A call of this thread that lasts no longer than that on our connections, whatever the other side does."""
    _CALL.end, _CALL.sent = time.monotonic() + seconds, False
    try:
        yield
    finally:
        _CALL.end = math.inf


def was_sent() -> bool:
    """Whether any of the request of this thread's latest call may have left."""
    return _CALL.sent


# -- connections ---------------------------------------------------------------------------------------------------


def _hurry(sock: Any) -> None:
    """
    Let the next operation on that socket end with the call.

    A timeout counts from the last byte, so one byte now and then would satisfy it for hours.
    """
    left = _CALL.end - time.monotonic()
    if left <= 0:
        raise socket.timeout("the time of this call is over")
    allowed = sock.gettimeout()
    if allowed is None or left < allowed:
        sock.settimeout(left)


class _Hurried(io.RawIOBase):
    """What comes from a socket, as long as the call lasts."""

    def __init__(self, raw: Any, sock: Any) -> None:
        self._raw = raw
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Optional[int]:
        _hurry(self._sock)
        got: Optional[int] = self._raw.readinto(buffer)
        return got

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    """An answer whose every line and byte, a proxy's included, comes within the call."""

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Hurried(self.fp.detach(), sock))


class _Bounded:
    """Added to a class of connections: sends and hears within the call, and notes that something was sent."""

    response_class = _BoundedResponse
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
            _hurry(this.sock)
            super().send(data[start : start + _PIECE])  # type: ignore[misc]


@lru_cache(maxsize=16)
def _bounded(pool: Any) -> Any:
    """That class of connection pools, SOCKS included, with bounded connections."""
    if issubclass(pool.ConnectionCls, _Bounded):
        return pool
    connection = type(f"Bounded{pool.ConnectionCls.__name__}", (_Bounded, pool.ConnectionCls), {})
    return type(f"Bounded{pool.__name__}", (pool,), {"ConnectionCls": connection})


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self._bind(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        self._bind(manager)
        return manager

    def _bind(self, manager: Any) -> None:
        pools = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {scheme: _bounded(pool) for scheme, pool in pools.items()}


# -- sessions ------------------------------------------------------------------------------------------------------


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere: to find out where, requests would read all of the body, however large and slow."""
        return None


class Sessions:
    """
    The sessions to one base URL.

    Args:
        base_url: a proxy of the environment counts for FedaPay, never for a server on this machine.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._names = () if is_loopback(base_url) else _PROXIES
        self._is_secure = base_url.lower().startswith("https:")
        self._local = threading.local()

    def current(self) -> requests.Session:
        """
        This thread's session.

        Raises:
            NoSuchBundle: the environment names a file of certificates that is not there.
        """
        local = self._local
        surroundings = (os.getpid(), *map(from_environment, self._names), *self._bundle())
        if getattr(local, "surroundings", None) != surroundings:
            old: Optional[requests.Session] = getattr(local, "session", None)
            if old is not None and local.surroundings[0] == surroundings[0]:
                old.close()
            elif old is not None:
                # Made before a fork: its socket is the parent's too. Kept, so that nobody closes it.
                local.inherited = old
            local.session, local.surroundings = self._made(surroundings[-2]), surroundings
        session: requests.Session = local.session
        return session

    def close(self) -> None:
        """Close this thread's connections. Others close with their threads."""
        session = getattr(self._local, "session", None)
        if session is not None and self._local.surroundings[0] == os.getpid():
            session.close()
            self._local.session = self._local.surroundings = None

    def _bundle(self) -> Tuple[Optional[str], Any]:
        """The file of certificates that the environment names, and what changes when that file does."""
        path = next(filter(None, map(from_environment, _BUNDLES)), None) if self._is_secure else None
        if path is None:
            return None, None
        try:
            found = os.stat(path)
        except OSError:
            raise NoSuchBundle(path) from None
        return path, (found.st_mtime_ns, found.st_size, found.st_ino)

    def _made(self, bundle: Optional[str]) -> requests.Session:
        _mask_urllib3()
        session = _Session()
        # Our own loop decides what is repeated; nothing beneath it repeats.
        adapter = _Adapter(max_retries=urllib3.Retry(0, read=False), pool_connections=2, pool_maxsize=2)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        session.trust_env = False
        session.verify = bundle or True
        session.proxies = dict(get_environ_proxies(self._base_url)) if self._names else {}
        # No cookies: what one account was given must not go along with the key of another.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        return session


# -- urllib3's own log ---------------------------------------------------------------------------------------------


class _UrllibFilter(logging.Filter):
    """urllib3 logs addresses with their query. Within our calls it is blotted out; other people's stay as they are."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _CALL.end < math.inf:
            record.msg = mask(re.sub(r"\?[^\s\"']+", "?***", record.getMessage()))
            # An exception's text has the address too.
            record.args = record.exc_info = record.exc_text = None
        return True


_FILTER = _UrllibFilter()


def _mask_urllib3() -> None:
    # A filter does not count for the loggers beneath: each one that has an address to tell gets it. Twice is once.
    for name in ("connection", "connectionpool", "poolmanager", "response", "util.retry"):
        logging.getLogger(f"urllib3.{name}").addFilter(_FILTER)
