"""Every address of FedaPay's has a method here, a route in the emulator, and this test."""

import re
from operator import attrgetter
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import pytest

from fedapay_sync import Integration
from fedapay_sync.emulator import OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET, Emulator

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adresses.md"

#: What is known of FedaPay's API (documentation, official SDKs, recordings), November 2026.
KNOWN = """
    POST /transactions|POST /transactions/batch|GET /transactions|GET /transactions/search|GET /transactions/{id}
    GET /transactions/merchant/{merchant_reference}|PUT /transactions/{id}|DELETE /transactions/{id}
    POST /transactions/{id}/token|POST /transactions/{id}/receipt_url|GET /transactions/fees|POST /{mode}
    POST /payouts|POST /payouts/batch|GET /payouts|GET /payouts/search|GET /payouts/{id}
    GET /payouts/merchant/{merchant_reference}|PUT /payouts/{id}|PUT /payouts/start|DELETE /payouts/{id}
    POST /customers|GET /customers|GET /customers/search|GET /customers/{id}|PUT /customers/{id}|DELETE /customers/{id}
    GET /balances|GET /balances/{id}|GET /currencies|GET /currencies/{id}
    GET /events|GET /events/{id}|POST /events/subscribe|GET /logs|GET /logs/{id}|POST /logs/subscribe
    GET /webhooks|GET /webhooks/{id}|POST /webhooks|PUT /webhooks/{id}|DELETE /webhooks/{id}
    POST /webhooks/stub_event|POST /webhooks/{id}/send_event
    GET /accounts|POST /accounts|GET /accounts/{id}|PUT /accounts/{id}|DELETE /accounts/{id}|GET /accounts/light
    GET /pages|POST /pages|GET /pages/{id}|PUT /pages/{id}|DELETE /pages/{id}
    GET /pages/{reference}/verify|GET /pages/{reference}/light
    GET /invoices|POST /invoices|GET /invoices/{id}|PUT /invoices/{id}|DELETE /invoices/{id}
    GET /invoices/{reference}/verify|POST /oauth/token
"""
ADDRESSES = [each.strip() for line in KNOWN.strip().splitlines() for each in line.split("|")]

PERSON = {
    "firstname": "Ayaba",
    "lastname": "Hounkpatin",
    "email": "ayaba@exemple.bj",
    "phone_number": {"number": "0164000001", "country": "bj"},
}
TRANSACTION = {"description": "Commande", "amount": 1000, "currency": "XOF", "customer": PERSON}
PAYOUT = {"amount": 1000, "currency": "XOF", "mode": "momo_test", "customer": PERSON}


class Desk(NamedTuple):
    """What an argument may be made with."""

    api: Integration
    emulator: Emulator

    def transaction(self, **more: Any) -> Any:
        return self.api.transactions.create(TRANSACTION, **more)

    def paid(self) -> Any:
        made = self.transaction()
        self.emulator.approve(made.id)
        return made

    def payout(self, **more: Any) -> Any:
        return self.api.payouts.create(PAYOUT, **more)

    def webhook(self) -> Any:
        return self.api.webhooks.create(url="http://127.0.0.1:9/webhooks", enabled=False)


def person(desk: Desk) -> Any:
    return desk.api.customers.create(PERSON)


def account(desk: Desk) -> Any:
    return desk.api.accounts.create(name="Boutique")


def page(desk: Desk) -> Any:
    return desk.api.pages.create(name="Dons", amount=500, currency="XOF")


def invoice(desk: Desk) -> Any:
    return desk.api.invoices.create(currency="XOF", notes="Merci")


def event(desk: Desk) -> Any:
    desk.transaction()
    return desk.api.events.list().items[0]


def first(kind: str) -> Callable[[Desk], Any]:
    return lambda desk: attrgetter(kind)(desk.api).list().items[0]


