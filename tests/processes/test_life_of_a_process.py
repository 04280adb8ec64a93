"""What a process opens and starts for a connector, and when: seen from outside, in real servers and commands."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from support.shops import rows

import fedapay_sync
from fedapay_sync import sign
from fedapay_sync.emulator import Emulator
from fedapay_sync.store import Store

needs_gunicorn = pytest.mark.skipif(importlib.util.find_spec("gunicorn") is None, reason="gunicorn is not installed")
needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="what a process has open is read in /proc")

#: As a reader of the documentation writes it.
SHOP = """
    import os, threading
    from flask import Flask, jsonify
    import fedapay_sync.flask
    from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, UserData

    connector = Connector(callbacks=os.environ.get("SHOP_CALLBACKS", "here"))
    setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
    client = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")

    @connector.on_webhook
    def told(event):
        if os.environ.get("SHOP_SLOW"):
            print("begun", flush=True)
            threading.Event().wait(2)
        with open(os.environ["SHOP_TOLD"], "a") as file:
            file.write(f"{event.name} {event.id_transaction}\\n")

    @connector.on_restored
    def restored(outcome):
        pass

    def create_app():
        app = Flask(__name__)
        app.register_blueprint(fedapay_sync.flask.blueprint(connector, "/webhooks"))

        @app.post("/pay")
        def pay():
            return jsonify(id=connector.pay(setup, client, 500).id_transaction)

        @app.get("/")
        def hello():
            return "bonjour"

        return app

    app = create_app()
"""


#: In the master: as it is ready, and whenever a worker has ended.
HOOKS = """
    import threading

    def note(server):
        names = sorted(thread.name for thread in threading.enumerate())
        server.log.info("threads of the master: %s.", ", ".join(names))

    def when_ready(server):
        note(server)

    def child_exit(server, worker):
        note(server)
"""


#: What a host without threads runs for each request.
CGI = """
    from wsgiref.handlers import CGIHandler
    import boutique

    CGIHandler().run(boutique.connector.wsgi_app())
