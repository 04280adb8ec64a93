"""
The one place that speaks HTTP to FedaPay.

What may be repeated is decided here and nowhere else: a connection that never opened (any method), and a GET that
failed on the way or was answered 429, 502, 503 or 504. A POST that may have arrived is never repeated blindly.
"""

import json
import os
import random
import ssl
import threading
import urllib.parse
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Callable, Iterator, List, Mapping, Optional, Tuple

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from ._version import VERSION
from .answers import MAX_BODY, Answer, judged
from .clock import SYSTEM_CLOCK, Clock
from .config import is_loopback
from .errors import (
    ApiError,
    ConfigError,
    InvalidArgument,
    NotSent,
    OutcomeUnknown,
    TransportError,
)
from .masking import get_logger, mask

log = get_logger(__name__)

#: Connect and read timeouts, in seconds.
TIMEOUTS = (5.0, 30.0)
#: No call lasts longer than this, retries and waits included, in seconds (the last read of a body may overrun it).
BUDGET = 60.0
_ATTEMPTS = 4
_MAX_RETRY_AFTER = 30.0
_RETRIED_STATUSES = frozenset({429, 502, 503, 504})


class _Bearer(AuthBase):
    """Sets the key itself: a header in the session would lose to the user's .netrc."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class Transport:
    """
    HTTP to one FedaPay base URL, safe to share between threads and to carry over a fork.

    Args:
        base_url: base of the API, without ``/v1``.
        timeouts: connect and read timeouts, in seconds.
        pause: how to wait between two attempts; ``None`` is a real wait that :meth:`close` cuts short.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeouts: Tuple[float, float] = TIMEOUTS,
        budget: float = BUDGET,
        clock: Clock = SYSTEM_CLOCK,
        pause: Optional[Callable[[float], object]] = None,
    ) -> None:
        self._base_url = base_url
        self._timeouts = timeouts
        self._budget = budget
        self._clock = clock
        self._closed = threading.Event()
        #: Waits that many seconds, less if the transport is closed meanwhile.
        self.pause: Callable[[float], object] = self._closed.wait if pause is None else pause
        self._local = threading.local()

    def request(
        self,
        method: str,
        path: str,
        *,
        key: str,
        params: Optional[Mapping[str, Any]] = None,
        body: Optional[Mapping[str, Any]] = None,
    ) -> Answer:
        """
        One call, repeated only where that is safe.

        Raises:
            ConfigError: the key cannot be sent.
            InvalidArgument: the body or the parameters cannot be sent.
            NotSent: no connection; FedaPay certainly did not get the request.
            OutcomeUnknown: FedaPay may have got the request, its answer was lost.
            ApiError: FedaPay answered something else than a success.
        """
        if not key.isascii() or not key.isprintable():
            raise ConfigError("Clé API FedaPay illisible : elle contient des caractères invisibles. La recopier.")
        url = f"{self._base_url}/v1{path}{_query(params)}"
        content = None if body is None else _encoded(body)
        end = self._clock.monotonic() + self._budget
        attempt = 0
        while True:
            attempt += 1
            problem: Exception
            try:
                return self._once(method, path, url, key, content, end)
            except NotSent as error:
                problem, wait = error, _backoff(attempt)
            except (OutcomeUnknown, ApiError) as error:
                if method != "GET" or not _may_repeat(error):
                    raise
                asked = getattr(error, "retry_after", None)
                if asked is not None and asked > _MAX_RETRY_AFTER:
                    raise
                problem, wait = error, asked if asked is not None else _backoff(attempt)
            if attempt >= _ATTEMPTS or self._clock.monotonic() + wait >= end or self._closed.is_set():
                raise problem
            # The class only: what FedaPay says may be about a customer.
            told = type(problem).__name__
            log.info("%s %s failed (%s), attempt %d, again in %.1f s", method, path, told, attempt, wait)
            self.pause(wait)

    def close(self) -> None:
        """End waits between attempts and close this thread's connections. Others close with their threads."""
        self._closed.set()
        session = getattr(self._local, "session", None)
        if session is not None and self._local.pid == os.getpid():
            session.close()
            self._local.session = None

    def _once(self, method: str, path: str, url: str, key: str, content: Optional[bytes], end: float) -> Answer:
        connect, read = self._timeouts
        left = max(0.001, end - self._clock.monotonic())
        try:
            with self._session().request(
                method,
                url,
                data=content,
                headers=None if content is None else {"Content-Type": "application/json"},
                auth=_Bearer(key),
                timeout=(min(connect, left), min(read, left)),
                allow_redirects=False,
                stream=True,
            ) as response:
                raw = self._read(response, end)
                return judged(
                    method,
                    path,
                    response.status_code,
                    raw,
                    retry_after=response.headers.get("Retry-After"),
                    now=self._clock.now(),
                )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            problem = _transport_error(method, path, error, self._base_url)
        # Out here, so that the original is not even its context: it carries the request with its key.
        raise problem

    def _read(self, response: requests.Response, end: float) -> bytes:
        """The decoded body, bounded in size and in time."""
        chunks: List[bytes] = []
        size = 0
        while size <= MAX_BODY:
            # What has come so far, and not a full chunk: a body that drips would hold us for hours.
            chunk = response.raw.read1(64 * 1024, decode_content=True)
            if not chunk:
                break
            if self._clock.monotonic() > end:
                raise requests.ReadTimeout("total budget spent while reading the body")
            chunks.append(chunk)
            size += len(chunk)
        return b"".join(chunks)

    def _session(self) -> requests.Session:
        """This thread's session. One made before a fork shares its socket with the parent: never used, never closed."""
        local = self._local
        if getattr(local, "session", None) is None or local.pid != os.getpid():
            local.inherited = getattr(local, "session", None)
            local.session, local.pid = self._new_session(), os.getpid()
        session: requests.Session = local.session
        return session

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        # Our own loop decides what is repeated; nothing beneath it repeats.
        adapter = HTTPAdapter(max_retries=urllib3.Retry(0, read=False), pool_connections=2, pool_maxsize=2)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        # A corporate proxy or CA bundle counts for FedaPay, never for a server on this machine.
        session.trust_env = not is_loopback(self._base_url)
        # No cookies: what one account was given must not go along with the key of another.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        session.headers.update(
            {
                "User-Agent": f"fedapay_sync/{VERSION}",
                "Accept": "application/json",
                "X-Version": VERSION,
                "X-Source": "fedapay_sync PythonLib",
            }
        )
        return session


