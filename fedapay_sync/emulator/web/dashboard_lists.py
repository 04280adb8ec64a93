"""Rows of the dashboard: searched, filtered and cut into pages."""

from itertools import islice
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Sequence

from werkzeug.datastructures import MultiDict

from fedapay_sync.emulator.domain.rules import CURRENCIES, TRANSITIONS
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.services import ShopServices

PER_PAGE = 50
_LONGEST_QUERY = 100
_MOST_OF_OBJECT = 100
_ISO = {each["id"]: each["iso"] for each in CURRENCIES}


class Page(NamedTuple):
    """
    Attributes:
        rows: what this page shows.
        number: which page it is, from 1.
        last: the last page.
        total: how many rows all pages have.
    """

    rows: Sequence[Any]
    number: int
    last: int
    total: int


def page(items: Iterable[Any], asked: "MultiDict[str, str]", *texts: Callable[[Any], Any], **exact: Any) -> Page:
    """
    One page of the items that match the query.

    Args:
        asked: the query string: ``q``, ``page``, and a value for each of ``exact``.
        texts: texts of an item in which ``q`` is searched.
        exact: by name, the value of an item that must equal that of the query.
    """
    wanted = {name: asked.get(name, "") for name in exact}
    query = asked.get("q", "")[:_LONGEST_QUERY].strip().lower()
    found = [
        each
        for each in items
        if all(not value or str(exact[name](each)) == value for name, value in wanted.items())
        and (not query or any(query in str(text(each)).lower() for text in texts))
    ]
    last = max(1, -(-len(found) // PER_PAGE))
    text = asked.get("page", "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1
    number = min(max(1, number), last)
    return Page(found[(number - 1) * PER_PAGE : number * PER_PAGE], number, last, len(found))


def transactions(shop: ShopServices, asked: "MultiDict[str, str]") -> Page:
    """The last made first."""
    with shop.data.lock:
        found = page(
            shop.transactions.newest_first(),
            asked,
            *(lambda each, name=name: each[name] or "" for name in ("id", "reference", "merchant_reference")),
            lambda each: each["description"] or "",
            lambda each: _person(shop, each),
            statut=_status,
        )
        return found._replace(rows=[_row(shop, each) for each in found.rows])


def transaction(shop: ShopServices, number: int) -> Dict[str, Any]:
    """One of them, with everything; or Refusal 404."""
    with shop.data.lock:
        record = shop.transactions.get(number)
        may = TRANSITIONS.get(record["status"], frozenset()) if not record["deleted_at"] else ()
        return {
            **_row(shop, record),
            "may": [each for each in may if each != "approved" or shop.transactions.is_payable(record)],
            "answer": shop.transactions.answer(record, ("customer",)),
            "prompted": record.get("prompted"),
            "merchant_reference": record["merchant_reference"],
        }


def payouts(shop: ShopServices, asked: "MultiDict[str, str]") -> Page:
    """The last made first."""
    with shop.data.lock:
        found = page(
            shop.data.table("payouts").newest_first(),
            asked,
            *(lambda each, name=name: each[name] or "" for name in ("id", "reference", "merchant_reference")),
            lambda each: _person(shop, each),
            statut=_status,
        )
        rows = [
            {**each, "status": _status(each), "who": _person(shop, each), "iso": _ISO[each["currency_id"]]}
            for each in found.rows
        ]
        return found._replace(rows=rows)


def customers(shop: ShopServices, asked: "MultiDict[str, str]") -> Page:
    """The last made first, the deleted too."""
    with shop.data.lock:
        found = page(
            shop.data.table("customers").newest_first(),
            asked,
            _name,
            lambda each: each["email"] or "",
            lambda each: each.get("phone") or "",
        )
        return found._replace(rows=[{**each, "who": _name(each)} for each in found.rows])


def events(shop: ShopServices, asked: "MultiDict[str, str]") -> Page:
    """The last one first."""
    with shop.data.lock:
        return page(shop.data.events, asked, lambda each: each["object_id"], type=lambda each: each["type"])


def of_object(items: Iterable[Any], number: int) -> List[Any]:
    """The first of them that are about that object."""
    about = (each for each in items if (each["object_id"] if isinstance(each, dict) else each.object_id) == number)
    return list(islice(about, _MOST_OF_OBJECT))


def _row(shop: ShopServices, record: Record) -> Dict[str, Any]:
    names = "id amount amount_debited fees description reference mode created_at approved_at deleted_at".split()
    return {
        **{name: record[name] for name in names},
        "status": _status(record),
        "iso": _ISO[record["currency_id"]],
        "who": _person(shop, record),
        "waits": record["status"] == "pending" and not record["deleted_at"],
    }


def _status(record: Record) -> str:
    return "deleted" if record["deleted_at"] else str(record["status"])


def _person(shop: ShopServices, record: Record) -> str:
    return _name(shop.customers.get(record["customer_id"]) or {})


def _name(customer: Record) -> str:
    names = " ".join(str(customer[name]) for name in ("firstname", "lastname") if customer.get(name))
    return names or str(customer.get("email") or customer.get("phone") or "")
