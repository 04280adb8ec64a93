"""
No frame below a public function shows a key, a secret, a token or a customer: not to an error tracker that reads local
variables, and not to a log that shows them.
"""

import json
import logging
import pickle
import sqlite3
import traceback

import pytest
import sentry_sdk
from support.raw_server import RawServer, answers
from support.transport_calls import repeat_at_once

import fedapay_sync
from fedapay_sync import (
    Connector,
    FedapayConnector,
    FedapayError,
    Integration,
    MethodesPaiement,
    PaiementSetup,
    Pays,
    StoreError,
    Transaction,
    UserData,
    signature,
)
from fedapay_sync.common.frames import private, private_methods
from fedapay_sync.models import WebhookHistory
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

KEY, SECRET, TOKEN = "sk_sandbox_Fr4mesK3yAbc", "wh_sandbox_Fr4mesS3cretAbc", "eyJFr4mes.T0kenAbc.xyz"
NAME, EMAIL, NUMBER = "Zinsougbe", "zinsougbe.ayaba@exemple.bj", "0197112233"
#: What is searched for in all that is shown.
NEEDLES = ("Fr4mes", NAME, "ayaba", "97112233", "Abomey")
SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom=NAME, prenom="Ayaba", email=EMAIL, tel=NUMBER)
CUSTOMER = {"firstname": NAME, "email": EMAIL, "phone_number": {"number": NUMBER, "country": "bj"}}
EVENT = {
    "name": "transaction.approved",
    "entity": {"id": 7, "status": "approved", "customer": CUSTOMER, "payment_token": TOKEN},
}
BODY = json.dumps(EVENT).encode()
NEVER = Pace(first=10_000, factor=2, longest=10_000)
#: Says something else than what is asked, with what belongs to nobody else in it.
ODD = answers(200, {"v1/transaction": {"customer": CUSTOMER, "payment_token": TOKEN}})
REFUSED = answers(400, {"message": f"{NAME} {EMAIL} {NUMBER} {TOKEN}", "errors": {"customer": [EMAIL, NAME.upper()]}})
PAGE = answers(
    200, {"v1/customers": [{"id": 1, **CUSTOMER}], "meta": {"current_page": 1, "next_page": 2, "total_pages": 2}}
)
ARGUMENTS = {
    "callback_url": f"https://boutique.example.bj/retour?token={TOKEN}",
    "custom_metadata": {"nom": NAME, "ville": "Abomey"},
    "description": f"Commande de {NAME}",
}


@pytest.fixture
def seen():
    """What a tracker with its defaults would send of each error that it is given."""
    sent = []
    with sentry_sdk.isolation_scope():
        sentry_sdk.init(
            dsn="https://public@sentry.example/1",
            before_send=lambda event, hint: sent.append(event),
            default_integrations=False,
        )
        yield sent
        sentry_sdk.init()


@pytest.fixture
def shows(seen):
    def shows(error):
        """All that the tracker and the standard library show of an error, but for the frames of this file."""
        sentry_sdk.capture_exception(error)
        event = seen[-1]
        frames = 0
        for each in event["exception"]["values"]:
            ours = [frame for frame in each["stacktrace"]["frames"] if not frame["abs_path"].endswith(__file__)]
            frames += len(ours)
            each["stacktrace"]["frames"] = ours
        assert frames or isinstance(error, TypeError), "the tracker has seen nothing"
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        chain = [told]
        for each in chain:
            chain += [more for more in (each.__cause__, each.__context__) if more is not None]
            each.stack[:] = [frame for frame in each.stack if frame.filename != __file__]
        shown = "".join(line for each in chain for line in each.format(chain=False))
        return json.dumps(event, default=repr, ensure_ascii=False) + shown + repr(pickle.dumps(error))

    return shows


@pytest.fixture
def away(make_connector):
    """A connector whose FedaPay cannot be reached."""
    url = "http://127.0.0.1:9"
    return repeat_at_once(
        make_connector(fedapay_api_url=url, api_key=KEY, fedapay_webhooks_secret_key=SECRET, pace=NEVER)
    )


@pytest.fixture
def answered(make_connector):
    """A connector whose FedaPay answers as a test says, and that server."""
    with RawServer(REFUSED) as server:
        shop = make_connector(fedapay_api_url=server.url, api_key=KEY, fedapay_webhooks_secret_key=SECRET, pace=NEVER)
        yield repeat_at_once(shop), server


def pay(shop, **changes):
    return shop.pay(SETUP, CLIENT, 1000, **{**ARGUMENTS, **changes})


