"""Paying: one transaction and one prompt for each reference, whatever gets lost on the way."""

import json
import logging
import multiprocessing
import pickle
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.raw_server import RawServer, answers, closes, http, resets, says
from support.transport_calls import repeat_at_once

from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, TypesPaiement, UserData
from fedapay_sync.emulator import Emulator
from fedapay_sync.errors import (
    AmountMismatch,
    AuthenticationError,
    BadRequest,
    ConfigError,
    FedapayError,
    InvalidArgument,
    InvalidCountryPaymentCombination,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    ReferenceTaken,
    ServerFault,
    StoreError,
    UnreadableAnswer,
)

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
ON_PAGE = PaiementSetup(pays=Pays.benin, type_paiement=TypesPaiement.AVEC_REDIRECTION)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")

CREATE = "/v1/transactions"
PUSH = "/v1/momo_test"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2ln"


@pytest.fixture
def shop(make_connector):
    return make_connector()


@pytest.fixture
def pay(shop):
    def pay(**changes):
        settings = {"setup": SETUP, "client_infos": CLIENT, "montant_paiement": 500, **changes}
        return shop.pay(**settings)

    return pay


def calls(emulator):
    """What the emulator was asked, in short."""
    return [f"{each.method} {each.path}" for each in emulator.requests]


def pushes(emulator):
    return [each for each in emulator.requests if each.path == PUSH]


def rows(db_url):
    database = sqlite3.connect(db_url[len("sqlite:///") :])
    try:
        query = "SELECT merchant_reference, amount, currency, transaction_id, state FROM fp_payment ORDER BY id"
        return database.execute(query).fetchall()
    finally:
        database.close()


def states(db_url):
    return [row[4] for row in rows(db_url)]


# -- when all goes well --------------------------------------------------------------------------------------------


def test_a_payment_creates_one_transaction_and_prompts_one_number(pay, emulator, db_url):
    """
    Two calls: the creation, with a reference of its own and the token in its answer, and the prompt.
    """
    payment = pay(custom_metadata={"commande": 7}, description="Sac", callback_url="https://boutique.bj/retour")

    create, push = emulator.requests
    assert (create.path, push.path) == (CREATE, PUSH)
    assert create.json["amount"] == 500 and create.json["currency"] == {"iso": "XOF"}
    assert create.json["customer"]["phone_number"] == {"number": "0164000001", "country": "bj"}
    assert create.json["custom_metadata"] == {"commande": 7}
    assert push.json["phone_number"] == {"number": "0164000001", "country": "bj"}
    reference = create.json["merchant_reference"]
    assert rows(db_url) == [(reference, 500, "XOF", str(payment.id_transaction), "sent")]
    assert payment.transaction.merchant_reference == reference
    assert payment.payment_link and payment.set_methode_data.mode == "momo_test"


def test_invented_references_differ(pay):
    """
    Two payments without a reference are two payments.
    """
    first, second = pay(), pay()
    assert first.id_transaction != second.id_transaction
    assert first.transaction.merchant_reference != second.transaction.merchant_reference


def test_the_intent_is_on_disk_before_fedapay_is_asked(make_connector, db_url):
    """
    A process that dies at the POST finds its reference again.
    """
    seen = []

    def look(server, connection, request):
        seen.append(rows(db_url))
        return answers(400 if request.method == "POST" else 404, {"message": "non"})(server, connection, request)

    with RawServer(look) as server, pytest.raises(BadRequest) as caught:
        make_connector(fedapay_api_url=server.url).pay(SETUP, CLIENT, 500, merchant_reference="CMD-1")

    assert seen[0] == [("CMD-1", 500, "XOF", None, "intent")]
    assert caught.value.merchant_reference == "CMD-1" and caught.value.id_transaction is None
    assert states(db_url) == ["failed"]


def test_the_state_is_sent_before_the_prompt_goes_out(make_connector, db_url):
    """
    A process that dies at the push does not ask the customer again.
    """
    seen = []

    def look(server, connection, request):
        seen.append(rows(db_url))
        return answers(200, {"message": "success"})(server, connection, request)

    with RawServer(answers(200, created(7)), look) as server:
        payment = make_connector(fedapay_api_url=server.url).pay(SETUP, CLIENT, 500, merchant_reference="CMD-1")

    assert seen == [[("CMD-1", 500, "XOF", "7", "sent")]]
    assert payment.id_transaction == 7


