"""
The seven layers of the house: a module imports from its own layer or an earlier one, without circles.

A unit is what stands at the top of the package: ``store`` is one, whether it is a file or a folder. Imports
inside functions and under TYPE_CHECKING count: a circle that is hidden is still a circle.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Dict, Iterator, List, Set

PACKAGE = "fedapay_sync"
ROOT = Path(__file__).resolve().parents[2] / PACKAGE

LAYERS = {
    "words": "errors enums common",
    "shapes": "models signature",
    "doors": "transport store concurrency server",
    "resources": "resources integration",
    "flow": "workflow",
    "wiring": "connector",
    "faces": "flask django notebook cli testing emulator",
}
RANK = {unit: rank for rank, units in enumerate(LAYERS.values()) for unit in units.split()}
# The emulator sits beside the faces, but must not share our mistakes: no resources, no flow.
EMULATOR_MAY_IMPORT = {*LAYERS["words"].split(), "models", "signature", "server", "_version"}
# These import what they like. Who imports the package itself imports all of it, as only a face may.
FREE = {"__init__", "__main__", "_public"}
RANK.update(_version=0, _public=RANK["cli"], __init__=RANK["cli"], __main__=RANK["cli"])


def imported_units(module: str, source: str) -> Iterator[str]:
    """The units of this package that a module (a path in the package, like ``store/rows.py``) imports."""
    here = (PACKAGE, *Path(module).parts[:-1])
    for node in ast.walk(ast.parse(source, module)):
        names: List[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            # `from fedapay_sync import x`: x is a unit, or else a name that the package's __init__ gathers.
            names = [".".join([*base, alias.name]) for alias in node.names]
        for package, unit, *_ in (f"{name}.__init__".split(".") for name in names):
            if package == PACKAGE:
                yield unit if unit in RANK else "__init__"


def complaints(sources: Dict[str, str]) -> List[str]:
    """What is wrong with these modules, given as {path in the package: source}."""
    found: List[str] = []
    graph: Dict[str, Set[str]] = {}
    for module, source in sorted(sources.items()):
        unit = Path(module).with_suffix("").parts[0]
        if unit not in RANK:
            found.append(f"{module}: belongs to no layer; give it one in LAYERS")
        if unit in FREE or unit not in RANK:
            continue
        for other in sorted(set(imported_units(module, source)) - {unit}):
            if unit == "emulator" and other not in EMULATOR_MAY_IMPORT:
                found.append(f"{module}: imports {other}, which an emulator may not")
            elif RANK[other] > RANK[unit]:
                found.append(f"{module}: imports {other}, of a later layer")
            elif other not in FREE:
                graph.setdefault(unit, set()).add(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append("a circle: " + " -> ".join(reversed(error.args[1])))
    return found


def test_every_import_of_the_package_points_down():
    """
    The real package obeys.
    """
    sources = {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in ROOT.rglob("*.py")}

    assert sources, f"no module found in {ROOT}"
    assert complaints(sources) == []


def test_an_orderly_house_gets_no_complaint():
    """
    Down, sideways, within a unit, and a real library with the name of one of our modules: all allowed.
    """
    assert not complaints(
        {
            "__init__.py": "from .connector import Connector\nfrom .cli import main",
            "errors.py": "from ._version import __version__",
            "_version.py": "",
            "store/__init__.py": "from .sqlite import SqliteStore",
            "store/sqlite.py": "from . import rows\nfrom .. import errors\nfrom ..models.event import Event",
            "store/rows.py": "import fedapay_sync.enums",
            "concurrency/bells.py": "from ..store import Store",
            "flask.py": "import flask\nfrom flask import request\nfrom fedapay_sync import FedapayConnector",
            "testing.py": "from .emulator import Emulator",
            "emulator/app.py": "from ..models import Event\nfrom ..server import Server\nfrom . import money",
        }
    )


def test_each_kind_of_disorder_is_seen():
    """
    The check can fail: for each fake module, the words of the complaint it must draw.
    """
    for sources, complaint in [
        (
            {"errors.py": "def f():\n    from fedapay_sync.store import rows"},
            "imports store, of a later layer",
        ),
        (
            {"common/config.py": "if TYPE_CHECKING:\n    from .. import connector"},
            "imports connector, of a later layer",
        ),
        ({"models/event.py": "from ..resources.api import Api"}, "imports resources, of a later layer"),
        ({"models/event.py": "import fedapay_sync.cli.demo as demo"}, "imports cli, of a later layer"),
        ({"transport/transport.py": "from fedapay_sync import Connector"}, "imports __init__, of a later layer"),
        ({"transport/transport.py": "import fedapay_sync"}, "imports __init__, of a later layer"),
        ({"connector/connector.py": "from ..emulator import Emulator"}, "imports emulator, of a later layer"),
        (
            {"emulator/app.py": "from ..workflow.payments import Payments"},
            "imports workflow, which an emulator may not",
        ),
        (
            {"emulator/app.py": "from fedapay_sync import Transaction"},
            "imports __init__, which an emulator may not",
        ),
        (
            {"store/rows.py": "from ..concurrency import bells", "concurrency/bells.py": "from ..store import rows"},
            "a circle: ",
        ),
        ({"helpers.py": ""}, "belongs to no layer"),
    ]:
        assert [text for text in complaints(sources) if complaint in text], (sources, complaints(sources))
