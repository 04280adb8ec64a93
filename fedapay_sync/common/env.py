"""What the environment of this process says, read when it is asked for, and nowhere else in the package."""

import os
import sys
from typing import Optional

API_URL = "FEDAPAY_API_URL"
API_KEY = "FEDAPAY_API_KEY"
AUTH_KEY = "FEDAPAY_AUTH_KEY"
ENDPOINT_NAME = "FEDAPAY_ENDPOINT_NAME"
DB_URL = "FEDAPAY_DB_URL"


def from_environment(name: str, default: Optional[str] = None) -> Optional[str]:
    """An environment variable as it is now; an empty one counts as absent."""
    value = os.environ.get(name, "").strip()
    return value or default


def is_reloader_child() -> bool:
    """Whether Flask's or Django's reloader started this process: it serves, and its parent only watches files."""
    return "true" in (os.environ.get("WERKZEUG_RUN_MAIN"), os.environ.get("RUN_MAIN"))


def is_reloader_parent() -> bool:
    """
    Whether this process only watches files and will start another one that serves.

    Certain only where the command line says so: who calls ``app.run(debug=True)`` later tells nobody now.
    """
    arguments = sys.argv[1:]
    if is_reloader_child():
        return False
    if os.environ.get("FLASK_RUN_FROM_CLI") == "true" and "run" in arguments:
        debug = os.environ.get("FLASK_DEBUG", "").lower() not in ("", "0", "false", "no")
        return "--no-reload" not in arguments and (debug or "--reload" in arguments)
    return "django" in sys.modules and "runserver" in arguments and "--noreload" not in arguments
