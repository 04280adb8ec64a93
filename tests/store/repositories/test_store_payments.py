"""What the verbs of payments promise."""


def test_an_intent_is_written_once(store, second):
    """
    Whoever asks again, in any process, learns what was asked then.
    """
    assert store.remember_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF") is None
    known = second.remember_intent("sandbox", "shop", "CMD-1", amount=900, currency="GNF")
    assert (known.amount, known.currency, known.state, known.transaction_id) == (500, "XOF", "intent", None)


def test_references_of_other_accounts_and_environments_are_others(store):
    for environment, account in [("sandbox", "shop"), ("live", "shop"), ("sandbox", "other")]:
        assert store.remember_intent(environment, account, "CMD-1", amount=500, currency="XOF") is None


def test_a_payment_is_found_by_its_transaction(store, second):
    store.remember_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
    store.set_payment("sandbox", "shop", "CMD-1", "created", transaction_id=7, currency_id=1)
    store.set_payment("sandbox", "shop", "CMD-1", "sent")

    found = second.payment_of("sandbox", 7)

    assert (found.merchant_reference, found.state, found.transaction_id, found.currency_id) == ("CMD-1", "sent", "7", 1)
    assert second.payment_of("live", 7) is None
    assert second.payment_of("sandbox", 8) is None


def test_moving_one_payment_moves_no_other(store):
    for reference in ("CMD-1", "CMD-2"):
        store.remember_intent("sandbox", "shop", reference, amount=500, currency="XOF")
    store.set_payment("sandbox", "shop", "CMD-1", "failed")
    assert store.remember_intent("sandbox", "shop", "CMD-2", amount=500, currency="XOF").state == "intent"
