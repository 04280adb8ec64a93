"""
Calls FedaPay over HTTP, with retries and within a budget of time.

What may be repeated is decided here and nowhere else: a connection that never opened (any method), and a GET that
failed on the way or was answered 429, 502, 503 or 504. A POST that may have arrived is never repeated blindly.
"""

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

import requests
import urllib3.exceptions
from requests.auth import AuthBase

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import safe_repr
from fedapay_sync.common.secret import Key, Secret, held
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.errors import ApiError, ConfigError, FedapayError, TransportError
from fedapay_sync.transport.connections import call_deadline
from fedapay_sync.transport.encoding import build_headers, build_query, encode_json
from fedapay_sync.transport.exchange import Exchange, build_exchange, checked_observer
from fedapay_sync.transport.responses import MAX_RESPONSE, Response, parse_response
from fedapay_sync.transport.retry import retry_delay, transport_error
from fedapay_sync.transport.sessions import Sessions

log = get_logger(__name__)

#: Connect and read timeouts, in seconds.
TIMEOUTS = (5.0, 30.0)
#: No call lasts longer than this, retries and waits included, in seconds. Looking up a name is the system's own time,
#: and each further address that a name has may add one connect timeout.
BUDGET = 60.0
_ATTEMPTS = 4


class _BearerAuth(AuthBase):
    """Sets the key itself: a header given to requests would lose to a user name in the URL."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request


@dataclass(frozen=True, repr=False)
class _Request:
    """What every attempt sends. It has no repr: tools that show local variables would show the key and a customer."""

    method: str
    path: str
    url: str
    headers: Dict[str, str]
    content: Optional[bytes]
    key: Secret


class _Received(NamedTuple):
    """An answer as it came, not parsed yet."""

    status: int
    raw: bytes
    retry_after: Optional[str]


class Transport:
    """
    HTTP to one FedaPay base URL, safe to share between threads and to carry over a fork.

    Args:
        base_url: base of the API, without ``/v1``.
        timeouts: connect and read timeouts, in seconds.
        budget: seconds that a call lasts at most, attempts and waits together.
        pause: how to wait between two attempts; ``None`` is a real wait that :meth:`close` cuts short.
        observer: is given each attempt when it is over, masked, in the thread that called.

    Raises:
        ConfigError: timeouts, a budget or an observer that are none.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeouts: Tuple[float, float] = TIMEOUTS,
        budget: float = BUDGET,
        clock: Clock = SYSTEM_CLOCK,
        pause: Optional[Callable[[float], object]] = None,
        observer: Optional[Callable[[Exchange], object]] = None,
    ) -> None:
        self.base_url = base_url
        self._timeouts = _checked_timeouts(timeouts)
        if not _is_time(budget):
            raise ConfigError(f"budget={safe_repr(budget)} : un nombre de secondes plus grand que 0 est attendu.")
        self._budget = budget
        #: What the time of a call, and of what is built of calls, is measured by.
        self.clock = clock
        self._closed = WakeEvent()
        #: Waits that many seconds, less if the transport is closed meanwhile.
        self.pause: Callable[[float], object] = self._wait if pause is None else pause
        self._observer = checked_observer(observer)
        self._sessions = Sessions(base_url)
        #: When FedaPay answered last, whatever its status, in seconds since 1970.
        self.last_answer_at: Optional[float] = None

    def request(
        self,
        method: str,
        path: str,
        *,
        key: Key,
        params: Optional[Mapping[str, Any]] = None,
        body: Optional[Mapping[str, Any]] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> Response:
        """
        One call, repeated only where that is safe.

        Raises:
            ConfigError: the key cannot be sent.
            InvalidArgument: the body, the parameters or the headers cannot be sent.
            NotSent: no connection; FedaPay certainly did not get the request.
            OutcomeUnknown: FedaPay may have got the request, its answer was lost.
            ApiError: FedaPay answered something else than a success.
        """
        key = held(key)
        if not key.reveal().isascii() or not key.reveal().isprintable():
            raise ConfigError("Clé API FedaPay illisible : elle contient des caractères invisibles. La recopier.")
        request = _Request(
            method=method,
            path=path,
            url=f"{self.base_url}/v1{path}{build_query(params)}",
            headers=build_headers(headers, has_body=body is not None),
            content=None if body is None else encode_json(body),
            key=key,
        )
        end = self.clock.monotonic() + self._budget
        closed = self._closed
        attempt = 0
        while True:
            attempt += 1
            problem: FedapayError
            try:
                return self._attempt(request, attempt, end)
            except (TransportError, ApiError) as error:
                wait = retry_delay(method, error, attempt)
                if wait is None:
                    raise
                problem = error
            if attempt >= _ATTEMPTS or self.clock.monotonic() + wait >= end or closed.is_set():
                raise problem
            # The class only: what FedaPay says may be about a customer.
            told = type(problem).__name__
            log.info("%s %s failed (%s), attempt %d, again in %.1f s", method, path, told, attempt, wait)
            self.pause(wait)

    def close(self) -> None:
        """
        End waits between attempts and close this thread's connections. Others close with their threads.

        What is called afterwards still goes out, once and without waits: a thread that looks for what became of a
        payment must not be kept from it.
        """
        self._closed.set()
        self._sessions.close()

    def release(self) -> None:
        """The same for the calls under way; those that come later are as patient as ever."""
        ended, self._closed = self._closed, WakeEvent()
        ended.set()
        self._sessions.close()

    def forget(self) -> None:
        """The same, and close the connections of all threads as soon as no call uses them."""
        self.release()
        self._sessions.forget()

    def _wait(self, seconds: float) -> None:
        self._closed.wait(seconds)

    def _attempt(self, request: _Request, attempt: int, end: float) -> Response:
        start = self.clock.monotonic()
        reply: Optional[_Received] = None
        try:
            reply = self._send(request, max(0.001, end - start))
            response = parse_response(
                request.method,
                request.path,
                reply.status,
                reply.raw,
                retry_after=reply.retry_after,
                now=self.clock.now(),
                sent=request.content,
            )
        except FedapayError as error:
            self._notify_observer(request, attempt, start, reply, error)
            raise
        self._notify_observer(request, attempt, start, reply, None)
        return response

    def _send(self, request: _Request, left: float) -> _Received:
        connect, read = self._timeouts
        try:
            with call_deadline(left):
                prepared = requests.PreparedRequest()
                prepared.prepare(
                    method=request.method,
                    url=request.url,
                    headers=request.headers,
                    data=request.content,
                    auth=_BearerAuth(request.key),
                )
                session = self._sessions.current()
                timeout = (min(connect, left), min(read, left))
                with session.send(
                    prepared, proxies=session.proxies, timeout=timeout, allow_redirects=False, stream=True
                ) as response:
                    self.last_answer_at = self.clock.now()
                    return _Received(response.status_code, _read_body(response), response.headers.get("Retry-After"))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            problem = transport_error(request.method, request.path, error, self.base_url)
        # Out here, so that the original is not even its context: it carries the request with its key.
        raise problem

    def _notify_observer(
        self,
        request: _Request,
        attempt: int,
        start: float,
        reply: Optional[_Received],
        error: Optional[FedapayError],
    ) -> None:
        if self._observer is None:
            return
        seen = build_exchange(
            request.method,
            request.path,
            attempt=attempt,
            status=None if reply is None else reply.status,
            seconds=self.clock.monotonic() - start,
            error=error,
            sent=request.content,
            received=b"" if reply is None else reply.raw,
        )
        try:
            self._observer(seen)
        except Exception as failure:  # edge of a thread: the user's code, and no failure of the call
            log.error("observer failed (%s); the call is not affected", type(failure).__name__)


def _checked_timeouts(timeouts: Any) -> Tuple[float, float]:
    if isinstance(timeouts, (tuple, list)) and len(timeouts) == 2 and all(map(_is_time, timeouts)):
        return (timeouts[0], timeouts[1])
    raise ConfigError(
        "timeouts : deux nombres de secondes plus grands que 0 sont attendus, pour la connexion et pour la lecture, "
        f"comme (5, 30) ; reçu {safe_repr(timeouts)}."
    )


def _is_time(value: Any) -> bool:
    """Whether that is some time, and no more than the system can wait."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e9


def _read_body(response: requests.Response) -> bytes:
    """The decoded body, or as much of it as shows that it is too large."""
    chunks: List[bytes] = []
    size = 0
    while size <= MAX_RESPONSE:
        # What has come so far, and not a full chunk: a body that drips would fill none.
        chunk = response.raw.read1(64 * 1024, decode_content=True)
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)
