"""
A shop in a process of its own: takes webhooks and notes what its callback was told. Ends when its input does.

``python shop.py URL KEY SECRET DATABASE EFFECTS PORT``; or ``app`` of the first five under gunicorn. Without a file for
the effects it has no callback.
"""

import os
import sys

from support import crash_points

from fedapay_sync import Connector


def open_shop(api, key, secret, url, effects, port=0, **changes):
    """The connector, with its callback."""
    connector = Connector(
        api, True, listen_server_port=int(port), fedapay_webhooks_secret_key=secret, db_url=url, api_key=key, **changes
    )

    def note(event):
        """The effect: a line in a file, whole or not at all."""
        file = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, f"{event.id_transaction} {event.attempt}\n".encode())
        os.close(file)

    if effects:
        connector.on_webhook(note)
    return connector


def app(*arguments):
    """What a server of the owner's choice serves."""
    return open_shop(*arguments).wsgi_app("webhooks")


if __name__ == "__main__":
    shop = open_shop(*sys.argv[1:])
    shop.start_webhook_server()
    crash_points.arm()
    print("ready", flush=True)
    # It simply ends then: what is under way is the library's to bring to its end.
    sys.stdin.read()