def created(id=7, **changes):
    transaction = {
        "id": id,
        "status": "pending",
        "amount": 500,
        "merchant_reference": None,
        "payment_token": TOKEN,
        "payment_url": f"https://process.fedapay.com/{TOKEN}",
        **changes,
    }
    return {"v1/transaction": transaction}


def test_the_token_is_asked_for_where_it_did_not_come(make_connector):
    """
    Older answers leave it out: one call more, and the prompt carries it.
    """
    token = answers(200, {"token": TOKEN, "url": "https://x/y"})
    with RawServer(answers(200, created(payment_token=None)), token, answers(200, {"v1/payment_intent": {}})) as server:
        payment = make_connector(fedapay_api_url=server.url).pay(SETUP, CLIENT, 500)

        assert [each.target for each in server.requests] == [CREATE, f"{CREATE}/7/token", PUSH]
        assert server.requests[2].json["token"] == TOKEN
        assert payment.payment_link == "https://x/y"


@pytest.mark.parametrize(
    ("contact", "client", "number"),
    [
        ("0166000001", CLIENT, "0166000001"),
        (None, CLIENT, "0164000001"),
        ("0166000001", None, "0166000001"),
        ("0166000001", UserData(nom="A", prenom="B"), "0166000001"),
    ],
)
def test_the_prompt_goes_to_the_contact_or_else_to_the_client(pay, emulator, contact, client, number):
    """
    ``payment_contact`` is the number to debit when it is not the client's own.
    """
    pay(payment_contact=contact, client_infos=client)
    assert pushes(emulator)[0].json["phone_number"] == {"number": number, "country": "bj"}


@pytest.mark.parametrize("client", [CLIENT, None])
def test_with_redirection_nobody_is_prompted(pay, emulator, client):
    """
    The customer pays on the page; there is a link to it.
    """
    payment = pay(setup=ON_PAGE, client_infos=client)
    assert payment.payment_link and payment.set_methode_data is None
    assert calls(emulator) == [f"POST {CREATE}"]


def test_the_payment_callback_is_owed_once(shop, pay, emulator, eventually):
    """
    Also when the same reference is paid again.
    """
    called = []
    shop.on_payment(called.append)

    first = pay(merchant_reference="CMD-1")
    pay(merchant_reference="CMD-1")
    second = pay()

    eventually(lambda: len(called) >= 2)
    assert [each.id_transaction for each in called] == [first.id_transaction, second.id_transaction]


# -- what is refused before anything is sent -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        *[("montant_paiement", {"montant_paiement": amount}) for amount in (0, -5, 12.5, "500", True, None, 10**20)],
        *[("montant_paiement", {"montant_paiement": float(odd)}) for odd in ("nan", "inf", "-inf")],
        *[("setup", {"setup": odd}) for odd in (None, {}, "momo_test", Pays.benin, CLIENT)],
        *[("client_infos", {"client_infos": odd}) for odd in ({}, "Doe", SETUP, {"nom": "Doe"})],
        *[("payment_contact", {"payment_contact": odd}) for odd in ("", "abc", 164000001, "1" * 30, True)],
        ("payment_contact", {"client_infos": None}),
        ("payment_contact", {"client_infos": UserData(nom="A", prenom="B")}),
        *[("merchant_reference", {"merchant_reference": odd}) for odd in ("", " ", "..", " a", "a\nb", "x" * 256, 7)],
        *[("custom_metadata", {"custom_metadata": odd}) for odd in ([], "x", {"a": object()}, {"a": float("nan")})],
        ("description", {"description": 7}),
        ("callback_url", {"callback_url": b"https://x"}),
        ("body", {"description": "\ud800"}),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_sent(pay, emulator, field, changes):
    """
    With the name of the argument and a sentence that says what is expected.
    """
    with pytest.raises(InvalidArgument) as caught:
        pay(**changes)
    assert caught.value.field == field and len(str(caught.value)) > 40
    assert emulator.requests == []


