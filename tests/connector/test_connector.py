"""The door of the package: every name of the page works here, nothing starts by itself, everything ends."""

import inspect
import logging
import os
import re
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import fedapay_sync
from fedapay_sync import (
    Connector,
    EventFutureStatus,
    FedapayConnector,
    Integration,
    MethodesPaiement,
    Monnaies,
    PaiementSetup,
    Pays,
    TransactionStatus,
    TypesPaiement,
    UserData,
    signature,
)
from fedapay_sync.errors import ConfigError, InvalidArgument, PortUnavailable, SignatureError
from fedapay_sync.store.sqlite.connection import file_of

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
SECRET = "wh_sandbox_de_ces_essais"
ROOT = Path(__file__).resolve().parents[2]

#: The constructor of the async connector 2.0.3: its keywords in order, and their defaults.
ASYNC_KEYWORDS = {
    "fedapay_api_url": None,
    "use_listen_server": False,
    "listen_server_endpoint_name": None,
    "listen_server_port": 3000,
    "fedapay_webhooks_secret_key": None,
    "print_log_to_console": False,
    "save_log_to_file": False,
    "callback_timeout": 10,
    "db_url": None,
}

#: Long name of the page → our name.
ALIASES = {
    "fedapay_pay": "pay",
    "fedapay_check_transaction_status": "check_status",
    "fedapay_get_transaction_data": "check_status",
    "fedapay_get_transaction_data_by_merchant_id": "get_transaction_by_merchant_reference",
    "fedapay_finalise": "finalise",
    "fedapay_cancel_transaction": "cancel",
    "fedapay_save_webhook_data": "save_webhook",
    "cancel_future_event": "cancel_listen",
    "cancel_all_future_event": "cancel_all_listens",
    "set_payment_callback_function": "on_payment",
    "load_persisted_listening_processes": "restore",
    "shutdown_cleanup": "close",
}


