"""Clients that others wrote: installed once for all workers, run as processes of their own."""

import json
import os
import socket
import sqlite3
import subprocess
from contextlib import closing

import pytest


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """
    ``installed(name, install)``: the folder into which ``install(folder)`` has put something, once for all workers.
    """
    base = tmp_path_factory.getbasetemp()
    # Each worker of pytest-xdist has its own folder in the session's.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name, install):
        folder = shared / name
        # A lock that every system has, and that a killed worker gives back.
        with closing(sqlite3.connect(str(folder) + ".lock", timeout=600, isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            done = folder / "done"
            if not done.exists():
                folder.mkdir(exist_ok=True)
                install(folder)
                done.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def steps():
    """
    ``steps(command, env)``: runs a client's script, and gives what each step printed: {step: {result or error}}.
    """

    def run(command, env, cwd=None):
        # No proxy of this machine between a client and the emulator.
        environment = {**os.environ, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", **env}
        ended = subprocess.run(
            command, env=environment, cwd=cwd, capture_output=True, encoding="utf-8", timeout=180, check=False
        )
        assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
        lines = [json.loads(line[5:]) for line in ended.stdout.splitlines() if line.startswith("STEP ")]
        return {line.pop("step"): line for line in lines}

    return run


@pytest.fixture(scope="session")
def free_ports():
    """``free_ports()``: a port that nobody listens on."""

    def find():
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            return found.getsockname()[1]

    return find
