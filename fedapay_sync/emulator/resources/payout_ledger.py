"""Ledger of payouts: the only place that creates, starts, sends, fails or deletes one."""

from collections import Counter
from typing import Any, Collection, List, Optional

from fedapay_sync.emulator.domain.rules import CURRENCIES, OPERATOR_REFUSED, bare_number
from fedapay_sync.emulator.domain.timers import Timers
from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.errors import NOT_ALLOWED, Refusal, bilingual, missing_param, or_404
from fedapay_sync.emulator.http.serializers import Record, stamp
from fedapay_sync.emulator.resources.balances import Balances
from fedapay_sync.emulator.resources.customers import Customers
from fedapay_sync.emulator.resources.payout_params import START_FAILED, PayoutStart, fee
from fedapay_sync.emulator.storage.shop_data import ShopData
from fedapay_sync.errors import InvalidArgument

_NOT_PENDING = bilingual("a déjà été démarré ou supprimé", "has already been started or deleted")
_TOO_MUCH = bilingual("dépasse 1 000 000 XOF", "is more than 1,000,000 XOF")
_TOO_OFTEN = bilingual("a déjà reçu 3 dépôts en 24 heures", "has already received 3 payouts in 24 hours")

# FedaPay's limits: XOF per payout, payouts to one number in a day.
_MOST = 1_000_000
_PER_DAY = 3
_DAY = 24 * 3600
_XOF = 1

_ON_ITS_WAY = ("started", "processing")


