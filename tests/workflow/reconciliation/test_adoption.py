"""
Whose transaction it is that bears a merchant reference, while ``pay`` has its answer.
"""

import dataclasses
import logging

import pytest

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


@pytest.mark.parametrize(("reference", "said"), [("CMD-17", 0), ("CMD-18", 1)])
def test_a_payment_that_has_its_transaction_since_is_no_other_one(make_connector, monkeypatch, caplog, reference, said):
    """
    What was read of it, that it has none, is of a moment ago. Where it is another's transaction, that is an error.
    """
    shop = make_connector()
    payment = shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-17")
    runtime = shop._started_runtime()
    key, payments = runtime.config.checked_key(None), runtime.store.payments
    before = dataclasses.replace(
        payments.under_reference("sandbox", key.label, "CMD-17"), merchant_reference=reference, transaction_id=None
    )
    monkeypatch.setattr(payments, "under_reference", lambda *asked: before)
    transaction = dataclasses.replace(
        runtime.api.transactions.retrieve(payment.id_transaction, api_key=key), merchant_reference=reference
    )

    with caplog.at_level(logging.ERROR):
        assert not runtime.statuses._adoption.adopt(transaction, key)
    assert caplog.text.count("two merchant references") == said
