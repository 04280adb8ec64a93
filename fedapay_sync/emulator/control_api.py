"""HTTP control API under ``/_emulateur``: the public Python methods as JSON calls, for programs in other languages."""

from typing import Any, Callable, Dict, Mapping, Optional, Sequence, cast

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from fedapay_sync.common.masking import mask
from fedapay_sync.emulator.access import Access, Forbidden
from fedapay_sync.emulator.base import EmulatorBase
from fedapay_sync.emulator.controls import MOVES, PAYOUT_ENDS
from fedapay_sync.emulator.delivery.sender import Delivery
from fedapay_sync.emulator.domain.settings import FIXED
from fedapay_sync.emulator.faults import registry
from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.body_parsing import read_body
from fedapay_sync.emulator.http.errors import MALFORMED, Refusal
from fedapay_sync.emulator.middleware import ApiRequest
from fedapay_sync.emulator.resources.logs import masked
from fedapay_sync.emulator.resources.phones import ANSWERS
from fedapay_sync.emulator.shop import Shop
from fedapay_sync.errors import ConfigError, FedapayError, InvalidArgument

#: No address of FedaPay's begins so.
PREFIX = "/_emulateur"

_MAX_BODY = 65_536
_MOST = 1000
_PER_PAGE = 100
_SHIFTS = ("days", "hours", "minutes", "seconds")


class ControlApi:
    """
    The control calls to one emulator.

    They act on its first shop, or on the shop of the key in ``Authorization``.
    """

    def __init__(self, emulator: EmulatorBase, access: Access) -> None:
        self._emulator = emulator
        self._access = access

    def build(self) -> Flask:
        """The WSGI application; its addresses begin after the prefix."""
        app = Flask("fedapay_emulator_controls", static_folder=None, template_folder=None)
        app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY
        routes: Sequence[Any] = (
            ("GET", "/", self.about),
            ("GET", "/transactions", self.transactions),
            ("GET", "/transactions/<id>", self.transaction),
            ("POST", "/transactions/<id>/<move>", self.move),
            ("GET", "/payouts", self.payouts),
            ("POST", "/payouts/<id>/<end>", self.end_payout),
            ("GET", "/phones", self.phones),
            ("GET", "/phones/<number>", self.phone),
            ("POST", "/phones/<number>/<answer>", self.answer_phone),
            ("GET", "/deliveries", self.deliveries),
            ("POST", "/deliveries/<int:id>/again", self.deliver_again),
            ("GET", "/webhook", self.webhook),
            ("POST", "/webhook", self.set_webhook),
            ("GET", "/requests", self.requests),
            ("GET", "/faults", self.faults),
            ("POST", "/faults", self.add_fault),
            ("DELETE", "/faults", self.clear_faults),
            ("DELETE", "/faults/<int:id>", self.remove_fault),
            ("GET", "/clock", self.clock),
            ("POST", "/clock", self.advance),
            ("GET", "/settings", self.settings),
            ("POST", "/settings", self.set_settings),
            ("POST", "/reset", self.reset),
        )
        for method, rule, handler in routes:
            app.add_url_rule(rule, f"{method} {rule}", _view(handler), methods=[method])
        app.before_request(self._enter)
        app.register_error_handler(HTTPException, lambda error: _answer({"message": _said(error)}, error.code or 500))
        app.register_error_handler(Refusal, lambda error: _answer(error.to_dict("fr"), error.status))
        app.register_error_handler(Forbidden, lambda error: _wrong(error, 403))
        app.register_error_handler(InvalidArgument, lambda error: _wrong(error, 400))
        app.register_error_handler(ConfigError, lambda error: _wrong(error, 500))
        return app

    def _enter(self) -> Optional[Response]:
        self._access.check(cast(Mapping[str, str], request.headers), request.args, request.cookies)
        key = request.headers.get("Authorization", "").partition(" ")[2].strip()
        g.shop = self._emulator.shop(key) if key else self._emulator
        g.body = {}
        if request.method == "POST" and request.get_data():
            # A form of any page on the web can send the other types without a preflight request.
            if request.mimetype != "application/json":
                return _answer({"message": "Content-Type: application/json est attendu."}, 415)
            g.body = read_body(request.get_data(), "application/json", lists=False)
        return None

    # What there is

    def about(self) -> Any:
        """The emulator itself."""
        shops = [
            {"name": each.name, "key": mask(each.secret_key), "webhook_url": each.webhook_url}
            for each in self._emulator.shops
        ]
        return {"url": self._emulator.url, "shops": shops, "clock": self.clock()}

    def transactions(self) -> Any:
        return {"transactions": _shop().recent_transactions(_limit())}

    def transaction(self, id: str) -> Any:
        return {"transaction": _shop().transaction(id)}

    def payouts(self) -> Any:
        return {"payouts": _shop().recent_payouts(_limit())}

    def requests(self) -> Any:
        return {"requests": [_request(each) for each in self._emulator.requests[-_limit() :]]}

    # Payers, operators

    def move(self, id: str, move: str) -> Any:
        if move not in MOVES:
            raise InvalidArgument(f"{move!r} n'est pas un geste. Gestes : {', '.join(MOVES)}.", field="move")
        force = _given("force", False)
        if not isinstance(force, bool):
            raise InvalidArgument("force : true ou false est attendu.", field="force")
        getattr(_shop(), move)(id, force=force)
        return self.transaction(id)

    def end_payout(self, id: str, end: str) -> Any:
        if end not in PAYOUT_ENDS:
            raise InvalidArgument(f"{end!r} n'est pas une fin de dépôt : send ou fail est attendu.", field="end")
        getattr(_shop(), f"{end}_payout")(id)
        return {"payout": _shop().payout(id)}

    def phones(self) -> Any:
        """Every phone that was prompted, the last one first, with the prompts that wait there."""
        return {"phones": [{"number": each.number, **self.phone(each.number)} for each in self._emulator.phones]}

    def phone(self, number: str) -> Any:
        return {"prompts": [each._asdict() for each in self._emulator.phone(number).prompts]}

    def answer_phone(self, number: str, answer: str) -> Any:
        if answer not in ANSWERS:
            raise InvalidArgument(f"{answer!r} n'est pas une réponse. Réponses : {', '.join(ANSWERS)}.", field="answer")
        id_transaction = _given("id_transaction", None)
        getattr(self._emulator.phone(number), answer)(id_transaction)
        return self.phone(number)

    # Webhooks

    def deliveries(self) -> Any:
        return {"deliveries": [_delivery(each) for each in _shop().deliveries[-_limit() :]]}

    def deliver_again(self, id: int) -> Any:
        found = [each for each in _shop().deliveries if each.id == id]
        if not found:
            raise InvalidArgument(f"Aucune livraison n'a le numéro {id}.", field="id")
        _shop().redeliver(found[0])
        return {}

    def webhook(self) -> Any:
        return {"url": _shop().webhook_url, "enabled": _shop().webhook_enabled}

    def set_webhook(self) -> Any:
        _shop().webhook_url = _given("url")
        return self.webhook()

    # Trouble

    def faults(self) -> Any:
        known = {name: {"about": about, "words": words} for name, (about, words) in registry.CATALOGUE.items()}
        return {"faults": [each.to_dict() for each in self._emulator.faults.active], "known": known}

    def add_fault(self) -> Any:
        options = {name: value for name, value in g.body.items() if name != "fault"}
        return {"fault": registry.add(self._emulator.faults, _given("fault"), options).to_dict()}

    def remove_fault(self, id: int) -> Any:
        self._emulator.faults.remove(id)
        return {}

    def clear_faults(self) -> Any:
        self._emulator.faults.clear()
        return {}

    # Time, settings, the end

    def clock(self) -> Any:
        clock = self._emulator.clock
        return {"now": serializers.stamp(clock.now()), "ahead": clock.ahead, "factor": clock.factor}

    def advance(self) -> Any:
        _only(_SHIFTS)
        self._emulator.clock.advance(**g.body)
        return self.clock()

    def settings(self) -> Any:
        known = [each._asdict() for each in self._emulator.settings.known()]
        return {"settings": self._emulator.settings.to_dict(), "known": known, "fixed": FIXED}

    def set_settings(self) -> Any:
        self._emulator.settings.change(g.body)
        return {"settings": self._emulator.settings.to_dict()}

    def reset(self) -> Any:
        self._emulator.reset()
        return {}


