"""A state file: what was there before a stop, or a kill, is there afterwards."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from fedapay_sync.emulator import LIVE_SECRET_KEY, SANDBOX_SECRET_KEY, Emulator
from fedapay_sync.errors import ConfigError, InvalidArgument

PERSON = {"firstname": "Ayaba", "lastname": "Hounkpatin", "email": "ayaba@example.bj"}
HERE = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-c", "from fedapay_sync.cli import main; main()", "emulator"]
LISTS = ("transactions", "customers", "payouts", "balances", "webhooks", "events", "pages", "invoices", "accounts")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shop.fedapay"


def furnish(api):
    """One of everything, or two."""
    paid = api.create(customer=PERSON, merchant_reference="R/1")
    api.push(paid)
    unpaid = api.create(custom_metadata={"été": "€😀"})
    payout = {"amount": 500, "currency": {"iso": "XOF"}, "mode": "momo_test", "customer": PERSON}
    for kind, body in (
        ("payouts", payout),
        ("webhooks", {"url": "https://example.bj/hook", "enabled": False}),
        ("pages", {"name": "Don", "amount": 500}),
        ("accounts", {"name": "Filiale"}),
    ):
        assert api("POST", f"/v1/{kind}", json=body).status_code == 200
    return paid["id"], unpaid["id"]


def everything(api):
    """What all lists show; addresses without the port, which is another each time."""
    texts = [api("GET", f"/v1/{kind}?per_page=1000").text for kind in LISTS]
    return [json.loads(re.sub(r"http://127\.0\.0\.1:\d+", "", each)) for each in texts]


def test_nothing_is_lost_from_one_start_to_the_next(path, client_of):
    """
    Every list is as it was, references are still taken, ids go on, a paid transaction is still transferable.
    """
    with Emulator(state=path) as first:
        api = client_of(first)
        paid, unpaid = furnish(api)
        first.approve(paid)
        before = everything(api)
        logged = api("GET", "/v1/logs").json()["meta"]["total_count"]
    with Emulator(state=str(path)) as second:
        api = client_of(second)
        assert everything(api) == before
        assert api("GET", "/v1/logs").json()["meta"]["total_count"] > logged
        again = {"description": "x", "amount": 1, "currency": {"iso": "XOF"}, "merchant_reference": "R/1"}
        assert api("POST", "/v1/transactions", json=again).status_code == 400
        assert api.create(customer=PERSON)["customer_id"] == api.get(paid)["customer_id"]
        assert api.create()["id"] > unpaid
        second.transfer(paid)
        assert api.get(paid)["status"] == "transferred"


def test_the_same_object_goes_on_after_a_stop(path, client_of):
    """
    Stopped it has let the file go, another may use it, and what the other did is there after the next start.
    """
    emulator = Emulator(state=path)
    with emulator:
        id = client_of(emulator).create()["id"]
    for change in (
        lambda: emulator.approve(id),
        lambda: emulator.fail_payout(id),
        lambda: setattr(emulator, "webhook_url", "https://example.bj"),
        lambda: emulator.redeliver(0),
    ):
        with pytest.raises(InvalidArgument, match="start"):
            change()
    with Emulator(state=path) as other:
        other.approve(id)
        with pytest.raises(ConfigError, match="aucun autre émulateur"):
            emulator.start()
    with emulator:
        assert client_of(emulator).get(id)["status"] == "approved"


def test_two_emulators_on_one_file_are_one_too_many(path, client_of):
    """
    The second is refused, and the first does not notice.
    """
    with Emulator(state=path) as first:
        with pytest.raises(ConfigError, match="aucun autre émulateur"):
            Emulator(state=path)
        assert client_of(first).create()["status"] == "pending"


def test_an_emulator_that_could_not_be_made_holds_no_file(path):
    """
    A wrong port is found after the file was opened.
    """
    with pytest.raises(InvalidArgument):
        Emulator(state=path, port=-1)
    Emulator(state=path).stop()


def foreign_database(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE shop (name TEXT)")
    other.close()


def newer_version(path):
    Emulator(state=path).stop()
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    file.close()


@pytest.mark.parametrize(
    "make",
    [
        foreign_database,
        newer_version,
        lambda path: path.write_bytes(b"precious text"),
        lambda path: path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 4000),
        lambda path: path.write_bytes(b"x" * 100_000),
    ],
)
def test_a_file_that_is_not_ours_is_not_touched(make, path):
    """
    Refused, and byte for byte as before, with nothing new beside it.
    """
    make(path)
    before, stamp = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.raises(ConfigError, match="n'a pas été touché"):
        Emulator(state=path)
    assert path.read_bytes() == before
    assert path.stat().st_mtime_ns == stamp
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("name", [".", "nowhere/shop.fedapay", "a\x00b"])
def test_a_path_that_cannot_be_a_file_is_said(name, tmp_path):
    """
    A folder, a folder that is missing, no path at all.
    """
    with pytest.raises(ConfigError):
        Emulator(state=f"{tmp_path}/{name}")


def test_a_pipe_is_not_waited_for(tmp_path):
    """
    Opening one waits for its other end, for ever.
    """
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError):
        Emulator(state=tmp_path / "pipe")


def test_a_damaged_file_is_said(path, client_of):
    """
    Its head is ours and the rest is not: French, with what to do, and no traceback of SQLite's.
    """
    with Emulator(state=path) as emulator:
        for _ in range(50):
            client_of(emulator).create()
    raw = path.read_bytes()
    path.write_bytes(raw[:4096] + os.urandom(len(raw) - 4096))
    with pytest.raises(ConfigError, match="Fichier d'état"):
        Emulator(state=path)


def test_a_file_belongs_to_one_environment(path):
    """
    What was made with a sandbox key is not opened with a live one.
    """
    Emulator(state=path).stop()
    with pytest.raises(ConfigError, match="sk_sandbox_"):
        Emulator(state=path, secret_key=LIVE_SECRET_KEY)
    Emulator(state=path).stop()


def test_time_passes_while_it_is_stopped(path, hand_clock, client_of):
    """
    Expiry and transfer that came due meanwhile are made at the start, and what is due later comes later.
    """
    with Emulator(state=path, clock=hand_clock) as emulator:
        paid, unpaid = furnish(client_of(emulator))
        emulator.approve(paid)
    hand_clock.passed += 25 * 3600
    with Emulator(state=path, clock=hand_clock) as emulator:
        late = client_of(emulator).create()["id"]
        assert emulator.transaction(unpaid)["status"] == "expired"
        assert emulator.transaction(paid)["status"] == "approved"
    hand_clock.passed += 48 * 3600
    with Emulator(state=path, clock=hand_clock) as emulator:
        statuses = [emulator.transaction(id)["status"] for id in (paid, unpaid, late)]
        assert statuses == ["transferred", "expired", "expired"]
        types = [each["type"] for each in client_of(emulator)("GET", "/v1/events?per_page=2").json()["v1/events"]]
        assert set(types) == {"transaction.transferred", "transaction.expired"}


def test_a_timer_goes_on_after_a_restart(path, hand_clock, client_of, eventually):
    """
    No call asks for the transaction, and the event is there all the same.
    """
    with Emulator(state=path, clock=hand_clock) as emulator:
        client_of(emulator).create()
    with Emulator(state=path, clock=hand_clock) as emulator:
        hand_clock.passed += 24 * 3600 + 5
        api = client_of(emulator)
        eventually(lambda: api("GET", "/v1/events?filters[type]=transaction_expired").json()["v1/events"])


def test_a_payer_who_was_thinking_answers_after_the_restart(path, hand_clock, client_of, eventually):
    """
    Prompted before, stopped, and paid once the delay is over.
    """
    with Emulator(state=path, clock=hand_clock, delay=30) as emulator:
        api = client_of(emulator)
        created = api.create()
        api.push(created)
    with Emulator(state=path, clock=hand_clock, delay=30) as emulator:
        assert emulator.transaction(created["id"])["status"] == "pending"
        hand_clock.passed += 31
        eventually(lambda: emulator.transaction(created["id"])["status"] == "approved")


def test_ids_go_on_from_the_file_when_the_clock_goes_back(path, hand_clock, client_of):
    """
    A file made in the future, so to speak.
    """
    hand_clock.passed += 1e6
    with Emulator(state=path, clock=hand_clock) as emulator:
        first = client_of(emulator).create()["id"]
    hand_clock.passed -= 1e6
    with Emulator(state=path, clock=hand_clock) as emulator:
        assert client_of(emulator).create()["id"] > first


# Real processes


class Process:
    """The command, with a state file."""

    def __init__(self, *arguments):
        environment = {**os.environ, "PYTHONPATH": str(HERE), "PYTHONIOENCODING": "utf-8"}
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        line = self.process.stdout.readline()
        assert line.startswith("FedaPay emulator: "), line
        self.url = line.split(": ")[1].strip()
        self.secret_key = SANDBOX_SECRET_KEY

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL of POSIX")
def test_what_was_answered_survives_a_kill(path, client_of):
    """
    kill -9 in the middle of many creations: every one that was answered is there, and the payment that was
    running is made after the restart.
    """
    with Process("--state", path, "--delay", "3") as first:
        api = client_of(first)
        paid, _ = furnish(api)
        before = everything(api)
        made = []

        def create(number):
            try:
                made.append(api.create(merchant_reference=f"kill-{number}")["id"])
            except requests.RequestException:
                return False
            return True

        for number in range(20):
            create(number)
        first.process.send_signal(signal.SIGKILL)
        number = 20
        while create(number):
            number += 1
        first.process.wait(10)
    with Process("--state", path, "--delay", "3") as second:
        api = client_of(second)
        shown = [each["id"] for each in api("GET", "/v1/transactions?per_page=100000").json()["v1/transactions"]]
        assert set(made) <= set(shown)
        assert len(made) >= 20
        after = everything(api)
        for kind, was, found in zip(LISTS, before, after):
            ids = {each["id"] for each in found[f"v1/{kind}"]}
            assert {each["id"] for each in was[f"v1/{kind}"]} <= ids, kind
        for _ in range(20_000):
            if api.get(paid)["status"] == "approved":
                break
        assert api.get(paid)["status"] == "approved"


def test_the_command_refuses_a_foreign_file(path):
    """
    Exit code 2, one French sentence; and so does a second command on the same file.
    """
    path.write_bytes(b"precious text")
    for arguments, said in (
        (["--state", str(path)], "n'a pas été touché"),
        (["--state", str(path.parent)], "n'est pas un fichier d'état"),
    ):
        assert_refused(arguments, said)
    assert path.read_bytes() == b"precious text"
    path.unlink()
    with Process("--state", path):
        assert_refused(["--state", str(path)], "aucun autre émulateur")


def assert_refused(arguments, said):
    done = subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, "PYTHONPATH": str(HERE), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("Erreur : ")
    assert len(done.stderr.strip().splitlines()) == 1


# A full disk, and settings of the next run


FULL = """
import resource, signal, sys
from fedapay_sync import Integration
from fedapay_sync.emulator import Emulator
from fedapay_sync.errors import ConfigError, ServerFault

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
body = {"description": "x" * 500, "amount": 5, "currency": {"iso": "XOF"}}
with Emulator(state=sys.argv[1]) as emulator:
    api = Integration(emulator.url, default_api_key=emulator.secret_key)
    api.transactions._requestor.transport.pause = lambda seconds: None
    first = api.transactions.create(body)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    made = [first.id]
    while True:
        try:
            made.append(api.transactions.create_new({**body, "merchant_reference": f"R-{len(made)}"}).id)
        except ServerFault as error:
            print(error.fedapay_message)
            break
    # Reading goes on, memory has what the file has, and the Python object says it too.
    assert [each["id"] for each in emulator.transactions] == made
    assert len(list(api.transactions.list())) == len(made)
    try:
        for number in made:
            emulator.approve(number)
    except ConfigError as error:
        print(error)
    paid = [each["id"] for each in emulator.transactions if each["status"] == "approved"]
    for refused in (emulator.reset, lambda: emulator.clock.advance(hours=1)):
        try:
            refused()
        except ConfigError as error:
            print(error)
        else:
            raise AssertionError(refused)
    assert emulator.clock.ahead == 0
    assert [each["id"] for each in emulator.transactions] == made
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    made.append(api.transactions.create(body).id)
with Emulator(state=sys.argv[1]) as emulator:
    assert [each["id"] for each in emulator.transactions] == made
    assert [each["id"] for each in emulator.transactions if each["status"] == "approved"] == paid
