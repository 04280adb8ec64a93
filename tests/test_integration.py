"""The plain API: every name of the asynchronous connector, and what a careless caller does with them."""

import copy
import inspect
import json
import logging
import os
import pickle

import pytest
from support.raw_server import RawServer, answers

import fedapay_sync
from fedapay_sync import (
    AuthenticationError,
    ConfigError,
    Integration,
    InvalidArgument,
    MethodesPaiement,
    NotFound,
    PaiementSetup,
    Pays,
    TransactionDeleteStatus,
    UserData,
)
from fedapay_sync.emulator import Emulator
from fedapay_sync.integration import Integration as same

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")

BODY = {"description": "a", "currency": "XOF"}
PAYOUT = {"amount": 5, "currency": "XOF", "mode": "momo_test"}

#: Names and parameters of fedapay_connector 2.0.3.
NAMES = {
    "get_all_transactions": ["params", "api_key"],
    "get_transaction_by_fedapay_id": ["fedapay_id", "api_key"],
    "get_transaction_by_merchant_reference": ["merchant_reference", "api_key"],
    "update_transaction": ["fedapay_id", "data_to_update", "api_key"],
    "delete_transaction": ["fedapay_id", "api_key"],
    "create_transaction": [
        "setup",
        "client_infos",
        "montant_paiement",
        "callback_url",
        "api_key",
        "merchant_reference",
        "custom_metadata",
        "description",
    ],
    "get_transaction_link": ["id_transaction", "api_key"],
    "set_payment_method": ["client_infos", "setup", "token", "api_key"],
    "get_all_balances": ["params", "api_key"],
    "get_balance_by_id": ["balance_id", "api_key"],
    "get_all_currencies": ["params", "api_key"],
    "get_currency_by_id": ["currency_id", "api_key"],
    "get_all_events": ["params", "api_key"],
    "get_event_by_id": ["event_id", "api_key"],
    "get_all_logs": ["params", "api_key"],
    "get_log_by_id": ["log_id", "api_key"],
    "get_all_webhooks": ["params", "api_key"],
    "get_webhook_by_id": ["webhook_id", "api_key"],
}


@pytest.fixture
def api(emulator):
    with Integration(emulator.url, default_api_key=emulator.secret_key) as made:
        yield made


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_the_asynchronous_connector_is_here_with_its_parameters(name):
    """
    In the same order, so that positional calls move over too.
    """
    assert list(inspect.signature(getattr(Integration, name)).parameters)[1:] == NAMES[name]


def test_the_constructor_has_the_same_parameters_first():
    assert list(inspect.signature(Integration).parameters)[:3] == ["api_url", "logger", "default_api_key"]
    assert same is Integration


def test_the_page_of_the_asynchronous_connector_works_without_await(emulator, monkeypatch):
    """
    Its example, call by call; url and key from the environment, read when it is built.
    """
    monkeypatch.setenv("FEDAPAY_API_URL", emulator.url)
    monkeypatch.setenv("FEDAPAY_API_KEY", emulator.secret_key)
    integ = Integration()

    new_tx = integ.create_transaction(SETUP, CLIENT, montant_paiement=1000)
    assert integ.get_transaction_by_fedapay_id(str(new_tx.id)) == integ.get_transaction_by_fedapay_id(new_tx.id)
    token = integ.get_transaction_link(new_tx.id)
    assert token.payment_link.startswith(emulator.url)
    assert integ.set_payment_method(CLIENT, SETUP, token.token).reference.startswith("pi_")
    events = integ.get_all_events(params={})
    assert [each.type for each in events.events] == ["transaction.updated", "transaction.created", "customer.created"][
        -len(events.events) :
    ] or events.events
    assert integ.get_event_by_id(events.events[0].id) == events.events[0]


def test_every_list_answers_as_the_asynchronous_one_does(api):
    """
    ``.transactions`` and the like, and ``.meta``; as a dictionary too.
    """
    made = api.create_transaction(SETUP, CLIENT, 1000, merchant_reference="CMD-17", custom_metadata={"a": "b"})
    for name in ("transactions", "balances", "currencies", "events", "logs", "webhooks"):
        listed = getattr(api, f"get_all_{name}")(params={"per_page": 5})
        items = getattr(listed, name)
        assert items == listed.items == list(listed)[:5]
        assert listed.meta.current_page == 1
        assert set(listed.model_dump()) == {name, "meta"}
        one = f"get_{name[:-3] + 'y' if name.endswith('ies') else name[:-1]}_by_id"
        if items and name != "transactions":
            assert getattr(api, one)(items[0].id).id == items[0].id
    assert api.get_transaction_by_merchant_reference("CMD-17").id == made.id
    assert api.get_all_transactions().transactions[0].custom_metadata == {"a": "b"}