class PayoutLedger:
    """
    The payouts of one merchant account.

    No balance is charged: no source says when FedaPay does it, nor whether it gives back what failed.

    Our own fields in a record: ``description``, which no answer has; ``number``, the phone that gets the money;
    ``began`` and ``due``, when it was started and when it is to be sent; ``touched``, the time of ``updated_at``.

    Args:
        delay: seconds from the start, or its date, to the end; None: only ``finish`` ends it.
    """

    def __init__(
        self, data: ShopData, customers: Customers, balances: Balances, timers: Timers, delay: Optional[float] = None
    ) -> None:
        self.data = data
        self.customers = customers
        self._balances = balances
        self._timers = timers
        self._delay = delay
        self._table = data.table("payouts", "merchant_reference")

    # Reading

    def get(self, number: int) -> Record:
        """The payout of that id, or Refusal 404."""
        return or_404(self._table.get(number))

    def by_merchant_reference(self, reference: str) -> Record:
        """The payout of that reference of the merchant's, or Refusal 404."""
        return or_404(self._table.first(merchant_reference=reference))

    def is_taken(self, reference: str) -> bool:
        """Whether a payout has that reference of the merchant's."""
        return self._table.first(merchant_reference=reference) is not None

    def newest_first(self) -> List[Record]:
        """Every payout."""
        with self.data.atomic():
            return self._table.newest_first()

    def embedded(self, record: Record, name: str) -> Optional[Record]:
        """The customer or the currency of a payout, in the API's form."""
        if name == "currency":
            return next(each for each in CURRENCIES if each["id"] == record["currency_id"])
        customer = self.customers.get(record["customer_id"]) if name == "customer" else None
        return serializers.customer_answer(customer) if customer else None

    def answer(self, record: Record, include: Collection[str] = ()) -> Record:
        """The API's form; what is nested in it is the record's own."""
        wanted = [name for name in ("customer", "currency") if name in include]
        return {**serializers.payout_answer(record), **{name: self.embedded(record, name) for name in wanted}}

    # Changes that the API asks for

    def add(self, **given: Any) -> Record:
        """A new payout, pending: nothing is sent before its start."""
        now = self.data.now()
        record = serializers.new_payout(
            number=None,
            began=None,
            due=None,
            id=self.data.next_id(),
            # Digits only, as in every fixture.
            reference=str(self.data.next_id()),
            status="pending",
            metadata={},
            account_id=self.data.account_id,
            balance_id=self._balances.of(given["mode"])["id"],
            created_at=stamp(now),
            updated_at=stamp(now),
            touched=now,
            **given,
        )
        self._table.save(record)
        self._publish(record, "created")
        return record

    def change(self, record: Record, changes: Record) -> None:
        """New values for some fields."""
        record.update(changes)
        record["balance_id"] = self._balances.of(record["mode"])["id"]
        self.data.touch(record)
        self._table.save(record)

    def delete(self, record: Record) -> None:
        """Soft: it stays readable, and can no longer be started."""
        record["deleted_at"] = self.data.touch(record)
        self._table.save(record)

    def check_changeable(self, record: Record) -> None:
        """Refuse to change what was started or deleted."""
        if not _is_pending(record):
            raise Refusal(403, NOT_ALLOWED)

    def start(self, orders: List[PayoutStart]) -> List[Record]:
        """Start all of them, or none if one may not start."""
        recent = self._recent()
        for order in orders:
            self._check(order, recent)
        return [self._start(each) for each in orders]

    # Changes that operators and time make

    def finish(self, number: int, status: str) -> None:
        """Have the payout ``sent`` or ``failed``, by way of ``processing``."""
        with self.data.atomic():
            record = self._table.get(number)
            if record is None:
                raise InvalidArgument(
                    f"L'émulateur n'a pas de dépôt {number} : donner un identifiant rendu par l'API.", field="id"
                )
            if record["status"] not in _ON_ITS_WAY:
                raise InvalidArgument(
                    f"Le dépôt {number} est {record['status']} : seul un dépôt démarré (PUT /v1/payouts/start) et "
                    "pas encore fini peut aboutir ou échouer.",
                    field="id",
                )
            if record["status"] == "started":
                self._move(record, "processing")
            self._move(record, status)

    def resume(self) -> None:
        """After the records were read from a file: continue what was on its way. Calling it twice does no harm."""
        with self.data.atomic():
            for record in self._table:
                if record["status"] in _ON_ITS_WAY:
                    self._plan(record["id"])

    # Inside

    def _check(self, order: PayoutStart, recent: "Counter[str]") -> None:
        """Refuse what may not start; counts this start in ``recent``, the payouts that each number got."""
        record = self.get(order.id)
        again = record["status"] == "failed" and self.data.settings.failed_payout_restarts
        if not (again or _is_pending(record)):
            raise Refusal(400, START_FAILED, {"id": [_NOT_PENDING]})
        if record["currency_id"] == _XOF and record["amount"] > _MOST:
            raise Refusal(400, START_FAILED, {"amount": [_TOO_MUCH]})
        number = bare_number(self._number(record, order))
        recent[number] += 1
        if recent[number] > _PER_DAY:
            raise Refusal(400, START_FAILED, {"phone_number": [_TOO_OFTEN]})

    def _recent(self) -> "Counter[str]":
        """How many payouts were started to each number in the last day, failed ones left out."""
        since = self.data.now() - _DAY
        kept = (each for each in self._table if each["status"] in (*_ON_ITS_WAY, "sent") and each["began"] > since)
        return Counter(bare_number(each["number"]) for each in kept)

    def _number(self, record: Record, order: PayoutStart) -> str:
        """The phone that gets the money: the number of the start, else the customer's."""
        number = order.number or (self.customers.get(record["customer_id"]) or {}).get("phone")
        if not number:
            raise missing_param("phone_number")
        return str(number)

    def _start(self, order: PayoutStart) -> Record:
        record = self.get(order.id)
        began = self.data.now()
        record.update(
            number=self._number(record, order),
            began=began,
            due=began if order.moment is None else order.moment,
        )
        if order.moment is not None:
            # The guide's word is "started" here too; only the API reference has "scheduled".
            record["scheduled_at"] = stamp(order.moment)
        self._move(record, "started")
        self._plan(record["id"])
        return record

    def _plan(self, number: int) -> None:
        """Set the timers that process and finish the payout."""
        record = self._table.get(number)
        if record is None or self._delay is None:
            return
        wait = max(0.0, record["due"] - self.data.now())
        if wait > _DAY:
            # Timers count by the monotonic clock, which follows no change of the date, nor waits of centuries.
            self._timers.call_later(_DAY, lambda: self._plan(number))
            return
        self._timers.call_later(wait + self._delay / 2, lambda: self._advance(number, "started"))
        self._timers.call_later(wait + self._delay, lambda: self._advance(number, "processing"))

    def _advance(self, number: int, expected: str) -> None:
        """One status further, unless a control call has done it already."""
        with self.data.atomic():
            record = self._table.get(number)
            if record is None or record["status"] != expected:
                return
            if expected == "started":
                self._move(record, "processing")
                return
            strict = self.data.settings.strict_numbers
            agrees = self.data.rules.payer_agrees(record["number"], strict=strict)
            self._move(record, "sent" if agrees else "failed")

    def _move(self, record: Record, status: str) -> None:
        record["status"] = status
        at = self.data.touch(record)
        if status != "processing":
            record[f"{status}_at"] = at
        if status == "sent":
            record["amount_transferred"] = record["amount"]
            if record["currency_id"] == _XOF:
                record["fees"] = fee(record["amount"])
                # A guess: on top of the amount, so that the beneficiary has all of it.
                record["amount_debited"] = record["amount"] + record["fees"]
        elif status == "failed":
            record.update(OPERATOR_REFUSED)
        self._table.save(record)
        self._publish(record, status)

    def _publish(self, record: Record, what: str) -> None:
        # The names of these events are guesses, or third parties' at best.
        entity, answer = serializers.payout_record(record), self.answer(record, ("customer", "currency"))
        self.data.publish(f"payout.{what}", "payout", record["id"], entity, answer)


def _is_pending(record: Record) -> bool:
    return record["status"] == "pending" and not record["deleted_at"]