@pytest.fixture
def settings(monkeypatch, emulator):
    """The environment of the page's .env."""
    values = {
        "FEDAPAY_API_KEY": emulator.secret_key,
        "FEDAPAY_API_URL": emulator.url,
        "FEDAPAY_AUTH_KEY": SECRET,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


@pytest.fixture
def shared(settings):
    """The shared connector's class; the instance is closed at the end."""
    yield FedapayConnector
    if FedapayConnector._shared is not None:
        FedapayConnector._shared.close()


@pytest.fixture
def package_logger():
    """Our logger, with the handlers and the level that it had before."""
    logger = logging.getLogger("fedapay_sync")
    handlers, level = list(logger.handlers), logger.level
    yield logger
    for handler in [each for each in logger.handlers if each not in handlers]:
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(level)


def our_threads():
    return {each.name for each in threading.enumerate() if each.name.startswith("fedapay-")}


# -- the names of the page -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("long, short", ALIASES.items())
@pytest.mark.parametrize("kind", [Connector, FedapayConnector])
def test_b01_every_long_name_is_the_short_one(kind, long, short):
    """
    B1: the page's names work, also those that its own package never had.
    """
    assert getattr(kind, long) is getattr(kind, short)
    assert inspect.getdoc(getattr(kind, long))


def test_b01_every_name_printed_on_the_page_exists():
    """
    B1: the names after a dot in its code are methods here.
    """
    page = """load_persisted_listening_processes start_webhook_server shutdown_cleanup verify_signature fedapay_pay
    set_on_persited_listening_processes_loading_finished_callback fedapay_finalise fedapay_save_webhook_data
    fedapay_check_transaction_status set_payment_callback_function set_webhook_callback_function"""
    for name in page.split():
        assert callable(getattr(FedapayConnector, name)), name
    imported = """Pays MethodesPaiement FedapayConnector PaiementSetup UserData EventFutureStatus PaymentHistory
    WebhookHistory TypesPaiement TransactionStatus Monnaies"""
    for name in imported.split():
        assert hasattr(fedapay_sync, name), name


@pytest.mark.parametrize("kind", [Connector, FedapayConnector])
def test_the_constructor_takes_the_keywords_of_the_async_one_in_its_order(kind):
    """
    Positional calls move over too; what is ours is keyword-only.
    """
    parameters = list(inspect.signature(Connector.__init__).parameters.values())[1:]

    assert {each.name: each.default for each in parameters[:9]} == ASYNC_KEYWORDS
    assert [each.name for each in parameters[:9]] == list(ASYNC_KEYWORDS)
    assert all(each.kind is each.KEYWORD_ONLY for each in parameters[9:])
    assert {"api_key", "host", "on_timeout", "api_keys"} <= {each.name for each in parameters[9:]}


def test_the_keywords_of_pay_and_finalise():
    """
    ``fedapay_pay(setup=, client_infos=, montant_paiement=, payment_contact=)``, ``fedapay_finalise(id, timeout=600)``.
    """
    pay = inspect.signature(Connector.fedapay_pay).parameters
    assert list(pay)[1:4] == ["setup", "client_infos", "montant_paiement"] and "payment_contact" in pay
    finalise = inspect.signature(Connector.fedapay_finalise).parameters
    assert list(finalise)[1:3] == ["id_transaction", "timeout"] and finalise["timeout"].default == 600


def test_no_default_is_read_at_import(monkeypatch, settings, emulator):
    """
    B10: a .env loaded after the import counts.
    """
    for name in settings:
        monkeypatch.delenv(name)
    with pytest.raises(ConfigError, match="FEDAPAY_API_URL"):
        Connector()
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with Connector() as connector:
        assert connector._config.api_url == emulator.url
        assert connector._config.api_key.reveal() == emulator.secret_key
        assert [each.reveal() for each in connector._config.webhook_secrets] == [SECRET]


def test_the_defaults_of_the_page(settings, monkeypatch):
    """
    Endpoint ``webhooks``, port 3000, the database beside the program; the environment changes them.
    """
    plain = Connector()._config
    assert (plain.endpoint_name, plain.port, plain.host) == ("webhooks", 3000, "127.0.0.1")
    assert file_of(plain.db_url) == Path.cwd() / "fedapay_connector_persisted_data" / "processes.db"
    monkeypatch.setenv("FEDAPAY_ENDPOINT_NAME", "encaissements")
    monkeypatch.setenv("FEDAPAY_DB_URL", "sqlite:////ailleurs/x.db")
    changed = Connector()._config
    assert (changed.endpoint_name, changed.db_url) == ("encaissements", "sqlite:////ailleurs/x.db")
    given = Connector(listen_server_endpoint_name="a/b", db_url="sqlite:////y.db", listen_server_port=8080)._config
    assert (given.endpoint_name, given.db_url, given.port) == ("a/b", "sqlite:////y.db", 8080)


def test_b01_the_workflow_of_the_page(shared, emulator, eventually):
    """
    B1: mode 2, with async, await and asyncio deleted, and the attributes that it prints.
    """
    paid, heard = [], []
    fedapay = shared(use_listen_server=True, listen_server_port=0)
    fedapay.set_payment_callback_function(paid.append)
    fedapay.set_webhook_callback_function(heard.append)
    fedapay.start_webhook_server()
    emulator.webhook_secret, emulator.webhook_url = SECRET, fedapay.webhook_url

    resp = fedapay.fedapay_pay(setup=SETUP, client_infos=CLIENT, montant_paiement=1000, payment_contact="0164000001")
    assert resp.id_transaction == resp.transaction.id == resp.transaction_data.id
    assert resp.link_and_token_data.payment_link.startswith("http")
    assert resp.set_methode_data is not None and resp.status == TransactionStatus.pending
    assert fedapay.fedapay_check_transaction_status(resp.id_transaction).status == TransactionStatus.pending
    emulator.approve(resp.id_transaction)
    status, webhooks = fedapay.fedapay_finalise(resp.id_transaction)

    assert status == EventFutureStatus.RESOLVED and webhooks[0].name == "transaction.approved"
    assert fedapay.fedapay_check_transaction_status(resp.id_transaction).status == TransactionStatus.approved
    eventually(lambda: paid and [event for event in heard if event.paid])
    assert paid[0].transaction.id == resp.id_transaction
    assert "transaction_data" in paid[0].__dict__ and "name" in heard[0].__dict__
    reference = resp.transaction.merchant_reference
    assert fedapay.fedapay_get_transaction_data_by_merchant_id(reference).id == resp.id_transaction


def test_b01_the_webhook_block_of_the_page(shared, emulator):
    """
    B1: mode 4: verify_signature, save, and both on the shared instance.
    """
    fedapay = shared(use_listen_server=False)
    payload = b'{"name": "transaction.approved", "entity": {"id": 7, "status": "approved"}}'

    assert shared().verify_signature(payload, signature.sign(payload, SECRET)) is True
    for header in (None, "", "t=1,s=0", signature.sign(payload + b" ", SECRET)):
        with pytest.raises(SignatureError):
            shared().verify_signature(payload, header)
    with pytest.raises(ConfigError, match="octets"):
        shared().verify_signature(payload.decode(), signature.sign(payload, SECRET))
    shared().fedapay_save_webhook_data({"name": "transaction.approved", "entity": {"id": 7, "status": "approved"}})
    assert fedapay.finalise(7, timeout=0).paid


def test_b13_countries_and_currencies_of_the_page():
    """
    B13: Mali and Burkina Faso have a currency; the enums have the page's members.
    """
    from fedapay_sync.common.countries import currency_of

    assert {currency_of(each) for each in Pays} == {Monnaies.xof, Monnaies.gnf}
    assert Pays.mali and Pays.burkina_faso and MethodesPaiement.mtn_open and MethodesPaiement.moov
    assert TypesPaiement.AVEC_REDIRECTION and TransactionStatus.created
    assert {each.name for each in EventFutureStatus} == {"RESOLVED", "TIMEOUT", "CANCELLED", "CANCELLED_INTERNALLY"}


def test_b13_a_payment_without_a_client(make_connector):
    """
    B13: ``client_infos=None`` is allowed by the signature; amounts are refused before anything is sent.
    """
    connector = make_connector()
    assert connector.pay(SETUP, None, 500, payment_contact="0164000001").id_transaction
    with pytest.raises(InvalidArgument, match="payment_contact"):
        connector.pay(SETUP, None, 500)
    for amount in (-5, 0, 12.5, "500", True, None):
        with pytest.raises(InvalidArgument, match="montant_paiement"):
            connector.pay(SETUP, CLIENT, amount)


# -- one shared instance -------------------------------------------------------------------------------------------


def test_b11_the_shared_connector_is_one_object(shared):
    """
    B11: asked again without arguments or with the same ones.
    """
    first = shared(use_listen_server=True, listen_server_port=0)

    assert shared() is first
    assert shared(use_listen_server=True) is first
    assert shared(None, True, listen_server_port=0) is first


def test_b11_the_shared_connector_refuses_other_arguments_by_name(shared):
    """
    B11: the async one ignores them.
    """
    first = shared(use_listen_server=True, listen_server_port=0)
    with pytest.raises(ConfigError) as caught:
        shared(use_listen_server=False, callback_timeout=3, listen_server_port=0)

    assert "callback_timeout, use_listen_server" in str(caught.value)
    assert "listen_server_port" not in str(caught.value)
    assert shared() is first


@pytest.mark.parametrize("name", ["FEDAPAY_API_KEY", "FEDAPAY_DB_URL"])
def test_the_shared_connector_says_that_the_environment_has_changed(shared, monkeypatch, name):
    """
    A kernel that goes on with yesterday's account would ask the wrong customers. What is there no more is no change.
    """
    first = FedapayConnector()
    monkeypatch.setenv(name, "sk_live_of_another" if "KEY" in name else "sqlite:///other.db")

    with pytest.raises(ConfigError, match=f"{name} a changé depuis dans l'environnement") as caught:
        FedapayConnector()
    assert "of_another" not in str(caught.value)
    monkeypatch.delenv(name)
    assert FedapayConnector() is first


def test_b10_a_failed_construction_leaves_nothing(shared, monkeypatch, settings):
    """
    B10: the next call builds a whole one.
    """
    monkeypatch.delenv("FEDAPAY_API_KEY")
    with pytest.raises(ConfigError, match="FEDAPAY_API_KEY"):
        shared()
    assert shared._shared is None
    monkeypatch.setenv("FEDAPAY_API_KEY", settings["FEDAPAY_API_KEY"])
    assert shared() is shared()


@pytest.mark.parametrize("closing", ["close", "shutdown_cleanup", "__exit__"])
def test_after_shutdown_the_next_call_builds_a_new_one(shared, closing):
    """
    With other arguments if it likes.
    """
    first = shared(callback_timeout=3)
    getattr(first, closing)(*([None] * 3 if closing == "__exit__" else []))

    second = shared(callback_timeout=4)
    assert second is not first
    first.close()
    assert shared() is second


def test_threads_that_ask_at_once_get_the_same_one(shared):
    """
    The first request of a threaded server comes many times.
    """
    found, start = [], threading.Barrier(16)

    def ask():
        start.wait()
        found.append(shared())

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(each) for each in found}) == 1


