"""
The fault matrix, and that each of its rows has tests: those that carry ``@pytest.mark.faults(row=…)``.

``tox -e faults`` runs them all. What takes too long for every day is marked ``long``, too, and left out of it.
"""

import ast
import configparser
import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Set

ROOT = Path(__file__).resolve().parents[2]

ROWS = {
    1: "kill -9 between the bytes of a webhook and the end of its callback",
    2: "kill -9 at each step of a payment",
    3: "kill -9 while a wait is restored, decided, deleted",
    4: "SIGTERM, and a script that simply ends",
    5: "the disk is full",
    6: "the database is locked for 2 s, for 12 s",
    7: "who holds the lock is stopped, then killed",
    8: "the clock jumps an hour",
    9: "twenty times, in another order, after the deadline, after the deletion",
    10: "forged, signed with an old secret, stale, replayed",
    11: "truncated, giant, slow, silent, garbage",
    12: "an API that refuses, hangs, drips, lies",
    13: "two and four processes deliver, claim and wait",
    14: "a fork after use; servers that fork",
    15: "a callback that raises, hangs, exits, kills, outlasts its lease",
    16: "the webhook server started and stopped a hundred times",
    17: "a waker that forgets whom it has not looked for yet",
}


class Marked(NamedTuple):
    """A test of the matrix, by the decorators and lines that were read."""

    name: str
    rows: Set[Optional[int]]
    is_long: bool


def marks_in(node: ast.AST) -> Iterator[ast.AST]:
    """Each ``pytest.mark.…`` under a node, with its call where there is one."""
    called = {id(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
    for each in ast.walk(node):
        target = each.func if isinstance(each, ast.Call) else each
        is_mark = isinstance(target, ast.Attribute) and ast.unparse(target).startswith("pytest.mark.")
        if is_mark and (isinstance(each, ast.Call) or id(each) not in called):
            yield each


def marked_tests(source: str) -> List[Marked]:
    """The tests of a module with what they are marked with, themselves or with their whole module."""
    tree = ast.parse(source)
    of_all = [
        mark
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
        for mark in marks_in(node.value)
    ]
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            marks = of_all + [mark for decorator in node.decorator_list for mark in marks_in(decorator)]
            texts = [ast.unparse(mark) for mark in marks]
            rows = {
                ast.literal_eval(mark.keywords[0].value) if isinstance(mark, ast.Call) and mark.keywords else None
                for mark, text in zip(marks, texts)
                if text.startswith("pytest.mark.faults")
            }
            found.append(Marked(node.name, rows, any(text == "pytest.mark.long" for text in texts)))
    return found


def all_tests() -> Dict[str, List[Marked]]:
    """The tests of all modules."""
    return {
        path.relative_to(ROOT).as_posix(): marked_tests(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
    }


def test_each_row_of_the_fault_matrix_has_a_test():
    """
    And none names a row that is not there.
    """
    named = {row for tests in all_tests().values() for test in tests for row in test.rows}
    assert named - {None} == set(ROWS)


def test_the_file_of_a_row_keeps_that_row():
    """
    A file of ``tests/faults`` that names rows has a test for each.
    """
    for path, tests in all_tests().items():
        rows = (
            {int(number) for number in re.findall(r"(?<=_)\d\d(?=_)", Path(path).name)} if "/faults/" in path else set()
        )
        assert rows <= {row for test in tests for row in test.rows}, path


def test_what_is_long_belongs_to_the_fault_matrix_and_is_run_there():
    """
    Left out of the everyday suite, and found by the environment that runs it.
    """
    lost = [f"{path}: {test.name}" for path, tests in all_tests().items() for test in tests
            if test.is_long and not test.rows]  # fmt: skip
    assert not lost
    settings, tox = configparser.ConfigParser(), configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    assert '-m "not long"' in settings["tool:pytest"]["addopts"]
    assert all("-m faults" in command for command in tox["testenv:faults"]["commands"].strip().splitlines())


def test_marks_are_read_wherever_they_stand():
    """
    On the test, on one of its cases, on its whole module, in a list; with a row and without.
    """
    source = """
pytestmark = [pytest.mark.faults(row=2), pytest.mark.skipif(True, reason="x")]

@pytest.mark.faults(row=3)
def test_one(): ...

@pytest.mark.parametrize("a", [1, pytest.param(2, marks=pytest.mark.long)])
def test_two(): ...

def helper(): ...
"""
    assert marked_tests(source) == [Marked("test_one", {2, 3}, False), Marked("test_two", {2}, True)]
    assert marked_tests("pytestmark = pytest.mark.faults\ndef test_x(): ...") == [Marked("test_x", {None}, False)]
