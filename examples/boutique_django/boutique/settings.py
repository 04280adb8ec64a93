"""Les réglages de la boutique. Ceux de FedaPay viennent de l'environnement, ou sont ceux d'un FedaPay d'essai."""

import os
from pathlib import Path

from fedapay_sync.emulator import SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET

BASE_DIR = Path(__file__).resolve().parents[1]
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "pour essayer seulement")
DEBUG = os.environ.get("DJANGO_DEBUG", "1") == "1"
ALLOWED_HOSTS = os.environ.get("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1").split(",")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "fedapay_sync.django",
    "commandes",
]
FEDAPAY = {
    "API_URL": os.environ.get("FEDAPAY_API_URL", "http://127.0.0.1:8800"),
    "API_KEY": os.environ.get("FEDAPAY_API_KEY", SANDBOX_SECRET_KEY),
    "AUTH_KEY": os.environ.get("FEDAPAY_AUTH_KEY", SANDBOX_WEBHOOK_SECRET),
}

if os.environ.get("BOUTIQUE_POSTGRES"):
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ.get("PGDATABASE", "boutique"),
            "USER": os.environ.get("PGUSER", ""),
            "PASSWORD": os.environ.get("PGPASSWORD", ""),
            "HOST": os.environ.get("PGHOST", ""),
            "PORT": os.environ.get("PGPORT", ""),
        }
    }
else:
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

ROOT_URLCONF = "boutique.urls"
WSGI_APPLICATION = "boutique.wsgi.application"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
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
]
LANGUAGE_CODE = "fr"
TIME_ZONE = "Africa/Porto-Novo"
USE_TZ = True
STATIC_URL = "static/"
