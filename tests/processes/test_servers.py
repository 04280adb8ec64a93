"""Real servers: a payment is waited for, told and answered in each of them; where waiting cannot work, a warning."""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import fedapay_sync

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="these servers need fork")
needs_gunicorn = pytest.mark.skipif(importlib.util.find_spec("gunicorn") is None, reason="gunicorn is not installed")

ROOT = Path(fedapay_sync.__file__).parents[1]

#: A shop as a reader of the documentation writes it: one connector at module level, one route that pays.
SHOP = """
    import os
    from flask import Flask, jsonify, request
    import fedapay_sync.flask
    from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, UserData

    app = Flask(__name__)
    connector = Connector(use_listen_server=bool(os.environ.get("SHOP_PORT")),
                          listen_server_port=int(os.environ.get("SHOP_PORT", 0)))
    app.register_blueprint(fedapay_sync.flask.blueprint(connector, "/webhooks/fedapay"))
    setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
    client = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")

    @connector.on_webhook
    def told(event):
        with open(os.environ["SHOP_TOLD"], "a") as file:
            file.write(f"{event.id_transaction} {event.paid}\\n")

    if os.environ.get("SHOP_USED_BEFORE_THE_FORK"):
        connector.pay(setup, client, 100)

    if os.environ.get("SHOP_PORT"):
        connector.start_webhook_server()

    @app.get("/")
    def process():
        return jsonify(pid=os.getpid(), parent=os.getppid(), webhooks=connector.webhook_url)

    @app.post("/pay")
    def pay():
        payment = connector.pay(setup, client, 500)
        connector.listen(payment.id_transaction, timeout=600)
        return jsonify(id=payment.id_transaction, pid=os.getpid())

    @app.post("/wait/<int:number>")
    def wait(number):
        return jsonify(paid=connector.finalise(number, timeout=float(request.args.get("timeout", 8))).paid)
"""


class Server:
    """A server that runs, its address and what it said."""

    def __init__(self, process, port, log):
        self.process, self.url, self.log = process, f"http://127.0.0.1:{port}", log

    def call(self, path="/", method="GET"):
        request = urllib.request.Request(self.url + path, method=method, data=b"" if method == "POST" else None)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def said(self):
        return self.log.read_text(errors="replace")


@pytest.fixture
def serve(tmp_path, emulator, db_url, free_port, eventually):
    """Starts a server with the shop in it; all its processes are ended with the test."""
    (tmp_path / "shop.py").write_text(textwrap.dedent(SHOP))
    told = tmp_path / "told"
    told.touch()
    started = []

    def start(*command, **environment):
        log = tmp_path / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command] if command[0] != "uwsgi" else [_uwsgi(), *command[1:]],
                cwd=str(tmp_path),
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "PYTHONUNBUFFERED": "1",
                    "FEDAPAY_API_URL": emulator.url,
                    "FEDAPAY_API_KEY": emulator.secret_key,
                    "FEDAPAY_AUTH_KEY": emulator.webhook_secret,
                    "FEDAPAY_DB_URL": db_url,
                    "SHOP_TOLD": str(told),
                    **environment,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
        server = Server(process, free_port, log)

        def answers():
            assert process.poll() is None, server.said()
            try:
                return server.call()
            except (OSError, urllib.error.URLError):
                return None

        eventually(answers, timeout=30)
        emulator.webhook_url = f"{server.url}/webhooks/fedapay"
        server.told = lambda: told.read_text().splitlines()
        return server

    yield start
    for process in started:
        # As a service manager does: uWSGI loses the signal where its workers get it too.
        process.terminate()
        try:
            process.wait(10)
        finally:
            # Its whole session: workers that it may have left.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _uwsgi():
    beside = Path(sys.executable).with_name("uwsgi")
    return str(beside) if beside.exists() else shutil.which("uwsgi")


needs_uwsgi = pytest.mark.skipif(_uwsgi() is None, reason="uwsgi is not installed (pip install pyuwsgi)")


def gunicorn(port, *options):
    return ("gunicorn", "-b", f"127.0.0.1:{port}", "--graceful-timeout", "3", *options, "shop:app")


def goes_through_a_payment(server, emulator, eventually, count=3):
    """Each payment is answered at once, its webhook is told once, whichever process got it."""
    numbers = [server.call("/pay", "POST")["id"] for _ in range(count)]
    for number in numbers:
        emulator.approve(number)
    emulator.wait_for_deliveries()
    expected = [f"{number} True" for number in numbers]
    eventually(lambda: set(expected) <= set(server.told()), timeout=20)
    assert sorted(line for line in server.told() if line.endswith("True")) == sorted(expected)
    return numbers


@pytest.mark.faults(row=14)
@needs_gunicorn
@pytest.mark.parametrize(
    "options",
    [("-k", "sync"), ("-k", "gthread", "--threads", "4"), ("-w", "3"), ("-w", "3", "--threads", "2", "--preload")],
    ids=["sync", "gthread", "three workers", "three threaded workers, preloaded"],
)
def test_under_gunicorn_each_payment_is_told_once(serve, emulator, eventually, free_port, options):
    """
    One worker or three, with threads or without, the application imported before the fork or after it.
    """
    server = serve(*gunicorn(free_port, *options))
    goes_through_a_payment(server, emulator, eventually, count=6)


