"""``listen_many``: as many calls of ``listen``, in a few commits."""

import threading

import pytest
from support.stored_listens import make_known, open_listens

from fedapay_sync import EventFutureStatus, InvalidArgument, MethodesPaiement, PaiementSetup, Pays, StoreError, UserData
from fedapay_sync.store import NewEvent
from fedapay_sync.workflow.reconciliation.polling_policy import Pace
from fedapay_sync.workflow.waits import listens

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
NEVER = Pace(first=10_000, factor=2, longest=10_000)


@pytest.fixture
def shop(make_connector, clock, emulator):
    connector = make_connector(use_listen_server=True, clock=clock, pace=NEVER)
    connector.start_webhook_server()
    emulator.webhook_url = connector.webhook_url
    return connector


def parts_of(connector):
    return connector._per_process.get()


@pytest.fixture
def silent(emulator):
    """FedaPay says of no transaction whether it knows it."""
    emulator.fail_next("/v1/transactions/", method="GET", status=503, times=1_000_000)


def pay(connector, **changes):
    return connector.pay(SETUP, CLIENT, 500, **changes).id_transaction


def test_each_has_its_handle_and_its_end_in_the_order_given(shop, emulator, clock, eventually):
    """
    Paid, declined and overdue; each callback is called once.
    """
    paid, declined, overdue = pay(shop), pay(shop), pay(shop)
    told = []
    handles = shop.listen_many([declined, str(overdue), paid], timeout=60, callback=told.append)
    emulator.decline(declined)
    emulator.approve(paid)
    eventually(lambda: len(told) == 2)
    clock.advance(61)
    eventually(lambda: len(told) == 3)

    assert [handle.id_transaction for handle in handles] == [declined, str(overdue), paid]
    outcomes = [handle.result(timeout=5) for handle in handles]
    assert [outcome.paid for outcome in outcomes] == [False, False, True]
    assert [outcome.status.name for outcome in outcomes] == ["RESOLVED", "TIMEOUT", "RESOLVED"]
    assert sorted(str(outcome.id_transaction) for outcome in told) == sorted(map(str, (paid, declined, overdue)))


def test_what_has_ended_already_is_told_at_once(shop, emulator, eventually):
    ended, pending = pay(shop), pay(shop)
    emulator.approve(ended)
    assert shop.finalise(ended, timeout=10).paid
    told = []

    handles = shop.listen_many([ended, pending], callback=told.append)

    eventually(lambda: told)
    assert [outcome.id_transaction for outcome in told] == [ended]
    assert [handle.done() for handle in handles] == [True, False]


def test_one_transaction_given_twice_has_two_handles_and_one_row(shop, emulator, eventually):
    number, told = pay(shop), []
    handles = shop.listen_many([number, str(number), number], callback=told.append)
    assert len(open_listens(parts_of(shop).store)) == 1
    emulator.approve(number)
    assert all(handle.result(timeout=5).paid for handle in handles)
    eventually(lambda: len(told) == 3)


def test_no_ids_are_no_waits(shop):
    assert shop.listen_many([]) == []
    assert shop.listen_many(iter(())) == []


@pytest.mark.parametrize("ids", ["123", b"123", 5, None, [1, "../admin"], [1, None], [0]])
def test_what_is_no_list_of_ids_is_refused_before_anything_happens(shop, ids):
    """
    A text is one id, not one for each of its letters.
    """
    with pytest.raises(InvalidArgument):
        shop.listen_many(ids)
    assert open_listens(parts_of(shop).store) == []


def test_each_is_watched_with_the_key_it_was_made_with(make_connector, emulator, clock, eventually):
    """
    One that was paid with another key of the program beside one of its own.
    """
    other = "sk_sandbox_autre_marchand"
    shop = make_connector(pace=NEVER, api_keys=[other], clock=clock)
    mine, theirs = pay(shop), pay(shop)
    store = parts_of(shop).store
    account = next(label for label, key in parts_of(shop).keyring.by_account().items() if key.reveal() == other)
    store.write(
        lambda database: database.execute_sql(
            "UPDATE fp_payment SET account = ? WHERE transaction_id = ?", (account, str(theirs))
        )
    )

    shop.listen_many([mine, theirs])

    accounts = {each.transaction_id: each.account for each in open_listens(store)}
    assert accounts == {str(mine): shop._config.account, str(theirs): account}
    assert parts_of(shop).waits._polled[str(theirs)].key.reveal() == other


def test_first_looks_are_spread_over_time(make_connector, emulator, clock, eventually):
    """
    Five a second: FedaPay is not stormed by a program that begins to wait for all it has.
    """
    shop = make_connector(clock=clock, pace=Pace(first=1.0, factor=1000, longest=1000), poll_rate=5)
    ids = [pay(shop) for _ in range(20)]
    shop.listen_many(ids, timeout=10_000)
    before = len([each for each in emulator.requests if each.method == "GET"])

    def looks():
        return len([each for each in emulator.requests if each.method == "GET"]) - before

    clock.advance(2.1)
    eventually(lambda: looks() >= 5)
    assert looks() <= 8
    eventually(lambda: clock.advance(0.2) or looks() == 20)


