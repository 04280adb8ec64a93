"""Serializers: records as API answers, as event entities and as webhook bodies."""

import json
import secrets
import string
from datetime import datetime, timezone
from typing import Any, Dict, List, Optional, Set

from fedapay_sync.common.countries import COUNTRIES
from fedapay_sync.enums import Pays

Record = Dict[str, Any]

_LETTERS = string.ascii_letters + string.digits
# FedaPay writes these three as escapes, and the signature is over the bytes.
_ESCAPES = (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e"))

_ANSWER = """
    id reference amount description callback_url status customer_id currency_id mode operation metadata
    commission fees fixed_commission amount_transferred created_at updated_at approved_at canceled_at
    declined_at refunded_at transferred_at deleted_at last_error_code custom_metadata amount_debited
    receipt_url payment_method_id sub_accounts_commissions transaction_key merchant_reference account_id
    balance_id payment_token payment_url flags to_be_transferred_at
""".split()
_RECORD = """
    id reference transaction_key merchant_reference amount items description callback_url status
    operation mode currency_id customer_id account_id balance_id page_id commission fees
    fixed_commission amount_debited amount_transferred operator_commission operator_fees
    operator_fixed_commission last_error_code last_error_message metadata custom_metadata
    payment_method_id receipt_url sub_accounts_commissions sub_commissions_transferred_at
    marketplace_transaction_id lock_transfer transferred_count created_at updated_at approved_at
    canceled_at declined_at refunded_at approved_partially_refunded_at transferred_at
    transferred_partially_refunded_at to_be_transferred_at scheduled_transfer_at expired_at deleted_at
""".split()
_CUSTOMER_ANSWER = """
    id firstname lastname full_name email account_id phone_number_id created_at updated_at deleted_at
""".split()
_CUSTOMER_RECORD = """
    id firstname lastname email account_id deleted_at created_at updated_at phone_number_id
""".split()
_PAYOUT = """
    id reference amount status customer_id currency_id mode last_error_code last_error_message commission fees
    fixed_commission amount_transferred amount_debited created_at updated_at scheduled_at started_at sent_at
    failed_at deleted_at metadata custom_metadata payment_method_id transaction_key merchant_reference account_id
    balance_id
""".split()
_BALANCE = "id amount mode created_at updated_at".split()
_NEW: Record = {
    **dict.fromkeys([*_ANSWER, *_RECORD]),
    "operation": "payment",
    "fixed_commission": 0,
    "items": 1,
    "lock_transfer": False,
    "transferred_count": 0,
}


def stamp(seconds: float) -> str:
    """``2026-10-12T09:14:05.318Z``."""
    millis = round(seconds * 1000)
    moment = datetime.fromtimestamp(millis // 1000, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{millis % 1000:03d}Z"


def reference(prefix: str, seconds: float) -> str:
    """``trx_q7M_1791796445318``: three letters or digits, and the time in milliseconds."""
    return f"{prefix}_{letters(3)}_{round(seconds * 1000)}"


def event_id() -> str:
    """Twenty letters and digits, like a search engine's."""
    return letters(20)


def new_transaction(**known: Any) -> Record:
    """A record with every field that a transaction can have."""
    return {**_NEW, "flags": [], **known}


def transaction(record: Record, base_url: str) -> Record:
    """A transaction as the API answers it, without what ``include`` asks for."""
    token = record["payment_token"]
    shown = {**record, "payment_url": payment_url(base_url, token) if token else None}
    shown["receipt_url"] = receipt_url(record, base_url)
    return {"klass": "v1/transaction", **pick(shown, _ANSWER)}


def payment_url(base_url: str, token: str) -> str:
    """The emulator's own payment page; FedaPay's stands on another host."""
    return f"{base_url}/process/{token}"


def transaction_record(record: Record, base_url: str) -> Record:
    """A transaction as events and webhooks carry it."""
    return pick({**record, "receipt_url": receipt_url(record, base_url)}, _RECORD)


def customer_answer(record: Record) -> Record:
    """A customer as the API answers it."""
    return {"klass": "v1/customer", **pick(record, _CUSTOMER_ANSWER)}


def customer_record(record: Record) -> Record:
    """A customer as events carry it."""
    return pick(record, _CUSTOMER_RECORD)


def new_payout(**known: Any) -> Record:
    """A record with every field that a payout can have."""
    return {**dict.fromkeys(_PAYOUT), **known}


def payout_answer(record: Record) -> Record:
    """A payout as the API answers it, without what ``include`` asks for."""
    return {"klass": "v1/payout", **payout_record(record)}


def payout_record(record: Record) -> Record:
    """A payout as events carry it."""
    return pick(record, _PAYOUT)


def payment_method(number: int, mode: str, phone: Optional[str], at: str, card: Optional[str] = None) -> Record:
    """
    How a payer paid. The brand is the mode's first word, which fits the one that was recorded.

    No recording is known of that of a card; here: its brand, and no country or number.
    """
    if card is not None:
        how: Record = {"brand": card, "method": "card", "country": None, "number": None}
    else:
        how = {"brand": mode.partition("_")[0], "method": "phone", **_of_phone(mode, phone)}
    return {
        "klass": "v1/payment_method",
        "id": number,
        **how,
        "created_at": at,
        "updated_at": at,
        "deleted_at": None,
    }


def _of_phone(mode: str, phone: Optional[str]) -> Record:
    country = next((each for each in COUNTRIES if mode in _modes_of(each)), Pays.benin)
    code = COUNTRIES[country].dialling_code
    digits = (phone or "").lstrip("+")
    number = (digits if digits.startswith(code) and len(digits) > 10 else code + digits) if digits else None
    return {"country": country.value.upper(), "number": number}


def _modes_of(country: Pays) -> Set[str]:
    known = COUNTRIES[country]
    return {each.name for each in known.push} | set(known.page_only)


def balance_answer(record: Record) -> Record:
    """A balance as the API answers it."""
    return {"klass": "v1/balance", **pick(record, _BALANCE)}


def webhook_body(name: str, kind: str, object_id: int, entity: Record, account: Record) -> bytes:
    """The body of a delivery, byte for byte what is signed."""
    body = {"name": name, "object": kind, "object_id": object_id, "entity": entity, "account": account}
    text = compact(body)
    for plain, escaped in _ESCAPES:
        text = text.replace(plain, escaped)
    return text.encode("utf-8")


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def pick(record: Record, names: List[str]) -> Record:
    """The named fields, null where the record has none."""
    return {name: record.get(name) for name in names}


def receipt_url(record: Record, base_url: str) -> Optional[str]:
    """The page of the receipt, once there is one."""
    token = record.get("receipt_token")
    return f"{base_url}/v1/transactions/receipt?token={token}" if token else None


def letters(count: int) -> str:
    """So many random letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(count))
