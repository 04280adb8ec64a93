"""One Django project for all tests of this folder, set to the emulator; its tables are empty at each test."""

import pytest
from support import django_shop


@pytest.fixture(scope="session")
def django_project(tmp_path_factory):
    """This process, set to the project."""
    pytest.importorskip("django")
    django_shop.configure(tmp_path_factory.mktemp("django"))


@pytest.fixture
def django_settings(emulator, tmp_path):
    """What ``FEDAPAY`` is set to."""
    return {
        "API_URL": emulator.url,
        "API_KEY": emulator.secret_key,
        "AUTH_KEY": emulator.webhook_secret,
        "DB_URL": f"sqlite:///{tmp_path}/fedapay.db",
        "CALLBACKS": "inline",
    }


@pytest.fixture
def shop(django_project, django_settings):
    """The project's connector, with ``FEDAPAY`` set to the emulator, and callbacks inline."""
    from django.test import override_settings
    from support.django_shop.fedapay_callbacks import after
    from support.django_shop.models import Order

    from fedapay_sync.django import fedapay

    with override_settings(FEDAPAY=django_settings):
        yield fedapay
    after.clear()
    Order.objects.all().delete()
