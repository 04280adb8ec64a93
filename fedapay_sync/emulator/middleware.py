"""WSGI middleware in front of all apps: records the calls to the API, and applies API faults to them."""

import io
import itertools
import json
import re
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, Iterable, List, NamedTuple

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.emulator.faults.faults import Faults
from fedapay_sync.server.web_server import hang_up

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_KEPT = 5000
_TICK = 0.05
#: Bytes of a body that are recorded.
KEPT_BODY = 16_384
_KEPT_TYPE = 200
#: Bytes of an answer that are recorded.
KEPT_ANSWER = 4096
_KIND = re.compile(r"[a-z]{2}_(live|sandbox)_")


class ApiRequest(NamedTuple):
    """
    Un appel reçu par l'API émulée.

    Attributes:
        method: méthode HTTP.
        path: chemin, sans paramètres.
        body: corps reçu, dans la limite de 16 kio.
        status: code HTTP répondu ; 0 si la connexion a été coupée sans réponse.
        query: paramètres, comme ils étaient écrits.
        key: clé reçue, masquée.
        time: instant de l'appel, en secondes Unix réelles.
        seconds: temps de la réponse.
        fault: panne qui l'a frappé, comme ``api.slow``.
        answer: corps répondu, dans la limite de 4 kio.
        number: rang de l'appel, à partir de 1.
        content_type: type du corps, comme ``application/json``.
    """

    method: str
    path: str
    body: bytes
    status: int
    query: str = ""
    key: str = ""
    time: float = 0.0
    seconds: float = 0.0
    fault: str = ""
    answer: bytes = b""
    number: int = 0
    content_type: str = ""

    @property
    def json(self) -> Any:
        """Le corps lu comme du JSON."""
        return json.loads(self.body)


class RecordingMiddleware:
    """
    Records API calls, and holds up, replaces or cuts the answers that a fault strikes.

    Args:
        most_held: calls that faults may hold up at once; one more lets the one held longest go on.
    """

    def __init__(self, app: "WSGIApplication", faults: Faults, *, most_held: int) -> None:
        self._app = app
        self._faults = faults
        self._most_held = most_held
        self._held: Dict[object, None] = {}
        self._lock = threading.Lock()
        self._requests: Deque[ApiRequest] = deque(maxlen=_KEPT)
        self._numbers = itertools.count(1)
        self._stopping = WakeEvent()

    @property
    def requests(self) -> List[ApiRequest]:
        with self._lock:
            return list(self._requests)

    def clear(self) -> None:
        """Forget the recorded calls."""
        with self._lock:
            self._requests.clear()

    def set_stopping(self, stopping: bool) -> None:
        """While stopping, no call is held up any longer."""
        (self._stopping.set if stopping else self._stopping.clear)()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if not path.startswith("/v1"):
            return self._app(environ, start_response)
        began, monotonic = SYSTEM_CLOCK.now(), SYSTEM_CLOCK.monotonic()
        body = environ["wsgi.input"].read()
        environ["wsgi.input"] = io.BytesIO(body)
        fault = self._faults.for_call(method, path)

        def record(status: int, answer: bytes = b"") -> None:
            request = ApiRequest(
                method,
                path,
                body[:KEPT_BODY],
                status,
                query=environ.get("QUERY_STRING", ""),
                key=_key(environ),
                time=began,
                seconds=SYSTEM_CLOCK.monotonic() - monotonic,
                fault=fault.name if fault else "",
                answer=answer[:KEPT_ANSWER],
                content_type=environ.get("CONTENT_TYPE", "")[:_KEPT_TYPE],
            )
            with self._lock:
                self._requests.append(request._replace(number=next(self._numbers)))

        def recorded() -> List[bytes]:
            said: List[Any] = []

            def hold(*words: Any) -> Any:
                said[:] = words
                return lambda _: None

            answer = b"".join(self._app(environ, hold))
            # Before it goes out: a client that has the answer finds the call among the requests.
            record(int(said[0].split(" ", 1)[0]), answer)
            start_response(*said)
            return [answer]

        if fault is None:
            return recorded()
        if fault.cut == "during":
            # Before the work: what the client looks up at once is not there yet.
            hang_up(environ)
        self._hold(fault.wait)
        if fault.status == 0 and fault.cut is None:
            return recorded()
        if fault.applied or fault.cut in ("during", "after"):
            for _ in self._app(environ, lambda *_: lambda _: None):
                pass
        if fault.cut is None:
            headers = {
                "Content-Type": fault.content_type,
                "Content-Length": str(len(fault.body)),
                **fault.headers,
            }
            record(fault.status, fault.body)
            start_response(f"{fault.status} Fault", list(headers.items()))
            return [fault.body]
        record(0)
        hang_up(environ)
        start_response("500 Cut", [])
        return []

    def _hold(self, seconds: float) -> None:
        """Wait as a fault wants, until all faults are taken back, a newer call needs room, or the emulator stops."""
        end, clears, own = SYSTEM_CLOCK.monotonic() + seconds, self._faults.clears, object()
        with self._lock:
            self._held[own] = None
            if len(self._held) > self._most_held:
                del self._held[next(iter(self._held))]
        left = seconds
        while (
            left > 0
            and own in self._held
            and clears == self._faults.clears
            and not self._stopping.wait(min(left, _TICK))
        ):
            left = end - SYSTEM_CLOCK.monotonic()
        with self._lock:
            self._held.pop(own, None)


def _key(environ: "WSGIEnvironment") -> str:
    """The kind of key, and not the key."""
    key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")[2].strip()
    known = _KIND.match(key)
    return f"{known.group()}***" if known else "***" if key else ""
