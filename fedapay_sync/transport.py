"""
The one place that speaks HTTP to FedaPay.

What may be repeated is decided here and nowhere else: a connection that never opened (any method), and a GET that
failed on the way or was answered 429, 502, 503 or 504. A POST that may have arrived is never repeated blindly.
"""

import json
import math
import os
import random
import ssl
import threading
import urllib.parse
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple, Type

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from ._version import VERSION
from .clock import SYSTEM_CLOCK, Clock
from .config import is_loopback
from .errors import (
    ApiError,
    AuthenticationError,
    BadRequest,
    ConfigError,
    Conflict,
    Forbidden,
    InvalidArgument,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    ServerFault,
    TransportError,
    UnreadableAnswer,
)
from .masking import get_logger, mask

log = get_logger(__name__)

#: Connect and read timeouts, in seconds.
TIMEOUTS = (5.0, 30.0)
#: No call lasts longer than this, retries and waits included, in seconds (the last read of a body may overrun it).
BUDGET = 60.0
#: Decoded bytes of an answer that are read at most.
MAX_BODY = 2 * 1024 * 1024
#: Levels of nesting in an answer that are read at most: deeper, Python's recursion ends in whoever walks through it.
MAX_DEPTH = 50

_ATTEMPTS = 4
_MAX_RETRY_AFTER = 30.0
_RETRIED_STATUSES = frozenset({429, 502, 503, 504})

_ERRORS: Dict[int, Tuple[Type[ApiError], str]] = {
    400: (BadRequest, "Vérifier les valeurs envoyées ; en sandbox, seule la méthode momo_test est admise, et en "
          "réel chaque opérateur doit être activé pour le compte."),
    401: (AuthenticationError, "Vérifier FEDAPAY_API_KEY (clé secrète sk_…) et qu'elle est du même environnement que "
          "FEDAPAY_API_URL."),
    403: (Forbidden, "Ce compte n'a pas ce droit, ou l'objet n'est plus dans un état qui le permet."),
    404: (NotFound, "Vérifier l'identifiant, et que la clé est celle du compte qui l'a créé."),
    409: (Conflict, "Une autre opération est en cours ; relire l'objet avant de recommencer."),
    422: (BadRequest, "Vérifier les valeurs envoyées."),
    429: (RateLimited, "Ralentir, puis recommencer."),
}  # fmt: skip


@dataclass(frozen=True, repr=False)
class Answer:
    """What FedaPay said: a 2xx and its decoded body (``None`` if empty)."""

    status: int
    body: Any
    method: str = ""
    path: str = ""

    def object(self, envelope: str) -> Dict[str, Any]:
        """The object inside that envelope, or the bare object where there is none."""
        body = self.body
        if isinstance(body, dict) and isinstance(body.get(envelope), dict):
            body = body[envelope]
        if isinstance(body, dict):
            return body
        raise self.unreadable(f"un objet {f'« {envelope} » ' if envelope else ''}est attendu, reçu {_kind(body)}")

    def unreadable(self, problem: str) -> UnreadableAnswer:
        """The error that a success amounts to when it does not say what was asked for."""
        return _unreadable(f"{self.method} {self.path}, HTTP {self.status}", problem, self._facts())

    def _facts(self) -> Dict[str, Any]:
        return {"status": self.status, "method": self.method, "path": self.path}


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
                return self._answer(method, path, response, raw)
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

    def _answer(self, method: str, path: str, response: requests.Response, raw: bytes) -> Answer:
        """The answer, or the error that it amounts to."""
        status = response.status_code
        facts: Dict[str, Any] = {"status": status, "method": method, "path": mask(path)}
        where = f"{method} {mask(path)}, HTTP {status}"
        body, problem = _decode(raw)
        if 200 <= status < 300:
            if problem:
                raise _unreadable(where, problem, facts)
            return Answer(body=body, **facts)
        message, errors = _complaint(body)
        kind, advice = _ERRORS.get(status, (ApiError, "Réponse inattendue : réessayer, puis prévenir FedaPay."))
        if 300 <= status < 400:
            kind, advice = ApiError, "FedaPay redirige ailleurs : vérifier FEDAPAY_API_URL. Rien n'a été suivi."
        elif status >= 500:
            kind, advice = ServerFault, "Le défaut est chez FedaPay ou chez l'opérateur ; recommencer plus tard."
        if status == 429 or "Retry-After" in response.headers:
            facts["retry_after"] = _retry_after(response.headers.get("Retry-After", ""), self._clock.now())
        details = "".join(f" {field and f'{field} : '}{', '.join(reasons)}." for field, reasons in errors.items())
        said = f"« {message} »" if message else problem or "sans message"
        raise kind(
            f"FedaPay a refusé ({where}) : {said}.{details[:1000]} {advice}",
            fedapay_message=message,
            errors=errors,
            **facts,
        )

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


def _unreadable(where: str, problem: str, facts: Mapping[str, Any]) -> UnreadableAnswer:
    return UnreadableAnswer(
        f"Réponse de FedaPay illisible ({where}) : {problem}. La requête a pu être exécutée : "
        "relire la transaction avant de la refaire.",
        **facts,
    )


def _kind(body: Any) -> str:
    """What a body is, in French."""
    return {type(None): "un corps vide", list: "une liste", dict: "un objet", str: "un texte"}.get(
        type(body), "un nombre"
    )


def _decode(raw: bytes) -> Tuple[Any, str]:
    """The decoded body, and what is wrong with it in French if it is no JSON."""
    if not raw.strip():
        return None, ""
    if len(raw) > MAX_BODY:
        return None, f"plus de {MAX_BODY // (1024 * 1024)} Mio"
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        html = raw.lstrip()[:1] == b"<"
        return None, "une page HTML au lieu de JSON" if html else "du texte qui n'est pas du JSON"
    return (None, f"plus de {MAX_DEPTH} niveaux") if _is_deep(body) else (body, "")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_constant(text)


def _is_deep(body: Any) -> bool:
    """Whether the body nests deeper than we follow. Level by level: recursion is what it protects from."""
    level: List[Any] = [[body]]
    for _ in range(MAX_DEPTH + 1):
        inside = (each for box in level for each in (box.values() if isinstance(box, dict) else box))
        level = [each for each in inside if isinstance(each, (dict, list))]
    return bool(level)


def _complaint(body: Any) -> Tuple[str, Dict[str, List[str]]]:
    """FedaPay's message and field errors, masked, from either of its two error shapes."""
    if not isinstance(body, dict):
        return "", {}
    source = body["error"] if isinstance(body.get("error"), dict) else body
    message, fields = source.get("message"), source.get("errors")
    errors = (
        {mask(name): [mask(each) for each in _listed(reasons)] for name, reasons in fields.items()}
        if isinstance(fields, dict)
        else {"": [mask(each) for each in _listed(fields)]}
        if fields
        else {}
    )
    return (mask(message.strip()[:500]) if isinstance(message, str) else ""), errors


def _listed(reasons: Any) -> List[str]:
    """Reasons as texts, however they came."""
    return [
        each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)
        for each in (reasons if isinstance(reasons, list) else [reasons])
    ]


def _retry_after(text: str, now: float) -> Optional[float]:
    """Seconds to wait, from a number or a date; None if it is neither."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 8:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