def test_the_shared_connector_is_an_ordinary_one_underneath(shared, settings):
    """
    ``isinstance`` holds, and a plain ``Connector`` beside it is another object.
    """
    assert isinstance(shared(), Connector) and isinstance(shared(), FedapayConnector)
    assert not isinstance(Connector(), FedapayConnector)


def test_a_shared_connector_that_found_no_port_is_built_anew(shared, settings):
    """
    The cell is edited and run again: another port; its callbacks come along, and the first one is closed.
    """
    with socket.create_server(("127.0.0.1", 0)) as other:
        first = shared(use_listen_server=True, listen_server_port=other.getsockname()[1])
        first.on_webhook(note, name="noter")
        with pytest.raises(PortUnavailable):
            first.start_webhook_server()

        again = shared(use_listen_server=True, listen_server_port=0)

    assert again is not first and again is shared()
    assert list(again._callbacks) == ["noter"]
    again.start_webhook_server()
    assert again.webhook_url
    with pytest.raises(ConfigError, match="listen_server_port"):
        shared(use_listen_server=True, listen_server_port=1)


def note(event):
    pass


@pytest.mark.parametrize("has_tried", [True, False])
def test_another_module_does_not_build_the_shared_connector_anew(shared, settings, has_tried, tmp_path):
    """
    It does not say again what the first one was built with; and one that was not started is nobody's to replace.
    """
    with socket.create_server(("127.0.0.1", 0)) as other:
        given = {"use_listen_server": True, "listen_server_port": other.getsockname()[1]}
        first = shared(**given, db_url=f"sqlite:///{tmp_path}/a.db")
        if has_tried:
            with pytest.raises(PortUnavailable):
                first.start_webhook_server()

        changed = {**given, "listen_server_port": 0}
        with pytest.raises(ConfigError, match="listen_server_port"):
            shared(**(changed if has_tried else {**changed, "db_url": f"sqlite:///{tmp_path}/a.db"}))
        assert shared() is first


