"""README's code and the docstrings' examples do what they say."""

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
from flask import Flask

import fedapay_sync
from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.emulator import (
    OAUTH_CLIENT_ID,
    OAUTH_CLIENT_SECRET,
    SANDBOX_SECRET_KEY,
    SANDBOX_WEBHOOK_SECRET,
    Emulator,
)

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "README.en.md"]
#: Pages whose blocks need nothing but an API.
GUIDES = ["docs/api.md", "docs/emulateur.md", "docs/scripts.md", "docs/notebook.md"]
#: The page whose blocks are a shop, its tests and a conftest.py.
TESTS = "docs/tests.md"
#: The page whose blocks are a Flask shop, its tests and programs that import it.
FLASK = "docs/flask.md"
#: The page whose blocks are the files of a Django project; test_django_guide.py runs them.
DJANGO = "docs/django.md"
#: Without those of a Django project, which cannot be imported outside of one; docs/django.md has their examples.
MODULES = sorted(
    name
    for _, name, _ in pkgutil.walk_packages(fedapay_sync.__path__, "fedapay_sync.")
    if not name.endswith("__main__") and not name.startswith("fedapay_sync.django")
)


def blocks(page: str, language: str) -> List[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_the_python_blocks_of_a_page_run_one_after_the_other(page: str, tmp_path: Path, free_port: int) -> None:
    """
    As one program, against the emulator; only the port of the webhook server is another than in the text.
    """
    code = "\n".join(each for each in blocks(page, "python") if "def test_" not in each)
    assert "use_listen_server=True)" in code
    code = code.replace("use_listen_server=True)", f"use_listen_server=True, listen_server_port={free_port})")

    with Emulator(delay=0.2, webhook_url=f"http://127.0.0.1:{free_port}/webhooks") as emulator:
        run = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONIOENCODING": "utf-8",
                "FEDAPAY_API_URL": emulator.url,
                "FEDAPAY_API_KEY": emulator.secret_key,
                "FEDAPAY_AUTH_KEY": emulator.webhook_secret,
            },
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
        )

    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[0] in ("payé", "paid")


@pytest.mark.parametrize("page", GUIDES)
def test_the_python_blocks_of_a_guide_run_one_after_the_other(page: str, tmp_path: Path) -> None:
    """
    As one program, against the emulator.
    """
    with Emulator(delay=0) as emulator:
        run = subprocess.run(
            [sys.executable, "-c", "\n".join(blocks(page, "python"))],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONIOENCODING": "utf-8",
                "FEDAPAY_API_URL": emulator.url,
                "FEDAPAY_API_KEY": emulator.secret_key,
            },
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
        )

    assert run.returncode == 0, run.stderr


def test_every_guide_is_run_or_has_nothing_to_run() -> None:
    """
    No page of docs has code that nobody tries.
    """
    written = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md") if blocks(f"docs/{path.name}", "python")}

    assert written == {*GUIDES, TESTS, FLASK, DJANGO}


def test_the_tests_of_the_guide_pass(tmp_path: Path) -> None:
    """
    As files side by side, by a pytest that knows nothing of this project but its plugin.
    """
    shop, *others = blocks(TESTS, "python")
    (tmp_path / "boutique.py").write_text(shop, encoding="utf-8")
    tests = [each for each in others if "def test_" in each]
    for number, each in enumerate(tests):
        (tmp_path / f"test_{number}.py").write_text(each, encoding="utf-8")
    conftest = "\n".join(each for each in others if each not in tests)
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "conftest.py").write_text(conftest, encoding="utf-8")
    (tmp_path / "live" / "test_live.py").write_text(
        "def test_live(fedapay_emulator):\n    assert fedapay_emulator.secret_key == 'sk_live_essai'\n",
        encoding="utf-8",
    )

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )

    passed = sum(each.count("def test_") for each in tests) + 1
    assert run.returncode == 0 and f"{passed} passed" in run.stdout, run.stdout


