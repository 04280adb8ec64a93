"""Nothing is created twice, whatever is lost on the way: counted where it counts, at FedaPay's side."""

import pytest
from support.raw_server import RawServer, answers, closes

from fedapay_sync import Integration, InvalidArgument, NotSent, OutcomeUnknown, ReferenceTaken, ServerFault
from fedapay_sync.errors import UnreadableAnswer

TRANSACTION = {"description": "Commande", "amount": 1000, "currency": "XOF"}
PAYEE = {"email": "kossi@exemple.tg", "phone_number": {"number": "0164000001", "country": "bj"}}
PAYOUT = {"amount": 1000, "currency": "XOF", "mode": "momo_test", "customer": PAYEE}
KINDS = [("transactions", TRANSACTION), ("payouts", PAYOUT)]


@pytest.fixture
def api(emulator):
    with Integration(emulator.url, default_api_key=emulator.secret_key) as made:
        # Waits between looks are waited for in a test of their own.
        made.transactions._requestor.transport.pause = lambda seconds: None
        yield made


def posts(emulator, kind):
    return [each for each in emulator.requests if (each.method, each.path) == ("POST", f"/v1/{kind}")]


def made(api, kind):
    return list(getattr(api, kind).list())


@pytest.mark.parametrize(("kind", "body"), KINDS)
@pytest.mark.parametrize("cut", ["before", "during", "after"])
def test_a_creation_cut_at_any_point_makes_one_object(api, emulator, kind, body, cut):
    """
    Cut before FedaPay worked, in the middle of its answer, or after: one object, and the caller gets it.
    """
    emulator.fail_next(f"/v1/{kind}", method="POST", cut=cut)

    created = getattr(api, kind).create(body)

    assert [each.id for each in made(api, kind)] == [created.id]
    # Sent again only when it was not there; cut in the middle it comes while it is looked up, here without waits.
    assert len(posts(emulator, kind)) in {"before": (2,), "during": (1, 2), "after": (1,)}[cut]


@pytest.mark.parametrize(("kind", "body"), KINDS)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_fault_is_a_doubt_too(api, emulator, kind, body, status):
    """
    A 5xx may hide a creation that was made.
    """
    emulator.fail_next(f"/v1/{kind}", method="POST", status=status)

    created = getattr(api, kind).create(body)

    assert [each.id for each in made(api, kind)] == [created.id]


def test_a_creation_is_sent_twice_at_most(api, emulator):
    """
    Then the caller is told, with the reference under which to try again, and trying again makes one object.
    """
    emulator.fail_next("/v1/transactions", method="POST", cut="before", times=2)

    with pytest.raises(OutcomeUnknown) as caught:
        api.transactions.create(TRANSACTION)

    assert len(posts(emulator, "transactions")) == 2
    reference = caught.value.merchant_reference
    assert reference in str(caught.value)
    again = Integration(emulator.url, default_api_key=emulator.secret_key)
    assert again.transactions.create(TRANSACTION, merchant_reference=reference).merchant_reference == reference
    assert len(made(api, "transactions")) == 1


def test_what_cannot_be_looked_up_is_not_sent_again(api, emulator):
    """
    Without a look it is not known that it is not there.
    """
    emulator.fail_next("/v1/transactions", method="POST", cut="before")
    emulator.fail_next("/v1/transactions/merchant/", status=500, times=99)

    with pytest.raises(OutcomeUnknown):
        api.transactions.create(TRANSACTION)

    assert len(posts(emulator, "transactions")) == 1


def test_a_first_post_that_arrives_late_is_adopted_when_the_second_is_refused():
    """
    Looked up: not there. Sent again: refused, for the first one has arrived meanwhile. Then it is looked up again.
    """
    there = {"v1/transaction": {"id": 5, "amount": 1000, "merchant_reference": "CMD-1", "status": "pending"}}
    taken = {"message": "non", "errors": {"merchant_reference": ["n'est pas disponible"]}}
    plays = [closes, *[answers(404, {"message": "absent"})] * 3, answers(400, taken), answers(200, there)]
    with RawServer(*plays) as server, Integration(server.url, default_api_key="sk_sandbox_x") as api:
        api.transactions._requestor.transport.pause = lambda seconds: None

        assert api.transactions.create(TRANSACTION, merchant_reference="CMD-1").id == 5
        assert server.methods == ["POST", "GET", "GET", "GET", "POST", "GET"]


