"""The application: finds the callbacks of the others, and begins to work with the first request of a server."""

from typing import Any

from django.apps import AppConfig
from django.core.signals import request_started, setting_changed
from django.utils.module_loading import autodiscover_modules

from fedapay_sync.connector.working import FirstRequest
from fedapay_sync.django import checks, fedapay
from fedapay_sync.django.transactions import is_test_run


class FedapayConfig(AppConfig):
    """L'application ``fedapay_sync.django``."""

    name = "fedapay_sync.django"
    label = "fedapay"
    verbose_name = "FedaPay"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register only: nothing is opened, started or read that migrate, check or a shell have no use for."""
        checks.register()
        autodiscover_modules("fedapay_callbacks")
        self._first_request = FirstRequest(fedapay.start)
        request_started.connect(self._begin, dispatch_uid="fedapay_sync.django")
        setting_changed.connect(_forget_connector, dispatch_uid="fedapay_sync.django")

    def _begin(self, **kwargs: Any) -> None:
        # A test begins what it needs, in a database of its own.
        if not is_test_run():
            self._first_request()


def _forget_connector(*, setting: str, **kwargs: Any) -> None:
    if setting in ("FEDAPAY", "DATABASES"):
        fedapay._forget_connector()
