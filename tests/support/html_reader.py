"""Reads HTML as a browser does: which elements there are, with which attributes, and what a person sees."""

from html.parser import HTMLParser
from typing import Dict, List, Optional, Set, Tuple


class ReadHtml(HTMLParser):
    """
    What a piece of HTML holds.

    Attributes:
        tags: the elements, in order.
        attributes: the names of all attributes.
        links: where links lead.
        cells: the texts of the cells of tables, head cells included.
        text: all text outside style sheets, with single blanks.
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: List[str] = []
        self.attributes: Set[str] = set()
        self.links: List[str] = []
        self.sources: List[str] = []
        self.cells: List[str] = []
        self._open: List[str] = []
        self._texts: List[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    @property
    def text(self) -> str:
        return " ".join("".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        given: Dict[str, Optional[str]] = dict(attrs)
        self.tags.append(tag)
        self.attributes.update(given)
        if tag == "a":
            self.links.append(given["href"] or "")
        if tag == "img":
            self.sources.append(given["src"] or "")
            return
        if tag in ("td", "th"):
            self.cells.append("")
        self._open.append(tag)
        self._texts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self._texts.append(" ")

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self._texts.append(data)
        if "td" in self._open or "th" in self._open:
            self.cells[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)
