"""The fixtures of the pytest plugin, used as a shop's own tests use them."""

import json
import os
import threading

import pytest
import requests

import fedapay_sync.flask
from fedapay_sync import Connector, FedapayConnector, MethodesPaiement, PaiementSetup, Pays, UserData, signature
from fedapay_sync.errors import InvalidArgument, SignatureError
from fedapay_sync.testing.fixtures import wait_until_idle

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


@pytest.fixture
def told(fedapay_connector):
    """What the shop's callback was told: names, each with whether it is paid."""
    seen = []
    fedapay_connector.on_webhook(lambda event: seen.append((event.name, event.paid)))
    return seen


def test_when_the_payer_has_agreed_the_callback_has_been_called(fedapay_connector, payer, told):
    """
    No test needs to wait: webhook delivered, event stored, callback called.
    """
    payment = fedapay_connector.pay(SETUP, CLIENT, 1000)

    assert payer.agrees() == payment.id_transaction

    assert ("transaction.approved", True) in told
    assert fedapay_connector.finalise(payment.id_transaction, timeout=0).paid


@pytest.mark.parametrize(
    ("gesture", "status"),
    [
        ("agrees", "approved"),
        ("refuses", "declined"),
        ("wrong_pin", "declined"),
        ("no_money", "canceled"),
        ("ignores", "pending"),
    ],
)
@pytest.mark.parametrize("on_a_phone", [True, False])
def test_each_gesture_of_the_payer_has_its_end(fedapay_emulator, fedapay_connector, payer, gesture, status, on_a_phone):
    """
    On a phone that was asked, and behind a link that asks no phone.
    """
    if on_a_phone:
        id = fedapay_connector.pay(SETUP, CLIENT, 1000).id_transaction
    else:
        id = fedapay_connector.api.transactions.create(description="Essai", amount=1000, currency="XOF").id

    getattr(payer, gesture)(id)

    assert fedapay_emulator.transaction(id)["status"] == status


def test_the_settings_decide_what_a_gesture_behind_a_link_becomes(fedapay_emulator, fedapay_connector, payer):
    """
    As on the phone: what is guessed can be switched.
    """
    fedapay_emulator.settings.no_money = "declined"
    fedapay_emulator.settings.refusal = "pending"
    first, second = (
        fedapay_connector.api.transactions.create(description="Essai", amount=1000, currency="XOF").id for _ in "ab"
    )

    payer.no_money(first)
    payer.refuses(second)

    assert [each["status"] for each in fedapay_emulator.transactions] == ["declined", "pending"]


def test_a_payer_who_was_told_before_answers_the_next_prompt(fedapay_connector, payer):
    """
    For a program that pays and waits in one call.
    """
    assert payer.refuses() is None
    payer.agrees()

    outcomes = [
        fedapay_connector.finalise(fedapay_connector.pay(SETUP, CLIENT, 1000).id_transaction, timeout=10) for _ in "ab"
    ]

    assert [each.paid for each in outcomes] == [False, True]


def test_a_payer_who_has_ignored_one_payment_answers_the_next(fedapay_emulator, fedapay_connector, payer):
    """
    What was ignored is pending for ever, and not meant again unless it is named.
    """
    first = fedapay_connector.pay(SETUP, CLIENT, 1000).id_transaction
    payer.ignores()
    second = fedapay_connector.pay(SETUP, CLIENT, 1000).id_transaction

    assert payer.agrees() == second
    assert fedapay_emulator.transaction(first)["status"] == "pending"
    assert payer.agrees(first) == first
    assert fedapay_emulator.transaction(first)["status"] == "approved"


def test_a_payment_that_the_emulator_has_not_is_refused(payer):
    """
    A number that a test invented is a mistake of the test.
    """
    with pytest.raises(InvalidArgument, match="pas de transaction 42"):
        payer.agrees(42)


def test_a_callback_that_never_ends_does_not_hold_a_test_for_ever(fedapay_emulator, fedapay_connector):
    """
    What waits for it waits so long, and no longer.
    """
    go_on = threading.Event()
    fedapay_connector.on_webhook(lambda event: go_on.wait(30))
    fedapay_connector.pay(SETUP, CLIENT, 1000)

    wait_until_idle(fedapay_emulator, patience=0.1)

    assert fedapay_connector.owes_callbacks()
    go_on.set()


