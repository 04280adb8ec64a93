"""The environment variables of the package, read when they are asked for."""

import contextlib
import os
from typing import Any, Dict, Iterator, Mapping, Optional

API_URL = "FEDAPAY_API_URL"
API_KEY = "FEDAPAY_API_KEY"
AUTH_KEY = "FEDAPAY_AUTH_KEY"
ENDPOINT_NAME = "FEDAPAY_ENDPOINT_NAME"
DB_URL = "FEDAPAY_DB_URL"
#: Read by the extensions of the web frameworks.
CALLBACKS = "FEDAPAY_CALLBACKS"
WEBHOOK_PATH = "FEDAPAY_WEBHOOK_PATH"

#: While a test has an emulator: what leads to it, by the names above. A Django project, whose settings are written in a
#: module, has these in their place.
test_settings: Dict[str, Any] = {}


def from_environment(name: str, default: Optional[str] = None) -> Optional[str]:
    """An environment variable as it is now; an empty one counts as absent."""
    value = os.environ.get(name, "").strip()
    return value or default


@contextlib.contextmanager
def environment_changed(changes: Mapping[str, Optional[str]]) -> Iterator[None]:
    """Inside, these environment variables have these values; None: absent."""
    before = {name: os.environ.get(name) for name in changes}
    try:
        _change(changes)
        yield
    finally:
        _change(before)


def _change(changes: Mapping[str, Optional[str]]) -> None:
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
