"""A payment is followed from its intent to its end, whoever waits for it, or nobody."""

import sqlite3
import threading
from pathlib import Path

import pytest

from fedapay_sync import EventFutureStatus, MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.errors import AuthenticationError
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
NEVER = Pace(first=10_000, factor=2, longest=10_000)
HOUR = 3600.0


@pytest.fixture
def shop(make_connector, clock):
    """A connector without webhooks, its clock obedient, and what its webhook callback was given."""

    def make(**changes):
        connector = make_connector(**{"clock": clock, **changes})
        # As if somebody waited: the waker then looks at the clock that obeys every 50 ms.
        parts_of(connector).notifier.subscribe("nobody", threading.Event())
        seen = []
        connector.on_webhook(seen.append)
        return connector, seen

    return make


@pytest.fixture
def passes(clock, eventually):
    """Lets time pass, in steps, until a condition holds."""

    def wait(condition, step=5.0):
        return eventually(lambda: condition() or clock.advance(step), timeout=20)

    return wait


def parts_of(connector):
    return connector._per_process.get()


def pay(connector, **changes):
    return connector.pay(SETUP, CLIENT, 500, **changes).id_transaction


def payment(db_url, reference=None):
    """State, next look, and how many looks there were."""
    database = sqlite3.connect(db_url[len("sqlite:///") :])
    try:
        query = "SELECT state, run_after, looks FROM fp_payment WHERE merchant_reference = ? OR ? IS NULL"
        return database.execute(query, (reference, reference)).fetchone()
    finally:
        database.close()


def is_over(db_url, reference=None):
    return payment(db_url, reference)[1] is None


def looks(emulator):
    return [request for request in emulator.requests if request.method == "GET"]


def test_pay_alone_is_enough(shop, emulator, passes, db_url):
    """
    No wait, no webhook: whoever paid is found, told once, and then left alone.
    """
    connector, seen = shop()
    id_transaction = pay(connector)
    emulator.approve(id_transaction)

    passes(lambda: seen)
    assert [(event.name, event.paid, event.late, event.source) for event in seen] == [
        ("transaction.approved", True, False, "status")
    ]
    passes(lambda: is_over(db_url))
    assert len(looks(emulator)) == 1
    assert connector.finalise(id_transaction, timeout=1).paid


def test_looks_begin_soon_and_grow_rare(shop, emulator, passes, db_url):
    """
    Some sixty in two days, then one last one; FedaPay's own end of it, after a day, spares the second day.
    """
    connector, _ = shop()
    pay(connector)
    passes(lambda: len(looks(emulator)) == 1, step=1.0)
    assert payment(db_url)[2] == 1
    passes(lambda: len(looks(emulator)) >= 15, step=60.0)

    passes(lambda: is_over(db_url), step=200.0)
    # FedaPay's clock is not ours here: the transaction stays pending, as it is said to happen.
    # On a busy machine a lease may end, by this clock, while a poll is under way: it is then made twice.
    assert 40 <= len(looks(emulator)) <= 120
    assert connector.check_status(emulator.transactions[0]["id"]).status == "pending"


def test_beside_webhooks_the_first_look_comes_after_a_minute(shop, emulator, clock, passes):
    """
    A webhook needs none; a lost one is late, not lost.
    """
    connector, seen = shop(use_listen_server=True)
    connector.start_webhook_server()
    id_transaction = pay(connector)
    emulator.approve(id_transaction)
    start = clock.now()

    passes(lambda: seen, step=1.0)

    assert 50 <= clock.now() - start <= 130 and len(looks(emulator)) == 1
    assert seen[0].paid


def test_what_a_webhook_has_told_is_not_asked(shop, emulator, passes, db_url):
    connector, seen = shop(use_listen_server=True)
    connector.start_webhook_server()
    emulator.webhook_url = connector.webhook_url
    emulator.approve(pay(connector))

    passes(lambda: is_over(db_url))
    assert looks(emulator) == [] and [event.paid for event in seen if event.name == "transaction.approved"] == [True]


def test_declined_then_approved_hours_later_is_told(shop, emulator, passes, clock, db_url, eventually):
    """
    FedaPay lets the payer try again: a refusal is told, and not the end.
    """
    connector, seen = shop()
    id_transaction = pay(connector)
    emulator.decline(id_transaction)
    passes(lambda: seen)
    passes(lambda: len(looks(emulator)) >= 10, step=100.0)
    # Rarer than what was never refused, but not more than an hour away.
    eventually(lambda: payment(db_url)[1] - clock.now() > 600)
    assert payment(db_url)[1] - clock.now() <= 1.1 * HOUR
    many = len(looks(emulator))
    clock.advance(60)
    parts_of(connector).reconciler._round()
    assert len(looks(emulator)) == many
    emulator.approve(id_transaction)

    passes(lambda: len(seen) == 2, step=100.0)

    assert [(event.name, event.paid) for event in seen] == [
        ("transaction.declined", False),
        ("transaction.approved", True),
    ]
    passes(lambda: is_over(db_url))


