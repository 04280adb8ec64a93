"""
Writes out an exception for the log, with file and line of each frame: masked, bounded, without any local variable.

The standard library's writer is not used: it shows what the program wrote as it is, and thousands of lines of a
recursion between two functions.
"""

import collections
import itertools
import linecache
import re
from types import TracebackType
from typing import Deque, List, Optional, Set, Tuple

from fedapay_sync.common.masking import escape_controls, mask

#: What is shown at most: frames of one exception, half of them from each end; exceptions of a chain with its groups;
#: groups within groups; notes and members of one exception.
_FRAMES = 40
_EXCEPTIONS = 20
_DEPTH = 4
_NOTES = 10
_MEMBERS = 10
#: Characters of a text, of a source line, and of a name of a file or function.
_TEXT = 2000
_SOURCE = 200
_NAME = 500
#: What a cut may have left of a secret, too little to be recognized, is within so many characters.
_CUT = 400

_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"
_LEFT_OUT = "(further exceptions are left out)"

#: A literal that is given to a name that tells what it is: in a source line there are spaces and quotes around it.
_SECRET_LITERAL = re.compile(
    r"(?i)((?:token|key|secret|password|passwd|pwd|auth)\w*['\"]?\s*[\])]*(?:\s*:\s*\w+)?\s*[=:,(]\s*[rbuf]{0,2})"
    r"(['\"]+).*?(?:\2|$)"
)


def text_of(error: BaseException) -> str:
    """What a failure says of itself, as it may stand on record and in the log: masked, on one line."""
    try:
        return escape_controls(mask(error))
    except BaseException as broken:  # the program's own class: what it does in its __str__ is the program's
        return f"(its text raises {type(broken).__name__})"


def masked_traceback(error: BaseException, callers: Tuple[str, ...] = ()) -> str:
    """
    The traceback of an exception, with its causes, notes and members, as it may stand in the log.

    Args:
        callers: prefixes of the modules whose frames are left out where the stack begins with them.
    """
    try:
        return "\n".join(_Writer(callers).write(error))
    except BaseException as broken:  # the program's own class: what it does in its attributes is the program's
        return f"(the traceback of {type(error).__name__} cannot be shown: {type(broken).__name__})"


class _Writer:
    """Writes one exception with all that hangs on it, each once."""

    def __init__(self, callers: Tuple[str, ...]) -> None:
        self._callers = callers
        self._seen: Set[int] = set()

    def write(self, error: BaseException, depth: int = 0) -> List[str]:
        """The lines of its chain, the earliest exception first, as Python shows it."""
        blocks: List[List[str]] = []
        current: Optional[BaseException] = error
        while current is not None:
            if id(current) in self._seen or len(self._seen) >= _EXCEPTIONS:
                blocks.append([_LEFT_OUT])
                break
            self._seen.add(id(current))
            blocks.append(self._write_one(current, depth))
            current, link = _preceding(current)
            if current is not None:
                blocks.append(["", link, ""])
        return list(itertools.chain.from_iterable(reversed(blocks)))

    def _write_one(self, error: BaseException, depth: int) -> List[str]:
        lines: List[str] = []
        if error.__traceback__ is not None:
            lines += ["Traceback (most recent call last):", *_frames(error.__traceback__, self._callers)]
        if isinstance(error, SyntaxError) and isinstance(error.text, str):
            lines.append(f"    {_source(error.text)}")
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        text = _text(error)
        lines.append(_cleaned(name, _NAME) + (f": {text}" if text else ""))
        lines += [_text(note) for note in _several(error, "__notes__")[:_NOTES]]
        # Of an ExceptionGroup, or of the one that Python before 3.11 has from a package.
        members = [each for each in _several(error, "exceptions") if isinstance(each, BaseException)]
        if members and depth < _DEPTH:
            for number, member in enumerate(members[:_MEMBERS], 1):
                lines.append(f"  +---- {number} of {len(members)}")
                lines += [f"  | {line}" for line in self.write(member, depth + 1)]
        return lines


def _preceding(error: BaseException) -> Tuple[Optional[BaseException], str]:
    """The exception that Python shows before this one, and what it says between the two."""
    if error.__cause__ is not None:
        return error.__cause__, _CAUSE
    return (None if error.__suppress_context__ else error.__context__), _CONTEXT


def _frames(traceback: TracebackType, callers: Tuple[str, ...]) -> List[str]:
    """A line for each frame, and one with its source where that can be read."""
    first: Optional[TracebackType] = traceback
    while first is not None and str(first.tb_frame.f_globals.get("__name__")).startswith(callers or ("\0",)):
        first = first.tb_next
    # One that no other frame follows is all there is to show: a function with the wrong arguments, for example.
    current: Optional[TracebackType] = first or traceback
    head: List[TracebackType] = []
    tail: Deque[TracebackType] = collections.deque(maxlen=_FRAMES // 2)
    count = 0
    while current is not None:
        if count < _FRAMES // 2:
            head.append(current)
        else:
            tail.append(current)
        count += 1
        current = current.tb_next
    lines = [line for each in head for line in _frame(each)]
    if count > len(head) + len(tail):
        lines.append(f"  ({count - len(head) - len(tail)} frames are left out)")
    return lines + [line for each in tail for line in _frame(each)]


def _frame(traceback: TracebackType) -> List[str]:
    code, line = traceback.tb_frame.f_code, traceback.tb_lineno
    name = getattr(code, "co_qualname", code.co_name)  # the first from Python 3.11 on
    shown = [f'  File "{_cleaned(code.co_filename, _NAME)}", line {line}, in {_cleaned(name, _NAME)}']
    try:
        # Without the loader of the module, which would be code of the program.
        linecache.checkcache(code.co_filename)
        source = linecache.getline(code.co_filename, line)
    except (OSError, ValueError, TypeError, SyntaxError):  # not a name of a file, not a text
        source = ""
    if source.strip():
        shown.append(f"    {_source(source)}")
    return shown


def _several(error: BaseException, attribute: str) -> List[object]:
    """What is in a list or tuple that an exception may have."""
    try:
        found = getattr(error, attribute, None)
    except BaseException:  # the program's own class: what it does in its attributes is the program's
        return []
    return list(found) if isinstance(found, (list, tuple)) else []


def _text(value: object) -> str:
    try:
        return _cleaned(str(value), _TEXT)
    except BaseException as broken:  # the program's own class: what it does in its __str__ is the program's
        return f"(its text raises {type(broken).__name__})"


def _source(line: str) -> str:
    return _cleaned(_SECRET_LITERAL.sub(r"\1\2***\2", line[: 10 * _SOURCE].strip()), _SOURCE)


def _cleaned(text: str, limit: int) -> str:
    """Masked, on one line, cut; a long text is cut before it is masked, too, as that takes time."""
    masked = escape_controls(mask(text[: 10 * limit]))
    if len(text) > 10 * limit:
        return masked[: max(0, min(limit, len(masked) - _CUT))] + "…"
    return masked if len(masked) <= limit else masked[:limit] + "…"