def test_the_clock_of_fedapay_jumps_and_the_shop_has_heard(fedapay_connector, payer, told, fedapay_clock):
    """
    After three days the money is transferred, its webhook delivered, the callback called.
    """
    fedapay_connector.pay(SETUP, CLIENT, 1000)
    payer.agrees()

    fedapay_clock.advance(hours=72)

    assert told[-1] == ("transaction.transferred", False)


def test_a_signed_webhook_is_what_the_shop_would_get(fedapay_emulator, fedapay_connector, payer, webhook):
    """
    Of a transaction that was paid: the same body, byte for byte, under a signature that holds.
    """
    payment = fedapay_connector.pay(SETUP, CLIENT, 1000)
    payer.agrees()

    made = webhook("transaction.approved", payment.id_transaction)

    delivered = next(each for each in fedapay_emulator.deliveries if each.event == "transaction.approved")
    assert made.body == delivered.body
    assert signature.verify(made.body, made.headers[signature.HEADER], fedapay_emulator.webhook_secret) == 0


def test_a_signed_webhook_may_say_what_has_not_happened(fedapay_emulator, webhook, fedapay_connector):
    """
    For a route's own test no payment is needed; a field may have any value; the emulator is as before.
    """
    id = fedapay_connector.pay(SETUP, CLIENT, 1000).id_transaction

    entity = json.loads(webhook("transaction.declined", id, amount=7).body)["entity"]

    assert (entity["id"], entity["status"], entity["amount"]) == (id, "declined", 7)
    assert entity["declined_at"]
    assert fedapay_emulator.transaction(id)["status"] == "pending"


def test_a_webhook_of_nothing_in_particular_is_taken_by_our_own_connector(fedapay_connector, told, webhook, eventually):
    """
    An invented transaction, every known event.
    """
    for event in ("transaction.approved", "customer.created", "payout.sent"):
        made = webhook(event)
        fedapay_connector.receive(made.body, made.headers[signature.HEADER])

    eventually(lambda: len(told) == 3)


def test_wrong_and_old_signatures_are_refused(fedapay_connector, webhook):
    """
    What a shop's test needs to see its route say 400.
    """
    for made in (webhook(secret="wh_sandbox_autre"), webhook(age=3600)):
        with pytest.raises(SignatureError):
            fedapay_connector.receive(made.body, made.headers[signature.HEADER])


def test_an_event_that_nobody_knows_is_refused(fedapay_connector, webhook):
    """
    The sentence says which there are.
    """
    with pytest.raises(InvalidArgument, match=r"transaction\.approved"):
        webhook("transaction.paid")
    with pytest.raises(InvalidArgument, match="ne pas donner id"):
        webhook("customer.created", fedapay_connector.pay(SETUP, CLIENT, 1000).id_transaction)


def test_a_connector_without_arguments_talks_to_the_emulator(fedapay_emulator):
    """
    The variables lead there, so a shop that reads them needs no change.
    """
    payment = Connector().pay(SETUP, CLIENT, 1000)

    assert fedapay_emulator.transaction(payment.id_transaction)["amount"] == 1000


@pytest.mark.parametrize("turn", ["first", "second"])
def test_the_shared_connector_of_one_test_is_not_that_of_the_next(fedapay_emulator, turn):
    """
    Each turn finds none, and leaves one for the fixture to close.
    """
    assert FedapayConnector._shared is None
    FedapayConnector(listen_server_port=0).pay(SETUP, CLIENT, 1000)


def test_no_proxy_of_the_machine_stands_before_the_emulator(fedapay_emulator, monkeypatch):
    """
    A shop's own requests reach it.
    """
    monkeypatch.setenv("HTTP_PROXY", "http://10.255.255.1:3128")
    monkeypatch.setenv("http_proxy", "http://10.255.255.1:3128")

    answer = requests.get(
        f"{os.environ['FEDAPAY_API_URL']}/v1/balances",
        headers={"Authorization": f"Bearer {fedapay_emulator.secret_key}"},
        timeout=10,
    )

    assert answer.status_code == 200


def test_a_shop_with_a_route_of_its_own_gets_real_webhooks_through_it(fedapay_connector, webhook):
    """
    Flask's test client posts what the fixture made.
    """
    from flask import Flask

    app = Flask("shop")
    app.register_blueprint(fedapay_sync.flask.blueprint(fedapay_connector, "/hook"))
    made = webhook()

    assert app.test_client().post("/hook", data=made.body, headers=made.headers).status_code == 200