def _view(handler: Callable[..., Any]) -> Callable[..., Response]:
    return lambda **parts: _answer(handler(**parts))


def _answer(answer: Any, status: int = 200) -> Response:
    text = serializers.compact(answer).encode("utf-8", "backslashreplace")
    return Response(text, status, content_type="application/json; charset=utf-8", headers=_HEADERS)


_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _wrong(error: FedapayError, status: int) -> Response:
    return _answer({"message": str(error), "field": getattr(error, "field", "")}, status)


def _said(error: HTTPException) -> str:
    if error.code == 404:
        return "Adresse inconnue des commandes de l'émulateur."
    if error.code == 405:
        return f"Cette adresse ne connaît pas {request.method}."
    return f"Le corps dépasse {_MAX_BODY} octets." if error.code == 413 else MALFORMED


def _shop() -> Shop:
    shop: Shop = g.shop
    return shop


def _given(name: str, *default: Any) -> Any:
    """A field of the body; one without default must be there."""
    if name not in g.body and not default:
        raise InvalidArgument(f"Il manque {name}.", field=name)
    return g.body.get(name, *default)


def _only(names: Sequence[str]) -> None:
    for each in g.body:
        if each not in names:
            raise InvalidArgument(f"{each!r} n'est pas attendu. Mots : {', '.join(names)}.", field="body")


def _limit() -> int:
    """``?limit=``: how many items of a list are answered: the last ones, oldest first."""
    text = request.args.get("limit", str(_PER_PAGE))
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= _MOST):
        raise InvalidArgument(f"limit : un nombre de 1 à {_MOST} est attendu.", field="limit")
    return int(text)


def _delivery(delivery: Delivery) -> Dict[str, Any]:
    names = "id event object_id url attempt status error seconds time webhook_id fault succeeded".split()
    return {
        **{name: getattr(delivery, name) for name in names},
        "headers": dict(delivery.headers),
        "body": delivery.body.decode("utf-8", "replace"),
        "answer": delivery.answer.decode("utf-8", "replace"),
    }


def _request(call: ApiRequest) -> Dict[str, Any]:
    names = "method path query key status time seconds fault".split()
    return {**{name: getattr(call, name) for name in names}, "body": masked(call.body.decode("utf-8", "replace"))}
