"""The Flask app of ``/v1``: routes, API key, JSON envelopes, error answers, one lock and one step for each call."""

from typing import Any, Callable, Iterable, Mapping, cast

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from fedapay_sync.common.logging import get_logger
from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.body_parsing import read_body, read_form
from fedapay_sync.emulator.http.call import Call, Created, Handler, Route, id_of
from fedapay_sync.emulator.http.errors import CRASHED, INVALID_KEY, MALFORMED, NOT_FOUND, TOO_LARGE, Refusal, or_404
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.resources.logs import Logs
from fedapay_sync.emulator.storage.shop_data import ShopData
from fedapay_sync.enums import Environment
from fedapay_sync.errors import ConfigError
from fedapay_sync.server import MAX_BODY

log = get_logger("fedapay_sync.emulator")

_WITH_BODY = frozenset({"POST", "PUT"})
# The API reference shows a bare list here, and every client sends an object.
_WITH_LIST = frozenset({"/v1/payouts/start"})
_OTHER = {Environment.sandbox: "sk_live_", Environment.live: "sk_sandbox_"}


class _Reference(BaseConverter):
    """A merchant's own reference: any text, slashes and line ends included."""

    regex = r"[\s\S]+"
    part_isolating = False


class Api:
    """
    ``/v1`` of one shop: the routes of its resources behind one key.

    Args:
        is_key: whether a text opens the API.
        without_key: paths that need no key.
    """

    def __init__(
        self,
        data: ShopData,
        logs: Logs,
        routes: Iterable[Route],
        is_key: Callable[[str], bool],
        without_key: Iterable[str],
    ) -> None:
        self._data = data
        self._logs = logs
        self._routes = list(routes)
        self._is_key = is_key
        self._without_key = frozenset(without_key)

    def build(self) -> Flask:
        """The WSGI application."""
        # No static folder, no template folder: neither belongs to FedaPay's addresses.
        app = Flask("fedapay_emulator", static_folder=None, template_folder=None)
        # Flask would answer both with a redirect page.
        app.url_map.strict_slashes = False
        app.url_map.merge_slashes = False
        app.url_map.converters["reference"] = _Reference
        for method, rule, handler in self._routes:
            self._add(app, method, rule, handler)
        app.before_request(self._check_key)
        app.register_error_handler(Refusal, self._refused)
        app.register_error_handler(HTTPException, self._http_error)
        app.register_error_handler(ConfigError, self._not_kept)
        app.register_error_handler(Exception, self._crashed)
        return app

    # Inside

    def _add(self, app: Flask, method: str, rule: str, handler: Handler) -> None:
        def view(**parts: str) -> Response:
            if method in _WITH_BODY:
                g.call = Call(self._body(lists=rule in _WITH_LIST), g.call.query, g.call.headers)
            # The whole call under one lock: the answer is what this call found or did, not what a payer did a moment
            # later.
            with self._data.acting_as(g.account_id):
                with self._data.atomic():
                    answer = handler(g.call, **parts)
                return self._answered(answer)

        app.add_url_rule(rule, f"{method} {rule}", view, methods=[method], provide_automatic_options=False)

    def _check_key(self) -> None:
        """Before anything else: without the key a caller learns nothing, not even which addresses there are."""
        g.call, g.account_id = Call(), None
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        with self._data.lock:
            known = scheme.lower() == "bearer" and self._is_key(key.strip())
        if not known and request.path not in self._without_key:
            elsewhere = key.strip().startswith(_OTHER[self._data.rules.environment])
            raise Refusal(self._data.settings.other_environment_status if elsewhere else 401, INVALID_KEY)
        g.logged = True
        g.call = Call(query=read_form(request.query_string), headers=cast(Mapping[str, str], request.headers))
        acting = request.headers.get("FedaPay-Account")
        if acting:
            with self._data.lock:
                or_404(self._data.table("accounts").get(id_of(acting)))
            g.account_id = id_of(acting)

    def _body(self, *, lists: bool) -> Record:
        raw = request.get_data(cache=False)
        if len(raw) > MAX_BODY:
            raise Refusal(413, TOO_LARGE)
        return read_body(raw, request.headers.get("Content-Type", ""), lists=lists)

    def _answered(self, answer: Any) -> Response:
        settings = self._data.settings
        status = 200
        if isinstance(answer, Created):
            answer, status = answer.answer, settings.create_status
        elif answer is None and request.method == "DELETE":
            status = settings.delete_status
            answer = [] if status == 200 else None
        return self._written(answer, status)

    def _written(self, answer: Any, status: int) -> Response:
        """The answer, recorded in ``/v1/logs`` if the caller had a valid key."""
        with self._data.acting_as(g.account_id):
            if g.get("logged"):
                self._logs.add(request.method, request.path, request.remote_addr, g.call, status, answer)
            if answer is None:
                return Response(status=status)
            text = serializers.compact(answer).encode("utf-8")
        return Response(text, status, content_type="application/json; charset=utf-8")

    def _refused(self, refusal: Refusal) -> Response:
        status = refusal.status
        if status == 400 and refusal.errors:
            status = self._data.settings.invalid_status
        return self._written(refusal.to_dict(g.call.locale), status)

    def _http_error(self, error: HTTPException) -> Response:
        # To FedaPay's router a wrong method is an unknown address.
        status = 404 if error.code in (404, 405) else error.code or 500
        return self._refused(Refusal(status, NOT_FOUND if status == 404 else MALFORMED))

    def _not_kept(self, error: ConfigError) -> Response:
        """The state file refused the step, which is undone."""
        log.warning("emulator kept nothing of %s %s: %s", request.method, request.path, error)
        return self._refused(Refusal(500, str(error)))

    def _crashed(self, error: Exception) -> Response:
        log.error("emulator failed on %s %s", request.method, request.path, exc_info=error)
        return self._refused(Refusal(500, CRASHED))
