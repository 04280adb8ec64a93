"""Payments are rows under a merchant reference, written once and moved on."""


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
