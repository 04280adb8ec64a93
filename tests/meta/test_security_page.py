"""SECURITY.md promises what tests hold: each protection names one, and each name is a test."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
PROMISES = re.split(r"(?m)^- ", PAGE.partition("## Ce que le paquet protège")[2].partition("\n## ")[0])[1:]


def test_each_protection_names_the_test_that_holds_it():
    assert len(PROMISES) > 8
    assert not [promise[:60] for promise in PROMISES if not re.search(r"`test_\w+`", promise)]


def test_each_name_on_the_page_is_a_test():
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert not [name for name in re.findall(r"`(test_\w+)`", PAGE) if f"def {name}(" not in written]
