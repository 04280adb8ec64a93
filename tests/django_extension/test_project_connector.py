"""The project's connector: its callbacks, transactions and settings, and what is refused."""

import inspect
import json

import pytest

from fedapay_sync import ConfigError, Connector, InvalidArgument, MethodesPaiement, PaiementSetup, Pays, UserData, sign
from fedapay_sync.common import hosting

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


def order(reference):
    from support.django_shop.models import Order

    return Order.objects.create(reference=reference)


def delivered(reference):
    from support.django_shop.models import Order

    return Order.objects.get(reference=reference).delivered


def webhook(emulator, number, name="transaction.approved"):
    """Body and signature of a webhook about that transaction, as the emulator tells of it."""
    entity = {**emulator.transaction(number), "klass": "v1/transaction"}
    body = json.dumps({"id": number, "name": name, "object": "transaction", "entity": entity}).encode()
    return body, sign(body, emulator.webhook_secret)


def post(body, signature, path="/webhooks/fedapay", **more):
    from django.test import Client

    return Client(enforce_csrf_checks=True).post(
        path, data=body, content_type="application/json", HTTP_X_FEDAPAY_SIGNATURE=signature, **more
    )


def pay(shop, emulator, reference):
    """The number of a transaction that is paid."""
    number = shop.pay(SETUP, CLIENT, 500, merchant_reference=reference).id_transaction
    emulator.approve(number)
    return number


# Paying and being told


@pytest.mark.parametrize("path", ["/webhooks/fedapay", "/webhooks/fedapay/"])
def test_a_paid_order_is_delivered_once_by_the_callback_that_was_found(shop, emulator, path):
    """
    ``fedapay_callbacks.py`` of an application; a repeated webhook changes nothing, and none needs a CSRF token.
    """
    order("CMD-1")
    body, signature = webhook(emulator, pay(shop, emulator, "CMD-1"))

    assert post(body, signature, path).status_code == 200
    assert post(body, signature, path).status_code == 200
    assert delivered("CMD-1") == 1


def test_on_threads_of_the_connector_a_callback_leaves_no_connection_open(shop, django_settings, emulator, eventually):
    """
    With ``CONN_MAX_AGE=0``, Django's default, there is nothing idle after it.
    """
    from django.db import connections
    from django.test import override_settings
    from support.django_shop.fedapay_callbacks import after

    used = []
    after.append(lambda event: used.append(connections["default"]))
    order("CMD-2")
    with override_settings(FEDAPAY={**django_settings, "CALLBACKS": "here"}):
        assert post(*webhook(emulator, pay(shop, emulator, "CMD-2"))).status_code == 200
        eventually(lambda: used)
        eventually(lambda: not shop.owes_callbacks())
        assert delivered("CMD-2") == 1
        eventually(lambda: used[0].connection is None)
    assert used[0] is not connections["default"]


def test_what_an_atomic_callback_wrote_before_it_failed_is_rolled_back(shop, emulator):
    """
    The event stays owed to it, under the name of the function.
    """
    from support.django_shop.fedapay_callbacks import after

    def fail(event):
        raise RuntimeError("no stock")

    order("CMD-3")
    after.append(fail)
    number = pay(shop, emulator, "CMD-3")
    assert post(*webhook(emulator, number)).status_code == 200
    assert delivered("CMD-3") == 0
    assert {name: each.count for name, each in shop.health().owed.items()} == {
        "support.django_shop.fedapay_callbacks.deliver": 1
    }


def test_inline_in_an_open_transaction_waits_for_its_commit(shop, emulator):
    """
    The event is on disk at once; the callback sees what the transaction has written.
    """
    from django.db import transaction

    with transaction.atomic():
        order("CMD-4")
        shop.receive(*webhook(emulator, pay(shop, emulator, "CMD-4")))
        assert delivered("CMD-4") == 0
    assert delivered("CMD-4") == 1


def test_after_a_rollback_the_callback_stays_owed(shop, emulator):
    """
    FedaPay has the money: the event is kept whatever became of the transaction that was open as it came.
    """
    from django.db import transaction

    order("CMD-5")
    with transaction.atomic():
        shop.receive(*webhook(emulator, pay(shop, emulator, "CMD-5")))
        transaction.set_rollback(True)
    assert delivered("CMD-5") == 0
    assert shop.owes_callbacks()
    assert shop.run_owed() == 1
    assert delivered("CMD-5") == 1


