"""
Les webhooks dans une application Flask existante.

Example:
    >>> app.register_blueprint(fedapay_sync.flask.blueprint(connector, "/webhooks/fedapay"))
"""

from typing import TYPE_CHECKING

from fedapay_sync.connector.connector import Connector
from fedapay_sync.connector.working import FirstRequest
from fedapay_sync.workflow.webhooks.wsgi import blueprint as _blueprint

if TYPE_CHECKING:
    import flask


def blueprint(connector: Connector, path: str = "/webhooks/fedapay", name: str = "fedapay") -> "flask.Blueprint":
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
