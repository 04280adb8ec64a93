"""The pages: one small web application beside the API."""

import re
from typing import Any, Dict

from flask import Flask, Response, g, jsonify, render_template, request, url_for
from werkzeug.exceptions import HTTPException

from ..refusal import NOT_FOUND
from . import words
from .found import Shops
from .payment import add_payment
from .receipt import add_receipt

_HEADERS = {
    # Nothing comes from elsewhere, nothing is written inside a page, no other page may frame it.
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    # The address of a payment page opens it. A page whose buttons check Origin says "same-origin" instead: with
    # "no-referrer" a browser hides the origin of a form.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# What would turn text around, or end it: controls, marks of direction, halves of characters.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


class Site:
    """
    Payment page, receipt and phone.

    Args:
        shops: the parts of each shop that the emulator serves.
        host: the address that the emulator listens on.
    """

    def __init__(self, shops: Shops, host: str) -> None:
        self.shops = shops
        self.host = host

    def build(self) -> Flask:
        """The WSGI application."""
        app = Flask("fedapay_sync.emulator.web")
        app.jinja_env.filters["shown"] = shown
        app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
        app.before_request(_read_locale)
        app.after_request(_protect)
        app.context_processor(_helpers)
        app.register_error_handler(HTTPException, _http_error)
        add_payment(app, self.shops)
        add_receipt(app, self.shops)
        return app


def shown(text: object, most: int = 400) -> str:
    """Text of a stranger as a page may show it; the template escapes it."""
    clean = _UNSHOWN.sub("\ufffd", re.sub(r"\s", " ", str(text)[: most + 1]))
    return clean if len(clean) <= most else clean[:most] + "…"


def _read_locale() -> None:
    g.locale = "en" if request.args.get("locale") == "en" else "fr"


def _protect(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _helpers() -> Dict[str, object]:
    locale = g.get("locale", "fr")

    def link(endpoint: str, **values: Any) -> str:
        """An address of ours, in the reader's language."""
        return url_for(endpoint, **values, locale="en" if locale == "en" else None)

    return {"locale": locale, "t": words.teller(locale), "money": words.money(locale), "link": link}


def _http_error(error: HTTPException) -> Response:
    """A page for a person; what FedaPay's router would say for a program."""
    if "text/html" not in request.headers.get("Accept", ""):
        answer = jsonify(message=NOT_FOUND if error.code in (404, 405) else error.name, errors={})
    else:
        answer = Response(render_template("error.html", code=error.code))
    answer.status_code = 404 if error.code == 405 else error.code or 500
    return answer