def test_a_shared_connector_is_not_given_up_for_one_that_cannot_be_built(shared, settings):
    with socket.create_server(("127.0.0.1", 0)) as other:
        first = shared(use_listen_server=True, listen_server_port=other.getsockname()[1])
        with pytest.raises(PortUnavailable):
            first.start_webhook_server()
        with pytest.raises(ConfigError):
            shared(use_listen_server=True, listen_server_port=70_000)
        assert shared() is first


# -- nothing starts by itself --------------------------------------------------------------------------------------


def test_constructing_starts_nothing_and_creates_no_file(settings, tmp_path):
    """
    C3: no folder, no log, no database, no thread, no port; nor does setting callbacks.
    """
    before = our_threads()
    connector = Connector(use_listen_server=True, save_log_to_file=False)
    connector.on_webhook(lambda event: None)
    assert connector.webhook_url == "" and repr(connector)

    assert our_threads() <= before
    assert list(tmp_path.iterdir()) == []
    connector.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["flask", "waitress", "peewee", "marshmallow.validate.none", "asyncio"])
def test_the_import_is_light(module):
    """
    A script that only pays needs no web framework, and ``import`` opens no database.
    """
    code = f"import sys, fedapay_sync; sys.exit({module!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=str(ROOT), check=False).returncode == 0


