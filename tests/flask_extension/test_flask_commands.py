"""``flask fedapay …``: the command line's own commands, with the settings, the database and the callbacks of an app."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

import fedapay_sync
from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.cli import main
from fedapay_sync.flask import FedaPay
from fedapay_sync.store import NewEvent, Store

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")

SHOP = """
    import os
    from flask import Flask, current_app
    from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
    from fedapay_sync.flask import FedaPay

    fedapay = FedaPay()
    setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
    client = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")

    @fedapay.on_paid
    def told(event):
        with open(os.environ["SHOP_TOLD"], "a") as file:
            file.write(f"{current_app.name} {event.id_transaction} {os.getpid()}\\n")

    def create_app():
        app = Flask(__name__)
        app.config.from_prefixed_env("SHOP")
        fedapay.init_app(app)
        app.add_url_rule("/", view_func=lambda: {"pid": os.getpid()})

        @app.post("/pay")
        def pay():
            return {"id": fedapay.pay(setup, client, 500).id_transaction}

        return app
"""


@pytest.fixture
def run(make_app):
    """Runs a command of an application; gives its exit code and what it said."""

    def run(app, *arguments):
        done = app.test_cli_runner().invoke(args=["fedapay", *arguments])
        return done.exit_code, done.output

    return run


@pytest.fixture
def shop(tmp_path, emulator):
    """Starts ``python -m …`` in the folder of a shop whose settings are in its ``app.config`` alone."""
    (tmp_path / "boutique.py").write_text(textwrap.dedent(SHOP), encoding="utf-8")
    started = []

    def start(*arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(fedapay_sync.__file__).parents[1]),
                "PYTHONIOENCODING": "utf-8",
                "SHOP_FEDAPAY_API_URL": emulator.url,
                "SHOP_FEDAPAY_API_KEY": emulator.secret_key,
                "SHOP_FEDAPAY_AUTH_KEY": emulator.webhook_secret,
                "SHOP_TOLD": str(tmp_path / "told"),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        started.append(process)
        return process

    yield start
    for each in started:
        each.terminate()
        each.communicate(timeout=20)


def answer(method, url):
    """The JSON that is answered there, or None while nothing listens."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.request(method, url, timeout=20).json()
        except requests.ConnectionError:
            return None


def parked(app, name, key, account=None):
    """An event that a callback of that application has given up."""
    config = app.extensions["fedapay"]._config
    store = Store(config.db_url)
    store.events.accept(
        NewEvent(
            dedup_key=key, event_key=key, environment="sandbox", account=account or config.account, name=name,
            object="transaction", entity_id="7", status="approved", is_final=True, is_paid=True, source="webhook",
            body=b'{"tel": "0164000001"}', body_sha256="", received_at=1.0, work_state="dead",
            last_error="ValueError: la boutique dort",
        )
    )  # fmt: skip
    store.close()


def test_check_tells_what_is_well_and_what_is_not(make_app, run, emulator, tmp_path):
    """
    Address, key, secret, database, worker; nothing is made or started.
    """
    app = make_app()
    fedapay = FedaPay(app)
    code, said = run(app, "check")
    assert code == 1 and "✗ callbacks : aucun" in said and said.count("✗") == 1
    fedapay.on_paid(lambda event: None, name="livrer")
    code, said = run(app, "check")

    assert code == 0 and "✗" not in said and "n'existe pas encore" in said
    assert [line.split()[1] for line in said.splitlines()] == ["adresse", "clé", "secret", "base", "callbacks"]
    assert emulator.secret_key not in said and not (tmp_path / "boutique").exists()

    with app.app_context():
        fedapay.pay(SETUP, CLIENT, 500)
        fedapay.close()
    assert "fedapay.db, version" in run(app, "check")[1]
    refused = make_app("refused", API_KEY="sk_sandbox_of_another", CALLBACKS="worker")
    FedaPay(refused)
    code, said = run(refused, "check")
    assert code == 1 and "✗ clé : FedaPay la refuse" in said and "✗ worker : aucun" in said
    assert said.endswith("Erreur : à corriger : clé, worker.\n")

    (tmp_path / "no.db").write_text("no database at all, as its first bytes say")
    away = make_app("away", API_URL="http://127.0.0.1:9", DB_URL=f"sqlite:///{tmp_path}/no.db")
    FedaPay(away)
    code, said = run(away, "check")
    assert code == 1 and said.count("✗") == 3 and "✗ adresse" in said and "✗ base" in said


