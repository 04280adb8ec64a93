"""What may be forgotten is forgotten, and nothing else."""

import json

import pytest

DAY = 86400.0


@pytest.fixture
def done(store, make_event, claim):
    """An accepted event whose callback was done."""

    def make(entity_id="100", **changes):
        store.events.accept(make_event(entity_id, body=b'{"name": "x"}', **changes))
        for work in claim(store):
            if work.entity_id == entity_id:
                store.callbacks.mark_done(work, "A")

    return make


def bodies(store):
    query = "SELECT entity_id, body FROM fp_event ORDER BY id"
    return {row[0]: bytes(row[1]) for row in store.read(lambda database: database.execute_sql(query).fetchall())}


def blanked(store):
    return {entity for entity, body in bodies(store).items() if not body}


def blank_all(store, older_than):
    after = 0
    while after is not None:
        after = store.retention.erase_bodies(older_than, after)


def test_bodies_are_blanked_when_their_callback_was_done_long_ago(store, done, make_event, claim, clock):
    """
    Not those of younger ones, of owed ones, or of parked ones.
    """
    done("old")
    store.events.accept(make_event("parked", body=b"{}"))
    (work,) = claim(store)
    store.callbacks.retry_or_park(work, "A", error="no", again_in=None)
    store.events.accept(make_event("owed", body=b"{}"))
    clock.advance(30 * DAY)
    store.events.accept(make_event("young", body=b"{}"))
    for work in claim(store):
        if work.entity_id == "young":
            store.callbacks.mark_done(work, "A")

    blank_all(store, 29 * DAY)

    assert blanked(store) == {"old"}


def test_many_bodies_are_blanked_in_small_pieces(store, make_event, claim, clock):
    """
    A step looks at a few hundred rows; all of them together reach the end.
    """
    for number in range(620):
        store.events.accept(make_event(str(number)))
    while works := claim(store, limit=100):
        for work in works:
            store.callbacks.mark_done(work, "A")
    clock.advance(DAY)

    after = store.retention.erase_bodies(0, 0)

    assert 0 < len(blanked(store)) < 620 and after is not None
    while after is not None:
        after = store.retention.erase_bodies(0, after)
    assert len(blanked(store)) == 620


def test_a_body_may_be_forgotten_as_soon_as_it_is_done(store, make_event, claim):
    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
    store.payments.transition("sandbox", "shop", "CMD-1", "created", transaction_id="100")
    store.events.accept(make_event("100", amount=500, currency={"iso": "XOF"}))
    store.events.accept(make_event("200", name="transaction.declined"))
    for work in claim(store):
        assert store.callbacks.mark_done(work, "A", erase_body=True)
    assert blanked(store) == {"100", "200"}


def test_what_may_yet_be_found_to_be_a_payment_of_ours_keeps_its_body_for_an_hour(store, make_event, claim, clock):
    """
    Without it there is nothing to compare with what was asked: another sum would be told as paid.
    """
    sum_of_it = {"amount": 5, "currency": {"iso": "XOF"}}
    body = json.dumps({"entity": sum_of_it}).encode()
    for number in ("100", "200"):
        store.events.accept(make_event(number, body=body, **sum_of_it))
    for work in claim(store):
        assert store.callbacks.mark_done(work, "A", erase_body=True)
    store.retention.erase_bodies(0, 0)
    assert blanked(store) == set()
    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
    store.payments.transition("sandbox", "shop", "CMD-1", "created", transaction_id="100")
    (told,) = claim(store)
    assert told.entity_id == "100" and told.suspect

    clock.advance(3601)
    store.retention.erase_bodies(0, 0)
    assert blanked(store) == {"200"}


def test_a_purge_forgets_what_is_over_and_keeps_the_keys(store, done, make_event, listen, clock):
    """
    A year later the same event is still known.
    """
    event = make_event("1", amount=500, currency_id=1)
    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
    store.payments.transition("sandbox", "shop", "CMD-1", "sent", transaction_id="1")
    listen(store, "1")
    store.events.accept(event)
    clock.advance(365 * DAY)

    assert store.retention.purge(30 * DAY) == (1, 1, 1)
    assert store.retention.purge(30 * DAY) == (0, 0, 0)

    assert store.listens.get("sandbox", "1") is None
    assert store.payments.under_reference("sandbox", "shop", "CMD-1") is None
    assert not store.events.accept(event).new


