"""
The HTTP sessions that carry calls to FedaPay: one for each thread and process, made anew when its settings change.

requests looks proxies, .netrc and CA bundle up at every call. Here they are resolved when a session is made, and a
new one is made when they have changed; .netrc is never read, it would replace the key.
"""

import logging
import os
import re
import threading
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Optional, Tuple

import requests
import urllib3
from requests.utils import get_environ_proxies

from fedapay_sync.common.credentials import is_loopback
from fedapay_sync.common.env import from_environment
from fedapay_sync.common.masking import escape_controls, mask
from fedapay_sync.transport.connections import DeadlineAdapter, is_in_call

_PROXIES = tuple(
    each for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY") for each in (name, name.lower())
)
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class NoSuchBundle(FileNotFoundError):
    """The file of certificates that the environment names is not there. Its text is that name."""


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
        settings = (os.getpid(), *map(from_environment, self._names), *self._bundle())
        if getattr(local, "settings", None) != settings:
            old: Optional[requests.Session] = getattr(local, "session", None)
            if old is not None and local.settings[0] == settings[0]:
                old.close()
            elif old is not None:
                # Made before a fork: its socket is the parent's too. Kept, so that it is not collected, and closed.
                local.inherited = old
            local.session, local.settings = self._new_session(settings[-2]), settings
        session: requests.Session = local.session
        return session

    def close(self) -> None:
        """Close this thread's connections. The others close with their threads."""
        session = getattr(self._local, "session", None)
        if session is not None and self._local.settings[0] == os.getpid():
            session.close()
            self._local.session = self._local.settings = None

    def forget(self) -> None:
        """Close the connections of all threads of this process, each as soon as no call uses it."""
        self._local = threading.local()

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

    def _new_session(self, bundle: Optional[str]) -> requests.Session:
        _mask_urllib3()
        session = _Session()
        # Our own loop decides what is repeated; nothing beneath it repeats.
        adapter = DeadlineAdapter(max_retries=urllib3.Retry(0, read=False), pool_connections=2, pool_maxsize=2)
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
    """urllib3 logs addresses with their query. Within our calls it is masked; those of other code stay as they are."""

    def filter(self, record: logging.LogRecord) -> bool:
        if is_in_call():
            record.msg = escape_controls(mask(re.sub(r"\?[^\s\"']+", "?***", record.getMessage())))
            # An exception's text has the address too.
            record.args = record.exc_info = record.exc_text = None
        return True


_FILTER = _UrllibFilter()


def _mask_urllib3() -> None:
    # A filter does not count for the loggers beneath: each one that has an address to tell gets it. Twice is once.
    for name in ("connection", "connectionpool", "poolmanager", "response", "util.retry"):
        logging.getLogger(f"urllib3.{name}").addFilter(_FILTER)
