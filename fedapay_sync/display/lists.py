"""The card of a list: the page at hand as a table, and how many objects there are."""

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

from fedapay_sync.display import payments, payouts
from fedapay_sync.display.cards import Card, list_table
from fedapay_sync.display.html import Html
from fedapay_sync.display.words import clean, id_text

#: More rows than these make a notebook slow to scroll.
_MOST_ROWS = 100
_TITLES = {
    "accounts": "Comptes",
    "balances": "Soldes",
    "currencies": "Devises",
    "customers": "Clients",
    "events": "Événements",
    "invoices": "Factures",
    "logs": "Appels",
    "pages": "Pages de paiement",
    "payouts": "Dépôts",
    "transactions": "Transactions",
    "webhooks": "Webhooks",
}


#: A model, and what of it may be shown.
Item = Tuple[Any, Mapping[str, Any]]


class _Columns(NamedTuple):
    heads: Tuple[str, ...]
    numbers: Tuple[int, ...]
    row: Callable[[Any], Tuple[object, ...]]


_COLUMNS: Dict[str, _Columns] = {
    "transactions": _Columns(payments.LIST_HEADS, payments.LIST_NUMBERS, payments.list_row),
    "payouts": _Columns(payouts.LIST_HEADS, payouts.LIST_NUMBERS, payouts.list_row),
}


def list_html(name: str, items: Sequence[Item], meta: Any) -> str:
    """
    The card of a ``PagedList``.

    Args:
        name: of the list at FedaPay, ``transactions``.
        items: each object of the page at hand, with the fields of it that may be shown.
    """
    left = len(items) - _MOST_ROWS
    notes = [f"Les {_MOST_ROWS} premiers de cette page sont montrés."] if left > 0 else []
    pages = _number(meta.total_pages)
    if pages is not None and pages > 1:
        notes.append("Parcourir la liste va chercher les pages suivantes.")
    table = _table(name, items[:_MOST_ROWS])
    return Card(
        _TITLES.get(name, clean(name)), rows=[("Nombre", size_text(items, meta))], table=table, notes=notes
    ).html()


def size_text(items: Sequence[Any], meta: Any) -> str:
    """How many objects are at hand, and of how many: ``25 objets sur 312, page 1 de 13``."""
    count = f"{len(items)} objet{'s' if len(items) > 1 else ''}"
    total, page, pages = (_number(getattr(meta, each)) for each in ("total_count", "current_page", "total_pages"))
    if total is not None and total != len(items):
        count += f" sur {total}"
    if page is not None and pages is not None and pages > 1:
        count += f", page {page} de {pages}"
    return count


def _table(name: str, items: Sequence[Item]) -> Optional[Html]:
    if not items:
        return None
    columns = _COLUMNS.get(name)
    if columns is not None:
        return list_table(columns.heads, [columns.row(each) for each, _ in items], columns.numbers)
    heads = list(items[0][1])
    return list_table(heads, [[_cell(head, fields.get(head)) for head in heads] for _, fields in items])


def _cell(head: str, value: Any) -> str:
    return id_text(value) if "id" in head.split("_") else clean(value)


def _number(value: Any) -> Optional[int]:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
