"""Applications that are made when somebody first calls them: a test that opens no page pays for none."""

import threading
from typing import TYPE_CHECKING, Callable, Iterable, Optional

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Lazily:
    """A WSGI application, and how it is built."""

    def __init__(self, build: "Callable[[], WSGIApplication]") -> None:
        self._build = build
        self._lock = threading.Lock()
        self._app: Optional[WSGIApplication] = None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        app = self._app
        if app is None:
            with self._lock:
                app = self._app = self._app or self._build()
        return app(environ, start_response)
