"""Webhooks delivered to a WSGI application in the thread of the caller, counted as those to an address are."""

import json
import threading
from types import SimpleNamespace

import pytest
from flask import Flask, request

import fedapay_sync.flask
from fedapay_sync import Connector, signature
from fedapay_sync.emulator import SANDBOX_WEBHOOK_SECRET, Emulator
from fedapay_sync.errors import InvalidArgument


class Receiver:
    """A WSGI application that notes what it gets, and answers what it is told to."""

    def __init__(self):
        self.names, self.threads, self.environs, self.answers = [], [], [], []

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        signature.verify(body, environ["HTTP_X_FEDAPAY_SIGNATURE"], SANDBOX_WEBHOOK_SECRET)
        self.names.append(json.loads(body)["name"])
        self.threads.append(threading.current_thread())
        self.environs.append(environ)
        answer = self.answers.pop(0) if self.answers else "200 OK"
        if isinstance(answer, BaseException):
            raise answer
        start_response(answer, [])
        return [b"said"]


@pytest.fixture
def app():
    return Receiver()


@pytest.fixture
def shop(app, client_of):
    """An emulator that delivers to the application."""
    with Emulator(retry_factor=0.001) as emulator:
        assert emulator.deliver_to(app, "/hook?from=fedapay") is app
        yield SimpleNamespace(emulator=emulator, create=client_of(emulator).create)


def mounted(*paths, **options):
    """A Flask application with our blueprint at these paths, and a view of its own."""
    app = Flask("shop")
    connector = Connector(
        "http://127.0.0.1:9",
        fedapay_webhooks_secret_key=SANDBOX_WEBHOOK_SECRET,
        api_key="sk_sandbox_shop",
    )
    for number, path in enumerate(paths):
        app.register_blueprint(fedapay_sync.flask.blueprint(connector, path, f"fedapay{number}"), **options)
    app.add_url_rule("/orders", "orders", lambda: "", methods=["POST"])
    return app


def test_the_application_is_called_in_the_thread_that_makes_the_payer_act(app, shop):
    """
    What a call of the shop brought waits for that thread too, so that nothing happens at the same time as the test.
    """
    id = shop.create()["id"]
    assert app.names == []

    shop.emulator.approve(id)

    assert app.names == ["transaction.created", "transaction.approved"]
    assert set(app.threads) == {threading.current_thread()}
    assert [(each.url, each.status, each.answer) for each in shop.emulator.deliveries] == [
        ("http://localhost/hook?from=fedapay", 200, b"said")
    ] * 2
    assert shop.emulator.webhook_url == "http://localhost/hook?from=fedapay"


def test_the_request_is_the_one_that_a_server_would_hand_over(app, shop):
    """
    Path, query, host, type, and the headers of a delivery.
    """
    shop.create()
    shop.emulator.wait_for_deliveries()
    environ = app.environs[0]

    assert [environ[name] for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "HTTP_HOST", "CONTENT_TYPE")] == [
        "POST",
        "/hook",
        "from=fedapay",
        "localhost",
        "application/json",
    ]
    assert environ["HTTP_USER_AGENT"] == "FedaPay (emulateur)"


@pytest.mark.parametrize(
    "act",
    [
        lambda emulator, id: emulator.decline(id),
        lambda emulator, id: emulator.clock.advance(hours=25),
        lambda emulator, id: emulator.wait_for_deliveries(),
        lambda emulator, id: emulator.shops[0].cancel(id),
    ],
)
def test_every_call_that_makes_something_happen_delivers(app, shop, act):
    """
    On return the application has been called.
    """
    id = shop.create()["id"]

    act(shop.emulator, id)

    assert app.names[0] == "transaction.created"
    assert not shop.emulator._undelivered("transaction.created", id)


def test_redelivery_calls_the_application_again(app, shop):
    """
    The same body, before the call returns.
    """
    shop.create()
    shop.emulator.wait_for_deliveries()

    shop.emulator.redeliver(-1)

    assert app.names == ["transaction.created"] * 2
    assert len({each.body for each in shop.emulator.deliveries}) == 1


def test_what_is_refused_is_tried_again_and_counted(app, shop):
    """
    As to an address: the second attempt comes after its wait, and still in the caller's thread.
    """
    app.answers += ["503 Service Unavailable", "500 Internal Server Error"]
    shop.create()

    shop.emulator.wait_for_deliveries()

    assert [(each.attempt, each.status) for each in shop.emulator.deliveries] == [(1, 503), (2, 500), (3, 200)]
    assert set(app.threads) == {threading.current_thread()}


