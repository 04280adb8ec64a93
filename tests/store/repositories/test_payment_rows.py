"""Payments are rows under a merchant reference, written once and moved on."""

import logging

import pytest

from fedapay_sync import Transaction
from fedapay_sync.errors import UnreadableAnswer
from fedapay_sync.models.asked import Asked
from fedapay_sync.store.payment_record import PaymentRecord


def test_an_intent_is_written_once(store, second):
    """
    A caller that asks again, in any process, learns what was asked then.
    """
    assert store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF") is None
    known = second.payments.add_intent("sandbox", "shop", "CMD-1", amount=900, currency="GNF")
    assert (known.amount, known.currency, known.state, known.transaction_id) == (500, "XOF", "intent", None)


def test_references_of_other_accounts_and_environments_are_others(store):
    for environment, account in [("sandbox", "shop"), ("live", "shop"), ("sandbox", "other")]:
        assert store.payments.add_intent(environment, account, "CMD-1", amount=500, currency="XOF") is None


def test_a_payment_is_found_by_its_transaction(store, second):
    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
    store.payments.transition("sandbox", "shop", "CMD-1", "created", transaction_id=7, currency_id=1)
    store.payments.transition("sandbox", "shop", "CMD-1", "sent")

    found = second.payments.of_transaction("sandbox", 7)

    assert (found.merchant_reference, found.state, found.transaction_id, found.currency_id) == ("CMD-1", "sent", "7", 1)
    assert second.payments.of_transaction("live", 7) is None
    assert second.payments.of_transaction("sandbox", 8) is None


def test_moving_one_payment_moves_no_other(store):
    for reference in ("CMD-1", "CMD-2"):
        store.payments.add_intent("sandbox", "shop", reference, amount=500, currency="XOF")
    store.payments.transition("sandbox", "shop", "CMD-1", "failed")
    assert store.payments.add_intent("sandbox", "shop", "CMD-2", amount=500, currency="XOF").state == "intent"


def test_a_transaction_is_given_to_one_reference_only(store, second):
    """
    That of another payment is no answer to this one, whichever process tries.
    """
    for reference in ("CMD-1", "CMD-2"):
        store.payments.add_intent("sandbox", "shop", reference, amount=500, currency="XOF")

    assert store.payments.transition("sandbox", "shop", "CMD-1", "sent", transaction_id=7)
    assert not second.payments.transition("sandbox", "shop", "CMD-2", "sent", transaction_id=7)
    assert second.payments.transition("sandbox", "shop", "CMD-2", "sent", transaction_id=8)

    assert store.payments.of_transaction("sandbox", 7).merchant_reference == "CMD-1"


def test_a_prompt_claimed_with_the_id_is_claimed_once(store, second):
    """
    By the caller that gave the row its transaction: another one finds the id, and no prompt to send.
    """
    ours, theirs = (PaymentRecord(each, "sandbox", "shop", "CMD-1", 60.0) for each in (store, second))
    asked = Asked.of_body({"amount": 500, "currency": "XOF"})
    assert ours.remember(asked) is None and theirs.remember(asked) is not None

    assert ours.adopt(Transaction(id=7), claims_push=True) == theirs.adopt(Transaction(id=8), claims_push=True) == "7"

    assert store.payments.of_transaction("sandbox", 7).state == "sent"
    assert [theirs.claim_push(), ours.claim_push(), ours.claim_push()] == [False, True, False]


def test_the_transaction_of_another_payment_is_not_adopted(store):
    """
    It is told whose it is, and the row stays without.
    """
    first, row = (PaymentRecord(store, "sandbox", "shop", reference, 60.0) for reference in ("CMD-1", "CMD-2"))
    for each in (first, row):
        each.remember(Asked.of_body({"amount": 500, "currency": "XOF"}))
    first.adopt(Transaction(id=7))

    with pytest.raises(UnreadableAnswer, match="CMD-1"):
        row.adopt(Transaction(id=7), claims_push=True)

    assert store.payments.under_reference("sandbox", "shop", "CMD-2").state == "intent"
    assert not row.claim_push()


def test_a_payment_is_found_without_looking_at_all_others(store, make_event, listen, caplog):
    """
    By its reference or its transaction, wherever it is looked for: the environment is that of all payments of the shop.
    """
    if store.path is None:
        pytest.skip("PostgreSQL plans by what the tables hold")
    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
    caplog.set_level(logging.DEBUG, logger="peewee")
    assert store.payments.transition("sandbox", "shop", "CMD-1", "sent", transaction_id=7)
    assert store.payments.accounts_of("sandbox", ["7", "8"]) == {"7": "shop"}
    assert store.payments.of_transaction("sandbox", 7) is not None
    listen(store, "7")
    assert store.listens.is_founded("sandbox", 7)
    store.events.accept(make_event("7", amount=500, currency={"iso": "XOF"}, merchant_reference="CMD-1"))
    found = {str(each.msg[0] if isinstance(each.msg, tuple) else each.msg) for each in caplog.records}
    logged = {each for each in found if "fp_payment" in each and " WHERE " in each}
    assert len(logged) >= 6

    def plan(database):
        return [
            (each, row[-1])
            for each in logged
            for row in database.execute_sql(f"EXPLAIN QUERY PLAN {each}", [0] * each.count("?")).fetchall()
            if "fp_payment" in row[-1]
        ]

    searched = store.read(plan)
    assert len(searched) >= len(logged)
    for statement, line in searched:
        assert "transaction_id=?" in line or "merchant_reference=?" in line, (line, statement)


def test_what_was_asked_lately_is_found_the_newest_first(store, clock):
    """
    Of that account, environment and sum; what failed was not asked.
    """
    asked = {"amount": 500, "currency": "XOF"}
    store.payments.add_intent("sandbox", "shop", "old", **asked)
    clock.advance(400)
    for number, changes in enumerate([{}, {"amount": 501}, {"currency": "GNF"}]):
        store.payments.add_intent("sandbox", "shop", f"CMD-{number}", **{**asked, **changes})
    store.payments.add_intent("live", "shop", "CMD-live", **asked)
    store.payments.add_intent("sandbox", "other", "CMD-other", **asked)
    store.payments.add_intent("sandbox", "shop", "failed", **asked)
    store.payments.transition("sandbox", "shop", "failed", "failed")
    clock.advance(100)
    store.payments.add_intent("sandbox", "shop", "new", **asked)

    found = store.payments.recent("sandbox", "shop", **asked, seconds=300)

    assert [each.merchant_reference for each in found] == ["new", "CMD-0"]
    assert [round(each.age, -1) for each in found] == [0, 100]
    assert [each.merchant_reference for each in store.payments.recent("sandbox", "shop", **asked, seconds=600)] == [
        "new",
        "CMD-0",
        "old",
    ]