"""


class Shop:
    """The program of a shop in its folder, and the processes that run it."""

    def __init__(self, folder, emulator, db_url):
        self.told_file = folder / "told"
        self._folder = folder
        (folder / "boutique.py").write_text(textwrap.dedent(SHOP), encoding="utf-8")
        (folder / "cgi_shop.py").write_text(textwrap.dedent(CGI), encoding="utf-8")
        (folder / "gunicorn.conf.py").write_text(textwrap.dedent(HOOKS), encoding="utf-8")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FEDAPAY_")},
            "PYTHONPATH": str(Path(fedapay_sync.__file__).parents[1]),
            "FEDAPAY_API_URL": emulator.url,
            "FEDAPAY_API_KEY": emulator.secret_key,
            "FEDAPAY_AUTH_KEY": emulator.webhook_secret,
            "FEDAPAY_DB_URL": db_url,
            "SHOP_TOLD": str(self.told_file),
        }
        self._running = []

    def start(self, *arguments, **environment):
        """A Python module with these arguments, in the folder of the shop."""
        log = (self._folder / f"log-{len(self._running)}").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=self._folder,
            env={**self._environment, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self._running.append((process, log))
        return process

    def call(self, module, sent, **environment):
        """A Python module that reads its input, and ends: what it has written."""
        done = subprocess.run(
            [sys.executable, "-m", module],
            input=sent,
            cwd=self._folder,
            env={**self._environment, **environment},
            stdout=subprocess.PIPE,
            timeout=60,
        )
        return done.stdout

    def said(self, process):
        """What that process has written."""
        number = next(n for n, (each, _) in enumerate(self._running) if each is process)
        return (self._folder / f"log-{number}").read_text(encoding="utf-8")

    def told(self):
        """What the callback was told, with how often."""
        return Counter(self.told_file.read_text().splitlines() if self.told_file.exists() else ())

    def end(self):
        for process, log in self._running:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)
            log.close()


@pytest.fixture
def emulator():
    """Repeats for as long as the workers of a busy machine may take to come back, and does not give up on the shop."""
    with Emulator(retry_factor=0.1, disable_on_error=False) as running:
        yield running


@pytest.fixture
def shop(tmp_path, emulator, db_url):
    shop = Shop(tmp_path, emulator, db_url)
    yield shop
    shop.end()


@pytest.fixture
def owed(make_connector, emulator):
    """A callback that is owed to a program that has none here."""
    deaf = make_connector(use_listen_server=True)
    deaf.start_webhook_server()
    emulator.webhook_url = deaf.webhook_url
    number = deaf.pay(
        fedapay_sync.PaiementSetup(pays=fedapay_sync.Pays.benin, method=fedapay_sync.MethodesPaiement.momo_test),
        fedapay_sync.UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001"),
        500,
    ).id_transaction
    emulator.approve(number)
    emulator.wait_for_deliveries()
    deaf.close()
    return f"transaction.approved {number}"


def answers(url, method="GET"):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return answer.read()
    except OSError:
        return b""


def opened(pid):
    """What a process has open that a server of its own would not: files, and sockets that do not listen."""
    listening = {
        fields[9]
        for kind in ("tcp", "tcp6")
        for fields in map(str.split, Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:])
        if fields[3] == "0A"
    }
    unix = {line.split()[6] for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]}
    found = []
    for number in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(number)
        except FileNotFoundError:
            continue  # closed since it was listed
        inode = target[len("socket:[") : -1]
        if target.startswith("socket:[") and inode not in listening | unix:
            found.append(target)
        if "processes.db" in target:
            found.append(target)
    return found


@needs_gunicorn
@needs_proc
def test_the_master_of_a_preloaded_server_does_nothing_and_each_order_is_told_once(
    shop, owed, emulator, eventually, free_port
):
    """
    Workers come and go; what was owed before is told by the first request of any of them.
    """
    url = f"http://127.0.0.1:{free_port}"
    server = shop.start(
        "gunicorn", "-b", f"127.0.0.1:{free_port}", "-w", "2", "--threads", "2", "--preload", "--max-requests", "15",
        "--graceful-timeout", "10", "boutique:app",
    )  # fmt: skip
    eventually(lambda: "Listening at" in shop.said(server) and shop.said(server).count("Booting worker") == 2)
    assert opened(server.pid) == []
    assert shop.told() == Counter()

    eventually(lambda: answers(f"{url}/"))
    eventually(lambda: shop.told()[owed] == 1)
    emulator.webhook_url = f"{url}/webhooks"
    for _ in range(40):
        # A worker that ends after its requests may close a connection that it has not read.
        eventually(lambda: answers(f"{url}/pay", "POST"))
    for each in emulator.transactions[1:]:
        emulator.approve(each["id"])
    orders = {f"transaction.approved {each['id']}" for each in emulator.transactions}
    # A worker that has just come begins its work with its first request.
    eventually(lambda: answers(f"{url}/") and orders <= set(shop.told()), timeout=60)

    assert set(shop.told().values()) == {1}
    assert opened(server.pid) == []
    eventually(lambda: shop.said(server).count("threads of the master") > 2)
    assert "fedapay" not in "".join(re.findall("threads of the master: (.*)[.]", shop.said(server)))
    assert "Traceback" not in shop.said(server)


def test_a_command_of_flask_delivers_nothing(shop, owed, db_url):
    """
    It imports the application, and ends before a callback would.
    """
    command = shop.start("flask", "--app", "boutique", "routes")
    assert command.wait(30) == 0 and "/webhooks" in shop.said(command)

    assert shop.told() == Counter()
    store = Store(db_url)
    states = {state for (state,) in rows(store, "SELECT work_state FROM fp_event")}
    store.close()
    assert states == {"ready"}


@needs_proc
def test_worker_processes_have_the_callbacks_of_those_that_receive(shop, owed, emulator, eventually, free_port):
    """
    The receiving process has the function, and leaves it to them; told to end they have done what they had begun.
    """
    server = shop.start("flask", "--app", "boutique", "run", "-p", str(free_port), SHOP_CALLBACKS="worker")
    eventually(lambda: answers(f"http://127.0.0.1:{free_port}/"))
    emulator.webhook_url = f"http://127.0.0.1:{free_port}/webhooks"
    eventually(lambda: answers(f"http://127.0.0.1:{free_port}/pay", "POST"))
    number = emulator.transactions[-1]["id"]
    emulator.approve(number)
    emulator.wait_for_deliveries()
    assert shop.told() == Counter() and server.poll() is None

    worker = shop.start("fedapay_sync.cli", "worker", "boutique:connector", SHOP_CALLBACKS="worker")
    eventually(lambda: {owed, f"transaction.approved {number}"} <= set(shop.told()))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0, shop.said(worker)
    assert "Traceback" not in shop.said(worker) and set(shop.told().values()) == {1}


def test_a_worker_that_is_told_twice_to_end_cuts_no_callback(shop, owed, eventually):
    """
    Ctrl-C in a terminal, and then its supervisor.
    """
    worker = shop.start("fedapay_sync.cli", "worker", "boutique:connector", SHOP_SLOW="1")
    eventually(lambda: "begun" in shop.said(worker))
    for number in (signal.SIGINT, signal.SIGTERM):
        worker.send_signal(number)
    assert worker.wait(20) == 0, shop.said(worker)
    assert shop.told()[owed] == 1


def test_under_cgi_each_webhook_is_told_before_its_process_ends(shop, emulator):
    """
    A process for each request: nobody would call what it left behind.
    """
    for number in range(1, 5):
        entity = {"id": number, "klass": "v1/transaction", "status": "approved", "amount": 500}
        body = json.dumps({"name": "transaction.approved", "object": "transaction", "entity": entity}).encode()
        answer = shop.call(
            "cgi_shop",
            body,
            SHOP_CALLBACKS="inline",
            REQUEST_METHOD="POST",
            CONTENT_LENGTH=str(len(body)),
            HTTP_X_FEDAPAY_SIGNATURE=sign(body, emulator.webhook_secret),
            SERVER_NAME="localhost",
            SERVER_PORT="80",
            SERVER_PROTOCOL="HTTP/1.0",
        )
        assert answer.startswith(b"Status: 200")
        assert shop.told()[f"transaction.approved {number}"] == 1

    assert sum(shop.told().values()) == 4


@pytest.mark.parametrize(
    "target, words",
    [
        ("boutique", ["MODULE:NOM", "boutique:connector"]),
        ("absente:connector", ["absente", "n'existe pas", "dossier"]),
        ("boutique:rien", ["boutique", "rien", "connecteur"]),
        ("boutique:app", ["Flask", "Connector"]),
    ],
)
def test_a_worker_of_nothing_says_what_is_wrong(shop, target, words):
    worker = shop.start("fedapay_sync.cli", "worker", target)
    assert worker.wait(30) in (1, 2)
    assert all(word in shop.said(worker) for word in words), shop.said(worker)
    assert "Traceback" not in shop.said(worker)
