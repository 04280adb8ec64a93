"""Moving over from the asynchronous connector: nothing that it waits for is lost, nothing is told twice."""

import sqlite3
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from support.stored_listens import open_listens

from fedapay_sync import EventFutureStatus, MethodesPaiement, PaiementSetup, Pays, StoreError, UserData
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
QUICK = Pace(first=0.02, factor=1.2, longest=0.1)
#: Made by fedapay_connector 2.0.3: three waits, the second with its webhook.
FIXTURE = Path(__file__).parents[1] / "fixtures" / "async_processes.sql"
MADE = (100, 101, 102)


def fill(path, numbers=MADE, *, began=None, where=""):
    """A database of the asynchronous connector, with these transactions in the place of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    began = began or datetime.now(timezone.utc)
    script = FIXTURE.read_text(encoding="utf-8")
    with sqlite3.connect(path) as database:
        database.executescript(script)
        for made, number in zip(MADE, numbers):
            database.execute(
                "UPDATE StoredListeningProcess SET StoredListeningProcess_transaction_id = ?,"
                " StoredListeningProcess_process_data ="
                " replace(replace(StoredListeningProcess_process_data, ?, ?), ?, ?),"
                " StoredListeningProcess_created_at = ? WHERE StoredListeningProcess_transaction_id = ?",
                (
                    number, f'"id":{made}', f'"id":{number}', f'"id_transaction":{made}',
                    f'"id_transaction":{number}', began.strftime("%Y-%m-%d %H:%M:%S"), made,
                ),
            )  # fmt: skip
    database.close()
    return path


def theirs(path):
    database = sqlite3.connect(path)
    rows = database.execute("SELECT * FROM StoredListeningProcess").fetchall()
    database.close()
    return rows


@pytest.fixture
def numbers(make_connector, emulator, tmp_path):
    """Three payments at FedaPay, which another program made; the second is paid."""
    other = make_connector(db_url=f"sqlite:///{tmp_path}/other.db")
    made = [other.pay(SETUP, CLIENT, 500).id_transaction for _ in range(3)]
    emulator.approve(made[1])
    return made


@pytest.fixture
def shop(make_connector):
    connector = make_connector(pace=QUICK)
    connector.ended, connector.seen = [], []
    connector.on_restored(connector.ended.append)
    connector.on_webhook(connector.seen.append)
    return connector


def store_of(connector):
    return connector._per_process.get().store


def test_its_waits_go_on_here_and_its_webhooks_are_told(shop, emulator, numbers, tmp_path, eventually):
    """
    With the time that each has left; its file is only read.
    """
    began = datetime.now(timezone.utc) - timedelta(seconds=100)
    path = fill(tmp_path / "processes.db", numbers, began=began)
    before = path.read_bytes()

    assert shop.import_async(path) == 3
    assert path.read_bytes() == before
    listens = {each.transaction_id: each for each in open_listens(store_of(shop))}
    # The one whose webhook it had is decided by that webhook.
    assert set(listens) == {str(numbers[0]), str(numbers[2])}
    assert all(abs(each.deadline - began.timestamp() - 600) < 2 for each in listens.values())
    assert shop.restore() == 2

    emulator.approve(numbers[0])
    eventually(lambda: len(shop.seen) == 2 and len(shop.ended) == 2)
    assert {event.id_transaction for event in shop.seen if event.paid} == set(numbers[:2])
    assert {outcome.id_transaction for outcome in shop.ended if outcome.paid} == set(numbers[:2])


def test_importing_it_again_changes_nothing(shop, emulator, numbers, tmp_path, eventually, clock):
    """
    Not even after everything has ended, and was purged.
    """
    path = fill(tmp_path / "processes.db", numbers)
    assert shop.import_async(path) == 3
    assert shop.import_async(str(path)) == 0
    shop.restore()
    emulator.approve(numbers[0])
    emulator.decline(numbers[2])
    eventually(lambda: len(shop.ended) == 3 and len(shop.seen) == 3)

    assert shop.import_async(path) == 0
    store = store_of(shop)
    store.write(lambda database: database.execute_sql("DELETE FROM fp_listen"))
    shop.import_async(path)
    shop.restore()
    eventually(lambda: not open_listens(store))
    done = "SELECT count(*) FROM fp_event WHERE work_state <> 'done'"
    eventually(lambda: store.read(lambda database: database.execute_sql(done).fetchone()[0]) == 0)

    assert (len(shop.ended), len(shop.seen)) == (3, 3)


def test_a_wait_whose_time_was_over_is_asked_about_once_more(shop, emulator, numbers, tmp_path, eventually):
    """
    The asynchronous connector was off for a week: what was paid meanwhile is found.
    """
    path = fill(tmp_path / "processes.db", numbers, began=datetime.now(timezone.utc) - timedelta(days=7))
    emulator.approve(numbers[0])
    shop.import_async(path)
    shop.restore()

    eventually(lambda: len(shop.ended) == 3)
    statuses = {outcome.id_transaction: outcome.status for outcome in shop.ended}
    assert statuses[numbers[2]] == EventFutureStatus.TIMEOUT
    assert {outcome.id_transaction for outcome in shop.ended if outcome.paid} == set(numbers[:2])


def test_in_the_same_file_restore_finds_them_by_itself(make_connector, emulator, numbers, tmp_path, eventually):
    """
    Both packages keep their database in the same place by default: ours goes beside theirs, and theirs stays as it is.
    """
    path = fill(tmp_path / "fedapay_connector_persisted_data" / "processes.db", numbers)
    before = theirs(path)
    connector, ended = make_connector(db_url=None, pace=QUICK), []
    connector.on_restored(ended.append)
    connector.on_webhook(lambda event: None)

    assert connector.restore() == 2
    emulator.approve(numbers[0])
    eventually(lambda: len(ended) == 2)
    assert connector.restore() == 0
    assert connector.import_async(path) == 0

    assert {outcome.id_transaction for outcome in ended if outcome.paid} == set(numbers[:2])
    assert theirs(path) == before
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "data", [None, "", "{", "[]", '{"received_webhooks": [5, {"name": 1}, {"entity": {"id": 2}}]}']
)
def test_a_row_that_cannot_be_read_is_waited_for_all_the_same(shop, tmp_path, data):
    """
    Its transaction stands in a column of its own.
    """
    path = fill(tmp_path / "processes.db")
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE StoredListeningProcess SET StoredListeningProcess_process_data = ?,"
            " StoredListeningProcess_created_at = 'hier'",
            (data,),
        )
    database.close()
    assert shop.import_async(path) == 3
    assert len(open_listens(store_of(shop))) == 3


def test_a_row_that_our_database_refuses_does_not_hold_up_those_behind_it(shop, numbers, tmp_path):
    path, store = fill(tmp_path / "processes.db", numbers), store_of(shop)
    refuse = (
        f"CREATE TRIGGER refuse BEFORE INSERT ON fp_listen WHEN NEW.transaction_id = '{numbers[0]}' "
        "BEGIN SELECT RAISE(ABORT, 'refused here'); END"
    )
    store.write(lambda database: database.execute_sql(refuse))
    assert shop.import_async(path) == 2


@pytest.mark.parametrize("content", [None, b"", b"not a database, but long enough to look at" * 30])
def test_what_is_no_such_database_is_refused(shop, tmp_path, content):
    path = tmp_path / "processes.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=r"processes\.db"):
        shop.import_async(path)
    assert path.exists() is (content is not None)