@pytest.mark.faults(row=14)
@needs_gunicorn
def test_a_connector_used_before_gunicorns_fork_works_in_the_workers(serve, emulator, eventually, free_port):
    """
    With ``--preload`` and a payment made while the application was imported: no worker lives off its parent's threads.
    """
    server = serve(*gunicorn(free_port, "-w", "3", "--preload"), SHOP_USED_BEFORE_THE_FORK="1")
    goes_through_a_payment(server, emulator, eventually, count=6)


@needs_gunicorn
def test_finalise_in_a_sync_worker_warns_once_with_the_cure(serve, emulator, free_port):
    """
    It still works within gunicorn's patience: FedaPay is asked at the deadline. The text says what to use instead.
    """
    server = serve(*gunicorn(free_port, "-k", "sync"))
    number = server.call("/pay", "POST")["id"]
    # Its one worker is busy waiting: the webhook could not come in.
    emulator.webhook_url = None
    emulator.approve(number)

    assert server.call(f"/wait/{number}?timeout=0.5", "POST") == {"paid": True}
    assert server.call(f"/wait/{number}", "POST") == {"paid": True}

    assert server.said().count("RuntimeWarning: finalise est appelée") == 1
    assert "listen" in server.said() and "gthread" in server.said()


@needs_gunicorn
def test_finalise_in_a_threaded_worker_does_not_warn(serve, emulator, free_port):
    server = serve(*gunicorn(free_port, "--threads", "4"))
    number = server.call("/pay", "POST")["id"]
    emulator.approve(number)
    assert server.call(f"/wait/{number}", "POST") == {"paid": True}
    assert "RuntimeWarning: finalise" not in server.said()


@pytest.mark.faults(row=14)
@needs_uwsgi
@pytest.mark.parametrize("options", [("--lazy-apps",), ()], ids=["loaded by each worker", "loaded before the fork"])
def test_under_uwsgi_with_threads_each_payment_is_told_once(serve, emulator, eventually, free_port, options):
    server = serve(
        "uwsgi", "--http-socket", f"127.0.0.1:{free_port}", "--master", "--processes", "2", "--enable-threads",
        *options, "--die-on-term", "--home", sys.prefix, "--wsgi-file", "shop.py", "--callable", "app",
    )  # fmt: skip
    goes_through_a_payment(server, emulator, eventually, count=4)
    assert "RuntimeWarning: uWSGI" not in server.said()
    # A worker that is told to end while it loads the application leaves the master waiting for ever.
    eventually(lambda: server.said().count("(mountpoint='') ready in") == (2 if options else 1))


@pytest.mark.faults(row=14)
@needs_uwsgi
def test_uwsgi_without_threads_is_warned_about(serve, free_port):
    """
    With the two lines that it needs.
    """
    server = serve(
        "uwsgi", "--http-socket", f"127.0.0.1:{free_port}", "--lazy-apps", "--master", "--die-on-term", "--home",
        sys.prefix, "--wsgi-file", "shop.py", "--callable", "app",
    )  # fmt: skip
    assert "RuntimeWarning: uWSGI tourne sans threads" in server.said()
    assert "enable-threads = true" in server.said()


def other_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_under_flasks_reloader_the_process_that_serves_has_the_port(serve, emulator, eventually, free_port):
    """
    ``flask run --debug`` imports the application twice; the first process only watches files. After a change the new
    process has the port again.
    """
    server = serve("flask", "--app", "shop", "run", "--debug", "-p", str(free_port), SHOP_PORT=str(other_port()))
    first = server.call()
    assert first["webhooks"]
    emulator.webhook_url = first["webhooks"]
    goes_through_a_payment(server, emulator, eventually)

    shop = Path(server.log.parent / "shop.py")
    shop.write_text(shop.read_text() + "\n# changed\n")

    def reloaded():
        try:
            found = server.call()
        except OSError:
            return None
        return found if found["pid"] != first["pid"] else None

    again = eventually(reloaded, timeout=30)
    assert again["webhooks"] == first["webhooks"] and again["parent"] == first["parent"]
    assert "PortUnavailable" not in server.said()


def test_a_port_taken_by_the_reloaders_first_process_is_explained(tmp_path, free_port):
    """
    ``app.run(debug=True)`` tells nobody beforehand: the error names the reloader and the cure.
    """
    script = """
        import sys
        from fedapay_sync import Connector, PortUnavailable
        connector = Connector("http://127.0.0.1:9", True, listen_server_port=int(sys.argv[1]), api_key="sk_sandbox_x",
                              fedapay_webhooks_secret_key="wh_sandbox_x", db_url=f"sqlite:///{sys.argv[2]}")
        try:
            connector.start_webhook_server()
        except PortUnavailable as error:
            print(error)
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        texts = [
            subprocess.run(
                [sys.executable, "-c", textwrap.dedent(script), str(free_port), str(tmp_path / "x.db")],
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **environment},
                capture_output=True,
                encoding="utf-8",
                timeout=30,
                check=True,
            ).stdout
            for environment in ({"WERKZEUG_RUN_MAIN": "true"}, {})
        ]
    assert "rechargement automatique" in texts[0] and "WERKZEUG_RUN_MAIN" in texts[0]
    assert "rechargement" not in texts[1] and "déjà pris" in texts[1]
