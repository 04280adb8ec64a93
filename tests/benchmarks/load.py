"""
Sends signed webhooks over many connections at once, and says how each was answered.

A process of its own, so that it waits for nobody's lock of the interpreter: reads what to do from stdin, as JSON, and
writes what came of it to stdout.
"""

import json
import re
import selectors
import socket
import sys
import time
import urllib.parse
from typing import Any, Dict, Iterator, List, Tuple

from fedapay_sync import sign

#: What is sent beforehand, over each connection, to have everything warm.
WARM = 10
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")


def webhook(number: int) -> bytes:
    """The news that a transaction is paid, about as long as FedaPay's."""
    stamp, token = "2026-10-12T09:15:11.204Z", "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9." + "c2lnbmF0dXJl" * 6
    entity = {
        "klass": "v1/transaction", "id": number, "reference": f"trx_q7M_{number}", "amount": 15000,
        "description": f"Commande {number}", "callback_url": "https://boutique.example.bj/retour",
        "status": "approved", "customer_id": 88012, "currency_id": 1, "mode": "momo_test", "operation": "payment",
        "metadata": {}, "commission": "0.018", "fees": 270, "fixed_commission": 0, "amount_transferred": 14730,
        "created_at": "2026-10-12T09:14:05.318Z", "updated_at": stamp, "approved_at": stamp, "canceled_at": None,
        "declined_at": None, "refunded_at": None, "transferred_at": None, "deleted_at": None, "last_error_code": None,
        "custom_metadata": {"order_id": str(number), "shop": "cotonou"}, "amount_debited": 15000, "receipt_url": None,
        "payment_method_id": 51377, "sub_accounts_commissions": None, "transaction_key": None,
        "merchant_reference": f"CMD-{number}", "account_id": 30211, "balance_id": None, "payment_token": token,
        "payment_url": f"https://sandbox-process.fedapay.com/{token}", "to_be_transferred_at": None,
    }  # fmt: skip
    account = {"klass": "v1/account", "id": 30211, "name": "Boutique Ayaba", "country": "BJ", "verified": True}
    event = {"name": "transaction.approved", "object": "transaction", "object_id": number, "entity": entity}
    return json.dumps({**event, "account": account}, separators=(",", ":")).encode()


def request(number: int, url: str, secret: str) -> bytes:
    """The whole request, signed now."""
    place, body = urllib.parse.urlsplit(url), webhook(number)
    head = (
        f"POST {place.path or '/'} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nagregateur: Fedapay\r\nX-FEDAPAY-SIGNATURE: {sign(body, secret)}\r\n\r\n"
    )
    return head.encode() + body


class Client:
    """One connection that is kept, with one request on its way at a time."""

    def __init__(self, url: str) -> None:
        place = urllib.parse.urlsplit(url)
        self.url = url
        self.socket = socket.create_connection((place.hostname, place.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = 0
        self.sent = 0.0
        self._answer = b""

    def send(self, number: int, message: bytes) -> None:
        self.number, self.sent, self._answer = number, time.monotonic(), b""
        self.socket.sendall(message)

    def status(self) -> int:
        """That of the answer once it is there to its end, 0 before."""
        piece = self.socket.recv(65536)
        assert piece, f"hung up after {self._answer!r}"
        self._answer += piece
        head, end, body = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        return int(head[9:12]) if end and length and len(body) >= int(length[1]) else 0


def send_all(clients: List[Client], messages: Iterator[Tuple[int, bytes]]) -> List[Tuple[int, int, float, float]]:
    """For each message its number, the status of its answer, when it was sent and when it was answered."""
    waiting, done = selectors.DefaultSelector(), []
    busy = 0
    for client in clients:
        waiting.register(client.socket, selectors.EVENT_READ, client)
        for number, message in messages:
            client.send(number, message)
            busy += 1
            break
    while busy:
        ready = waiting.select(60)
        assert ready, f"{busy} of {len(clients)} connections had no answer in 60 s"
        for key, _ in ready:
            client = key.data
            status = client.status()
            if status:
                done.append((client.number, status, client.sent, time.monotonic()))
                busy -= 1
                for number, message in messages:
                    client.send(number, message)
                    busy += 1
                    break
    waiting.close()
    return done


def main(order: Dict[str, Any]) -> None:
    first, count, secret = order["first"], order["count"], order["secret"]
    clients = [Client(order["urls"][each % len(order["urls"])]) for each in range(order["connections"])]
    # All signed beforehand: what is measured is not this program. Which of the addresses it goes to is in no signature.
    messages = [(number, request(number, order["urls"][0], secret)) for number in range(first, first + count)]
    warm = -order["warm"] * len(clients)
    send_all(clients, iter([(each, request(first + each, order["urls"][0], secret)) for each in range(warm, 0)]))
    done = send_all(clients, iter(messages))
    json.dump(done, sys.stdout)


if __name__ == "__main__":
    main({"warm": WARM, **json.load(sys.stdin)})
