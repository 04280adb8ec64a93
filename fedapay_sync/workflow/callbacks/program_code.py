"""The program's functions: called in their context, and named in the log with where they stand or failed."""

import functools
import inspect
import os
import sys
from typing import Any, Callable, ContextManager, List, Tuple

from fedapay_sync.common.tracebacks import masked_traceback
from fedapay_sync.concurrency.forked_child import forked_child_ends

#: The modules that call the program's functions, and do nothing else on the way there. Neither a traceback nor a place
#: begins in one of them.
_CALLERS = (
    "fedapay_sync.workflow.callbacks.",
    "fedapay_sync.workflow.callback_handlers",
    "fedapay_sync.workflow.waits.listens",
    "fedapay_sync.workflow.waits.listen_callbacks",
    "fedapay_sync.connector.",
)
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = ("site-packages", "dist-packages")


def call_in(around: Callable[[], ContextManager[Any]], function: Callable[[Any], Any], argument: Any) -> Any:
    """
    Call a function of the program in a context of its own. A child process that it forks ends before the context is
    left, whose connections are the parent's; and an exception that the context suppresses is a failure all the same.
    """
    with around(), forked_child_ends():
        return function(argument)
    raise RuntimeError("the context of around_callback has suppressed what the callback raised")


def program_traceback(error: BaseException) -> str:
    """The masked traceback of what a function of the program raised; it begins with that function."""
    return masked_traceback(error, _CALLERS)


def name_of(function: Any) -> str:
    """Module and qualified name of a function, a method, or an object that is called."""
    try:
        named = named_object(function)
        return f"{named.__module__}.{named.__qualname__}"
    except BaseException as broken:  # the program's own class: what it does in its attributes is the program's
        return f"(a function whose name raises {type(broken).__name__})"


def named_object(function: Any) -> Any:
    """What names it: the function that it wraps or calls in part, and of an object that is called its class."""
    function = inspect.unwrap(function)
    while isinstance(function, functools.partial):
        function = function.func
    return function if hasattr(function, "__qualname__") else type(function)


def place_of(thread: int) -> str:
    """
    File and line where a function of the program, which runs on that thread, stands just now.

    The innermost frame of the program: below it are those of libraries that it waits in. A program that is itself
    installed as a library cannot be told from these, and shows the function that was called.
    """
    frame = sys._current_frames().get(thread)
    frames: List[Tuple[str, str, object]] = []
    while frame is not None:
        frames.append((str(frame.f_globals.get("__name__")), frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    frames.reverse()
    while frames and not frames[0][0].startswith(_CALLERS):
        del frames[0]
    while frames and frames[0][0].startswith(_CALLERS):
        del frames[0]
    foreign = [each for each in frames if each[0].partition(".")[0] != "fedapay_sync"]
    for _, file, line in reversed(foreign):
        if not _is_of_a_library(file):
            return f"{file}:{line}"
    return f"{foreign[0][1]}:{foreign[0][2]}" if foreign else "no line of the program"


def _is_of_a_library(file: str) -> bool:
    return file.startswith((_STANDARD_LIBRARY, "<frozen ")) or any(name in file for name in _INSTALLED)
