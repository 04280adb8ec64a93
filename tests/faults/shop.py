"""
A shop in a process of its own: takes webhooks and notes what its callback was told. Ends when its input does.

``python shop.py URL KEY SECRET DATABASE PORT EFFECTS``; without a file for the effects it has no callback.
"""

import os
import sys

import crash_points

from fedapay_sync import Connector

api, key, secret, url, port, effects = sys.argv[1:]
connector = Connector(
    api, True, listen_server_port=int(port), fedapay_webhooks_secret_key=secret, db_url=url, api_key=key
)


def note(event):
    """The effect: a line in a file, whole or not at all."""
    file = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{event.id_transaction} {event.attempt}\n".encode())
    os.close(file)


if effects:
    connector.on_webhook(note)
connector.start_webhook_server()
crash_points.arm()
print("ready", flush=True)
sys.stdin.read()
connector.close()