def test_the_shop_of_the_flask_guide_passes_its_tests_and_its_other_blocks_run(tmp_path: Path) -> None:
    """
    As files side by side, with Flask's extensions; the settings of a program are those of an emulator.
    """
    shop, *others = blocks(FLASK, "python")
    (tmp_path / "boutique.py").write_text(shop, encoding="utf-8")
    (tests,) = (each for each in others if "def test_" in each)
    (tmp_path / "test_boutique.py").write_text(tests, encoding="utf-8")
    programs = [each for each in others if each != tests]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(ROOT)}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
        )

    tested = run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path))
    assert tested.returncode == 0 and "2 passed" in tested.stdout, tested.stdout
    with Emulator(delay=0) as emulator:
        environment["FEDAPAY_API_URL"] = emulator.url
        environment["FEDAPAY_API_KEY"] = emulator.secret_key
        environment["FEDAPAY_AUTH_KEY"] = emulator.webhook_secret
        done = [run("-c", each) for each in programs]
        checked = run("-m", "flask", "--app", "boutique", "fedapay", "check")

    assert [each.stderr for each in done if each.returncode] == [] and len(done) == 2
    assert done[0].stdout == "En ordre\n"
    assert checked.returncode == 0, checked.stdout


def test_the_keys_of_the_flask_guide_are_those_of_the_emulator() -> None:
    """
    What a reader copies works, and every command is one that there is.
    """
    text = "\n".join(blocks(FLASK, "sh"))

    assert f"FEDAPAY_API_KEY={SANDBOX_SECRET_KEY}\n" in text
    assert f"FEDAPAY_AUTH_KEY={SANDBOX_WEBHOOK_SECRET}\n" in text
    page = (ROOT / FLASK).read_text(encoding="utf-8")
    named = set(re.findall(r"flask (?:--app boutique )?fedapay (\w+)", page))
    assert named and named <= {"check", "emulator", "parked", "purge", "replay", "worker"}


def test_the_test_of_the_readme_is_one_that_is_run() -> None:
    """
    Six lines, the same as in the guide whose tests pass.
    """
    (shown,) = (each for each in blocks("README.md", "python") if "def test_" in each)

    assert shown in blocks(TESTS, "python")
    assert len([line for line in shown.splitlines() if line]) == 6


@pytest.mark.parametrize("page", [*PAGES, *GUIDES, TESTS, FLASK, DJANGO])
def test_every_picture_and_page_that_is_pointed_at_is_there(page: str) -> None:
    """
    Pictures are small enough for a slow line.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        found = (ROOT / page).parent / target
        assert found.exists(), target
        assert found.suffix != ".png" or found.stat().st_size < 200_000


def test_the_readme_names_the_keys_that_the_emulator_has() -> None:
    """
    What a reader copies into the second terminal works with the first.
    """
    text = "\n".join(blocks("README.md", "text"))

    assert f"FEDAPAY_API_KEY={SANDBOX_SECRET_KEY}\n" in text
    assert f"FEDAPAY_AUTH_KEY={SANDBOX_WEBHOOK_SECRET}\n" in text


def test_the_first_two_shell_blocks_are_one_line_each() -> None:
    """
    The two commands that a newcomer copies.
    """
    first, second = blocks("README.md", "sh")[:2]

    assert first.count("\n") == second.count("\n") == 1
    assert first.endswith("fedapay-sync demo\n")


def test_every_promise_of_the_readme_names_a_test_that_exists() -> None:
    """
    The table of promises points at tests by name.
    """
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| Promesse | Test |")[2].partition("\n\n")[0]
    named = re.findall(r"`(test_\w+)`", table)
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

    assert len(named) >= 8
    assert [name for name in named if f"def {name}(" not in sources] == []


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_docstrings_are_true(name: str, make_connector, tmp_path: Path) -> None:
    """
    With a connector to an emulator whose payer agrees at once.
    """
    module = importlib.import_module(name)
    found = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    if not found:
        return
    setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
    client = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
    app = Flask("example")
    with Emulator(delay=0) as emulator:
        app.config.update(
            FEDAPAY_API_URL=emulator.url,
            FEDAPAY_API_KEY=emulator.secret_key,
            FEDAPAY_AUTH_KEY=emulator.webhook_secret,
        )
        connector = make_connector(fedapay_api_url=emulator.url, api_key=emulator.secret_key)
        names = {
            "fedapay_sync": fedapay_sync,
            "connector": connector,
            "emulator": emulator,
            "integration": fedapay_sync.Integration(emulator.url, default_api_key=emulator.secret_key),
            "OAUTH_CLIENT_ID": OAUTH_CLIENT_ID,
            "OAUTH_CLIENT_SECRET": OAUTH_CLIENT_SECRET,
            "setup": setup,
            "client": client,
            "app": app,
            "paiement": connector.pay(setup, client, 1000),
        }
        runner = doctest.DocTestRunner()
        for test in found:
            test.globs.update(names)
            runner.run(test)

    assert runner.failures == 0
