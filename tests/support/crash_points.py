"""
Deaths at named points: a child process of a test dies, or stops, at a place in the code that the test names.

The package knows nothing of it, and nothing of it is replaced: Python tells a profile function of each call and each
return, and this one waits for the named one. A point that no code passes any more fails its test: the child lives.

A child says ``import crash_points`` first, and ``crash_points.arm()`` where the counting begins. The variable
FP_TEST_CRASH_AT names where: ``inbox.receive:return`` or
``callbacks._call:call`` for a function of a file, ``after INSERT INTO fp_event`` or ``before COMMIT`` for a statement;
``#3`` behind it for the third time. Without the variable nothing happens.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Dict

VARIABLE = "FP_TEST_CRASH_AT"
#: Behind a point: not killed but stopped for ever, after a line that says so.
STOPS = "!stops"
TESTS = Path(__file__).resolve().parents[1]

_EXECUTE = "execute_sql"


def environment(point: str = "") -> Dict[str, str]:
    """The variables of a child that finds the package and this module, and dies at that point."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]), VARIABLE: point}


class Point:
    """A place in the code, passed so many times."""

    def __init__(self, text: str) -> None:
        text, self._stops, _ = text.partition(STOPS)
        text, _, hit = text.partition("#")
        self._left = int(hit or 1)
        self._counting = threading.Lock()
        self.is_armed = False
        when, _, statement = text.partition(" ")
        self._statement = statement
        if statement:
            self._file, self._name, self._event = "", _EXECUTE, {"before": "call", "after": "return"}[when]
        else:
            place, _, self._event = text.partition(":")
            self._file, _, self._name = place.rpartition(".")
            self._file = f"{os.sep}{self._file}.py"

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """What Python calls at each call and return."""
        code = frame.f_code
        if (
            not self.is_armed
            or event != self._event
            or code.co_name != self._name
            or not code.co_filename.endswith(self._file)
        ):
            return
        if self._statement and not self._is_statement(frame):
            return
        with self._counting:
            self._left -= 1
            if self._left == 0:
                self._end()

    def _is_statement(self, frame: FrameType) -> bool:
        # One that hands on to another of that name is not over when the inner one is.
        inner = frame.f_back is not None and frame.f_back.f_code.co_name == _EXECUTE
        sql = str(frame.f_locals.get("sql", "")).lstrip()
        return not inner and sql.startswith(self._statement) and "READ ONLY" not in sql

    def _end(self) -> None:
        if self._stops:
            print("there", flush=True)
            threading.Event().wait()
        os.kill(os.getpid(), signal.SIGKILL)


_point = Point(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None
if _point is not None:
    # At import, so that threads which are started before the counting begins have it too.
    threading.setprofile(_point)
    sys.setprofile(_point)


def arm() -> None:
    """From now on the point counts."""
    if _point is not None:
        _point.is_armed = True