WITHOUT_FEDAPAY = {
    "pay": pay,
    "pay another amount": lambda shop: shop.pay(SETUP, CLIENT, -5, **ARGUMENTS),
    "pay with another key": lambda shop: pay(shop, api_key=KEY),
    "pay with a webhook secret": lambda shop: pay(shop, api_key=SECRET),
    "pay to an odd number": lambda shop: pay(shop, payment_contact=f"{NUMBER}x"),
    "pay with odd metadata": lambda shop: pay(shop, custom_metadata={"nom": NAME, "objet": object()}),
    "pay with an odd reference": lambda shop: pay(shop, merchant_reference=f" {EMAIL} "),
    "check_status": lambda shop: shop.check_status(7, api_key=KEY),
    "finalise": lambda shop: shop.finalise(7, timeout=0, api_key=KEY),
    "finalise what is no id": lambda shop: shop.finalise(EMAIL),
    "cancel": lambda shop: shop.cancel(7, api_key=KEY),
    "adopt": lambda shop: shop.adopt("CMD-1", 7, api_key=KEY),
    "accept": lambda shop: shop.accept(7),
    "returned": lambda shop: shop.returned({"id": "7", "token": TOKEN}),
    "returned with what is no id": lambda shop: shop.returned({"id": EMAIL, "token": TOKEN}),
    "receive": lambda shop: shop.receive(BODY, f"t=1,s={TOKEN}"),
    "receive unsigned": lambda shop: shop.receive(BODY, None),
    "verify_signature": lambda shop: shop.verify_signature(BODY, signature.sign(BODY, SECRET, 1)),
    "verify_signature of text": lambda shop: shop.verify_signature(BODY.decode(), signature.sign(BODY, SECRET)),
    "save_webhook": lambda shop: shop.save_webhook([EVENT]),
    "save_webhook that is no JSON": lambda shop: shop.save_webhook({**EVENT, "more": object()}),
    "import_async": lambda shop: shop.import_async("/nowhere/processes.db"),
    "listen": lambda shop: shop.listen(7, timeout=-1, api_key=KEY),
    "listen_many": lambda shop: shop.listen_many(EMAIL, api_key=KEY),
    "api": lambda shop: shop.api.transactions.create(
        {"amount": 5, "currency": "XOF", "description": NAME, "customer": CUSTOMER}, api_key=KEY
    ),
    "api.customers": lambda shop: shop.api.customers.create(CUSTOMER, api_key=KEY),
    "api.payouts": lambda shop: shop.api.payouts.create(
        amount=5, currency="XOF", mode="momo_test", customer=CUSTOMER, api_key=KEY
    ),
    "api with odd attributes": lambda shop: shop.api.customers.create({"email": [EMAIL], "firstname": {NAME}}),
    "api.oauth": lambda shop: shop.api.oauth.token("cid_Fr4mes", "secret_Fr4mes"),
    "a missing argument": lambda shop: shop.finalise(api_key=KEY),
}


@pytest.mark.parametrize("name", WITHOUT_FEDAPAY)
def test_a_call_that_fails_shows_nothing(away, shows, name):
    with pytest.raises(Exception) as caught:
        WITHOUT_FEDAPAY[name](away)
    assert not [each for each in NEEDLES if each in shows(caught.value)]


@pytest.mark.parametrize("play", [REFUSED, ODD, answers(500, f"<html>{EMAIL}".encode()), answers(200, BODY)])
@pytest.mark.parametrize("name", ["pay", "api", "api.customers", "api.payouts"])
def test_an_answer_that_fails_shows_nothing(answered, shows, name, play):
    shop, server = answered
    server(play)
    with pytest.raises(FedapayError) as caught:
        WITHOUT_FEDAPAY[name](shop)
    shown = shows(caught.value)
    assert not [each for each in NEEDLES if each in shown]


@pytest.mark.parametrize("play", [ODD, answers(500, f"<html>{EMAIL}".encode()), answers(404, {"message": EMAIL})])
@pytest.mark.parametrize("name", ["check_status", "finalise", "adopt"])
def test_a_reading_that_fails_shows_nothing(answered, shows, name, play):
    shop, server = answered
    server(play)
    with pytest.raises(FedapayError) as caught:
        WITHOUT_FEDAPAY[name](shop)
    shown = shows(caught.value)
    assert not [each for each in NEEDLES if each in shown]


def test_a_list_whose_second_page_fails_shows_nothing(answered, shows):
    shop, server = answered
    server(PAGE, answers(400, {"message": EMAIL}))
    with pytest.raises(FedapayError) as caught:
        list(shop.api.customers.list(api_key=KEY))
    assert not [each for each in NEEDLES if each in shows(caught.value)]


def test_a_database_that_fails_shows_nothing(away, db_url, shows):
    """
    Neither the webhook nor what the driver says of it.
    """
    away.parked()
    with sqlite3.connect(db_url[len("sqlite:///") :]) as database:
        database.execute("DROP TABLE fp_event")
    database.close()
    for call in (lambda: away.save_webhook(EVENT), lambda: away.receive(BODY, signature.sign(BODY, SECRET))):
        with pytest.raises(StoreError) as caught:
            call()
        assert not [each for each in NEEDLES if each in shows(caught.value)]