def test_b03_a_port_in_use_is_an_error_in_the_callers_thread(make_connector):
    """
    B3: not a server that believes it runs; the next try works.
    """
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        connector = make_connector(use_listen_server=True, listen_server_port=port)
        with pytest.raises(PortUnavailable, match=str(port)) as caught:
            connector.start_webhook_server()
        assert caught.value.port == port and isinstance(caught.value, OSError)
        assert connector.webhook_url == ""
    connector.start_webhook_server()
    assert connector.webhook_url.endswith(f":{port}/webhooks")


def test_a_taken_port_names_the_setting_and_the_next_port(make_connector):
    """
    Of a connector, and not of the server inside it; nobody else receives, so nothing says that none is needed.
    """
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortUnavailable, match=rf"listen_server_port={port + 1}, ou 0") as caught:
            make_connector(use_listen_server=True, listen_server_port=port).start_webhook_server()
        assert (caught.value.port, caught.value.host) == (port, "127.0.0.1")
        assert "reçoit déjà" not in str(caught.value)


def test_a_host_that_is_none_of_ours_names_that_setting(make_connector):
    with pytest.raises(PortUnavailable, match=r'host="127\.0\.0\.1"') as caught:
        make_connector(use_listen_server=True, host="192.0.2.1").start_webhook_server()
    assert "listen_server_port" not in str(caught.value)


def test_where_another_process_receives_no_server_is_needed(make_connector, emulator):
    """
    Two notebooks on one database and the default port: the second one is told that it needs none, and does not.
    """
    first = make_connector(use_listen_server=True)
    first.start_webhook_server()
    emulator.webhook_url = first.webhook_url
    port = int(re.search(r":(\d+)/", first.webhook_url).group(1))
    second = make_connector(use_listen_server=True, listen_server_port=port)
    for _ in range(2):
        with pytest.raises(PortUnavailable, match="aucun serveur n'est nécessaire ici"):
            second.start_webhook_server()

    number = second.pay(SETUP, CLIENT, 500).id_transaction
    emulator.approve(number)
    assert second.finalise(number, timeout=30).paid

    first.close()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortUnavailable) as caught:
        second.start_webhook_server()
    assert "nécessaire" not in str(caught.value)


def test_one_that_receives_for_another_shop_is_none_of_ours(make_connector, emulator):
    """
    Another account in the same database.
    """
    first = make_connector(use_listen_server=True, api_key="sk_sandbox_autre_marchand")
    first.start_webhook_server()
    port = int(re.search(r":(\d+)/", first.webhook_url).group(1))
    with pytest.raises(PortUnavailable) as caught:
        make_connector(use_listen_server=True, listen_server_port=port).start_webhook_server()
    assert "nécessaire" not in str(caught.value)


def test_a_heartbeat_that_cannot_be_read_keeps_nothing_from_being_said(make_connector, sqlite_url, tmp_path):
    """
    The port is what the caller is to be told of.
    """
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        connector = make_connector(use_listen_server=True, listen_server_port=port)
        store = connector._per_process.get().store
        store.write(lambda database: database.execute_sql("DROP TABLE fp_turn"))
        with pytest.raises(PortUnavailable, match="listen_server_port"):
            connector.start_webhook_server()


def test_b07_start_and_close_twice_and_nothing_is_left(make_connector, eventually):
    """
    B6, B7: each is idempotent; the port is free and no thread of ours goes on.
    """
    before = our_threads()
    connector = make_connector(use_listen_server=True)
    connector.on_webhook(lambda event: None)
    connector.start_webhook_server()
    url = connector.webhook_url
    connector.start_webhook_server()
    assert connector.webhook_url == url
    connector.listen(connector.pay(SETUP, CLIENT, 500).id_transaction)
    connector.close()
    connector.close()

    port = int(re.search(r":(\d+)/", url).group(1))
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
    eventually(lambda: our_threads() <= before)


def test_b11_starting_a_server_that_was_not_asked_for_is_refused(make_connector):
    """
    B11: no silent no-op.
    """
    with pytest.raises(ConfigError, match="use_listen_server"):
        make_connector().start_webhook_server()