def test_a_store_that_fails_in_the_midst_leaves_nothing_half_done(shop, emulator, eventually, silent):
    """
    What was written is watched; nobody was given a callback, and the same list once more is told once.
    """
    number = pay(shop)
    store, told = parts_of(shop).store, []
    ids = [number, *range(1, 1500)]
    refuse = (
        "CREATE TRIGGER refuse BEFORE INSERT ON fp_listen WHEN NEW.transaction_id = '1400' "
        "BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    store.write(lambda database: database.execute_sql(refuse))

    with pytest.raises(StoreError):
        shop.listen_many(ids, timeout=600, callback=told.append)
    assert len(open_listens(store)) == 1000 == len(parts_of(shop).waits._polled)

    store.write(lambda database: database.execute_sql("DROP TRIGGER refuse"))
    handles = shop.listen_many(ids, timeout=600, callback=told.append)
    emulator.approve(number)
    assert handles[0].result(timeout=5).paid
    eventually(lambda: told)
    assert len(open_listens(store)) == 1499
    shop.cancel_listen(1499)
    eventually(lambda: len(told) == 2)
    assert [outcome.id_transaction for outcome in told] == [number, 1499]


def test_a_deadline_that_has_come_before_anybody_could_be_woken_is_told(shop, clock, eventually):
    """
    The shortest wait of all, beside a longer one on the same transaction, in whose row nothing changes.
    """
    number, told = pay(shop), []
    shop.listen(number, timeout=600)
    shop.listen_many([number] * 5, timeout=0, callback=told.append)
    eventually(lambda: len(told) == 5)
    assert {outcome.status for outcome in told} == {EventFutureStatus.TIMEOUT}


def test_closing_tells_them_all(shop, eventually, silent):
    told = []
    shop.listen_many(range(1, 51), callback=told.append)
    shop.close()
    eventually(lambda: len(told) == 50)
    assert {outcome.status for outcome in told} == {EventFutureStatus.CANCELLED_INTERNALLY}


def test_one_handle_may_be_asked_by_several_threads(shop, monkeypatch, silent):
    """
    Whoever finds the end takes the bell away; he who blocks on the same handle hears of it all the same, and at once.
    """
    monkeypatch.setattr(listens, "_SLICE", 600)
    store = parts_of(shop).store
    for number in range(1, 21):
        handle, ends = shop.listen(number, timeout=600), []
        blocked = threading.Thread(target=lambda handle=handle, ends=ends: ends.append(handle.result()))
        blocked.start()
        store.listens.end("sandbox", number, "cancelled")
        assert handle.done()
        blocked.join(5)
        assert ends and ends[0].status == EventFutureStatus.CANCELLED


def test_an_end_by_another_process_reaches_one_among_many_at_once(make_connector, eventually, silent):
    """
    Not with the full look two seconds later: what has ended lately is asked for, not each of those that wait.
    """
    shop, told = make_connector(pace=NEVER), []
    shop.listen_many(range(1, 2001), callback=told.append)
    other = make_connector(pace=NEVER)
    event = NewEvent(
        dedup_key="k", event_key="k", environment="sandbox", account="shop", name="transaction.approved",
        object="transaction", entity_id="1234", status="approved", is_final=True, is_paid=True, source="webhook",
        body=b"{}", body_sha256="", received_at=parts_of(other).store.events._clock.now(),
    )  # fmt: skip
    parts_of(other).store.events.accept(event)
    eventually(lambda: told, timeout=1.5)
    assert [outcome.id_transaction for outcome in told] == [1234]


def test_hundreds_of_equal_deadlines_are_decided_by_the_list_within_the_budget(make_connector, emulator, eventually):
    """
    One by one they would take 24 seconds; those that were paid are told as paid.
    """
    shop, told = make_connector(pace=NEVER, poll_rate=5), []
    ids = [
        shop.api.transactions.create({"amount": 500, "currency": {"iso": "XOF"}, "description": "x"}).id
        for _ in range(120)
    ]
    make_known(parts_of(shop).store, ids)
    for each in ids[::10]:
        emulator.approve(each)
    before = len(emulator.requests)
    shop.listen_many(ids, timeout=0.5, callback=told.append)

    eventually(lambda: len(told) == len(ids), timeout=25)

    assert {outcome.id_transaction for outcome in told if outcome.paid} == set(ids[::10])
    assert all(outcome.status == EventFutureStatus.TIMEOUT for outcome in told if not outcome.paid)
    asked = [each.path for each in emulator.requests[before:]]
    assert "/v1/transactions" in asked and len(asked) <= 40
