"""
FedaPay as quick as Python can be it, in a process of its own: answers what ``pay`` asks, plain and over TLS.

One loop and no framework: beside it, what is measured is the client. Says its two addresses on stdout, plain and TLS,
and runs until its stdin ends.
"""

import asyncio
import json
import os
import re
import ssl
import sys

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
#: In place of the id of a new transaction, and as long.
_ID = b"512345"


class StandIn(asyncio.Protocol):
    """One connection."""

    made = 600_000

    def __init__(self, transaction: bytes, delay: float) -> None:
        self._delay = delay
        self._transaction = transaction
        found = json.loads(transaction)["v1/transaction"]
        token = {"token": found["payment_token"], "url": found["payment_url"]}
        self._token = json.dumps(token).encode()
        intent = {"klass": "v1/payment_intent", "id": 640071, "reference": "pi_R4k_1791796481902", "status": "pending"}
        self._intent = json.dumps({"v1/payment_intent": intent}).encode()
        self._asked = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._asked += data
        head, end, body = self._asked.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or len(body) < int(length[1] if length else 0):
            return
        self._asked = b""
        answer = self._answer(head.split(b" ", 2)[1])
        whole = _HEAD % len(answer) + answer
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._transport.write, whole)
        else:
            self._transport.write(whole)

    def _answer(self, path: bytes) -> bytes:
        if path == b"/v1/transactions":
            StandIn.made += 1
            return self._transaction.replace(_ID, b"%d" % StandIn.made)
        return self._token if path.endswith(b"/token") else self._intent


async def main(transaction: str, certificate: str, delay: str) -> None:
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    for tls in (None, context):
        server = await loop.create_server(
            lambda: StandIn(transaction.encode(), float(delay)), "127.0.0.1", 0, ssl=tls, backlog=200
        )
        print(f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main(*sys.argv[1:]))
os._exit(0)
