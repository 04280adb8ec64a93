"""
Whose payment it is: the same rules for what was created, found, adopted, read, told by a webhook or listed.

FedaPay is a server that answers what each test says, and may say something else than what was asked.
"""

import itertools
import json
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.raw_server import RawServer, answers
from support.transport_calls import repeat_at_once

from fedapay_sync import (
    AmountMismatch,
    BadRequest,
    EventFutureStatus,
    FedapayError,
    InvalidArgument,
    MethodesPaiement,
    NotFound,
    PaiementSetup,
    Pays,
    ReferenceTaken,
    StatusUnknown,
    TypesPaiement,
    UserData,
    signature,
)
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
NEVER = Pace(first=10_000, factor=2, longest=10_000)
SECRET = "wh_sandbox_test"
PAYER = {"id": 41, "email": "john@example.com", "phone_number": {"number": "22964000001"}}
SETUPS = {
    "XOF": PaiementSetup(pays=Pays.benin, type_paiement=TypesPaiement.AVEC_REDIRECTION),
    "GNF": PaiementSetup(pays=Pays.guinee, type_paiement=TypesPaiement.AVEC_REDIRECTION),
}
CURRENCIES = {"XOF": {"currency_id": 1}, "GNF": {"currency_id": 7, "currency": {"iso": "GNF"}}}


class FedaPay:
    """The transactions that FedaPay has; what is asked of it lies in ``server.requests``."""

    def __init__(self):
        self.transactions = {}
        self.ids = itertools.count(7)
        self.away = False
        self.created = {}
        self.before_answer = lambda made: None
        self.server = RawServer(self._play)

    def shows(self, number, **changes):
        self.transactions.setdefault(number, {}).update(changes)

    def asked(self, number):
        return [each for each in self.server.requests if each.target.startswith(f"/v1/transactions/{number}")]

    def _play(self, server, connection, request):
        status, body = self._answer(request)
        return answers(status, body)(server, connection, request)

    def _answer(self, request):
        path = request.target.partition("?")[0].rsplit("/v1/", 1)[-1].split("/")
        if self.away:
            return 503, {}
        if request.method == "POST" and path != ["transactions"]:
            return 200, {"token": "t", "url": "https://a"}
        if request.method == "POST":
            return self._create(request.json)
        if path[0] not in ("transactions", "customers") or len(path) < 2:
            return 404, {"message": "Ressource introuvable"}
        if path[:2] == ["transactions", "merchant"]:
            found = [each for each in self.transactions.values() if each.get("merchant_reference") == path[2]]
        elif path[0] == "customers":
            return 200, {"v1/customer": PAYER}
        else:
            found = [self.transactions[int(path[1])]] if int(path[1]) in self.transactions else []
        return (200, {"v1/transaction": found[0]}) if found else (404, {"message": "Ressource introuvable"})

    def _create(self, body):
        reference = body["merchant_reference"]
        if any(each.get("merchant_reference") == reference for each in self.transactions.values()):
            return 400, {"message": "non", "errors": {"merchant_reference": ["n'est pas disponible"]}}
        number = next(self.ids)
        made = {
            "klass": "v1/transaction", "id": number, "status": "pending", "payment_token": "t", "payment_url": "https://a",
            "amount": body["amount"], "merchant_reference": reference, "customer_id": 41, "customer": PAYER,
            **CURRENCIES[body["currency"]["iso"]], **self.created,
        }  # fmt: skip
        self.transactions[number] = made
        self.before_answer(made)
        return 200, {"v1/transaction": made}


@pytest.fixture(params=["sqlite", "postgres"])
def db_url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def fedapay():
    made = FedaPay()
    with made.server:
        yield made


@pytest.fixture
def make_shop(make_connector, fedapay, clock):
    def make(**changes):
        settings = {"api_key": "sk_sandbox_test", "fedapay_webhooks_secret_key": SECRET, "pace": NEVER, "clock": clock}
        shop = make_connector(fedapay_api_url=fedapay.server.url, **{**settings, **changes})
        # As if a thread waited: the notifier then looks at the clock that obeys every 50 ms.
        shop._per_process.get().notifier.subscribe("nobody", threading.Event())
        return repeat_at_once(shop)

    return make


@pytest.fixture
def shop(make_shop):
    return make_shop()


@pytest.fixture
def told(shop):
    events = []
    shop.on_webhook(events.append)
    return events


@pytest.fixture(params=["XOF", "GNF"])
def currency(request):
    return request.param


def pay(shop, amount=1000, reference="CMD-1", currency="XOF", **changes):
    return shop.pay(SETUPS[currency], CLIENT, amount, merchant_reference=reference, **changes)


def event(number, status="approved", name=None, **entity):
    entity = {"klass": "v1/transaction", "id": number, "status": status, **entity}
    return {"name": name or f"transaction.{status}", "object": "transaction", "entity": entity}


def tell(shop, clock, number, status="approved", **entity):
    body = json.dumps(event(number, status, **entity)).encode()
    shop.receive(body, signature.sign(body, SECRET, int(clock.now())))


def quiet(shop):
    query = "SELECT count(*) FROM fp_event WHERE work_state <> 'done'"
    return shop._per_process.get().store.read(lambda database: database.execute_sql(query).fetchone()[0]) == 0


def summary(events):
    return [(each.name.partition(".")[2], each.paid, each.known, each.suspect) for each in events]


def all_told(shop, eventually):
    eventually(lambda: quiet(shop))


# -- under a reference that FedaPay knows and this database does not ---------------------------------------------------


