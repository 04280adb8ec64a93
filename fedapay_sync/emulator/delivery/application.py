"""A WSGI application that takes webhooks without a socket, in the thread that delivers them."""

import inspect
from typing import Any, Iterator, List, Mapping, Optional
from urllib.parse import urlsplit

import requests

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.emulator import arguments
from fedapay_sync.emulator.delivery.http_post import KEPT, Reply
from fedapay_sync.errors import InvalidArgument

#: As Flask's and Django's test clients name the machine.
_HOST = "localhost"


class Application:
    """
    What is called in place of an address.

    Args:
        wsgi: the WSGI callable.
        url: the address that it is to believe it was called at.
    """

    def __init__(self, wsgi: Any, url: str) -> None:
        self._wsgi = wsgi
        self.url = url

    def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout: float, verify: bool) -> Reply:
        """
        The same as ``http_post.post``. What the application raises is a 500, as a server makes of it.

        Raises:
            requests.ReadTimeout: the answer came too late. Nothing can cut it off in this thread.
        """
        from werkzeug.test import EnvironBuilder, run_wsgi_app  # lazily: an emulator on its own never needs it

        parts = urlsplit(url)
        builder = EnvironBuilder(
            path=parts.path or "/",
            query_string=parts.query,
            base_url=f"{parts.scheme}://{parts.netloc}",
            method="POST",
            data=body,
            headers=list(headers.items()),
        )
        began = SYSTEM_CLOCK.monotonic()
        try:
            environ = builder.get_environ()
            chunks, status, _ = run_wsgi_app(self._wsgi, environ, buffered=True)
            reply = Reply(int(status.split(" ", 1)[0]), b"".join(chunks)[:KEPT])
        except Exception as error:  # edge of a thread: of a server's, this would be
            reply = Reply(500, b"", error)
        finally:
            builder.close()
        if SYSTEM_CLOCK.monotonic() - began > timeout:
            raise requests.ReadTimeout
        return reply


def read_application(app: Any, path: Optional[str]) -> Application:
    """
    The application of the arguments of ``deliver_to``.

    Raises:
        InvalidArgument: no WSGI application, or its webhook route is not known.
    """
    # A client of Flask or Werkzeug has its application there.
    wsgi = app if callable(app) else getattr(app, "application", None)
    if not callable(wsgi) or inspect.isclass(wsgi):
        raise InvalidArgument(
            f"deliver_to : une application WSGI (celle de Flask, celle de wsgi.py) ou None est attendu, pas {app!r}.",
            field="app",
        )
    if inspect.iscoroutinefunction(wsgi) or inspect.iscoroutinefunction(type(wsgi).__call__):
        raise InvalidArgument(
            "deliver_to : cette application est asynchrone (ASGI), et une application WSGI est attendue. La servir sur "
            'un port, et donner son adresse : emulator.webhook_url = "http://127.0.0.1:…".',
            field="app",
        )
    if path is not None and not isinstance(path, str):
        raise InvalidArgument(f'path={path!r} : un chemin, comme "/webhooks/fedapay", est attendu.', field="path")
    route = _route_of(wsgi) if path is None else path
    if route.startswith(("http://", "https://")):
        return Application(wsgi, arguments.address("path", route))
    return Application(wsgi, arguments.address("path", f"{_base_of(wsgi)}/{route.lstrip('/')}"))


def _base_of(wsgi: Any) -> str:
    config = getattr(wsgi, "config", None)
    settings: Mapping[str, Any] = config if isinstance(config, Mapping) else {}
    return f"{settings.get('PREFERRED_URL_SCHEME') or 'http'}://{settings.get('SERVER_NAME') or _HOST}"


def _route_of(wsgi: Any) -> str:
    """The path of the one view of this package that the application has."""
    if _is_ours(type(wsgi)) and hasattr(wsgi, "path"):
        return str(wsgi.path or "/")
    rules = [each for each in _rules(wsgi) if "POST" in (each.methods or ()) and not each.arguments]
    ours = [each.rule for each in rules if _is_ours(wsgi.view_functions.get(each.endpoint))]
    # One route may be there with and without its last slash.
    routes = sorted({each.rstrip("/") for each in ours})
    if len(routes) == 1:
        return str(min(ours, key=len))
    if routes:
        raise InvalidArgument(
            f"deliver_to : cette application reçoit des webhooks à {len(routes)} adresses ({', '.join(routes)}). "
            f'Dire laquelle : deliver_to(app, "{routes[0]}").',
            field="path",
        )
    posted = ", ".join(sorted({each.rule for each in rules})[:8])
    known = f" Ses routes POST : {posted}." if posted else ""
    raise InvalidArgument(
        "deliver_to : la route des webhooks de cette application n'est pas connue (ni blueprint, ni extension de "
        f'fedapay_sync). La donner : deliver_to(app, "/webhooks/fedapay").{known}',
        field="path",
    )


def _rules(wsgi: Any) -> List[Any]:
    """The routes of a Flask application; of another, none."""
    if not hasattr(wsgi, "url_map") or not hasattr(wsgi, "view_functions"):
        return []
    found: Iterator[Any] = wsgi.url_map.iter_rules()
    return list(found)


def _is_ours(view: Any) -> bool:
    module = getattr(inspect.unwrap(view), "__module__", None) if view is not None else None
    return str(module).startswith("fedapay_sync.")