def test_a_real_operator_in_sandbox_is_refused_with_the_remedy(pay, emulator):
    """
    FedaPay itself answers « Opération non autorisée », which tells nobody what to do.
    """
    with pytest.raises(InvalidCountryPaymentCombination, match=r"momo_test.*0164000001"):
        pay(setup=PaiementSetup(pays=Pays.benin, method=MethodesPaiement.mtn_open))
    assert emulator.requests == []


def test_the_test_operator_in_production_is_refused_with_the_remedy(make_connector, db_url):
    """
    Before a transaction is made that nobody could pay so; a real operator is prompted.
    """
    with Emulator(secret_key="sk_live_emulateur_fedapay_sync") as live:
        secret = live.webhook_secret
        shop = make_connector(fedapay_api_url=live.url, api_key=live.secret_key, fedapay_webhooks_secret_key=secret)
        with pytest.raises(InvalidCountryPaymentCombination, match="sandbox"):
            shop.pay(SETUP, CLIENT, 500)
        assert live.requests == []
        shop.pay(PaiementSetup(pays=Pays.benin, method=MethodesPaiement.mtn_open), CLIENT, 500)
        assert calls(live) == [f"POST {CREATE}", "POST /v1/mtn_open"]


def test_a_key_that_cannot_be_one_is_refused_before_anything_is_sent(pay, emulator):
    """
    A public key by mistake.
    """
    with pytest.raises(ConfigError):
        pay(api_key="pk_sandbox_abc")
    assert emulator.requests == []


# -- the same reference again ----------------------------------------------------------------------------------------


def test_a_known_reference_gives_the_same_transaction_and_asks_nobody(pay, emulator):
    """
    However often, and after the payment too.
    """
    first = pay(merchant_reference="CMD-1")
    again = pay(merchant_reference="CMD-1")
    assert again.id_transaction == first.id_transaction and again.payment_link
    emulator.approve(first.id_transaction)
    paid = pay(merchant_reference="CMD-1")

    assert paid.status == "approved" and paid.transaction.was_paid
    assert len(emulator.transactions) == 1 and len(pushes(emulator)) == 1


def test_a_known_reference_of_which_fedapay_knows_nothing_is_named(pay, emulator):
    """
    An emulator that has forgotten everything, or the database of another account: no other payment is made.
    """
    first = pay(merchant_reference="CMD-17")
    emulator.reset()

    with pytest.raises(NotFound, match=r"'CMD-17' est celle d'un paiement de cette base.*--state FICHIER") as caught:
        pay(merchant_reference="CMD-17")
    assert caught.value.id_transaction == first.id_transaction and emulator.transactions == []


@pytest.mark.parametrize(
    "other",
    [
        UserData(nom="Amouzou", prenom="Afi", tel="0190112233"),
        UserData(nom="Doe", prenom="John", email="jane@example.com", tel="0164000001"),
    ],
)
@pytest.mark.parametrize("is_paid", [False, True])
def test_a_known_reference_of_another_customer_is_refused(pay, emulator, other, is_paid):
    """
    They would get the first one's answer, perhaps "paid", and nobody would ask them.
    """
    first = pay(merchant_reference="CMD-17")
    if is_paid:
        emulator.approve(first.id_transaction)
    sent = len(emulator.requests)

    with pytest.raises(ReferenceTaken, match=r"autre client.*référence neuve") as caught:
        pay(merchant_reference="CMD-17", client_infos=other)
    assert caught.value.fields == ("customer",) and caught.value.id_transaction == first.id_transaction
    assert len(emulator.requests) == sent


def test_a_known_reference_with_the_customers_corrected_number_is_the_same_payment(pay, emulator):
    """
    The surest trait of both is the e-mail.
    """
    first = pay(merchant_reference="CMD-17")
    corrected = UserData(nom="Doe", prenom="Jon", email="john@example.com", tel="0166000001")

    assert pay(merchant_reference="CMD-17", client_infos=corrected).id_transaction == first.id_transaction


