"""
The store on PostgreSQL: what it shares with SQLite is in the contract; here is what a server can do to it.
"""

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psycopg2
import pytest
import support.postgres_server as postgres_server_module
from support.postgres_relay import Relay
from support.postgres_server import running_or_skipped
from support.stored_listens import open_listens
from support.subscriptions import subscribed

import fedapay_sync
from fedapay_sync.concurrency.commit_listener import POLL_INTERVAL
from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.errors import StoreError
from fedapay_sync.store import NewEvent, Store
from fedapay_sync.store.postgres.encryption import encryption_settings

ROOT = Path(fedapay_sync.__file__).parents[1]
PASSWORD = "motdepasse-secret"


@pytest.fixture
def make_store(postgres_url):
    made = []

    def make(url=postgres_url):
        made.append(Store(url))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make_store):
    return make_store()


@pytest.fixture
def sessions(postgres_server):
    """The server's sessions of a schema: those of our package."""

    def sessions(url):
        schema = url.partition("search_path%3D")[2].partition("&")[0]
        return [
            row[0]
            for row in postgres_server.execute(
                "SELECT a.pid FROM pg_stat_activity a WHERE application_name = 'fedapay_sync-" + schema[-20:] + "'"
            )
        ]

    return sessions


def named(url):
    """The same database under an application name by which its sessions can be told from those of other tests."""
    schema = url.partition("search_path%3D")[2]
    return f"{url}&application_name=fedapay_sync-{schema[-20:]}"


def event(number, **changes):
    facts = {
        "dedup_key": f"key-{number}", "event_key": f"key-{number}", "environment": "sandbox", "account": "shop",
        "name": "transaction.approved", "object": "transaction", "entity_id": str(number), "status": "approved",
        "is_final": True, "is_paid": True, "source": "webhook", "body": b"{}", "body_sha256": "", "received_at": 1.0,
    }  # fmt: skip
    return NewEvent(**{**facts, **changes})


def remember(store, reference="CMD-1"):
    return store.payments.add_intent("sandbox", "shop", reference, amount=500, currency="XOF")


def wait_for(store, number, seconds=60.0):
    return store.listens.open(
        "sandbox", number, account="shop", timeout=seconds, delete_at_deadline=False, owner="A", lease=60.0
    )


def count(store, table="fp_event"):
    return store.read(lambda database: database.execute_sql(f"SELECT count(*) FROM {table}").fetchone()[0])


# -- opening ------------------------------------------------------------------------------------------------------


def test_many_that_start_at_once_make_the_tables_once(make_store):
    """
    Twelve stores, each with connections of its own, as twelve processes have them.
    """
    stores, problems = [make_store() for _ in range(12)], []
    together = threading.Barrier(12)

    def start(store):
        together.wait(10)
        try:
            store.open()
        except StoreError as error:
            problems.append(error)

    threads = [threading.Thread(target=start, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert problems == []
    assert count(stores[0], "fp_meta") == 1


def test_a_database_of_a_newer_version_is_refused_each_time(store, make_store):
    store.write(lambda database: database.execute_sql("UPDATE fp_meta SET schema_version = 99, compatible_from = 99"))
    for newer in (make_store(), make_store()):
        with pytest.raises(StoreError, match="plus récente"):
            remember(newer)


def test_tables_that_are_gone_after_a_reconnection_are_not_made_anew(make_store, postgres_url, postgres_server,
                                                                     sessions):  # fmt: skip
    """
    A standby without our data, a schema dropped by mistake: an error, and not an empty database in silence.
    """
    store = make_store(named(postgres_url))
    store.open()
    schema = postgres_url.partition("search_path%3D")[2]
    postgres_server.execute(f'ALTER SCHEMA "{schema}" RENAME TO "{schema}_away"; CREATE SCHEMA "{schema}"')
    for pid in sessions(named(postgres_url)):
        postgres_server.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
    for _ in range(2):
        with pytest.raises(StoreError, match="vidée"):
            remember(store)
    postgres_server.execute(f'DROP SCHEMA "{schema}" CASCADE; ALTER SCHEMA "{schema}_away" RENAME TO "{schema}"')

    assert remember(store) is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ((PASSWORD, "un%2Fautre%40secret"), "mot de passe"),
        (("/postgres?", "/nulle_part?"), "Créer la base"),
        (("search_path%3D", "search_path%3Dabsent_"), "search_path"),
        (("postgresql://boutique", "postgres://personne"), "mot de passe"),
    ],
)
def test_a_server_that_refuses_is_told_at_once_and_without_the_password(make_store, postgres_url, change, named):
    """
    In French, with what to correct.
    """
    url = postgres_url.replace(*change)
    begun = time.monotonic()
    verbs = [lambda store: store.open(), lambda store: count(store)]
    if named != "search_path":
        verbs.append(lambda store: store.commit_listener().version())
    for verb in verbs:
        with pytest.raises(StoreError) as caught:
            verb(make_store(url))
        said = str(caught.value)
        assert "La base postgresql://" in said and "a échoué" in said
        assert named in said
        assert all(secret not in said for secret in (PASSWORD, "autre", "boutique:"))
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("place", ["postgresql://boutique:{}@127.0.0.1/x", "postgresql://127.0.0.1/x?password={}"])
def test_a_password_that_cannot_be_decoded_is_not_shown(make_store, place):
    """
    The driver quotes it as it is written in the URL.
    """
    with pytest.raises(StoreError, match="percent-encoded") as caught:
        make_store(place.format("un%21secret%zz")).open()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ({"host": "db.example.com"}, {"sslmode": "require"}),
        ({"host": "41.79.217.1"}, {"sslmode": "require"}),
        ({"host": "2001:db8::1"}, {"sslmode": "require"}),
        ({"host": "10.0.0.5,db.example.com"}, {"sslmode": "require"}),
        ({"host": "db.example.com", "hostaddr": "127.0.0.1"}, {"sslmode": "require"}),
        ({"host": "db.example.com", "sslmode": "prefer"}, {}),
        ({"host": "db.example.com", "service": "boutique"}, {}),
        ({"host": "127.0.0.1"}, {}),
        ({"host": "localhost"}, {}),
        ({"host": "::1"}, {}),
        ({"host": "/var/run/postgresql"}, {}),
        ({"host": "10.0.0.5"}, {}),
        ({"host": "db"}, {}),
        ({"host": "db.internal"}, {}),
        ({}, {}),
    ],
)
def test_a_public_address_is_reached_encrypted_unless_the_url_says_otherwise(given, added):
    """
    libpq alone would go on in clear text where somebody on the way says that the server cannot encrypt.
    """
    assert encryption_settings(given) == added


