"""``/v1/payouts``: registers payouts and starts them; the records are in the payout ledger."""

from typing import Any, List

from fedapay_sync.emulator.http.call import Call, Created, Route, id_of, make_each
from fedapay_sync.emulator.http.errors import NOT_ALLOWED, Refusal, bilingual
from fedapay_sync.emulator.http.filters import select
from fedapay_sync.emulator.http.serializers import Record, stamp
from fedapay_sync.emulator.http.validation import TAKEN, FieldReader
from fedapay_sync.emulator.resources import payout_params
from fedapay_sync.emulator.resources.payout_ledger import PayoutLedger
from fedapay_sync.emulator.resources.payout_params import moment_of

CREATION_FAILED = bilingual("La création du dépôt a échoué", "Payout creation failed")
UPDATE_FAILED = bilingual("La mise à jour du dépôt a échoué", "Payout update failed")

_SEARCHED = ("reference", "merchant_reference", "description")
_SEARCHED_IN = {"customer": ("full_name", "email")}


class Payouts:
    """The resource; the records are the ledger's."""

    def __init__(self, ledger: PayoutLedger) -> None:
        self._ledger = ledger
        self._settings = ledger.data.settings

    def routes(self) -> List[Route]:
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
        self._check_open()
        made, errors = make_each(call, "payouts", lambda body: self._ledger.answer(self._create(body), call.include))
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
        started = self._ledger.start(payout_params.orders_of(call.body))
        return {"v1/payouts": [self._ledger.answer(each, call.include) for each in started]}

    # Inside

    def _create(self, body: Record) -> Record:
        if body.get("mode") in (None, ""):
            # As recorded: no reason, no message.
            raise Refusal(500, "")
        given = FieldReader(body)
        amount = given.amount()
        currency = given.currency()
        mode = payout_params.mode_of(given)
        description = given.text("description")
        reference = given.text("merchant_reference")
        custom = given.object("custom_metadata")
        if reference is not None and self._ledger.is_taken(reference):
            given.refuse("merchant_reference", TAKEN)
        person = given.object("customer")
        customer = self._ledger.customers.resolve(person, given) if person else None
        given.raise_if_wrong(CREATION_FAILED)
        # Only stored; it is the start that schedules.
        scheduled = moment_of(body.get("scheduled_at"), CREATION_FAILED)
        return self._ledger.add(
            amount=amount,
            currency_id=currency["id"],
            mode=mode,
            description=description,
            merchant_reference=reference,
            custom_metadata=custom,
            customer_id=self._ledger.customers.save(customer)["id"] if customer else None,
            scheduled_at=None if scheduled is None else stamp(scheduled),
        )

    def _changes(self, body: Record) -> Record:
        """The attributes that an update may change; an SDK sends all back, and the others are ignored."""
        given = FieldReader(body)
        changes: Record = {}
        if "amount" in body:
            changes["amount"] = given.amount()
        if "mode" in body:
            changes["mode"] = payout_params.mode_of(given)
        if "description" in body:
            changes["description"] = given.text("description")
        if "custom_metadata" in body:
            changes["custom_metadata"] = given.object("custom_metadata")
        if body.get("currency") is not None:
            changes["currency_id"] = given.currency().get("id")
        person: Any = given.object("customer") or {}
        # An embedded customer comes back without its id: it changes nothing.
        named = any(person.get(name) is not None for name in ("id", "email", "phone_number"))
        customer = self._ledger.customers.resolve(person, given) if named else None
        given.raise_if_wrong(UPDATE_FAILED)
        if customer:
            changes["customer_id"] = self._ledger.customers.save(customer)["id"]
        return changes

    def _check_open(self) -> None:
        if not self._settings.payouts:
            raise Refusal(403, NOT_ALLOWED)

    def _one(self, record: Record, call: Call) -> Record:
        return {"v1/payout": self._ledger.answer(record, call.include)}
