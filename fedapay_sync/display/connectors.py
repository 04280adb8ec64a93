"""The cards of what talks to FedaPay: a connector with its health, and an API. Showing one opens and starts nothing."""

from typing import Any, Iterable, List, Optional, Sequence

from fedapay_sync.display.cards import Card, Row
from fedapay_sync.display.words import State, clean, moment_text, sentence

AT_REST = State("au repos", "off")
AT_WORK = State("au travail", "good")
AILING = State("à surveiller", "warn")
CLOSING = State("se ferme", "off")
BROKEN = State("construction échouée", "bad")


def connector_html(
    name: str,
    state: State,
    *,
    environment: str = "",
    api_url: str = "",
    database: str = "",
    webhook_url: str = "",
    callbacks: Iterable[str] = (),
    health: Optional[Any] = None,
    warnings: Sequence[str] = (),
) -> str:
    """
    The card of a ``Connector``.

    Args:
        callbacks: the names of the functions that the program has registered.
        health: its ``Health``; None where nothing is open that could tell.
        warnings: the last log lines of background threads that no cell has shown.
    """
    rows: List[Row] = [
        ("Compte", f"{clean(environment)}, {clean(api_url)}" if api_url else ""),
        ("Base", clean(database)),
        ("Webhooks", clean(webhook_url)),
        ("Callbacks", ", ".join(clean(each) for each in sorted(callbacks))),
        *(health_rows(health) if health is not None else ()),
    ]
    notes = [sentence(each) for each in (health.problems if health is not None else ())]
    if health is None and state == AT_REST:
        notes.append("Rien n'est ouvert : le premier appel (pay, finalise, start) commence le travail.")
    if warnings:
        notes += ["Derniers avertissements des threads de fond :", *(sentence(each) for each in warnings)]
    is_well = health is None or health.ok
    return Card(name, state if is_well else AILING, rows=rows, notes=notes).html()


def health_html(health: Any) -> str:
    """The card of a ``Health``."""
    state = State("tout va bien", "good") if health.ok else AILING
    notes = [sentence(each) for each in health.problems]
    return Card("Santé du connecteur", state, rows=health_rows(health), notes=notes).html()


def health_rows(health: Any) -> List[Row]:
    """What a health check has found."""
    if not health.database:
        return [("Base", "ne répond pas")]
    owed = sum(each.count for each in (health.owed or {}).values())
    return [
        ("Paiements suivis", clean(health.followed)),
        ("Callbacks dus", clean(owed)),
        ("Mis de côté", clean(health.parked) if health.parked else ""),
        ("Dernier webhook", moment_text(health.last_webhook_at)),
        ("Dernière réponse de FedaPay", moment_text(health.last_answer_at)),
    ]


def api_html(name: str, api_url: str, account: Optional[str], resources: Iterable[str]) -> str:
    """The card of an ``Api``: what may be asked."""
    rows: List[Row] = [
        ("Adresse", clean(api_url)),
        ("Au nom du compte", clean(account)),
        ("Ressources", ", ".join(resources)),
    ]
    return Card(name, rows=rows, note="Par exemple : api.transactions.list(per_page=25)").html()