def test_with_its_database_gone_the_same_call_gives_the_same_payment(make_shop, fedapay, tmp_path, currency):
    """
    The first call and the second: cron and hand, each in a folder of its own, meet this daily.
    """
    number = pay(make_shop(), currency=currency).id_transaction
    other = make_shop(db_url=f"sqlite:///{tmp_path}/other.db")
    for words in ({}, {"description": "Autrement dit"}):
        assert pay(other, currency=currency, **words).id_transaction == number
    assert len(fedapay.transactions) == 1


STRANGER = {"customer_id": 99, "customer": {"email": "kossi@exemple.tg"}}


@pytest.mark.parametrize(
    ("there", "fields"),
    [
        ({"amount": 5000}, ("amount",)),
        ({"currency_id": 7, "currency": {"iso": "GNF"}}, ("currency",)),
        (STRANGER, ("customer",)),
        ({"currency_id": 7, "currency": {"iso": "GNF"}, **STRANGER}, ("currency", "customer")),
    ],
)
def test_the_payment_of_another_under_the_reference_is_refused_each_time(
    shop, told, fedapay, clock, eventually, there, fields
):
    """
    By one error that names the transaction, what differs, and the way out; the payer is not asked, it is never paid.
    """
    fedapay.shows(500, id=500, amount=1000, currency_id=1, status="pending", merchant_reference="CMD-1", customer=PAYER)
    fedapay.shows(500, callback_url="https://autre.example/retour", **there)
    for _ in range(2):
        with pytest.raises(ReferenceTaken, match=r"connector\.adopt\('CMD-1', 500\)") as caught:
            pay(shop)
        error = caught.value
        assert (error.id_transaction, error.merchant_reference, error.fields) == (500, "CMD-1", fields)

    fedapay.shows(500, status="approved")
    tell(shop, clock, **{"number": 500, **fedapay.transactions[500]})
    all_told(shop, eventually)
    assert summary(told) == [("approved", False, False, True)]
    with pytest.raises(AmountMismatch, match="adopt"):
        shop.finalise(500)


def test_what_a_person_has_adopted_is_the_payment(shop, told, fedapay, clock, eventually):
    """
    ``pay`` gives it, its webhook is paid; what it is paid with later is compared with what was adopted.
    """
    fedapay.shows(
        500, id=500, amount=5000, status="pending", merchant_reference="CMD-1", **CURRENCIES["GNF"], **STRANGER
    )
    with pytest.raises(ReferenceTaken):
        pay(shop, 5000)

    assert shop.adopt("CMD-1", 500).id == 500

    tell(shop, clock, 500, amount=5000, **CURRENCIES["GNF"])
    all_told(shop, eventually)
    assert summary(told) == [("approved", True, True, False)]
    assert shop.finalise("500").paid and shop.finalise(500, timeout=0).paid


def test_what_was_told_before_it_was_adopted_is_told_once_as_paid(shop, told, fedapay, clock, eventually):
    fedapay.shows(500, id=500, amount=5000, status="approved", merchant_reference="CMD-1", currency_id=1, **STRANGER)
    with pytest.raises(ReferenceTaken):
        pay(shop, 5000)
    tell(shop, clock, **{"number": 500, **fedapay.transactions[500]})
    all_told(shop, eventually)

    for _ in range(2):
        shop.adopt("CMD-1", 500)
        all_told(shop, eventually)
    assert summary(told) == [("approved", False, False, True), ("approved", True, True, False)]
    assert len({each.event_key for each in told}) == 2
    assert shop.finalise(500).paid


def test_nothing_is_adopted_that_belongs_to_another_payment(shop, fedapay):
    first, second = pay(shop, reference="CMD-1"), pay(shop, reference="CMD-2")
    with pytest.raises(ReferenceTaken, match=r"forget\(8\)"):
        shop.adopt("CMD-1", second.id_transaction)
    with pytest.raises(ReferenceTaken, match="CMD-1"):
        shop.adopt("CMD-9", first.id_transaction)
    with pytest.raises(NotFound):
        shop.adopt("CMD-9", 999)


def test_a_refusal_for_another_reason_stays_a_refusal(shop, fedapay):
    """
    Also where FedaPay cannot say whether it knows the reference.
    """
    fedapay._create = lambda body: (400, {"message": "non"})
    with pytest.raises(BadRequest):
        pay(shop)
    fedapay._create = lambda body: (setattr(fedapay, "away", True), (400, {"message": "non"}))[1]
    with pytest.raises(BadRequest):
        pay(shop)


# -- a reference counts like an id -------------------------------------------------------------------------------------


def test_another_transaction_under_a_reference_of_ours_is_suspect(shop, told, clock, eventually, currency):
    """
    Whatever its sum.
    """
    number = pay(shop, 50_000, currency=currency).id_transaction
    for other, amount in ((900, 1), (901, 50_000)):
        tell(shop, clock, other, amount=amount, merchant_reference="CMD-1", **CURRENCIES[currency])
        with pytest.raises(AmountMismatch, match="référence"):
            shop.finalise(other)
    tell(shop, clock, number, amount=50_000, merchant_reference="CMD-1", **CURRENCIES[currency])
    all_told(shop, eventually)
    assert sorted(summary(told)) == [("approved", False, False, True)] * 2 + [("approved", True, True, False)]


def test_a_payment_that_this_database_did_not_ask_for_says_so(shop, told, clock, eventually):
    """
    Checkout.js, another program: paid it is, and nobody knows for what.
    """
    tell(shop, clock, 900, amount=1, currency_id=1, merchant_reference="AUTRE")
    all_told(shop, eventually)
    assert summary(told) == [("approved", True, False, False)]
    assert shop.finalise(900).paid