def test_a_payment_after_a_timeout_is_told_as_late_though_its_watch_is_gone(shop, emulator, passes):
    """
    The wait ended; nothing of it is left in memory, and the payment is followed up like any other.
    """
    connector, seen = shop()
    id_transaction = pay(connector)
    assert connector.finalise(id_transaction, timeout=0.1).status == EventFutureStatus.TIMEOUT
    passes(lambda: not parts_of(connector).waits._polled)

    emulator.approve(id_transaction)

    passes(lambda: seen)
    assert seen[0].paid and seen[0].late


def test_a_wait_on_a_transaction_made_elsewhere_is_followed_up_after_a_restart(
    make_connector, shop, emulator, tmp_path, passes
):
    """
    Its timeout was told by a process that is gone; the payment came later, and no webhook with it.
    """
    elsewhere = make_connector(db_url=f"sqlite:///{tmp_path}/elsewhere.db")
    id_transaction = pay(elsewhere)
    gone = make_connector()
    assert gone.finalise(id_transaction, timeout=0.1).status == EventFutureStatus.TIMEOUT
    gone.close()
    emulator.approve(id_transaction)

    connector, seen = shop()
    parts_of(connector).store.open()
    parts_of(connector).reconciler.start()

    passes(lambda: seen)
    assert seen[0].late and seen[0].paid


def test_while_somebody_waits_nobody_else_looks(shop, emulator, passes, clock, eventually):
    """
    The wait's own looks and its deadline are what was promised, no more and no less.
    """
    connector, _ = shop(pace=NEVER)
    id_transaction = pay(connector)
    connector.listen(id_transaction, timeout=200_000)
    reconciler = parts_of(connector).reconciler
    for _ in range(5):
        clock.advance(12_000)
        reconciler._schedule(0.0)
        # The leases of waits are renewed by a timer of their own; only then does the next hour pass.
        eventually(
            lambda: parts_of(connector).store.polls.next_due("sandbox", connector._config.accounts) > clock.now()
        )
    assert all(request.path != "/v1/transactions" for request in looks(emulator))
    assert len(looks(emulator)) <= 10
    assert parts_of(connector).store.listens.get("sandbox", id_transaction).state == "pending"


def test_nothing_runs_before_the_first_use_and_no_database_is_made(make_connector, db_url):
    """
    Neither by a constructor nor by a program that only asks FedaPay.
    """
    connector = make_connector()
    connector.api.currencies.list()
    reconciler = parts_of(connector).reconciler
    assert not reconciler._started
    connector.start()
    assert reconciler._started
    reconciler._round()
    assert not parts_of(connector).store.is_open and not Path(db_url[len("sqlite:///") :]).exists()


def test_two_shops_on_one_database_share_the_looks(shop, emulator, passes, clock, db_url):
    """
    FedaPay is asked once for each look, by one of them, and each end is told once.
    """
    first, seen = shop()
    second, seen_there = shop()
    ids = [pay(first, merchant_reference=f"CMD-{number}") for number in range(12)]
    parts_of(second).store.open()
    parts_of(second).reconciler.start()
    for each in ids:
        emulator.approve(each)

    passes(lambda: len(seen + seen_there) == 12, step=0.5)

    assert sorted(event.id_transaction for event in seen + seen_there) == sorted(ids)
    assert sorted(request.path for request in looks(emulator)) == sorted(f"/v1/transactions/{each}" for each in ids)


def test_many_due_at_once_do_not_storm_fedapay(shop, emulator, clock, eventually):
    """
    Five a second at most, whatever has gathered, but for the first few.
    """
    connector, _ = shop(poll_rate=5)
    for number in range(30):
        pay(connector, merchant_reference=f"CMD-{number}")
    clock.advance(8)
    eventually(lambda: looks(emulator))
    begun = clock.monotonic()
    eventually(lambda: len(looks(emulator)) >= 6)
    assert len(looks(emulator)) - 1 <= (clock.monotonic() - begun) / 0.2 + 4


