"""A card: what is known of one object, at a glance, as HTML."""

from dataclasses import dataclass
from typing import Iterable, Optional, Sequence, Tuple

from fedapay_sync.display.html import Html, element, joined, style_sheet
from fedapay_sync.display.links import link, qr_code
from fedapay_sync.display.style import CSS
from fedapay_sync.display.words import MISSING, State

#: Name and value.
Row = Tuple[str, object]


@dataclass(frozen=True)
class Card:
    """
    What a card shows. Every text in it is escaped when it is written.

    Attributes:
        rows: those without a value are left out.
        link: an address that ``safe_url`` has passed.
        shows_qr: the link as a QR code, too.
        table: what stands below.
        note: a sentence on what may be done now.
        notes: further sentences, each a paragraph.
    """

    title: str
    state: Optional[State] = None
    amount: str = ""
    rows: Sequence[Row] = ()
    link: Optional[str] = None
    link_text: str = "Ouvrir la page de paiement"
    shows_qr: bool = False
    table: Optional[Html] = None
    note: str = ""
    notes: Sequence[str] = ()

    def html(self) -> str:
        """The card with its style sheet."""
        rows = [(name, value) for name, value in self.rows if value not in (None, "", MISSING)]
        facts = [_facts_table(rows)] if rows else []
        if self.link is not None:
            facts.append(element("div", link(self.link, self.link_text), class_="fp-note"))
        code = qr_code(self.link) if self.link is not None and self.shows_qr else None
        body = [element("div", *facts)] if facts else []
        body += [code] if code is not None else []
        head = [element("span", self.title, class_="fp-title"), *(() if self.state is None else (badge(self.state),))]
        children = [
            element("div", _spaced(head), class_="fp-head"),
            element("div", self.amount, class_="fp-amount") if self.amount else "",
            element("div", *body, class_="fp-body") if body else "",
            self.table or "",
            *(element("div", each, class_="fp-note") for each in (self.note, *self.notes) if each),
        ]
        return str(element("div", style_sheet(CSS), *children, class_="fp-card", lang="fr"))


def badge(state: State) -> Html:
    """A state as a word on its colour."""
    return element("span", state.word, class_=f"fp-state fp-{state.tone}")


def whole(text: str) -> str:
    """A short text that is not broken where a column gets narrow."""
    return text if text == MISSING else element("span", text, class_="fp-whole")


def list_table(heads: Sequence[str], rows: Iterable[Sequence[object]], numbers: Iterable[int] = ()) -> Html:
    """
    A table of objects, one a row; a column without any value is left out.

    Args:
        numbers: the columns that hold numbers, from 0.
    """
    lines = list(rows)
    filled = [i for i in range(len(heads)) if any(line[i] != MISSING for line in lines)]
    right = dict.fromkeys(numbers, "fp-number")
    head = element("tr", *(element("th", heads[i], scope="col", class_=right.get(i)) for i in filled))
    body = [element("tr", *(element("td", line[i], class_=right.get(i)) for i in filled)) for line in lines]
    return element("table", element("thead", head), element("tbody", *body), class_="fp-table fp-list")


def _facts_table(rows: Sequence[Row]) -> Html:
    lines = [element("tr", element("th", name, scope="row"), element("td", value)) for name, value in rows]
    return element("table", element("tbody", *lines), class_="fp-table")


def _spaced(parts: Sequence[Html]) -> Html:
    """With gaps that remain where a front end drops the style sheet."""
    return joined([each for part in parts for each in (part, " ")][:-1])
