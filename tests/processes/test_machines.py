"""
Processes on several machines: each in a namespace of process ids of its own, out of sight of the others, one of them
with a wrong clock, or frozen.
"""

import functools
import glob
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fedapay_sync
from fedapay_sync.store import NewEvent, Store

ROOT = Path(fedapay_sync.__file__).parents[1]
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), "")
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")

MACHINE = """
import logging, signal, sys, threading
from types import SimpleNamespace
from support.claims import named
from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.store import Store
from fedapay_sync.store.owner import new_owner
from fedapay_sync.workflow.callbacks.worker import CallbackWorker
from fedapay_sync.workflow.context import Context

url, effects, name, lease, freezes = sys.argv[1:]
logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
config = SimpleNamespace(environment="sandbox", accounts=("shop",), keep_bodies_days=30)
go_on = threading.Event()

def freeze(where):
    if where == freezes:
        print("frozen", flush=True)
        # This thread does not come back from the call before the process goes on.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

class Machine(CallbackWorker):
    def _submit(self, held):
        freeze("before the callback")
        super()._submit(held)

def handler(work):
    with open(effects, "a") as file:
        file.write(f"{name} {work.event_key} {work.attempts}\\n")
    freeze("in the callback")
    if work.event_key == "slow":
        print("running", flush=True)
        go_on.wait(60)

store = Store(url)
worker = Machine(Context(config, store, SYSTEM_CLOCK, new_owner()), lease=float(lease))
worker.set(named(handler))
worker.notify()
sys.stdin.read()
go_on.set()
worker.close(10)
store.close()
"""


@functools.cache
def why_no_machines():
    """What is missing here for several machines; empty if nothing is."""
    if shutil.which("unshare") is None:
        return "unshare is not installed"
    done = subprocess.run([*NAMESPACE, "true"], capture_output=True, text=True, timeout=20)
    return done.stderr.strip() if done.returncode else ""


@pytest.fixture
def machine(tmp_path):
    """Machines with a worker each, and what their callbacks did."""
    if why_no_machines():
        pytest.skip(f"no namespaces of process ids: {why_no_machines()}")
    started, effects = [], tmp_path / "effects"

    def start(url, name, *, lease=60.0, freezes="never", ahead=""):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parents[1])])}
        faked = ["env", f"LD_PRELOAD={FAKETIME}", f"FAKETIME={ahead}", "FAKETIME_DONT_FAKE_MONOTONIC=1"]
        # Behind a shell: the first process of a namespace takes no signal to stop from within.
        process = subprocess.Popen(
            [*NAMESPACE, "sh", "-c", '"$@"; exit $?', "sh", *(faked if ahead else ()),
             sys.executable, "-c", MACHINE, url, str(effects), name, str(lease), freezes],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
            start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    def lines():
        return effects.read_text().splitlines() if effects.exists() else []

    start.effects = lines
    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=10)


def thaw(process):
    os.killpg(process.pid, signal.SIGCONT)


def end(process):
    """Let it end in good order, and what it has logged."""
    _, log = process.communicate(timeout=30)
    assert process.returncode == 0, log
    return log


@pytest.fixture
def accept():
    stores = []

    def accept(url, *keys):
        stores.append(Store(url))
        for key in keys:
            stores[-1].events.accept(
                NewEvent(
                    dedup_key=hashlib.sha256(key.encode()).hexdigest(), event_key=key, environment="sandbox",
                    account="shop", name="transaction.approved", object="transaction", entity_id=key,
                    status="approved", is_final=True, is_paid=True, source="webhook", body=b"{}", body_sha256="",
                    received_at=1.0,
                )
            )  # fmt: skip
        return stores[-1]

    yield accept
    for store in stores:
        store.close()


def state(store, key):
    query = (
        "SELECT k.work_state, k.attempts FROM fp_call k JOIN fp_event e ON e.id = k.event_id "
        f"WHERE e.event_key = '{key}'"
    )
    return store.read(lambda database: tuple(database.execute_sql(query).fetchone()))


@pytest.mark.faults(row=8)
@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed (Debian: apt-get install libfaketime)")
def test_a_machine_whose_clock_is_ahead_takes_no_callback_from_the_one_that_runs_it(
    machine, accept, postgres_url, eventually
):
    """
    By 90 s, and a lease lasts 60 s. It does what is owed besides, and so has looked.
    """
    store = accept(postgres_url, "slow")
    right = machine(postgres_url, "right")
    assert right.stdout.readline() == "running\n"
    ahead = machine(postgres_url, "ahead", ahead="+90s")
    # So that it is the other one that takes what comes now.
    os.killpg(right.pid, signal.SIGSTOP)
    accept(postgres_url, "other")
    eventually(lambda: "ahead other 1" in machine.effects())
    thaw(right)
    end(right)
    end(ahead)
    assert machine.effects() == ["right slow 1", "ahead other 1"]
    assert state(store, "slow") == ("done", 1)


@pytest.mark.faults(row=15)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_machine_frozen_before_a_callback_does_not_call_what_another_has_called(
    machine, accept, request, eventually, database
):
    """
    For longer than its lease, right after it had taken the event.
    """
    url = request.getfixturevalue(f"{database}_url")
    store = accept(url, "event")
    frozen = machine(url, "frozen", lease=1.0, freezes="before the callback")
    assert frozen.stdout.readline() == "frozen\n"
    living = machine(url, "living", lease=1.0)
    eventually(lambda: state(store, "event") == ("done", 2))
    thaw(frozen)
    assert "taken by another process while this one stood still" in end(frozen)
    end(living)
    assert machine.effects() == ["living event 2"]


@pytest.mark.faults(row=15)
def test_a_machine_frozen_in_a_callback_is_what_event_key_is_for(machine, accept, postgres_url, eventually):
    """
    What no lease can prevent: the other machine calls with the same key, and the one that was frozen says so.
    """
    store = accept(postgres_url, "event")
    frozen = machine(postgres_url, "frozen", lease=1.0, freezes="in the callback")
    assert frozen.stdout.readline() == "frozen\n"
    living = machine(postgres_url, "living", lease=1.0)
    eventually(lambda: state(store, "event") == ("done", 2))
    thaw(frozen)
    assert "it ran twice" in end(frozen)
    end(living)
    assert machine.effects() == ["frozen event 1", "living event 2"]
    assert state(store, "event") == ("done", 2)
