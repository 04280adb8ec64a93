"""``POST /v1/{mode}``: prompts the payer's phone, and schedules the automatic answer."""

from typing import List, Optional

from fedapay_sync.emulator.domain.rules import KNOWN_MODES
from fedapay_sync.emulator.domain.timers import Timers
from fedapay_sync.emulator.http import serializers, validation
from fedapay_sync.emulator.http.call import Call, Route
from fedapay_sync.emulator.http.errors import NOT_ALLOWED, NOT_FOUND, Refusal
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.resources.phones import Phones
from fedapay_sync.emulator.resources.transaction_ledger import TransactionLedger
from fedapay_sync.emulator.resources.transactions import BAD_TOKEN
from fedapay_sync.enums import TransactionStatus

_S = TransactionStatus


class PaymentIntents:
    """
    Prompts on phones: payments without redirection, and those of the payment page.

    Args:
        delay: seconds until a payer answers; None: only by hand.
    """

    def __init__(self, ledger: TransactionLedger, phones: Phones, timers: Timers, delay: Optional[float]) -> None:
        self._ledger = ledger
        self._phones = phones
        self._timers = timers
        self._delay = delay

    def routes(self) -> List[Route]:
        return [("POST", "/v1/<mode>", self.create)]

    @property
    def is_automatic(self) -> bool:
        """Whether payers answer without a person's help."""
        return self._delay is not None

    def create(self, call: Call, mode: str) -> Record:
        rules = self._ledger.data.rules
        if mode not in KNOWN_MODES:
            raise Refusal(404, NOT_FOUND)
        if mode not in rules.modes:
            raise Refusal(400, NOT_ALLOWED)
        record = self._ledger.by_token(validation.required_text(call.body, "token"))
        if record is None:
            raise Refusal(self._ledger.data.settings.bad_token_status, BAD_TOKEN)
        if not self._ledger.is_payable(record):
            raise Refusal(400, NOT_ALLOWED)
        number = validation.pushed_number(call.body, self._ledger.customer_of(record).get("phone"))
        self.prompt(record, mode, number)
        intent = {
            "klass": "v1/payment_intent",
            "id": self._ledger.data.next_id(),
            "reference": serializers.reference("pi", self._ledger.data.now()),
            "status": record["status"],
            "mode": mode,
        }
        return {"v1/payment_intent": intent}

    def prompt(self, record: Record, mode: str, number: str) -> None:
        """Have the operator prompt that phone."""
        self._ledger.start_attempt(record, mode, number)
        self._phones.add_prompt(record)
        self._plan_answer(record, number)

    def resume(self) -> None:
        """After the records were read from a file: schedule the answers that were due when it was closed."""
        with self._ledger.data.atomic():
            for record in self._ledger.newest_first():
                if record["status"] == _S.pending and record.get("answer"):
                    self._schedule_answer(record)

    # Inside

    def _plan_answer(self, record: Record, number: str) -> None:
        if self._delay is None:
            return
        agrees = self._ledger.data.rules.payer_agrees(number, strict=self._ledger.data.settings.strict_numbers)
        record["answer"] = (_S.approved if agrees else _S.declined).value
        record["answer_due"] = self._ledger.data.now() + self._delay
        self._ledger.data.table("transactions").save(record)
        self._schedule_answer(record)

    def _schedule_answer(self, record: Record) -> None:
        number, attempt = record["id"], record["attempt"]
        left = max(0.0, record["answer_due"] - self._ledger.data.now())
        self._timers.call_later(left, lambda: self._answer(number, attempt), stop=True)

    def _answer(self, number: int, attempt: int) -> None:
        """Give the scheduled answer, unless a person has the phone's page open."""
        with self._ledger.data.atomic():
            record = self._ledger.data.table("transactions").get(number)
            if record is None or record["attempt"] != attempt or not record["answer"]:
                return
            if self._phones.is_held(record["prompted"]):
                record["answer"] = None
                self._ledger.data.table("transactions").save(record)
            else:
                self._ledger.move(number, record["answer"], attempt=attempt)
