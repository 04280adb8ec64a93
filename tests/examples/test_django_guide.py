"""The Django guide: a project made as it says, from its own blocks, passes its checks and tests."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fedapay_sync.emulator import SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET, Emulator

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "django.md"


def blocks(language: str) -> "list[str]":
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_project_of_the_django_guide_passes_its_checks_and_tests(tmp_path: Path) -> None:
    """
    Made by Django's own commands; the settings are completed, the other files are whole. It is paid in its tests.
    """
    pytest.importorskip("django")
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    run("-m", "django", "startproject", "boutique", ".")
    run("manage.py", "startapp", "commandes")
    written = set()
    for each in blocks("python"):
        name = each.partition("\n")[0][2:]
        before = (tmp_path / name).read_text(encoding="utf-8") if name.endswith("settings.py") else ""
        (tmp_path / name).write_text(before + "\n" + each, encoding="utf-8")
        written.add(name)
    assert len(written) == len(blocks("python"))

    run("manage.py", "makemigrations", "commandes")
    run("manage.py", "migrate")
    assert "no issues" in run("manage.py", "check")
    assert "OK" in run("manage.py", "test")
    with Emulator() as emulator:
        environment["FEDAPAY_API_URL"] = emulator.url
        assert "acceptée" in run("manage.py", "fedapay_check")


def test_the_words_of_the_django_guide_are_those_of_the_package() -> None:
    """
    The keys are the emulator's; every command and check that it names is there, and no check is left out.
    """
    text = GUIDE.read_text(encoding="utf-8")
    commands = {path.stem for path in (ROOT / "fedapay_sync/django/management/commands").glob("fedapay_*.py")}
    checks = (ROOT / "fedapay_sync/django/checks.py").read_text(encoding="utf-8")

    assert SANDBOX_SECRET_KEY in text and SANDBOX_WEBHOOK_SECRET in text
    assert set(re.findall(r"manage\.py (fedapay_\w+)", text)) == commands
    assert set(re.findall(r"\b([EWI]\d{3})\b", text)) == set(re.findall(r'id="fedapay\.(\w+)"', checks))