def test_a_purge_keeps_what_is_open_young_or_parked(store, done, make_event, listen, claim, clock):
    """
    Nor what FedaPay may still change: less than three days, whatever was asked.
    """
    store.events.accept(make_event("parked", body=b"{}"))
    (work,) = claim(store)
    store.callbacks.retry_or_park(work, "A", error="no", again_in=None)
    store.events.accept(make_event("failing", body=b"{}", is_final=False))
    (work,) = claim(store)
    store.callbacks.retry_or_park(work, "A", error="no", again_in=5)
    listen(store, "open", timeout=90 * DAY)
    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
    store.payments.transition("sandbox", "shop", "CMD-1", "sent", transaction_id="open")
    clock.advance(60 * DAY)
    listen(store, "young")
    done("young", received_at=clock.now())
    clock.advance(2 * DAY)

    assert store.retention.purge(30 * DAY) == (0, 0, 0)
    assert store.retention.purge(0).listens == 0
    assert store.listens.get("sandbox", "open").is_open
    assert store.listens.get("sandbox", "young").state == "resolved"
    assert blanked(store) == {"young"}


def test_what_is_parked_is_told_with_its_reason_and_replayed_once(store, second, make_event, claim, clock):
    """
    Of two who replay it one does; the count of attempts goes on.
    """
    store.events.accept(make_event(key="K"))
    store.events.accept(make_event("2", account="another"))
    for work in claim(store, accounts=["shop", "another"]):
        store.callbacks.retry_or_park(work, "A", error="boom", again_in=None)

    (parked,) = store.callbacks.parked("sandbox", ["shop"])

    assert (parked.event_key, parked.last_error, parked.attempts) == ("K", "boom", 1)
    assert store.callbacks.parked("live", ["shop"]) == []
    assert len(store.callbacks.parked()) == 2
    assert [work.event_key for work in store.callbacks.parked(event_key="K")] == ["K"]
    assert [store.callbacks.replay(parked, 31), second.callbacks.replay(parked, 31)] == [True, False]
    assert [work.attempts for work in claim(store)] == [32]


def test_what_one_payer_left_is_erased(store, done, make_event, claim):
    """
    By the reference or the id; another's, other objects of the same number, and what is owed keep theirs.
    """
    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF", traits='{"email": "x"}')
    store.payments.transition("sandbox", "shop", "CMD-1", "sent", transaction_id="1")
    done("1", amount=500, currency_id=1)
    done("2")
    done("1", name="customer.updated", object="customer", is_final=False)
    store.events.accept(make_event("1", "transaction.transferred", body=b"{}", is_final=True, is_paid=False))
    (owed,) = claim(store)
    store.callbacks.retry_or_park(owed, "A", error="afi@exemple.bj", again_in=60)

    assert store.retention.erase_payment("sandbox", "CMD-1") == (True, 1, 1)
    assert store.retention.erase_payment("sandbox", "1") == (True, 0, 1)
    assert store.retention.erase_payment("live", "1") == (False, 0, 0)

    payment = store.payments.under_reference("sandbox", "shop", "CMD-1")
    assert payment.traits is None and payment.amount == 500
    found = store.read(lambda d: d.execute_sql("SELECT entity_id, object, body FROM fp_event ORDER BY id").fetchall())
    assert [(number, kind) for number, kind, body in found if not bytes(body)] == [("1", "transaction")]
    assert not store.events.accept(make_event("1", key="again", dedup_key=owed_key(store, "1"))).new


def owed_key(store, number):
    query = f"SELECT dedup_key FROM fp_event WHERE entity_id = '{number}' ORDER BY id"
    return store.read(lambda database: database.execute_sql(query).fetchone()[0])
