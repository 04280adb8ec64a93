"""A cell run twice: what was asked a moment ago is not asked again without a word."""

import dataclasses
import os
import warnings

import pytest

from fedapay_sync import (
    Connector,
    DuplicatePayment,
    InvalidArgument,
    MethodesPaiement,
    PaiementSetup,
    Pays,
    TypesPaiement,
    UserData,
)
from fedapay_sync.common import hosting
from fedapay_sync.emulator import Emulator
from fedapay_sync.errors import FedapayError

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
PAGE = PaiementSetup(pays=Pays.benin, type_paiement=TypesPaiement.AVEC_REDIRECTION)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


@pytest.fixture
def typed(monkeypatch):
    """A person types this program line by line."""
    monkeypatch.setattr(hosting.sys, "ps1", ">>> ", raising=False)


@pytest.fixture
def shop(make_connector, clock):
    return make_connector(clock=clock)


def creations(emulator):
    return len(emulator.transactions)


def test_a_cell_run_twice_asks_once(typed, shop, emulator):
    """
    The second time nothing is sent, and the error names the first payment and both ways on.
    """
    first = shop.pay(SETUP, CLIENT, 500, description="Billet")
    sent = len([each for each in emulator.requests if each.method == "POST"])

    with pytest.raises(DuplicatePayment) as caught:
        shop.pay(SETUP, CLIENT, 500, description="Billet")

    assert len([each for each in emulator.requests if each.method == "POST"]) == sent
    assert caught.value.id_transaction == first.id_transaction
    assert shop.pay(SETUP, CLIENT, 500, merchant_reference=caught.value.merchant_reference).id_transaction == (
        first.id_transaction
    )
    for word in (f"finalise({first.id_transaction})", "again=True", "merchant_reference", "encore ouverte"):
        assert word in str(caught.value)


def test_again_asks_again(typed, shop, emulator):
    """
    The way out; and a third time is noticed as well.
    """
    first = shop.pay(SETUP, CLIENT, 500)
    second = shop.pay(SETUP, CLIENT, 500, again=True)
    with pytest.raises(DuplicatePayment) as caught:
        shop.pay(SETUP, CLIENT, 500)

    assert first.id_transaction != second.id_transaction == caught.value.id_transaction
    assert creations(emulator) == 2


def test_another_kernel_on_the_same_database_knows_of_it(typed, shop, make_connector, clock):
    """
    It is read from the database: the kernel was restarted in between.
    """
    shop.pay(SETUP, CLIENT, 500)
    shop.close()

    with pytest.raises(DuplicatePayment):
        make_connector(clock=clock).pay(SETUP, CLIENT, 500)


