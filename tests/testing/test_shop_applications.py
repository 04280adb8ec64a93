"""A shop that builds its own application and connector, tested with the plugin; and what tells when nothing arrives."""

import os
import pickle
import threading

import pytest
from flask import Flask, abort, request

import fedapay_sync.flask
from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.server import WebServer
from fedapay_sync.testing import CallbackFailed, WebhookNotReceived

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


def create_app(config, *, path="/webhooks/fedapay", on_event=lambda event: None):
    """A shop as Flask people write it: its settings in ``app.config``, its connector made inside."""
    app = Flask("shop")
    app.config.update(config)
    connector = Connector(
        app.config["FEDAPAY_API_URL"],
        api_key=app.config["FEDAPAY_API_KEY"],
        fedapay_webhooks_secret_key=app.config["FEDAPAY_AUTH_KEY"],
        db_url=app.config["FEDAPAY_DB_URL"],
        callbacks=app.config["FEDAPAY_CALLBACKS"],
    )
    app.orders, app.threads, app.connector = {}, [], connector
    #: What stands before the webhook's view, as CSRFProtect does.
    app.gate = lambda: None
    app.before_request(lambda: app.gate() if request.path == path else None)

    @app.post("/orders")
    def order():
        id = str(connector.pay(SETUP, CLIENT, 1000).id_transaction)
        app.orders[id] = "waits"
        return {"id": id}, 201

    @connector.on_webhook
    def told(event):
        app.threads.append(threading.current_thread())
        on_event(event)
        if event.paid:
            app.orders[str(event.id_transaction)] = "paid"

    app.register_blueprint(fedapay_sync.flask.blueprint(connector, path))
    return app


def buy(app):
    return app.test_client().post("/orders").json["id"]


@pytest.fixture
def app(fedapay_emulator, fedapay_config):
    return fedapay_emulator.deliver_to(create_app(fedapay_config))


@pytest.mark.parametrize(
    ("fedapay_callbacks", "here"), [("here", False), ("inline", True), ("worker", True)], ids=lambda value: str(value)
)
def test_a_shop_made_by_a_function_is_paid(app, payer, fedapay_callbacks, here):
    """
    Wherever its callbacks run: on return they have been called, inline and for a worker process in this thread.
    """
    id = buy(app)
    assert app.orders == {id: "waits"}

    payer.agrees()

    assert app.orders == {id: "paid"}
    assert all((each is threading.current_thread()) is here for each in app.threads)


def test_the_variables_say_the_same_as_the_settings(fedapay_config):
    """
    For a shop that reads the environment.
    """
    assert {name: os.environ.get(name) for name in fedapay_config} == fedapay_config


def test_two_applications_of_one_test_do_not_share_their_webhooks(fedapay_emulator, fedapay_config, payer, tmp_path):
    """
    The one that ``deliver_to`` was called with last gets them.
    """
    old = fedapay_emulator.deliver_to(create_app(fedapay_config))
    other = {**fedapay_config, "FEDAPAY_DB_URL": f"sqlite:///{tmp_path / 'other' / 'processes.db'}"}
    new = fedapay_emulator.deliver_to(create_app(other))
    id = buy(new)

    payer.agrees()

    assert (old.orders, new.orders) == ({}, {id: "paid"})


def test_an_application_whose_connector_was_closed_is_paid_all_the_same(app, payer):
    """
    As in a process that goes on after ``close``: the webhook opens it again.
    """
    id = buy(app)
    app.connector.close()

    payer.agrees()

    assert app.orders == {id: "paid"}


def test_the_connector_of_the_fixtures_leaves_the_webhooks_to_the_application(app, fedapay_connector, payer):
    """
    Whichever of the two fixtures came first.
    """
    id = buy(app)
    payer.agrees()

    assert fedapay_connector.webhook_url
    assert app.orders == {id: "paid"}
    assert fedapay_connector.finalise(int(id), timeout=0).paid


@pytest.mark.parametrize("fedapay_callbacks", ["inline"])
def test_the_connector_of_the_fixtures_calls_inline_where_that_was_chosen(fedapay_connector, payer, fedapay_callbacks):
    """
    In the thread of its webhook server: before the webhook is answered.
    """
    threads = []
    fedapay_connector.on_webhook(lambda event: threads.append(threading.current_thread().name))
    fedapay_connector.pay(SETUP, CLIENT, 1000)

    payer.agrees()

    assert len(threads) == 2
    assert not any(each.startswith("fedapay-callback") for each in threads)


