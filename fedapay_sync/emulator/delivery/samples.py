"""Invented events for ``stub_event``, ``send_event`` and signed webhooks: plausible objects that are in no table."""

from typing import Callable, Dict, List, Optional, Tuple

from fedapay_sync.emulator.domain.rules import charge
from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.storage.shop_data import ShopData

#: Names of events by kind of object. No recording is known of those of payouts, of expired and of refunded.
EVENT_NAMES: Dict[str, List[str]] = {
    "transaction": "created updated deleted approved declined canceled expired transferred refunded".split(),
    "customer": "created updated deleted".split(),
    "payout": "created started processing sent failed".split(),
}

_AMOUNT = 1000
_PAID = ("approved", "transferred", "refunded")


def sample_event(name: str, data: ShopData) -> Optional[Tuple[str, Record]]:
    """The kind of object, and an invented entity after that event; None if there is no such event."""
    kind, _, what = name.partition(".")
    return (kind, _MAKERS[kind](what, data)) if what in EVENT_NAMES.get(kind, ()) else None


def _transaction(what: str, data: ShopData) -> Record:
    now = data.now()
    record = serializers.new_transaction(
        id=data.next_id(),
        reference=serializers.reference("trx", now),
        amount=_AMOUNT,
        description="Événement d'essai",
        status="pending" if what in ("created", "updated", "deleted") else what,
        customer_id=data.next_id(),
        currency_id=1,
        metadata={},
        account_id=data.account["id"],
        payment_token=None,
        created_at=serializers.stamp(now),
        updated_at=serializers.stamp(now),
    )
    if f"{what}_at" in record:
        record[f"{what}_at"] = serializers.stamp(now)
    if what in _PAID:
        mode = data.rules.page_mode
        rate = data.rules.rate(mode)
        price = charge(_AMOUNT, rate, data.settings.fees_by)
        record.update(mode=mode, commission=str(rate), fees=price.fees)
        record.update(amount_debited=price.debited, amount_transferred=price.transferred)
        record.update(approved_at=serializers.stamp(now))
    return serializers.transaction_record(record, data.base_url())


def _customer(what: str, data: ShopData) -> Record:
    now = data.stamp()
    return serializers.customer_record(
        {
            "id": data.next_id(),
            "firstname": "Ayaba",
            "lastname": "Hounkpatin",
            "email": "ayaba.hounkpatin@example.bj",
            "account_id": data.account["id"],
            "phone_number_id": data.next_id(),
            "created_at": now,
            "updated_at": now,
            "deleted_at": now if what == "deleted" else None,
        }
    )


def _payout(what: str, data: ShopData) -> Record:
    now = data.stamp()
    steps = EVENT_NAMES["payout"]
    begun = steps.index(what) >= steps.index("started")
    known = {
        "id": data.next_id(),
        "reference": str(data.next_id()),
        "amount": _AMOUNT,
        "status": "pending" if what == "created" else what,
        "customer_id": data.next_id(),
        "currency_id": 1,
        "mode": data.rules.page_mode,
        "created_at": now,
        "updated_at": now,
        "started_at": now if begun else None,
        f"{what}_at": now,
        "metadata": {},
        "account_id": data.account["id"],
    }
    return serializers.payout_record(known)


_MAKERS: Dict[str, Callable[[str, ShopData], Record]] = {
    "transaction": _transaction,
    "customer": _customer,
    "payout": _payout,
}
