"""
What others rely on by name, held against a snapshot: imports, methods and their parameters, tables, variables, threads.

The snapshot is ``public_names.json``. To change a name on purpose, run ``python tests/meta/test_public_names.py``, read
what git then shows as changed, and say in CHANGELOG.md what a program has to change.
"""

import ast
import configparser
import dataclasses
import enum
import importlib
import inspect
import json
import re
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from fedapay_sync import Connector, Integration
from fedapay_sync.emulator import Emulator

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = Path(__file__).with_name("public_names.json")
REMEDY = (
    "Others rely on these names. If the change is meant: python tests/meta/test_public_names.py writes the snapshot "
    "anew; say in CHANGELOG.md what a program has to change."
)

MODULES = """
fedapay_sync fedapay_sync.django fedapay_sync.emulator fedapay_sync.enums fedapay_sync.errors fedapay_sync.flask
fedapay_sync.integration fedapay_sync.models fedapay_sync.resources fedapay_sync.signature fedapay_sync.testing
""".split()
#: Packages that can be imported from, and hand their class on.
HANDED_ON = {"connector": "Connector", "server": "WebServer", "store": "Store", "transport": "Transport"}
#: Classes that a program makes itself; the others come from a call.
CONSTRUCTED = frozenset({"Connector", "Emulator", "FedaPay", "FedapayConnector", "Integration", "Payer"})

SETTINGS = {"fedapay_api_url": "http://127.0.0.1:9", "api_key": "sk_sandbox_names"}

Names = Dict[str, Any]


