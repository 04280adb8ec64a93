"""The settings of an application: from ``app.config``, or else from the environment."""

import re
import urllib.parse
from typing import Any, NamedTuple

import flask

from fedapay_sync.common.env import (
    API_KEY,
    API_URL,
    AUTH_KEY,
    CALLBACKS,
    DB_URL,
    ENDPOINT_NAME,
    WEBHOOK_PATH,
    from_environment,
)
from fedapay_sync.common.masking import safe_repr
from fedapay_sync.enums import CallbackMode
from fedapay_sync.errors import ConfigError

#: Under this name an application has its connector in ``app.extensions``.
EXTENSION = "fedapay"
DEFAULT_PATH = "/webhooks/fedapay"
_PATH = re.compile(r"/?[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*/?")


class Settings(NamedTuple):
    """
    What an application is set to, as the connector takes it: some of it is checked there.

    Attributes:
        path: where the webhooks come in, without a last slash.
    """

    api_url: Any
    api_key: Any
    auth_key: Any
    db_url: Any
    callbacks: Any
    path: str


def read_settings(app: flask.Flask) -> Settings:
    """
    Raises:
        ConfigError: something is missing, or contradicts something else.
    """
    found = {name: _setting(app, name) for name in (API_URL, API_KEY, AUTH_KEY)}
    missing = [name for name, value in found.items() if value is None]
    if missing:
        raise ConfigError(
            f"FedaPay : il manque {', '.join(missing)}, dans app.config (à remplir avant init_app) comme dans "
            f"l'environnement. {API_URL} est l'adresse de l'API, {API_KEY} la clé secrète (sk_…), {AUTH_KEY} le secret "
            "des webhooks (wh_…), du tableau de bord FedaPay ; pour essayer, ceux qu'écrit fedapay-sync emulator."
        )
    return Settings(
        api_url=found[API_URL],
        api_key=found[API_KEY],
        auth_key=found[AUTH_KEY],
        db_url=_setting(app, DB_URL) or _in_instance_folder(app),
        callbacks=_setting(app, CALLBACKS) or CallbackMode.HERE,
        path=_webhook_path(app),
    )


def _in_instance_folder(app: flask.Flask) -> str:
    path = f"{app.instance_path}/fedapay.db".replace("\\", "/")
    return f"sqlite:///{urllib.parse.quote(path, errors='surrogateescape')}"


def _setting(app: flask.Flask, name: str) -> Any:
    """A setting of the application, or else of the environment; what is empty counts as absent."""
    value = app.config.get(name)
    return from_environment(name) if value in (None, "", [], ()) else value


def _webhook_path(app: flask.Flask) -> str:
    """Where the webhooks come in, without a last slash."""
    path, name = _setting(app, WEBHOOK_PATH), _setting(app, ENDPOINT_NAME)
    chosen = path or (f"/{str(name).lstrip('/')}" if name else DEFAULT_PATH)
    if not isinstance(chosen, str) or not _PATH.fullmatch(chosen):
        raise ConfigError(
            f"{WEBHOOK_PATH if path else ENDPOINT_NAME}={safe_repr(path or name)} : un chemin sans adresse ni variable "
            f"est attendu, par exemple {DEFAULT_PATH}."
        )
    if path and name and path.strip("/") != str(name).strip("/"):
        raise ConfigError(
            f"{WEBHOOK_PATH}={safe_repr(path)} et {ENDPOINT_NAME}={safe_repr(name)} se contredisent : en enlever un, "
            "d'app.config ou de l'environnement."
        )
    return "/" + chosen.strip("/")
