"""The HTTP face of the emulated FedaPay: addresses, the key, envelopes, errors."""

import hmac
from typing import Any, Callable, Dict, List, Optional, Union

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from ..masking import get_logger
from . import fields, page, shapes
from .bodies import read_body, read_form
from .ledger import Ledger
from .refusal import NOT_ALLOWED, NOT_FOUND, Refusal, missing
from .rules import CURRENCIES, KNOWN_MODES, Rules
from .shapes import Record

log = get_logger("fedapay_sync.emulator")

#: Told that a payer has been prompted: (transaction, number).
Prompted = Callable[[Record, str], None]

_MAX_BODY = 262_144
_PER_PAGE = 25
_INVALID_KEY = "Clé API invalide"


class Api:
    """Routes of ``/v1``, each a method that returns what to answer."""

    def __init__(self, ledger: Ledger, rules: Rules, secret_key: str, prompted: Prompted) -> None:
        self._ledger = ledger
        self._rules = rules
        self._secret_key = secret_key
        self._prompted = prompted

    def build(self) -> Flask:
        """The WSGI application."""
        # No static folder, no template folder: neither belongs to FedaPay's addresses.
        app = Flask("fedapay_emulator", static_folder=None, template_folder=None)
        # Flask would answer both with a redirect page.
        app.url_map.strict_slashes = False
        app.url_map.merge_slashes = False
        routes: List[Any] = [
            ("POST", "/v1/transactions", self.create),
            ("GET", "/v1/transactions", self.search),
            ("GET", "/v1/transactions/search", self.search),
            ("GET", "/v1/transactions/merchant/<path:reference>", self.retrieve_by_reference),
            ("GET", "/v1/transactions/<number>", self.retrieve),
            ("PUT", "/v1/transactions/<number>", self.update),
            ("DELETE", "/v1/transactions/<number>", self.delete),
            ("POST", "/v1/transactions/<number>/token", self.token),
            ("GET", "/v1/currencies", self.currencies),
            ("GET", "/v1/currencies/<number>", self.currency),
            ("GET", "/v1/events", self.events),
            ("GET", "/v1/events/<name>", self.event),
            ("POST", "/v1/<mode>", self.push),
        ]
        for method, rule, handler in routes:
            self._add(app, method, rule, handler)
        app.add_url_rule("/v1/transactions/receipt", view_func=self._receipt, endpoint="receipt")
        app.add_url_rule("/process/<path:token>", view_func=self._payment_page, endpoint="process")
        app.register_error_handler(Refusal, self._refused)
        app.register_error_handler(HTTPException, self._http_error)
        app.register_error_handler(Exception, self._crashed)
        return app

    # Transactions

    def create(self) -> Record:
        body = self._body()
        return self._one(self._ledger.create(body), body)

    def search(self) -> Record:
        query = self._query()
        records = self._ledger.all()[::-1]
        words = str(query.get("search") or "*").lower()
        if words != "*":
            records = [each for each in records if words in self._searchable(each)]
        include = str(query.get("include", ""))
        return _paged("v1/transactions", records, query, lambda each: self._ledger.answer(each, include))

    def retrieve(self, number: str) -> Record:
        return self._one(self._ledger.get(_id(number)), self._query())

    def retrieve_by_reference(self, reference: str) -> Record:
        return self._one(self._ledger.by_merchant_reference(reference), self._query())

    def update(self, number: str) -> Record:
        body = self._body()
        return self._one(self._ledger.update(_id(number), body), body)

    def delete(self, number: str) -> None:
        self._ledger.delete(_id(number))

    def token(self, number: str) -> Record:
        self._body()
        token = self._ledger.new_token(_id(number))
        return {"token": token, "url": self._ledger.payment_url(token)}

    def push(self, mode: str) -> Record:
        if mode not in KNOWN_MODES:
            raise Refusal(404, NOT_FOUND)
        if mode not in self._rules.modes:
            raise Refusal(400, NOT_ALLOWED)
        body = self._body()
        token = body.get("token")
        if not isinstance(token, str) or not token:
            raise missing("token")
        record, intent, number = self._ledger.push(
            token, mode, lambda customer: fields.pushed_number(body, customer.get("phone"))
        )
        self._prompted(record, number)
        return {"v1/payment_intent": intent}

    # Currencies and events

    def currencies(self) -> Record:
        return {"v1/currencies": list(CURRENCIES)}

    def currency(self, number: str) -> Record:
        for currency in CURRENCIES:
            if number in (str(currency["id"]), currency["iso"]):
                return {"v1/currency": currency}
        raise Refusal(404, NOT_FOUND)

    def events(self) -> Record:
        query = self._query()
        filters = query.get("filters")
        wanted = {
            name: str(value).replace("_", ".")
            for name, value in (filters if isinstance(filters, dict) else {}).items()
            if name in ("type", "object", "object_id")
        }
        kept = [each for each in self._ledger.events if all(str(each[name]) == value for name, value in wanted.items())]
        return _paged("v1/events", kept, query, shapes.event_answer)

    def event(self, name: str) -> Record:
        for event in self._ledger.events:
            if event["id"] == name:
                return {"v1/event": shapes.event_answer(event)}
        raise Refusal(404, NOT_FOUND)

    # Pages for the payer; no key

    def _payment_page(self, token: str) -> Response:
        return _html(page.payment, self._ledger.by_token(token))

    def _receipt(self) -> Response:
        return _html(page.receipt, self._ledger.by_token(request.args.get("token", "")))

    # Inside

    def _add(self, app: Flask, method: str, rule: str, handler: Callable[..., Optional[Record]]) -> None:
        def view(**parts: str) -> Response:
            self._check_key()
            # The whole call under the ledger's lock: what is answered is what this call found or did, not
            # what a payer did a moment later.
            with self._ledger.lock:
                answer = handler(**parts)
            return Response(status=204) if answer is None else _json(answer)

        app.add_url_rule(rule, f"{method} {rule}", view, methods=[method], provide_automatic_options=False)

    def _check_key(self) -> None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        given = key.strip().encode("utf-8", "replace")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._secret_key.encode("utf-8")):
            raise Refusal(401, _INVALID_KEY)

    def _body(self) -> Record:
        raw = request.get_data(cache=False)
        if len(raw) > _MAX_BODY:
            raise Refusal(413, "Le corps de la requête est trop grand")
        return read_body(raw, request.headers.get("Content-Type", ""))

    def _query(self) -> Record:
        return read_form(request.query_string)

    def _one(self, record: Record, asked: Record) -> Record:
        return {"v1/transaction": self._ledger.answer(record, str(asked.get("include", "")))}

    def _searchable(self, record: Record) -> str:
        customer = self._ledger.customer_of(record)
        names = ("reference", "merchant_reference", "description")
        parts = [record[name] for name in names] + [customer.get("full_name"), customer.get("email")]
        return "\n".join(filter(None, parts)).lower()

    def _refused(self, refusal: Refusal) -> Response:
        return _json(refusal.to_dict(), refusal.status)

    def _http_error(self, error: HTTPException) -> Response:
        # To FedaPay's router a wrong method is an unknown address.
        status = 404 if error.code in (404, 405) else error.code or 500
        return self._refused(Refusal(status, NOT_FOUND if status == 404 else "Requête incorrecte"))

    def _crashed(self, error: Exception) -> Response:
        log.error("emulator failed on %s %s", request.method, request.path, exc_info=error)
        return self._refused(Refusal(500, "Défaut de l'émulateur : voir son journal"))