print("whole")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of file sizes are set as on Linux")
def test_a_full_disk_refuses_what_it_cannot_keep(tmp_path):
    """
    In French, with nothing half kept; reading goes on, and writing too once there is room.
    """
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "shop.fedapay")],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert "plus de place ou illisible" in lines[0] and "Rien de cet appel n'a été gardé" in lines[0]
    assert len(lines) == 5
    assert lines[-1] == "whole"


def test_an_earlier_answer_is_none_to_a_later_prompt(tmp_path, client_of, eventually):
    """
    Declined, restarted, prompted again: the next restart waits for the payer.
    """
    file = str(tmp_path / "shop.fedapay")
    with Emulator(state=file, delay=0) as emulator:
        api = client_of(emulator)
        made = api.create()
        api.push(made, number="0166000000")
        eventually(lambda: api.get(made["id"])["status"] == "declined")
    for _ in range(2):
        with Emulator(state=file) as emulator:
            api = client_of(emulator)
            if api.get(made["id"])["status"] == "declined":
                api.push(made)
    with Emulator(state=file) as emulator:
        assert emulator.transaction(made["id"])["status"] == "pending"


UNSETTLED = """
import resource, signal, sys, threading
from fedapay_sync import Integration
from fedapay_sync.emulator import Emulator
from fedapay_sync.server import WebServer

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
reached, full, received = threading.Event(), threading.Event(), []

def shop(environ, start_response):
    received.append(environ["wsgi.input"].read())
    reached.set()
    full.wait(30)
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]

body = {"description": "x", "amount": 5, "currency": {"iso": "XOF"}}
with WebServer(shop) as web, Emulator(state=sys.argv[1], webhook_url=web.url) as emulator:
    api = Integration(emulator.url, default_api_key=emulator.secret_key)
    api.transactions.create(body)
    assert reached.wait(30)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    full.set()
    try:
        emulator.wait_for_deliveries(0.5)
    except TimeoutError:
        print("not settled")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    emulator.wait_for_deliveries(30)
    assert len(received) == 1
    api.transactions.create(body)
    emulator.wait_for_deliveries(30)
    assert len(received) == 2
print("whole")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of file sizes are set as on Linux")
def test_a_delivery_during_a_full_disk_is_settled_later(tmp_path):
    """
    Not sent a second time, and later events are delivered as ever.
    """
    done = subprocess.run(
        [sys.executable, "-c", UNSETTLED, str(tmp_path / "shop.fedapay")],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines() == ["not settled", "whole"], done.stderr


def test_an_address_is_not_kept_against_what_the_next_start_says(path):
    """
    Without webhook_url no shop is told, whichever was told before.
    """
    Emulator(state=path, webhook_url="http://127.0.0.1:9/").stop()
    again = Emulator(state=path)
    assert again.webhook_url is None
    again.stop()


def test_what_is_wrong_with_a_file_is_said_first(path, tmp_path):
    """
    Another emulator; a folder that is missing, by its name.
    """
    with Emulator(state=path), pytest.raises(ConfigError, match=r"^Un autre émulateur utilise"):
        Emulator(state=path)
    with pytest.raises(ConfigError, match=r"le dossier .*nowhere.* n'existe pas"):
        Emulator(state=tmp_path / "nowhere" / "shop.fedapay")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="/proc")
def test_a_folder_that_may_not_be_written_to_is_named():
    """
    /proc takes no file, not even from root.
    """
    with pytest.raises(ConfigError, match=r"/proc/emulator\.db ne peut pas être écrit .*dossier où ce programme"):
        Emulator(state="/proc/emulator.db")