def test_a_transaction_is_changed_and_deleted(api):
    made = api.create_transaction(SETUP, CLIENT, 1000)

    assert api.update_transaction(made.id, {"description": "Autre"}).description == "Autre"
    deleted = api.delete_transaction(made.id)
    assert isinstance(deleted, TransactionDeleteStatus)
    assert deleted.delete_status


@pytest.mark.parametrize("missing", ["api_url", "default_api_key"])
def test_without_url_or_key_it_is_a_value_error(missing):
    """
    As the page promises, and before anything is sent.
    """
    given = {"api_url": "https://sandbox-api.fedapay.com", "default_api_key": "sk_sandbox_x", missing: None}

    with pytest.raises(ValueError, match="manquante") as caught:
        Integration(**given)
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("pk_sandbox_x", "clé publique"),
        ("sk_live_x", "clé live"),
        ("wh_sandbox_x", "secret de webhook"),
    ],
)
def test_the_three_mix_ups_of_keys_are_named(key, word, api):
    """
    At construction, and for one call.
    """
    with pytest.raises(ConfigError, match=word):
        Integration("https://sandbox-api.fedapay.com", default_api_key=key)
    if key != "sk_live_x":
        with pytest.raises(ConfigError, match=word):
            api.balances.list(api_key=key)


def test_a_key_for_one_call_is_used_for_that_call(emulator, api):
    """
    The next call has the usual key again.
    """
    with pytest.raises(AuthenticationError):
        api.balances.list(api_key="sk_sandbox_un_autre")
    assert api.balances.list().items


def test_several_accounts_live_in_one_process():
    """
    Each has its own key, connection and objects.
    """
    with Emulator() as first, Emulator(secret_key="sk_sandbox_autre") as second:
        here = Integration(first.url, default_api_key=first.secret_key)
        there = Integration(second.url, default_api_key=second.secret_key)
        made = here.create_transaction(SETUP, CLIENT, 1000)
        assert len(here.get_all_transactions().transactions) == 1
        assert there.get_all_transactions().transactions == []
        with pytest.raises(NotFound):
            there.get_transaction_by_fedapay_id(made.id)


def test_acting_for_an_account_sends_its_id():
    """
    For everything that is called through it, and nothing else.
    """
    with RawServer(answers(200, {"v1/balances": []})) as server:
        api = Integration(server.url, default_api_key="sk_sandbox_x")
        api.for_account(30211).balances.list()
        api.balances.list()
        Integration(server.url, default_api_key="sk_sandbox_x", account="30212").balances.list()

    assert [each.headers.get("fedapay-account") for each in server.requests] == ["30211", None, "30212"]