def test_a_callback_that_is_called_in_a_transaction_leaves_its_connection_open(shop, emulator, monkeypatch):
    """
    ``run_owed`` in an atomic block: Django's own ``close_old_connections`` would roll that block back.
    """
    from django.db import connections, transaction

    number = pay(shop, emulator, "CMD-13")
    with transaction.atomic():
        shop.receive(*webhook(emulator, number))
        transaction.set_rollback(True)
    with transaction.atomic():
        order("CMD-13")
        monkeypatch.setattr(connections["default"], "close_at", 0)
        assert shop.run_owed() == 1
    assert delivered("CMD-13") == 1


def test_pay_on_commit_asks_the_payer_once_the_order_is_committed(shop, emulator):
    """
    A payment of an order that was rolled back is never asked for.
    """
    from django.db import transaction

    paid = []
    with transaction.atomic():
        order("CMD-6")
        shop.pay_on_commit(SETUP, CLIENT, 500, merchant_reference="CMD-6", then=paid.append)
        assert not emulator.transactions
    assert [each.id_transaction for each in paid] == [each["id"] for each in emulator.transactions]

    with transaction.atomic():
        shop.pay_on_commit(SETUP, CLIENT, 500, merchant_reference="CMD-7", then=paid.append)
        transaction.set_rollback(True)
    assert len(emulator.transactions) == len(paid) == 1
    shop.pay_on_commit(SETUP, CLIENT, 500, merchant_reference="CMD-8", using="default")
    assert len(emulator.transactions) == 2


def test_pay_in_an_open_transaction_is_warned_of_once(shop, recwarn, monkeypatch):
    """
    Rolled back after it, the payer would pay for an order that is not there. On commit, and outside, all is well.
    """
    from django.db import transaction

    monkeypatch.setattr(hosting, "_warned", set())
    shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-30")
    with transaction.atomic():
        shop.pay_on_commit(SETUP, CLIENT, 500, merchant_reference="CMD-31")
    assert not recwarn.list

    for reference in ("CMD-32", "CMD-33"):
        with transaction.atomic():
            shop.pay(SETUP, CLIENT, 500, merchant_reference=reference)
    (warned,) = recwarn.list
    assert "pay_on_commit" in str(warned.message) and warned.filename == __file__


def test_the_methods_of_the_connector_are_there_with_their_signatures(shop):
    """
    All but those that serve webhooks without an application.
    """
    without = {"start_webhook_server", "wsgi_app", "on_paid", "on_webhook"}
    own = {name for name, each in vars(Connector).items() if inspect.isfunction(each) and name == each.__name__}
    own = {name for name in own if not name.startswith("_")} - without
    assert own > {"pay", "finalise", "returned", "health"}
    for name in own:
        assert inspect.signature(getattr(type(shop), name)) == inspect.signature(getattr(Connector, name)), name
    assert shop.connector is shop.connector
    assert repr(shop).startswith("ProjectConnector(Connector(")


# The webhook view


def test_what_the_view_answers(shop, emulator, django_settings):
    """
    400 is for bad signatures alone: ten of them, and FedaPay switches the webhook off.
    """
    from django.test import Client, override_settings

    body, signature = webhook(emulator, pay(shop, emulator, "CMD-9"))
    assert post(body, "t=1,s=bad").status_code == 400
    assert Client().get("/webhooks/fedapay").status_code == 405
    assert post(b"x" * (256 * 1024 + 1), signature).status_code == 413
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10):
        assert post(body, signature).status_code == 200
        assert post(b"x" * 100, signature).status_code == 400
    with override_settings(FEDAPAY={**django_settings, "DB_URL": "sqlite:////proc/none/fedapay.db"}):
        answer = post(body, signature)
        assert answer.status_code == 503
        assert answer["Retry-After"]
    with override_settings(FEDAPAY={}):
        assert post(body, signature).status_code == 503


def test_the_view_is_in_no_transaction_of_the_request(shop, emulator, monkeypatch):
    """
    With ``ATOMIC_REQUESTS`` the callback would else run before what it wrote is committed.
    """
    from django.db import connection
    from support.django_shop.fedapay_callbacks import after

    blocks = []
    after.append(lambda event: blocks.append(len(connection.atomic_blocks)))
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert post(*webhook(emulator, pay(shop, emulator, "CMD-10"))).status_code == 200
    assert blocks == [1]  # its own, of atomic=True


