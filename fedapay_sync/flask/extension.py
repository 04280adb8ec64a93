"""The Flask extension: one connector for each application, found through the current one."""

import functools
import weakref
from typing import Any, Optional, Sequence, Union, cast

import flask

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.common.config import DEFAULT_POLL_RATE
from fedapay_sync.common.frames import private_methods
from fedapay_sync.connector.connector import Connector
from fedapay_sync.connector.forwarding import ConnectorMethods
from fedapay_sync.connector.functions import Functions, Observer, Registered
from fedapay_sync.enums import OnTimeout
from fedapay_sync.errors import ConfigError
from fedapay_sync.flask.commands import commands
from fedapay_sync.flask.routes import check_free, mount
from fedapay_sync.flask.settings import EXTENSION, read_settings
from fedapay_sync.workflow.reconciliation.polling_policy import Pace


@private_methods
class FedaPay(ConnectorMethods):
    """
    L'extension Flask : un connecteur par application, la route des webhooks, et la commande ``flask fedapay``.

    ``FedaPay(app)``, ou ``FedaPay()`` puis ``init_app(app)``. Les méthodes sont celles de ``Connector``, pour
    l'application courante. Les fonctions données à ``on_paid``, ``on_webhook``… le sont à toutes les applications de
    l'extension, déjà initialisées ou non ; chacune est appelée dans le contexte de la sienne (``app.app_context()``).

    Les réglages sont lus dans ``app.config``, et sinon dans l'environnement : ``FEDAPAY_API_KEY``, ``FEDAPAY_API_URL``,
    ``FEDAPAY_AUTH_KEY`` (le secret des webhooks), ``FEDAPAY_DB_URL`` (un fichier du dossier ``instance`` par défaut),
    ``FEDAPAY_CALLBACKS`` (``here``, ``worker`` ou ``inline``) et ``FEDAPAY_WEBHOOK_PATH`` (ou
    ``FEDAPAY_ENDPOINT_NAME``, sans ``/`` devant ; ``/webhooks/fedapay`` par défaut).

    Args:
        app: l'application ; sans elle, appeler ``init_app``.
        on_timeout: comme pour ``Connector``, et de même pour tout ce qui suit.
    """

    def __init__(
        self,
        app: Optional[flask.Flask] = None,
        *,
        on_timeout: Union[OnTimeout, str] = OnTimeout.KEEP,
        confirm_with_api: bool = False,
        api_keys: Sequence[str] = (),
        keep_bodies_days: Optional[float] = 30,
        poll_rate: float = DEFAULT_POLL_RATE,
        callback_timeout: float = 10,
        observer: Optional[Observer] = None,
        clock: Clock = SYSTEM_CLOCK,
        pace: Optional[Pace] = None,
    ) -> None:
        self._make = functools.partial(
            Connector,
            on_timeout=on_timeout,
            confirm_with_api=confirm_with_api,
            api_keys=api_keys,
            keep_bodies_days=keep_bodies_days,
            poll_rate=poll_rate,
            callback_timeout=callback_timeout,
            observer=observer,
            clock=clock,
            pace=pace,
        )
        self._callbacks = Functions()
        # Weakly: an application that the program has dropped is collected, with its connector, threads and files.
        self._apps: weakref.WeakSet[flask.Flask] = weakref.WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """
        Donne à cette application son connecteur (``app.extensions["fedapay"]``), la route POST des webhooks, avec et
        sans ``/`` à la fin, et la commande ``flask fedapay``. N'ouvre rien et ne démarre rien : le travail commence à
        la première requête.

        La route est exemptée de ``CSRFProtect`` (Flask-WTF), initialisée avant ou après.

        Raises:
            ConfigError: réglage manquant ou contradictoire, route déjà prise, ou extension déjà initialisée.
        """
        app = _checked_app(app)
        settings = read_settings(app)
        check_free(app, settings.path)
        connector = self._make(
            fedapay_api_url=settings.api_url,
            fedapay_webhooks_secret_key=settings.auth_key,
            listen_server_endpoint_name=settings.path.strip("/"),
            db_url=settings.db_url,
            callbacks=settings.callbacks,
            api_key=settings.api_key,
            around_callback=app.app_context,
        )
        for each in self._callbacks.values():
            connector._register(each, "init_app")
        mount(app, connector, settings.path)
        app.cli.add_command(commands)
        app.extensions[EXTENSION] = connector
        self._apps.add(app)

    @property
    def connector(self) -> Connector:
        """
        Le connecteur de l'application courante.

        Raises:
            ConfigError: hors du contexte d'une application, ou ``init_app`` n'a pas été appelée pour elle.
        """
        if not flask.has_app_context():
            raise ConfigError(
                "FedaPay : aucune application courante. Appeler depuis une requête, un callback ou une commande flask, "
                "ou écrire « with app.app_context(): » autour (un thread à soi, un script, un test)."
            )
        app = _unwrapped(flask.current_app)
        if app not in self._apps:
            raise ConfigError(
                f"FedaPay n'est pas initialisée pour l'application « {app.name} » : appeler d'abord init_app(app), "
                "dans create_app par exemple."
            )
        return cast(Connector, app.extensions[EXTENSION])

    def __repr__(self) -> str:
        names = ", ".join(sorted(each.name for each in list(self._apps)))
        return f"FedaPay({names})"

    def _register(self, callback: Registered, what: str) -> None:
        try:
            self._callbacks.register(callback, what)
        except ConfigError as error:
            if "<locals>" not in callback.name.name:
                raise
            raise ConfigError(
                f"{error} Dans une fabrique (create_app), définir la fonction hors d'elle, ou la donner à cette "
                'application seule : app.extensions["fedapay"].on_paid(…).'
            ) from None
        for app in list(self._apps):
            cast(Connector, app.extensions[EXTENSION])._register(callback, what)


def _unwrapped(app: Any) -> flask.Flask:
    """The application behind a proxy like ``current_app``."""
    return cast(flask.Flask, getattr(app, "_get_current_object", lambda: app)())


def _checked_app(given: Any) -> flask.Flask:
    app = _unwrapped(given)
    if not isinstance(app, flask.Flask):
        raise ConfigError(f"FedaPay : une application Flask est attendue, reçu {type(app).__name__}.")
    if EXTENSION in app.extensions:
        raise ConfigError(
            f"L'application « {app.name} » a déjà une extension FedaPay : une seule par application, initialisée une "
            "fois. Pour un second compte marchand, construire un Connector et monter fedapay_sync.flask.blueprint."
        )
    return app
