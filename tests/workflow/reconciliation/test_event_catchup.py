"""After an absence: what happened at FedaPay meanwhile is read from its events, and told once."""

import contextlib
import json
import os
import sqlite3
import threading

import pytest
import requests

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.store.sqlite.connection import file_of
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
#: No look at a payment of its own: what is found is found in the events.
NEVER = Pace(first=10_000, factor=2, longest=10_000)
HOUR = 3600.0


@pytest.fixture
def shop(make_connector, emulator, clock):
    """A process of the shop that receives webhooks, and what its callback was given."""

    def open_shop(*, restored=False, **changes):
        connector = make_connector(**{"use_listen_server": True, "clock": clock, "pace": NEVER, **changes})
        connector._per_process.get().notifier.subscribe("nobody", threading.Event())
        seen = []
        connector.on_webhook(seen.append)
        if restored:
            connector.on_restored(lambda outcome: None)
            connector.restore()
        connector.start_webhook_server()
        return connector, seen

    return open_shop


@pytest.fixture
def away(shop, emulator, clock):
    """
    Payments of a shop that heard the webhook of their creation and then was away for a while.
    """

    def leave(count=3, hours=1.0):
        connector, _ = shop()
        emulator.webhook_url = connector.webhook_url
        ids = [connector.pay(SETUP, CLIENT, 500).id_transaction for _ in range(count)]
        emulator.wait_for_deliveries()
        connector.close()
        emulator.webhook_url = None
        # From here on the emulator's webhooks, signed by the clock of the machine, would be too old for us.
        clock.advance(hours * HOUR)
        return ids

    return leave


def lists(emulator):
    return [request for request in emulator.requests if request.path == "/v1/events"]


@pytest.mark.parametrize("restored", [True, False])
def test_an_absence_of_an_hour_is_read_up_on(away, shop, emulator, clock, eventually, restored):
    """
    At restore, and without it where webhooks are received. Each callback once, and none again when webhooks repeat.
    """
    ids = away()
    for each in ids:
        emulator.approve(each)
    connector, seen = shop(restored=restored)

    eventually(lambda: len(seen) >= 3 or clock.advance(0.5))

    assert {(event.id_transaction, event.name) for event in seen} == {(each, "transaction.approved") for each in ids}
    assert len(seen) == 3
    assert {event.source for event in seen} == {"events"} and all(event.paid for event in seen)
    events = connector._per_process.get().store.listens.ending("sandbox", ids[0]).events
    for each in ids:
        connector.save_webhook({"name": "transaction.approved", "entity": emulator.transaction(each)})
    connector.check_status(ids[0])
    new = connector.pay(SETUP, CLIENT, 900).id_transaction
    emulator.approve(new)
    connector.save_webhook({"name": "transaction.approved", "entity": emulator.transaction(new)})
    eventually(lambda: [event for event in seen if event.id_transaction == new])
    assert len([event for event in seen if event.id_transaction in ids]) == 3
    assert connector._per_process.get().store.listens.ending("sandbox", ids[0]).events == events


def test_a_reading_that_closing_interrupts_is_made_again_soon(away, shop, emulator, clock, eventually):
    """
    By the next process, after a minute: not with the next one that is due, in an hour.
    """
    (missed,) = away(1)
    emulator.approve(missed)
    first, _ = shop()
    catch_up = first._per_process.get().reconciler._catch_up
    catch_up.check_for_outage()
    catch_up._closed.set()
    first._per_process.get().store.open()
    catch_up.read()
    assert lists(emulator)
    first.close()

    clock.advance(61)
    _, seen = shop(restored=True)
    eventually(lambda: [event for event in seen if event.paid])


def test_two_ends_come_in_as_they_happened(away, shop, emulator, eventually, clock):
    """
    FedaPay lists the newest first; of two refusals the last one counts.
    """
    (id_transaction,) = away(1)
    emulator.decline(id_transaction)
    emulator.approve(id_transaction)
    emulator.transfer(id_transaction)
    connector, seen = shop(restored=True)
    eventually(lambda: len(seen) >= 3)
    stored = connector._per_process.get().store.listens.ending("sandbox", id_transaction).events
    assert [event.name for event in stored] == [
        "transaction.declined",
        "transaction.approved",
        "transaction.transferred",
    ]
    # Callbacks run beside each other, in no order.
    assert len(seen) == 3 and [event.name for event in seen if event.paid] == ["transaction.approved"]


def test_without_an_absence_nothing_is_read(away, shop, emulator, clock, eventually):
    away(1, hours=0.1)
    connector, _ = shop(restored=True)
    absences = connector._per_process.get().reconciler._catch_up
    eventually(lambda: absences._checked and not absences._open)
    assert lists(emulator) == []