def quoted(part: object) -> str:
    """One segment of a path that cannot become two, whatever it holds."""
    return urllib.parse.quote(str(part), safe="")


def _query(params: Optional[Mapping[str, Any]]) -> str:
    """A query string in FedaPay's form: ``filters[type]=…``, ``key[]=…``, true and false in small letters."""
    pairs = [pair for name, value in (params or {}).items() for pair in _pairs(name, value)]
    try:
        return "?" + urllib.parse.urlencode(pairs) if pairs else ""
    except UnicodeError:
        raise InvalidArgument(
            "Paramètre illisible : du texte Unicode bien formé est attendu.", field="params"
        ) from None


def _pairs(name: str, value: Any) -> Iterator[Tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _pairs(f"{name}[{key}]", each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _pairs(f"{name}[]", each)
    elif isinstance(value, bool):
        yield name, str(value).lower()
    elif value is not None:
        yield name, str(value)


def _encoded(body: Mapping[str, Any]) -> bytes:
    """The JSON to send. What cannot be written is refused here, before anybody could think that it was sent."""
    try:
        return json.dumps(dict(body), ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(
            f"Ce corps ne s'écrit pas en JSON ({type(error).__name__}) : donner des dictionnaires, listes, textes, "
            "nombres finis, vrai, faux ou None.",
            field="body",
        ) from None


def _backoff(attempt: int) -> float:
    """Full jitter, at most 10 s."""
    return random.uniform(0, min(0.5 * 2 ** (attempt - 1), 10.0))


def _may_repeat(error: Exception) -> bool:
    return isinstance(error, OutcomeUnknown) or getattr(error, "status", 0) in _RETRIED_STATUSES


def _transport_error(method: str, path: str, error: BaseException, base_url: str) -> TransportError:
    cause = _cause(error)
    facts = {"method": method, "path": mask(path), "cause": type(cause).__name__}
    where = f"{method} {mask(path)} ({base_url}, {type(cause).__name__})"
    if _certainly_not_sent(error, cause):
        return NotSent(
            f"FedaPay est injoignable : {where}. Rien n'a été envoyé ; vérifier la connexion et FEDAPAY_API_URL, "
            "puis recommencer.",
            **facts,
        )
    return OutcomeUnknown(
        f"Pas de réponse lisible de FedaPay : {where}. La requête est peut-être arrivée : "
        "relire la transaction avant de la refaire.",
        **facts,
    )


def _cause(error: BaseException) -> BaseException:
    """The error at the bottom, beneath requests' and urllib3's wrappers."""
    for inner in (getattr(error, "reason", None), *getattr(error, "args", ())):
        if isinstance(inner, BaseException):
            return _cause(inner)
    return error


def _certainly_not_sent(error: BaseException, cause: BaseException) -> bool:
    if isinstance(error, requests.ConnectTimeout):
        return True
    reason = error.args[0].reason if _has_reason(error) else None
    if isinstance(reason, urllib3.exceptions.ProxyError):
        reason = reason.original_error
    # A certificate is checked before anything is sent; other TLS errors may come in mid-flight.
    return isinstance(cause, ssl.SSLCertVerificationError) or isinstance(
        reason, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    )


def _has_reason(error: BaseException) -> bool:
    return bool(error.args) and isinstance(error.args[0], urllib3.exceptions.MaxRetryError)
