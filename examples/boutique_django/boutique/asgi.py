"""Pour un serveur ASGI : ``uvicorn boutique.asgi:application``."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "boutique.settings")
application = get_asgi_application()
