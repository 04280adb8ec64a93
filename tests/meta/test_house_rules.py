"""
Rules of the house that no linter knows, kept by a search through the sources.
"""

import ast
import functools
import inspect
import io
import re
import tokenize
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import List, NamedTuple

import pytest

import fedapay_sync

ROOT = Path(__file__).resolve().parents[2]
THIS_FILE = "tests/meta/test_house_rules.py"  # holds the forbidden words, as patterns and as fakes


class Rule(NamedTuple):
    """A pattern that must not occur in ``where``, and a fake line of code that proves that it is found."""

    why: str
    pattern: str
    fake: str
    where: str = r"fedapay_sync/|tests/"
    outside: str = r"$^"
    unless: str = r"$^"  # a line with this text is allowed
    in_comments: bool = False


RULES = {
    "no sleep in a test": Rule(
        why="time is handed in (clock), and what must be waited for has an event or a deadline",
        pattern=r"\bsleep\s*\(",
        fake="time.sleep(1)",
        where="tests/",
    ),
    "no ignored conflict": Rule(
        why="it drops rows for any broken constraint, silently; write ON CONFLICT (key) DO NOTHING",
        pattern=r"\bon_conflict_ignore\b|(?i:insert\s+or\s+ignore)",
        fake="Event.insert(row).on_conflict_ignore()",
    ),
    "no print in the library": Rule(
        why="a library logs; only the command line prints",
        pattern=r"(?<![\w.])print\s*\(",
        fake="print('paid')",
        where="fedapay_sync/",
        outside=r"fedapay_sync/cli\b",
    ),
    "one reader of the environment": Rule(
        why="settings are read when needed, in common/env.py only; hosting.py reads what a host sets",
        pattern=r"\bos\.(getenvb?|environb?)\b|\bfrom\s+os\s+import\b.*\b(getenvb?|environb?)\b",
        fake="key = os.environ['FEDAPAY_API_KEY']",
        where="fedapay_sync/",
        outside=r"fedapay_sync/(common/(env|hosting)\.py|cli\b)",
    ),
    "no blind except": Rule(
        why="it hides our own faults; at the edge of a thread, say so on its line: # edge of a thread",
        pattern=r"\bexcept\s*:|\b(except|suppress)\b[^:]*\bException\b",
        fake="try:\n    pay()\nexcept (ValueError, Exception):\n    pass",
        unless=r"# edge of a thread\b",
    ),
    "no import through the package's door": Rule(
        why="the door loads everything, and comes back here half-way; name the module: from fedapay_sync.errors …",
        pattern=r"(?m)^\s*from\s+(\.|fedapay_sync)\s+import\b|^\s*import\s+fedapay_sync\b",
        fake="from fedapay_sync import errors",
        where="fedapay_sync/",
        outside=r"fedapay_sync/(cli|testing)\b",
    ),
    "no lock for all objects of a class": Rule(
        why="before Python 3.12 a fork may leave it locked for ever; common/computed_once.py has none",
        pattern=r"\bcached_property\b",
        fake="class Body:\n    @functools.cached_property\n    def read(self): ...",
        where="fedapay_sync/",
    ),
    "nothing left to do": Rule(
        why="open work belongs in an issue",
        pattern=r"\b(TODO|FIXME)\b",
        fake="x = 1  # TODO: round",
        in_comments=True,
    ),
}


@functools.cache
def code_only(source: str) -> str:
    """The source with comments and docstrings blanked: what explains a rule does not break it."""
    lines = source.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
            first, last = node.lineno, node.end_lineno or node.lineno
            lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(lines)


def offences(rule: Rule, path: str, source: str) -> List[str]:
    """Each line of a file that breaks the rule, as ``path:line: text``."""
    if path == THIS_FILE or not re.match(rule.where, path) or re.match(rule.outside, path):
        return []
    lines = source.split("\n")
    text = source if rule.in_comments else code_only(source)
    numbers = [text.count("\n", 0, match.start()) + 1 for match in re.finditer(rule.pattern, text)]
    kept = [number for number in numbers if not re.search(rule.unless, lines[number - 1])]
    return [f"{path}:{number}: {lines[number - 1].strip()}" for number in kept]