def test_a_payer_who_was_told_before_pays_a_shop_that_waits_inside(app, fedapay_emulator, payer):
    """
    The application is called in the payer's thread while this one waits.
    """
    payer.agrees()

    outcome = app.connector.finalise(int(buy(app)), timeout=30)

    assert outcome.paid
    assert {each.status for each in fedapay_emulator.deliveries} == {200}


def test_a_shop_that_no_one_delivers_to_fails_the_gesture(fedapay_emulator, fedapay_config, payer):
    """
    The sentence says that there is no address, and how to give one.
    """
    id = int(buy(create_app(fedapay_config)))

    with pytest.raises(WebhookNotReceived, match=r"ne livre à personne.*create_app.*deliver_to\(app\)") as raised:
        payer.agrees()

    assert (raised.value.event, raised.value.id_transaction, raised.value.delivery) == (
        "transaction.approved",
        id,
        None,
    )
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


def test_a_program_that_reads_statuses_may_say_that_it_takes_no_webhook(fedapay_emulator, fedapay_config, payer):
    """
    ``deliver_to(None)``.
    """
    fedapay_emulator.deliver_to(None)
    connector = Connector()
    payment = connector.pay(SETUP, CLIENT, 1000)

    payer.agrees()

    assert connector.finalise(payment.id_transaction, timeout=30).paid


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            (400, "The CSRF token is missing."),
            "(9|10) essais, dernière réponse 400 .*CSRF token is missing.*CSRFProtect",
        ),
        ((403, "log in"), "403.*page de connexion"),
        ((404, "no page"), r"404.*deliver_to\(app, \"/webhooks/fedapay\"\)"),
        ((503, "busy"), "503.*journal"),
        ((500, "broken"), "500.*journal de l'application"),
    ],
)
def test_what_an_application_answered_is_said_with_what_to_do(app, payer, answer, text):
    """
    The address, the number of attempts, the answer and the remedy.
    """
    buy(app)
    app.gate = lambda: abort(*answer)

    with pytest.raises(WebhookNotReceived, match=f"http://localhost/webhooks/fedapay, .*{text}") as raised:
        payer.agrees()

    assert raised.value.delivery.status == answer[0]


def test_a_route_at_another_path_is_a_404_that_says_so(fedapay_emulator, fedapay_config, payer):
    """
    The path that was given is the one that is tried.
    """
    app = fedapay_emulator.deliver_to(create_app(fedapay_config, path="/pay/hook"), "/webhooks/fedapay")
    buy(app)

    with pytest.raises(WebhookNotReceived, match=r"404.*pas de route POST à cette adresse"):
        payer.agrees()

    fedapay_emulator.deliver_to(app)
    id = buy(app)
    payer.agrees()
    assert app.orders[id] == "paid"


def test_a_redirect_is_no_reception(fedapay_emulator, fedapay_config, payer):
    """
    FedaPay does not follow it: the sentence asks for the exact address.
    """
    app = create_app(fedapay_config)
    app.add_url_rule("/hook/", "slash", lambda: "", methods=["POST"])
    fedapay_emulator.deliver_to(app, "/hook")
    buy(app)

    with pytest.raises(WebhookNotReceived, match=r"308.*barre finale"):
        payer.agrees()


def test_another_secret_is_named_as_such(fedapay_emulator, fedapay_config, payer):
    """
    The shop's own settings have gone before those of the fixture.
    """
    app = fedapay_emulator.deliver_to(create_app({**fedapay_config, "FEDAPAY_AUTH_KEY": "wh_sandbox_other"}))
    buy(app)

    with pytest.raises(WebhookNotReceived, match=r"La signature est refusée.*fedapay_config"):
        payer.agrees()


@pytest.mark.parametrize("testing", [False, True])
def test_what_the_application_raises_is_the_cause(app, payer, testing):
    """
    Flask hands it on in tests only; otherwise it answers 500, as everywhere.
    """
    app.config["PROPAGATE_EXCEPTIONS"] = testing
    problem = LookupError("no such order")

    def break_down():
        raise problem

    buy(app)
    app.gate = break_down

    with pytest.raises(WebhookNotReceived, match="LookupError: no such order" if testing else "500") as raised:
        payer.agrees()

    assert raised.value.__cause__ is (problem if testing else None)