# -- amounts and currencies that cannot be read ------------------------------------------------------------------------

UNREADABLE = [
    *[{"amount": each} for each in (10.5, 1000.4, "mille", "1e3", None, True)],
    {"amount": ...},
    {"currency_id": None, "currency": ...},
    {"currency_id": ..., "currency": ...},
    {"currency_id": "un", "currency": {"iso": None}},
]


def shown(currency, changes):
    entity = {"amount": 1000, "merchant_reference": "CMD-1", **CURRENCIES[currency], **changes}
    return {name: value for name, value in entity.items() if value is not ...}


@pytest.mark.parametrize("changes", UNREADABLE, ids=str)
@pytest.mark.parametrize("source", ["webhook", "events"])
def test_what_cannot_be_read_is_read_at_fedapay_before_it_is_told(
    shop, told, fedapay, clock, eventually, currency, changes, source
):
    """
    There it agrees: paid, once.
    """
    number = pay(shop, currency=currency).id_transaction
    fedapay.shows(number, status="approved")
    if source == "webhook":
        tell(shop, clock, number, **shown(currency, changes))
    else:
        runtime = shop._per_process.get()
        runtime.confirmation.schedule(runtime.inbox.ingest_listed(event(number, **shown(currency, changes))))
    all_told(shop, eventually)
    assert summary(told) == [("approved", True, True, False)]
    assert told[0].entity.amount == 1000 and fedapay.asked(number)
    assert shop.finalise(number).paid


@pytest.mark.parametrize("there", [{"amount": 10}, {"amount": "mille"}, {"amount": None}])
def test_what_cannot_be_read_there_either_or_differs_is_suspect(shop, told, fedapay, clock, eventually, there):
    number = pay(shop).id_transaction
    fedapay.shows(number, status="approved", **there)
    tell(shop, clock, number, **shown("XOF", {"amount": "mille"}))
    all_told(shop, eventually)
    assert summary(told) == [("approved", False, True, True)]
    with pytest.raises(AmountMismatch, match=f"accept\\({number}\\)"):
        shop.finalise(number)


def test_while_fedapay_does_not_answer_the_event_waits(shop, told, fedapay, clock, eventually):
    """
    Neither told nor lost: looked at again.
    """
    number = pay(shop).id_transaction
    fedapay.shows(number, status="approved")
    fedapay.away = True
    tell(shop, clock, number, **shown("XOF", {"amount": "mille"}))
    eventually(lambda: len(fedapay.asked(number)) >= 2)
    assert not told
    with pytest.raises(StatusUnknown):
        shop.finalise(number, timeout=0)

    fedapay.away = False

    def later():
        clock.advance(30)
        shop._per_process.get().callbacks.notify()
        return told and quiet(shop)

    eventually(later)
    assert summary(told) == [("approved", True, True, False)]


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 10},
        {"amount": "10"},
        {"currency_id": 8, "currency": ...},
        {"currency": {"iso": "EUR"}},
        {"currency_id": "2", "currency": ...},
    ],
    ids=str,
)
def test_another_sum_is_suspect_at_once(shop, told, fedapay, clock, eventually, currency, changes):
    number = pay(shop, currency=currency).id_transaction
    tell(shop, clock, number, **shown(currency, changes))
    all_told(shop, eventually)
    assert summary(told) == [("approved", False, True, True)] and not fedapay.asked(number)
    with pytest.raises(AmountMismatch):
        shop.finalise(number)


# -- a webhook that overtakes the answer to the creation ---------------------------------------------------------------


@pytest.mark.parametrize("shows_reference", [True, False])
@pytest.mark.parametrize("amount", [10, 1000])
def test_a_webhook_before_the_answer_is_compared_when_the_id_is_stored(
    shop, told, fedapay, clock, eventually, amount, shows_reference
):
    """
    With its reference it is compared at once; without, FedaPay is asked what it is called. Known either way.
    """

    def overtake(made):
        made.update(status="approved", amount=amount)
        more = {"merchant_reference": "CMD-1"} if shows_reference else {}
        tell(shop, clock, made["id"], amount=amount, currency_id=1, **more)

    fedapay.before_answer = overtake
    if amount == 1000:
        number = pay(shop).id_transaction
        assert shop.finalise(number).paid
    else:
        with pytest.raises(AmountMismatch) as caught:
            pay(shop)
        number = caught.value.id_transaction
        with pytest.raises(AmountMismatch):
            shop.finalise(number)
    all_told(shop, eventually)
    assert summary(told)[-1][1] == (amount == 1000)
    assert [each.paid for each in told].count(True) == (1 if amount == 1000 else 0)


def test_a_process_that_died_in_between_leaves_nothing_paid_that_was_not_asked(make_shop, fedapay, clock, eventually):
    """
    The next process finds the transaction under its reference.
    """
    first = make_shop()

    def die(made):
        made.update(status="approved", amount=10)
        tell(first, clock, made["id"], amount=10, currency_id=1)
        raise ConnectionError

    fedapay.before_answer = die
    with pytest.raises(FedapayError):
        pay(first)
    first.close()

    second = make_shop()
    with pytest.raises((ReferenceTaken, AmountMismatch)):
        pay(second)
    events = []
    second.on_webhook(events.append)
    all_told(second, eventually)
    assert not any(each.paid and each.known for each in events)


# -- events that contradict each other ---------------------------------------------------------------------------------