def test_an_application_that_always_refuses_is_switched_off(app, shop):
    """
    After ten attempts; the same application given again is called again.
    """
    app.answers += ["400 Bad Request"] * 10
    id = shop.create()["id"]
    shop.emulator.wait_for_deliveries()
    assert len(app.names) == 10
    assert not shop.emulator.webhook_enabled

    shop.emulator.approve(id)
    assert len(app.names) == 10

    shop.emulator.deliver_to(app, "/hook")
    shop.emulator.transfer(id)
    assert app.names[10:] == ["transaction.transferred"]


def test_what_the_application_raises_is_a_500_and_is_kept(app, shop):
    """
    Its exception stays with the delivery; the attempt after it is made.
    """
    problem = ZeroDivisionError("in the shop")
    app.answers.append(problem)
    shop.create()

    shop.emulator.wait_for_deliveries()

    assert [(each.status, each.exception) for each in shop.emulator.deliveries] == [(500, problem), (200, None)]


def test_what_is_no_answer_is_a_500(app, shop):
    """
    A WSGI application that breaks the rules is no reason for the emulator to break.
    """
    shop.emulator.deliver_to(lambda environ, start_response: None, "/hook")
    shop.create()

    shop.emulator.wait_for_deliveries()

    assert {each.status for each in shop.emulator.deliveries} == {500}


def test_ctrl_c_in_the_application_reaches_the_caller_and_leaves_the_emulator_usable(app, shop):
    """
    The attempt counts as failed, and the next one is made.
    """
    app.answers.append(KeyboardInterrupt())
    shop.create()

    with pytest.raises(KeyboardInterrupt):
        shop.emulator.wait_for_deliveries()

    shop.emulator.wait_for_deliveries()
    assert [(each.status, each.error) for each in shop.emulator.deliveries] == [(None, "KeyboardInterrupt"), (200, "")]


def test_an_answer_that_comes_too_late_is_none(client_of):
    """
    FedaPay would have hung up.
    """
    clock = threading.Event()

    def slow(environ, start_response):
        clock.wait(0.05)
        start_response("200 OK", [])
        return [b""]

    with Emulator(retry_factor=0.001, webhook_timeout=0.01) as emulator:
        emulator.deliver_to(slow, "/hook")
        client_of(emulator).create()
        emulator.wait_for_deliveries()

    assert {(each.status, each.error) for each in emulator.deliveries} == {(None, "ReadTimeout")}


def test_an_application_may_wait_for_deliveries_itself(client_of):
    """
    It does not wait for the webhook that it is about to answer; what else is due it gets meanwhile.
    """
    seen = []

    def nested(environ, start_response):
        seen.append(threading.get_ident())
        emulator.wait_for_deliveries(30)
        start_response("200 OK", [])
        return [b""]

    with Emulator() as emulator:
        emulator.deliver_to(nested, "/hook")
        create = client_of(emulator).create
        create()
        create()
        emulator.wait_for_deliveries(30)

    assert seen == [threading.get_ident()] * 2
    assert [each.succeeded for each in emulator.deliveries] == [True, True]


def test_the_second_application_takes_the_place_of_the_first(app, shop):
    """
    What waits goes to it as well, as with an address that is corrected.
    """
    second = Receiver()
    id = shop.create()["id"]

    shop.emulator.deliver_to(second, "/hook")
    shop.emulator.approve(id)

    assert (app.names, second.names) == ([], ["transaction.created", "transaction.approved"])


def test_two_shops_have_each_their_own_application(client_of):
    """
    Each key its own transactions, each application its own webhooks.
    """
    first, second = Receiver(), Receiver()
    with Emulator(shops={"sk_sandbox_other": "Other"}) as emulator:
        other = emulator.shop("sk_sandbox_other")
        emulator.deliver_to(first, "/hook")
        other.deliver_to(second, "/hook")
        client = client_of(emulator)
        mine = client.create()["id"]
        body = {"description": "b", "amount": 100, "currency": {"iso": "XOF"}}
        theirs = client("POST", "/v1/transactions", key=other.secret_key, json=body).json()["v1/transaction"]["id"]

        emulator.approve(mine)
        other.approve(theirs)

    assert first.names == second.names == ["transaction.created", "transaction.approved"]


def test_an_address_takes_the_place_of_the_application(app, shop, receiver):
    """
    And what waits for it is sent there.
    """
    shop.create()

    shop.emulator.webhook_url = receiver.url
    shop.emulator.wait_for_deliveries()

    assert (app.names, receiver.names) == ([], ["transaction.created"])