def test_an_address_where_nobody_listens_is_named(fedapay_emulator, fedapay_config, payer, free_port):
    """
    A shop that was to run on a port.
    """
    fedapay_emulator.webhook_url = f"http://127.0.0.1:{free_port}/hook"
    buy(create_app(fedapay_config))

    with pytest.raises(WebhookNotReceived, match=rf"127\.0\.0\.1:{free_port}/hook, .*aucune réponse.*Rien n'y écoute"):
        payer.agrees()


def test_an_address_that_was_switched_off_before_is_named_with_its_last_answer(app, fedapay_emulator, payer):
    """
    It gets nothing any more, so the reason lies in what it answered before.
    """
    first, second = buy(app), buy(app)
    app.gate = lambda: abort(400, "no")
    with pytest.raises(WebhookNotReceived, match="essais"):
        payer.agrees(first)
    assert not fedapay_emulator.webhook_enabled

    with pytest.raises(WebhookNotReceived, match=r"est coupée.*dernière réponse 400"):
        payer.agrees(second)


@pytest.mark.parametrize("fault", ["drop", "wrong_signature"])
def test_a_webhook_that_the_test_itself_spoils_fails_no_gesture(app, fedapay_emulator, payer, fault):
    """
    It is what the test is about.
    """
    id = buy(app)
    fedapay_emulator.wait_for_deliveries()
    getattr(fedapay_emulator.faults.webhook, fault)(times=10)

    payer.agrees()

    assert app.orders == {id: "waits"}


def test_gestures_that_change_nothing_need_no_webhook(fedapay_emulator, fedapay_config, payer):
    """
    A payer who ignores the prompt, and a refusal that leaves the transaction pending.
    """
    fedapay_emulator.settings.refusal = "pending"
    app = create_app(fedapay_config)
    first, second = buy(app), buy(app)

    payer.ignores(first)
    payer.refuses(second)

    assert {each["status"] for each in fedapay_emulator.transactions} == {"pending"}


@pytest.mark.parametrize("fedapay_callbacks", ["here", "inline", "worker"])
def test_a_callback_that_fails_fails_the_gesture(fedapay_emulator, fedapay_config, payer, fedapay_callbacks):
    """
    HTTP has said 200 and the event is on disk, so nothing else would show it; the shop's exception is the cause.
    """
    problem = RuntimeError("Working outside of application context.")

    def fail(event):
        if event.paid:
            raise problem

    app = fedapay_emulator.deliver_to(create_app(fedapay_config, on_event=fail))
    buy(app)

    with pytest.raises(CallbackFailed, match=r"told a échoué avec transaction\.approved.*Working outside") as raised:
        payer.agrees()

    assert (raised.value.__cause__, raised.value.error) == (problem, problem)
    assert fedapay_emulator.deliveries[-1].status == 200
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


def test_a_callback_that_failed_before_the_gesture_is_told_by_it(fedapay_emulator, fedapay_config, payer):
    """
    With ``transaction.created`` already; the next gesture is another matter.
    """
    problems = [ValueError("at first")]

    def fail(event):
        if problems:
            raise problems.pop()

    app = fedapay_emulator.deliver_to(create_app({**fedapay_config, "FEDAPAY_CALLBACKS": "inline"}, on_event=fail))
    first, second = buy(app), buy(app)
    fedapay_emulator.wait_for_deliveries()

    with pytest.raises(CallbackFailed, match=r"transaction\.created.*at first"):
        payer.agrees(first)
    payer.agrees(second)

    assert app.orders[second] == "paid"


def test_a_callback_that_is_a_coroutine_fails_the_gesture(fedapay_connector, payer):
    """
    Nobody awaits it.
    """

    class Callback:
        def __call__(self, event):
            return self.wait()

        async def wait(self):
            pass

    fedapay_connector.on_webhook(Callback(), name="async")
    fedapay_connector.pay(SETUP, CLIENT, 1000)

    with pytest.raises(CallbackFailed, match="coroutine") as raised:
        payer.agrees()

    assert raised.value.error is None


