"""A small Django project: one application with one model; ``configure`` sets this process to it, once."""

import sys
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent


def settings(folder: Path, **changes: Any) -> dict:
    """The settings of the project, with its database in that folder."""
    return {
        "BASE_DIR": folder,
        "SECRET_KEY": "of the session",
        "ALLOWED_HOSTS": ["*"],
        "ROOT_URLCONF": "support.django_shop.urls",
        "INSTALLED_APPS": [
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "fedapay_sync.django",
            "support.django_shop",
        ],
        "MIDDLEWARE": [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        "STATIC_URL": "static/",
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "shop.sqlite3")}},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "USE_TZ": True,
        **changes,
    }


def configure(folder: Path) -> None:
    """Set this process to the project; again, it has no effect."""
    import django
    from django.conf import settings as configured

    if not configured.configured:
        configured.configure(**settings(folder))
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0, run_syncdb=True)
    assert "support.django_shop" in sys.modules
