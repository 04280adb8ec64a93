"""Ten thousand transactions with their webhooks through one emulator: its memory, and its pace at the end."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import pytest

from fedapay_sync.emulator import SANDBOX_SECRET_KEY
from fedapay_sync.server.web_server import WebServer

COUNT = 10_000
#: So many are timed together.
GROUP = 1000
#: Megabytes.
MOST = 300
_MEGABYTE = 1_000_000


class Shop:
    """Counts what it is told."""

    def __init__(self):
        self.told = 0
        self._lock = threading.Lock()

    def __call__(self, environ, start_response):
        environ["wsgi.input"].read()
        with self._lock:
            self.told += 1
        start_response("200 OK", [("Content-Length", "0")])
        return []


class Client:
    """One connection that stays open, so that the emulator is measured and not the client."""

    def __init__(self, url):
        self._line = HTTPConnection(urlsplit(url).netloc, timeout=60)

    def __call__(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {SANDBOX_SECRET_KEY}", "Content-Type": "application/json"}
        self._line.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._line.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)


def resident(process):
    """Bytes of memory that a process occupies."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096


def busy(process):
    """Seconds of processor that a process has used: other programs of the machine are not measured."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def yardstick():
    """Seconds of processor for the same work, now: other programs slow the machine down for everybody."""
    start = time.process_time()
    for number in range(60_000):
        json.loads(json.dumps({"number": number}))
    return time.process_time() - start


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of a process as Linux tells it")
@pytest.mark.parametrize("kept", ["in memory", "in a file"])
def test_ten_thousand_transactions_neither_fill_nor_slow_it(kept, tmp_path, eventually):
    """
    Created, approved, read, each change told: below 300 MB, and the last thousand no third slower than the first.
    """
    shop, groups, scaled = Shop(), [], []
    state = ["--state", str(tmp_path / "state.db")] if kept == "in a file" else []
    with WebServer(shop) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "fedapay_sync", "emulator", "--webhook-url", server.url, *state],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        try:
            url = re.search(r"http://\S+", process.stdout.readline())[0]
            client, began, start = Client(url), resident(process), busy(process)
            for number in range(1, COUNT + 1):
                customer = {"email": f"client{number}@example.bj", "firstname": "Ayaba", "lastname": "Hounkpatin"}
                made = client(
                    "POST",
                    "/v1/transactions",
                    {
                        "description": f"Commande {number}",
                        "amount": 1000,
                        "currency": {"iso": "XOF"},
                        "merchant_reference": f"commande-{number}",
                        "customer": customer,
                    },
                )["v1/transaction"]
                client("POST", f"/_emulateur/transactions/{made['id']}/approve", {})
                assert client("GET", f"/v1/transactions/{made['id']}")["v1/transaction"]["status"] == "approved"
                if number % GROUP == 0:
                    # Each group ends with its webhooks delivered: what waits is not what is measured.
                    eventually(lambda: shop.told == 2 * number, timeout=60)  # noqa: B023
                    groups.append(busy(process) - start)
                    scaled.append(groups[-1] / yardstick())
                    start = busy(process)
            grown = resident(process)
        finally:
            process.kill()
            process.communicate()
    first, last = median(scaled[:3]), median(scaled[-3:])
    print(
        f"\n{COUNT} transactions {kept}, {shop.told} webhooks: {began / _MEGABYTE:.0f} MB at the start, "
        f"{grown / _MEGABYTE:.0f} MB at the end; seconds of processor for each {GROUP}: "
        f"{', '.join(f'{each:.2f}' for each in groups)}; by the yardstick the end costs {last / first:.2f} of the start"
    )

    assert shop.told == 2 * COUNT
    assert grown < MOST * _MEGABYTE
    assert last < first * 4 / 3
