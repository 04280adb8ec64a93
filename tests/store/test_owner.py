"""Whether the owner of a lease lives: said only where it is certain."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fedapay_sync.store.owner import is_alive, is_dead, new_owner, retire

pytestmark = pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="the system does not tell")

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import sys
from fedapay_sync.store.owner import new_owner
print(new_owner(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def child():
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=str(ROOT), text=True
    )
    process.owner = process.stdout.readline().strip()
    yield process
    process.kill()
    process.communicate()


def changed(owner, place, value):
    parts = owner.split(":")
    parts[place] = value
    return ":".join(parts)


def test_a_process_that_runs_is_alive_and_a_killed_one_is_dead(child, eventually):
    """
    A zombie is dead, too: only its parent has not looked yet.
    """
    assert is_alive(child.owner) and not is_dead(child.owner)

    child.send_signal(signal.SIGKILL)
    eventually(lambda: is_dead(child.owner))
    assert not is_alive(child.owner)
    child.wait(10)
    assert is_dead(child.owner) and not is_alive(child.owner)


def test_a_stopped_process_is_alive(child):
    """
    It will go on in the middle of its callback when it is continued.
    """
    child.send_signal(signal.SIGSTOP)
    assert is_alive(child.owner) and not is_dead(child.owner)


def test_a_process_id_given_to_another_is_not_the_owner(child):
    """
    The number is there, but what has it started at another moment.
    """
    recycled = changed(child.owner, 3, str(int(child.owner.split(":")[3]) - 1))
    assert is_dead(recycled) and not is_alive(recycled)


@pytest.mark.parametrize("place", ["0123456789abcdef", ""])
def test_of_another_boot_machine_or_container_nothing_is_said(child, place):
    """
    Host names are shared, and process ids begin anew with each of them: 1 here is not 1 there.
    """
    for pid in (child.owner.split(":")[2], "999999999"):
        elsewhere = changed(changed(child.owner, 1, place), 2, pid)
        assert not is_dead(elsewhere) and not is_alive(elsewhere)


@pytest.mark.parametrize("owner", ["", "A", "host:1", "host:12:34:abcd", ":::::", "host::x:1:2"])
def test_of_a_name_in_another_form_nothing_is_said(owner):
    """
    Written by another version, or by no process.
    """
    assert not is_dead(owner) and not is_alive(owner)


def test_an_owner_of_this_process_is_alive_until_it_is_retired():
    """
    A connector that was closed holds nothing any more; another of the same process does.
    """
    first, second = new_owner(), new_owner()
    assert is_alive(first) and is_alive(second) and first != second

    retire(first)

    assert is_dead(first) and is_alive(second)
    retire(second)


def test_after_a_fork_the_parents_owner_is_the_parents():
    """
    The child inherits the list of names, not the names.
    """
    owner = new_owner()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, b"%d%d" % (is_alive(owner), is_dead(owner)))
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 9) == b"10"
    retire(owner)
    os.close(reader)
    os.close(writer)


def test_the_name_fits_its_column():
    assert len(new_owner()) <= 80


def test_a_process_knows_its_own_life_where_the_system_tells_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr("fedapay_sync.store.owner._PROC", tmp_path)
    owner = new_owner()
    assert is_alive(owner) and not is_dead(owner)
    retire(owner)
    assert not is_alive(owner) and not is_dead(owner)
