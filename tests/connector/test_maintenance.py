"""A change of the API's key, parked events, bodies that were forgotten: what a running shop meets in a year."""

import json
import sqlite3

import pytest

from fedapay_sync import (
    ConfigError,
    InvalidArgument,
    MethodesPaiement,
    PaiementSetup,
    Pays,
    Transaction,
    UserData,
    signature,
)
from fedapay_sync.emulator import Emulator

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
OLD, NEW = "sk_sandbox_ancienne", "sk_sandbox_nouvelle"


def event_of(status="approved", number=101, **changes):
    entity = {"klass": "v1/transaction", "id": number, "status": status, "amount": 500, "currency_id": 1, **changes}
    entity.setdefault(f"{status}_at", "2026-11-20T10:00:00.000Z")
    return {"name": f"transaction.{status}", "object": "transaction", "object_id": number, "entity": entity}


def query(db_url, sql):
    database = sqlite3.connect(db_url[len("sqlite:///") :])
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


def all_done(db_url):
    return lambda: all(state == "done" for (state,) in query(db_url, "SELECT work_state FROM fp_event"))


# -- a change of key ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["approved", "declined"])
def test_after_a_change_of_key_an_old_event_is_still_known(make_connector, db_url, eventually, status):
    """
    Stored under the old key's label, seen again under the new one: the same fact, told once.
    """
    seen = []
    before = make_connector(api_key=OLD)
    before.on_webhook(seen.append)
    before.save_webhook(event_of(status))
    eventually(all_done(db_url))
    before.close()

    after = make_connector(api_key=NEW, api_keys=[OLD])
    after.on_webhook(seen.append)
    after.save_webhook(event_of(status))
    after.save_webhook(event_of(status, number=102))
    eventually(lambda: len(seen) == 2 and all_done(db_url)())

    assert [event.id_transaction for event in seen] == [101, 102]
    assert len(query(db_url, "SELECT 1 FROM fp_event")) == 2


def test_a_payment_made_before_a_change_of_key_goes_on_after_it(make_connector, db_url, eventually):
    """
    SECURITY.md, from end to end: paid and told under the old key, seen again by a status check, an owed callback and a
    new wait under the new one; nothing runs twice.
    """
    seen = []
    with Emulator(secret_key=OLD) as fedapay:
        before = make_connector(fedapay_api_url=fedapay.url, api_key=OLD)
        before.on_webhook(seen.append)
        told = before.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction
        owed = before.pay(SETUP, CLIENT, 700, merchant_reference="CMD-2").id_transaction
        fedapay.approve(told)
        assert before.finalise(told, timeout=10).paid
        eventually(all_done(db_url))
        before.close()
        # A process without callbacks takes the second one in: it is owed to whoever has one.
        receiver = make_connector(fedapay_api_url=fedapay.url, api_key=OLD)
        fedapay.approve(owed)
        assert receiver.check_status(owed).was_paid
        receiver.close()

        after = make_connector(fedapay_api_url=fedapay.url, api_key=NEW, api_keys=[OLD])
        after.on_webhook(seen.append)
        assert after.check_status(told).was_paid
        assert after.finalise(told, timeout=10).paid
        after.save_webhook(event_of(number=told))
        eventually(lambda: len(seen) == 2 and all_done(db_url)())

    assert [(event.id_transaction, event.paid) for event in seen] == [(told, True), (owed, True)]


# -- parked events ----------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(make_connector, clock):
    return make_connector(clock=clock)


def park(connector, clock, eventually, db_url, event):
    """Have the callback of that event fail until it is parked."""

    def fail(event):
        raise ValueError("la base de la boutique est en panne")

    connector.set_webhook_callback_function(fail)
    connector.save_webhook(event)

    def parked():
        clock.advance(5000)
        connector._per_process.get().callbacks.notify()
        return query(db_url, "SELECT 1 FROM fp_call WHERE work_state = 'dead'")

    eventually(parked, timeout=20)


def test_a_parked_event_is_listed_and_replayed(shop, clock, eventually, db_url):
    """
    With why it failed; replayed, it has the same key, and its attempts go on.
    """
    park(shop, clock, eventually, db_url, event_of())
    (parked,) = shop.parked()
    assert parked.name == "transaction.approved" and parked.id_transaction == 101 and parked.attempt == 30
    assert parked.last_error == "ValueError: la base de la boutique est en panne"

    seen = []
    shop.set_webhook_callback_function(seen.append)
    assert shop.replay("no such key") == 0
    assert shop.replay(parked.event_key) == 1
    assert shop.replay() == 0
    (event,) = eventually(lambda: seen)

    assert (event.event_key, event.paid, event.attempt > 30) == (parked.event_key, True, True)
    eventually(all_done(db_url))
    assert shop.parked() == []


