"""The host of this process (gunicorn, uWSGI, a reloader, a notebook), where it decides what can work."""

import inspect
import os
import sys
import warnings
from typing import Any, Set, Tuple

from fedapay_sync.common.logging import get_logger

log = get_logger(__name__)

_GUNICORN_SYNC = (
    "finalise est appelée dans une requête que sert un worker « sync » de gunicorn : il ne sert rien d'autre pendant "
    "l'attente, et gunicorn le tue après 30 s. Dans une requête, appeler listen, qui ne bloque pas, et répondre ; "
    "ou lancer gunicorn avec des threads : gunicorn -k gthread --threads 8."
)
_UWSGI_WITHOUT_THREADS = (
    "uWSGI tourne sans threads : les callbacks, les attentes et l'écriture de la base en ont besoin. Ajouter "
    "enable-threads = true et lazy-apps = true à sa configuration."
)

_warned: Set[Tuple[int, str]] = set()


def is_reloader_child() -> bool:
    """Whether Flask's or Django's reloader started this process: it serves, and its parent only watches files."""
    return "true" in (os.environ.get("WERKZEUG_RUN_MAIN"), os.environ.get("RUN_MAIN"))


def is_reloader_parent() -> bool:
    """
    Whether this process only watches files and will start another one that serves.

    Certain only where the command line says so: of a later ``app.run(debug=True)`` there is no sign yet.
    """
    arguments = sys.argv[1:]
    if is_reloader_child():
        return False
    if os.environ.get("FLASK_RUN_FROM_CLI") == "true" and "run" in arguments:
        debug = os.environ.get("FLASK_DEBUG", "").lower() not in ("", "0", "false", "no")
        return "--no-reload" not in arguments and (debug or "--reload" in arguments)
    return "django" in sys.modules and "runserver" in arguments and "--noreload" not in arguments


def is_interactive() -> bool:
    """Whether a person types this program line by line or cell by cell: IPython in any kernel, Python's own prompt."""
    return _ipython_shell() is not None or hasattr(sys, "ps1")


def is_notebook_kernel() -> bool:
    """Whether this process is a notebook's kernel: IPython runs in it for a front end, and not in a terminal."""
    return getattr(_ipython_shell(), "kernel", None) is not None


def warn_where_waiting_blocks() -> None:
    """Warn once if the caller is a request of a gunicorn worker that serves one at a time."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "gunicorn.workers.sync":
            warn_once(_GUNICORN_SYNC)
            return
        frame = frame.f_back


def warn_without_threads() -> None:
    """Warn once if this is a uWSGI that was not told to run Python's threads."""
    # Only uWSGI itself has that module, and has it loaded.
    options = getattr(sys.modules.get("uwsgi"), "opt", None)
    if options is not None and not {"enable-threads", b"enable-threads", "threads", b"threads"} & set(options):
        warn_once(_UWSGI_WITHOUT_THREADS)


def _ipython_shell() -> Any:
    # Who uses it has loaded it.
    ipython = sys.modules.get("IPython")
    return None if ipython is None else getattr(ipython, "get_ipython", lambda: None)()


def was_warned(text: str) -> bool:
    """Whether this process has been warned in these words."""
    return (os.getpid(), text) in _warned


def warn_once(text: str) -> None:
    """Warn of it in the log and by Python's warnings, at the program's own line, once in each process."""
    if not was_warned(text):
        _warned.add((os.getpid(), text))
        log.warning("%s", text)
        warnings.warn(text, RuntimeWarning, stacklevel=_depth_of_program())


def _depth_of_program() -> int:
    """How far above ``warn_once`` the program has called the package."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "fedapay_sync":
        depth, frame = depth + 1, frame.f_back
    return depth