@pytest.mark.parametrize(("reference", "advice"), [(17, "CMD-17"), (True, "texte"), (" 17", "sans espace")])
def test_a_reference_that_is_no_text_says_what_to_give(pay, emulator, reference, advice):
    with pytest.raises(InvalidArgument, match="unique pour toujours") as caught:
        pay(merchant_reference=reference)
    assert advice in str(caught.value) and emulator.requests == []


def test_a_known_reference_with_another_amount_is_refused(pay, emulator):
    """
    It names both amounts and the transaction; nothing is sent.
    """
    first = pay(merchant_reference="CMD-1")
    before = len(emulator.requests)
    for change in ({"montant_paiement": 501}, {"setup": PaiementSetup(pays=Pays.guinee, method="momo_test")}):
        with pytest.raises(InvalidArgument, match=r"500 XOF.*référence neuve") as caught:
            pay(merchant_reference="CMD-1", **change)
        assert caught.value.id_transaction == first.id_transaction
    assert len(emulator.requests) == before


def test_a_deleted_or_ended_transaction_is_shown_and_not_prompted(pay, shop, emulator):
    """
    The same reference never makes a second one.
    """
    first = pay(merchant_reference="CMD-1", setup=ON_PAGE)
    shop.cancel(first.id_transaction)
    assert pay(merchant_reference="CMD-1").transaction.is_deleted
    second = pay(merchant_reference="CMD-2", setup=ON_PAGE)
    emulator.decline(second.id_transaction)
    assert pay(merchant_reference="CMD-2").status == "declined"
    assert not pushes(emulator)


def test_a_page_payment_may_be_prompted_later(pay, emulator):
    """
    Nobody had been: the row says so. Once.
    """
    first = pay(merchant_reference="CMD-1", setup=ON_PAGE)
    for _ in range(2):
        assert pay(merchant_reference="CMD-1").id_transaction == first.id_transaction
    assert len(pushes(emulator)) == 1


def test_two_accounts_may_use_one_reference(make_connector, emulator):
    """
    A row belongs to a key.
    """
    with Emulator(secret_key="sk_sandbox_autre") as other:
        make_connector().pay(SETUP, CLIENT, 500, merchant_reference="CMD-1")
        make_connector(fedapay_api_url=other.url, api_key=other.secret_key).pay(
            SETUP, CLIENT, 700, merchant_reference="CMD-1"
        )
        assert len(emulator.transactions) == len(other.transactions) == 1


# -- the creation goes wrong -----------------------------------------------------------------------------------------


def test_a_lost_answer_to_the_creation_is_found_again(pay, emulator, db_url):
    """
    One transaction, one prompt, and the caller notices nothing.
    """
    emulator.fail_next(CREATE, method="POST", cut="after")
    payment = pay(merchant_reference="CMD-1")

    assert [each["id"] for each in emulator.transactions] == [payment.id_transaction]
    assert len(pushes(emulator)) == 1 and states(db_url) == ["sent"]


@pytest.fixture
def impatient(shop):
    """The shop without the waits between looks."""
    # A transport that was closed still works, and does not pause.
    shop._started_runtime().transport.close()
    return shop


def test_a_lost_creation_names_its_reference_and_can_be_asked_again(pay, impatient, emulator, db_url):
    """
    Cut before FedaPay did anything, twice: the error gives the reference, and the next call makes exactly one.
    """
    emulator.fail_next(CREATE, method="POST", cut="before", times=2)
    with pytest.raises(OutcomeUnknown, match="CMD-1") as caught:
        pay(merchant_reference="CMD-1")
    assert caught.value.merchant_reference == "CMD-1" and caught.value.id_transaction is None
    assert str(caught.value) == caught.value.message
    assert states(db_url) == ["unknown"] and not emulator.transactions

    payment = pay(merchant_reference="CMD-1")
    assert [each["id"] for each in emulator.transactions] == [payment.id_transaction]
    assert len(pushes(emulator)) == 1 and states(db_url) == ["sent"]


