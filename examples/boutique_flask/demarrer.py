"""
La boutique et un FedaPay d'essai, chacun dans son processus : ``python demarrer.py``, puis http://127.0.0.1:5000.

Demande ``pip install fedapay_sync flask-sqlalchemy flask-wtf``. Une variable déjà définie l'emporte.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from fedapay_sync.emulator import SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET

ESSAI = {
    "FLASK_APP": "boutique",
    "FLASK_RUN_PORT": "5000",
    "FLASK_SECRET_KEY": "pour essayer seulement",
    "FEDAPAY_API_URL": "http://127.0.0.1:8800",
    "FEDAPAY_API_KEY": SANDBOX_SECRET_KEY,
    "FEDAPAY_AUTH_KEY": SANDBOX_WEBHOOK_SECRET,
}


def main() -> None:
    def lancer(*commande: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "flask", *commande],
            cwd=Path(__file__).resolve().parent,
            env={**ESSAI, **os.environ},
        )

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lancer("creer-base").wait()
    processus = [lancer("fedapay", "emulator"), lancer("run")]
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
