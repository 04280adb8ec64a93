"""The setting ``FEDAPAY`` of a project: what is in it, or else in the environment, as a connector takes it."""

import difflib
from collections.abc import Mapping
from typing import Any, Dict

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from fedapay_sync.common.env import API_KEY, API_URL, AUTH_KEY, CALLBACKS, DB_URL, from_environment, test_settings
from fedapay_sync.common.masking import safe_repr
from fedapay_sync.django.database import default_url
from fedapay_sync.errors import ConfigError

SETTING = "FEDAPAY"
_PREFIX = "FEDAPAY_"

#: By the names in the setting: the arguments of a connector.
_ARGUMENTS = {
    "API_KEY": "api_key",
    "API_KEYS": "api_keys",
    "API_URL": "fedapay_api_url",
    "AUTH_KEY": "fedapay_webhooks_secret_key",
    "CALLBACKS": "callbacks",
    "CALLBACK_TIMEOUT": "callback_timeout",
    "CONFIRM_WITH_API": "confirm_with_api",
    "DB_URL": "db_url",
    "KEEP_BODIES_DAYS": "keep_bodies_days",
    "OBSERVER": "observer",
    "ON_TIMEOUT": "on_timeout",
    "POLL_RATE": "poll_rate",
}
_REQUIRED = (API_URL, API_KEY, AUTH_KEY)
#: Those that the environment may have instead.
_IN_ENVIRONMENT = (*_REQUIRED, DB_URL, CALLBACKS)
#: Here None is a value: bodies are kept without limit.
_MAY_BE_NONE = "KEEP_BODIES_DAYS"


def read_settings() -> Dict[str, Any]:
    """
    The arguments of the project's connector.

    Raises:
        ConfigError: something is missing, unknown, or of another kind.
    """
    given = {name: value for name, value in _given().items() if value not in (None, "", [], ()) or name == _MAY_BE_NONE}
    for name in _IN_ENVIRONMENT:
        value = from_environment(name)
        if value is not None:
            given.setdefault(name[len(_PREFIX) :], value)
    given.update({name[len(_PREFIX) :]: value for name, value in test_settings.items()})
    missing = [name[len(_PREFIX) :] for name in _REQUIRED if name[len(_PREFIX) :] not in given]
    if missing:
        raise ConfigError(
            f"FedaPay : il manque {', '.join(missing)} dans le réglage {SETTING} (settings.py), et "
            f"{', '.join(_PREFIX + name for name in missing)} dans l'environnement. API_URL est l'adresse de l'API, "
            "API_KEY la clé secrète (sk_…), AUTH_KEY le secret des webhooks (wh_…), du tableau de bord FedaPay ; pour "
            "essayer, ceux qu'écrit fedapay-sync emulator."
        )
    if "DB_URL" not in given:
        given["DB_URL"] = default_url()
    if isinstance(given.get("OBSERVER"), str):
        given["OBSERVER"] = _imported(given["OBSERVER"])
    return {_ARGUMENTS[name]: value for name, value in given.items()}


def is_set(name: str) -> bool:
    """Whether the project, and not a default, says that."""
    return _given().get(name) not in (None, "") or from_environment(_PREFIX + name) is not None


def _given() -> Dict[str, Any]:
    try:
        given = getattr(settings, SETTING, None) or {}
    except ImproperlyConfigured as error:
        raise ConfigError(
            f"FedaPay : Django n'a pas de réglages ici ({str(error).split('.')[0]}). Passer par manage.py, ou définir "
            "DJANGO_SETTINGS_MODULE et appeler django.setup()."
        ) from None
    if not isinstance(given, Mapping):
        raise ConfigError(
            f'{SETTING} : un dictionnaire est attendu, {SETTING} = {{"API_KEY": "sk_…", "API_URL": "https://…", '
            f'"AUTH_KEY": "wh_…"}}, reçu {type(given).__name__}.'
        )
    for name in given:
        if name not in _ARGUMENTS:
            raise ConfigError(f"{SETTING} : {safe_repr(name)} n'est pas un réglage.{_hint(name)}")
    return dict(given)


def _hint(name: Any) -> str:
    text = str(name).upper()
    found = difflib.get_close_matches(text[len(_PREFIX) :] if text.startswith(_PREFIX) else text, _ARGUMENTS, 1)
    return f" Écrire {found[0]} ?" if found else f" Ceux qui existent : {', '.join(_ARGUMENTS)}."


def _imported(path: str) -> Any:
    try:
        return import_string(path)
    except ImportError as error:
        raise ConfigError(f"{SETTING} : OBSERVER={safe_repr(path)} ne s'importe pas ({error}).") from None