CONSTRUCTORS = {
    "Connector": lambda: Connector("http://exemple.bj", api_key=KEY, fedapay_webhooks_secret_key=SECRET),
    "Connector with a public key": lambda: Connector("https://sandbox-api.fedapay.com", api_key="pk_live_Fr4mes"),
    "FedapayConnector": lambda: FedapayConnector("http://exemple.bj", api_key=KEY, fedapay_webhooks_secret_key=SECRET),
    "Integration": lambda: Integration("https://api.fedapay.com", default_api_key=KEY),
    "UserData without a name": lambda: UserData(nom="", prenom="Ayaba", email=EMAIL, tel=NUMBER),
    "UserData with an odd address": lambda: UserData(nom=NAME, prenom="Ayaba", email=f"{NAME}@", tel=NUMBER),
    "UserData with an odd number": lambda: UserData(nom=NAME, prenom="Ayaba", email=EMAIL, tel=f"{NUMBER}x"),
    "UserData with another field": lambda: UserData(nom=NAME, prenom="Ayaba", courriel=EMAIL, tel=NUMBER),
    "PaiementSetup": lambda: PaiementSetup(pays=Pays.benin, method=NUMBER),
    "Transaction": lambda: Transaction.from_dict({"id": EMAIL, "customer": CUSTOMER}, strict=True),
    "WebhookHistory": lambda: WebhookHistory.from_dict([EVENT]),
    "sign": lambda: signature.sign(BODY.decode(), SECRET),
    "verify": lambda: signature.verify(BODY, signature.sign(BODY, SECRET, 1), [SECRET]),
    "verify with wrong types": lambda: signature.verify(BODY.decode(), signature.sign(BODY, SECRET), {SECRET: 1}),
}


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_a_construction_that_fails_shows_nothing(shows, name):
    with pytest.raises(Exception) as caught:
        CONSTRUCTORS[name]()
    shown = shows(caught.value)
    assert not [each for each in NEEDLES if each in shown]


def test_the_log_of_the_database_shows_no_parameters(away, caplog):
    """
    With everything logged that there is; the statements of the program's own tables stay as they are.
    """
    with caplog.at_level(logging.DEBUG):
        with pytest.raises(FedapayError):
            pay(away)
        away.save_webhook(EVENT)
        away.parked()
        logging.getLogger("peewee").debug(("SELECT * FROM commandes WHERE nom = ?", [NAME]))
    of_peewee = [record.getMessage() for record in caplog.records if record.name == "peewee"]
    assert any("fp_event" in each for each in of_peewee) and NAME in of_peewee[-1]
    assert not [needle for needle in NEEDLES for each in of_peewee[:-1] if needle in each]


def test_every_public_call_of_the_connector_is_private():
    """
    One that is added is, too.
    """
    for cls in (Connector, Integration, Integration.__mro__[1]):
        for name, value in vars(cls).items():
            if not name.startswith("_") and callable(value):
                assert hasattr(value, "__wrapped__"), f"{cls.__name__}.{name}"
    assert Connector.fedapay_pay is Connector.pay


def test_what_the_program_was_handling_is_its_own(away):
    """
    Its error stays in the chain, with its frames as they are.
    """

    def fails():
        of_the_program = "its own"
        raise KeyError(of_the_program)

    try:
        try:
            fails()
        except KeyError:
            away.finalise(EMAIL)
    except FedapayError as error:
        caught = error
    assert isinstance(caught.__context__, KeyError)
    shown = "".join(traceback.TracebackException.from_exception(caught, capture_locals=True).format())
    assert "of_the_program = 'its own'" in shown


def test_foreign_errors_are_not_chained_to_ours():
    """
    Neither as cause nor as context; ours stay, and a foreign error that is itself what is raised keeps its own.
    """

    @private
    def raises(*errors):
        errors = list(errors)
        try:
            raise errors.pop()
        except ValueError as error:
            while errors:
                following = errors.pop()
                following.__cause__ = error
                error = following
            raise error

    ours, other, foreign = FedapayError("a"), FedapayError("b"), ValueError("c")
    with pytest.raises(FedapayError):
        raises(ours, other, foreign)
    assert ours.__cause__ is other and other.__cause__ is None and other.__context__ is None
    with pytest.raises(ValueError, match="c"):
        raises(ValueError("c"), UnicodeError("d"))


def test_names_and_lines_stay(away):
    """
    Whoever looks for a fault finds the way that it took.
    """
    with pytest.raises(FedapayError) as caught:
        pay(away)
    assert {"pay", "transaction", "request"} <= {each.name for each in traceback.extract_tb(caught.value.__traceback__)}


def test_static_and_class_functions_and_properties():
    @private_methods
    class Made:
        plain = 5

        @staticmethod
        def static():
            return "static"

        @classmethod
        def of_class(cls):
            return cls.__name__

        @property
        def value(self):
            raise FedapayError(KEY[:3])

    assert (Made.plain, Made.static(), Made.of_class()) == (5, "static", "Made")
    with pytest.raises(FedapayError):
        Made().value  # noqa: B018
    assert fedapay_sync.Connector.api.__doc__