def test_the_same_reference_and_attributes_give_the_object_that_exists(api, emulator):
    """
    So that trying again after any error is safe: the promise of the error's own text.
    """
    emulator.fail_next("/v1/transactions", method="POST", cut="after")
    emulator.fail_next("/v1/transactions/merchant/", status=500, times=3)
    with pytest.raises(OutcomeUnknown) as caught:
        api.transactions.create(TRANSACTION)

    again = api.transactions.create(TRANSACTION, merchant_reference=caught.value.merchant_reference)

    assert [each.id for each in made(api, "transactions")] == [again.id]


OTHERS = [
    ("transactions", {"currency": "GNF"}, "currency"),
    ("transactions", {"customer": {"email": "afi@exemple.bj"}}, "customer"),
    ("payouts", {"customer": {"email": "afi@exemple.bj"}}, "customer"),
    ("payouts", {"mode": "moov"}, "mode"),
    ("payouts", {"amount": 2000}, "amount"),
]


@pytest.mark.parametrize(("kind", "change", "told"), OTHERS)
@pytest.mark.parametrize("cut", [None, "before"])
def test_an_object_that_differs_is_never_adopted(api, emulator, kind, change, told, cut):
    """
    A reference used twice by mistake: the other person's money is not sent, and the caller learns what differs.
    """
    first = {**dict(KINDS)[kind], "customer": PAYEE, "custom_metadata": {"commande": 1}, "merchant_reference": "CMD-1"}
    old = getattr(api, kind).create(first)
    if cut:
        emulator.fail_next(f"/v1/{kind}", method="POST", cut=cut)

    with pytest.raises(ReferenceTaken, match=told) as caught:
        getattr(api, kind).create({**first, **change})

    assert (caught.value.id_transaction, caught.value.fields) == (old.id, (told,))
    assert len(made(api, kind)) == 1


CIRCUMSTANCES = [
    ({"description": "Autre"}, "description"),
    ({"custom_metadata": {"commande": 2}}, "custom_metadata"),
    ({"callback_url": "https://boutique.example.bj/autre"}, "callback_url"),
]


@pytest.mark.parametrize(("change", "told"), CIRCUMSTANCES)
def test_an_honest_retry_may_say_it_otherwise(api, change, told, caplog):
    """
    The payer and the sum are the same: what else differs is a line in the log.
    """
    first = {**TRANSACTION, "customer": PAYEE, "custom_metadata": {"commande": 1}, "merchant_reference": "CMD-1"}
    first["callback_url"] = "https://boutique.example.bj/retour"
    old = api.transactions.create(first)
    assert api.transactions.create({**first, **change}).id == old.id
    assert told in caplog.text


@pytest.mark.parametrize(("change", "told"), CIRCUMSTANCES)
def test_without_a_payer_to_compare_the_circumstances_decide(api, change, told):
    first = {**TRANSACTION, "custom_metadata": {"commande": 1}, "merchant_reference": "CMD-1"}
    first["callback_url"] = "https://boutique.example.bj/retour"
    first.pop("customer", None)
    old = api.transactions.create(first)
    with pytest.raises(ReferenceTaken) as caught:
        api.transactions.create({**first, **change})
    assert (caught.value.id_transaction, caught.value.fields) == (old.id, (told,))


def test_a_payout_that_has_left_is_not_given_for_a_new_one(api, emulator):
    """
    A creation starts nothing: what has left under that reference is an older one.
    """
    old = api.payouts.create(PAYOUT, merchant_reference="SALAIRE-11")
    api.payouts.start(old.id)
    emulator.fail_next("/v1/payouts", method="POST", cut="before")

    with pytest.raises(InvalidArgument, match="status"):
        api.payouts.create(PAYOUT, merchant_reference="SALAIRE-11")