def test_fedapay_down_ends_nothing(shop, emulator, passes, clock, db_url):
    """
    Not even the last look after two days: it is made when FedaPay is back.
    """
    connector, seen = shop()
    id_transaction = pay(connector)
    emulator.fail_next("/v1/transactions/", status=503, times=100_000)
    clock.advance(50 * HOUR)
    passes(lambda: len(looks(emulator)) >= 5)
    emulator.approve(id_transaction, force=True)
    assert not is_over(db_url) and seen == []
    emulator.faults.clear()

    passes(lambda: [event for event in seen if event.paid], step=60.0)
    passes(lambda: is_over(db_url))


# -- intents without a transaction ---------------------------------------------------------------------------------


def test_an_intent_whose_answer_was_lost_is_found_and_followed(make_connector, shop, emulator, passes, db_url):
    """
    The transaction is known again without anybody calling pay; the customer is not asked; pay then asks once.
    """
    connector, seen = shop()
    hasty = make_connector(pace=NEVER)
    reference = "CMD-1"
    store, account = parts_of(hasty).store, hasty._config.account
    store.payments.add_intent("sandbox", account, reference, amount=500, currency="XOF")
    hasty.api.transactions.create(
        {"amount": 500, "currency": {"iso": "XOF"}, "description": "x", "merchant_reference": reference}
    )
    (made,) = emulator.transactions
    parts_of(connector).store.open()
    parts_of(connector).reconciler.start()

    passes(lambda: payment(db_url, reference)[0] == "created")

    assert [each for each in emulator.requests if each.path == "/v1/momo_test"] == []
    assert pay(connector, merchant_reference=reference) == made["id"]
    assert len([each for each in emulator.requests if each.path == "/v1/momo_test"]) == 1
    assert len(emulator.transactions) == 1
    emulator.approve(made["id"])
    passes(lambda: [event for event in seen if event.paid])


def test_an_intent_that_was_paid_meanwhile_is_told_at_once(shop, emulator, passes, db_url):
    connector, seen = shop()
    parts_of(connector).store.payments.add_intent(
        "sandbox", connector._config.account, "CMD-1", amount=500, currency="XOF"
    )
    connector.start()
    connector.api.transactions.create(
        {"amount": 500, "currency": {"iso": "XOF"}, "description": "x", "merchant_reference": "CMD-1"}
    )
    emulator.approve(emulator.transactions[0]["id"])

    passes(lambda: seen)
    assert seen[0].paid and len(looks(emulator)) == 1
    passes(lambda: is_over(db_url))


def test_an_intent_that_fedapay_never_saw_fails_after_two_looks_a_minute_apart(shop, emulator, passes, clock, db_url):
    """
    And the same reference may be used again.
    """
    connector, seen = shop()
    store, account = parts_of(connector).store, connector._config.account
    parts_of(connector).store.open()
    store.payments.add_intent("sandbox", account, "CMD-1", amount=500, currency="XOF")
    parts_of(connector).reconciler.start()
    passes(lambda: looks(emulator), step=1.0)
    first = clock.now()

    passes(lambda: payment(db_url)[0] == "failed", step=1.0)

    assert len(looks(emulator)) == 2 and clock.now() - first >= 55 and is_over(db_url)
    id_transaction = pay(connector, merchant_reference="CMD-1")
    emulator.approve(id_transaction)
    passes(lambda: [event for event in seen if event.paid])
    assert len(emulator.transactions) == 1


def test_a_key_given_for_one_payment_is_known_while_the_process_lives(make_connector, shop, emulator, passes, db_url):
    """
    The connector's own key would be refused: a payment of another account is looked at with that account's key.
    """
    with pytest.raises(AuthenticationError):
        make_connector(api_key="sk_sandbox_autre").check_status(1)
    connector, seen = shop(api_key="sk_sandbox_autre")
    id_transaction = pay(connector, api_key=emulator.secret_key)
    emulator.approve(id_transaction)

    passes(lambda: seen)
    assert seen[0].paid and seen[0].id_transaction == id_transaction


def test_what_follow_up_cannot_be_told_is_tried_until_the_end_of_the_second_day(shop, emulator, passes, db_url):
    """
    A transaction that FedaPay does not know any more ends with the last look.
    """
    connector, seen = shop()
    pay(connector)
    emulator.fail_next("/v1/transactions/", status=404, body=b"{}", content_type="application/json", times=100_000)
    passes(lambda: len(looks(emulator)) >= 3)
    assert not is_over(db_url)
    passes(lambda: is_over(db_url), step=300.0)
    assert seen == [] and payment(db_url)[0] == "sent"
