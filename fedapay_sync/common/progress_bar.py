"""Shows the progress of a long wait, by tqdm where that is installed and a person looks."""

import contextlib
import importlib
import sys
import warnings
from collections import Counter
from typing import Any, Iterator, Optional, Protocol

from fedapay_sync.common.hosting import is_interactive
from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import safe_repr
from fedapay_sync.errors import InvalidArgument

log = get_logger(__name__)


class Bar(Protocol):
    """What is told of each thing that is done."""

    def add(self, word: str) -> None:
        """One more is done; the word says how."""


class _NoBar:
    def add(self, word: str) -> None:
        pass


class _Tqdm:
    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._words: Counter[str] = Counter()

    def add(self, word: str) -> None:
        self._words[word] += 1
        self._bar.set_postfix_str(", ".join(f"{count} {each}" for each, count in self._words.items()), refresh=False)
        self._bar.update(1)


def checked_progress(progress: Optional[bool]) -> Optional[bool]:
    """
    Whether a bar is asked for: True, False, or None where it depends on who looks.

    Raises:
        InvalidArgument: anything else.
    """
    if progress is None or isinstance(progress, bool):
        return progress
    raise InvalidArgument(
        f"progress={safe_repr(progress)} : True (une barre), False (rien) ou None (une barre si quelqu'un regarde) "
        "est attendu.",
        field="progress",
    )


@contextlib.contextmanager
def progress_bar(total: int, progress: Optional[bool], what: str) -> Iterator[Bar]:
    """A bar for so many things, gone with the context; one that shows nothing where there is no tqdm, or no one."""
    made = _tqdm(total, what) if (_is_looked_at() if progress is None else progress) else None
    if made is None:
        yield _NoBar()
        return
    try:
        yield _Tqdm(made)
    finally:
        made.close()


def _is_looked_at() -> bool:
    # None under pythonw; a stream that is closed raises.
    with contextlib.suppress(ValueError, AttributeError):
        if sys.stderr.isatty():
            return True
    return is_interactive()


def _tqdm(total: int, what: str) -> Any:
    try:
        # By name: it is not among the package's requirements.
        with warnings.catch_warnings():
            # It warns where a notebook lacks widgets, and then draws with characters.
            warnings.simplefilter("ignore")
            tqdm = importlib.import_module("tqdm.auto").tqdm
            return tqdm(total=total, desc=what, unit="", dynamic_ncols=True)
    except ImportError:
        log.info("no progress bar: tqdm is not installed")
        return None