def test_two_connectors_in_one_process(make_connector, emulator):
    """
    Two servers, two ports, one database: a webhook to either ends a wait in both.
    """
    first, second = make_connector(use_listen_server=True), make_connector(use_listen_server=True)
    first.start_webhook_server()
    second.start_webhook_server()
    assert first.webhook_url != second.webhook_url
    emulator.webhook_url = second.webhook_url
    id_transaction = first.pay(SETUP, CLIENT, 500).id_transaction
    handle = first.listen(id_transaction)
    emulator.approve(id_transaction)

    assert handle.result(5).paid and second.finalise(id_transaction).paid


def test_a_closed_connector_that_is_used_again_works_again(make_connector, emulator):
    """
    A notebook's cell that closes may be followed by one that pays.
    """
    connector = make_connector(use_listen_server=True)
    seen = []
    connector.on_webhook(seen.append)
    id_transaction = connector.pay(SETUP, CLIENT, 500).id_transaction
    connector.close()
    emulator.approve(id_transaction)

    assert connector.finalise(id_transaction, timeout=0).paid
    connector.start_webhook_server()
    assert connector.webhook_url


def test_the_with_statement_closes(make_connector):
    """
    Also after an error, which it does not hide.
    """
    connector = make_connector(use_listen_server=True)
    with pytest.raises(KeyError), connector as entered:
        assert entered is connector
        connector.start_webhook_server()
        raise KeyError("the program's own")
    assert connector.webhook_url == ""


def test_b06_closing_waits_for_a_callback_that_runs(make_connector, emulator):
    """
    B6: at most ``callback_timeout``; the callback is not cut off, and runs once.
    """
    connector = make_connector(callback_timeout=10)
    began, go, done = threading.Event(), threading.Event(), []

    @connector.on_webhook
    def slow(event):
        began.set()
        go.wait(5)
        done.append(event)

    connector.save_webhook({"name": "transaction.approved", "entity": {"id": 7, "status": "approved"}})
    assert began.wait(5)
    threading.Timer(0.1, go.set).start()
    connector.close()
    assert len(done) == 1


# -- callbacks -----------------------------------------------------------------------------------------------------

SETTERS = [
    "on_payment",
    "on_webhook",
    "on_restored",
    "set_payment_callback_function",
    "set_webhook_callback_function",
    "set_on_persited_listening_processes_loading_finished_callback",
]


@pytest.mark.parametrize("name", SETTERS)
def test_asynchronous_callbacks_are_refused_with_the_remedy(make_connector, name):
    """
    Nobody would await them.
    """

    async def callback(*_):
        pass

    class Callable:
        async def __call__(self, *_):
            pass

    setter = getattr(make_connector(), name)
    for asynchronous in (callback, Callable()):
        with pytest.raises(ConfigError, match="« async »"):
            setter(asynchronous)
    for nothing in (None, 5, "f"):
        with pytest.raises(ConfigError, match="fonction"):
            setter(nothing)


@pytest.mark.parametrize("name", SETTERS)
def test_setters_are_decorators(make_connector, name):
    """
    The name that they decorate stays the function.
    """

    def callback(*_):
        pass

    assert getattr(make_connector(), name)(callback) is callback


def test_a_callback_set_after_the_start_gets_what_is_owed(make_connector, eventually):
    """
    The order of the two calls does not matter.
    """
    shop = make_connector()
    shop.save_webhook({"name": "transaction.approved", "entity": {"id": 7, "status": "approved"}})
    shop.close()
    connector = make_connector(use_listen_server=True)
    connector.start_webhook_server()
    seen = []
    connector.on_webhook(seen.append)

    eventually(lambda: seen, timeout=5)


