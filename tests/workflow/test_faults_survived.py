"""Each fault that the emulator knows, and a shop that lives through it with the connector's promises kept."""

import threading
from collections import Counter

import pytest
from support.transport_calls import repeat_at_once

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.emulator.faults.registry import CATALOGUE
from fedapay_sync.errors import FedapayError
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
NEVER = Pace(first=10_000, factor=2, longest=10_000)
QUICK = Pace(first=0.05, factor=1.2, longest=0.2)


class Shop:
    """Delivers what was paid, as its callback is told; nothing else makes it deliver."""

    def __init__(self, connector):
        self.connector = connector
        self.delivered = Counter()
        self.names = []
        connector.on_webhook(self._told)

    def _told(self, event):
        self.names.append((event.id_transaction, event.name))
        if event.paid:
            self.delivered[event.id_transaction] += 1

    def pay(self, **changes):
        return self.connector.pay(SETUP, CLIENT, 500, **changes).id_transaction

    def insist(self, reference):
        """As a customer does who sees an error: once more, for the same order."""
        try:
            return self.pay(merchant_reference=reference)
        except FedapayError:
            return self.pay(merchant_reference=reference)


@pytest.fixture
def shop(make_connector, emulator):
    """With its webhook server running; what only webhooks tell it is told by them, unless the pace says otherwise."""

    def open_shop(pace=NEVER):
        connector = repeat_at_once(make_connector(use_listen_server=True, pace=pace))
        connector.start_webhook_server()
        emulator.webhook_url = connector.webhook_url
        return Shop(connector)

    return open_shop


def keeps_its_promises(shop, emulator, eventually, *ids):
    """Each was paid, is known to be, and was delivered once; nothing is left over, and nothing is told twice."""
    for each in ids:
        outcome = shop.connector.finalise(each, timeout=20)
        assert outcome.paid, outcome
    eventually(lambda: set(shop.delivered) >= set(ids))
    emulator.wait_for_deliveries(20)
    again = [shop.connector.finalise(each, timeout=5).paid for each in ids]

    assert again == [True] * len(ids)
    assert shop.delivered == Counter(ids)
    assert len(set(shop.names)) == len(shop.names)
    assert sorted(each["id"] for each in emulator.transactions) == sorted(ids)


WEBHOOKS = {
    "webhook.duplicate": lambda faults: faults.webhook.duplicate(copies=5, times=3),
    "webhook.reorder": lambda faults: faults.webhook.reorder(count=2, within=30, times=5),
    "webhook.delay": lambda faults: faults.webhook.delay(seconds=0.5, times=2),
    "webhook.drop": lambda faults: faults.webhook.drop(probability=1),
    "webhook.wrong_signature": lambda faults: faults.webhook.wrong_signature(times=4),
    "webhook.old_stamp": lambda faults: faults.webhook.old_stamp(times=4),
}
CALLS = {
    "api.slow": lambda faults: faults.api.slow(seconds=0.3, times=6),
    "api.error_500": lambda faults: faults.api.error_500(applied=True, method="POST", path="/v1/transactions"),
    "api.bad_gateway": lambda faults: faults.api.bad_gateway(method="POST", path="/v1/transactions"),
    "api.too_many": lambda faults: faults.api.too_many(retry_after=1, path="/v1/transactions"),
    "api.cut": lambda faults: faults.api.cut("after", method="POST", path="/v1/transactions"),
}


def test_no_fault_is_forgotten_here():
    """
    A new fault needs its test.
    """
    assert {*WEBHOOKS, *CALLS} == set(CATALOGUE)


@pytest.mark.parametrize("name", WEBHOOKS)
def test_a_fault_of_webhooks_costs_no_order_and_delivers_none_twice(name, shop, emulator, eventually):
    """
    Two payments at once, so that their webhooks can change places; what is lost is found by looking.
    """
    open_shop = shop(QUICK if name == "webhook.drop" else NEVER)
    fault = WEBHOOKS[name](emulator.faults)
    ids = [open_shop.pay(), open_shop.pay()]
    for each in ids:
        emulator.approve(each)

    keeps_its_promises(open_shop, emulator, eventually, *ids)
    assert fault.struck


