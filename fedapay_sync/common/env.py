"""The environment variables of the package, read when they are asked for."""

import os
from typing import Optional

API_URL = "FEDAPAY_API_URL"
API_KEY = "FEDAPAY_API_KEY"
AUTH_KEY = "FEDAPAY_AUTH_KEY"
ENDPOINT_NAME = "FEDAPAY_ENDPOINT_NAME"
DB_URL = "FEDAPAY_DB_URL"
#: Read by the Flask extension.
CALLBACKS = "FEDAPAY_CALLBACKS"
WEBHOOK_PATH = "FEDAPAY_WEBHOOK_PATH"


def from_environment(name: str, default: Optional[str] = None) -> Optional[str]:
    """An environment variable as it is now; an empty one counts as absent."""
    value = os.environ.get(name, "").strip()
    return value or default
