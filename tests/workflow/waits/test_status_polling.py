"""Watches: one look at a time, none too few, and nothing kept of a wait that is over."""

import threading

import pytest

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
QUICK = Pace(first=0.02, factor=2, longest=0.05)


@pytest.fixture
def shop(make_connector):
    return make_connector(pace=QUICK)


def pay(connector):
    return connector.pay(SETUP, CLIENT, 500).id_transaction


def test_whoever_joins_during_a_look_begins_no_second_one(shop, monkeypatch, eventually):
    """
    FedaPay is slow, and the shop asks again and again: each time would be one more that looks for ever.
    """
    number, go_on, running, most = pay(shop), threading.Event(), [], []

    def slow(transaction_id, key):
        running.append(transaction_id)
        most.append(len(running))
        go_on.wait(10)
        running.remove(transaction_id)
        return False

    monkeypatch.setattr(shop._per_process.get().statuses, "check", slow)
    timers = []
    notifier = shop._per_process.get().notifier
    shop.listen(number)
    eventually(lambda: running)
    monkeypatch.setattr(
        notifier, "call_later", lambda *asked, later=notifier.call_later: timers.append(asked) or later(*asked)
    )
    for _ in range(3):
        shop.listen(number)
    looks = [asked for asked in timers if getattr(asked[1], "func", None) == shop._per_process.get().polling._poll]
    go_on.set()

    assert looks == []
    eventually(lambda: len(most) > 5)
    assert set(most) == {1}


def test_a_look_that_fails_in_an_unforeseen_way_is_not_the_last(shop, emulator, monkeypatch, eventually):
    number, tries = pay(shop), []
    statuses = shop._per_process.get().statuses

    def fail(transaction_id, key):
        tries.append(transaction_id)
        raise ValueError("odd")

    with monkeypatch.context() as patch:
        patch.setattr(statuses, "check", fail)
        handle = shop.listen(number)
        eventually(lambda: tries)
        emulator.approve(number)
    assert handle.result(timeout=10).paid


def test_waits_whose_result_nobody_asks_for_are_not_kept(shop, emulator, eventually):
    """
    They began, their payments ended, and the callback of webhooks did the rest.
    """
    numbers = [pay(shop) for _ in range(3)]
    handles = shop.listen_many(numbers)
    for number in numbers:
        emulator.approve(number)
    eventually(lambda: not shop._per_process.get().waits._polled)
    assert all(handle.done() for handle in handles)
