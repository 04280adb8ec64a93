"""The two pages a payer may open: where to pay, and the receipt."""

from html import escape
from typing import Optional

from ..enums import PAID_STATUSES
from .rules import CURRENCIES
from .shapes import Record

#: Nothing on these pages runs, loads or is framed.
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

_PAGE = """<!doctype html>
<html lang="fr">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>body{{font-family:sans-serif;max-width:30rem;margin:3rem auto;padding:0 1rem}}dt{{color:#555}}
dd{{margin:0 0 1rem;font-size:1.2rem;overflow-wrap:anywhere}}</style></head>
<body><h1>{title}</h1>{content}<p><small>Émulateur FedaPay : aucun argent ne circule ici.</small></p></body>
</html>
"""


def payment(record: Optional[Record]) -> str:
    """The hosted payment page, as plain as can be."""
    if record is None or record["deleted_at"]:
        return _page("Page de paiement", "<p>Ce lien de paiement n'existe pas ou n'est plus valable.</p>")
    return _page("Page de paiement", _facts(record))


def receipt(record: Optional[Record]) -> str:
    if record is None or record["status"] not in PAID_STATUSES:
        return _page("Reçu", "<p>Ce reçu n'existe pas ou n'est plus valable.</p>")
    return _page("Reçu", _facts(record))


def _facts(record: Record) -> str:
    iso = next(each["iso"] for each in CURRENCIES if each["id"] == record["currency_id"])
    facts = (
        ("Montant", f"{record['amount']} {iso}"),
        ("Description", record["description"]),
        ("Référence", record["reference"]),
        ("Statut", record["status"]),
    )
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in facts) + "</dl>"


def _page(title: str, content: str) -> str:
    return _PAGE.format(title=title, content=content)