@pytest.mark.parametrize("amounts", [(10, 1000), (1000, 10)])
@pytest.mark.parametrize("truth", [10, 1000])
def test_between_contradictions_the_api_decides(shop, told, fedapay, clock, eventually, amounts, truth):
    """
    One answer for callback and ``finalise``; paid is told once, and never taken back.
    """
    number = pay(shop).id_transaction
    tell(shop, clock, number, amount=amounts[0], currency_id=1)
    all_told(shop, eventually)
    fedapay.shows(number, status="transferred", amount=truth)
    tell(shop, clock, number, "transferred", amount=amounts[1], currency_id=1)
    all_told(shop, eventually)

    paid = [each.paid for each in told]
    if truth == 1000:
        assert paid.count(True) == 1 and shop.finalise(number).paid
    else:
        assert paid.count(True) == (1 if amounts[0] == 1000 else 0) and told[-1].suspect
        with pytest.raises(AmountMismatch):
            shop.finalise(number)
        shop.accept(number)
        all_told(shop, eventually)
        assert [each.paid for each in told].count(True) == 1 and shop.finalise(number).paid


def test_a_reading_that_agrees_tells_a_suspect_payment_once(shop, told, fedapay, clock, eventually):
    """
    Asked by hand, at a return, or by ``finalise``: as often as one likes.
    """
    number = pay(shop).id_transaction
    tell(shop, clock, number, amount=10, currency_id=1)
    all_told(shop, eventually)
    fedapay.shows(number, status="approved")
    for ask in (shop.finalise, shop.check_status, lambda each: shop.returned({"id": each})):
        ask(number)
        all_told(shop, eventually)
    assert summary(told) == [("approved", False, True, True), ("approved", True, True, False)]
    assert shop.finalise(number).paid


def test_what_was_told_paid_is_not_taken_back(shop, told, fedapay, clock, eventually, caplog):
    """
    The callback and ``finalise`` learn that it is not what was asked, and the log has an error.
    """
    number = pay(shop).id_transaction
    tell(shop, clock, number, amount=1000, currency_id=1)
    all_told(shop, eventually)
    fedapay.shows(number, status="approved", amount=10)
    for _ in range(2):
        shop.check_status(number)
        all_told(shop, eventually)
    assert summary(told) == [("approved", True, True, False), ("approved", False, True, True)]
    with pytest.raises(AmountMismatch):
        shop.finalise(number)
    assert "told paid" in caplog.text
    fedapay.shows(number, amount=1000)
    assert shop.finalise(number).paid
    all_told(shop, eventually)
    assert [each.paid for each in told].count(True) == 1


def test_accepting_is_for_what_is_suspect(shop, told, clock, eventually):
    number = pay(shop).id_transaction
    for each in (number, 999):
        with pytest.raises(InvalidArgument, match="adopt"):
            shop.accept(each)
    tell(shop, clock, number, amount=10, currency_id=1)
    all_told(shop, eventually)
    shop.accept(number)
    all_told(shop, eventually)
    assert summary(told) == [("approved", False, True, True), ("approved", True, True, False)]
    # From then on it is what was asked.
    tell(shop, clock, number, "transferred", amount=10, currency_id=1)
    all_told(shop, eventually)
    assert summary(told)[2:] == [("transferred", False, True, False)] and shop.finalise(number).paid


# -- what a careless or hostile world does -----------------------------------------------------------------------------


def test_only_one_transaction_is_the_payment_of_a_reference(shop, told, fedapay, clock, eventually):
    """
    The usual webhook shows only the number of the payer: FedaPay is asked who it is before a reference is believed.
    """
    fedapay.away = True
    with pytest.raises(FedapayError):
        pay(shop)
    fedapay.away = False
    for number in (901, 902):
        fedapay.shows(number, id=number, status="approved", amount=1000, currency_id=1, merchant_reference="CMD-1")
        fedapay.shows(number, customer_id=99, customer={"id": 99, "email": "kossi@exemple.tg"})
        tell(shop, clock, number, amount=1000, currency_id=1, merchant_reference="CMD-1", customer_id=99)
    all_told(shop, eventually)
    assert summary(told) == [("approved", False, False, True)] * 2

    fedapay.transactions.clear()
    number = pay(shop).id_transaction
    tell(shop, clock, number, amount=1000, currency_id=1, merchant_reference="CMD-1")
    all_told(shop, eventually)
    assert summary(told)[2:] == [("approved", True, True, False)]


def test_what_pay_has_refused_is_not_paid_by_a_webhook_that_shows_less(shop, told, fedapay, clock, eventually):
    fedapay.shows(500, id=500, amount=1000, currency_id=1, status="pending", merchant_reference="CMD-1", **STRANGER)
    with pytest.raises(ReferenceTaken):
        pay(shop)
    fedapay.shows(500, status="approved")
    tell(shop, clock, 500, amount=1000, currency_id=1, merchant_reference="CMD-1", customer_id=99)
    all_told(shop, eventually)
    # The event that follows shows no reference at all.
    tell(shop, clock, 500, "transferred", amount=1000, currency_id=1)
    all_told(shop, eventually)
    assert [each.paid for each in told] == [False, False]
    with pytest.raises(AmountMismatch):
        shop.finalise(500)


@pytest.mark.parametrize("reference", ["\ud800", "a\0b", "", " CMD-1", "x" * 300, 5, None, ["CMD-1"], {"a": 1}])
def test_a_reference_that_none_of_ours_can_be_loses_no_webhook(shop, told, clock, eventually, reference):
    number = pay(shop).id_transaction
    tell(shop, clock, number, amount=1000, currency_id=1, merchant_reference=reference)
    tell(shop, clock, 900, amount=1, currency_id=1, merchant_reference=reference)
    all_told(shop, eventually)
    assert sorted(each.known for each in told) == [False, True]


