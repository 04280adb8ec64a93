"""The Flask shop of the examples in processes of its own, its customers, and the verdict on what it delivered."""

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

import requests
from support import crash_points
from support.noted_callback import HOLD, LEDGER
from support.shops import some_port
from support.soak_verdict import PAID, Truth, Verdict, judge, read

from fedapay_sync import FedapayError

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "boutique_flask"
_ORDERS = "SELECT reference, payee FROM commande"
_CALLBACK = '@fedapay.on_paid(name="livrer")\n'


class Process:
    """One command of the shop, in one life after another, as a service manager keeps it."""

    def __init__(self, command: List[str], folder: Path, environment: Dict[str, str], log: Path) -> None:
        self._command, self._folder, self._environment, self._log = command, folder, environment, log
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._seen: Set[int] = set()

    def start(self) -> "Process":
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def children(self) -> List[int]:
        """The processes that it has started and that have not ended."""
        try:
            found = [int(each) for each in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except FileNotFoundError:
            return []
        self._seen.update(found)
        return found

    def kill(self) -> None:
        """As the kernel does it; not its children."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def end(self) -> int:
        """Told to end; its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Until it ends; its exit code."""
        assert self._process is not None
        return self._process.wait(60)

    def clear(self) -> None:
        """Nothing of it is left, nor what a killed life of it has left behind."""
        self.children()
        if self.lives:
            try:
                self.end()
            except subprocess.TimeoutExpired:
                self.kill()
        for pid in self._seen:
            # A worker of gunicorn has the command line of its master; a number alone may be another's by now.
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_text().split("\0")[1:] == [*self._command[1:], ""]:
                    os.kill(pid, signal.SIGKILL)

    def said(self) -> str:
        """What all its lives wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")


class Sold(NamedTuple):
    """
    What the shop did.

    Attributes:
        verdict: of callbacks against payments.
        delivered_twice: orders of which livrer has run under two keys, or whose payment was asked for twice.
        unpaid: orders whose payment is agreed and that the shop does not hold for paid.
        repeats: calls of livrer that were not the first of their event, each explained or in the verdict.
        failures: calls that ended with an exception.
        paid: orders whose payer has agreed.
        turned_away: orders that were not led on to pay.
    """

    verdict: Verdict
    delivered_twice: List[str]
    unpaid: List[str]
    repeats: int
    failures: int = 0
    paid: int = 0
    turned_away: int = 0


SOUND = (Verdict([], [], [], [], []), [], [])


class FlaskShop:
    """
    A copy of the example whose callback is noted, on two databases of its own or on one of PostgreSQL.

    Args:
        emulator: a FedaPay whose payers agree.
        folder: for the copy, the logs and the ledger.
        db_url: PostgreSQL's for both the shop and the extension; empty for the files that the shop has by itself.
    """

    def __init__(self, emulator: Any, folder: Path, db_url: str = "", **settings: str) -> None:
        self._emulator = emulator
        self._db_url = db_url
        self.folder = Path(shutil.copytree(EXAMPLE, folder / "boutique_flask"))
        self.ledger, self.hold = folder / "ledger", folder / "hold"
        self._logs = folder
        self.port = some_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.payments = self.folder / "boutique" / "paiements.py"
        source = self.payments.read_text(encoding="utf-8")
        assert source.count(_CALLBACK) == 1
        source = source.replace(_CALLBACK, f"{_CALLBACK}@noted\n").replace(
            "\nfrom boutique.extensions", "\nfrom support.noted_callback import noted\nfrom boutique.extensions"
        )
        self.payments.write_text(source, encoding="utf-8")
        clean = {name: value for name, value in crash_points.environment().items() if not name.startswith("FLASK_")}
        self._environment = {
            **clean,
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8",
            "FLASK_APP": "boutique",
            "FLASK_SECRET_KEY": "of the tests",
            "FEDAPAY_API_URL": emulator.url,
            "FEDAPAY_API_KEY": emulator.secret_key,
            "FEDAPAY_AUTH_KEY": emulator.webhook_secret,
            LEDGER: str(self.ledger),
            HOLD: str(self.hold),
            **({"FEDAPAY_DB_URL": db_url, "FLASK_SQLALCHEMY_DATABASE_URI": sqlalchemy_url(db_url)} if db_url else {}),
            **settings,
        }
        self._processes: List[Process] = []
        #: Between which instants each process was killed, and when none could reach the database.
        self.kills: Dict[int, Tuple[float, float]] = {}
        self.outages: List[Tuple[float, float]] = []
        made = self.run("-m", "flask", "creer-base")
        assert made.wait() == 0, made.said()
        emulator.webhook_url = f"{self.url}/webhooks/fedapay"

    # Processes

    def run(self, *command: str) -> Process:
        """A Python process in the folder of the shop."""
        log = self._logs / f"log-{len(self._processes)}"
        process = Process([sys.executable, *command], self.folder, self._environment, log)
        self._processes.append(process)
        return process.start()

    def serve_debug(self) -> Process:
        """Flask's own server, with its reloader."""
        return self.run("-m", "flask", "run", "--debug", "-p", str(self.port))

    def serve(self, worker_class: str) -> Process:
        """Two workers of gunicorn."""
        threads = ("--threads", "4") if worker_class == "gthread" else ()
        options = ("-w", "2", "-k", worker_class, *threads, "-b", f"127.0.0.1:{self.port}")
        return self.run("-m", "gunicorn", *options, "boutique:create_app()")

    def work(self) -> Process:
        """The process that runs the callbacks."""
        return self.run("-m", "flask", "fedapay", "worker")

    def kill(self, pid: int) -> None:
        """A process of the shop, as the kernel does it, noted for the verdict."""
        begun = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        # The signal has been sent; when the process is gone, its parent alone is told.
        self.kills[pid] = (begun, time.monotonic() + 1)

    def clear(self) -> None:
        """Nothing runs any more."""
        if self.hold.exists():
            self.hold.unlink()
        for process in reversed(self._processes):
            process.clear()

    def said(self) -> str:
        """What all of them wrote."""
        return "\n".join(f"--- {process._command[1:]}\n{process.said()[-6000:]}" for process in self._processes)

    # Customers

    def answers(self) -> bool:
        """Whether it serves its first page."""
        try:
            return customer().get(self.url, timeout=10).ok
        except requests.RequestException:
            return False

    def order(self) -> bool:
        """One order, by the form and its token; whether the customer was led on to pay."""
        session = customer()
        try:
            page = session.get(self.url, timeout=20)
            token = re.search(r'csrf_token" value="([^"]+)"', page.text)
            if token is None:
                return False
            form = {"csrf_token": token.group(1), "article": "panier", "telephone": "0164000001"}
            sent = session.post(f"{self.url}/commandes", data=form, allow_redirects=False, timeout=30)
        except requests.RequestException:
            return False
        return sent.status_code == 302 and sent.headers["Location"].startswith(self._emulator.url)

    # What is to be seen

    def entries(self) -> List[Dict[str, Any]]:
        """What the callback noted."""
        return read(self.ledger)

    def ended(self) -> int:
        """How many orders livrer has delivered."""
        begun = {each["run"]: each["order"] for each in self.entries() if each["what"] == "begin"}
        return len({begun[each["run"]] for each in self.entries() if each["what"] == "end"})

    def rows(self, query: str, file: str) -> List[Tuple[Any, ...]]:
        """What a query finds in the shop's database, which on SQLite is in that file."""
        if self._db_url:
            import psycopg2  # where there is a server, there is the driver

            connection = psycopg2.connect(self._db_url, connect_timeout=10)
        else:
            connection = sqlite3.connect(self.folder / "instance" / file, timeout=10)
        with contextlib.closing(connection), contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(query)
            return [tuple(row) for row in cursor.fetchall()]

    def owes(self) -> int:
        """How many events have a callback that has not ended well."""
        return int(self.rows("SELECT count(*) FROM fp_event WHERE work_state <> 'done'", "fedapay.db")[0][0])

    def is_settled(self) -> bool:
        """Whether all that is paid is told and written into the orders, and no call is owed."""
        sold = self.sold()
        return not (self.owes() or sold.unpaid or sold.verdict.never_told)

    def sold(self) -> Sold:
        """The verdict."""
        orders = {str(reference): bool(paid) for reference, paid in self.rows(_ORDERS, "boutique.db")}
        entries, transactions = self.entries(), self._emulator.transactions
        begun = [each for each in entries if each["what"] == "begin"]
        outages = {each["life"]: self.outages for each in begun}
        keys = Counter(order for order, _ in {(each["order"], each["key"]) for each in begun})
        asked = Counter(each["merchant_reference"] for each in transactions)
        return Sold(
            judge(entries, Truth(transactions, {}, self.kills, outages)),
            sorted(str(reference) for reference, count in [*keys.items(), *asked.items()] if count > 1),
            sorted(
                each["merchant_reference"]
                for each in transactions
                if each["status"] in PAID and not orders.get(each["merchant_reference"])
            ),
            len(begun) - len({each["key"] for each in begun}),
            sum(each["what"] == "fail" for each in entries),
            sum(each["status"] in PAID for each in transactions),
        )


class Customers:
    """Four who order one thing after another, whatever answers; how many were led on to pay, and how many were not."""

    def __init__(self, shop: FlaskShop) -> None:
        self._shop = shop
        self._over = threading.Event()
        self.served = 0
        self.turned_away = 0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._order) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _order(self) -> None:
        while not self._over.wait(0.1):
            was_served = self._shop.order()
            with self._lock:
                self.served += was_served
                self.turned_away += not was_served

    def wait_for(self, more: int) -> None:
        """Until so many more have been led on to pay."""
        until, end = self.served + more, time.monotonic() + 60
        while self.served < until:
            assert time.monotonic() < end, f"{until - self.served} orders missing\n{self._shop.said()}"
            self._over.wait(0.01)

    def leave(self) -> None:
        """No further order, and no payer who agrees later: what is open expires."""
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        emulator = self._shop._emulator
        for each in emulator.transactions:
            if each["status"] == "pending":
                with contextlib.suppress(FedapayError):  # agreed in this moment
                    emulator.expire(each["id"])


def customer() -> requests.Session:
    """A browser that asks no proxy."""
    session = requests.Session()
    session.trust_env = False
    return session


def sqlalchemy_url(db_url: str) -> str:
    """The same database by the driver that both have; SQLAlchemy 2.1 would choose another one by itself."""
    return db_url.replace("postgresql://", "postgresql+psycopg2://", 1)
