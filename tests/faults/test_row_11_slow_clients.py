"""Row 11: clients that send a byte now and then, and a webhook among them."""

import socket
import threading

import pytest
from support.shops import timed

pytestmark = pytest.mark.faults(row=11)

CLIENTS = 50


@pytest.fixture
def dripping(shop):
    """Clients that have begun a request and go on with a byte every now and then."""
    lines, over = [], threading.Event()

    def drip():
        for byte in b"Content-Length: 10\r\nX-Slow: " + b"x" * 10_000:
            for line in lines:
                line.send(bytes([byte]))
            if over.wait(0.2):
                return

    def start():
        for _ in range(CLIENTS):
            line = socket.create_connection(("127.0.0.1", shop.port), timeout=10)
            line.sendall(b"POST /webhooks HTTP/1.1\r\nHost: x\r\n")
            lines.append(line)
        thread = threading.Thread(target=drip)
        thread.start()
        return thread

    yield start
    over.set()
    for line in lines:
        line.close()


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_a_webhook_is_taken_within_a_second_among_fifty_slow_clients(shop, dripping, eventually):
    """
    They hold no thread: each of ten webhooks is answered as if they were not there.
    """
    shop.start()
    thread = dripping()
    for number in range(1, 11):
        status, taken = timed(shop.deliver, number)
        assert status == 200 and taken <= 1
    assert thread.is_alive()
    eventually(lambda: shop.told() == dict.fromkeys(range(1, 11), 1))