# -- configuration and secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"fedapay_api_url": ""}, "FEDAPAY_API_URL"),
        ({"fedapay_api_url": "ftp://x"}, "sandbox-api.fedapay.com"),
        ({"fedapay_api_url": "http://api.fedapay.com"}, "https"),
        ({"api_key": ""}, "FEDAPAY_API_KEY"),
        ({"api_key": "pk_sandbox_x"}, "publique"),
        ({"api_key": "wh_sandbox_x"}, "FEDAPAY_AUTH_KEY"),
        ({"fedapay_webhooks_secret_key": "sk_sandbox_x"}, "wh_"),
        ({"fedapay_webhooks_secret_key": "", "use_listen_server": True}, "FEDAPAY_AUTH_KEY"),
        ({"listen_server_port": "3000"}, "listen_server_port"),
        ({"listen_server_port": 70_000}, "listen_server_port"),
        ({"listen_server_endpoint_name": "a?b"}, "listen_server_endpoint_name"),
        ({"callback_timeout": -1}, "callback_timeout"),
        ({"db_url": "sqlite:///:memory:"}, "FEDAPAY_DB_URL"),
        ({"db_url": "mysql://x/y"}, "FEDAPAY_DB_URL"),
        ({"on_timeout": "never"}, "on_timeout"),
    ],
)
def test_a_wrong_setting_is_named_at_construction(make_connector, changes, named):
    """
    B10: ValueError too, as the page promises; the message says which setting and what to do.
    """
    with pytest.raises(ConfigError, match=re.escape(named)) as caught:
        make_connector(**changes)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("kind", [Connector, FedapayConnector, Integration])
def test_a_connector_whose_construction_failed_shows_itself(kind):
    """
    In a debugger, or a report that quotes the local variables of each frame.
    """
    made = kind.__new__(kind)
    with pytest.raises(ConfigError):
        kind.__init__(made, "ftp://x")

    assert repr(made) == f"{kind.__name__}(construction échouée)"


def test_no_secret_in_repr_or_str(make_connector, emulator):
    """
    Of the connector and of its parts.
    """
    connector = make_connector(fedapay_webhooks_secret_key=SECRET)
    shown = repr(connector) + str(connector) + repr(connector._config) + repr(vars(connector))

    assert emulator.secret_key not in shown and SECRET not in shown


def test_c03_the_log_file_is_private_and_masked(make_connector, emulator, tmp_path, package_logger):
    """
    C3: only when asked for, mode 0600, no token, no link, no name, no number, no key; once, however many connectors.
    """
    make_connector(save_log_to_file=False).pay(SETUP, CLIENT, 500)
    assert not (tmp_path / "logs").exists()
    for _ in range(2):
        connector = make_connector(use_listen_server=True, save_log_to_file=True)
    connector.start_webhook_server()
    emulator.webhook_url = connector.webhook_url
    payment = connector.pay(SETUP, CLIENT, 500)
    emulator.approve(payment.id_transaction)
    assert connector.finalise(payment.id_transaction).paid
    connector.close()

    path = tmp_path / "logs" / "fedapay_sync.log"
    text = path.read_text(encoding="utf-8")
    assert "stored: transaction.approved" in text
    assert len([line for line in text.splitlines() if "stored: transaction.approved" in line]) == 1
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    token = payment.link_and_token_data.token
    for secret in (emulator.secret_key, emulator.webhook_secret, token, "john@example.com", "0164000001", "Doe"):
        assert secret not in text


@pytest.mark.skipif(os.name == "nt", reason="rights are not in the mode there")
def test_an_old_log_file_is_closed_to_others(make_connector, tmp_path, package_logger):
    """
    One that another version, or a shell, made readable.
    """
    path = tmp_path / "logs" / "fedapay_sync.log"
    path.parent.mkdir()
    path.write_text("before\n")
    path.chmod(0o644)
    make_connector(save_log_to_file=True)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "before\n"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("target", ["here", "nowhere"])
