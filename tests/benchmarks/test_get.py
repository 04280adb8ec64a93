"""What a GET through us costs, model included, beside the same GET through a bare session of requests."""

import json
import statistics
import subprocess
import sys
import time

import pytest
import requests
import urllib3

from fedapay_sync import Integration

ROUNDS = 2000
#: Times the bare session: what is promised is "no more", the rest is for the noise of the machine.
BOUND = 1.05
KEY = "sk_sandbox_ClePourMesurer"
TOKEN = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOjUxMjM0NSwiZXhwIjoxNzkxODgyODQ1fQ.c2lnbmF0dXJlIGRlIHRlc3Q"
TRANSACTION = {
    "klass": "v1/transaction",
    "id": 512345,
    "reference": "trx_q7M_1791796445318",
    "amount": 15000,
    "description": "Commande 2026-0917",
    "callback_url": "https://boutique.example.bj/retour",
    "status": "pending",
    "customer_id": 88012,
    "currency_id": 1,
    "mode": None,
    "operation": "payment",
    "metadata": {"expire_schedule_jobid": "6f1b2c3d4e5f60718293a4b5"},
    "commission": None,
    "fees": None,
    "fixed_commission": 0,
    "amount_transferred": None,
    "created_at": "2026-10-12T09:14:05.318Z",
    "updated_at": "2026-10-12T09:14:05.402Z",
    "approved_at": None,
    "canceled_at": None,
    "declined_at": None,
    "refunded_at": None,
    "transferred_at": None,
    "deleted_at": None,
    "last_error_code": None,
    "custom_metadata": {"order_id": "0917", "shop": "cotonou"},
    "amount_debited": None,
    "receipt_url": None,
    "payment_method_id": None,
    "sub_accounts_commissions": None,
    "transaction_key": None,
    "merchant_reference": "CMD-2026-0917",
    "account_id": 30211,
    "balance_id": None,
    "payment_token": TOKEN,
    "payment_url": f"https://sandbox-process.fedapay.com/{TOKEN}",
    "flags": [],
    "to_be_transferred_at": None,
}
# In a process of its own, so that it waits for nobody's lock of the interpreter, and as little as answers at all.
SERVER = """
import socket, sys, threading
body = sys.argv[1].encode()
answer = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json; charset=utf-8\\r\\n"
answer += b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body

def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    asked = b""
    while True:
        asked += connection.recv(65536)
        if not asked:
            return
        if asked.endswith(b"\\r\\n\\r\\n"):
            asked = b""
            connection.sendall(answer)

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.fixture
def url():
    """A server that answers one transaction, at once."""
    body = json.dumps({"v1/transaction": TRANSACTION})
    process = subprocess.Popen([sys.executable, "-S", "-c", SERVER, body], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


def test_a_get_costs_no_more_than_through_a_bare_session(url):
    """
    Median of all rounds, each way in turn in the same run; the bare session with its defaults, as people use it.
    """
    address, headers = f"{url}/v1/transactions/512345", {"Authorization": f"Bearer {KEY}"}
    pool, session = urllib3.PoolManager(), requests.Session()
    seen = []
    ours = Integration(url, default_api_key=KEY)
    observing = Integration(url, default_api_key=KEY, observer=seen.append)

    ways = {
        "floor: urllib3, bytes": lambda: pool.request("GET", address, headers=headers).data,
        "rival: requests.Session, .json()": lambda: session.get(address, headers=headers).json(),
        "ours: transactions.retrieve(id)": lambda: ours.transactions.retrieve(512345),
        "ours, with an observer": lambda: observing.transactions.retrieve(512345),
    }
    times = {name: [] for name in ways}
    for turn in range(ROUNDS + 50):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if turn >= 50:  # connections open and code warm
                times[name].append(time.perf_counter() - start)
    assert ours.transactions.retrieve(512345).amount == 15000 and len(seen) == ROUNDS + 50

    medians = {name: statistics.median(values) for name, values in times.items()}
    rival = medians["rival: requests.Session, .json()"]
    print()
    for name, median in medians.items():
        print(f"{name:36} {1e6 * median:7.0f} µs   {median / rival:5.2f} times the rival")
    session.close()
    ours.close()
    observing.close()
    assert medians["ours: transactions.retrieve(id)"] <= BOUND * rival