@pytest.mark.parametrize("second", [answers(429, {}), answers(400, {"message": "non"}), answers(500, {})])
def test_whatever_the_second_post_says_the_reference_is_told(second):
    """
    The first one may have arrived: « rien n'a été envoyé » would be a lie.
    """
    absent, broken = answers(404, {"message": "absent"}), answers(500, {})
    plays = [closes, absent, absent, absent, second, broken]
    with RawServer(*plays) as server, Integration(server.url, default_api_key="sk_sandbox_x") as api:
        api.transactions._requestor.transport.pause = lambda seconds: None

        with pytest.raises((OutcomeUnknown, ServerFault)) as caught:
            api.transactions.create(TRANSACTION)

    assert caught.value.merchant_reference in str(caught.value)


def test_an_answer_about_another_object_is_an_error():
    """
    Neither a creation nor a look-up takes another's transaction for its own.
    """
    other = {"v1/transaction": {"id": 5, "amount": 1000, "merchant_reference": "CMD-2"}}
    with RawServer(answers(200, other)) as server, Integration(server.url, default_api_key="sk_sandbox_x") as api:
        with pytest.raises(UnreadableAnswer):
            api.transactions.by_merchant_reference("CMD-1")
        with pytest.raises(UnreadableAnswer):
            api.transactions.create(TRANSACTION, merchant_reference="CMD-1")


def test_nothing_is_looked_up_when_nothing_was_sent(free_port):
    """
    A connection that never opened leaves no doubt.
    """
    with Integration(f"http://127.0.0.1:{free_port}", default_api_key="sk_sandbox_x") as api:
        api.transactions._requestor.transport.pause = lambda seconds: None

        with pytest.raises(NotSent):
            api.transactions.create(TRANSACTION)


def test_every_creation_carries_a_reference(api, emulator):
    """
    Also when the caller gave none, and never the same.
    """
    references = {api.transactions.create(TRANSACTION).merchant_reference for _ in range(3)}

    assert len(references) == 3
    assert all(reference.startswith("fs-") for reference in references)


# Payouts: what was started is never started again


def test_a_lost_answer_to_a_start_is_looked_at(api, emulator):
    """
    The payout has left: it is given back, and was started once.
    """
    payout = api.payouts.create(PAYOUT)
    emulator.fail_next("/v1/payouts/start", method="PUT", cut="after")

    started = api.payouts.start(payout.id)

    assert started.id == payout.id
    assert started.status != "pending"
    assert [each.path for each in emulator.requests].count("/v1/payouts/start") == 1


def test_a_start_that_did_not_arrive_is_told_and_not_repeated(api, emulator):
    """
    The caller decides, after reading.
    """
    payout = api.payouts.create(PAYOUT)
    emulator.fail_next("/v1/payouts/start", method="PUT", cut="before")

    with pytest.raises(OutcomeUnknown) as caught:
        api.payouts.start(payout.id)

    assert str(payout.id) in str(caught.value)
    assert [each.path for each in emulator.requests].count("/v1/payouts/start") == 1
    assert api.payouts.retrieve(payout.id).status == "pending"


@pytest.mark.parametrize(
    "answer",
    [{"v1/payouts": [{"id": 999, "status": "sent"}]}, {"v1/payouts": [{}]}, {"v1/payouts": []}, {"message": "success"}],
)
def test_an_answer_about_other_payouts_is_no_success(answer):
    """
    What was asked for is read again; it has not left.
    """
    waiting = answers(200, {"v1/payout": {"id": 73019, "status": "pending"}})
    with RawServer(answers(200, answer), waiting) as server:
        with pytest.raises(OutcomeUnknown, match="73019"):
            Integration(server.url, default_api_key="sk_sandbox_x").payouts.start(73019)
        assert server.methods == ["PUT", "GET"]


