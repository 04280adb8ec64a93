"""
La boutique et un FedaPay d'essai, chacun dans son processus : ``python demarrer.py``, puis http://127.0.0.1:8000.

Demande ``pip install 'fedapay_sync[django]'``. ``BOUTIQUE_PORT`` et ``FEDAPAY_API_URL`` changent les deux adresses.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

PORT = os.environ.get("BOUTIQUE_PORT", "8000")
FEDAPAY = urlsplit(os.environ.get("FEDAPAY_API_URL", "http://127.0.0.1:8800"))


def main() -> None:
    def lancer(*commande: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, *commande], cwd=Path(__file__).resolve().parent)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lancer("manage.py", "migrate").wait()
    adresse = f"http://127.0.0.1:{PORT}/webhooks/fedapay"
    processus = [
        lancer("-m", "fedapay_sync", "emulator", "--port", str(FEDAPAY.port), "--webhook-url", adresse),
        lancer("manage.py", "runserver", PORT),
    ]
    try:
        for each in processus:
            each.wait()
    except KeyboardInterrupt:
        pass
    finally:
        for each in processus:
            each.terminate()
            each.wait()


if __name__ == "__main__":
    main()
