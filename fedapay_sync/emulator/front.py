"""What stands before the API: a record of each call, and the faults that a test asked for."""

import io
import json
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Deque, Dict, Iterable, List, NamedTuple, Optional

from ..errors import InvalidArgument
from ..server import hang_up
from . import checks

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_KEPT = 5000
_KEPT_BODY = 16_384


class ApiRequest(NamedTuple):
    """
    Un appel reçu par l'API émulée.

    Attributes:
        method: méthode HTTP.
        path: chemin, sans paramètres.
        body: corps reçu, dans la limite de 16 kio.
        status: code HTTP répondu ; 0 si la connexion a été coupée sans réponse.
    """

    method: str
    path: str
    body: bytes
    status: int

    @property
    def json(self) -> Any:
        """Le corps lu comme du JSON."""
        return json.loads(self.body)


@dataclass(eq=False)
class Fault:
    """What to do instead of answering, or instead of letting the answer out."""

    path_prefix: str
    method: Optional[str]
    status: int
    body: bytes
    content_type: str
    headers: Dict[str, str]
    cut: Optional[str]
    applied: bool
    wait: float
    left: int = field(default=1)

    def __post_init__(self) -> None:
        if not isinstance(self.path_prefix, str) or not self.path_prefix.startswith("/v1"):
            raise InvalidArgument(
                f"path_prefix={self.path_prefix!r} : le début d'un chemin de l'API est attendu, comme "
                "/v1/transactions.",
                field="path_prefix",
            )
        if self.method is not None:
            self.method = checks.text("method", self.method).upper()
        checks.one_of("cut", self.cut, ("before", "during", "after", None))
        checks.whole("status", self.status, 200, 599)
        checks.whole("times", self.left, 1)
        checks.yes_no("applied", self.applied)
        self.wait = checks.seconds("wait", self.wait)
        if not isinstance(self.body, bytes):
            raise InvalidArgument(f"body={self.body!r} : des octets ou un texte sont attendus.", field="body")
        checks.header_text("content_type", self.content_type)
        for name, value in self.headers.items():
            checks.header_text("headers", name)
            checks.header_text("headers", value)

    def matches(self, method: str, path: str) -> bool:
        return path.startswith(self.path_prefix) and self.method in (None, method)


class Front:
    """WSGI middleware around the API."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self._lock = threading.Lock()
        self._faults: List[Fault] = []
        self._requests: Deque[ApiRequest] = deque(maxlen=_KEPT)
        self._stopping = threading.Event()

    @property
    def requests(self) -> List[ApiRequest]:
        with self._lock:
            return list(self._requests)

    def let_go(self, stopping: bool) -> None:
        """While stopping, nobody waits any longer."""
        (self._stopping.set if stopping else self._stopping.clear)()

    def add_fault(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if not path.startswith("/v1"):
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read()
        environ["wsgi.input"] = io.BytesIO(body)
        fault = self._take(method, path)

        def record(status: int) -> None:
            with self._lock:
                self._requests.append(ApiRequest(method, path, body[:_KEPT_BODY], status))

        def recording(status: str, headers: Any, exc_info: Any = None) -> Any:
            record(int(status.split(" ", 1)[0]))
            return start_response(status, headers, exc_info)

        if fault is None:
            return self._app(environ, recording)
        if fault.cut == "during":
            # The client is gone before it is done: what he looks up at once, he does not find yet.
            hang_up(environ)
        self._stopping.wait(fault.wait)
        if fault.applied or fault.cut in ("during", "after"):
            for _ in self._app(environ, lambda *_: lambda _: None):
                pass
        if fault.cut is None:
            headers = {
                "Content-Type": fault.content_type,
                "Content-Length": str(len(fault.body)),
                **fault.headers,
            }
            recording(f"{fault.status} Fault", list(headers.items()))
            return [fault.body]
        record(0)
        hang_up(environ)
        start_response("500 Cut", [])
        return []

    def _take(self, method: str, path: str) -> Optional[Fault]:
        """The first fault that is meant for this call, one use of it spent."""
        with self._lock:
            for fault in self._faults:
                if fault.matches(method, path):
                    fault.left -= 1
                    if fault.left <= 0:
                        self._faults.remove(fault)
                    return fault
            return None
