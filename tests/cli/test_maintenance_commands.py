"""``fedapay-sync parked``, ``replay``, ``forget``, ``purge`` and ``import-async``, as an operator types them."""

import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.claims import claim

from fedapay_sync.cli import main
from fedapay_sync.store import NewEvent, Store

FIXTURE = Path(__file__).parents[1] / "fixtures" / "async_processes.sql"


@pytest.fixture
def run(db_url):
    """Runs a command on the test's database; gives its exit code and what it said."""

    def run(*arguments, **environment):
        done = CliRunner().invoke(main, arguments, env={"FEDAPAY_DB_URL": db_url, **environment})
        return done.exit_code, done.output

    return run


@pytest.fixture
def store(db_url):
    store = Store(db_url)
    store.events.accept(
        NewEvent(
            dedup_key="k", event_key="sandbox:shop:transaction:7:approved", environment="sandbox", account="shop",
            name="transaction.approved", object="transaction", entity_id="7", status="approved", is_final=True,
            is_paid=True, source="webhook", body=b'{"tel": "0164000001"}', body_sha256="", received_at=1.0,
            work_state="dead", last_error="ValueError: la boutique dort",
        )
    )  # fmt: skip
    yield store
    store.close()


def test_parked_events_are_shown_and_replayed(run, store):
    """
    With key and reason, without a customer's data; then there is none any more.
    """
    code, said = run("parked")
    assert code == 0 and "sandbox:shop:transaction:7:approved" in said and "la boutique dort" in said
    assert "1 événement mis de côté." in said and "0164" not in said

    assert run("replay", "another")[0] == 1
    assert run("replay", "sandbox:shop:transaction:7:approved") == (0, "1 événement à rappeler.\n")
    assert run("replay") == (0, "0 événement à rappeler.\n")
    assert run("parked") == (0, "0 événement mis de côté.\n")
    claimed = claim(store, "A", lease=60, limit=1)
    assert [work.entity_id for work in claimed] == ["7"]


def test_what_others_wrote_gives_no_order_to_the_terminal(run, store):
    """
    An older version's record of a failure, an event's name, what was typed: each on its line, written out.
    """
    store.events.accept(
        NewEvent(
            dedup_key="l", event_key="sandbox:shop:x\x1b[2J:8", environment="sandbox", account="shop", name="x\ny",
            object="transaction", entity_id="8", status=None, is_final=False, is_paid=False, source="webhook",
            body=b"{}", body_sha256="", received_at=1.0, work_state="dead", last_error="Error: Adjoa\r\x1b[1A\npaid",
        )
    )  # fmt: skip
    said = run("parked")[1] + run("replay", "a\x1b[2J\nb")[1]

    assert all(line.isprintable() for line in said.split("\n"))
    assert "x\\x1b[2J:8\n" in said and "x\\ny, reçu" in said and "Adjoa\\r\\x1b[1A\\npaid\n" in said
    assert "a\\x1b[2J\\nb" in said


def test_a_transaction_is_forgotten_where_it_is_said_to_be(run, store):
    """
    The real account's only when asked for; what is not followed up is said, with what to look at.
    """
    for environment in ("sandbox", "live"):
        store.payments.add_intent(environment, "shop", "CMD-1", amount=500, currency="XOF")
        store.payments.transition(environment, "shop", "CMD-1", "created", transaction_id="42")

    assert run("forget", "0042") == (0, "Transaction 42 oubliée.\n")
    code, said = run("forget", "42")
    assert code == 1 and "--live" in said and "FEDAPAY_DB_URL" in said
    assert run("forget", "42", "--live") == (0, "Transaction 42 oubliée.\n")
    assert run("forget", "42", "--live")[0] == run("forget", "../42")[0] == 1


def test_one_customer_is_erased(run, store):
    """
    What a callback still needs stays, and is said; the keys stay.
    """
    code, said = run("purge", "--customer", "7")
    kept = "Gardé : 1 corps, encore dus à un callback ou mis de côté. Recommencer après.\n"
    assert (code, said) == (0, f"Effacé : 0 corps d'événements.\n{kept}")
    run("replay")
    assert run("purge", "--customer", "7") == (0, "Effacé : 1 corps d'événements.\n")
    code, said = run("purge", "--customer", "8")
    assert code == 1 and "--live" in said
    assert run("purge")[0] == run("purge", "--days", "1", "--customer", "7")[0] == 2


def test_a_copy_is_written_once(run, store, tmp_path):
    """
    Private, and of what the database holds; an older copy is never written over.
    """
    copy = tmp_path / "copie.db"
    code, said = run("backup", str(copy))
    assert code == 0 and str(copy) in said and copy.stat().st_mode & 0o777 == 0o600
    assert run("parked", FEDAPAY_DB_URL=f"sqlite:///{copy}") == run("parked")
    before = copy.read_bytes()
    code, said = run("backup", str(copy))
    assert code == 1 and "existe déjà" in said and copy.read_bytes() == before
    assert run("backup", str(tmp_path / "nulle" / "part.db"))[0] == 1


def test_purge_says_what_it_forgot(run, store):
    run("replay")
    assert run("purge", "--days", "30") == (0, "Effacé : 0 attente, 0 paiement, 1 corps d'événements.\n")
    assert run("purge", "--days", "30") == (0, "Effacé : 0 attente, 0 paiement, 0 corps d'événements.\n")


@pytest.mark.parametrize("days", [(), ("--days", "-1"), ("--days", "soon")])
def test_purge_wants_a_number_of_days(run, store, days):
    code, said = run("purge", *days)
    assert code == 2 and "--days" in said


@pytest.mark.parametrize(
    "command", [("parked",), ("replay",), ("forget", "7"), ("backup", "x.db"), ("purge", "--days", "1")]
)
def test_no_database_is_made_by_looking_for_one(run, db_url, command):
    """
    A wrong folder or a forgotten variable must not look like an empty shop.
    """
    code, said = run(*command)
    assert code == 1 and "FEDAPAY_DB_URL" in said
    assert not Path(db_url[len("sqlite:///") :]).exists()


def test_the_asynchronous_database_is_imported(run, db_url, tmp_path, emulator):
    path = tmp_path / "processes.db"
    with sqlite3.connect(path) as database:
        database.executescript(FIXTURE.read_text(encoding="utf-8"))
    database.close()
    settings = {"FEDAPAY_API_URL": emulator.url, "FEDAPAY_API_KEY": emulator.secret_key}

    assert run("import-async", str(path), **settings) == (0, "3 attentes à reprendre par restore.\n")
    assert run("import-async", str(path), **settings) == (0, "0 attente à reprendre par restore.\n")
    code, said = run("import-async", str(tmp_path / "nothing.db"), **settings)
    assert code == 1 and "nothing.db n'existe pas" in said
