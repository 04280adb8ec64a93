"""`fedapay-sync demo`, as a newcomer runs it."""

import os
import re
import subprocess
import sys
from typing import Dict

COMMAND = [sys.executable, "-m", "fedapay_sync.cli", "demo"]


def start(**environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        COMMAND,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def finished(process: "subprocess.Popen[str]") -> str:
    output, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    assert complaints == ""
    return output


def steps(output: str) -> Dict[str, float]:
    """What happened, and after how many seconds."""
    lines = re.findall(r"^ +([\d,]+) s  [✓·] (\S.*?)(?:  .*)?$", output, re.MULTILINE)
    return {what: float(seconds.replace(",", ".")) for seconds, what in lines}


def test_the_demonstration_tells_each_step_in_order_with_its_time() -> None:
    """
    Created, prompted, webhook received and verified, paid; the times only grow.
    """
    output = finished(start())
    told = steps(output)

    assert list(told) == [
        "FedaPay de démonstration prêt",
        "Serveur de webhooks prêt",
        "Transaction créée",
        "Invitation envoyée au téléphone",
        "Webhook reçu, signature vérifiée",
        "Payé",
    ]
    times = [seconds for what, seconds in told.items() if not what.startswith("Webhook")]
    assert times == sorted(times)
    assert "transaction.created" in output and "transaction.approved" in output
    assert "1\u202f042 F CFA" in output or "1 042 F CFA" in output


def test_the_demonstration_pays_twice_in_a_row_and_side_by_side() -> None:
    """
    Nothing is left behind that a second one could trip over, and no port is fixed.
    """
    finished(start())

    together = [start(), start()]

    for process in together:
        assert "Payé" in steps(finished(process))


def test_the_demonstration_ignores_settings_and_proxies_and_leaves_nothing(tmp_path) -> None:
    """
    A real key in the environment is not read, a proxy is not asked, no file is made.
    """
    process = subprocess.Popen(
        COMMAND,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONIOENCODING": "utf-8",
            "FEDAPAY_API_KEY": "sk_live_vraie",
            "FEDAPAY_API_URL": "https://api.fedapay.com",
            "FEDAPAY_AUTH_KEY": "wh_live_vrai",
            "FEDAPAY_ENDPOINT_NAME": "ailleurs",
            "FEDAPAY_DB_URL": "sqlite:///:memory:",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
            "ALL_PROXY": "http://127.0.0.1:9",
            "TMPDIR": str(tmp_path),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )

    output = finished(process)

    assert "Payé" in steps(output)
    assert "/webhooks" in output and "ailleurs" not in output
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_without_the_ticks_is_no_reason_to_fail() -> None:
    """
    An old Windows terminal has no ✓; a question mark stands for it, and the demonstration goes on.
    """
    done = subprocess.run(
        COMMAND, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, capture_output=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert "? Payé" in done.stdout.decode("cp1252")
