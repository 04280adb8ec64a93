"""A shop in processes of its own that may die, and a sender that repeats like FedaPay."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, Optional

from support import crash_points

from fedapay_sync import sign

PROGRAM = Path(__file__).with_name("shop.py")


class Shop:
    """
    One process after another on one port and one database, and what all of them together noted.

    Args:
        folder: for what the callback notes and for what is logged.
    """

    def __init__(self, emulator: Any, db_url: str, port: int, folder: Path) -> None:
        self._emulator = emulator
        self._db_url = db_url
        self.port = port
        self._effects = folder / "effects"
        self._log = folder / f"log-{port}"
        self.process: Optional[subprocess.Popen[str]] = None
        self.starts = 0

    def start(self, crash_at: str = "", *, deaf: bool = False, environment: Optional[Dict[str, str]] = None) -> None:
        """
        The next life of the shop, until it takes webhooks.

        Args:
            crash_at: where it dies, in the words of ``crash_points``.
            deaf: it has no callback.
        """
        variables = {**crash_points.environment(crash_at), **(environment or {})}
        self._run([sys.executable, str(PROGRAM), *self._arguments(deaf=deaf), str(self.port)], variables)
        assert self.process is not None and self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", self.said()

    def start_under_gunicorn(self, *options: str) -> None:
        """The same, in workers of gunicorn; whoever calls waits for an answer."""
        application = f"shop:app({', '.join(map(repr, self._arguments()))})"
        variables = crash_points.environment()
        variables["PYTHONPATH"] += f"{os.pathsep}{PROGRAM.parent}"
        bind = ["-b", f"127.0.0.1:{self.port}", "--graceful-timeout", "4", *options]
        self._run([sys.executable, "-m", "gunicorn", *bind, application], variables)

    def _arguments(self, *, deaf: bool = False) -> List[str]:
        shop = self._emulator
        return [shop.url, shop.secret_key, shop.webhook_secret, self._db_url, "" if deaf else str(self._effects)]

    def _run(self, command: List[str], environment: Dict[str, str]) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        self.starts += 1

    @property
    def is_dead(self) -> bool:
        """Whether its process has been killed."""
        assert self.process is not None
        return self.process.poll() == -signal.SIGKILL

    def kill(self) -> None:
        """As the kernel does it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def deliver(self, number: int, padding: int = 0) -> Optional[int]:
        """Send the webhook of that payment once: the status of the answer; None if there was none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", "/webhooks", *self.webhook(number, padding))
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def webhook(self, number: int, padding: int = 0) -> Any:
        """Body and headers of it, signed now; larger by so many bytes."""
        entity = {"id": number, "klass": "v1/transaction", "status": "approved", "amount": 500, "note": "x" * padding}
        event = {"name": "transaction.approved", "object": "transaction", "object_id": number, "entity": entity}
        body = json.dumps(event).encode()
        return body, {"X-FEDAPAY-SIGNATURE": sign(body, self._emulator.webhook_secret)}

    def effects(self) -> "Counter[str]":
        """What the callback noted, as ``payment attempt``, with how often."""
        return Counter(self._effects.read_text().splitlines() if self._effects.exists() else ())

    def told(self) -> "Counter[int]":
        """How often the callback was called for each payment."""
        return Counter(int(line.split()[0]) for line in self.effects().elements())

    def said(self) -> str:
        """What the shop logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")


def some_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def timed(verb: Any, *arguments: Any) -> Any:
    """What it gives, and the seconds that it took."""
    begun = time.monotonic()
    return verb(*arguments), time.monotonic() - begun


def rows(store: Any, query: str) -> List[Any]:
    """What a query finds."""
    return [tuple(row) for row in store.read(lambda database: database.execute_sql(query).fetchall())]


def is_sound(store: Any) -> bool:
    """Whether SQLite finds nothing wrong with its file; a server answers for itself."""
    return store.path is None or rows(store, "PRAGMA integrity_check") == [("ok",)]


def descriptors(pid: int) -> int:
    """How many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid: int) -> int:
    """Bytes of memory that a process takes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