def test_an_invented_reference_is_told_when_the_creation_is_lost(pay, impatient, emulator):
    """
    Else nobody could take the payment up again.
    """
    emulator.fail_next(CREATE, method="POST", cut="before", times=2)
    with pytest.raises(OutcomeUnknown) as caught:
        pay()
    reference = caught.value.merchant_reference
    assert reference and reference in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).merchant_reference == reference
    assert pay(merchant_reference=reference).transaction.merchant_reference == reference


def test_a_transaction_whose_maker_died_is_taken_up_and_prompted(pay, impatient, emulator, db_url):
    """
    Dead between the POST and the id on disk: the next call finds it, and asks the customer, who never was.
    """
    emulator.fail_next(CREATE, method="POST", cut="after")
    emulator.fail_next(f"{CREATE}/merchant", status=500, times=3)
    with pytest.raises(OutcomeUnknown):
        pay(merchant_reference="CMD-1")
    assert len(emulator.transactions) == 1 and not pushes(emulator)

    for _ in range(2):
        payment = pay(merchant_reference="CMD-1")
    assert [each["id"] for each in emulator.transactions] == [payment.id_transaction]
    assert len(pushes(emulator)) == 1 and states(db_url) == ["sent"]


def test_a_connection_that_never_opened_can_be_tried_again(make_connector, emulator, free_port):
    """
    NotSent: nothing happened, and the same reference still makes one.
    """
    down = repeat_at_once(make_connector(fedapay_api_url=f"http://127.0.0.1:{free_port}"))
    with pytest.raises(NotSent) as caught:
        down.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1")
    assert caught.value.merchant_reference == "CMD-1"

    make_connector().pay(SETUP, CLIENT, 500, merchant_reference="CMD-1")
    assert len(emulator.transactions) == len(pushes(emulator)) == 1


BAD_ANSWERS = {
    "500": answers(500),
    "502 HTML": answers(502, b"<html>Bad Gateway</html>"),
    "empty 200": answers(200),
    "204": answers(204),
    "HTML 200": answers(200, b"<html>"),
    "garbage": says(b"\x00\x01\x02"),
    "nothing": closes,
    "reset": resets,
    "half": says(http(200, json.dumps(created()).encode())[:-20]),
    "list": answers(200, [1]),
    "no id": answers(200, {"v1/transaction": {"status": "pending"}}),
    "id that walks": answers(200, {"v1/transaction": {"id": "1/../2"}}),
}
NOT_THERE = answers(404, {"message": "Non trouvé"})


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_to_the_creation_is_looked_up_before_it_is_sent_again(make_connector, name, db_url):
    """
    Found: adopted. Not there: sent again, once; still not there: an error of ours with the reference.
    """
    bad, looks = BAD_ANSWERS[name], [NOT_THERE] * 3
    with RawServer() as server:
        for number, plays in enumerate([[bad, answers(200, created())], [bad, *looks, bad, *looks]]):
            server(*plays)
            shop = make_connector(fedapay_api_url=server.url)
            shop._started_runtime().transport.close()
            if number == 0:
                assert shop.pay(ON_PAGE, CLIENT, 500, merchant_reference="A/1").id_transaction == 7
                assert [each.target for each in server.requests] == [CREATE, f"{CREATE}/merchant/A%2F1"]
            else:
                with pytest.raises((OutcomeUnknown, ServerFault, UnreadableAnswer), match="A/2") as caught:
                    shop.pay(ON_PAGE, CLIENT, 500, merchant_reference="A/2")
                assert caught.value.merchant_reference == "A/2" and caught.value.id_transaction is None
                assert [each.method for each in server.requests] == ["POST", "GET", "GET", "GET"] * 2
    assert states(db_url) == ["created", "unknown"]


@pytest.mark.parametrize(("status", "kind"), [(400, BadRequest), (401, AuthenticationError), (429, RateLimited)])
def test_a_refused_creation_is_an_error_at_once(pay, emulator, status, kind, db_url):
    """
    It can be asked again under the same reference, once put right.
    """
    emulator.fail_next(CREATE, method="POST", status=status)
    with pytest.raises(kind) as caught:
        pay(merchant_reference="CMD-1")
    assert caught.value.merchant_reference == "CMD-1"
    assert [each.method for each in emulator.requests].count("POST") == 1 and states(db_url) == ["failed"]

    pay(merchant_reference="CMD-1")
    assert len(emulator.transactions) == len(pushes(emulator)) == 1