def test_no_one_takes_the_place_of_the_application(app, shop):
    """
    ``deliver_to(None)``: nothing is delivered any more.
    """
    assert shop.emulator.deliver_to(None) is None
    shop.emulator.approve(shop.create()["id"])

    assert (shop.emulator.webhook_url, app.names, shop.emulator.deliveries) == (None, [], [])


def test_the_application_outlasts_a_reset(app, shop):
    """
    As the address does.
    """
    shop.emulator.reset()

    shop.emulator.approve(shop.create()["id"])

    assert app.names == ["transaction.created", "transaction.approved"]


def test_a_payer_who_answers_by_himself_has_his_webhooks_delivered_without_a_call(app, client_of, eventually):
    """
    With ``delay`` nothing waits for the test: the emulator's own threads deliver.
    """
    with Emulator(delay=0.01) as emulator:
        emulator.deliver_to(app, "/hook")
        client = client_of(emulator)
        client.push(client.create())

        eventually(lambda: "transaction.approved" in app.names)

    assert threading.current_thread() not in app.threads


def test_the_route_is_that_of_our_blueprint():
    """
    With its prefix; a client of the application does as well as the application.
    """
    app = mounted("/pay/fedapay", url_prefix="/v2")
    with Emulator() as emulator:
        assert emulator.deliver_to(app) is app
        assert emulator.webhook_url == "http://localhost/v2/pay/fedapay"
        client = app.test_client()
        assert emulator.deliver_to(client) is client
        assert emulator.webhook_url == "http://localhost/v2/pay/fedapay"


def test_the_route_with_and_without_its_last_slash_is_one():
    """
    The one without is called.
    """
    app = mounted("/hook")
    rule = next(each for each in app.url_map.iter_rules() if each.rule == "/hook")
    app.add_url_rule("/hook/", "slash", app.view_functions[rule.endpoint], methods=["POST"])
    with Emulator() as emulator:
        emulator.deliver_to(app)
        assert emulator.webhook_url == "http://localhost/hook"


def test_the_route_of_our_own_wsgi_application_is_known_too():
    """
    With a path, and mounted at its place.
    """
    connector = Connector("http://127.0.0.1:9", fedapay_webhooks_secret_key="wh_sandbox_x", api_key="sk_sandbox_x")
    with Emulator() as emulator:
        emulator.deliver_to(connector.wsgi_app("hooks/fedapay"))
        assert emulator.webhook_url == "http://localhost/hooks/fedapay"
        emulator.deliver_to(connector.wsgi_app())
        assert emulator.webhook_url == "http://localhost/"


def test_the_host_is_the_one_that_the_application_has_been_given(client_of):
    """
    ``SERVER_NAME``, as Flask's own client does; an address that is given in full goes before.
    """
    app, hosts = Flask("shop"), []
    app.config["SERVER_NAME"] = "boutique.test"
    app.add_url_rule("/hook", "hook", lambda: hosts.append(request.url) or "", methods=["POST"])
    with Emulator() as emulator:
        create = client_of(emulator).create
        for path in ("/hook", "hook", "https://boutique.test/hook"):
            emulator.deliver_to(app, path)
            create()
            emulator.wait_for_deliveries()

    assert hosts == ["http://boutique.test/hook"] * 2 + ["https://boutique.test/hook"]


async def asgi(scope, receive, send):
    """An application of the other kind."""


@pytest.mark.parametrize(
    ("app", "path", "text"),
    [
        (lambda: 42, "/hook", "une application WSGI"),
        (lambda: Flask, "/hook", "une application WSGI"),
        (lambda: asgi, "/hook", "asynchrone"),
        (lambda: Receiver(), None, r"deliver_to\(app, \"/webhooks/fedapay\"\)"),
        (lambda: mounted(), None, "Ses routes POST : /orders"),
        (lambda: mounted("/a", "/b"), None, "2 adresses.*/a, /b"),
        (lambda: Receiver(), 42, "un chemin"),
        (lambda: Receiver(), "/a path", "http"),
    ],
)
def test_what_cannot_be_delivered_to_is_refused_at_once(app, path, text):
    """
    The sentence says what is expected; the earlier address stays.
    """
    with Emulator(webhook_url="http://127.0.0.1:9/hook") as emulator:
        with pytest.raises(InvalidArgument, match=text):
            emulator.deliver_to(app(), path)
        assert emulator.webhook_url == "http://127.0.0.1:9/hook"