@pytest.mark.parametrize("name", CALLS)
def test_a_fault_of_the_api_while_paying_charges_nobody_twice(name, shop, emulator, eventually):
    """
    Whether pay returns or raises at first: one transaction, and one delivery once it is paid.
    """
    open_shop = shop()
    fault = CALLS[name](emulator.faults)
    paid = open_shop.insist("commande-7")
    again = open_shop.pay(merchant_reference="commande-7")
    emulator.approve(paid)

    assert again == paid
    keeps_its_promises(open_shop, emulator, eventually, paid)
    assert fault.struck


@pytest.mark.parametrize("when", ["before", "during", "after"])
@pytest.mark.parametrize("path", ["/v1/transactions", "/v1/momo_test"])
def test_a_cut_anywhere_while_paying_charges_nobody_twice(when, path, shop, emulator, eventually):
    """
    At the creation and at the push; what is doubtful is looked up before it is sent again.
    """
    open_shop = shop()
    emulator.faults.api.cut(when, method="POST", path=path)
    paid = open_shop.insist("commande-8")
    emulator.approve(paid)

    keeps_its_promises(open_shop, emulator, eventually, paid)
    assert emulator.faults.active == []


@pytest.mark.parametrize("name", CALLS)
def test_a_fault_of_the_api_while_looking_is_outlived(name, shop, emulator, eventually):
    """
    No webhook comes, and the first looks fail: the payment is found all the same.
    """
    open_shop = shop(QUICK)
    emulator.faults.webhook.drop(probability=1)
    paid = open_shop.pay()
    options = {"path": "/v1/transactions", "method": "GET", "times": 3}
    ask = getattr(emulator.faults.api, name.partition(".")[2])
    fault = ask(**options, **({"seconds": 0.3} if name == "api.slow" else {}))
    emulator.approve(paid)

    keeps_its_promises(open_shop, emulator, eventually, paid)
    assert fault.struck


def test_webhooks_out_of_order_leave_the_right_end(shop, emulator, eventually):
    """
    Refused, then paid, told the other way round: it is paid, and delivered once.
    """
    open_shop = shop()
    paid = open_shop.pay()
    emulator.wait_for_deliveries()
    emulator.faults.webhook.reorder(count=2, within=30)
    emulator.decline(paid)
    emulator.approve(paid)

    keeps_its_promises(open_shop, emulator, eventually, paid)


def test_a_storm_of_faults_is_lived_through(shop, emulator, eventually):
    """
    All at once, by chance with a seed, on many payments from several threads.
    """
    open_shop = shop(QUICK)
    faults = emulator.faults
    faults.webhook.duplicate(probability=0.4, seed=1)
    faults.webhook.drop(probability=0.3, seed=2)
    faults.webhook.delay(seconds=0.2, probability=0.3, seed=3)
    faults.webhook.wrong_signature(probability=0.3, seed=4)
    faults.webhook.old_stamp(probability=0.2, seed=5)
    faults.api.slow(seconds=0.05, probability=0.3, seed=6)
    faults.api.too_many(retry_after=0, probability=0.1, seed=7, path="/v1/transactions", method="GET")
    ids = []

    def customer():
        for _ in range(3):
            ids.append(open_shop.pay())
            emulator.approve(ids[-1])

    threads = [threading.Thread(target=customer) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(ids) == 12
    keeps_its_promises(open_shop, emulator, eventually, *ids)
    assert all(each.struck for each in faults.active if each.name.startswith("webhook."))


def test_a_jump_of_three_days_pays_the_merchant_and_nobody_twice(shop, emulator, eventually):
    """
    transferred is no second payment.
    """
    open_shop = shop()
    paid = open_shop.pay()
    emulator.approve(paid)
    emulator.wait_for_deliveries()
    emulator.clock.advance(hours=72)
    emulator.wait_for_deliveries()

    eventually(lambda: (paid, "transaction.transferred") in open_shop.names)
    keeps_its_promises(open_shop, emulator, eventually, paid)
