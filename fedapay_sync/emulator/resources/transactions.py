"""``/v1/transactions``: validates and answers the calls; the records are in the transaction ledger."""

from typing import Any, Dict, List, Optional

from fedapay_sync.emulator.domain.rules import CURRENCIES, KNOWN_MODES, charge
from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.call import Call, Created, Route, id_of, make_each
from fedapay_sync.emulator.http.errors import NOT_ALLOWED, NOT_FOUND, Refusal, bilingual, translate
from fedapay_sync.emulator.http.filters import select
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.http.validation import INVALID, TAKEN, FieldReader, required_text
from fedapay_sync.emulator.resources.transaction_ledger import TransactionLedger
from fedapay_sync.enums import PAID_STATUSES, TransactionStatus

BAD_TOKEN = bilingual(
    "Le jeton de paiement n'est pas valide ou a expiré", "The payment token is invalid or has expired"
)
_CREATION_FAILED = bilingual("La création de la transaction a échoué", "Transaction creation failed")
_UPDATE_FAILED = bilingual("La mise à jour de la transaction a échoué", "Transaction update failed")
_FIXED = bilingual("ne peut plus changer", "can no longer change")
_FEES = bilingual(
    "{fees} de frais supplémentaires sont appliqués sur votre paiement.",
    "{fees} of additional fees are applied to your payment.",
)

_SEARCHED = ("reference", "merchant_reference", "description")
_SEARCHED_IN = {"customer": ("full_name", "email")}
_LINK = ("payment_token", "payment_url")