def constants(tree: ast.AST) -> Iterator[str]:
    """Every text that stands in a source."""
    return (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


def trees() -> List[ast.Module]:
    paths = sorted((ROOT / "fedapay_sync").rglob("*.py"))
    return [ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in paths]


def fixtures() -> List[str]:
    """The fixtures of the pytest plugin."""
    found = []
    for path in (ROOT / "fedapay_sync" / "testing").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and any("fixture" in ast.dump(each) for each in node.decorator_list):
                found.append(node.name)
    return sorted(name for name in found if not name.startswith("_"))


def names_of(module: str) -> List[str]:
    """``__all__``, or what a module without one binds itself and does not hide."""
    loaded = importlib.import_module(module)
    if hasattr(loaded, "__all__"):
        return sorted(loaded.__all__)
    found = set()
    for node in ast.parse(inspect.getsource(loaded)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update(each.id for each in targets if isinstance(each, ast.Name))
    return sorted(name for name in found if not name.startswith("_"))


def parameters(function: Any) -> str:
    """Names, order, kinds and plain defaults; annotations are written differently by each Python."""
    written: List[str] = []
    starred = False
    for each in inspect.signature(function).parameters.values():
        if each.kind is each.KEYWORD_ONLY and not starred:
            written.append("*")
        starred = starred or each.kind in (each.KEYWORD_ONLY, each.VAR_POSITIONAL)
        text, default = str(each.replace(annotation=each.empty, default=each.empty)), each.default
        if default is not each.empty:
            default = default.value if isinstance(default, enum.Enum) else default
            is_plain = default is None or isinstance(default, (str, int, float, tuple))
            text += f"={default!r}" if is_plain else "=…"
        written.append(text)
    return f"({', '.join(written)})"


def members(kind: type) -> List[str]:
    """The public attributes of a class that our own classes give it, methods with their parameters."""
    if issubclass(kind, enum.Enum):
        return [f"{each.name} = {each.value}" for each in kind]
    found = {each.name: "" for each in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else {}
    ours = [each for each in kind.__mro__ if each.__module__.split(".")[0] == "fedapay_sync"]
    for each in reversed(ours):
        for name, value in vars(each).items():
            if not name.startswith("_") or (name == "__init__" and kind.__name__ in CONSTRUCTED):
                called = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
                found[name] = parameters(called) if inspect.isfunction(called) else ""
    return sorted(f"{name}{how}" for name, how in found.items())


def columns(folder: str) -> Dict[str, List[str]]:
    """The tables of a new database."""
    path = Path(folder) / "names.db"
    with Connector(db_url=f"sqlite:///{path}", **SETTINGS) as connector:
        connector.parked()
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: sorted(row[1] for row in database.execute(f"PRAGMA table_info({name})"))
            for name in sorted(tables)
            if name.startswith("fp_")
        }


def public_names() -> Names:
    """All of it, as it is now."""
    modules = {module: names_of(module) for module in MODULES}
    classes, functions = {}, {}
    for module, names in modules.items():
        for name in names:
            found = getattr(importlib.import_module(module), name)
            if inspect.isclass(found):
                classes[found.__name__] = members(found)
            elif inspect.isfunction(found):
                functions[f"{module}.{name}"] = parameters(found)
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    sources = trees()
    texts = {text for tree in sources for text in constants(tree)}
    with tempfile.TemporaryDirectory() as folder:
        tables = columns(folder)
    integration = Integration(SETTINGS["fedapay_api_url"], default_api_key=SETTINGS["api_key"])
    return {
        "modules": modules,
        "packages that hand on their class": {
            package: name
            for package, name in HANDED_ON.items()
            if inspect.isclass(getattr(importlib.import_module(f"fedapay_sync.{package}"), name, None))
        },
        "classes": classes,
        "functions": functions,
        "attributes": {
            type(each).__name__: sorted(name for name in vars(each) if not name.startswith("_"))
            for each in (integration, Emulator())
        },
        "pytest fixtures": fixtures(),
        "tables": tables,
        "environment variables": sorted(text for text in texts if re.fullmatch(r"FEDAPAY_[A-Z_]+", text)),
        "threads": sorted(text for text in texts if re.fullmatch(r"fedapay-(?!sync\b)[a-z-]+", text)),
        "loggers": sorted(
            {
                node.args[0].value
                for tree in sources
                for node in ast.walk(tree)
                if isinstance(node, ast.Call)
                and isinstance(node.func, (ast.Name, ast.Attribute))
                and getattr(node.func, "id", getattr(node.func, "attr", "")) in ("getLogger", "get_logger")
                and isinstance(node.args[0], ast.Constant)
            }
        ),
        "entry points": {kind: text.split("\n")[1:] for kind, text in setup["options.entry_points"].items()},
    }


def differences(held: Any, found: Any, path: str = "") -> List[str]:
    """Each name that is gone, new or other, with where it stands."""
    if isinstance(held, dict) and isinstance(found, dict):
        return [
            line
            for key in sorted({*held, *found})
            for line in differences(held.get(key, []), found.get(key, []), f"{path} > {key}" if path else key)
        ]
    if isinstance(held, list) and isinstance(found, list):
        gone, new = [each for each in held if each not in found], [each for each in found if each not in held]
        return [f"{path}: gone: {each}" for each in gone] + [f"{path}: new: {each}" for each in new]
    return [] if held == found else [f"{path}: was {held}, is {found}"]


def test_public_names_are_those_of_the_snapshot():
    """
    None is gone, none is new, none takes other arguments, unless the snapshot says so too.
    """
    found = differences(json.loads(SNAPSHOT.read_text(encoding="utf-8")), public_names())

    assert not found, "\n".join(["", *found, REMEDY])


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("modules", "fedapay_sync", "Connector"), "modules > fedapay_sync: gone: Connector"),
        (("tables", "fp_event", "event_key"), "tables > fp_event: gone: event_key"),
        (("environment variables", "FEDAPAY_API_KEY"), "environment variables: gone: FEDAPAY_API_KEY"),
        (("threads", "fedapay-waker"), "threads: gone: fedapay-waker"),
        (("loggers", "fedapay_sync"), "loggers: gone: fedapay_sync"),
        (("pytest fixtures", "fedapay_allowed_hosts"), "pytest fixtures: gone: fedapay_allowed_hosts"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_name_that_goes_or_comes_is_seen(path, line):
    """
    The check can fail: without one of them the snapshot has what is gone, and what is new the other way round.
    """
    held = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    less = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    place = less
    for key in path[:-1]:
        place = place[key]
    place.remove(path[-1])

    assert differences(held, less) == [line]
    assert differences(less, held) == [line.replace("gone", "new")]


def test_what_a_method_takes_is_part_of_its_name():
    """
    A parameter that gets another name, another place or another default is a difference; its annotation is none.
    """

    class Shop:
        def pay(self, amount: int, text: str = "*", *, reference: str = "", **more: Any) -> None:
            pass

        def _hidden(self) -> None:
            pass

    Shop.__module__ = "fedapay_sync.shop"

    assert members(Shop) == ["pay(self, amount, text='*', *, reference='', **more)"]


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(public_names(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