def test_the_mode_of_the_environment_is_not_weakened(monkeypatch):
    """
    ``PGSSLMODE=verify-full`` is stricter than what we would set.
    """
    monkeypatch.setenv("PGSSLMODE", "verify-full")

    assert encryption_settings({"host": "db.example.com"}) == {}


def test_a_public_server_that_does_not_encrypt_is_told_with_what_to_do(make_store, postgres_url):
    """
    Nothing has been sent to it by then.
    """
    url = postgres_url.replace("127.0.0.1", "db.example.com") + "&hostaddr=127.0.0.1"

    with pytest.raises(StoreError, match=r"adresse est publique.*activer ssl.*sslmode=disable") as refused:
        make_store(url).callbacks.parked()
    assert PASSWORD not in str(refused.value)
    assert make_store(f"{url}&sslmode=disable").callbacks.parked() == []


def test_a_connection_in_clear_text_to_a_private_name_is_warned_of_once(make_store, postgres_url, caplog):
    """
    Each store has several connections; on this machine, or where the URL says that it is meant, nothing is told.
    """

    def warnings():
        return [each.getMessage() for each in caplog.records if "not encrypted" in each.getMessage()]

    url = postgres_url.replace("127.0.0.1", "serveur-de-la-boutique") + "&hostaddr=127.0.0.1"
    assert make_store().callbacks.parked() == []
    assert make_store(f"{url}&sslmode=disable").callbacks.parked() == []
    assert warnings() == []
    for _ in range(2):
        assert make_store(url).callbacks.parked() == []

    (line,) = warnings()
    assert "serveur-de-la-boutique" in line and "sslmode=require" in line and PASSWORD not in line


def test_a_server_that_is_not_there_is_told_at_once(make_store, postgres_url, free_port):
    port = postgres_url.split(":")[3].partition("/")[0]
    begun = time.monotonic()
    with pytest.raises(StoreError, match="sans redémarrage"):
        make_store(postgres_url.replace(port, str(free_port))).open()
    assert time.monotonic() - begun < 3


def test_a_row_that_is_refused_is_told_without_what_is_in_it(store):
    """
    The server quotes the whole row, and with it the customer.
    """
    with pytest.raises(StoreError) as caught:
        store.events.accept(event(1, name=None, body=b"Jean Dupont", entity_id="id-du-client"))
    assert "Dupont" not in str(caught.value) and "id-du-client" not in str(caught.value)
    assert "\\x" not in str(caught.value)
    assert store.events.accept(event(1)).new