def test_an_event_that_was_not_told_yet_is_told_as_it_was_decided(shop, fedapay, clock, eventually):
    """
    Stored as paid, or failing; then FedaPay says that it is another sum.
    """
    number = pay(shop).id_transaction
    tell(shop, clock, number, amount=1000, currency_id=1)
    fedapay.shows(number, status="approved", amount=10)
    shop.check_status(number)
    events = []
    shop.on_webhook(events.append)
    all_told(shop, eventually)
    assert [(each.paid, each.suspect) for each in events] == [(False, True)]


def test_a_failing_callback_is_told_again_as_it_was_decided(shop, fedapay, clock, eventually):
    """
    "Deliver" never comes after "suspect".
    """
    events = []

    def fails_at_first(event):
        events.append((event.paid, event.attempt))
        if len(events) == 1:
            raise RuntimeError

    shop.on_webhook(fails_at_first)
    number = pay(shop).id_transaction
    tell(shop, clock, number, amount=1000, currency_id=1)
    store = shop._per_process.get().store
    waits = "SELECT count(*) FROM fp_call WHERE work_state = 'ready' AND attempts = 1"
    eventually(lambda: store.read(lambda database: database.execute_sql(waits).fetchone()[0]))
    fedapay.shows(number, status="approved", amount=10)
    shop.check_status(number)

    def later():
        clock.advance(30)
        shop._per_process.get().callbacks.notify()
        return len(events) >= 2 and quiet(shop)

    eventually(later)
    assert events[0] == (True, 1) and not any(paid for paid, _ in events[1:])


def test_a_suspect_payment_outlives_a_purge(shop, told, fedapay, clock, eventually):
    number = pay(shop).id_transaction
    tell(shop, clock, number, amount=10, currency_id=1)
    all_told(shop, eventually)
    clock.advance(4 * 86400)
    shop.purge(0)
    fedapay.shows(number, status="transferred", amount=10)
    tell(shop, clock, number, "transferred", amount=10, currency_id=1)
    all_told(shop, eventually)
    assert not any(each.paid for each in told)
    with pytest.raises(AmountMismatch, match="demandé 1000 XOF"):
        shop.finalise(number)


@pytest.mark.parametrize("amounts", [(10, 1000), (1000, 10)])
def test_the_same_event_with_another_sum_is_no_duplicate(shop, told, fedapay, clock, eventually, amounts):
    """
    FedaPay is asked; what it says is told.
    """
    number = pay(shop).id_transaction
    for amount in amounts:
        fedapay.shows(number, status="approved", amount=amount)
        tell(shop, clock, number, amount=amount, currency_id=1)
        all_told(shop, eventually)
    assert [(each.paid, each.suspect) for each in told] == [(amount == 1000, amount == 10) for amount in amounts]


def test_what_is_told_paid_shows_the_sum_that_was_paid(shop, fedapay, clock, eventually):
    """
    Not that of an event which FedaPay has put right.
    """
    number = pay(shop).id_transaction
    tell(shop, clock, number, amount=10, currency_id=1)
    fedapay.shows(number, status="approved")
    shop.check_status(number)
    events = []
    shop.on_webhook(events.append)
    all_told(shop, eventually)
    assert [(each.paid, each.entity.amount) for each in events if each.paid] == [(True, 1000)]
    assert shop.finalise(number).amount == 1000


def test_a_dispute_is_told_also_after_the_transfer(shop, told, fedapay, clock, eventually):
    number = pay(shop).id_transaction
    for status in ("approved", "transferred"):
        tell(shop, clock, number, status, amount=1000, currency_id=1)
        all_told(shop, eventually)
    fedapay.shows(number, status="transferred", amount=10)
    shop.check_status(number)
    all_told(shop, eventually)
    assert [each.suspect for each in told] == [False, False, True] and told[-1].entity.amount == 10
    with pytest.raises(AmountMismatch, match="reçu 10 XOF"):
        shop.finalise(number)


def test_bodies_that_are_forgotten_at_once_make_nothing_suspect(make_shop, fedapay, clock, eventually):
    """
    A webhook overtakes the answer, and is told, before the id is stored.
    """
    shop, events = make_shop(keep_bodies_days=0), []
    shop.on_webhook(events.append)

    def overtake(made):
        made.update(status="approved")
        tell(shop, clock, made["id"], amount=1000, currency_id=1, merchant_reference="CMD-1")
        eventually(lambda: events)

    fedapay.before_answer = overtake
    number = pay(shop).id_transaction
    all_told(shop, eventually)
    assert summary(events) == [("approved", True, True, False)] and shop.finalise(number).paid


@pytest.mark.parametrize("other", ["payment callback", "restored", "customer"])
def test_other_rows_make_no_transaction_known(shop, fedapay, eventually, other):
    """
    Our own, and those of other objects with the same number.
    """
    number = 900
    if other == "payment callback":
        shop.on_payment(lambda payment: None)
        number = pay(shop).id_transaction
        all_told(shop, eventually)
        fedapay.transactions.clear()
        shop.forget(number)
    elif other == "customer":
        shop.save_webhook({"name": "customer.updated", "entity": {"klass": "v1/customer", "id": number}})
    else:
        shop.on_restored(lambda outcome: None)
        shop.restore()
        with pytest.raises(NotFound):
            shop.listen(number).result(10)
    for _ in range(2):
        with pytest.raises(NotFound):
            shop.finalise(number, timeout=60)
    with pytest.raises(NotFound):
        shop.finalise(number, timeout=0)


