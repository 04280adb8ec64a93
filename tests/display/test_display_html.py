"""
What others wrote is text in a card, whatever it looks like.
"""

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.html_reader import ReadHtml

from fedapay_sync.common.masking import escape_controls
from fedapay_sync.display.html import element, escaped
from fedapay_sync.display.links import safe_url
from fedapay_sync.display.style import CSS
from fedapay_sync.enums import EventFutureStatus
from fedapay_sync.errors import AmountMismatch
from fedapay_sync.models import FedapayPay, Outcome, PagedList, Payout, Transaction

TAGS = {"div", "style", "span", "table", "thead", "tbody", "tr", "th", "td", "a", "img"}
ATTRIBUTES = {"class", "lang", "scope", "href", "target", "rel", "src", "alt"}
#: Texts of all kinds, and texts that are made of what breaks out of HTML.
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.sampled_from(
            ["<script>", "</td>", '"', "'", "&lt;", "&", "<!--", "-->", "</style>", "<img src=x onerror=alert(1)>", "a",
             "\u202e", "\x1b[2J", "javascript:", "\ud800", "]]>", "<b"]
        ),
        max_size=12,
    ).map("".join),
)  # fmt: skip


def read(card: str) -> ReadHtml:
    """The card, of which a browser makes nothing but our own elements, and which a notebook can store."""
    card.encode("utf-8")
    there = ReadHtml(card)
    assert set(there.tags) <= TAGS
    assert there.attributes <= ATTRIBUTES
    return there


@given(TEXTS)
def test_a_text_is_text_wherever_it_stands(text):
    """
    As a child, beside markup of ours, and as the value of an attribute.
    """
    made = element("td", element("a", text, href=text), text)
    there = ReadHtml(made)

    assert (there.tags, there.attributes) == (["td", "a"], {"href"})
    assert there.links == [escape_controls(text)]
    assert there.cells == [2 * escape_controls(text)]
    assert html.unescape(escaped(text)) == escape_controls(text)


@given(TEXTS, TEXTS, TEXTS, TEXTS)
@example("</style><script>alert(1)</script>", "<b>Doe</b>", "'\" onclick=x", "javascript:alert(1)")
def test_no_card_holds_markup_of_others(text, name, status, url):
    """
    Of a payment, its end, a payout and their lists, with any text in each field.
    """
    fields = {
        "id": 7, "amount": text, "status": status, "mode": text, "reference": name, "merchant_reference": text,
        "customer": {"firstname": name, "lastname": text}, "currency": {"iso": text}, "fees": name,
        "payment_url": url, "last_error_code": text, "failed_at": name, "approved_at": text, "created_at": name,
    }  # fmt: skip
    transaction, payout = Transaction.from_dict(fields), Payout.from_dict(fields)
    payment = FedapayPay.from_dict(
        {"transaction_data": fields, "link_and_token_data": {"token": text, "url": url}, "status": "pending"}
    )
    error = AmountMismatch(text, id_transaction=7, expected=name, received=status)
    ends = [
        Outcome(EventFutureStatus.RESOLVED, [], transaction=transaction, id_transaction=name, reason=status),
        Outcome(EventFutureStatus.RESOLVED, id_transaction=7, reason=text, error=error),
        Outcome(EventFutureStatus.TIMEOUT, id_transaction=7, reason=text),
    ]
    lists = [PagedList(each, [kind], None, lambda number: None) for each, kind in
             (("transactions", transaction), ("payouts", payout), (text, transaction))]  # fmt: skip

    for each in (transaction, payout, payment, *ends, *lists):
        there = read(each._repr_html_())
        assert all(link == url == safe_url(url) for link in there.links)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "JAVASCRIPT:alert(1)", " javascript:alert(1)", "data:text/html,x", "//host/x", "/x", "",
        "https://", "https://fedapay.com@evil.example/", "https://fedapay.com\\@evil.example/", "http://[", "ftp://h/x",
        "https://h/\u202ex", "https://h/\n", "https://h/ x", None, 7, b"https://h", "https://h/" + 1000 * "x",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_page_is_no_link(url):
    """
    Nor what shows another host than the one it leads to.
    """
    assert safe_url(url) is None


@pytest.mark.parametrize("url", ["https://process.fedapay.com/eyJ0.eyJ1.x", "http://127.0.0.1:8000/process/x?y=1#z"])
def test_the_address_of_a_page_is_a_link(url):
    """
    FedaPay's, and the emulator's.
    """
    assert safe_url(url) == url


def test_the_style_sheet_asks_no_network_and_is_no_script():
    """
    Nothing is imported or loaded, and nothing in it ends the element that it stands in.
    """
    assert not re.search(r"url\(|@import|expression|javascript|<|>", CSS)
    assert CSS.count("{") == CSS.count("}")
    assert "prefers-color-scheme:dark" in CSS and "[data-jp-theme-light=false]" in CSS
