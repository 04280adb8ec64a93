"""What the emulated FedaPay knows: transactions, customers, events. One lock, every change is made here."""

import copy
import heapq
import secrets
import threading
from typing import Any, Callable, Dict, List, Optional, Tuple

from ..clock import Clock
from ..enums import TransactionStatus
from ..errors import InvalidArgument
from . import fields, shapes, tokens
from .customers import Customers
from .events import Announce, Events
from .fields import Fields
from .refusal import NOT_ALLOWED, NOT_FOUND, Refusal
from .rules import ACCOUNT, EXPIRY, TRANSFER, TRANSITIONS, Rules, charge
from .shapes import Record, stamp

_S = TransactionStatus


class Ledger:
    """The records of one merchant account in one environment."""

    def __init__(self, rules: Rules, clock: Clock, base_url: Callable[[], str], announce: Announce) -> None:
        self.lock = threading.RLock()
        self._rules = rules
        self._clock = clock
        self._base_url = base_url
        self._last_id = 0
        self._transactions: Dict[int, Record] = {}
        self._by_reference: Dict[str, Record] = {}
        self.events = Events(self._now, announce)
        self._customers = Customers(self._next_id, self._now, self.events.publish)
        self._balances: Dict[str, int] = {}
        self._due: List[Tuple[float, int, str]] = []

    # Reading

    def get(self, number: int) -> Record:
        """The transaction of that id, or Refusal 404."""
        with self.lock:
            self.age()
            record = self._transactions.get(number)
            if record is None:
                raise Refusal(404, NOT_FOUND)
            return record

    def by_merchant_reference(self, reference: str) -> Record:
        with self.lock:
            self.age()
            record = self._by_reference.get(reference)
            if record is None:
                raise Refusal(404, NOT_FOUND)
            return record

    def by_token(self, token: str) -> Optional[Record]:
        """The transaction that a good token still gives access to."""
        with self.lock:
            self.age()
            number = tokens.subject(token, self._clock.now())
            return self._transactions.get(number) if number is not None else None

    def all(self) -> List[Record]:
        """Every transaction, oldest first."""
        with self.lock:
            self.age()
            return list(self._transactions.values())

    def answer(self, record: Record, include: str = "") -> Record:
        """A copy in the API's form, safe to hand out."""
        with self.lock:
            customer = self._customers.get(record["customer_id"])
            return copy.deepcopy(shapes.transaction(record, self._base_url(), customer, include))

    def payment_url(self, token: str) -> str:
        """Where the payer opens that token."""
        return shapes.payment_url(self._base_url(), token)

    def customer_of(self, record: Record) -> Record:
        """The customer's record, or an empty one."""
        return self._customers.get(record["customer_id"]) or {}

    # Changes that the API asks for

    def create(self, body: Record) -> Record:
        given = Fields(body)
        description = given.text("description", required=True)
        amount = given.amount()
        currency = given.currency()
        callback_url = given.text("callback_url")
        reference = given.text("merchant_reference")
        custom = given.object("custom_metadata")
        person = given.object("customer")
        with self.lock:
            self.age()
            if reference is not None and reference in self._by_reference:
                given.refuse("merchant_reference", "n'est pas disponible")
            customer = self._customers.meant(person, given) if person else None
            given.raise_if_wrong(fields.CREATION_FAILED)
            if customer:
                self._customers.keep(customer)
            now = self._clock.now()
            number = self._next_id()
            record = shapes.new_transaction(
                id=number,
                reference=shapes.reference("trx", now),
                amount=amount,
                description=description,
                callback_url=callback_url,
                status=_S.pending.value,
                customer_id=customer["id"] if customer else None,
                currency_id=currency["id"],
                metadata={"expire_schedule_jobid": secrets.token_hex(12)},
                custom_metadata=custom,
                merchant_reference=reference,
                account_id=ACCOUNT["id"],
                payment_token=tokens.issue(number, now + EXPIRY),
                created_at=stamp(now),
                updated_at=stamp(now),
                # Ours: the time of updated_at, and which attempt to pay is the current one.
                touched=now,
                attempt=0,
            )
            self._transactions[number] = record
            if reference is not None:
                self._by_reference[reference] = record
            heapq.heappush(self._due, (now + EXPIRY, number, _S.expired.value))
            self._tell("created", record)
            return record

    def update(self, number: int, body: Record) -> Record:
        with self.lock:
            record = self.get(number)
            if record["deleted_at"]:
                raise Refusal(403, NOT_ALLOWED)
            given = Fields(body)
            changes: Record = {}
            for name in fields.UPDATABLE:
                if name in body:
                    changes[name] = self._changed(name, given)
            if changes.get("amount", record["amount"]) != record["amount"] and record["status"] != _S.pending:
                given.refuse("amount", "ne peut plus changer")
            given.raise_if_wrong(fields.UPDATE_FAILED)
            record.update(changes)
            self._touch(record)
            self._tell("updated", record)
            return record

    def delete(self, number: int) -> None:
        with self.lock:
            record = self.get(number)
            if record["status"] != _S.pending or record["deleted_at"]:
                raise Refusal(403, NOT_ALLOWED)
            record["deleted_at"] = self._touch(record)
            record["payment_token"] = None
            self._tell("deleted", record)

    def new_token(self, number: int) -> str:
        with self.lock:
            record = self.get(number)
            if record["deleted_at"] or _S.approved not in TRANSITIONS.get(record["status"], ()):
                raise Refusal(403, NOT_ALLOWED)
            record["payment_token"] = tokens.issue(number, self._clock.now() + EXPIRY)
            return str(record["payment_token"])

    def push(self, token: str, mode: str, number_of: Callable[[Record], str]) -> Tuple[Record, Record, str]:
        """
        Begin an attempt to pay: the transaction, the answer, the number prompted.

        ``number_of`` finds the number, given the customer's record.
        """
        with self.lock:
            record = self.by_token(token)
            if record is None:
                raise Refusal(400, "Le jeton de paiement n'est pas valide ou a expiré")
            if record["deleted_at"] or _S.approved not in TRANSITIONS.get(record["status"], ()):
                raise Refusal(400, NOT_ALLOWED)
            number = number_of(self.customer_of(record))
            record.update(mode=mode, status=_S.pending.value, attempt=record["attempt"] + 1)
            self._touch(record)
            intent = {
                "klass": "v1/payment_intent",
                "id": self._next_id(),
                "reference": shapes.reference("pi", self._clock.now()),
                "status": record["status"],
                "mode": mode,
            }
            return dict(record), intent, number

    # Changes that payers, operators and time make

    def move(self, number: int, status: str, *, force: bool = False, attempt: Optional[int] = None) -> bool:
        """
        Take the transaction to another status.

        With ``attempt``, do nothing (and return False) when that attempt is no longer the current one.
        """
        with self.lock:
            self.age()
            record = self._transactions.get(number)
            if record is None:
                raise InvalidArgument(
                    f"L'émulateur n'a pas de transaction {number} : donner un identifiant rendu par l'API.",
                    field="id",
                )
            allowed = status in TRANSITIONS.get(record["status"], ()) and not record["deleted_at"]
            if attempt is not None and not (
                allowed and record["status"] == _S.pending and record["attempt"] == attempt
            ):
                return False
            if not (allowed or force):
                state = record["status"] + (" (supprimée)" if record["deleted_at"] else "")
                raise InvalidArgument(
                    f"La transaction {number} est {state} : elle ne peut pas devenir {status}, chez FedaPay "
                    "non plus ; force=True passe outre.",
                    field="id",
                )
            record["status"] = status
            record[f"{status}_at"] = at = self._touch(record)
            if status == _S.approved:
                self._collect(record, at)
            elif status == _S.canceled:
                record["last_error_code"] = "INSUFFICIENT_FUND_ERROR"
            elif status == _S.expired:
                record["payment_token"] = None
            self._tell(status, record)
            return True

    def age(self) -> None:
        """Make what time alone brings: expiry after a day, transfer three days after payment."""
        with self.lock:
            while self._due and self._due[0][0] <= self._clock.now():
                _, number, status = heapq.heappop(self._due)
                record = self._transactions[number]
                if status in TRANSITIONS.get(record["status"], ()) and not record["deleted_at"]:
                    self.move(number, status)

    # Inside

    def _collect(self, record: Record, at: str) -> None:
        """The payer has been debited."""
        mode = record["mode"] or self._rules.page_mode
        rate = self._rules.rate(mode)
        debited, fees = charge(record["amount"], rate)
        due = record["touched"] + TRANSFER
        customer = self.customer_of(record)
        paid_by = {name: customer.get(name) for name in ("email", "lastname", "firstname")}
        record["metadata"] = {
            "paid_customer": paid_by,
            **record["metadata"],
            "transfer_schedule_jobid": secrets.token_hex(12),
        }
        record.update(
            mode=mode,
            commission=str(rate),
            fees=fees,
            amount_debited=debited,
            amount_transferred=record["amount"],
            payment_method_id=self._next_id(),
            balance_id=self._balances.get(mode) or self._balances.setdefault(mode, self._next_id()),
            receipt_token=tokens.issue(record["id"], record["touched"] + EXPIRY),
            payment_token=None,
            scheduled_transfer_at=at,
            to_be_transferred_at=stamp(due),
        )
        heapq.heappush(self._due, (due, record["id"], _S.transferred.value))

    def _changed(self, name: str, given: Fields) -> Any:
        if name == "amount":
            return given.amount()
        if name == "custom_metadata":
            return given.object(name)
        return given.text(name, required=name == "description")

    def _touch(self, record: Record) -> str:
        """A new ``updated_at``, later than the last: two facts never carry one stamp."""
        record["touched"] = max(self._clock.now(), record["touched"] + 0.001)
        record["updated_at"] = stamp(record["touched"])
        return str(record["updated_at"])

    def _tell(self, what: str, record: Record) -> None:
        entity = copy.deepcopy(shapes.transaction_record(record, self._base_url()))
        answer = self.answer(record, "customer,currency")
        self.events.publish(f"transaction.{what}", "transaction", record["id"], entity, answer)

    def _now(self) -> str:
        return stamp(self._clock.now())

    def _next_id(self) -> int:
        """From the clock, so that an old store never meets a new payment under one id."""
        self._last_id = max(self._last_id + 1, int(self._clock.now() * 1000))
        return self._last_id
