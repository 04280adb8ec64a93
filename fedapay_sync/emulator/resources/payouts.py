"""``/v1/payouts``: money sent to somebody, registered first and started later."""

import copy
from typing import Any, List, Optional

from fedapay_sync.emulator.domain.timers import Timers
from fedapay_sync.emulator.http.call import Call, Created, Route, id_of
from fedapay_sync.emulator.http.errors import NOT_ALLOWED, Refusal, both, missing
from fedapay_sync.emulator.http.filters import select
from fedapay_sync.emulator.http.serializers import Record, stamp
from fedapay_sync.emulator.http.validation import TAKEN, Fields, items_of
from fedapay_sync.emulator.resources import payout_params as payout_orders
from fedapay_sync.emulator.resources.balances import Balances
from fedapay_sync.emulator.resources.customers import Customers
from fedapay_sync.emulator.resources.payout_ledger import PayoutLedger
from fedapay_sync.emulator.resources.payout_params import moment_of
from fedapay_sync.emulator.storage.shop_data import Books

CREATION_FAILED = both("La création du dépôt a échoué", "Payout creation failed")
UPDATE_FAILED = both("La mise à jour du dépôt a échoué", "Payout update failed")

_SEARCHED = ("reference", "merchant_reference", "description")
_SEARCHED_IN = {"customer": ("full_name", "email")}


class Payouts:
    """
    What the API answers about payouts.

    Args:
        delay: seconds from the start, or its date, to the end; None: nothing ends but by ``send`` and ``fail``.
    """

    def __init__(
        self,
        books: Books,
        customers: Customers,
        balances: Balances,
        timers: Timers,
        delay: Optional[float] = None,
    ) -> None:
        self._settings = books.settings
        self._customers = customers
        self._ledger = PayoutLedger(books, customers, balances, timers, delay)

    def routes(self) -> List[Route]:
        """What this part answers."""
        return [
            ("POST", "/v1/payouts", self.create),
            ("POST", "/v1/payouts/batch", self.batch),
            ("GET", "/v1/payouts", self.all),
            ("GET", "/v1/payouts/search", self.all),
            ("GET", "/v1/payouts/merchant/<reference:reference>", self.retrieve_by_reference),
            ("PUT", "/v1/payouts/start", self.start),
            ("GET", "/v1/payouts/<number>", self.retrieve),
            ("PUT", "/v1/payouts/<number>", self.update),
            ("DELETE", "/v1/payouts/<number>", self.delete),
        ]

    # The API

    def create(self, call: Call) -> Created:
        self._check_open()
        return Created(self._one(self._create(call.body), call))

    def batch(self, call: Call) -> Created:
        """Those that can be made are made; the others are told of as in a batch of transactions."""
        self._check_open()
        wanted = items_of(call.body.get("payouts"))
        if not wanted:
            raise missing("payouts")
        made: List[Record] = []
        errors: List[Record] = []
        for index, each in enumerate(wanted):
            try:
                made.append(self._ledger.answer(self._create(each if isinstance(each, dict) else {}), call.include))
            except Refusal as refusal:
                errors.append({"index": index, **refusal.to_dict(call.locale)})
        return Created({"v1/payout_batch": {"klass": "v1/payout_batch", "payouts": made, "errors": errors}})

    def all(self, call: Call) -> Record:
        records = select(
            call.query,
            self._ledger.newest_first(),
            _SEARCHED,
            embedded=self._ledger.embedded,
            searched_in=_SEARCHED_IN,
        )
        return call.page("v1/payouts", records, lambda each: self._ledger.answer(each, call.include))

    def retrieve(self, call: Call, number: str) -> Record:
        return self._one(self._ledger.get(id_of(number)), call)

    def retrieve_by_reference(self, call: Call, reference: str) -> Record:
        return self._one(self._ledger.by_merchant_reference(reference), call)

    def update(self, call: Call, number: str) -> Record:
        record = self._ledger.get(id_of(number))
        self._ledger.check_changeable(record)
        self._ledger.change(record, self._changes(call.body))
        return self._one(record, call)

    def delete(self, call: Call, number: str) -> None:
        record = self._ledger.get(id_of(number))
        self._ledger.check_changeable(record)
        self._ledger.delete(record)

    def start(self, call: Call) -> Record:
        self._check_open()
        started = self._ledger.start(payout_orders.orders_of(call.body))
        return {"v1/payouts": [self._ledger.answer(each, call.include) for each in started]}

    # The operator, and whoever looks on

    def send(self, number: int) -> None:
        """
        The beneficiary has the money.

        Raises:
            InvalidArgument: no such payout, or one that is not on its way.
        """
        self._ledger.end(number, "sent")

    def fail(self, number: int) -> None:
        """The operator refuses; see ``send``."""
        self._ledger.end(number, "failed")

    def resume(self) -> None:
        """To call after the books were read from a file."""
        self._ledger.resume()

    def answers(self, limit: Optional[int] = None) -> List[Record]:
        """Copies of payouts in the API's form, the last ones, oldest first, customer and currency included."""
        return [self.answer(each["id"]) for each in reversed(self._ledger.newest_first()[:limit])]

    def answer(self, number: int) -> Record:
        """A copy of one of them, or Refusal 404."""
        with self._ledger.books.lock:
            return copy.deepcopy(self._ledger.answer(self._ledger.get(number), ("customer", "currency")))

    # Inside

    def _create(self, body: Record) -> Record:
        if body.get("mode") in (None, ""):
            # So it was seen: no reason, no message.
            raise Refusal(500, "")
        given = Fields(body)
        amount = given.amount()
        currency = given.currency()
        mode = payout_orders.mode_of(given)
        description = given.text("description")
        reference = given.text("merchant_reference")
        custom = given.object("custom_metadata")
        if reference is not None and self._ledger.is_taken(reference):
            given.refuse("merchant_reference", TAKEN)
        person = given.object("customer")
        customer = self._customers.meant(person, given) if person else None
        given.raise_if_wrong(CREATION_FAILED)
        # Written down only; it is the start that schedules.
        scheduled = moment_of(body.get("scheduled_at"), CREATION_FAILED)
        return self._ledger.add(
            amount=amount,
            currency_id=currency["id"],
            mode=mode,
            description=description,
            merchant_reference=reference,
            custom_metadata=custom,
            customer_id=self._customers.keep(customer)["id"] if customer else None,
            scheduled_at=None if scheduled is None else stamp(scheduled),
        )

    def _changes(self, body: Record) -> Record:
        """What an update changes; an SDK that saves sends every attribute back, and the others are passed over."""
        given = Fields(body)
        changes: Record = {}
        if "amount" in body:
            changes["amount"] = given.amount()
        if "mode" in body:
            changes["mode"] = payout_orders.mode_of(given)
        if "description" in body:
            changes["description"] = given.text("description")
        if "custom_metadata" in body:
            changes["custom_metadata"] = given.object("custom_metadata")
        if body.get("currency") is not None:
            changes["currency_id"] = given.currency().get("id")
        person: Any = given.object("customer") or {}
        # An embedded customer comes back without its id: it changes nothing.
        named = any(person.get(name) is not None for name in ("id", "email", "phone_number"))
        customer = self._customers.meant(person, given) if named else None
        given.raise_if_wrong(UPDATE_FAILED)
        if customer:
            changes["customer_id"] = self._customers.keep(customer)["id"]
        return changes

    def _check_open(self) -> None:
        if not self._settings.payouts:
            raise Refusal(403, NOT_ALLOWED)

    def _one(self, record: Record, call: Call) -> Record:
        return {"v1/payout": self._ledger.answer(record, call.include)}