def test_an_answer_with_another_reference_is_an_error(make_connector, db_url):
    """
    Somebody else's transaction is neither prompted nor given to the caller as the order's.
    """
    with RawServer(answers(200, created(merchant_reference="CMD-99"))) as server:
        shop = make_connector(fedapay_api_url=server.url)
        with pytest.raises(UnreadableAnswer, match=r"CMD-99.*CMD-1") as caught:
            shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1")
        assert len(server.requests) == 1 and caught.value.id_transaction is None
    assert states(db_url) == ["unknown"]


def test_an_answer_with_the_id_of_another_payment_is_an_error(make_connector):
    """
    Also where it carries no reference: the store knows whose it is.
    """
    with RawServer(answers(200, created(7))) as server:
        shop = make_connector(fedapay_api_url=server.url)
        shop.pay(ON_PAGE, CLIENT, 500, merchant_reference="CMD-1")
        with pytest.raises(UnreadableAnswer, match=r"CMD-1.*CMD-2"):
            shop.pay(ON_PAGE, CLIENT, 500, merchant_reference="CMD-2")


def test_an_answer_with_another_amount_is_not_prompted(make_connector, db_url):
    """
    Neither now nor under the same reference later; the error carries the transaction and both sums.
    """
    with RawServer(answers(200, created(amount=5000))) as server:
        shop = make_connector(fedapay_api_url=server.url)
        for _ in range(2):
            with pytest.raises(AmountMismatch) as caught:
                shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1")
            error = caught.value
            assert (error.id_transaction, error.expected, error.received) == (7, "500 XOF", "5000 (devise illisible)")
        assert all(each.target != PUSH for each in server.requests)


# -- token and prompt go wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in BAD_ANSWERS if "id" not in name])
def test_a_bad_answer_to_the_token_carries_the_transaction(make_connector, name, db_url):
    """
    Nobody was asked: the same reference asks for the token again, and prompts.
    """
    untold = answers(200, created(payment_token=None))
    with RawServer(untold, BAD_ANSWERS[name]) as server:
        shop = make_connector(fedapay_api_url=server.url)
        with pytest.raises(FedapayError, match="transaction 7") as caught:
            shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1")
        assert (caught.value.id_transaction, caught.value.merchant_reference) == (7, "CMD-1")
        assert states(db_url) == ["created"]

        server(untold, answers(200, {"token": TOKEN, "url": "https://x"}), answers(200, {"message": "success"}))
        assert shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction == 7
        assert [each.target for each in server.requests] == [f"{CREATE}/7", f"{CREATE}/7/token", PUSH]


@pytest.mark.parametrize("name", [name for name in BAD_ANSWERS if "id" not in name])
def test_a_bad_answer_to_the_prompt_is_looked_at_and_never_repeated(make_connector, name, db_url):
    """
    The phone may be ringing: FedaPay says where the transaction stands.
    """
    with RawServer(answers(200, created()), BAD_ANSWERS[name], answers(200, created(status="approved"))) as server:
        shop = make_connector(fedapay_api_url=server.url)
        payment = shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1")
        assert (payment.id_transaction, payment.status, payment.set_methode_data) == (7, "approved", None)
        assert [each.target for each in server.requests] == [CREATE, PUSH, f"{CREATE}/7"]

        server(answers(200, created()))
        assert shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction == 7
        assert [each.target for each in server.requests] == [f"{CREATE}/7"], "never a second prompt"


@pytest.mark.parametrize("look", [NOT_THERE, answers(500), answers(200, b"<"), closes])
def test_a_prompt_in_doubt_that_cannot_be_looked_at_says_that_money_may_move(make_connector, look):
    """
    Not « rien n'a été envoyé », not « recommencer »: the customer may have been asked.
    """
    with RawServer(answers(200, created()), closes, look) as server:
        shop = make_connector(fedapay_api_url=server.url)
        shop._started_runtime().transport.close()
        with pytest.raises(OutcomeUnknown, match="peut-être reçu l'invitation") as caught:
            shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1")
        error = caught.value
        assert (error.id_transaction, error.merchant_reference) == (7, "CMD-1")
        assert (error.method, error.path) == ("POST", "/momo_test")
        assert [each.target for each in server.requests].count(PUSH) == 1


