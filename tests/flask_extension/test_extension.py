"""The Flask extension: settings, route, context of callbacks, several applications, and what is refused."""

import gc
import inspect
import json
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import flask
import pytest
from flask_wtf import CSRFProtect

import fedapay_sync
import fedapay_sync.flask
from fedapay_sync import ConfigError, Connector, MethodesPaiement, PaiementSetup, Pays, UserData, sign
from fedapay_sync.flask import FedaPay

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


def pay(fedapay, app, **more):
    with app.app_context():
        return fedapay.pay(SETUP, CLIENT, 500, **more).id_transaction


def deliver(app, emulator, number, path="/webhooks/fedapay", name="transaction.approved"):
    """A signed webhook about that transaction, as the emulator tells of it; the answer."""
    entity = {**emulator.transaction(number), "klass": "v1/transaction"}
    body = json.dumps({"id": number, "name": name, "object": "transaction", "entity": entity}).encode()
    headers = {"X-FEDAPAY-SIGNATURE": sign(body, emulator.webhook_secret)}
    return app.test_client().post(path, data=body, headers=headers, content_type="application/json")


def our_threads():
    return {each for each in threading.enumerate() if each.name.startswith("fedapay-") and "emul" not in each.name}


# Paying and being told


@pytest.mark.parametrize("order", ["registered before init_app", "registered after init_app"])
def test_a_paid_order_is_told_once_in_the_context_of_its_application(make_app, emulator, eventually, order):
    """
    The callback may use ``current_app``, and with it the database of the shop.
    """
    app, fedapay, told = make_app(), FedaPay(), []
    if "after" in order:
        fedapay.init_app(app)

    @fedapay.on_paid
    def deliver_order(event):
        told.append((flask.current_app.name, event.entity.merchant_reference))

    if "before" in order:
        fedapay.init_app(app)
    number = pay(fedapay, app, merchant_reference="CMD-1")
    emulator.approve(number)

    assert deliver(app, emulator, number).status_code == 200
    assert deliver(app, emulator, number).status_code == 200
    eventually(lambda: told)
    with app.app_context():
        assert fedapay.finalise(number, timeout=0).paid
        eventually(lambda: not fedapay.owes_callbacks())
    assert told == [("boutique", "CMD-1")]


def test_inline_the_callback_has_run_when_the_webhook_is_answered(make_app, emulator):
    """
    Tests of a shop need not wait.
    """
    app, told = make_app(CALLBACKS="inline"), []
    fedapay = FedaPay(app)
    fedapay.on_webhook(lambda event: told.append(flask.current_app.name), name="told")
    number = pay(fedapay, app)
    emulator.approve(number)
    deliver(app, emulator, number)

    assert told == ["boutique"]


def test_the_setters_and_names_are_those_of_the_connector(make_app, eventually):
    """
    ``on_payment``, ``on_restored``, the long names of the asynchronous page, and ``name=``.
    """
    app, paid = make_app(), []
    fedapay = FedaPay(app)
    fedapay.on_payment(lambda payment: paid.append("replaced"))
    fedapay.set_payment_callback_function(lambda payment: paid.append(flask.current_app.name))
    fedapay.on_restored(print)
    fedapay.on_webhook(name="books")(print)
    fedapay.on_paid(print, name=("new", "old"))
    pay(fedapay, app)

    eventually(lambda: paid)
    assert paid == ["boutique"]
    assert list(app.extensions["fedapay"]._callbacks) == ["payment", "restored", "books", "new"]
    for name in ("on_payment", "on_webhook", "on_paid", "on_restored", "set_webhook_callback_function"):
        assert getattr(FedaPay, name) is getattr(Connector, name)