def test_a_log_file_that_is_a_link_is_refused(make_connector, tmp_path, package_logger, target):
    """
    Whoever planted it would say where customers' data is written, or which file is written over.
    """
    (tmp_path / "here").write_text("other\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "fedapay_sync.log").symlink_to(tmp_path / target)

    with pytest.raises(ConfigError, match=r"lien symbolique.*save_log_to_file"):
        make_connector(save_log_to_file=True)
    assert (tmp_path / "here").read_text() == "other\n" and not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_log_file_that_is_no_file_is_refused(make_connector, tmp_path, package_logger):
    """
    At once: a pipe that nobody reads would be waited for.
    """
    (tmp_path / "logs").mkdir()
    os.mkfifo(tmp_path / "logs" / "fedapay_sync.log")

    with pytest.raises(ConfigError, match="ne peut pas être écrit"):
        make_connector(save_log_to_file=True)


def test_a_full_log_file_is_put_aside(make_connector, tmp_path, package_logger):
    """
    It does not fill the disk, and the next one is as private.
    """
    make_connector(save_log_to_file=True)
    for number in range(400):
        logging.getLogger("fedapay_sync").warning("%d %s", number, "mot " * 25_000)

    found = sorted((tmp_path / "logs").iterdir())
    assert [each.name for each in found] == ["fedapay_sync.log", *(f"fedapay_sync.log.{n}" for n in range(1, 6))]
    assert sum(each.stat().st_size for each in found) < 31_000_000
    if os.name != "nt":
        assert {stat.S_IMODE(each.stat().st_mode) for each in found} == {0o600}


def test_c08_nothing_is_printed_unless_asked(make_connector, emulator, capfd, package_logger):
    """
    C8: no access line for each webhook on the program's own output.
    """
    connector = make_connector(use_listen_server=True)
    connector.start_webhook_server()
    emulator.webhook_url = connector.webhook_url
    payment = connector.pay(SETUP, CLIENT, 500)
    emulator.approve(payment.id_transaction)
    assert connector.finalise(payment.id_transaction).paid
    connector.close()

    assert capfd.readouterr() == ("", "")


def test_the_log_goes_to_the_console_when_asked(make_connector, emulator, capfd, package_logger):
    """
    Masked there too.
    """
    connector = make_connector(print_log_to_console=True)
    connector.save_webhook({"name": "transaction.approved", "entity": {"id": 7, "status": "approved"}})

    assert "transaction.approved" in capfd.readouterr().err


def test_cancel_uses_the_key_that_the_payment_was_made_with(make_connector, emulator):
    """
    A9: with several merchant accounts, no call falls back to the wrong one.
    """
    connector = make_connector(api_key="sk_sandbox_autre", api_keys=[emulator.secret_key])
    id_transaction = connector.pay(SETUP, CLIENT, 500, api_key=emulator.secret_key).id_transaction

    assert connector.finalise(id_transaction, timeout=0).status == EventFutureStatus.TIMEOUT
    assert connector.check_status(id_transaction).status == TransactionStatus.pending
    assert connector.cancel(id_transaction).delete_status


def test_a_callback_that_uses_the_connector_while_it_closes_makes_no_second_one(make_connector, emulator, eventually):
    """
    What comes while closing finds the parts that close, and nothing is left running afterwards.
    """
    connector = make_connector()
    begun, go = threading.Event(), threading.Event()

    @connector.on_webhook
    def slow(event):
        begun.set()
        go.wait(10)
        connector.check_status(event.entity.id)

    id_transaction = connector.pay(SETUP, CLIENT, 500).id_transaction
    emulator.approve(id_transaction)
    connector.check_status(id_transaction)
    assert begun.wait(10)
    closing = threading.Thread(target=connector.close)
    closing.start()
    go.set()
    closing.join(20)

    assert connector._per_process.peek() is None


@pytest.mark.faults(row=4)
def test_a_script_that_simply_ends_does_not_cut_its_callback(emulator, tmp_path):
    """
    No close, as in a cron job: the callback that runs is waited for, and the next run has nothing to repeat.
    """
    said = tmp_path / "said"
    script = f"""
import threading
from fedapay_sync import Connector
connector = Connector({emulator.url!r}, api_key={emulator.secret_key!r}, db_url="sqlite:///{tmp_path}/cron.db")
begun = threading.Event()

@connector.on_webhook
def slow(event):
    begun.set()
    threading.Event().wait(1)
    with open({str(said)!r}, "a") as file:
        print(event.attempt, file=file)

entity = {{"id": 1, "status": "approved"}}
connector.save_webhook({{"name": "transaction.approved", "object": "transaction", "entity": entity}})
begun.wait(10)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert said.read_text().split() == ["1"]


@pytest.mark.parametrize("observer", [5, "print", {}])
def test_what_is_no_observer_is_refused_at_once(make_connector, observer):
    """
    Where it is written, and not at the first call to FedaPay.
    """
    with pytest.raises(ConfigError, match="observer : une fonction"):
        make_connector(observer=observer)