def test_what_was_told_as_unknown_is_told_as_known_once_adopted(shop, told, fedapay, clock, eventually):
    """
    README's callback looks at both.
    """
    tell(shop, clock, 900, amount=1000, currency_id=1)
    all_told(shop, eventually)
    fedapay.shows(900, id=900, status="approved", amount=1000, currency_id=1)
    for _ in range(2):
        shop.adopt("CMD-9", 900)
        all_told(shop, eventually)
    assert summary(told) == [("approved", True, False, False), ("approved", True, True, False)]


def test_a_payment_made_with_another_key_is_read_with_that_key(shop, told, fedapay, clock, eventually):
    number = pay(shop, api_key="sk_sandbox_other").id_transaction
    fedapay.shows(number, status="approved")
    tell(shop, clock, number, merchant_reference="CMD-1")
    all_told(shop, eventually)
    assert {each.headers["authorization"] for each in fedapay.asked(number)} == {"Bearer sk_sandbox_other"}
    assert summary(told) == [("approved", True, True, False)]


def test_no_answer_is_no_denial(shop, told, fedapay, clock, eventually):
    """
    After an outage FedaPay is asked as often as ever before an event is called unfounded.
    """
    number = pay(shop).id_transaction
    fedapay.away = True
    tell(shop, clock, number)
    runtime = shop._per_process.get()

    def passes(condition):
        def later():
            clock.advance(30)
            runtime.callbacks.notify()
            return condition()

        eventually(later)

    passes(lambda: len(fedapay.asked(number)) >= 20)
    fedapay.away = False
    begun = len(fedapay.asked(number))
    passes(lambda: told)
    assert len(fedapay.asked(number)) - begun >= 2 and told[0].suspect


def test_a_listed_event_that_is_doubtful_is_read(shop, fedapay, eventually):
    """
    Also where there is no callback for it.
    """
    number = pay(shop).id_transaction
    handle = shop.listen(number)
    fedapay.shows(number, status="approved")
    listed = {"v1/events": [{"id": "1", "type": "transaction.approved", "object_id": number, "object": "transaction",
                             "entity": json.dumps({"id": number, "status": "approved"})}]}  # fmt: skip
    runtime = shop._per_process.get()
    answer = fedapay._answer
    fedapay._answer = lambda request: (200, listed) if "/events" in request.target else answer(request)
    runtime.reconciler._catch_up._take_in("sk_sandbox_test", 0.0)
    assert handle.result(5).paid


def test_what_is_not_confirmed_looks_like_it(shop, told, fedapay, clock, eventually):
    """
    Parked after all its attempts, or because it cannot even be asked for.
    """
    with_blank = event("a b", amount=5, currency_id=1)
    shop._per_process.get().inbox._keep(with_blank, b"{}", "webhook", to_confirm=True)
    (parked,) = eventually(shop.parked)
    assert not parked.paid and parked.suspect and not told


def test_accepting_a_sum_accepts_no_other(shop, told, fedapay, clock, eventually):
    number = pay(shop).id_transaction
    tell(shop, clock, number, amount=900, currency_id=1)
    all_told(shop, eventually)
    shop.accept(number)
    all_told(shop, eventually)
    fedapay.shows(number, status="transferred", amount=1)
    shop.check_status(number)
    all_told(shop, eventually)
    assert [each.suspect for each in told] == [True, False, True]
    with pytest.raises(AmountMismatch, match="demandé 900 XOF, reçu 1 XOF"):
        shop.finalise(number)


def test_a_currency_that_only_the_reading_shows(shop, told, fedapay, clock, eventually):
    """
    The number of a currency that is not XOF means nothing by itself: FedaPay is asked for its name.
    """
    fedapay.created = {"currency_id": 7, "currency": None}
    number = pay(shop, currency="GNF").id_transaction
    fedapay.shows(number, status="approved", currency={"iso": "GNF"})
    shop._per_process.get().store.write(
        lambda database: database.execute_sql("UPDATE fp_payment SET currency_id = NULL")
    )
    tell(shop, clock, number, amount=1000, currency_id=7)
    all_told(shop, eventually)
    assert summary(told) == [("approved", True, True, False)]
    assert "include=currency" in fedapay.asked(number)[-1].target


@pytest.mark.parametrize("number", [2**31, 2**40, 2**70, -1, 0, True])
def test_a_number_of_a_currency_that_no_column_holds_is_no_reason_to_fail(shop, fedapay, number):
    fedapay.created = {"currency_id": number, "currency": {"iso": "GNF"}}
    assert pay(shop, currency="GNF").id_transaction


def test_the_advice_of_a_refusal_helps(shop, fedapay):
    """
    Not where the shop itself asked for another sum; else the adopted sum is what ``pay`` is called with.
    """
    pay(shop)
    with pytest.raises(ReferenceTaken) as caught:
        pay(shop, 5000)
    assert "adopt" not in str(caught.value) and caught.value.fields == ("amount",)
    fedapay.shows(500, id=500, amount=5000, currency={"iso": "xof"}, status="pending", merchant_reference="CMD-5")
    fedapay.shows(500, payment_token="t", payment_url="https://a")
    with pytest.raises(ReferenceTaken, match="montant et la devise"):
        pay(shop, reference="CMD-5")
    shop.adopt("CMD-5", 500)
    assert pay(shop, 5000, reference="CMD-5").id_transaction == 500


def test_two_shops_on_one_database_keep_their_references_apart(make_shop, fedapay, clock, eventually):
    """
    A reference is unique in an account, and what one shop forgets is not the other's.
    """
    first = make_shop()
    second = make_shop(api_key="sk_sandbox_second")
    number = pay(first).id_transaction
    events = []
    second.on_webhook(events.append)
    tell(second, clock, 900, amount=1, currency_id=1, merchant_reference="CMD-1")
    eventually(lambda: events)
    assert summary(events) == [("approved", True, False, False)]
    assert not second.forget(number) and first.forget(number)


