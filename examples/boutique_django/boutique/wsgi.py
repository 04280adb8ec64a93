"""Pour un serveur : ``gunicorn boutique.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "boutique.settings")
application = get_wsgi_application()