def test_check_is_a_command_of_its_own_too(emulator, db_url, tmp_path, monkeypatch):
    """
    With the settings of the environment, or those of a program's connector.
    """
    environment = {
        "FEDAPAY_API_URL": emulator.url,
        "FEDAPAY_API_KEY": emulator.secret_key,
        "FEDAPAY_DB_URL": db_url,
    }
    done = CliRunner().invoke(main, ["check"], env=environment)
    assert done.exit_code == 1 and "✗ secret : manquant" in done.output and "✓ clé" in done.output

    (tmp_path / "programme.py").write_text(
        "from fedapay_sync import Connector\n"
        f"connector = Connector({emulator.url!r}, api_key={emulator.secret_key!r}, callbacks='worker',\n"
        f"                      fedapay_webhooks_secret_key={emulator.webhook_secret!r}, db_url={db_url!r})\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    done = CliRunner().invoke(main, ["check", "programme:connector"])
    assert done.exit_code == 1 and "✓ secret" in done.output and "✗ worker" in done.output

    done = CliRunner().invoke(main, ["check"])
    assert done.exit_code == 1 and done.output.startswith("Erreur : Adresse de l'API FedaPay manquante")


def test_parked_events_are_those_of_the_application(make_app, run):
    """
    Of its database and its account; replayed, they are owed again.
    """
    app = make_app()
    FedaPay(app)
    code, said = run(app, "parked")
    assert code == 1 and "n'existe pas encore" in said
    parked(app, "transaction.approved", "ours")
    parked(app, "transaction.approved", "theirs", account="another")

    code, said = run(app, "parked")
    assert code == 0 and "ours\n" in said and "theirs" not in said and "1 événement mis de côté." in said
    assert run(app, "replay", "theirs")[0] == 1
    assert run(app, "replay") == (0, "1 événement à rappeler.\n")
    assert run(app, "parked") == (0, "0 événement mis de côté.\n")
    store = Store(app.extensions["fedapay"]._config.db_url)
    assert [work.event_key for work in store.callbacks.parked()] == ["theirs"]
    store.close()


def test_purge_is_of_the_application(make_app, run, emulator):
    """
    Its environment is known: ``--live`` contradicts it.
    """
    app = make_app()
    fedapay = FedaPay(app)
    with app.app_context():
        number = fedapay.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction
        fedapay.close()

    assert run(app, "purge", "--days", "30")[0] == 0
    assert run(app, "purge", "--customer", str(number))[0] == 0
    assert run(app, "purge", "--customer", "CMD-2") == (1, "Erreur : aucun paiement CMD-2 dans cette base (sandbox).\n")
    code, said = run(app, "purge", "--customer", "CMD-1", "--live")
    assert code == 2 and "--live : cette application est réglée pour sandbox." in said


def test_errors_and_help_are_french(make_app, run):
    """
    Of the group and of its commands; without a command it shows what there is.
    """
    app = make_app()
    FedaPay(app)

    code, said = run(app)
    assert code == 0 and "Utilisation :" in said and "worker    Appeler les callbacks" in said
    code, said = run(app, "paie")
    assert code == 2 and said.startswith("Erreur : Commande inconnue : paie.")
    assert run(app, "parked", "--jours")[1].startswith("Erreur : option inconnue --jours.")


def test_a_worker_calls_the_callbacks_of_the_application(shop, emulator, free_port, eventually, tmp_path):
    """
    ``FEDAPAY_CALLBACKS=worker``: the server takes the payment and the webhook in, the worker delivers, in the
    application's context, and ends at SIGTERM with 0. Under ``--debug`` the server is the reloader's second process.
    """
    settings = {"SHOP_FEDAPAY_CALLBACKS": "worker", "SHOP_TOLD": str(tmp_path / "told")}
    server = shop("flask", "--app", "boutique", "run", "--debug", "-p", str(free_port), **settings)
    url = f"http://127.0.0.1:{free_port}"
    serving = eventually(lambda: answer("GET", url))["pid"]
    assert serving != server.pid
    worker = shop("flask", "--app", "boutique", "fedapay", "worker", **settings)
    emulator.webhook_url = f"{url}/webhooks/fedapay"
    number = answer("POST", f"{url}/pay")["id"]
    emulator.approve(number)

    told = tmp_path / "told"
    eventually(lambda: told.exists() and told.read_text().endswith("\n"))
    assert told.read_text().split() == ["boutique", str(number), str(worker.pid)]
    assert (tmp_path / "instance" / "fedapay.db").exists()
    worker.send_signal(signal.SIGTERM)
    said = worker.communicate(timeout=30)[0]
    assert worker.returncode == 0 and "flask fedapay worker : boutique" in said


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="what a process has open is read in /proc")
def test_the_reloaders_first_process_opens_no_database(shop, free_port, eventually):
    """
    It imports the application, and watches files; after a change the new process serves.
    """
    server = shop("flask", "--app", "boutique", "run", "--debug", "-p", str(free_port))
    url = f"http://127.0.0.1:{free_port}"
    first = eventually(lambda: answer("GET", url))["pid"]
    answer("POST", f"{url}/pay")
    assert any(".db" in each for each in open_files(first)) and not any(
        ".db" in each for each in open_files(server.pid)
    )

    with Path("boutique.py").open("a") as file:
        file.write("\n# changed\n")
    eventually(lambda: (answer("GET", url) or {"pid": first})["pid"] != first)
    assert answer("POST", f"{url}/pay")["id"]
    assert not any(".db" in each for each in open_files(server.pid))