def test_a_new_shop_reads_nothing(shop, emulator, eventually):
    """
    On an empty database everything would be new, and none of it is this shop's.
    """
    connector, _ = shop(restored=True)
    absences = connector._per_process.get().reconciler._catch_up
    eventually(lambda: absences._checked and not absences._open)
    assert lists(emulator) == []


def test_webhooks_that_come_first_do_not_hide_the_absence(away, shop, emulator, clock, eventually):
    """
    FedaPay is down when the shop opens; webhooks come in meanwhile; then the events are read all the same.
    """
    missed, later = away(2)
    emulator.approve(missed)
    emulator.fail_next("/v1/events", status=503, times=10_000)
    connector, seen = shop(restored=True)
    eventually(lambda: lists(emulator))
    emulator.approve(later)
    connector.save_webhook({"name": "transaction.approved", "entity": emulator.transaction(later)})
    eventually(lambda: seen)
    assert [event.id_transaction for event in seen] == [later]
    emulator.faults.clear()

    eventually(lambda: len(seen) == 2 or clock.advance(1.0))
    assert seen[1].id_transaction == missed and seen[1].source == "events"


def test_filters_that_fedapay_refuses_are_left_out(away, shop, emulator, eventually):
    """
    They are not documented.
    """
    (id_transaction,) = away(1)
    emulator.approve(id_transaction)
    emulator.fail_next("/v1/events", status=400, body=b'{"message": "filters"}', content_type="application/json")
    _, seen = shop(restored=True)
    eventually(lambda: seen)
    assert [event.id_transaction for event in seen] == [id_transaction]
    assert len(lists(emulator)) == 2


def test_many_events_are_read_page_by_page(away, shop, emulator, eventually, clock):
    """
    Until those that are older than what was known, and an hour more.
    """
    ids = away(60)
    for each in ids:
        emulator.approve(each)
    _, seen = shop(restored=True)
    eventually(lambda: len(seen) == 60, timeout=30)
    assert {event.id_transaction for event in seen} == set(ids)
    assert len(lists(emulator)) == 5


def test_five_missed_webhooks_are_found_in_a_list_that_begins_with_the_oldest(away, shop, emulator, eventually, clock):
    """
    FedaPay's order is not known for certain: the reading goes on from the last page, and no further than it must.
    """
    emulator.settings.events_order = "oldest"
    away(60)
    missed = [made_elsewhere(emulator) for _ in range(5)]
    _, seen = shop(restored=True)

    eventually(lambda: len([event for event in seen if event.paid]) == 5, timeout=30)

    assert {event.id_transaction for event in seen if event.paid} == set(missed)
    assert len(lists(emulator)) <= 4


def test_a_list_in_no_order_is_read_again_every_hour_and_said_once_a_day(
    away, shop, emulator, eventually, clock, caplog
):
    """
    What no page tells is not taken for done.
    """
    away(1)
    stamps = ("2026-01-03T10:00:00Z", "2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z")
    body = {
        "v1/events": [{"id": stamp, "created_at": stamp, "object": "transaction"} for stamp in stamps],
        "meta": {"current_page": 1, "next_page": 2, "per_page": 3, "total_pages": 2, "total_count": 6},
    }
    emulator.fail_next(
        "/v1/events", status=200, body=json.dumps(body).encode(), content_type="application/json", times=1000
    )
    connector, _ = shop(restored=True)
    start = clock.now()

    eventually(lambda: len(lists(emulator)) >= 8 or clock.advance(20), timeout=60)

    assert 3 * HOUR <= clock.now() - start <= 5 * HOUR
    assert connector._per_process.get().reconciler._catch_up._open
    assert caplog.text.count("listed in no order") == 1


def test_what_an_older_copy_of_the_database_has_lost_is_read_again(shop, emulator, clock, eventually, db_url, tmp_path):
    """
    Put in place of the file while the shop runs. What FedaPay still knows comes back; nothing is to be done for it.
    """
    connector, seen = shop()
    emulator.webhook_url = connector.webhook_url
    path = file_of(db_url)

    def pay():
        number = made_elsewhere(emulator)
        eventually(lambda: [event for event in seen if event.id_transaction == number and event.paid])
        return number

    def stored():
        store = connector._per_process.get().store
        query = "SELECT DISTINCT entity_id FROM fp_event WHERE name = 'transaction.approved'"
        return {int(row[0]) for row in store.read(lambda database: database.execute_sql(query).fetchall())}

    kept = pay()
    connector.backup(tmp_path / "older.db")
    lost = {pay() for _ in range(3)}
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    lost.add(pay())
    with open(path, "wb") as file:
        file.write((tmp_path / "older.db").read_bytes())
    os.utime(path, (1, 1))

    new = pay()
    eventually(lambda: stored() >= lost or clock.advance(1.0))

    assert stored() == {kept, new, *lost}