@pytest.mark.parametrize("status", ["failed", "canceled", None, "pending"])
def test_a_payout_that_has_failed_has_not_left(status):
    """
    Whether it failed now or before, the caller decides.
    """
    seen = answers(200, {"v1/payout": {"id": 5, "status": status}})
    with RawServer(closes, seen) as server, pytest.raises(OutcomeUnknown, match="5"):
        Integration(server.url, default_api_key="sk_sandbox_x").payouts.start(5)


def test_started_payouts_come_in_the_order_asked_for():
    """
    Whatever the order of the answer.
    """
    both = {"v1/payouts": [{"id": 6, "status": "started"}, {"id": 5, "status": "started"}]}
    with RawServer(answers(200, both)) as server:
        started = Integration(server.url, default_api_key="sk_sandbox_x").payouts.start_many([5, 6])
    assert [each.id for each in started] == [5, 6]


def test_what_a_batch_made_is_what_starts(api):
    """
    The natural next step.
    """
    batch = api.payouts.create_many([PAYOUT, PAYOUT])
    started = api.payouts.start_many(batch.payouts)
    assert [each.id for each in started] == [each.id for each in batch.payouts]


@pytest.mark.parametrize(("kind", "body"), KINDS)
def test_a_lost_batch_tells_the_references_under_which_to_look(api, emulator, kind, body):
    """
    Each was given one, so that nothing is made twice.
    """
    emulator.fail_next(f"/v1/{kind}/batch", method="POST", cut="after")

    with pytest.raises(OutcomeUnknown) as caught:
        getattr(api, kind).create_many([body, {**body, "merchant_reference": "A-1"}])

    references = caught.value.merchant_references
    assert references[1] == "A-1"
    assert [getattr(api, kind).by_merchant_reference(each).merchant_reference for each in references] == references


def test_a_batch_answered_without_a_list_is_no_success():
    with RawServer(answers(200, {"message": "success"})) as server, pytest.raises(UnreadableAnswer) as caught:
        Integration(server.url, default_api_key="sk_sandbox_x").transactions.create_many([TRANSACTION])
    assert len(caught.value.merchant_references) == 1


# Webhooks: FedaPay may answer 500 to what it made


def test_a_webhook_made_in_spite_of_a_500_is_found(api, emulator):
    """
    Seen in August 2026: applied, and answered 500.
    """
    emulator.fail_next("/v1/webhooks", method="POST", cut="after")

    webhook = api.webhooks.create(url="http://127.0.0.1:9/w", enabled=False, http_headers={"agregateur": "F"})

    assert webhook.url == "http://127.0.0.1:9/w"
    assert len([each for each in api.webhooks.list() if each.url == webhook.url]) == 1


def test_a_webhook_changed_in_spite_of_a_500_is_seen(api, emulator):
    """
    So too an update.
    """
    webhook = api.webhooks.create(url="http://127.0.0.1:9/w", enabled=False)
    emulator.fail_next(f"/v1/webhooks/{webhook.id}", method="PUT", cut="after")

    assert api.webhooks.update(webhook.id, disable_on_error=False).disable_on_error is False
    emulator.fail_next(f"/v1/webhooks/{webhook.id}", method="PUT", status=500)
    with pytest.raises(ServerFault):
        api.webhooks.update(webhook.id, disable_on_error=True)


def test_a_webhook_that_is_not_there_is_not_made_up(api, emulator):
    emulator.fail_next("/v1/webhooks", method="POST", status=500)

    with pytest.raises(ServerFault):
        api.webhooks.create(url="http://127.0.0.1:9/w")


def test_the_looks_are_spread_over_some_seconds(emulator):
    """
    FedaPay may need a moment to show what it made.
    """
    waits = []
    with Integration(emulator.url, default_api_key=emulator.secret_key) as api:
        api.transactions._requestor.transport.pause = waits.append
        emulator.fail_next("/v1/transactions", method="POST", cut="before")
        api.transactions.create(TRANSACTION)

    assert waits == [1.0, 3.0]