def test_a_failure_of_another_connector_is_none_of_this_test(fedapay_emulator, fedapay_connector, payer, webhook):
    """
    A transaction that this emulator does not have.
    """
    made = webhook()
    failed = threading.Event()

    def fail(event):
        if not event.known:
            failed.set()
            raise ValueError(event.name)

    fedapay_connector.on_webhook(fail)
    fedapay_connector.pay(SETUP, CLIENT, 1000)
    fedapay_connector.receive(made.body, made.headers["X-FEDAPAY-SIGNATURE"])
    assert failed.wait(30)

    payer.agrees()


def test_a_shop_on_a_port_is_told_as_before(fedapay_emulator, payer, fedapay_config):
    """
    Its address in ``webhook_url``: nothing of it is delivered in this thread.
    """
    app = create_app(fedapay_config)
    with WebServer(app) as server:
        fedapay_emulator.webhook_url = f"{server.url}/webhooks/fedapay"
        id = buy(app)
        payer.agrees()

    assert app.orders == {id: "paid"}


@pytest.fixture
def run(pytester):
    """Run a test file in a process of its own."""

    def run(source):
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:randomly")

    return run


SHOP = """
import threading

import flask
import fedapay_sync.flask
import pytest
from fedapay_sync import Connector, FedapayConnector, MethodesPaiement, PaiementSetup, Pays, UserData

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")

def create_app(connector):
    app = flask.Flask("shop")
    connector.on_webhook(lambda event: None, name="told")
    app.register_blueprint(fedapay_sync.flask.blueprint(connector))
    app.add_url_rule("/", "home", lambda: "")
    return app
"""


def test_an_answer_given_ahead_that_no_one_received_fails_at_the_end(run):
    """
    The gesture itself is long over: the fixture fails, or the next gesture does.
    """
    result = run(
        SHOP
        + """
def pay_and_wait(payer):
    payer.agrees()
    connector = Connector()
    connector.finalise(connector.pay(SETUP, CLIENT, 1000).id_transaction, timeout=30)

def test_one(fedapay_emulator, payer):
    pay_and_wait(payer)

def test_a_callback(fedapay_connector, payer):
    seen = threading.Event()
    def fail(event):
        if event.paid:
            seen.set()
            raise ValueError("in the shop")
    fedapay_connector.on_webhook(fail)
    payer.agrees()
    fedapay_connector.pay(SETUP, CLIENT, 1000)
    assert seen.wait(30)
"""
    )

    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(["*WebhookNotReceived: Personne n'a re*", "*CallbackFailed: Le callback *fail a *"])


def test_an_answer_that_nobody_asked_for_fails_at_the_end(run):
    """
    The shop refused the order, and its test did not look.
    """
    result = run("def test_one(payer):\n    assert payer.agrees() is None\n")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*PaymentRequestMissing: Le payeur avait une réponse d'avance (agree)*"])


def test_no_thread_is_left_after_a_test(run):
    """
    Connectors of the fixture, of the shop, shared, mounted and never used, and collected; first requests included.
    """
    result = run(
        SHOP
        + """
def names():
    return sorted(each.name for each in threading.enumerate() if each is not threading.main_thread())

def test_fixture(fedapay_connector, payer):
    fedapay_connector.pay(SETUP, CLIENT, 1000)
    payer.agrees()

def test_after_fixture():
    assert names() == []

def test_shop(fedapay_emulator, payer):
    connector = Connector()
    app = fedapay_emulator.deliver_to(create_app(connector))
    connector.pay(SETUP, CLIENT, 1000)
    payer.agrees()

def test_after_shop():
    assert names() == []

class Late(Connector):
    # Its work, which the last request of a test begins, begins after the fixture has closed it.
    closed = threading.Event()

    def start(self):
        assert self.closed.wait(30)
        return super().start()

    def close(self):
        super().close()
        self.closed.set()

def test_last_request(fedapay_emulator):
    global kept
    kept = create_app(Late())
    kept.test_client().get("/")

def test_after_last_request():
    assert names() == []

def test_shared(fedapay_emulator, payer):
    shared = FedapayConnector()
    fedapay_emulator.deliver_to(create_app(shared))
    shared.pay(SETUP, CLIENT, 1000)
    payer.agrees()

def test_after_shared():
    assert names() == []
    assert FedapayConnector._shared is None

def test_collected(fedapay_emulator):
    connector = Connector()
    connector.on_webhook(lambda event: None, name="told")
    connector.pay(SETUP, CLIENT, 1000)
    del connector

def test_after_collected():
    assert names() == []
"""
    )

    result.assert_outcomes(passed=10)
