"""The webhook route in an application: mounted by the extension, or by the program as a blueprint."""

from typing import Any, Iterator

import flask
from werkzeug.routing import Rule

from fedapay_sync.common.logging import get_logger
from fedapay_sync.connector.connector import Connector
from fedapay_sync.connector.working import FirstRequest
from fedapay_sync.errors import ConfigError
from fedapay_sync.flask.settings import DEFAULT_PATH
from fedapay_sync.workflow.webhooks.wsgi import blueprint as _blueprint
from fedapay_sync.workflow.webhooks.wsgi import flask_view

log = get_logger(__name__)

#: For ``url_for``. Not that of a blueprint: the program's own may be called so.
ENDPOINT = "fedapay_webhooks"


def blueprint(connector: Connector, path: str = DEFAULT_PATH, name: str = "fedapay") -> flask.Blueprint:
    """
    Blueprint Flask qui reçoit les webhooks : signature contrôlée, événement sur disque, puis 200.

    Args:
        connector: le connecteur qui les garde.
        path: chemin de la route, à donner dans le tableau de bord FedaPay.
        name: nom du blueprint, à changer pour en monter deux.

    Raises:
        ConfigError: le connecteur n'a pas de secret de webhook.
    """
    connector.wsgi_app(path)  # refuses now, and not at the first webhook, if there is no secret
    return _blueprint(connector.receive, path, name, on_request=FirstRequest(connector.start))


def check_free(app: flask.Flask, path: str) -> None:
    """
    Raises:
        ConfigError: a view of the application answers POST there already.
    """
    for rule in _rules_at(app, path):
        raise ConfigError(
            f"La route POST {path} existe déjà dans l'application « {app.name} » (vue {rule.endpoint}), et l'extension "
            "FedaPay la monte elle-même : ôter cette vue ou ce blueprint, ou changer FEDAPAY_WEBHOOK_PATH."
        )


def mount(app: flask.Flask, connector: Connector, path: str) -> None:
    """
    Have webhooks taken in at that path, and the connector's work begun by the first request.

    Raises:
        ConfigError: no webhook secret, or the application serves already.
    """
    connector.wsgi_app(path)  # says that webhooks come in here, and refuses without a secret
    begin = FirstRequest(connector.start)
    unseen = [path]

    def before_request() -> None:
        # CSRFProtect may have been initialised after us; its check then comes after this function.
        _exempt_from_csrf(app)
        while unseen:
            _tell_of_others(app, unseen.pop())
        begin()

    try:
        app.before_request(before_request)
    except AssertionError:
        raise ConfigError(
            f"init_app : l'application « {app.name} » a déjà servi une requête, et Flask n'y ajoute plus de route. "
            "Appeler init_app pendant sa construction."
        ) from None
    view = flask_view(connector.receive)
    # Both, and no redirect: FedaPay follows none, and a redirected POST would lose its body.
    for rule in (path, f"{path}/"):
        app.add_url_rule(rule, ENDPOINT, view, methods=["POST"])
    _exempt_from_csrf(app)


def _exempt_from_csrf(app: flask.Flask) -> None:
    csrf: Any = app.extensions.get("csrf")
    if csrf is not None and hasattr(csrf, "exempt"):
        csrf.exempt(app.view_functions[ENDPOINT])


def _rules_at(app: flask.Flask, path: str) -> Iterator[Rule]:
    for rule in app.url_map.iter_rules():
        if rule.rule.rstrip("/") == path and (rule.methods is None or "POST" in rule.methods):
            yield rule


def _tell_of_others(app: flask.Flask, path: str) -> None:
    for rule in _rules_at(app, path):
        if rule.endpoint != ENDPOINT:
            log.error("the route POST %s is mounted twice: view %s is never called", path, rule.endpoint)
