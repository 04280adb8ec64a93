"""
Keeps the log lines of background threads out of a notebook's cells.

A kernel shows what any thread writes under the cell that runs at that moment, and Python writes warnings of a program
without logging to stderr: a webhook refused at night would stand under a table of sums. So in a kernel our logger has a
handler of its own, which shows the warnings of the thread that runs the cells, as Python would, and keeps the last ones
of other threads for the connector's card. Whoever asks for log lines has all of them: ``print_log_to_console=True``,
``save_log_to_file=True`` or handlers of the program's own (``logging.basicConfig()``), which get every record as ever.
"""

import collections
import logging
import threading
import time
from typing import Deque, List, Optional

from fedapay_sync.common.hosting import is_notebook_kernel

_NAME = "fedapay_sync notebook"
#: So many lines are kept.
_KEPT = 5


class BackgroundLog(logging.Handler):
    """Shows the warnings of the thread that runs cells, where no other handler does, and keeps those of the others."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.name = _NAME
        formatter = logging.Formatter("%(asctime)s %(message)s", "%d/%m %H:%M UTC")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)
        self._kept: Deque[str] = collections.deque(maxlen=_KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != threading.main_thread().ident:
            self._kept.append(self.format(logging.makeLogRecord({**record.__dict__, "exc_text": None})))
        elif logging.lastResort is not None and not _other_handlers():
            logging.lastResort.handle(record)

    @property
    def kept(self) -> List[str]:
        """The last warnings of background threads, the oldest first."""
        return list(self._kept)


def keep_out_of_cells() -> None:
    """Attach the handler, once, if this process is a notebook's kernel."""
    if is_notebook_kernel() and background_log() is None:
        logging.getLogger("fedapay_sync").addHandler(BackgroundLog())


def background_log() -> Optional[BackgroundLog]:
    """The handler, if it is attached."""
    return next((each for each in _own_handlers() if isinstance(each, BackgroundLog)), None)


def kept_warnings() -> List[str]:
    """The last warnings that no cell has shown."""
    handler = background_log()
    return [] if handler is None else handler.kept


def _own_handlers() -> List[logging.Handler]:
    return list(logging.getLogger("fedapay_sync").handlers)


def _other_handlers() -> bool:
    logger = logging.getLogger("fedapay_sync")
    above = logger.parent.handlers if logger.propagate and logger.parent is not None else []
    return any(not isinstance(each, BackgroundLog) for each in (*_own_handlers(), *above))
