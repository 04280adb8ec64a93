"""What a list of transactions costs to become models, beside pydantic v2 and beside the reading of its JSON."""

import gc
import json
import statistics
import time
import typing
from typing import Any, Callable, Dict, List

import pydantic

from fedapay_sync.enums import TransactionStatus
from fedapay_sync.models import Model, Transaction
from fedapay_sync.models.schema import Francs, load

ROUNDS = 100
#: Times pydantic v2.
BOUND = 4.0

TOKEN = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOjUxMjM0NSwiZXhwIjoxNzkxODgyODQ1fQ.ucDVpTbWs4OpL0oFQjYeXNpXKRtu1"
CUSTOMER = {
    "klass": "v1/customer",
    "id": 88012,
    "firstname": "Ayaba",
    "lastname": "Hounkpatin",
    "full_name": "Ayaba Hounkpatin",
    "email": "ayaba.hounkpatin@example.bj",
    "account_id": 30211,
    "phone_number_id": 51377,
    "created_at": "2026-10-12T09:14:05.290Z",
    "updated_at": "2026-10-12T09:14:05.290Z",
    "deleted_at": None,
}
CURRENCY = {
    "klass": "v1/currency",
    "id": 1,
    "name": "FCFA",
    "iso": "XOF",
    "code": 952,
    "prefix": None,
    "suffix": "CFA",
    "div": 1,
    "default": True,
    "created_at": "2018-05-27T21:26:23.618Z",
    "updated_at": "2018-05-27T21:26:23.618Z",
    "modes": ["mtn_open", "moov", "sbin", "moov_tg", "togocel", "mtn_ci"],
}


def transaction(number: int) -> Dict[str, Any]:
    """An approved transaction as FedaPay's API answers it, its parts embedded."""
    return {
        "klass": "v1/transaction",
        "id": 512345 + number,
        "reference": f"trx_q7M_{1791796445318 + number}",
        "amount": 15000,
        "description": f"Commande {number}",
        "callback_url": "https://boutique.example.bj/retour",
        "status": "approved",
        "customer_id": 88012,
        "currency_id": 1,
        "mode": "momo_test",
        "operation": "payment",
        "metadata": {
            "paid_customer": {"email": "ayaba@example.bj", "lastname": "Hounkpatin", "firstname": "Ayaba"},
            "expire_schedule_jobid": "6f1b2c3d4e5f60718293a4b5",
            "transfer_schedule_jobid": "6f1b2d00aa11bb22cc33dd44",
        },
        "commission": "0.04",
        "fees": 625,
        "fixed_commission": 0,
        "amount_transferred": 15000,
        "created_at": "2026-10-12T09:14:05.318Z",
        "updated_at": "2026-10-12T09:14:05.402Z",
        "approved_at": "2026-10-12T09:15:11.204Z",
        "canceled_at": None,
        "declined_at": None,
        "refunded_at": None,
        "transferred_at": None,
        "deleted_at": None,
        "last_error_code": None,
        "custom_metadata": {"order_id": "0917", "shop": "cotonou"},
        "amount_debited": 15625,
        "receipt_url": f"https://sandbox-api.fedapay.com/v1/transactions/receipt?token={TOKEN}",
        "payment_method_id": 70418,
        "sub_accounts_commissions": None,
        "transaction_key": None,
        "merchant_reference": f"CMD-2026-{number}",
        "account_id": 30211,
        "balance_id": 61007,
        "payment_token": None,
        "payment_url": None,
        "flags": [],
        "to_be_transferred_at": "2026-10-15T09:15:11.198Z",
        "customer": CUSTOMER,
        "currency": CURRENCY,
    }


def rival(model: Any, made: Dict[Any, Any]) -> Any:
    """The same fields with the same types, as a pydantic model."""

    def translated(kind: Any) -> Any:
        if isinstance(kind, type) and issubclass(kind, Model):
            return made[kind] if kind in made else rival(kind, made)
        options = typing.get_args(kind)
        if typing.get_origin(kind) is typing.Union:
            union = typing.Union[tuple(translated(each) for each in options)]
            if TransactionStatus in options:
                # Or pydantic takes every text as a text.
                return typing.Annotated[union, pydantic.Field(union_mode="left_to_right")]
            return union
        if typing.get_origin(kind) is list:
            return List[translated(options[0])]
        return int if kind is Francs else kind

    hints = typing.get_type_hints(model)
    fields = {
        name: (translated(hints[name]), ... if name == "id" and model is Transaction else None)
        for name in model.__dataclass_fields__
    }
    made[model] = pydantic.create_model(
        f"Rival{model.__name__}", __config__=pydantic.ConfigDict(extra="allow"), **fields
    )
    return made[model]


def medians(works: Dict[str, Callable[[], Any]]) -> Dict[str, float]:
    """Seconds of each, taken in turn, so that a slow moment of the machine falls on all."""
    times: Dict[str, List[float]] = {name: [] for name in works}
    gc.collect()
    gc.disable()
    try:
        for _ in range(ROUNDS):
            for name, work in works.items():
                start = time.perf_counter()
                work()
                times[name].append(time.perf_counter() - start)
    finally:
        gc.enable()
    return {name: statistics.median(found) for name, found in times.items()}


def test_a_list_of_transactions_costs_at_most_four_times_pydantic():
    """
    100 transactions with customer and currency, from the same decoded data, in the same run.
    """
    text = json.dumps([transaction(number) for number in range(100)])
    data = json.loads(text)
    validate = pydantic.TypeAdapter(List[rival(Transaction, {})]).validate_python
    ours, theirs = [Transaction.from_dict(each) for each in data], validate(data)
    for mine, other in zip(ours, theirs):
        assert mine.status is other.status is TransactionStatus.approved
        assert (mine.commission, mine.approved_at, mine.amount) == (other.commission, other.approved_at, other.amount)
        assert (mine.customer.email, mine.currency.modes) == (other.customer.email, other.currency.modes)

    found = medians(
        {
            "ours": lambda: [Transaction.from_dict(each) for each in data],
            "pydantic": lambda: validate(data),
            "floor": lambda: json.loads(text),
            "marshmallow": lambda: [Transaction(**load(Transaction, each, strict=False)) for each in data],
        }
    )

    ratio = found["ours"] / found["pydantic"]
    print(
        f"\n100 transactions -> models {1e3 * found['ours']:.2f} ms   pydantic v2 {1e3 * found['pydantic']:.2f} ms   "
        f"ratio {ratio:.2f} (at most {BOUND})\n"
        f"floor: json.loads of the list {1e3 * found['floor']:.2f} ms   "
        f"marshmallow's loop over the transactions {1e3 * found['marshmallow']:.2f} ms"
    )
    assert ratio <= BOUND
