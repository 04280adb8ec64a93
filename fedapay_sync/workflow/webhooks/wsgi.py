"""
The webhook endpoint: a plain WSGI function, and the small Flask application around it.

What it answers is constant text: 200 once the event is on disk, 400 for a bad signature only, 413 for a giant,
503 with Retry-After where nothing was committed. FedaPay counts everything but 2xx as a failure.
"""

from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Optional, Tuple

from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import ConfigError, FedapayError, SignatureError
from fedapay_sync.server import MAX_BODY
from fedapay_sync.signature import HEADER
from fedapay_sync.workflow.webhooks.refusals import RefusalLog

if TYPE_CHECKING:
    import flask

log = get_logger(__name__)

Receive = Callable[[bytes, Optional[str]], Any]
StartResponse = Callable[[str, List[Tuple[str, str]]], Any]
WSGI = Callable[[Dict[str, Any], StartResponse], Iterable[bytes]]

_ENVIRON_HEADER = "HTTP_" + HEADER.upper().replace("-", "_")


class Reply:
    """An HTTP answer, whatever framework will send it."""

    def __init__(self, status: int, text: str, headers: Tuple[Tuple[str, str], ...] = ()) -> None:
        self.status = status
        self.body = text.encode("ascii")
        self.headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(self.body))),
            *headers,
        ]


_STORED = Reply(200, "ok\n")
_BAD_SIGNATURE = Reply(400, "bad signature\n")
_NOT_FOUND = Reply(404, "not found\n")
POST_ONLY = Reply(405, "POST only\n", (("Allow", "POST"),))
TOO_LARGE = Reply(413, "too large\n")
TRY_AGAIN = Reply(503, "try again\n", (("Retry-After", "30"),))

_PHRASES = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
            413: "Content Too Large", 503: "Service Unavailable"}  # fmt: skip


def reply_to(receive: Receive, refusals: RefusalLog, body: bytes, signature: Optional[str]) -> Reply:
    """Take a webhook in and say how to answer it."""
    if len(body) > MAX_BODY:
        return TOO_LARGE
    refusals.tell()
    try:
        receive(body, signature)
    except SignatureError as error:
        refusals.add(error)
        return _BAD_SIGNATURE
    except ConfigError as error:
        log.error("webhook cannot be checked, FedaPay is asked to come again: %s", error)
        return TRY_AGAIN
    except FedapayError as error:
        log.error("webhook not stored, FedaPay is asked to come again: %s", error)
        return TRY_AGAIN
    return _STORED


class WebhookApp:
    """
    Application WSGI qui reçoit les webhooks, à servir seule ou à monter dans une autre.

    Args:
        receive: prend le corps brut et la signature, et ne rend la main que quand l'événement est sur disque.
        path: chemin des webhooks, par exemple ``webhooks`` ; ``None`` si l'application est déjà montée à sa place.
        otherwise: application qui répond aux autres chemins ; 404 par défaut.
        on_request: appelée à chaque requête, de l'autre application aussi.
    """

    def __init__(
        self,
        receive: Receive,
        path: Optional[str] = None,
        otherwise: Optional[WSGI] = None,
        *,
        on_request: Optional[Callable[[], None]] = None,
    ) -> None:
        self._receive = receive
        self._on_request = on_request
        self._refusals = RefusalLog()
        #: Sans barre au début ni à la fin.
        self.path = None if path is None else path.strip("/")
        self._otherwise = otherwise

    def __call__(self, environ: Dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if self._on_request is not None:
            self._on_request()
        if self.path is not None and str(environ.get("PATH_INFO", "")).strip("/") != self.path:
            if self._otherwise is not None:
                return self._otherwise(environ, start_response)
            return _sent(_NOT_FOUND, environ, start_response)
        if environ.get("REQUEST_METHOD") != "POST":
            return _sent(POST_ONLY, environ, start_response)
        length = str(environ.get("CONTENT_LENGTH") or "")
        body = raw_body(environ["wsgi.input"], length, bool(environ.get("wsgi.input_terminated")))
        if body is None:
            return _sent(TOO_LARGE, environ, start_response)
        return _sent(
            reply_to(self._receive, self._refusals, body, environ.get(_ENVIRON_HEADER)), environ, start_response
        )


def raw_body(stream: Any, length: str, ends_by_itself: bool) -> Optional[bytes]:
    """The raw body; None if it is too large, and then no more of it has been read than is admitted."""
    if length.isascii() and length.isdigit():
        # Python refuses to read a number of more than 4300 digits.
        if len(length) > 9 or int(length) > MAX_BODY:
            return None
        size = int(length)
    else:
        # Without a length only an input that ends by itself may be read to the end.
        size = MAX_BODY + 1 if ends_by_itself else 0
    chunks: List[bytes] = []
    while size > 0:
        chunk = stream.read(size)
        if not chunk:
            break
        chunks.append(chunk)
        size -= len(chunk)
    body = b"".join(chunks)
    return None if len(body) > MAX_BODY else body


def _sent(reply: Reply, environ: Dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response(f"{reply.status} {_PHRASES[reply.status]}", reply.headers)
    # A body after HEAD would be taken for the beginning of the next answer on that connection.
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [reply.body]


def flask_view(receive: Receive) -> "Callable[[], flask.Response]":
    """The view function of a Flask route that takes webhooks in."""
    import flask  # lazily: a script that only pays needs no web framework

    refusals = RefusalLog()

    def webhooks() -> "flask.Response":
        request = flask.request
        if request.content_length is None:
            # Chunked, it could be of any size: get_data would read it all.
            body = raw_body(request.stream, "", True)
        else:
            # Not the stream: another part of the application may have read it, and Flask kept what it read.
            body = request.get_data(cache=False) if request.content_length <= MAX_BODY else None
        reply = TOO_LARGE if body is None else reply_to(receive, refusals, body, request.headers.get(HEADER))
        return flask.Response(reply.body, status=reply.status, headers=reply.headers)

    return webhooks


def blueprint(
    receive: Receive, path: str, name: str = "fedapay", *, on_request: Optional[Callable[[], None]] = None
) -> "flask.Blueprint":
    """A Flask blueprint with the one route; ``on_request`` is called at each request of the whole application."""
    import flask  # lazily: a script that only pays needs no web framework

    made = flask.Blueprint(name, __name__)
    if on_request is not None:
        made.before_app_request(on_request)
    made.post("/" + path.strip("/"))(flask_view(receive))
    return made


def application(receive: Receive, path: str) -> "flask.Flask":
    """The Flask application of the integrated server, with the webhook path answered before its routing."""
    import flask  # lazily: a script that only pays needs no web framework

    app = flask.Flask("fedapay_sync")
    app.register_blueprint(blueprint(receive, path))
    # Flask's routing costs as much as everything else about a webhook.
    otherwise: Any = app.wsgi_app
    app.wsgi_app = WebhookApp(receive, path, otherwise)  # type: ignore[method-assign]
    return app
