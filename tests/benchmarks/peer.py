"""
The asynchronous connector as a server to be measured, in its own environment: speaks like ``shop.py``.

It keeps webhooks in memory. What it and its server would log costs it nothing here. A third argument is a name for its
callback, of which it has one at most; without it, none.
"""

import asyncio
import collections
import json
import os
import socket
import sys
import time

from fedapay_connector import FedapayConnector

say = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
os.dup2(1, 2)


PATIENCE = 60


async def main(api: str, secret: str, name: str = "") -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shop = FedapayConnector(
        api, True, listen_server_port=port, fedapay_webhooks_secret_key=secret, save_log_to_file=False
    )
    ended = collections.deque()

    async def callback(event) -> None:
        ended.append((event.entity.id, name, time.monotonic()))

    if name:
        shop.set_webhook_callback_function(callback)
    shop.start_webhook_server()
    while True:
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
            break
        except OSError:
            await a_moment()
    print(f"http://localhost:{port}/webhooks", file=say, flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        if isinstance(order, list):
            await wait_for(shop, order)
        else:
            await tell_ended(ended, order)


async def tell_ended(ended, count) -> None:
    end = time.monotonic() + PATIENCE
    while len(ended) < count and time.monotonic() < end:
        await a_moment()
    print(json.dumps([ended.popleft() for _ in range(len(ended))]), file=say, flush=True)


async def wait_for(shop, numbers) -> None:
    ended = {}

    async def wait(number):
        status, _ = await shop.fedapay_finalise(number, 120)
        assert status.value == "resolved", status
        ended[number] = time.monotonic()

    tasks = [asyncio.create_task(wait(number)) for number in numbers]
    while not all(shop._event_manager.has_future(number) for number in numbers):
        await a_moment()
    print("waiting", file=say, flush=True)
    await asyncio.gather(*tasks)
    print(json.dumps(ended), file=say, flush=True)


async def a_moment() -> None:
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.01)


asyncio.run(main(*sys.argv[1:]))
# The thread of its server may still be in its loop; nothing is left to do.
os._exit(0)