#: For each method, its arguments; what must exist before is made here.
ARGUMENTS: Dict[str, Callable[[Desk], Tuple[Tuple[Any, ...], Dict[str, Any]]]] = {
    "transactions.create": lambda desk: ((TRANSACTION,), {}),
    "transactions.create_many": lambda desk: (([TRANSACTION, TRANSACTION],), {}),
    "transactions.retrieve": lambda desk: ((desk.transaction().id,), {"include": "customer,currency"}),
    "transactions.by_merchant_reference": lambda desk: (
        (desk.transaction(merchant_reference="A/7?b").merchant_reference,),
        {},
    ),
    "transactions.update": lambda desk: ((desk.transaction().id,), {"description": "Autre"}),
    "transactions.delete": lambda desk: ((desk.transaction().id,), {}),
    "transactions.token": lambda desk: ((desk.transaction().id,), {}),
    "transactions.receipt_link": lambda desk: ((desk.paid().id,), {}),
    "transactions.fees": lambda desk: ((desk.transaction().payment_token, "momo_test"), {}),
    "payment_intents.create": lambda desk: (("momo_test", desk.transaction().payment_token), {}),
    "payouts.create": lambda desk: ((PAYOUT,), {}),
    "payouts.create_many": lambda desk: (([PAYOUT],), {}),
    "payouts.retrieve": lambda desk: ((desk.payout().id,), {}),
    "payouts.by_merchant_reference": lambda desk: ((desk.payout(merchant_reference="PO-1").merchant_reference,), {}),
    "payouts.update": lambda desk: ((desk.payout().id,), {"description": "Autre"}),
    "payouts.start": lambda desk: ((desk.payout().id,), {}),
    "payouts.schedule": lambda desk: ((desk.payout().id, "2040-01-01 08:00:00"), {}),
    "payouts.start_many": lambda desk: (([desk.payout().id, {"id": desk.payout().id}],), {}),
    "payouts.delete": lambda desk: ((desk.payout().id,), {}),
    "customers.create": lambda desk: ((PERSON,), {}),
    "customers.retrieve": lambda desk: ((person(desk).id,), {}),
    "customers.update": lambda desk: ((person(desk).id,), {"firstname": "Afi"}),
    "customers.delete": lambda desk: ((person(desk).id,), {}),
    "balances.retrieve": lambda desk: ((first("balances")(desk).id,), {}),
    "currencies.retrieve": lambda desk: ((1,), {}),
    "events.retrieve": lambda desk: ((event(desk).id,), {}),
    "logs.retrieve": lambda desk: ((desk.transaction() and first("logs")(desk).id,), {}),
    "webhooks.create": lambda desk: ((), {"url": "http://127.0.0.1:9/webhooks", "http_headers": {"agregateur": "F"}}),
    "webhooks.retrieve": lambda desk: ((desk.webhook().id,), {}),
    "webhooks.update": lambda desk: ((desk.webhook().id,), {"disable_on_error": False}),
    "webhooks.delete": lambda desk: ((desk.webhook().id,), {}),
    "webhooks.stub_event": lambda desk: (("transaction.approved",), {}),
    "webhooks.send_event": lambda desk: ((desk.webhook().id, "transaction.approved"), {}),
    "accounts.create": lambda desk: ((), {"name": "Boutique"}),
    "accounts.retrieve": lambda desk: ((account(desk).id,), {}),
    "accounts.update": lambda desk: ((account(desk).id,), {"name": "Autre"}),
    "accounts.delete": lambda desk: ((account(desk).id,), {}),
    "accounts.light": lambda desk: ((), {"pos_code": "0001"}),
    "pages.create": lambda desk: ((), {"name": "Dons", "amount": 500, "currency": "XOF"}),
    "pages.retrieve": lambda desk: ((page(desk).id,), {}),
    "pages.update": lambda desk: ((page(desk).id,), {"name": "Autre"}),
    "pages.delete": lambda desk: ((page(desk).id,), {}),
    "pages.verify": lambda desk: ((page(desk).reference,), {}),
    "pages.light": lambda desk: ((page(desk).reference,), {}),
    "invoices.create": lambda desk: ((), {"currency": "XOF", "notes": "Merci"}),
    "invoices.retrieve": lambda desk: ((invoice(desk).id,), {}),
    "invoices.update": lambda desk: ((invoice(desk).id,), {"notes": "Autre"}),
    "invoices.delete": lambda desk: ((invoice(desk).id,), {}),
    "invoices.verify": lambda desk: ((invoice(desk).reference,), {}),
    "oauth.token": lambda desk: ((OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET), {}),
}
#: Lists and the like: no argument is needed.
NO_ARGUMENTS: Tuple[Tuple[Any, ...], Dict[str, Any]] = ((), {})


def documented() -> List[Tuple[str, str]]:
    """The rows of the page: (address, method), one for each method."""
    rows = re.findall(r"^\| `(\w+ /[^`]*)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [(address, method) for address, methods in rows for method in re.findall(r"`([^`]+)`", methods)]


def test_the_page_lists_every_address_once():
    """
    None is forgotten, none is invented.
    """
    listed = [address for address, _ in documented()]

    assert sorted(set(listed)) == sorted(ADDRESSES)
    assert [each for each in ARGUMENTS if each not in {method for _, method in documented()}] == []


@pytest.mark.parametrize(("address", "method"), documented(), ids=lambda value: value)
def test_the_method_of_an_address_calls_it_and_reads_the_answer(emulator, address, method):
    """
    What stands in the page is what happens: that method, on that address, answered by the emulator.
    """
    with Integration(emulator.url, default_api_key=emulator.secret_key) as api:
        args, options = ARGUMENTS.get(method, lambda desk: NO_ARGUMENTS)(Desk(api, emulator))
        before = len(emulator.requests)

        answer = attrgetter(method)(api)(*args, **options)

    (call,) = emulator.requests[before:]
    verb, path = address.split(" ")
    assert (call.method, call.status // 100) == (verb, 2)
    assert re.fullmatch("/v1" + re.sub(r"\\\{\w+\\\}", ".+", re.escape(path)), call.path), call.path
    if verb != "DELETE":
        assert answer is not None