def test_a_lost_answer_to_the_prompt_is_one_prompt(pay, emulator):
    """
    Cut after FedaPay did it.
    """
    emulator.fail_next(PUSH, cut="after")
    payment = pay(merchant_reference="CMD-1")
    assert payment.status == "pending" and payment.transaction.mode == "momo_test"
    pay(merchant_reference="CMD-1")
    assert len(pushes(emulator)) == 1


def test_a_refused_prompt_carries_the_transaction_and_can_be_put_right(pay, emulator, db_url):
    """
    Certainly not on a phone: the same reference may prompt another number.
    """
    with pytest.raises(BadRequest, match="existe chez FedaPay") as caught:
        pay(merchant_reference="CMD-1", payment_contact="+229 0164", client_infos=None)
    id_transaction = emulator.transactions[0]["id"]
    assert (caught.value.id_transaction, caught.value.merchant_reference) == (id_transaction, "CMD-1")
    assert states(db_url) == ["created"]

    assert pay(merchant_reference="CMD-1").id_transaction == id_transaction
    assert len(emulator.transactions) == 1 and [each.status for each in pushes(emulator)] == [400, 200]


def test_a_transaction_that_fedapay_lost_is_an_error_with_its_id(pay, emulator):
    """
    A known reference never makes a second transaction in silence.
    """
    first = pay(merchant_reference="CMD-1")
    emulator.fail_next(f"{CREATE}/{first.id_transaction}", status=404)
    with pytest.raises(NotFound) as caught:
        pay(merchant_reference="CMD-1")
    assert caught.value.id_transaction == first.id_transaction
    assert len(emulator.transactions) == 1


def test_a_page_payment_without_a_link_is_an_error(make_connector):
    """
    There would be nothing to show to the customer.
    """
    with RawServer(answers(200, created(payment_url=None)), answers(200, {"token": TOKEN})) as server:
        with pytest.raises(UnreadableAnswer, match="lien") as caught:
            make_connector(fedapay_api_url=server.url).pay(ON_PAGE, CLIENT, 500)
        assert caught.value.id_transaction == 7


def test_a_store_that_fails_after_the_creation_does_not_hide_the_transaction(make_connector, emulator, db_url):
    """
    The id is in the error; the same reference takes the transaction up once the disk is well again.
    """
    path = db_url[len("sqlite:///") :]

    def break_then_answer(server, connection, request):
        with sqlite3.connect(path) as database:
            database.execute(
                "CREATE TRIGGER full BEFORE UPDATE ON fp_payment BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
            )
        database.close()
        return answers(200, created())(server, connection, request)

    with RawServer(break_then_answer, answers(200, {"message": "success"})) as server:
        shop = make_connector(fedapay_api_url=server.url)
        with pytest.raises(StoreError, match="transaction 7") as caught:
            shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1")
        assert (caught.value.id_transaction, caught.value.merchant_reference) == (7, "CMD-1")
        assert len(server.requests) == 1, "nobody is prompted for what is not on disk"

        with sqlite3.connect(path) as database:
            database.execute("DROP TRIGGER full")
        database.close()
        server(answers(200, created()), answers(200, {"message": "success"}))
        assert shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction == 7
        assert [each.target for each in server.requests] == [
            f"{CREATE}/merchant/CMD-1?include=customer%2Ccurrency",
            PUSH,
        ]


