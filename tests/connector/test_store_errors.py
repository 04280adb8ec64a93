"""Where the database can neither be read nor written, each public method raises StoreError, and says so beforehand."""

import inspect

import pytest

from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, StoreError, UserData
from fedapay_sync.connector.registration import CallbackRegistration
from fedapay_sync.store.sqlite.connection import file_of
from fedapay_sync.workflow.waits.listens import Listen

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
EVENT = {"name": "transaction.approved", "object": "transaction", "entity": {"id": 1, "status": "approved"}}

#: A call of each method that uses the database, for a transaction that FedaPay knows.
CALLS = {
    "pay": lambda shop, number: shop.pay(SETUP, CLIENT, 500),
    "adopt": lambda shop, number: shop.adopt("CMD-1", number),
    "accept": lambda shop, number: shop.accept(number),
    "forget": lambda shop, number: shop.forget(number),
    "returned": lambda shop, number: shop.returned({"id": str(number)}),
    "check_status": lambda shop, number: shop.check_status(number),
    "cancel": lambda shop, number: shop.cancel(number),
    "finalise": lambda shop, number: shop.finalise(number, timeout=0),
    "listen": lambda shop, number: shop.listen(number),
    "listen_many": lambda shop, number: shop.listen_many([number]),
    "finalise_many": lambda shop, number: shop.finalise_many([number]),
    "as_completed": lambda shop, number: shop.as_completed([number]),
    "cancel_listen": lambda shop, number: shop.cancel_listen(number),
    "cancel_all_listens": lambda shop, number: shop.cancel_all_listens(),
    "start_webhook_server": lambda shop, number: shop.start_webhook_server(),
    "run_owed": lambda shop, number: shop.run_owed(),
    "start": lambda shop, number: shop.start(),
    "save_webhook": lambda shop, number: shop.save_webhook(EVENT),
    "restore": lambda shop, number: shop.restore(),
    "owes_callbacks": lambda shop, number: shop.owes_callbacks(),
    "parked": lambda shop, number: shop.parked(),
    "replay": lambda shop, number: shop.replay(),
    "purge": lambda shop, number: shop.purge(30),
    "backup": lambda shop, number: shop.backup("copy.db"),
}
#: ``receive`` is ``save_webhook`` after a signature; ``import_async`` names the other file first.
ALSO = {"receive", "import_async"}
#: What needs no database, or says itself that there is none.
WITHOUT = {
    "close", "get_transaction_by_merchant_reference", "health", "on_paid", "on_payment", "on_restored", "on_webhook",
    "run", "verify_signature", "wsgi_app",
}  # fmt: skip


@pytest.fixture
def number(make_connector, tmp_path):
    """A transaction of another database."""
    return make_connector(db_url=f"sqlite:///{tmp_path}/other.db").pay(SETUP, CLIENT, 500).id_transaction


@pytest.fixture
def damaged(make_connector, db_url):
    path = file_of(db_url)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"not a database" * 100)
    connector = make_connector(use_listen_server=True)
    connector.on_restored(lambda outcome: None)
    return connector


@pytest.mark.parametrize("name", CALLS)
def test_a_damaged_database_is_a_store_error_that_the_method_names(damaged, number, name):
    """
    A caller that reads the docstring knows what to catch.
    """
    damaged.on_webhook(lambda event: None)
    damaged.api.currencies.list()
    with pytest.raises(StoreError, match="pas une base SQLite"):
        CALLS[name](damaged, number)
    assert "StoreError" in inspect.getdoc(getattr(Connector, name))


def test_each_public_method_is_one_of_the_two():
    """
    A new one has to be given its place; what needs no database promises no such error.
    """
    defined = {**vars(CallbackRegistration), **vars(Connector)}
    own = {name: each for name, each in defined.items() if inspect.isfunction(each) and name == each.__name__}
    public = {name for name in own if not name.startswith("_")}
    assert public == {*CALLS, *ALSO, *WITHOUT}
    assert all("StoreError" in inspect.getdoc(own[name]) for name in ALSO)
    assert not [name for name in WITHOUT if "StoreError" in inspect.getdoc(own[name])]


@pytest.mark.parametrize("name", ["result", "done", "cancel"])
def test_a_wait_says_it_too(name):
    assert "StoreError" in inspect.getdoc(getattr(Listen, name))
