"""What several benchmarks ask for: the asynchronous connector in an environment of its own, and a certificate."""

import os
import subprocess
import sys

import pytest
import trustme

PACKAGE = "fedapay_connector==2.0.3"


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The interpreter of an environment that has it; skipped where there is no package index."""
    folder = tmp_path_factory.mktemp("peer")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", PACKAGE], capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        pytest.skip(f"{PACKAGE} cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    return python


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Files of the certificate of the stand-in, and of what it is trusted by."""
    folder, made = tmp_path_factory.mktemp("tls"), trustme.CA()
    made.cert_pem.write_to_path(str(folder / "bundle.pem"))
    made.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    return folder