def undocumented(module: ModuleType) -> List[str]:
    """Names of ``__all__`` whose class or function has no docstring of its own."""
    missing: List[str] = []
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            doc = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
            # What dataclass, NamedTuple and (before 3.11) Enum write by themselves is no docstring.
            if not doc or doc.startswith(f"{thing.__name__}(") or doc == "An enumeration.":
                missing.append(name)
    return missing


@pytest.mark.parametrize("name", RULES)
def test_the_sources_keep_the_rule(name):
    """
    No line of the package or of the tests breaks it.
    """
    files = [path for folder in ("fedapay_sync", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
    found = [
        line
        for path in files
        for line in offences(RULES[name], path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]

    assert files
    assert not found, f"{name}: {RULES[name].why}\n" + "\n".join(found)


@pytest.mark.parametrize("name", RULES)
def test_the_rule_can_fail(name):
    """
    The fake line is found, with its place; in a file where it is allowed it is not.
    """
    rule = RULES[name]
    path = "tests/test_fake.py" if rule.where == "tests/" else "fedapay_sync/fake.py"

    (found,) = offences(rule, path, "import time\n" + rule.fake + "\n")

    assert found.startswith(f"{path}:")
    assert not offences(rule, "examples/fake.py", rule.fake)


@pytest.mark.parametrize(
    ("name", "path", "source"),
    [
        ("no print in the library", "cli/demo.py", "print('paid')"),
        ("no print in the library", "fake.py", '"""\n>>> print(1)\n"""\nself.print()\npprint(1)'),
        ("one reader of the environment", "common/env.py", "os.environ.get('X')"),
        ("no ignored conflict", "store/rows.py", "# never INSERT OR IGNORE here\nx = 1"),
        ("no blind except", "fake.py", "try:\n    f()\nexcept Exception:  # edge of a thread\n    pass"),
        ("no blind except", "fake.py", "try:\n    f()\nexcept ValueError:\n    x: Exception"),
    ],
)
def test_what_the_rule_allows(name, path, source):
    """
    The places and the words that are not meant by the rule.
    """
    assert not offences(RULES[name], f"fedapay_sync/{path}", source)


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    f()\nexcept:\n    pass",
        "with suppress(Exception):\n    f()",
        "try:\n    f()\nexcept Exception as e:\n    e",
    ],
)
def test_every_form_of_a_blind_except_is_seen(source):
    """
    Bare, named, and dressed as suppress.
    """
    assert len(offences(RULES["no blind except"], "fedapay_sync/fake.py", source)) == 1


def test_a_module_has_one_job_and_stays_short():
    """
    Past 300 lines a module is likely to be two. The façade may be longer: its lines are its manual.
    """
    longest = {"fedapay_sync/connector/connector.py": 940}
    lengths = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").count("\n")
        for path in (ROOT / "fedapay_sync").rglob("*.py")
    }

    assert lengths
    assert {path: length for path, length in lengths.items() if length > longest.get(path, 300)} == {}


def test_every_public_name_has_a_docstring():
    """
    ``help()`` has an answer for each class and function of ``fedapay_sync.__all__``.
    """
    assert fedapay_sync.__all__
    missing = undocumented(fedapay_sync)
    assert not missing, "no docstring of their own: " + ", ".join(missing)


def test_a_missing_docstring_is_seen():
    """
    A class that inherits its docstring has none of its own; a constant needs none.
    """

    class Documented:
        """Yes."""

    class Heir(Documented):
        pass

    class Generated(NamedTuple):
        a: int

    fake = SimpleNamespace(
        __all__=["Documented", "Heir", "Generated", "bare", "LIMIT"],
        Documented=Documented,
        Heir=Heir,
        Generated=Generated,
        bare=lambda: None,
        LIMIT=3,
    )

    assert undocumented(fake) == ["Heir", "Generated", "bare"]