def _paged(name: str, items: List[Any], query: Record, shown: Callable[[Any], Record]) -> Dict[str, Any]:
    """One page of a list, and where it stands."""
    page_number, per_page = _whole(query.get("page"), 1), _whole(query.get("per_page"), _PER_PAGE)
    total_pages = -(-len(items) // per_page)
    start = (page_number - 1) * per_page
    return {
        name: [shown(each) for each in items[start : start + per_page]],
        "meta": {
            "current_page": page_number,
            "next_page": page_number + 1 if page_number < total_pages else None,
            "prev_page": page_number - 1 if page_number > 1 else None,
            "per_page": per_page,
            "total_pages": total_pages,
            "total_count": len(items),
        },
    }


def _whole(value: Any, default: int) -> int:
    """A number of a query, from 1 to a million."""
    text = str(value)
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 7 else 0
    return number if 1 <= number <= 1_000_000 else default


def _id(text: str) -> int:
    """The id in an address; what cannot be one is simply not found."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise Refusal(404, NOT_FOUND)
    return int(text)


def _json(body: Union[Record, Dict[str, Any]], status: int = 200) -> Response:
    return Response(shapes.compact(body).encode("utf-8"), status, content_type="application/json; charset=utf-8")


def _html(render: Callable[[Optional[Record]], str], record: Optional[Record]) -> Response:
    return Response(render(record), 200 if record else 404, headers=page.HEADERS)
