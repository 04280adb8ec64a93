"""
Does something in the midst of a line of the package, as a signal handler or a garbage collection would.

A tracing function stands in for them: they come between two instructions of a thread, and this one between two lines.
"""

import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Callable, Set, Tuple

import fedapay_sync
from fedapay_sync.store.jobs import Job

PACKAGE = str(Path(fedapay_sync.__file__).parent) + os.sep
Line = Tuple[str, int]


class Tracer:
    """Has ``_called`` told of each call of this thread, as ``sys.settrace`` does."""

    def __enter__(self) -> Any:
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Any:
        raise NotImplementedError


class Stopper(Tracer):
    """Calls a function once, when this thread is about to run a line of the package that was not stopped at before."""

    def __init__(self, action: Callable[[], None], done: Set[Line], modules: Tuple[str, ...]) -> None:
        self._action = action
        self._done = done
        self._modules = modules
        self.line: Line = ("", 0)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        return self._stop if name.startswith(PACKAGE) and name[len(PACKAGE) :].startswith(self._modules) else None

    def _stop(self, frame: FrameType, event: str, argument: Any) -> Any:
        line = (frame.f_code.co_filename[len(PACKAGE) :], frame.f_lineno)
        if not self.line[1] and event == "line" and line not in self._done and not is_another_wait(frame):
            self.line = line
            self._done.add(line)
            # Python traces nothing that a tracing function calls.
            self._action()
        return self._stop


def is_another_wait(frame: FrameType) -> bool:
    """Whether it is a line of ``WakeEvent``, but not on the way of a write."""
    return frame.f_code.co_filename.endswith("wake_event.py") and not isinstance(frame.f_locals.get("self"), Job)
