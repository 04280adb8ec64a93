"""
Row 17, and the three mutants of the stateful machine: what the tests must notice is broken here, in a copy.

The text that is changed must be there once: whoever rewrites such a line rewrites it here.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fedapay_sync

pytestmark = [pytest.mark.faults(row=17), pytest.mark.long]

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = Path(fedapay_sync.__file__).parent
WAKER = "test_bells.py::test_no_wake_up_is_lost_between_look_and_registration"
MACHINE = "contract/test_store_machine.py"

#: The machine as its own test runs it, but content with the first failure: making it small takes minutes.
UNTIL_IT_FAILS = """
import itertools, sys
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
folder, new = sys.argv[1:]
sys.path[:0] = [folder]
from test_store_machine import SETTINGS, Deliveries
names = (f"sqlite:///{new}/{number}.db" for number in itertools.count())
run_state_machine_as_test(
    lambda: Deliveries(lambda: next(names)), settings=settings(SETTINGS, phases=[Phase.generate])
)
"""

MUTANTS = {
    "a reader that does not look at new keys": (
        "bells.py", r"self\._fresh\.add\(key\)", "pass",
        WAKER,
    ),
    "a claim that ignores a live lease": (
        "store/events.py", r"return is_dead\(held_by\) or \(.*\)\n", "return True\n", MACHINE,
    ),
    "a duplicate that arms its work again": (
        "store/rows.py", r"DO NOTHING", "DO UPDATE SET work_state = 'ready', lease_owner = NULL", MACHINE,
    ),
    "an end without a fence": (
        "store/events.py", r"EventRow\.id == work\.id,\n(\s+)EventRow\.lease_owner == owner,\n"
        r"\s+EventRow\.attempts == work\.attempts,\n\s+EventRow\.work_state == \"running\",\n",
        "EventRow.id == work.id,\n", MACHINE,
    ),
}  # fmt: skip


@pytest.fixture
def passes(tmp_path):
    """Whether a test passes with the package as it is in that copy."""

    def passes(test):
        if test == MACHINE:
            command = ["-c", UNTIL_IT_FAILS, str((TESTS / test).parent), str(tmp_path / "databases")]
        else:
            shutil.copy(TESTS.parent / "setup.cfg", tmp_path)
            options = ["-q", "-p", "no:cacheprovider", "-c", str(tmp_path / "setup.cfg"), "--rootdir", str(TESTS)]
            command = ["-m", "pytest", *options, str(TESTS / test)]
        run = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert run.returncode in (0, 1), run.stdout + run.stderr
        # Not because something is missing, but because something that was claimed is not so.
        assert run.returncode == 0 or "AssertionError" in run.stdout + run.stderr, run.stdout + run.stderr
        return run.returncode == 0

    shutil.copytree(PACKAGE, tmp_path / "fedapay_sync")
    return passes


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_noticed(passes, tmp_path, name):
    """
    The named test fails with it.
    """
    file, found, instead, test = MUTANTS[name]
    path = tmp_path / "fedapay_sync" / file
    text, count = re.subn(found, lambda _: instead, path.read_text(encoding="utf-8"))
    assert count == 1, f"{name}: {count} places in {file}"
    path.write_text(text, encoding="utf-8")

    assert not passes(test)


@pytest.mark.parametrize("test", sorted({mutant[3] for mutant in MUTANTS.values()}))
def test_without_a_mutant_it_passes(passes, test):
    """
    So it is the mutation that is noticed, and not the copy.
    """
    assert passes(test)