def test_a_webhook_under_asgi_is_taken_in(shop, emulator):
    """
    The same view, on a thread of Django's.
    """
    import asyncio

    from django.test import AsyncClient

    body, signature = webhook(emulator, pay(shop, emulator, "CMD-11"))

    async def deliver():
        return await AsyncClient().generic(
            "POST", "/webhooks/fedapay", body, content_type="application/json", **{"X-FedaPay-Signature": signature}
        )

    assert asyncio.run(deliver()).status_code == 200
    assert shop.finalise(emulator.transactions[0]["id"], timeout=0).paid


def test_the_emulator_delivers_to_the_test_client_of_django(shop, emulator):
    """
    In the thread of the test, to the route that the project has.
    """
    from django.test import Client

    order("CMD-12")
    client = Client()
    assert emulator.deliver_to(client) is client
    assert emulator.webhook_url == "http://testserver/webhooks/fedapay"
    pay(shop, emulator, "CMD-12")
    emulator.wait_for_deliveries()
    assert delivered("CMD-12") == 1
    assert {each.status for each in emulator.deliveries} == {200}


# What is refused


def test_a_client_that_webhooks_cannot_be_delivered_to_is_refused(shop, emulator):
    """
    An asynchronous one, or one of a project without the route.
    """
    from django.test import AsyncClient, Client, override_settings

    with pytest.raises(InvalidArgument, match="AsyncClient"):
        emulator.deliver_to(AsyncClient())
    without = override_settings(ROOT_URLCONF="support.django_shop.no_routes")
    with without, pytest.raises(InvalidArgument, match="urlpatterns"):
        emulator.deliver_to(Client())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"API_KEY": None}, ["API_KEY", "FEDAPAY_API_KEY", "settings.py"]),
        ({"API_KEY": "", "AUTH_KEY": ""}, ["API_KEY, AUTH_KEY"]),
        ({"API_KEI": "sk"}, ["API_KEI", "API_KEY"]),
        ({"FEDAPAY_DB_URL": "x"}, ["FEDAPAY_DB_URL", "DB_URL"]),
        ({"COLOUR": "red"}, ["COLOUR", "CALLBACKS"]),
        ({"CALLBACKS": "elsewhere"}, ["elsewhere", "inline"]),
        ({"OBSERVER": "no.such.function"}, ["OBSERVER", "no.such.function"]),
        ({"DB_URL": "mysql://localhost/shop"}, ["mysql", "SQLite"]),
    ],
)
def test_a_wrong_setting_is_named(shop, django_settings, changes, words):
    """
    By the name that it has in settings.py, before anything is opened; ``manage.py check`` says the same.
    """
    from django.test import override_settings

    from fedapay_sync.django.checks import check_settings

    with override_settings(FEDAPAY={**django_settings, **changes}):
        with pytest.raises(ConfigError) as caught:
            shop.pay(SETUP, CLIENT, 500)
        assert [each.id for each in check_settings()] == ["fedapay.E001"]
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_setting_that_is_no_dictionary_is_refused(shop):
    """
    As it would be written for Flask.
    """
    from django.test import override_settings

    with override_settings(FEDAPAY="sk_sandbox_secret"), pytest.raises(ConfigError, match="dictionnaire") as caught:
        shop.health()
    assert "sk_sandbox_secret" not in str(caught.value)


def test_the_application_has_to_be_installed(shop):
    """
    Without it no callback would be found, and a paid order stay undelivered.
    """
    from django.test import modify_settings

    shop._forget_connector()
    without = modify_settings(INSTALLED_APPS={"remove": "fedapay_sync.django"})
    with without, pytest.raises(ConfigError, match="INSTALLED_APPS"):
        shop.health()


def test_wrong_arguments_are_refused_before_the_transaction_is_committed(shop):
    """
    At its commit it would be too late.
    """
    with pytest.raises(ConfigError, match="merchant_reference"):
        shop.pay_on_commit(SETUP, CLIENT, 500, merchant_reference="")
    with pytest.raises(ConfigError, match="Ses arguments sont ceux de pay"):
        shop.pay_on_commit(SETUP, CLIENT, 500, merchant_reference="CMD", colour="red")
    with pytest.raises(ConfigError, match="other"):
        shop.pay_on_commit(SETUP, CLIENT, 500, merchant_reference="CMD", using="other")
    with pytest.raises(ConfigError, match="then="):
        shop.pay_on_commit(SETUP, CLIENT, 500, merchant_reference="CMD", then=lambda: None)
    with pytest.raises(ConfigError, match="atomic='other'"):
        shop.on_paid(print, atomic="other")
    with pytest.raises(ConfigError, match="async"):

        @shop.on_webhook(atomic=True)
        async def told(event):
            pass