@pytest.mark.parametrize(
    "changes",
    [
        {"montant_paiement": 501},
        {"client_infos": dataclasses.replace(CLIENT, tel="0166000001")},
        {"client_infos": dataclasses.replace(CLIENT, email="jane@example.com")},
        {"payment_contact": "0166000001"},
        {"description": "Un autre billet"},
        {"custom_metadata": {"commande": 18}},
        {"callback_url": "https://example.com/commandes/18"},
        {"setup": PAGE},
        {"setup": PaiementSetup(pays=Pays.togo, method=MethodesPaiement.momo_test)},
        {"merchant_reference": "CMD-18"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_payment_is_another(typed, shop, emulator, changes):
    """
    Customer, number, amount, method, country, text and the shop's own data: if one differs it is no repetition.
    """
    asked = {"setup": SETUP, "client_infos": CLIENT, "montant_paiement": 500}
    shop.pay(**asked)
    shop.pay(**{**asked, **changes})

    assert creations(emulator) == 2


@pytest.mark.parametrize(
    "client",
    [
        dataclasses.replace(CLIENT, nom="DOE", prenom="Johnny"),
        dataclasses.replace(CLIENT, email="JOHN@example.com"),
        dataclasses.replace(CLIENT, tel="+229 01 64 00 00 01"),
    ],
)
def test_the_same_customer_written_otherwise_is_the_same(typed, shop, client):
    """
    A customer is an address and a number, in whatever form.
    """
    shop.pay(SETUP, CLIENT, 500)
    with pytest.raises(DuplicatePayment):
        shop.pay(SETUP, client, 500)


def test_one_that_had_a_reference_counts_too(typed, shop):
    """
    The customer is the same, whatever the first payment was called.
    """
    first = shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-17")
    with pytest.raises(DuplicatePayment) as caught:
        shop.pay(SETUP, CLIENT, 500)

    assert (caught.value.id_transaction, caught.value.merchant_reference) == (first.id_transaction, "CMD-17")


def test_two_visitors_of_a_payment_page_are_not_one_customer(typed, shop, emulator):
    """
    Without any customer nothing tells that it is the same.
    """
    shop.pay(PAGE, None, 500)
    shop.pay(PAGE, None, 500)

    assert creations(emulator) == 2


def test_after_ten_minutes_it_is_another_payment(typed, shop, emulator, clock):
    shop.pay(SETUP, CLIENT, 500)
    clock.advance(590)
    with pytest.raises(DuplicatePayment, match="il y a 10 min"):
        shop.pay(SETUP, CLIENT, 500)
    clock.advance(11)
    shop.pay(SETUP, CLIENT, 500)

    assert creations(emulator) == 2


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize("end", ["decline", "cancel", "expire"])
def test_one_that_failed_may_be_asked_again(typed, shop, emulator, end, is_told):
    """
    Whether this database knows of the end already, or FedaPay alone.
    """
    first = shop.pay(SETUP, CLIENT, 500)
    getattr(emulator, end)(first.id_transaction)
    if is_told:
        shop.check_status(first.id_transaction)

    assert shop.pay(SETUP, CLIENT, 500).id_transaction != first.id_transaction


def test_one_that_was_cancelled_may_be_asked_again(typed, shop):
    first = shop.pay(PAGE, CLIENT, 500)
    shop.cancel(first.id_transaction)

    assert shop.pay(PAGE, CLIENT, 500).id_transaction != first.id_transaction


@pytest.mark.parametrize("is_told", [True, False])
def test_one_that_was_paid_is_not_asked_again(typed, shop, emulator, is_told):
    """
    The worst of cells: the customer has paid, and it runs again.
    """
    first = shop.pay(SETUP, CLIENT, 500)
    emulator.approve(first.id_transaction)
    if is_told:
        shop.check_status(first.id_transaction)

    with pytest.raises(DuplicatePayment, match="payée"):
        shop.pay(SETUP, CLIENT, 500)


def test_where_fedapay_does_not_answer_it_may_be_open(typed, shop, emulator):
    shop.pay(SETUP, CLIENT, 500)
    emulator.fail_next("/v1/transactions", method="GET", status=503, times=100)

    with pytest.raises(DuplicatePayment):
        shop.pay(SETUP, CLIENT, 500)


def test_one_whose_answer_was_lost_is_named_by_its_reference(typed, shop, emulator):
    """
    There is no id yet; the reference takes it up.
    """
    # A transport that was closed still works, and does not pause between its attempts.
    shop._started_runtime().transport.close()
    emulator.fail_next("/v1/transactions", status=503, times=1000)
    with pytest.raises(FedapayError):
        shop.pay(SETUP, CLIENT, 500)
    emulator.faults.clear()

    with pytest.raises(DuplicatePayment) as caught:
        shop.pay(SETUP, CLIENT, 500)

    assert caught.value.id_transaction is None
    assert f"merchant_reference={caught.value.merchant_reference!r}" in str(caught.value)
    shop.pay(SETUP, CLIENT, 500, merchant_reference=caught.value.merchant_reference)
    assert creations(emulator) == 1


def test_one_that_was_refused_may_be_asked_again(typed, shop, emulator):
    """
    Nothing was asked: a refused creation is corrected and run again.
    """
    emulator.fail_next("/v1/transactions", method="POST", status=400)
    with pytest.raises(FedapayError):
        shop.pay(SETUP, CLIENT, 500)

    shop.pay(SETUP, CLIENT, 500)


def test_again_is_not_for_a_reference(shop, emulator):
    """
    It would look as if the customer were asked again, and they are not.
    """
    with pytest.raises(InvalidArgument, match="référence neuve"):
        shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-17", again=True)
    assert creations(emulator) == 0


@pytest.fixture
def untold(monkeypatch):
    monkeypatch.setattr(hosting, "_warned", set())


def test_a_program_is_warned_once(untold, shop, emulator, caplog):
    """
    At its own line, and it goes on: it may mean it.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(4):
            shop.pay(SETUP, CLIENT, 500)

    assert creations(emulator) == 4
    (warning,) = [each for each in caught if "merchant_reference" in str(each.message)]
    assert warning.category is RuntimeWarning
    assert os.path.basename(warning.filename) == os.path.basename(__file__)
    assert sum("pay a été appelée deux fois" in record.getMessage() for record in caplog.records) == 1


def test_a_program_with_references_is_not_warned(untold, shop):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for number in range(3):
            shop.pay(SETUP, CLIENT, 500, merchant_reference=f"CMD-{number}")
        shop.pay(SETUP, CLIENT, 501)
        shop.pay(SETUP, CLIENT, 501, again=True)


def test_another_account_is_another_shop(typed, shop, db_url, clock):
    """
    Two merchants share a database, and a customer.
    """
    shop.pay(SETUP, CLIENT, 500)
    with Emulator(secret_key="sk_sandbox_autre_marchand") as theirs:
        with Connector(theirs.url, api_key=theirs.secret_key, db_url=db_url, clock=clock) as other:
            other.pay(SETUP, CLIENT, 500)

        assert creations(theirs) == 1


def test_what_lies_in_the_database_shows_no_customer(shop):
    """
    Digests only, and no two payments have the same.
    """
    shop.pay(SETUP, CLIENT, 500)
    shop.pay(SETUP, CLIENT, 500)
    store = shop._per_process.get().store

    traits = store.read(lambda database: list(database.execute_sql("SELECT traits FROM fp_payment").fetchall()))

    assert traits[0] != traits[1]
    assert not any(word in str(traits) for word in ("john", "0164000001", "64000001"))
