"""
The asynchronous connector as a shop that asks for payments, in its own environment.

Each line of stdin is how many payments, and how many of them at the same time; the answer is the seconds that they
took, and those of a core.
"""

import asyncio
import json
import os
import sys
import time

from fedapay_connector import FedapayConnector, MethodesPaiement, PaiementSetup, Pays, UserData

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.mtn_open)
CLIENT = UserData(nom="Hounkpatin", prenom="Ayaba", email="ayaba@boutique.bj", tel="0166000001")

say = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
os.dup2(1, 2)


async def pay(shop, count) -> None:
    for _ in range(count):
        payment = await shop.fedapay_pay(SETUP, CLIENT, 15000)
        assert payment.status.value == "pending"


async def main(api: str) -> None:
    shop = FedapayConnector(api, False, save_log_to_file=False)
    await pay(shop, 5)
    print("ready", file=say, flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        count, at_once = json.loads(line)
        start, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*(pay(shop, count // at_once) for _ in range(at_once)))
        print(json.dumps([time.perf_counter() - start, time.process_time() - used]), file=say, flush=True)


asyncio.run(main(*sys.argv[1:]))
os._exit(0)
