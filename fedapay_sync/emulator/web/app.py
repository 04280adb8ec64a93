"""The Flask app of the web pages: access control, security headers, error pages."""

from functools import partial
from typing import Dict, Mapping, cast
from urllib.parse import urlencode

from flask import Flask, Response, g, jsonify, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from fedapay_sync.common.logging import get_logger
from fedapay_sync.emulator.access import TOKEN_WORD, Access, Forbidden
from fedapay_sync.emulator.base import EmulatorBase
from fedapay_sync.emulator.http.errors import CRASHED, MALFORMED, NOT_FOUND, TOO_LARGE, translate
from fedapay_sync.emulator.web import translations
from fedapay_sync.emulator.web.dashboard import Dashboard
from fedapay_sync.emulator.web.dashboard_actions import DashboardActions
from fedapay_sync.emulator.web.payment import add_payment
from fedapay_sync.emulator.web.phone import add_phone
from fedapay_sync.emulator.web.receipt import add_receipt
from fedapay_sync.emulator.web.token_lookup import Shops
from fedapay_sync.errors import ConfigError, InvalidArgument

log = get_logger("fedapay_sync.emulator")

# No form of ours is longer.
_MAX_FORM = 65_536
#: Endpoints that need only the link; None is an unknown address. All others are for the developer.
_PUBLIC = frozenset({None, "static", "payment", "pay", "payment_state", "no_payment", "receipt"})
_HEADERS = {
    # Nothing is loaded from elsewhere, no script or style is inline, no other page may frame ours.
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    # The address of a payment page is its token.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class WebApp:
    """
    Payment page, receipt, phones and dashboard.

    Args:
        shops: the services of each shop that the emulator serves.
        access: guards the pages that are not a payer's.
        emulator: what the dashboard shows and changes.
    """

    def __init__(self, shops: Shops, access: Access, emulator: EmulatorBase) -> None:
        self.shops = shops
        self._emulator = emulator
        self._access = access

    def build(self) -> Flask:
        """The WSGI application."""
        app = Flask("fedapay_sync.emulator.web")
        app.jinja_env.filters.update(printable=translations.printable, moment=translations.moment)
        app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
        app.before_request(self._enter)
        app.after_request(_protect)
        app.context_processor(_helpers)
        app.config.update(MAX_CONTENT_LENGTH=_MAX_FORM, MAX_FORM_MEMORY_SIZE=_MAX_FORM)
        app.register_error_handler(HTTPException, _http_error)
        app.register_error_handler(Forbidden, lambda error: _failed(403, str(error)))
        app.register_error_handler(InvalidArgument, lambda error: _failed(400, str(error)))
        app.register_error_handler(ConfigError, lambda error: _failed(500, str(error)))
        app.register_error_handler(Exception, _crashed)
        add_payment(app, self.shops)
        add_receipt(app, self.shops)
        add_phone(app, self.shops)
        Dashboard(self._emulator, self.shops).add_to(app)
        DashboardActions(self._emulator).add_to(app)
        return app

    def _enter(self) -> None:
        g.locale = "en" if request.args.get("locale") == "en" else "fr"
        # A redirection repeats the name that we were called by, and tells that there is an emulator.
        if request.endpoint not in _PUBLIC or isinstance(request.routing_exception, RequestRedirect):
            self._access.check(cast(Mapping[str, str], request.headers), request.args, request.cookies)
            g.private = True


def _protect(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if "private" in g:
        # With "no-referrer" the browser would send "Origin: null" with our own form, and access control refuse it.
        response.headers["Referrer-Policy"] = "same-origin"
        if TOKEN_WORD in request.args:
            response.set_cookie(TOKEN_WORD, request.args[TOKEN_WORD], httponly=True, samesite="Strict")
    return response


def _helpers() -> Dict[str, object]:
    locale = g.get("locale", "fr")

    def in_locale(other: str) -> str:
        """This page in another language."""
        return "?" + urlencode({**request.args.to_dict(), "locale": other})

    return {
        "in_locale": in_locale,
        "locale": locale,
        "t": partial(translations.text, locale),
        "money": partial(translations.money, locale),
        "link": translations.link,
    }


def _http_error(error: HTTPException) -> Response:
    code = 404 if error.code == 405 else error.code or 500
    said = {404: NOT_FOUND, 413: TOO_LARGE}.get(code, MALFORMED if code < 500 else CRASHED)
    return _failed(code, translate(g.get("locale", "fr"), said))


def _crashed(error: Exception) -> Response:
    log.error("emulator page failed on %s %s", request.method, request.path, exc_info=error)
    return _failed(500, CRASHED)


def _failed(code: int, message: str) -> Response:
    """A page for a person; for a program, what FedaPay's router would say."""
    if "text/html" in request.headers.get("Accept", ""):
        return Response(render_template("error.html", code=code, message=message), code)
    answer = jsonify(message=message, errors={})
    answer.status_code = code
    return answer