def test_the_methods_of_the_connector_are_there_with_their_signatures(make_app):
    """
    All but those that serve webhooks without an application.
    """
    without = {"start_webhook_server", "wsgi_app"}
    own = {name for name, each in vars(Connector).items() if inspect.isfunction(each) and name == each.__name__}
    own = {name for name in own if not name.startswith("_")} - without
    assert own > {"pay", "finalise", "returned", "health"}
    for name in own:
        method = getattr(Connector, name)
        assert inspect.signature(getattr(FedaPay, name)) == inspect.signature(method), name
        assert inspect.getdoc(getattr(FedaPay, name))
    app = make_app()
    with app.app_context():
        fedapay = FedaPay(app)
        assert fedapay.connector is app.extensions["fedapay"]
        assert fedapay.api.currencies.list()
        assert fedapay.health().ok and fedapay.start() == 0


# Settings


def test_settings_are_those_of_the_application_and_then_of_the_environment(make_app, emulator, monkeypatch, tmp_path):
    """
    One by one: what the application does not say is read outside; what is empty is not said.
    """
    monkeypatch.setenv("FEDAPAY_API_URL", emulator.url)
    monkeypatch.setenv("FEDAPAY_API_KEY", "sk_sandbox_of_the_environment")
    monkeypatch.setenv("FEDAPAY_AUTH_KEY", "wh_sandbox_of_the_environment")
    monkeypatch.setenv("FEDAPAY_CALLBACKS", "worker")
    monkeypatch.setenv("FEDAPAY_WEBHOOK_PATH", "/paiement/webhook/")
    app = make_app(API_URL=None, API_KEY="", AUTH_KEY=["wh_sandbox_new_one_0", "wh_sandbox_old_one_0"])
    FedaPay(app)
    config = app.extensions["fedapay"]._config

    assert config.api_key.reveal() == "sk_sandbox_of_the_environment"
    assert [each.reveal() for each in config.webhook_secrets] == ["wh_sandbox_new_one_0", "wh_sandbox_old_one_0"]
    assert config.callbacks == "worker"
    assert config.db_url == f"sqlite:///{tmp_path}/boutique/fedapay.db"
    assert {rule.rule for rule in app.url_map.iter_rules("fedapay_webhooks")} == {
        "/paiement/webhook",
        "/paiement/webhook/",
    }
    other = make_app("other", DB_URL=f"sqlite:///{tmp_path}/other.db", CALLBACKS="here", WEBHOOK_PATH="/hook")
    FedaPay(other)
    assert other.extensions["fedapay"]._config.db_url == f"sqlite:///{tmp_path}/other.db"
    assert other.extensions["fedapay"]._config.callbacks == "here"
    assert other.test_client().post("/hook").data == b"bad signature\n"


def test_a_database_in_a_folder_with_odd_characters_is_that_file(make_app, tmp_path):
    """
    ``%`` and ``?`` in the name of the instance folder are no part of a URL.
    """
    app = make_app("a?b %41 é")
    fedapay = FedaPay(app)
    pay(fedapay, app)

    assert (tmp_path / "a?b %41 é" / "fedapay.db").exists()


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({}, "/webhooks/fedapay"),
        ({"ENDPOINT_NAME": "hook"}, "/hook"),
        ({"WEBHOOK_PATH": "/a/b"}, "/a/b"),
        ({"WEBHOOK_PATH": "/hook/", "ENDPOINT_NAME": "hook"}, "/hook"),
    ],
)
def test_the_webhook_is_answered_with_and_without_the_last_slash(make_app, emulator, settings, path):
    """
    No redirect, which FedaPay would not follow; any other method is refused.
    """
    app = make_app(**settings)
    fedapay = FedaPay(app)
    number = pay(fedapay, app)
    emulator.approve(number)

    assert deliver(app, emulator, number, path).status_code == 200
    assert deliver(app, emulator, number, f"{path}/").status_code == 200
    assert app.test_client().get(path).status_code == 405
    with app.test_request_context():
        assert flask.url_for("fedapay_webhooks").rstrip("/") == path


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"API_KEY": None, "AUTH_KEY": ""}, "il manque FEDAPAY_API_KEY, FEDAPAY_AUTH_KEY, dans app.config"),
        ({"API_URL": None}, "il manque FEDAPAY_API_URL"),
        ({"WEBHOOK_PATH": "/a", "ENDPOINT_NAME": "b"}, "se contredisent"),
        ({"WEBHOOK_PATH": "https://boutique.bj/webhooks"}, "un chemin"),
        ({"WEBHOOK_PATH": "/<name>"}, "un chemin"),
        ({"WEBHOOK_PATH": "/"}, "un chemin"),
        ({"WEBHOOK_PATH": 7}, "un chemin"),
        ({"ENDPOINT_NAME": "a b"}, "FEDAPAY_ENDPOINT_NAME='a b'"),
        ({"CALLBACKS": "thread"}, "here"),
        ({"DB_URL": ":memory:"}, "mémoire"),
        ({"DB_URL": 7}, "FEDAPAY_DB_URL"),
        ({"API_KEY": 7}, "Clé API"),
        ({"API_KEY": "sk_live_x", "API_URL": "https://sandbox-api.fedapay.com"}, "sandbox"),
        ({"AUTH_KEY": "sk_sandbox_x"}, "clé de l'API"),
    ],
)
def test_missing_and_contradictory_settings_are_refused(make_app, settings, said):
    """
    At ``init_app``, in French; the application is left as it was, and a second try may succeed.
    """
    app = make_app(**settings)
    with pytest.raises(ConfigError, match=said):
        FedaPay(app)

    assert "fedapay" not in app.extensions
    assert [rule.endpoint for rule in app.url_map.iter_rules()] == ["static"]
    assert not app.before_request_funcs and "fedapay" not in app.cli.commands