class Transactions:
    """The resource; the records are the ledger's."""

    def __init__(self, ledger: TransactionLedger) -> None:
        self._ledger = ledger
        self._settings = ledger.data.settings

    def routes(self) -> List[Route]:
        return [
            ("POST", "/v1/transactions", self.create),
            ("POST", "/v1/transactions/batch", self.create_many),
            ("GET", "/v1/transactions", self.all),
            ("GET", "/v1/transactions/search", self.all),
            ("GET", "/v1/transactions/fees", self.fees),
            ("GET", "/v1/transactions/merchant/<reference:reference>", self.retrieve_by_reference),
            ("GET", "/v1/transactions/<number>", self.retrieve),
            ("PUT", "/v1/transactions/<number>", self.update),
            ("DELETE", "/v1/transactions/<number>", self.delete),
            ("POST", "/v1/transactions/<number>/token", self.token),
            ("POST", "/v1/transactions/<number>/receipt_url", self.receipt_url),
        ]

    # Making

    def create(self, call: Call) -> Created:
        return Created(self._one(self._make(call.body), call))

    def create_many(self, call: Call) -> Created:
        made, errors = make_each(call, "transactions", self._make)
        batch = {
            "klass": "v1/transaction_batch",
            "transactions": [self._serialize(each, call) for each in made],
            "errors": errors,
        }
        return Created({"v1/transaction_batch": batch})

    def _make(self, body: Record) -> Record:
        """A new transaction. ``metadata`` is FedaPay's own, and ``mode`` is known once it is paid."""
        given = FieldReader(body)
        description = given.text("description", required=True)
        amount = given.amount()
        currency = given.currency()
        callback_url = given.link("callback_url")
        reference = given.text("merchant_reference")
        custom = given.object("custom_metadata")
        commissions = body.get("sub_accounts_commissions")
        if commissions is not None and not isinstance(commissions, (list, dict)):
            given.refuse("sub_accounts_commissions", INVALID)
        if reference is not None and self._ledger.is_taken(reference):
            given.refuse("merchant_reference", TAKEN)
        person = given.object("customer")
        customer = self._ledger.customers.resolve(person, given) if person else None
        given.raise_if_wrong(_CREATION_FAILED)
        return self._ledger.add(
            amount=amount,
            description=description,
            callback_url=callback_url,
            customer_id=self._ledger.customers.save(customer)["id"] if customer else None,
            currency_id=currency["id"],
            custom_metadata=custom,
            merchant_reference=reference,
            sub_accounts_commissions=commissions,
        )

    # Reading

    def all(self, call: Call) -> Record:
        records = select(
            call.query,
            self._ledger.newest_first(),
            _SEARCHED,
            embedded=self._embedded,
            searched_in=_SEARCHED_IN,
        )
        return call.page("v1/transactions", records, lambda each: self._serialize(each, call))

    def retrieve(self, call: Call, number: str) -> Record:
        record = self._ledger.get(id_of(number))
        if record["deleted_at"] and not self._settings.deleted_readable:
            raise Refusal(404, NOT_FOUND)
        return self._one(record, call)

    def retrieve_by_reference(self, call: Call, reference: str) -> Record:
        return self._one(self._ledger.by_merchant_reference(reference), call)

    # Changing

    def update(self, call: Call, number: str) -> Record:
        """``status`` is ignored: one page says otherwise, but no recording shows it change that way."""
        record = self._ledger.get(id_of(number))
        if record["deleted_at"]:
            raise Refusal(403, NOT_ALLOWED)
        given = FieldReader(call.body)
        changes = self._changes(call.body, given)
        pending = record["status"] == TransactionStatus.pending
        if changes.get("amount", record["amount"]) != record["amount"] and not pending:
            given.refuse("amount", _FIXED)
        person = given.object("customer")
        customer = self._ledger.customers.resolve(person, given) if person and pending else None
        given.raise_if_wrong(_UPDATE_FAILED)
        if customer:
            changes["customer_id"] = self._ledger.customers.save(customer)["id"]
        self._ledger.change(record, changes)
        return self._one(record, call)

    def delete(self, call: Call, number: str) -> None:
        self._ledger.delete(self._ledger.get(id_of(number)))

    def _changes(self, body: Record, given: FieldReader) -> Dict[str, Any]:
        changes: Dict[str, Any] = {}
        if "description" in body:
            changes["description"] = given.text("description", required=True)
        if "amount" in body:
            changes["amount"] = given.amount()
        if "callback_url" in body:
            changes["callback_url"] = given.link("callback_url")
        if "custom_metadata" in body:
            changes["custom_metadata"] = given.object("custom_metadata")
        return changes

    # Links

    def token(self, call: Call, number: str) -> Record:
        token = self._ledger.new_token(self._ledger.get(id_of(number)))
        return {"token": token, "url": serializers.payment_url(self._ledger.data.base_url(), token)}

    def receipt_url(self, call: Call, number: str) -> Record:
        """The link of a paid transaction; ``force`` makes a fresh one, as the old one is good for a day."""
        record = self._ledger.get(id_of(number))
        if record["status"] not in PAID_STATUSES:
            raise Refusal(403, NOT_ALLOWED)
        if str(call.params.get("force", "")).lower() in ("true", "1") or not record.get("receipt_token"):
            self._ledger.new_receipt(record)
        return {"url": serializers.receipt_url(record, self._ledger.data.base_url())}

    def fees(self, call: Call) -> Record:
        """What the payer of a token would be asked for in a mode."""
        token, mode = (required_text(call.query, name) for name in ("token", "mode"))
        record = self._ledger.by_token(token)
        if record is None:
            raise Refusal(self._settings.bad_token_status, BAD_TOKEN)
        if mode not in KNOWN_MODES:
            raise Refusal(400, NOT_ALLOWED)
        rate = self._ledger.data.rules.rate(mode)
        price = charge(record["amount"], rate, self._settings.fees_by)
        by_merchant = self._settings.fees_by == "merchant"
        return {
            "amount_debited": price.debited,
            "amount_transferred": price.transferred,
            "apply_fees_to_merchant": by_merchant,
            "commission": float(rate),
            "fees": price.fees,
            "fixed_commission": 0,
            # {fees} stays: the page puts the number in. The message without fees to add was never recorded.
            "message": None if by_merchant else translate(call.locale, _FEES),
        }

    # Inside

    def _one(self, record: Record, call: Call) -> Record:
        return {"v1/transaction": self._serialize(record, call)}

    def _serialize(self, record: Record, call: Call) -> Record:
        answer = self._ledger.answer(record, call.include)
        if not self._settings.link_in_answer:
            for name in _LINK:
                del answer[name]
        return answer

    def _embedded(self, record: Record, name: str) -> Optional[Record]:
        if name == "customer":
            return self._ledger.customers.get(record["customer_id"])
        if name == "currency":
            return next(each for each in CURRENCIES if each["id"] == record["currency_id"])
        return None