def test_what_could_not_be_read_is_read_again_on_demand(shop, eventually, db_url):
    """
    It stays parked while nobody can read it; once one can, it is an event like any other, told once.
    """
    seen = []
    shop.set_webhook_callback_function(seen.append)
    shop.save_webhook("no event")
    (parked,) = shop.parked()
    assert parked.name == "unreadable" and "JSON" in parked.last_error

    assert shop.replay() == 1
    eventually(lambda: query(db_url, "SELECT 1 FROM fp_event WHERE work_state = 'dead' AND attempts > 0"))
    assert len(shop.parked()) == 1 and seen == []

    body = json.dumps(event_of()).encode()
    store = shop._per_process.get().store
    store.write(lambda database: database.execute_sql("UPDATE fp_event SET body = ?", (body,)))
    assert shop.replay(parked.event_key) == 1
    (event,) = eventually(lambda: seen)
    assert event.paid and event.id_transaction == 101
    eventually(all_done(db_url))


# -- bodies that were forgotten ------------------------------------------------------------------------------------


def test_without_its_body_an_event_still_says_what_the_columns_hold(make_connector, emulator, db_url, eventually):
    """
    ``keep_bodies_days=0``: forgotten when it was told. Who waits still learns that it is paid; repeated, it is known.
    """
    seen = []
    connector = make_connector(keep_bodies_days=0)
    connector.on_webhook(seen.append)
    number = connector.pay(SETUP, CLIENT, 500).id_transaction
    connector.save_webhook(event_of(number=number, merchant_reference="CMD-9"))
    eventually(all_done(db_url))
    assert query(db_url, "SELECT DISTINCT length(body) FROM fp_event") == [(0,)]

    outcome = connector.finalise(number, timeout=5)
    connector.save_webhook(event_of(number=number))

    assert outcome.paid and outcome.reason == "approved"
    (webhook,) = outcome.webhooks
    assert webhook.paid and isinstance(webhook.entity, Transaction) and webhook.id_transaction == number
    assert [event.entity.merchant_reference for event in seen] == ["CMD-9"]


def test_bodies_are_forgotten_after_the_days_that_were_asked_for(make_connector, clock, db_url, eventually):
    """
    By a process that has callbacks, once a day; None keeps them.
    """
    connector = make_connector(clock=clock, keep_bodies_days=2)
    connector.on_webhook(lambda event: None)
    connector.save_webhook(event_of())
    eventually(all_done(db_url))
    callbacks = connector._per_process.get().callbacks

    clock.advance(1.5 * 86400)
    callbacks.notify()
    connector.save_webhook(event_of(number=102))
    eventually(all_done(db_url))
    assert query(db_url, "SELECT length(body) > 0 FROM fp_event ORDER BY id") == [(1,), (1,)]
    connector.purge(older_than_days=1)
    assert query(db_url, "SELECT length(body) > 0 FROM fp_event ORDER BY id") == [(0,), (1,)]
    clock.advance(3 * 86400)
    callbacks.notify()
    eventually(lambda: query(db_url, "SELECT sum(length(body)) FROM fp_event") == [(0,)])


@pytest.mark.parametrize("days", [-1, float("nan"), True, "30"])
def test_what_is_no_number_of_days_is_refused(make_connector, days):
    with pytest.raises(ConfigError, match="jours"):
        make_connector(keep_bodies_days=days)
    with pytest.raises(ConfigError, match="jours"):
        make_connector().purge(days)


def test_a_stolen_signature_has_nothing_to_do_with_it(make_connector, emulator):
    """
    None of this weakens the signature check.
    """
    body = json.dumps(event_of()).encode()
    connector = make_connector()
    connector.receive(body, signature.sign(body, emulator.webhook_secret))
    assert connector.parked() == []


def test_what_one_payer_left_is_erased_by_the_shop(make_connector, db_url, eventually, tmp_path):
    """
    By the reference of the payment; the same event is known when it comes again, and a copy is made beside.
    """
    seen = []
    connector = make_connector()
    connector.on_webhook(seen.append)
    number = connector.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction
    connector.save_webhook(event_of(number=number))
    eventually(all_done(db_url))

    assert connector.purge(customer="CMD-1") == (0, 0, 1)
    connector.save_webhook(event_of(number=number))
    assert connector.finalise(number, timeout=5).paid and len(seen) == 1
    for arguments in ({}, {"older_than_days": 1, "customer": "CMD-1"}):
        with pytest.raises(ConfigError, match="customer"):
            connector.purge(**arguments)
    with pytest.raises(InvalidArgument, match="CMD-2"):
        connector.purge(customer="CMD-2")
    connector.backup(tmp_path / "copie.db")
    assert (tmp_path / "copie.db").exists()