def test_two_processes_that_open_at_once_read_once(away, shop, emulator, eventually, clock):
    ids = away(4)
    for each in ids:
        emulator.approve(each)
    (one, seen), (other, seen_there) = shop(restored=True), shop(restored=True)
    eventually(lambda: len(seen + seen_there) >= 4)
    absences = [each._per_process.get().reconciler._catch_up for each in (one, other)]
    eventually(lambda: clock.advance(0.5) or all(each._checked and not each._open for each in absences))
    assert len(lists(emulator)) == 1
    assert sorted(event.id_transaction for event in seen + seen_there) == sorted(ids)


def test_a_key_that_is_no_longer_valid_does_not_hide_the_others(away, shop, emulator, eventually):
    """
    It is refused and will be; those of the program's other keys are read.
    """
    (id_transaction,) = away(1)
    emulator.approve(id_transaction)
    _, seen = shop(restored=True, api_key="sk_sandbox_refusee", api_keys=[emulator.secret_key])

    eventually(lambda: [event for event in seen if event.paid])
    assert {event.id_transaction for event in seen} == {id_transaction} and len(lists(emulator)) == 2


def made_elsewhere(emulator):
    """A transaction of the same account that another program makes and whose customer pays; no webhook comes of it."""
    created = requests.post(
        f"{emulator.url}/v1/transactions",
        json={"description": "Caisse", "amount": 700, "currency": {"iso": "XOF"}},
        headers={"Authorization": f"Bearer {emulator.secret_key}"},
        timeout=10,
    )
    (transaction,) = created.json().values()
    emulator.approve(transaction["id"])
    return transaction["id"]


def test_a_webhook_lost_while_the_shop_was_there_is_found_within_two_hours(shop, emulator, clock, eventually):
    """
    Of a transaction that this shop never made, and at which nobody looks by himself: told once, from the events.
    """
    connector, seen = shop()
    absences = connector._per_process.get().reconciler._catch_up
    eventually(lambda: clock.advance(0.5) or (absences._checked and not absences._open))
    start = clock.now()
    lost = made_elsewhere(emulator)

    def paid():
        return [event for event in seen if event.paid]

    eventually(lambda: paid() or clock.advance(20), timeout=30)
    assert clock.now() - start < 2 * HOUR
    assert [(event.id_transaction, event.late, event.source) for event in paid()] == [(lost, False, "events")]

    connector.save_webhook({"name": "transaction.approved", "entity": emulator.transaction(lost)})
    readings = len(lists(emulator))
    eventually(lambda: len(lists(emulator)) > readings or clock.advance(20), timeout=30)
    assert len(paid()) == 1


def test_two_processes_that_stay_read_the_events_about_once_an_hour(shop, emulator, clock, eventually):
    """
    Together, not each.
    """
    shop(), shop()
    start = clock.now()

    # In small steps: a reading must not seem to outlast its lease.
    eventually(lambda: len(lists(emulator)) >= 3 or clock.advance(10), timeout=60)

    assert 3 * HOUR <= clock.now() - start <= 5 * HOUR


def test_what_happened_before_the_first_start_is_not_told_by_the_hourly_reading(shop, emulator, clock, eventually):
    """
    Whoever was there before, with another database, has delivered it: to this one it would be new.
    """
    before = made_elsewhere(emulator)
    clock.advance(600)
    connector, seen = shop()
    absences = connector._per_process.get().reconciler._catch_up
    eventually(lambda: clock.advance(0.5) or (absences._checked and not absences._open))

    eventually(lambda: lists(emulator) or clock.advance(20), timeout=30)
    eventually(lambda: not absences._open)
    assert connector._per_process.get().store.listens.ending("sandbox", before).events == [] == seen


def test_an_event_that_the_database_refuses_does_not_hold_up_those_behind_it(away, shop, emulator, clock, eventually):
    """
    The oldest of three: the others are told, and the reading is done.
    """
    ids = away()
    for each in ids:
        emulator.approve(each)
    connector, seen = shop()
    store = connector._per_process.get().store
    refuse = (
        f"CREATE TRIGGER refuse BEFORE INSERT ON fp_event WHEN NEW.entity_id = '{ids[0]}' "
        "BEGIN SELECT RAISE(ABORT, 'refused here'); END"
    )
    store.write(lambda database: database.execute_sql(refuse))

    eventually(lambda: len(seen) >= 2 or clock.advance(0.5))
    assert sorted(event.id_transaction for event in seen) == sorted(ids[1:])
    since = "SELECT since FROM fp_turn WHERE name = 'events:sandbox'"
    eventually(lambda: store.read(lambda database: database.execute_sql(since).fetchone()) == (None,))