@pytest.mark.parametrize("account", ["1\r\nX: y", "", "a b", True, object()])
def test_an_account_that_is_none_is_refused(account):
    with pytest.raises(InvalidArgument):
        Integration("https://sandbox-api.fedapay.com", default_api_key="sk_sandbox_x", account=account)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda api: api.get_all_events(params=[1]), "params"),
        (lambda api: api.get_all_events(params={"api_key": "x"}), "params"),
        (lambda api: api.create_transaction({"pays": "bj"}, CLIENT, 1000), "setup"),
        (lambda api: api.create_transaction(SETUP, {"nom": "Doe"}, 1000), "client_infos"),
        (lambda api: api.create_transaction(SETUP, CLIENT, "1000"), "montant_paiement"),
        (lambda api: api.create_transaction(SETUP, CLIENT, 1000, custom_metadata=[1]), "custom_metadata"),
        (lambda api: api.set_payment_method(CLIENT, None, "token"), "setup"),
        (lambda api: api.set_payment_method(7, SETUP, "token"), "client_infos"),
        (lambda api: api.set_payment_method(CLIENT, SETUP, None), "token"),
        (lambda api: api.get_event_by_id("../logs"), "id"),
        (lambda api: api.update_transaction(1, {}), "body"),
        (lambda api: api.update_transaction(1, [("a", 1)]), "body"),
        (lambda api: api.transactions.list(page=0), "page"),
        (lambda api: api.transactions.list(per_page="25"), "per_page"),
        (lambda api: api.transactions.list(filters="x"), "filters"),
        (lambda api: api.transactions.search(7), "text"),
        (lambda api: api.transactions.retrieve(1, include=3), "include"),
        (lambda api: api.transactions.create({"amount": 1}, amount=2), "amount"),
        (lambda api: api.transactions.create_many([]), "transactions"),
        (lambda api: api.transactions.create_many({"amount": 1}), "transactions"),
        (
            lambda api: api.transactions.create_many([{**BODY, "amount": 5}, {**BODY, "amount": 0}]),
            "transactions[1].amount",
        ),
        (lambda api: api.transactions.fees("", "mtn"), "token"),
        (lambda api: api.transactions.fees("t", "../x"), "mode"),
        (lambda api: api.payment_intents.create("momo_test", "t", number="0164000001"), "country"),
        (lambda api: api.payouts.start("x y"), "id"),
        (lambda api: api.payouts.start_many([]), "payouts"),
        (lambda api: api.payouts.schedule(1, "now"), "scheduled_at"),
        (lambda api: api.payouts.schedule(1, None), "scheduled_at"),
        (lambda api: api.payouts.start_many([5, "5"]), "payouts"),
        (lambda api: api.payouts.update("start", payouts=[{"id": 5}]), "id"),
        (lambda api: api.transactions.retrieve("search"), "id"),
        (lambda api: api.payment_intents.create("payouts", "t"), "mode"),
        (lambda api: api.payment_intents.create("momo_test", "t", country="bj"), "number"),
        (lambda api: api.for_account(None), "account"),
        (lambda api: api.payouts.create_many([{**PAYOUT, "merchant_reference": "A"}] * 2), "merchant_reference"),
        (lambda api: api.webhooks.create(url="boutique"), "url"),
        (lambda api: api.webhooks.send_event(1, ""), "event"),
        (lambda api: api.pages.verify("a/b"), "reference"),
        (lambda api: api.oauth.token("", "x"), "client_id"),
        (lambda api: api.accounts.create(), "name"),
    ],
)  # fmt: skip
def test_careless_calls_are_refused_before_the_network(emulator, api, call, field):
    """
    With the name of the argument, in French, and nothing reaches FedaPay.
    """
    with pytest.raises(InvalidArgument) as caught:
        call(api)

    assert caught.value.field == field
    assert field.split(".")[0] in caught.value.message
    assert emulator.requests == []


def test_what_only_fedapay_can_know_comes_back_in_its_own_words(api, emulator):
    """
    Its message and its errors by field are in our error.
    """
    refusal = '{"message": "La création a échoué", "errors": {"amount": ["est trop petit"]}}'
    emulator.fail_next("/v1/transactions", method="POST", status=400, body=refusal, content_type="application/json")
    with pytest.raises(fedapay_sync.BadRequest) as caught:
        api.create_transaction(SETUP, CLIENT, 1000)
    assert list(caught.value.errors) == ["amount"]
    assert caught.value.fedapay_message in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.status, again.errors) == (400, caught.value.errors)


def test_a_logger_is_told_of_each_call_without_contents(emulator):
    """
    Method, path, status; no key, no name.
    """
    told = []
    logger = logging.Logger("shop")
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    logger.addHandler(handler)
    seen = []
    with Integration(emulator.url, logger, emulator.secret_key, observer=seen.append) as api:
        api.create_transaction(SETUP, CLIENT, 1000)

    assert told[0].startswith("POST /transactions: 200 in ")
    assert (seen[0].method, seen[0].status) == ("POST", 200)
    assert "Doe" not in repr(seen) + str(told)


def test_it_shows_its_address_and_no_key(emulator):
    api = Integration(emulator.url, default_api_key=emulator.secret_key)

    assert repr(api) == f"Integration({emulator.url!r})"
    assert emulator.secret_key not in str(vars(api).keys())


def test_a_list_without_meta_is_the_same_to_the_caller(api):
    """
    Balances and currencies come in one piece.
    """
    currencies = api.currencies.list()

    assert [each.iso for each in currencies] == ["XOF", "GNF"]
    assert (currencies.meta.total_count, currencies.meta.next_page, currencies.page.total_pages) == (2, None, 1)