def open_files(pid):
    """What that process has open."""
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(each))
        except OSError:
            continue
    return found


def test_an_emulator_is_the_one_that_the_application_is_set_to(shop, free_port, eventually):
    """
    Its port, key and secret; its webhooks go to Flask's own server. So the two of them pay a whole order.
    """
    settings = {
        "SHOP_FEDAPAY_API_URL": f"http://127.0.0.1:{free_port}",
        "SHOP_FEDAPAY_API_KEY": "sk_sandbox_mine",
        "SHOP_FEDAPAY_AUTH_KEY": "wh_sandbox_mine_0123",
        "FLASK_RUN_PORT": "5123",
    }
    process = shop("flask", "--app", "boutique", "fedapay", "emulator", "--delay", "0", **settings)
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("FedaPay emulator:"):
            break
    text = "".join(said)

    assert f"FedaPay emulator: http://127.0.0.1:{free_port}\n" in text
    assert "Clé API : sk_sandbox_mine" in text and "Secret des webhooks : wh_sandbox_mine_0123" in text
    assert "Webhooks : http://127.0.0.1:5123/webhooks/fedapay\n" in text


def test_no_emulator_at_fedapays_own_address(make_app, run):
    """
    The real key does not get into it.
    """
    app = make_app(
        API_URL="https://sandbox-api.fedapay.com", API_KEY="sk_sandbox_real", AUTH_KEY="wh_sandbox_real_0123"
    )
    FedaPay(app)
    code, said = run(app, "emulator")

    assert code == 1 and "n'est pas l'adresse d'un émulateur" in said and "sk_sandbox_real" not in said


def test_an_emulator_in_the_same_process_is_paid_through(make_app, eventually):
    """
    As in a test or a notebook: application, server of webhooks and emulator are threads of one process.
    """
    from fedapay_sync.emulator import Emulator
    from fedapay_sync.server import WebServer

    told = []
    with Emulator(delay=0) as emulator:
        app = make_app(API_URL=emulator.url, API_KEY=emulator.secret_key, AUTH_KEY=emulator.webhook_secret)
        fedapay = FedaPay(app)
        fedapay.on_paid(lambda event: told.append(event.id_transaction), name="told")
        server = WebServer(app)
        server.start()
        try:
            emulator.webhook_url = f"{server.url}/webhooks/fedapay"
            with app.app_context():
                number = fedapay.pay(SETUP, CLIENT, 500).id_transaction
                assert fedapay.finalise(number, timeout=30).paid
            eventually(lambda: told == [number])
        finally:
            server.stop()
        app.extensions["fedapay"].close()


def test_the_plain_worker_says_how_an_extension_is_run(tmp_path, monkeypatch):
    """
    It has no application to take the settings from.
    """
    (tmp_path / "extension_only.py").write_text("from fedapay_sync.flask import FedaPay\nfedapay = FedaPay()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = CliRunner().invoke(main, ["worker", "extension_only:fedapay"])

    assert done.exit_code == 1
    assert re.search(r"flask --app extension_only fedapay worker", done.output)
