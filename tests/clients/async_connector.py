"""
The asynchronous connector's own calls, one after the other.

Each prints a line "STEP {json}": what it gave, or its error.

Run by test_async_connector.py in an environment of its own, where fedapay_connector is installed. It knows no
momo_test: the emulator it talks to follows the rules of production.
"""

import asyncio
import json
import os
import socket
import sys
import threading

from fedapay_connector import (
    FedapayConnector,
    Integration,
    MethodesPaiement,
    PaiementSetup,
    Pays,
    TypesPaiement,
    UserData,
)

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.mtn_open)
BY_LINK = PaiementSetup(pays=Pays.benin, type_paiement=TypesPaiement.AVEC_REDIRECTION)
CLIENT = UserData(nom="Hounkpatin", prenom="Ayaba", email="ayaba@boutique.bj", tel="0166000001")
PORT = int(os.environ["SHOP_PORT"])


def plain(given):
    """What json can write of a model, a tuple of models, or anything else."""
    if hasattr(given, "model_dump"):
        return given.model_dump(mode="json")
    if isinstance(given, (list, tuple)):
        return [plain(each) for each in given]
    return getattr(given, "value", given)


async def step(name, awaited):
    (given,) = await asyncio.gather(awaited, return_exceptions=True)
    if isinstance(given, Exception):
        line = {"step": name, "error": {"type": type(given).__name__, "text": str(given)}}
    else:
        line = {"step": name, "result": plain(given)}
    # In one piece: the connector's own server writes to stdout from its thread.
    sys.stdout.write(f"\nSTEP {json.dumps(line)}\n")
    sys.stdout.flush()
    return given


async def made(value):
    return value


async def integration():
    calls = Integration()
    options = {"callback_url": "https://boutique.bj/retour", "merchant_reference": "CMD-7", "description": "Commande 7"}
    transaction = await step(
        "create_transaction",
        calls.create_transaction(SETUP, CLIENT, 15000, custom_metadata={"order_id": "7"}, **options),
    )
    token = await step("get_transaction_link", calls.get_transaction_link(transaction.id))
    await step("set_payment_method", calls.set_payment_method(CLIENT, SETUP, token.token))
    id = str(transaction.id)
    await step("get_transaction_by_fedapay_id", calls.get_transaction_by_fedapay_id(id))
    await step("get_transaction_by_merchant_reference", calls.get_transaction_by_merchant_reference("CMD-7"))
    await step("update_transaction", calls.update_transaction(id, {"description": "Changée"}))
    other = await step("other", calls.create_transaction(SETUP, CLIENT, 500))
    await step("delete_transaction", calls.delete_transaction(str(other.id)))
    await step("get_all_transactions", calls.get_all_transactions({"per_page": 1}))
    balances = await step("get_all_balances", calls.get_all_balances())
    await step("get_balance_by_id", calls.get_balance_by_id(str(balances.balances[0].id)))
    await step("get_all_currencies", calls.get_all_currencies())
    await step("get_currency_by_id", calls.get_currency_by_id(1))
    await step("get_currency_by_iso", calls.get_currency_by_id("XOF"))
    events = await step("get_all_events", calls.get_all_events({"per_page": 50}))
    await step("get_event_by_id", calls.get_event_by_id(events.events[0].id))
    entities = [each.get_parsed_entity() for each in events.events if each.object == "transaction"]
    await step("entities", made(entities))
    logs = await step("get_all_logs", calls.get_all_logs({"per_page": 50}))
    await step("get_log_by_id", calls.get_log_by_id(logs.logs[0].id))
    creation = [each for each in logs.logs if (each.method, each.url) == ("POST", "/v1/transactions")][-1]
    await step("log_body", made(creation.get_decoded_body()))
    await step("log_response", made(creation.get_decoded_response()))
    webhooks = await step("get_all_webhooks", calls.get_all_webhooks())
    await step("get_webhook_by_id", calls.get_webhook_by_id(str(webhooks.webhooks[0].id)))
    await step("wrong_key", calls.get_all_balances(api_key="sk_live_of_somebody_else"))


async def connector():
    shop = FedapayConnector(
        use_listen_server=True,
        listen_server_port=PORT,
        save_log_to_file=False,
        fedapay_webhooks_secret_key=os.environ["FEDAPAY_AUTH_KEY"],
    )
    paid, told = [], []

    async def on_payment(payment):
        paid.append(payment.transaction_data.id)

    async def on_webhook(webhook):
        told.append(webhook.name)

    shop.set_payment_callback_function(on_payment)
    shop.set_webhook_callback_function(on_webhook)
    shop.start_webhook_server()
    await listening()
    payment = await step("pay", shop.fedapay_pay(SETUP, CLIENT, 2000, merchant_reference="CMD-8"))
    id = payment.transaction_data.id
    await step("finalise", shop.fedapay_finalise(id, 30))
    await step("data", shop.fedapay_get_transaction_data(id))
    await step("data_by_reference", shop.fedapay_get_transaction_data_by_merchant_id("CMD-8"))
    await step("cancel_paid", shop.fedapay_cancel_transaction(id))
    by_link = await step("pay_by_link", shop.fedapay_pay(BY_LINK, CLIENT, 3000))
    await step("finalise_unpaid", shop.fedapay_finalise(by_link.transaction_data.id, 1))
    await step("data_unpaid", shop.fedapay_get_transaction_data(by_link.transaction_data.id))
    other = await step("pay_other", shop.fedapay_pay(BY_LINK, CLIENT, 3000))
    await step("cancel", shop.fedapay_cancel_transaction(other.transaction_data.id))
    await step("callbacks", made([paid, told]))
    await shop.shutdown_cleanup()


async def listening():
    """Until the connector's server, which starts in a thread, takes connections."""
    for _ in range(200):
        try:
            socket.create_connection(("localhost", PORT), timeout=1).close()
            return
        except OSError:
            await asyncio.to_thread(threading.Event().wait, 0.05)


async def main():
    await integration()
    await connector()


asyncio.run(main())
# Its server's thread may still be in its loop; nothing is left to do.
os._exit(0)