def test_a_shop_without_the_driver_is_told_what_to_install():
    """
    When the connector is made, and nothing of it is asked for by a shop on SQLite.
    """
    script = """
        import sys
        sys.modules["psycopg2"] = None
        from fedapay_sync import Connector
        from fedapay_sync.errors import ConfigError
        from fedapay_sync.store import Store
        settings = {"fedapay_api_url": "https://sandbox-api.fedapay.com", "api_key": "sk_sandbox_essai"}
        Store("sqlite:///here.db").open()
        Connector(**settings, db_url="sqlite:///here.db").close()
        for attempt in (lambda: Connector(**settings, db_url="postgresql://u:p@h/b"),
                        lambda: Store("postgresql://u:p@h/b").open()):
            try:
                attempt()
            except ConfigError as error:
                print("pip install 'fedapay_sync[postgres]'" in str(error), "u:p" in str(error))
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert run.stdout == "True False\nTrue False\n", run.stderr


def test_opening_and_closing_leaves_nothing(make_store, postgres_url, sessions, eventually):
    """
    No session on the server, no thread and no descriptor here.
    """
    url = named(postgres_url)

    def descriptors():
        return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0

    remember(make_store(url))
    make_store(url).close()
    before = descriptors() - 1, threading.active_count() - 1
    for _ in range(4):
        store = Store(url)
        listener = store.commit_listener()
        remember(store)
        listener.version()
        assert len(sessions(url)) >= 2
        listener.close()
        store.close()
    assert (descriptors() - 1, threading.active_count() - 1) == before


def test_a_role_that_may_make_no_tables_uses_those_that_are_there(make_store, postgres_server, postgres_url):
    """
    Some shops have their tables made by an administrator.
    """
    make_store().open()
    schema = postgres_url.partition("search_path%3D")[2]
    role = f"role_{schema}"
    for statement in (
        f"CREATE ROLE {role} LOGIN PASSWORD 'autre'",
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {schema} TO {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
    ):
        postgres_server.execute(statement)
    limited = make_store(postgres_url.replace(f"boutique:{PASSWORD}", f"{role}:autre"))

    assert limited.events.accept(event(1)).new
    assert not limited.events.accept(event(1)).new
    wait_for(limited, 2)
    assert limited.listens.end("sandbox", "2", "cancelled")


@pytest.mark.parametrize(("promised", "outcome"), [(None, pytest.skip), ("1", pytest.fail)])
def test_without_the_servers_programs_its_tests_are_skipped_unless_they_are_promised(monkeypatch, promised, outcome):
    """
    In continuous integration a missing server must not look like success.
    """
    monkeypatch.setattr(postgres_server_module, "binaries", lambda: None)
    monkeypatch.delenv("REQUIRE_POSTGRES", raising=False)
    if promised:
        monkeypatch.setenv("REQUIRE_POSTGRES", promised)
    with pytest.raises(outcome.Exception, match="apt-get install postgresql"), running_or_skipped():
        pass


# -- one after the other ------------------------------------------------------------------------------------------


def test_a_wait_that_begins_while_its_webhook_arrives_misses_nothing(make_store):
    """
    Both read before they write; at the same time, each would miss the other, and the wait would stay open.
    """
    first, second = make_store(), make_store()
    first.open()
    second.open()
    together = threading.Barrier(2)

    def run(verb):
        for number in range(150):
            together.wait(20)
            verb(number)

    threads = [
        threading.Thread(target=run, args=(lambda number: wait_for(first, number),)),
        threading.Thread(target=run, args=(lambda number: second.events.accept(event(number)),)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [each.transaction_id for each in open_listens(first)] == []
    assert len(first.listens.ended("sandbox", map(str, range(150)))) == 150


@pytest.mark.faults(row=6)
def test_a_foreign_lock_is_waited_out_and_one_without_end_is_told(store, postgres_url, make_store):
    """
    Two seconds are late; more than eight are an error, in time for FedaPay.
    """
    store.open()
    foreign = psycopg2.connect(postgres_url)
    foreign.cursor().execute("LOCK TABLE fp_meta IN EXCLUSIVE MODE")
    release = threading.Timer(1.0, foreign.rollback)
    release.start()
    assert remember(store) is None
    release.join()

    foreign.cursor().execute("LOCK TABLE fp_meta IN EXCLUSIVE MODE")
    begun = time.monotonic()
    with pytest.raises(StoreError, match="tient les tables"):
        remember(store, "CMD-2")
    assert 7 < time.monotonic() - begun < 10
    assert store.payments.under_reference("sandbox", "shop", "CMD-2") is None
    foreign.close()
    assert remember(store, "CMD-2") is None


def test_a_commit_that_turns_out_to_be_a_rollback_is_no_success(store):
    """
    The server answers COMMIT with ROLLBACK, and no error, when a statement before had failed.
    """
    store.open()

    def swallow(database):
        remembered = database.execute_sql("UPDATE fp_meta SET schema_version = schema_version")
        try:
            database.execute_sql("SELECT 1 / 0")
        except Exception:  # edge of a thread: this is what must not be believed
            return remembered.rowcount

    with pytest.raises(StoreError, match="rolled back"):
        store.write(swallow)
    assert remember(store) is None


def test_what_is_confirmed_is_on_disk_whatever_the_role_is_set_to(make_store, postgres_url):
    """
    A shop that told its server not to wait for the disk did not mean its payments.
    """
    lax = make_store(postgres_url.replace("options=", "options=-csynchronous_commit%3Doff%20"))
    asked = "SHOW synchronous_commit"
    assert lax.read(lambda database: database.execute_sql(asked).fetchone()[0]) == "off"
    assert lax.write(lambda database: database.execute_sql(asked).fetchone()[0]) == "on"


# -- the connection -------------------------------------------------------------------------------------------------


def test_connections_that_the_server_ended_are_replaced_without_an_error(make_store, postgres_url, postgres_server,
                                                                         sessions):  # fmt: skip
    """
    Idle ones: nothing was under way.
    """
    store = make_store(named(postgres_url))
    remember(store)
    count(store)
    for pid in sessions(named(postgres_url)):
        postgres_server.execute(f"SELECT pg_terminate_backend({pid}, 5000)")

    assert count(store) == 0
    assert remember(store, "CMD-2") is None


def test_a_commit_whose_answer_is_lost_is_an_error_and_its_repeat_a_duplicate(
    make_store, postgres_url, postgres_server
):
    """
    The caller cannot be told what happened; the key tells it, when it comes again.
    """
    with Relay(postgres_server.port) as relay:
        store = make_store(relay.url(postgres_url))
        store.open()
        relay.cut_at_commit.set()
        with pytest.raises(StoreError, match="a échoué"):
            store.events.accept(event(1))
        assert not store.events.accept(event(1)).new
        assert count(store) == 1
        store.close()


@pytest.mark.faults
@pytest.mark.long
def test_a_server_that_says_nothing_any_more_is_not_waited_for_without_end(make_store, postgres_url, postgres_server):
    """
    A stopped process or a network that swallows everything: ten seconds at most, also for callers that stand in line.
    """
    with Relay(postgres_server.port) as relay:
        store = make_store(relay.url(postgres_url))
        remember(store)
        count(store)
        relay.open.clear()
        took = []

        def fail(verb):
            begun = time.monotonic()
            with pytest.raises(StoreError):
                verb()
            took.append(time.monotonic() - begun)

        verbs = [lambda: count(store), lambda: count(store), lambda: remember(store, "2"), lambda: remember(store, "3")]
        threads = [threading.Thread(target=fail, args=(verb,)) for verb in verbs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(took) == 4 and max(took) < 10.5, took

        relay.open.set()
        assert remember(store, "4") is None
        store.close()


def test_through_a_pooler_the_waker_polls_instead_of_listening(make_store, postgres_url, postgres_server):
    """
    There LISTEN is answered with yes, and nothing ever comes.
    """
    with Relay(postgres_server.port, pooler=True) as relay:
        store, other = make_store(relay.url(postgres_url)), make_store()
        for number in range(5):
            wait_for(store, number)
        listener = store.commit_listener()
        notifier = Notifier(
            listener=listener,
            ended=lambda keys: store.listens.ended("sandbox", keys),
            ended_lately=lambda seconds: store.listens.ended_lately("sandbox", seconds),
            full_lookup=3600.0,
        )
        for number in map(str, range(5)):
            with subscribed(notifier, number) as bell:
                assert not bell.wait(2 * POLL_INTERVAL)
                other.listens.end("sandbox", number, "cancelled")
                assert bell.wait(3)
        assert listener.interval == POLL_INTERVAL
        notifier.close()
        store.close()


def test_the_waker_sleeps_on_the_line_and_asks_nothing(make_store, postgres_url, postgres_server):
    """
    While a thread waits, no statement goes to the server unless there is news or two seconds have passed.
    """
    store, other = make_store(), make_store()
    wait_for(store, 1)
    asked = []
    notifier = Notifier(
        listener=store.commit_listener(),
        ended=lambda keys: asked.append(keys) or store.listens.ended("sandbox", keys),
        ended_lately=lambda seconds: store.listens.ended_lately("sandbox", seconds),
        full_lookup=3600.0,
    )
    with subscribed(notifier, "1") as bell:
        assert not bell.wait(1.2)
        assert len(asked) <= 2
        other.listens.end("sandbox", "1", "cancelled")
        assert bell.wait(2)
    notifier.close()