def test_a_path_of_the_application_that_contradicts_a_name_of_the_environment_is_refused(make_app, monkeypatch):
    """
    Nobody can know which of the two FedaPay was given.
    """
    monkeypatch.setenv("FEDAPAY_ENDPOINT_NAME", "webhooks")

    with pytest.raises(ConfigError, match="se contredisent"):
        FedaPay(make_app(WEBHOOK_PATH="/webhooks/fedapay"))


# Protection against forged requests


@pytest.mark.parametrize("order", ["CSRFProtect first", "FedaPay first"])
def test_webhooks_pass_csrf_protection_and_nothing_else_does(make_app, emulator, order):
    """
    Whichever ``init_app`` came first.
    """
    app, fedapay = make_app(), FedaPay()
    app.add_url_rule("/order", view_func=lambda: "made", methods=["POST"])
    extensions = [CSRFProtect(), fedapay]
    for each in extensions if order == "CSRFProtect first" else reversed(extensions):
        each.init_app(app)
    number = pay(fedapay, app)
    emulator.approve(number)

    assert deliver(app, emulator, number).status_code == 200
    assert deliver(app, emulator, number, "/webhooks/fedapay/").status_code == 200
    assert app.test_client().post("/order").status_code == 400


# Several applications, several extensions


def test_one_extension_serves_two_applications(make_app, emulator, eventually):
    """
    Each has its own connector and database; a function is called in the application whose payment it is.
    """
    fedapay, told = FedaPay(), []

    @fedapay.on_paid
    def note(event):
        told.append((flask.current_app.name, event.id_transaction))

    apps = [make_app("cotonou"), make_app("lome")]
    for app in apps:
        fedapay.init_app(app)
    numbers = [pay(fedapay, app) for app in apps]
    for app, number in zip(apps, numbers):
        emulator.approve(number)
        deliver(app, emulator, number)

    eventually(lambda: len(told) == 2)
    assert sorted(told) == [("cotonou", numbers[0]), ("lome", numbers[1])]
    assert repr(fedapay) == "FedaPay(cotonou, lome)"


def test_two_extensions_on_one_application_are_refused(make_app):
    """
    And one that is initialised twice.
    """
    app = make_app()
    fedapay = FedaPay(app)

    for each in (FedaPay(), fedapay):
        with pytest.raises(ConfigError, match="a déjà une extension FedaPay"):
            each.init_app(app)


