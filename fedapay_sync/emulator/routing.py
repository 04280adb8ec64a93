"""WSGI routing: a call goes to the API or to the pages by its path, and to one shop's API by its key."""

import threading
from typing import TYPE_CHECKING, Callable, Iterable, List, Optional, Sequence, Tuple

from fedapay_sync.emulator.services import ShopServices

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: The one page that FedaPay has among the addresses of its API.
RECEIPT_PATH = "/v1/transactions/receipt"


class LazyApp:
    """A WSGI application that is built at its first call: a test that opens no page pays for none."""

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


class ShopRouter:
    """The APIs of all shops as one WSGI application; a key that opens none of them is refused by the first."""

    def __init__(self, shops: Sequence[ShopServices]) -> None:
        self._apps: List[Tuple[ShopServices, WSGIApplication]] = [(each, LazyApp(each.api)) for each in shops]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")[2].strip()
        return self._app_of(key)(environ, start_response)

    def _app_of(self, key: str) -> "WSGIApplication":
        if len(self._apps) > 1:
            for services, app in self._apps:
                with services.data.lock:
                    if services.is_key(key):
                        return app
        return self._apps[0][1]


def split_by_path(api: "WSGIApplication", pages: "WSGIApplication") -> "WSGIApplication":
    """``/v1`` is the API's; every other address, and the receipt, is a page."""

    def route(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        app = api if path.startswith("/v1") and path != RECEIPT_PATH else pages
        return app(environ, start_response)

    return route