# -- one way to read an id ---------------------------------------------------------------------------------------------


def test_an_id_has_one_reading(shop, told, clock, eventually):
    """
    With zeros before it, beside its object, or in the question.
    """
    number = pay(shop).id_transaction
    handle = shop.listen(f"00{number}")
    tell(shop, clock, f"0{number}", amount=1000, currency_id=1)
    assert handle.result(5).paid and shop.finalise(f"0{number}").paid
    all_told(shop, eventually)
    assert summary(told) == [("approved", True, True, False)]
    body = {"name": "transaction.transferred", "object": "transaction", "object_id": number}
    body["entity"] = {"klass": "v1/transaction", "status": "transferred", "amount": 1000, "currency_id": 1}
    shop.save_webhook(body)
    all_told(shop, eventually)
    assert told[1].id_transaction == number and told[1].known


@pytest.mark.parametrize("name", ["unreadable", "transaction.approved:unconfirmed:x", "local.payment"])
def test_an_event_may_bear_any_name(shop, told, clock, eventually, name):
    """
    What an event is to us is not part of a text that others write.
    """
    number = pay(shop).id_transaction
    shop.save_webhook(event(number, name=name, amount=1000, currency_id=1))
    all_told(shop, eventually)
    assert [(each.name, each.paid) for each in told] == [(name, True)]


def test_a_cancel_and_a_look_read_an_id_as_a_wait_does(make_connector, emulator):
    shop = make_connector()
    number = shop.pay(PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test), CLIENT, 500).id_transaction
    assert shop.finalise(f"00{number}", timeout=0).id_transaction == str(number)
    assert shop.cancel(f"0{number}").delete_status
    assert [each.path for each in emulator.requests if each.method == "DELETE"] == [f"/v1/transactions/{number}"]


def test_what_is_adopted_with_another_key_is_followed_up_with_it(shop, fedapay):
    fedapay.shows(900, id=900, amount=5, currency_id=1, status="pending")
    shop.adopt("CMD-9", 900, api_key="sk_sandbox_other")
    keys = shop._per_process.get().keyring.by_account()
    assert "sk_sandbox_other" in [each.reveal() for each in keys.values()]


def test_one_customer_is_erased_in_ones_own_account_only(make_shop, clock, eventually):
    """
    By whichever writing of the id.
    """
    first, second = make_shop(), make_shop(api_key="sk_sandbox_second")
    number = pay(first).id_transaction
    tell(first, clock, number, amount=1000, currency_id=1)
    clock.advance(2 * 86400)
    for wanted in ("CMD-1", number):
        with pytest.raises(InvalidArgument):
            second.purge(customer=wanted)
    assert first.purge(customer=f"0{number}").bodies == 1


# -- ids that nobody knows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["abc", 12345])
def test_an_id_that_nobody_knows_is_an_error_at_once(make_connector, emulator, number):
    """
    Not ten minutes of waiting, and nothing is left that is asked about in later runs.
    """
    shop = make_connector()
    for ask in (shop.finalise, shop.check_status, lambda each: shop.finalise(each, timeout=0)):
        with pytest.raises(NotFound) as caught:
            ask(number)
        assert str(number) in str(caught.value)
    told = []
    handle = shop.listen(number, callback=told.append)
    with pytest.raises(NotFound, match="Vérifier l'identifiant"):
        handle.result(10)
    assert shop.cancel_all_listens() == 0


def test_the_callback_of_a_wait_for_an_unknown_id_gets_the_error(make_connector, eventually):
    told = []
    make_connector().listen(12345, callback=told.append)
    (outcome,) = eventually(lambda: told)
    assert outcome.status == EventFutureStatus.CANCELLED and isinstance(outcome.error, NotFound) and not outcome.paid
    assert outcome.to_dict()["error"] == "NotFound"


def test_without_an_answer_it_is_waited_for(shop, fedapay, clock, eventually):
    """
    The wait is open while FedaPay is asked: a webhook ends it.
    """
    fedapay.away = True
    handle = shop.listen(900)
    eventually(lambda: fedapay.asked(900))
    tell(shop, clock, 900, amount=500, currency_id=1)
    assert handle.result(5).paid


def test_a_known_id_is_not_asked(shop, fedapay, clock, eventually):
    number = pay(shop).id_transaction
    shop.listen(number)
    tell(shop, clock, 900, "updated", updated_at="2026-11-20T10:00:00Z")
    shop.listen(900)
    shop.listen(901)
    eventually(lambda: fedapay.asked(901))
    assert not fedapay.asked(number) and not fedapay.asked(900)


def test_what_an_emptied_emulator_left_behind_can_be_forgotten(shop, fedapay, eventually):
    """
    Its wait ends; from then on the id is one that nobody knows.
    """
    number = pay(shop).id_transaction
    handle = shop.listen(number)
    fedapay.transactions.clear()
    assert shop.forget(f"0{number}") and not shop.forget(number)
    assert handle.result(5).status == EventFutureStatus.CANCELLED
    with pytest.raises(NotFound):
        shop.finalise(number)
    # The reference is free again.
    assert pay(shop).id_transaction


# -- back from the payment page ----------------------------------------------------------------------------------------