def test_an_extension_is_used_with_its_application_alone(make_app):
    """
    Outside a context, before ``init_app``, and in the context of an application of another extension.
    """
    app, other = make_app(), make_app("other")
    fedapay = FedaPay(app)
    FedaPay(other)

    with pytest.raises(ConfigError, match=r"with app\.app_context\(\)"):
        fedapay.pay(SETUP, CLIENT, 500)
    with other.app_context(), pytest.raises(ConfigError, match="pas initialisée pour l'application « other »"):
        fedapay.health()
    with app.app_context(), pytest.raises(ConfigError, match="pas initialisée"):
        FedaPay().start()
    with pytest.raises(ConfigError, match="une application Flask est attendue, reçu str"):
        FedaPay("boutique")


def test_a_proxy_stands_for_its_application(make_app):
    """
    ``FedaPay(current_app)`` is that application's, after the context too.
    """
    app = make_app()
    with app.app_context():
        fedapay = FedaPay(flask.current_app)
    gc.collect()

    assert pay(fedapay, app)


def test_functions_are_checked_when_they_are_given(make_app):
    """
    Before there is an application, and again under a name that is taken; of a factory's function it is said how.
    """
    fedapay = FedaPay()

    async def later(event): ...

    with pytest.raises(ConfigError, match="async"):
        fedapay.on_paid(later)

    def create_app(name):
        app = make_app(name)

        def note(event): ...

        fedapay.on_webhook(note)
        fedapay.init_app(app)

    create_app("one")
    with pytest.raises(ConfigError, match=r"Dans une fabrique .*app\.extensions"):
        create_app("two")
    fedapay.on_webhook(print, name="books")
    with pytest.raises(ConfigError) as error:
        fedapay.on_webhook(repr, name="books")
    assert "fabrique" not in str(error.value)


def test_a_function_of_one_application_is_given_to_its_connector(make_app, emulator, eventually):
    """
    Two applications may have their own under one name, as those of a factory do.
    """
    fedapay, told = FedaPay(), []

    def create_app(name):
        app = make_app(name)
        fedapay.init_app(app)

        @app.extensions["fedapay"].on_paid
        def note(event):
            told.append((name, flask.current_app.name, event.id_transaction))

        return app

    apps = [create_app("cotonou"), create_app("lome")]
    numbers = [pay(fedapay, app) for app in apps]
    for app, number in zip(apps, numbers):
        emulator.approve(number)
        deliver(app, emulator, number)

    eventually(lambda: len(told) == 2)
    assert sorted(told) == [("cotonou", "cotonou", numbers[0]), ("lome", "lome", numbers[1])]


def test_an_application_that_nobody_holds_goes_with_its_threads(make_app, emulator, eventually, tmp_path):
    """
    The extension at module level outlives the applications of a hundred tests.
    """
    fedapay, before = FedaPay(), our_threads()
    fedapay.on_webhook(print, name="told")
    app = flask.Flask("gone", instance_path=str(tmp_path / "gone"))
    app.config.update(make_app().config)
    fedapay.init_app(app)
    pay(fedapay, app)
    assert our_threads() - before
    seen = weakref.ref(app)
    del app

    eventually(lambda: gc.collect() is not None and seen() is None)
    eventually(lambda: not our_threads() - before)


# Routes


def test_a_route_that_is_taken_is_refused(make_app):
    """
    By a view of the program, or by the blueprint that was mounted by hand.
    """
    app = make_app()
    app.add_url_rule("/webhooks/fedapay/", "mine", lambda: "mine", methods=["POST"])
    with pytest.raises(ConfigError, match=r"existe déjà .*vue mine"):
        FedaPay(app)

    app = make_app()
    app.register_blueprint(fedapay_sync.flask.blueprint(connector_of(app)))
    with pytest.raises(ConfigError, match=r"existe déjà .*vue fedapay\.webhooks"):
        FedaPay(app)


def connector_of(app):
    names = {"fedapay_api_url": "API_URL", "api_key": "API_KEY", "fedapay_webhooks_secret_key": "AUTH_KEY"}
    return Connector(**{name: app.config[f"FEDAPAY_{setting}"] for name, setting in names.items()})


