"""
Builds HTML out of elements: every text is escaped here, and no other module writes a tag.

``element("td", name)`` is safe whatever the name is; only what ``element`` has made goes in as it is.
"""

import html
from typing import Iterable, Optional

from fedapay_sync.common.masking import escape_controls

_VOID = ("img",)


class Html(str):
    """HTML that this module has made."""

    __slots__ = ()


def element(name: str, *children: object, **attributes: Optional[str]) -> Html:
    """
    One element.

    Args:
        name: of the tag, written in our code.
        children: ``Html`` of ours, and texts, which are escaped.
        attributes: their values are escaped; ``class_`` is ``class``, and None leaves one out.
    """
    opened = name + "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{opened}>" if name in _VOID else f"<{opened}>{joined(children)}</{name}>")


def joined(children: Iterable[object]) -> Html:
    """Elements and texts one after the other."""
    return Html("".join(each if isinstance(each, Html) else escaped(each) for each in children))


def escaped(text: object) -> Html:
    """A text on one line, of which no character is markup and none turns the direction of writing."""
    return Html(html.escape(escape_controls(str(text))))


def style_sheet(css: str) -> Html:
    """A style sheet that is written in our code."""
    return Html(f"<style>{css}</style>")