def test_the_status_that_a_browser_brings_back_is_ignored(shop, fedapay):
    """
    Anybody can write it: the answer comes from the store or from FedaPay.
    """
    number = pay(shop).id_transaction
    for query in ({"id": str(number), "status": "approved"}, {"id": [str(number)]}, f"?id={number}&status=approved"):
        assert not shop.returned(query).paid
    fedapay.shows(number, status="approved")
    outcome = shop.returned(f"https://boutique.example.bj/retour?commande=17&id={number}&suite=/a?b=1#haut?x")
    assert outcome.paid and outcome.id_transaction == number and outcome.amount == 1000
    asked = len(fedapay.asked(number))
    assert shop.returned({"id": number}).paid and len(fedapay.asked(number)) == asked


@pytest.mark.parametrize(
    "query", [{}, "", "status=approved", {"id": ""}, {"id": ["1", "2"]}, "id=1&id=2", {"id": "../x"}, None, 5]
)
def test_a_return_without_one_readable_id_is_refused(shop, query):
    with pytest.raises(InvalidArgument):
        shop.returned(query)


def test_a_return_with_an_id_that_nobody_knows(shop, fedapay):
    with pytest.raises(NotFound):
        shop.returned({"id": "999"})
    fedapay.away = True
    with pytest.raises(StatusUnknown):
        shop.returned({"id": "999"})


# -- on every way in ---------------------------------------------------------------------------------------------------

WAYS = (
    "created",
    "found",
    "lost answer",
    "status",
    "webhook",
    "listed",
    "return",
    "before the answer",
    "reference only",
)
other_sum = st.one_of(
    st.integers(0, 10**9).filter(lambda each: each != 1000).map(lambda each: {"amount": each}),
    st.integers(0, 10**9).filter(lambda each: each != 1000).map(lambda each: {"amount": str(each)}),
    st.integers(2, 99).map(lambda each: {"currency_id": each}),
    st.sampled_from(["GNF", "EUR", "USD"]).map(lambda each: {"currency": {"iso": each}}),
)
other_payer = st.sampled_from(
    [{"customer": {"email": "kossi@exemple.tg"}}, {"customer": {"phone_number": {"number": "22997000002"}}}]
)


def test_what_differs_is_never_paid_on_any_way(shop, told, fedapay, clock, eventually):
    """
    In any one field, whichever way it comes: refused, or suspect.
    """
    runtime, numbers = shop._per_process.get(), iter(range(10_000))

    def try_it(way, reference, differs):
        usual = {"amount": 1000, "currency_id": 1, "merchant_reference": reference, "customer": PAYER}
        approved = {**usual, "status": "approved", **differs}
        if way == "created":
            fedapay.created = {**approved}
            return pay(shop, reference=reference)
        if way == "found":
            number = next(fedapay.ids)
            fedapay.shows(number, id=number, **approved)
            return pay(shop, reference=reference)
        if way == "lost answer":

            def lose(made):
                made.update(approved)
                raise ConnectionError

            fedapay.before_answer = lose
            return pay(shop, reference=reference)
        if way == "before the answer":
            fedapay.before_answer = lambda made: (made.update(approved), tell(shop, clock, made["id"], **approved))
            return pay(shop, reference=reference)
        if way == "reference only":
            pay(shop, reference=reference)
            return tell(shop, clock, 10**6 + next(numbers), **approved)
        number = pay(shop, reference=reference).id_transaction
        fedapay.shows(number, **approved)
        if way == "webhook":
            tell(shop, clock, number, **approved)
        elif way == "listed":
            runtime.inbox.ingest_listed(event(number, **approved))
        elif way == "status":
            shop.check_status(number)
        else:
            shop.returned({"id": number, "status": "approved"})
        return shop.finalise(number)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(way=st.sampled_from(WAYS), differs=st.one_of(other_sum, other_payer))
    def check(way, differs):
        fedapay.created, fedapay.before_answer = {}, lambda made: None
        reference, before = f"P-{next(numbers)}", len(told)
        if "customer" in differs:
            # By its id it is this payment's, whoever paid it.
            way = "found" if way not in ("found", "lost answer", "reference only") else way
        if way == "reference only":
            try_it(way, reference, differs)
        else:
            with pytest.raises((ReferenceTaken, AmountMismatch)):
                try_it(way, reference, differs)
        all_told(shop, eventually)
        assert not any(each.paid for each in told[before:])

    check()


def test_no_honest_retry_is_refused(make_shop, fedapay, tmp_path):
    """
    Another description, another form of the same number, fields that FedaPay leaves out; with and without a database.
    """
    shops = [make_shop(), make_shop(db_url=f"sqlite:///{tmp_path}/other.db")]
    numbers = iter(range(10_000))

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        words=st.sampled_from([{}, {"description": "Autre"}, {"custom_metadata": {"essai": 2}}]),
        tel=st.sampled_from(["0164000001", "64000001", "+22964000001", "2290164000001"]),
        left_out=st.sets(st.sampled_from(["amount", "currency_id", "customer", "description", "callback_url"])),
        form=st.sampled_from([{}, {"amount": "1000"}, {"currency_id": "1"}, {"customer_id": None}]),
        shop=st.sampled_from(shops),
    )
    def check(words, tel, left_out, form, shop):
        reference = f"H-{next(numbers)}"
        first = pay(shops[0], reference=reference, description="Commande", callback_url="https://a.example/retour")
        made = fedapay.transactions[first.id_transaction]
        made.update(form)
        for name in left_out:
            made.pop(name, None)
        client = UserData(nom="Doe", prenom="John", email="john@example.com", tel=tel)
        again = shop.pay(SETUPS["XOF"], client, 1000, merchant_reference=reference, **words)
        assert again.id_transaction == first.id_transaction

    check()
