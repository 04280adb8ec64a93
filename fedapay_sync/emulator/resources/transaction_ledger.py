"""Ledger of transactions: the only place that creates a transaction or changes its status."""

import secrets
from typing import Any, Collection, List, Optional

from fedapay_sync.emulator.domain.rules import (
    CURRENCIES,
    EXPIRY,
    OPERATOR_REFUSED,
    TRANSFER,
    TRANSITIONS,
    charge,
    operator_share,
)
from fedapay_sync.emulator.domain.timers import Timers
from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.errors import NOT_ALLOWED, NOT_FOUND, Refusal, or_404
from fedapay_sync.emulator.http.serializers import Record, stamp
from fedapay_sync.emulator.resources import payment_tokens
from fedapay_sync.emulator.resources.balances import Balances
from fedapay_sync.emulator.resources.customers import Customers
from fedapay_sync.emulator.resources.lifecycle import Lifecycle
from fedapay_sync.emulator.storage.shop_data import ShopData
from fedapay_sync.enums import TransactionStatus
from fedapay_sync.errors import InvalidArgument

_S = TransactionStatus

#: Objects that ``include`` may ask for, and that events carry in the API's form.
EMBEDDED = ("customer", "currency", "payment_method", "balance", "refunds")


class TransactionLedger:
    """
    The transactions of one merchant account in one environment.

    Our own fields in a record: ``touched`` is the time of ``updated_at``, ``attempt`` the id of the current attempt to
    pay, ``prompted`` the number it went to (or ``card`` the brand of a card), ``asking`` whether that phone still
    shows the prompt, ``turns`` the next status that time brings, and ``due`` when.
    """

    def __init__(self, data: ShopData, customers: Customers, balances: Balances, timers: Timers) -> None:
        self.data = data
        self.customers = customers
        self._balances = balances
        self._table = data.table("transactions", "merchant_reference")
        self._lifecycle = Lifecycle(data, timers, self._table, self.apply_due)

    # Reading

    def get(self, number: int) -> Record:
        """The transaction of that id, or Refusal 404."""
        return self._found(self._table.get(number))

    def by_merchant_reference(self, reference: str) -> Record:
        """The transaction of that reference of the merchant's, or Refusal 404."""
        return self._found(self._table.first(merchant_reference=reference))

    def by_token(self, token: str, *, stale: bool = False) -> Optional[Record]:
        """The transaction of a valid token; ``stale``: of one that has expired as well."""
        with self.data.lock:
            self.apply_due()
            return self._table.get(payment_tokens.subject(token, 0 if stale else self.data.now()))

    def newest_first(self) -> List[Record]:
        """Every transaction."""
        with self.data.lock:
            self.apply_due()
            return self._table.newest_first()

    def answer(self, record: Record, include: Collection[str] = ()) -> Record:
        """The API's form; nested objects are the record's own, no copies."""
        answer = serializers.transaction(record, self.data.base_url())
        return {**answer, **{name: self._embedded(record, name) for name in EMBEDDED if name in include}}

    def customer_of(self, record: Record) -> Record:
        """The customer's record, or an empty one."""
        return self.customers.get(record["customer_id"]) or {}

    def is_payable(self, record: Record) -> bool:
        """Whether a payer could still pay it."""
        return not record["deleted_at"] and self._is_allowed(record, _S.approved)

    # Changes that the API asks for

    def is_taken(self, reference: str) -> bool:
        """Whether a transaction has that reference of the merchant's."""
        return self._table.first(merchant_reference=reference) is not None

    def add(self, **given: Any) -> Record:
        """A new transaction, pending."""
        now = self.data.now()
        number = self.data.next_id()
        record = serializers.new_transaction(
            id=number,
            reference=serializers.reference("trx", now),
            status=_S.pending.value,
            metadata={"expire_schedule_jobid": secrets.token_hex(12)},
            account_id=self.data.account_id,
            payment_token=payment_tokens.issue(number, now + EXPIRY),
            created_at=stamp(now),
            updated_at=stamp(now),
            touched=now,
            attempt=0,
            **given,
        )
        self._lifecycle.plan(record, now + EXPIRY, _S.expired)
        self._table.save(record)
        self._publish("created", record)
        return record

    def change(self, record: Record, changes: Record) -> None:
        """New values for some fields."""
        record.update(changes)
        self.data.touch(record)
        self._table.save(record)
        self._publish("updated", record)

    def delete(self, record: Record) -> None:
        """Soft: it stays readable, and can no longer be paid."""
        if record["deleted_at"] and self.data.settings.delete_again_status == 404:
            raise Refusal(404, NOT_FOUND)
        if record["status"] != _S.pending or record["deleted_at"]:
            raise Refusal(403, NOT_ALLOWED)
        record["deleted_at"] = self.data.touch(record)
        record["payment_token"] = None
        self._table.save(record)
        self._publish("deleted", record)

    def new_token(self, record: Record) -> str:
        """A fresh token for the payment page."""
        if not self.is_payable(record):
            raise Refusal(403, NOT_ALLOWED)
        token = record["payment_token"] = payment_tokens.issue(record["id"], self.data.now() + EXPIRY)
        self._table.save(record)
        return token

    def new_receipt(self, record: Record) -> None:
        """A fresh link to the receipt, good for another day."""
        record["receipt_token"] = payment_tokens.issue(record["id"], self.data.now() + EXPIRY)
        self._table.save(record)

    def start_attempt(self, record: Record, mode: str, number: Optional[str], card: Optional[str] = None) -> None:
        """Begin an attempt to pay: a prompt to that number, perhaps once more, or a card."""
        # A fresh id: no attempt may have that of one that the state file refused. Nor the answer of another attempt.
        record.update(mode=mode, status=_S.pending.value, attempt=self.data.next_id(), answer=None)
        record.update(prompted=number, card=card, asking=number is not None)
        self.data.touch(record)
        self._table.save(record)

    def drop_prompt(self, record: Record, error_code: Optional[str] = None) -> None:
        """Remove the prompt from the phone; the transaction stays pending."""
        record.update(asking=False, answer=None)
        if error_code is not None:
            record["last_error_code"] = error_code
            self.data.touch(record)
        self._table.save(record)

    # Changes that payers, operators and time make

    def move(self, number: int, status: str, *, force: bool = False, attempt: Optional[int] = None) -> bool:
        """
        Take the transaction to another status.

        With ``attempt``, do nothing (and return False) when that attempt is no longer the current one.
        """
        with self.data.atomic():
            self.apply_due()
            record = self._table.get(number)
            if record is None and attempt is not None:
                return False
            if record is None:
                raise InvalidArgument(
                    f"L'émulateur n'a pas de transaction {number} : donner un identifiant rendu par l'API.",
                    field="id",
                )
            allowed = self._is_allowed(record, status) and not record["deleted_at"]
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
            self._set_status(record, status)
            return True

    def apply_due(self) -> None:
        """Apply the status changes that have become due: expiry after a day, transfer three days after payment."""
        with self.data.atomic():
            for record, status in self._lifecycle.pop_due():
                self._set_status(record, status)

    def resume(self) -> None:
        """After the records were read from a file: apply what was due meanwhile, and set the timers of the rest."""
        with self.data.atomic():
            self._lifecycle.resume()
            self.apply_due()

    # Inside

    def _is_allowed(self, record: Record, status: str) -> bool:
        """Whether it may take that status; a setting says whether declined and canceled are final."""
        before = record["status"]
        if status == _S.approved and before in (_S.declined, _S.canceled):
            return bool(getattr(self.data.settings, f"{before}_payable"))
        return status in TRANSITIONS.get(before, ())

    def _embedded(self, record: Record, name: str) -> Any:
        if name == "customer":
            customer = self.customers.get(record["customer_id"])
            return serializers.customer_answer(customer) if customer else None
        if name == "currency":
            return next(each for each in CURRENCIES if each["id"] == record["currency_id"])
        if name == "balance":
            balance = self._balances.get(record["balance_id"])
            return serializers.balance_answer(balance) if balance else None
        # The form of a refund is not known; none is made here.
        return record.get("payment_method") if name == "payment_method" else []

    def _found(self, record: Optional[Record]) -> Record:
        with self.data.lock:
            self.apply_due()
            return or_404(record)

    def _set_status(self, record: Record, status: str) -> None:
        record["status"] = status
        record[f"{status}_at"] = at = self.data.touch(record)
        if status == _S.approved:
            self._record_payment(record, at)
        elif status == _S.transferred:
            self._balances.credit(record, "transfer")
        elif status == _S.canceled:
            record.update(OPERATOR_REFUSED)
        elif status == _S.expired:
            record["payment_token"] = None
        self._table.save(record)
        self._publish(status, record)

    def _record_payment(self, record: Record, at: str) -> None:
        """Set the fields of a payment: fees, method, receipt, planned transfer."""
        mode = record["mode"] or self.data.rules.page_mode
        rate = self.data.rules.rate(mode)
        price = charge(record["amount"], rate, self.data.settings.fees_by)
        due = record["touched"] + TRANSFER
        customer = self.customer_of(record)
        paid_by = {name: customer.get(name) for name in ("email", "lastname", "firstname")}
        phone = record.get("prompted") or customer.get("phone")
        method = serializers.payment_method(self.data.next_id(), mode, phone, at, record.get("card"))
        record.update(operator_share(record["amount"]))
        record["metadata"] = {
            "paid_customer": paid_by,
            **record["metadata"],
            "transfer_schedule_jobid": secrets.token_hex(12),
        }
        record.update(
            mode=mode,
            commission=str(rate),
            fees=price.fees,
            amount_debited=price.debited,
            amount_transferred=price.transferred,
            payment_method_id=method["id"],
            payment_method=method,
            balance_id=self._balances.of(mode)["id"],
            receipt_token=payment_tokens.issue(record["id"], record["touched"] + EXPIRY),
            payment_token=None,
            scheduled_transfer_at=at,
            to_be_transferred_at=stamp(due),
        )
        self._balances.credit(record, "approval")
        self._lifecycle.plan(record, due, _S.transferred)

    def _publish(self, what: str, record: Record) -> None:
        entity = serializers.transaction_record(record, self.data.base_url())
        self.data.publish(f"transaction.{what}", "transaction", record["id"], entity, self.answer(record, EMBEDDED))
