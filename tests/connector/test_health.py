"""A connector says how it is, within two seconds, whatever its database does."""

import contextlib
import json
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pytest
from support.postgres_server import running_or_skipped

from fedapay_sync import MethodesPaiement, NotFound, PaiementSetup, Pays, TransportError, UserData, sign
from fedapay_sync.store import Store
from fedapay_sync.store.sqlite.connection import file_of

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
EVENT = {
    "name": "transaction.approved",
    "object": "transaction",
    "entity": {"klass": "v1/transaction", "id": 1, "status": "approved", "approved_at": "2026-11-20T10:00:00.000Z"},
}
AWAY = "La base n'a pas répondu en deux secondes."
UNREADABLE = "La base ne peut pas être lue ; le journal dit pourquoi."
#: All that comes from the database.
READ = ("schema", "workers", "owed", "parked", "followed", "last_webhook_at")

#: Takes the file for itself alone, until its input ends.
HOLDS = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("PRAGMA locking_mode=EXCLUSIVE")
held.execute("BEGIN EXCLUSIVE")
held.execute("UPDATE fp_meta SET schema_version = schema_version")
print("held", flush=True)
sys.stdin.read()
"""

both = pytest.mark.parametrize("db_url", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def db_url(request):
    return request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url")


def our_threads():
    return sorted(each.name for each in threading.enumerate() if each.name.startswith("fedapay-"))


def readings():
    return our_threads().count("fedapay-health")


def timed_health(connector):
    """The health, which comes within the two seconds that are promised."""
    begun = time.monotonic()
    found = connector.health()
    assert time.monotonic() - begun < 2.0
    return found


def is_away(health, problem):
    """Whether that is all that it says, and no number is made up."""
    return (health.ok, health.database, health.problems) == (False, False, (problem,)) and not any(
        getattr(health, name) is not None for name in READ
    )


@contextlib.contextmanager
def silent_server():
    """An address that takes no connection more and refuses none."""
    with socket.socket() as server, contextlib.ExitStack() as queued:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        while True:
            waiting = queued.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(server.getsockname())
            except OSError:
                break
        yield f"postgresql://shop@127.0.0.1:{server.getsockname()[1]}/shop"


# -- what it says ---------------------------------------------------------------------------------------------------


@both
def test_asking_starts_no_work(make_connector, clock):
    """
    A page that is asked first, in a process that has a callback and owes it: it says so, and calls nothing.
    """
    with make_connector(clock=clock) as before:
        before.save_webhook(EVENT)
    told = []
    connector = make_connector(clock=clock)
    connector.on_webhook(told.append)
    running = set(our_threads())

    health = connector.health()

    assert health.ok and health.database and not health.working
    assert {name: owed.count for name, owed in health.owed.items()} == {"webhook": 1}
    assert (health.workers, health.parked, health.followed, health.last_answer_at) == (0, 0, 0, None)
    assert json.loads(json.dumps(health.as_dict()))["ok"] is True
    assert set(our_threads()) - running <= {"fedapay-health", "fedapay-writer"}
    assert not told


@both
def test_it_counts_what_a_working_shop_does(make_connector, emulator, clock, eventually):
    """
    A payment is followed, FedaPay has answered, a webhook came, and its callback is owed no more.
    """
    connector = make_connector(clock=clock, use_listen_server=True)
    connector.start_webhook_server()
    emulator.webhook_url = connector.webhook_url
    begun = datetime.fromtimestamp(int(clock.now()), timezone.utc)
    told = []
    connector.on_webhook(told.append, name="compta")
    payment = connector.pay(SETUP, CLIENT, 500)

    health = connector.health()
    assert health.ok and health.working and health.followed == 1
    assert health.last_answer_at >= begun

    emulator.approve(payment.id_transaction)
    eventually(lambda: any(event.paid for event in told))
    assert eventually(lambda: connector.health().last_webhook_at) >= begun
    eventually(lambda: connector.health().owed["compta"].count == 0)


@both
def test_a_callback_owed_for_more_than_five_minutes_is_a_problem(make_connector, clock, eventually):
    """
    It fails again and again. Before that time it is counted, and all is well; where the program has no function for it,
    nobody waits for that.
    """

    def fail(event):
        raise ValueError("not now")

    connector, other = make_connector(clock=clock), make_connector(clock=clock)
    connector.on_webhook(fail, name="compta")
    connector.save_webhook(EVENT)
    clock.advance(290)
    eventually(lambda: "compta" in connector.health().owed)
    health = connector.health()
    assert health.ok and health.owed["compta"].count == 1

    clock.advance(130)

    health = connector.health()
    assert not health.ok and health.database
    assert 420 <= health.owed["compta"].oldest < 480
    assert health.problems == ("Le callback « compta » est dû depuis 7 minutes (1 en attente).",)
    assert other.health().ok


@both
def test_parked_events_are_counted_and_no_problem(make_connector, emulator, eventually):
    """
    They wait for a person, and nothing else waits for them.
    """
    connector = make_connector()
    body = b"[not an event]"
    connector.receive(body, sign(body, emulator.webhook_secret))

    health = connector.health()

    assert health.ok and health.parked == len(connector.parked()) == 1
    assert health.last_webhook_at is not None


def test_what_fedapay_answers_is_remembered_whatever_it_is(make_connector, emulator, clock):
    """
    A refusal shows that FedaPay is there; no answer changes nothing.
    """
    connector = make_connector(clock=clock)
    with pytest.raises(NotFound):
        connector.check_status(999)
    first = connector.health().last_answer_at
    assert abs(first.timestamp() - clock.now()) < 60

    emulator.stop()
    clock.advance(3600)
    with pytest.raises(TransportError):
        connector.api.currencies.list()
    assert connector.health().last_answer_at == first


def test_a_closed_connector_works_no_more(make_connector):
    """
    And can still be asked.
    """
    connector = make_connector()
    connector.pay(SETUP, CLIENT, 500)
    assert connector.health().working
    connector.close()

    health = connector.health()
    assert health.ok and not health.working and health.followed == 1


# -- the database away ------------------------------------------------------------------------------------------------


def test_a_server_that_never_answers_is_told_in_time_and_gathers_no_threads(make_connector):
    """
    One reading hangs; all that ask meanwhile wait for it, each for its own two seconds.
    """
    with silent_server() as url:
        connector = make_connector(db_url=url)
        assert is_away(timed_health(connector), AWAY)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(timed_health, [connector] * 8))
        assert all(is_away(health, AWAY) for health in found)
        assert readings() <= 1


def test_once_the_hanging_reading_is_over_the_next_one_is_new(make_connector, sqlite_url, eventually):
    """
    SQLite, held by another process for itself alone; once that ends, health is well again without a restart.
    """
    with contextlib.closing(Store(sqlite_url)) as store:
        store.open()
    connector = make_connector(db_url=sqlite_url)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(file_of(sqlite_url))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        assert is_away(timed_health(connector), AWAY)
        assert is_away(timed_health(connector), AWAY)
        assert readings() == 1
        holder.stdin.close()
        assert holder.wait(30) == 0

    assert eventually(lambda: connector.health().ok)
    eventually(lambda: readings() == 0)


def test_a_server_that_is_stopped_is_told_and_found_again(make_connector, caplog, eventually):
    """
    It refuses at once, or is waited for as after a restart: in both cases there is an answer in time.
    """
    with running_or_skipped() as server:
        connector = make_connector(db_url=server.schema_url("health"))
        connector.api.currencies.list()
        assert timed_health(connector).ok

        server.stop()
        found = timed_health(connector)
        assert is_away(found, AWAY) or is_away(found, UNREADABLE)
        eventually(lambda: any("cannot read the database" in text for text in caplog.messages))
        assert server.password not in caplog.text

        server.start()
        assert eventually(lambda: connector.health().ok)


def test_a_damaged_database_is_told_without_its_path(make_connector, sqlite_url, caplog):
    """
    The log says why; a page that shows the health to everybody does not.
    """
    path = file_of(sqlite_url)
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)

    found = timed_health(make_connector())

    assert is_away(found, UNREADABLE)
    assert str(path) not in json.dumps(found.as_dict())
    assert [text for text in caplog.messages if "pas une base SQLite" in text]
    with pytest.raises(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("SELECT 1 FROM sqlite_master")