def test_errors_and_logs_tell_no_secret(make_connector, caplog):
    """
    No key, token, number, name or address, at any level.
    """
    caplog.set_level(logging.DEBUG, "fedapay_sync")
    secretive = answers(500, {"message": f"{TOKEN} 0164000001"})
    with RawServer(answers(200, created()), closes, secretive) as server, pytest.raises(OutcomeUnknown) as caught:
        make_connector(fedapay_api_url=server.url).pay(SETUP, CLIENT, 500)
    told = repr(caught.value) + repr(pickle.dumps(caught.value))
    told += "".join(each.getMessage() for each in caplog.records if each.name.startswith("fedapay_sync"))
    for secret in ("sk_sandbox_emulateur", TOKEN, "0164000001", "Doe", "john@example.com"):
        assert secret not in told


# -- several at once -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [False, True])
def test_many_threads_with_one_reference_make_one_transaction_and_one_prompt(pay, emulator, lost):
    """
    They all get the same payment, even where an answer is lost among them.
    """
    if lost:
        emulator.fail_next(CREATE, method="POST", cut="after", times=2)
    together = threading.Barrier(6)

    def work(_):
        together.wait(10)
        return pay(merchant_reference="CMD-1").id_transaction

    with ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(work, range(6)))
    assert len(ids) == 1 and len(emulator.transactions) == 1
    assert len(pushes(emulator)) == 1


def test_even_a_fedapay_that_makes_two_gives_all_callers_one(make_connector, db_url):
    """
    Should FedaPay not keep references unique after all: the first that was written down counts.
    """
    together = threading.Barrier(2)
    ids = iter([7, 8])

    def serve(server, connection, request):
        if request.target == CREATE:
            together.wait(10)
            return answers(200, created(next(ids)))(server, connection, request)
        if request.method == "GET" and "merchant" in request.target:
            return NOT_THERE(server, connection, request)
        id = int(request.target.rpartition("/")[2]) if request.method == "GET" else 0
        return answers(200, created(id) if id else {"message": "success"})(server, connection, request)

    with RawServer(serve) as server:
        shop = make_connector(fedapay_api_url=server.url)
        with ThreadPoolExecutor(2) as pool:
            ids_seen = list(
                pool.map(lambda _: shop.pay(SETUP, CLIENT, 500, merchant_reference="A").id_transaction, range(2))
            )
        assert len(set(ids_seen)) == 1 and len([each for each in server.requests if each.target == PUSH]) == 1


def test_a_first_call_that_is_overtaken_by_a_second_gives_its_transaction(make_connector, db_url):
    """
    FedaPay refuses the slower one's reference as taken. It is taken by us: no error, and no second prompt.
    """
    arrived, overtaken = threading.Event(), threading.Event()
    taken = {"message": "non", "errors": {"merchant_reference": ["n'est pas disponible"]}}

    def serve(server, connection, request):
        if request.method == "POST" and request.target == CREATE:
            if not arrived.is_set():
                arrived.set()
                overtaken.wait(10)
                return answers(400, taken)(server, connection, request)
            overtaken.set()
        elif request.method == "GET" and not overtaken.is_set():
            return NOT_THERE(server, connection, request)
        return answers(200, created(merchant_reference="CMD-1"))(server, connection, request)

    with RawServer(serve) as server, ThreadPoolExecutor(1) as pool:
        shop = make_connector(fedapay_api_url=server.url)
        slow = pool.submit(shop.pay, SETUP, CLIENT, 500, merchant_reference="CMD-1")
        assert arrived.wait(10)
        quick = shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1")
        assert slow.result(20).id_transaction == quick.id_transaction == 7
        assert [each.target for each in server.requests].count(PUSH) == 1
    assert states(db_url) == ["sent"]


def pay_in_a_process(url, key, db_url, barrier, results):
    with Connector(fedapay_api_url=url, api_key=key, db_url=db_url) as shop:
        barrier.wait(20)
        results.put(shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction)


def test_two_processes_with_one_reference_make_one_transaction_and_one_prompt(emulator, db_url):
    """
    Real processes on one database.
    """
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    arguments = (emulator.url, emulator.secret_key, db_url, barrier, results)
    processes = [context.Process(target=pay_in_a_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    ids = {results.get(timeout=30) for _ in processes}
    for process in processes:
        process.join(10)
        assert process.exitcode == 0
    assert len(ids) == 1 and len(emulator.transactions) == 1
    assert len(pushes(emulator)) == 1
