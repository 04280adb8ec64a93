"""The names on the pages for those who change the package are names of the code."""

import ast
import re
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "fedapay_sync"
PAGES = ("docs/architecture.md", "CONTRIBUTING.md")
#: `folder.Class` and `folder.Class.method`.
_NAME = re.compile(r"`([a-z_]+)\.([A-Z]\w*)(?:\.(\w+))?`")
_PATH = re.compile(r"`((?:[\w-]+/)+(?:[\w-]+\.\w+)?|[\w-]+\.(?:py|cfg|ini|md))`")


def classes() -> Dict[Tuple[str, str], Set[str]]:
    """The methods of each class with those of its bases, by the folder of its module and its name."""
    found: Dict[Tuple[str, str], List[ast.ClassDef]] = {}
    by_name: Dict[str, List[ast.ClassDef]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                # Of two folders of one name, as resources/ of the package and of the emulator, either may be meant.
                found.setdefault((path.parent.name, node.name), []).append(node)
                by_name.setdefault(node.name, []).append(node)

    def methods(node: ast.ClassDef) -> Iterator[str]:
        for each in node.body:
            if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield each.name
        for base in node.bases:
            name = ast.unparse(base).partition("[")[0].rpartition(".")[2]
            for each in by_name.get(name, ()):
                if each is not node:
                    yield from methods(each)

    return {key: {name for node in nodes for name in methods(node)} for key, nodes in found.items()}


def unknown_names(page: str) -> Iterator[str]:
    """Each ``folder.Class.method`` on a page that the code does not have."""
    known = classes()
    for folder, name, method in _NAME.findall(page):
        if (folder, name) not in known or (method and method not in known[folder, name]):
            yield ".".join(filter(None, (folder, name, method)))


def unknown_paths(page: str) -> Iterator[str]:
    """Each path on a page that is neither in the project nor in the package; of a folder its name is enough."""
    for path in _PATH.findall(page):
        places = (ROOT, PACKAGE, *PACKAGE.glob("*/"), *PACKAGE.glob("*/*/"), ROOT / "tests")
        if not any((folder / path).exists() for folder in places):
            yield path


def unknown_modules(page: str) -> Iterator[str]:
    """Each bare word of the tree's table that is no module of the folder that its row is about."""
    for folder, text in re.findall(r"^\| `([a-z_/]+)/`[^|]*\|([^|]*)\|", page, re.M):
        for word in re.findall(r"`([a-z_]+)`", text):
            place = PACKAGE / folder / word
            if not (place.is_dir() or place.with_suffix(".py").exists()):
                yield f"{folder}/{word}"


@pytest.mark.parametrize("page", PAGES)
def test_each_name_on_the_page_is_a_name_of_the_code(page):
    """
    A renamed class or a moved file leaves no page behind.
    """
    text = (ROOT / page).read_text(encoding="utf-8")

    assert _NAME.search(text) or _PATH.search(text)
    assert list(unknown_names(text)) == []
    assert list(unknown_paths(text)) == []
    assert list(unknown_modules(text)) == []


def test_every_folder_of_the_package_has_its_line():
    """
    Who opens the tree finds each folder explained.
    """
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    folders = [each.name for each in PACKAGE.iterdir() if each.is_dir() and each.name != "__pycache__"]

    assert folders
    assert [each for each in folders if f"`{each}/" not in text] == []


def test_a_name_that_is_not_in_the_code_is_seen():
    """
    The check can fail: a class, a folder, a method, a path.
    """
    page = "`waits.Listens.finalise` `waits.Lessons` `bells.Listens` `waits.Listens.finalize` `store/no.py` `setup.cfg`"

    assert list(unknown_names(page)) == ["waits.Lessons", "bells.Listens", "waits.Listens.finalize"]
    assert list(unknown_paths(page)) == ["store/no.py"]
    assert list(unknown_modules("| `workflow/waits/` | `listens`, `waits` |")) == ["workflow/waits/waits"]