def test_an_object_that_was_not_asked_for_is_an_error():
    """
    A cache in between, or a slip of FedaPay's: another's transaction.
    """
    other = answers(200, {"v1/transaction": {"id": 999}})
    with RawServer(other) as server, pytest.raises(fedapay_sync.UnreadableAnswer, match="999"):
        Integration(server.url, default_api_key="sk_sandbox_x").transactions.retrieve(73019)


def test_a_list_goes_through_all_pages(emulator, api):
    """
    And reads a page only when it gets there.
    """
    for number in range(5):
        api.create_transaction(SETUP, CLIENT, 1000 + number)
    before = len(emulator.requests)
    listed = api.transactions.list(per_page=2)
    assert len(emulator.requests) == before + 1

    assert [each.amount for each in listed] == [1004, 1003, 1002, 1001, 1000]
    assert len(emulator.requests) == before + 3
    assert [len(page.items) for page in listed.pages()] == [2, 2, 1]
    assert listed.meta.total_count == 5


def test_logs_under_a_singular_name_are_a_list_too():
    """
    So it is in one recording of 2022.
    """
    with RawServer(answers(200, {"v1/log": [{"id": "a", "method": "GET"}]})) as server:
        (log,) = Integration(server.url, default_api_key="sk_sandbox_x").logs.list()

    assert log.method == "GET"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_it_works_on_in_a_forked_child(emulator, api):
    """
    With a connection of its own.
    """
    api.balances.list()
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if api.balances.list().items else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert api.balances.list().items


def test_a_missing_address_names_the_argument_of_this_class():
    with pytest.raises(ConfigError, match="FEDAPAY_API_URL ou api_url :"):
        Integration(default_api_key="sk_sandbox_x")


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeouts": 5},
        {"timeouts": (None, None)},
        {"timeouts": (1, float("nan"))},
        {"budget": float("inf")},
        {"budget": "60"},
        {"observer": 5},
        {"observer": 5, "logger": logging.getLogger("shop")},
        {"logger": "shop"},
        {"logger": print},
    ],
    ids=repr,
)
def test_a_setting_that_is_none_is_refused_at_construction(wrong):
    """
    Not at the first payment.
    """
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Integration("https://sandbox-api.fedapay.com", default_api_key="sk_sandbox_x", **wrong)


def test_parameters_cannot_take_the_place_of_pythons_own(api, emulator):
    with pytest.raises(InvalidArgument) as caught:
        api.get_all_transactions({"self": 1})

    assert caught.value.field == "params" and emulator.requests == []


def test_a_secret_given_as_an_amount_is_not_in_the_error(api, emulator):
    for amount in ("sk_live_abc", "ayaba@exemple.bj"):
        with pytest.raises(InvalidArgument) as caught:
            api.transactions.create(amount=amount, **BODY)
        assert amount not in str(caught.value)
    assert emulator.requests == []


def test_a_list_goes_through_pickle_as_its_first_page(api):
    """
    A pickle has no connection and no key: iterating gives that page. A copy goes on as the list does.
    """
    for number in range(3):
        api.create_transaction(SETUP, CLIENT, 1000 + number)
    listed = api.transactions.list(per_page=2)

    again = pickle.loads(pickle.dumps(listed))
    assert list(again) == again.transactions == listed.items
    assert again.meta == listed.meta and len(list(again.pages())) == 1
    for copied in (copy.copy(listed), copy.deepcopy(listed)):
        assert [each.amount for each in copied] == [1002, 1001, 1000]


def test_an_empty_list_is_false_and_a_list_writes_itself_as_json(api):
    assert not api.transactions.list()
    api.create_transaction(SETUP, CLIENT, 1000)
    listed = api.transactions.list()

    assert listed
    assert json.loads(listed.to_json()) == listed.to_dict()


def test_a_closed_integration_that_is_used_again_works_again():
    """
    As patient as before: a passing fault is asked again.
    """
    with RawServer(answers(200, {"v1/balances": []})) as server:
        api = Integration(server.url, default_api_key="sk_sandbox_x")
        api.balances.list()
        api.close()
        server(answers(503, Retry_After="0"), answers(200, {"v1/balances": []}))
        assert api.balances.list().items == []
