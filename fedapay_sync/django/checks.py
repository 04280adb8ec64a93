"""System checks: ``manage.py check`` says what a first payment would stumble over. Nothing is opened or started."""

from typing import Any, List

from django.conf import settings
from django.core import checks
from django.db import connections
from django.urls import NoReverseMatch, reverse

from fedapay_sync.common.credentials import is_loopback
from fedapay_sync.connector.connector import config_of
from fedapay_sync.django import fedapay
from fedapay_sync.django.database import database_name
from fedapay_sync.django.settings import SETTING, is_set
from fedapay_sync.django.transactions import is_test_run
from fedapay_sync.enums import CallbackMode
from fedapay_sync.errors import ConfigError

_TAG = "fedapay"
ROUTE = "fedapay:webhook"


def register() -> None:
    """Have them run by ``manage.py check``, and the last one by ``check --deploy``."""
    checks.register(check_settings, _TAG)
    checks.register(check_project, _TAG)
    checks.register(check_deployment, _TAG, deploy=True)


def check_settings(**kwargs: Any) -> List[checks.CheckMessage]:
    """fedapay.E001: the connector cannot be made of these settings."""
    if is_test_run() and not is_set("DB_URL"):
        # Django's runner checks before its databases are there.
        return []
    try:
        fedapay._configured()
    except ConfigError as error:
        return [checks.Error(error.message, id="fedapay.E001")]
    return []


def check_project(**kwargs: Any) -> List[checks.CheckMessage]:
    """fedapay.W001 to W004: what is around the connector."""
    found: List[checks.CheckMessage] = []
    if settings.ROOT_URLCONF and not has_route():
        found.append(
            checks.Warning(
                "La route des webhooks n'est pas montée : FedaPay ne peut rien dire à ce projet.",
                hint='Ajouter à urlpatterns : path("webhooks/", include("fedapay_sync.django.urls")).',
                id="fedapay.W001",
            )
        )
    unread = [f"FEDAPAY_{name}" for name in ("API_KEY", "API_URL", "AUTH_KEY", "DB_URL", "CALLBACKS")]
    unread = [name for name in unread if hasattr(settings, name)]
    if unread:
        found.append(
            checks.Warning(
                f"{', '.join(unread)} de settings.py n'est pas lu.",
                hint=f'Les réglages sont dans un dictionnaire : {SETTING} = {{"API_KEY": …, "API_URL": …}}.',
                id="fedapay.W002",
            )
        )
    vendor = _vendor()
    if vendor not in ("postgresql", "sqlite") and not is_set("DB_URL"):
        found.append(
            checks.Warning(
                f'Les paiements ne peuvent pas être gardés dans DATABASES["default"] ({vendor}) : ils vont dans un '
                "fichier de BASE_DIR.",
                hint="Sur plusieurs machines, donner à toutes la même base : DB_URL avec une URL postgresql://.",
                id="fedapay.W003",
            )
        )
    if any(each.get("ATOMIC_REQUESTS") for each in getattr(settings, "DATABASES", {}).values()):
        found.append(
            checks.Info(
                "ATOMIC_REQUESTS : une vue qui appelle pay peut demander l'argent d'une commande ensuite annulée.",
                hint="Y appeler fedapay.pay_on_commit, ou la décorer de transaction.non_atomic_requests.",
                id="fedapay.I001",
            )
        )
    return found


def check_deployment(**kwargs: Any) -> List[checks.CheckMessage]:
    """fedapay.W011 and W012: settings that are for trying out."""
    try:
        config = config_of(fedapay._configured())
    except ConfigError:
        return []  # fedapay.E001 says so
    found: List[checks.CheckMessage] = []
    if is_loopback(config.api_url):
        found.append(
            checks.Warning(
                f"API_URL={config.api_url} est un émulateur de cette machine : personne ne paierait vraiment.",
                hint="API_URL = https://api.fedapay.com, avec la clé et le secret du compte réel.",
                id="fedapay.W011",
            )
        )
    if config.callbacks == CallbackMode.INLINE:
        found.append(
            checks.Warning(
                "CALLBACKS = \"inline\" : un callback qui échoue n'est rappelé qu'au prochain événement.",
                hint='"here", ou "worker" et un processus manage.py fedapay_worker.',
                id="fedapay.W012",
            )
        )
    return found


def has_route() -> bool:
    """Whether the project has the webhook route."""
    try:
        reverse(ROUTE)
    except NoReverseMatch:
        return False
    return True


def _vendor() -> str:
    if database_name() is None:
        return "absente"
    return str(connections["default"].vendor)
