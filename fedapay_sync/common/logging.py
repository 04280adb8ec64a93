"""The package's loggers, which mask every record and keep it on its line, and the handlers that are asked for."""

import logging
import os
import stat
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Callable, Dict, Optional

from fedapay_sync.common.masking import escape_controls, mask
from fedapay_sync.errors import ConfigError

#: A log file that has so many bytes is put aside, and so many of these are kept.
_LOG_BYTES = 5_000_000
_OLD_LOGS = 5
# Windows has neither.
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


_TRACEBACK = "fedapay_sync_traceback"


class MaskingFilter(logging.Filter):
    """
    Masks every record of our logger, arguments and traceback included, before any handler sees it.

    What others wrote cannot forge a record: a message stays on one line, and each line of a traceback is set in.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = escape_controls(mask(record.getMessage()))
        record.args = None
        if record.exc_info:
            record.exc_text = _block(logging.Formatter().formatException(record.exc_info))
            # A formatter shows exc_text as well; one that looks at exc_info itself would show the secret.
            record.exc_info = None
        traceback = record.__dict__.pop(_TRACEBACK, None)
        if traceback is not None:
            record.exc_text = _block(traceback)
        if record.stack_info:
            record.stack_info = _block(record.stack_info)
        return True


def _block(text: str) -> str:
    return "\n".join("    " + escape_controls(line) for line in mask(text).split("\n"))


def with_traceback(text: Optional[str]) -> Dict[str, Any]:
    """What a record has to be given as ``extra``, so that a traceback that was written before stands under it."""
    return {} if text is None else {_TRACEBACK: text}


def get_logger(name: str) -> logging.Logger:
    """Our logger of that name; its records are masked before any handler sees them."""
    logger = logging.getLogger(name)
    if not any(isinstance(each, MaskingFilter) for each in logger.filters):
        logger.addFilter(MaskingFilter())
    return logger


def attach_handlers(*, console: bool, file: bool) -> None:
    """Attach the handlers that were asked for, once in a process, whatever other logging the program has."""
    logger = logging.getLogger("fedapay_sync")
    wanted: Dict[str, Callable[[], logging.Handler]] = {}
    if console:
        wanted["fedapay_sync console"] = logging.StreamHandler
    if file:
        wanted["fedapay_sync file"] = _log_file
    present = {handler.name for handler in logger.handlers}
    for name, make in wanted.items():
        if name not in present:
            handler = make()
            handler.name = name
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)


class _PrivateFileHandler(RotatingFileHandler):
    """The log file, and the one that follows it when it is full: for its owner only, and never through a link."""

    def _open(self) -> Any:
        def private(path: str, flags: int) -> int:
            return os.open(path, flags | _NOFOLLOW, 0o600)

        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=private)


def _log_file() -> logging.Handler:
    path = Path("logs") / "fedapay_sync.log"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if path.is_symlink():
            raise ConfigError(
                f"Le journal {path} est un lien symbolique : ce qui est écrit irait là où un autre l'a décidé. "
                "L'enlever, ou laisser save_log_to_file=False."
            )
        _make_private(path)
        return _PrivateFileHandler(path, maxBytes=_LOG_BYTES, backupCount=_OLD_LOGS, encoding="utf-8", delay=True)
    except OSError as error:
        raise ConfigError(
            f"Le journal {path} ne peut pas être écrit ({error.strerror or error}). Lancer le programme dans un "
            "dossier inscriptible, ou laisser save_log_to_file=False."
        ) from None


def _make_private(path: Path) -> None:
    """Make it, or take from others the right to read it, before anything is written to it."""
    # Without blocking: opening a pipe for writing waits for a process that reads it.
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | _NOFOLLOW | _NONBLOCK, 0o600)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(None, "pas un fichier")
        # Where others own it, it is theirs to say.
        if hasattr(os, "fchmod") and found.st_mode & 0o077 and found.st_uid == os.geteuid():
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