def test_a_route_that_is_mounted_again_later_is_told_of_and_harmless(make_app, emulator, caplog):
    """
    The extension's came first, and answers.
    """
    app = make_app()
    fedapay = FedaPay(app)
    app.register_blueprint(fedapay_sync.flask.blueprint(connector_of(app)))
    number = pay(fedapay, app)
    emulator.approve(number)

    assert deliver(app, emulator, number).status_code == 200
    assert deliver(app, emulator, number).status_code == 200
    with app.app_context():
        assert fedapay.finalise(number, timeout=0).paid
    assert caplog.text.count("is mounted twice: view fedapay.webhooks is never called") == 1


def test_a_view_that_reads_there_is_no_conflict(make_app):
    """
    A page that a browser may see, at the address of the webhooks.
    """
    app = make_app()
    app.add_url_rule("/webhooks/fedapay", "page", lambda: "bonjour")
    FedaPay(app)

    assert app.test_client().get("/webhooks/fedapay").text == "bonjour"
    assert app.test_client().post("/webhooks/fedapay").data == b"bad signature\n"


def test_after_the_first_request_it_is_too_late(make_app):
    """
    Flask adds no route any more.
    """
    app = make_app()
    app.test_client().get("/")

    with pytest.raises(ConfigError, match="a déjà servi une requête"):
        FedaPay(app)
    assert "fedapay" not in app.extensions


# What starts when


def test_building_starts_and_opens_nothing_and_a_request_begins(make_app, emulator, eventually, tmp_path):
    """
    Of any route of the application: what an earlier process left owed is then told.
    """
    left = make_app()
    fedapay = FedaPay(left)
    number = pay(fedapay, left)
    left.extensions["fedapay"].close()
    emulator.approve(number)
    before, told, database = our_threads(), [], tmp_path / "fresh" / "fedapay.db"

    app = make_app("fresh")
    fedapay = FedaPay(app)
    fedapay.on_paid(lambda event: told.append(event.id_transaction), name="told")
    with app.app_context():
        assert fedapay.connector
    assert our_threads() == before and not database.exists()

    assert app.test_client().get("/nowhere").status_code == 404
    eventually(database.exists)
    assert our_threads() - before


def test_in_the_first_process_of_the_reloader_nothing_starts(make_app, monkeypatch):
    """
    Not even where a program calls ``start`` or ``restore`` as it is built.
    """
    app, before = make_app(), our_threads()
    fedapay = FedaPay(app)
    fedapay.on_restored(print)
    monkeypatch.setenv("FLASK_RUN_FROM_CLI", "true")
    monkeypatch.setattr(sys, "argv", ["flask", "run", "--debug"])
    monkeypatch.setenv("FLASK_DEBUG", "1")

    with app.app_context():
        assert fedapay.start() == fedapay.restore() == 0
    assert our_threads() == before and not Path(app.instance_path).exists()

    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    with app.app_context():
        fedapay.start()
    assert our_threads() - before


def test_the_package_alone_loads_neither_flask_nor_the_form_library():
    """
    And the extension does not load Flask-WTF.
    """
    code = (
        "import sys, fedapay_sync; fedapay_sync.Connector; print('flask' in sys.modules);"
        "import fedapay_sync.flask; print('flask_wtf' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(fedapay_sync.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)

    assert done.stdout.split() == ["False", "False"], done.stderr


# Secrets


def test_no_secret_is_in_the_frames_of_an_error(make_app):
    """
    Neither in those of the extension, which hand arguments on.
    """
    app = make_app()
    fedapay = FedaPay(app)
    with app.app_context(), pytest.raises(ConfigError) as caught:
        fedapay.pay(SETUP, CLIENT, 500, api_key="pk_sandbox_very_secret")

    frame, found = caught.value.__traceback__, []
    while frame is not None:
        if "fedapay_sync" in frame.tb_frame.f_code.co_filename and "tests" not in frame.tb_frame.f_code.co_filename:
            found.append(repr(frame.tb_frame.f_locals))
        frame = frame.tb_next
    assert len(found) > 2 and not any("very_secret" in each or "0164000001" in each for each in found)
