"""A WSGI application that takes webhooks without a socket, in the thread that delivers them."""

import inspect
from typing import Any, Iterator, List, Mapping, Optional, Tuple
from urllib.parse import SplitResult, urlsplit

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
        began = SYSTEM_CLOCK.monotonic()
        try:
            status, answer = self._call(urlsplit(url), body, headers)
            reply = Reply(status, answer[:KEPT])
        except Exception as error:  # edge of a thread: of a server's, this would be
            reply = Reply(500, b"", error)
        if SYSTEM_CLOCK.monotonic() - began > timeout:
            raise requests.ReadTimeout
        return reply

    def _call(self, parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> Tuple[int, bytes]:
        """Status and body of what it answers."""
        from werkzeug.test import EnvironBuilder, run_wsgi_app  # lazily: an emulator on its own never needs it

        builder = EnvironBuilder(
            path=parts.path or "/",
            query_string=parts.query,
            base_url=f"{parts.scheme}://{parts.netloc}",
            method="POST",
            data=body,
            headers=list(headers.items()),
        )
        try:
            chunks, status, _ = run_wsgi_app(self._wsgi, builder.get_environ(), buffered=True)
            return int(status.split(" ", 1)[0]), b"".join(chunks)
        finally:
            builder.close()


class DjangoProject(Application):
    """The Django project of this process, called as by Django's test client: in the test's transaction."""

    def __init__(self, url: str) -> None:
        super().__init__(None, url)

    def _call(self, parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> Tuple[int, bytes]:
        from django.test import Client  # lazily: only a Django project has it

        named = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()}
        named = {name: value for name, value in named.items() if name not in ("HTTP_CONTENT_TYPE", "HTTP_HOST")}
        # Not the test's own client: FedaPay has no session, and no token.
        answer = Client(enforce_csrf_checks=True, HTTP_HOST=parts.netloc).generic(
            "POST",
            parts.path + (f"?{parts.query}" if parts.query else ""),
            body,
            content_type="application/json",
            secure=parts.scheme == "https",
            **named,
        )
        return int(answer.status_code), bytes(answer.content)


def read_application(app: Any, path: Optional[str]) -> Application:
    """
    The application of the arguments of ``deliver_to``.

    Raises:
        InvalidArgument: no WSGI application, or its webhook route is not known.
    """
    if any(each.__module__ == "django.test.client" for each in type(app).__mro__):
        return _django_project(app, path)
    # A client of Flask or Werkzeug has its application there.
    wsgi = app if callable(app) else getattr(app, "application", None)
    if not callable(wsgi) or inspect.isclass(wsgi):
        raise InvalidArgument(
            "deliver_to : une application WSGI (celle de Flask, celle de wsgi.py), un client de test ou None est "
            f"attendu, pas {app!r}.",
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


def _django_project(client: Any, path: Optional[str]) -> Application:
    from django.urls import NoReverseMatch, reverse  # lazily: only a Django project has it

    if type(client).__name__.startswith("Async"):
        raise InvalidArgument(
            "deliver_to : le client de test ordinaire de Django (django.test.Client) est attendu, pas AsyncClient.",
            field="app",
        )
    try:
        route = reverse("fedapay:webhook") if path is None else str(path)
    except NoReverseMatch:
        raise InvalidArgument(
            "deliver_to : ce projet n'a pas la route des webhooks. Ajouter à urlpatterns : "
            'path("webhooks/", include("fedapay_sync.django.urls")). Ou la donner : deliver_to(client, "/…").',
            field="path",
        ) from None
    if not route.startswith(("http://", "https://")):
        # As its test client names the machine.
        route = f"http://testserver/{route.lstrip('/')}"
    return DjangoProject(arguments.address("path", route))


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
