"""The log handlers that a connector attaches when it is asked to."""

import logging
import os
from pathlib import Path
from typing import Callable, Dict

from fedapay_sync.common.config import Config
from fedapay_sync.errors import ConfigError


def log_to(config: Config) -> None:
    """Attach the handlers that were asked for, once in a process, whatever other logging the program has."""
    logger = logging.getLogger("fedapay_sync")
    wanted: Dict[str, Callable[[], logging.Handler]] = {}
    if config.print_log_to_console:
        wanted["fedapay_sync console"] = logging.StreamHandler
    if config.save_log_to_file:
        wanted["fedapay_sync file"] = _log_file
    present = {handler.name for handler in logger.handlers}
    for name, make in wanted.items():
        if name not in present:
            handler = make()
            handler.name = name
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)


def _log_file() -> logging.Handler:
    path = Path("logs") / "fedapay_sync.log"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        # Made private before anything is written to it.
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        return logging.FileHandler(path, encoding="utf-8", delay=True)
    except OSError as error:
        raise ConfigError(
            f"Le journal {path} ne peut pas être écrit ({error.strerror or error}). Lancer le programme dans un "
            "dossier inscriptible, ou laisser save_log_to_file=False."
        ) from None
