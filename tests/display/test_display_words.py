"""
The words and figures of cards.
"""

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.secret_samples import KEYS, TOKENS

from fedapay_sync.display.words import (
    MISSING,
    clean,
    currency_of,
    duration_text,
    id_text,
    initials,
    moment_text,
    outcome_state,
    payout_state,
    sum_text,
    transaction_state,
)
from fedapay_sync.enums import EventFutureStatus, PayoutStatus, TransactionStatus
from fedapay_sync.errors import AmountMismatch, NotFound
from fedapay_sync.models import Customer, Outcome, Transaction


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("created", "en attente"), ("pending", "en attente"), ("approved", "payé"), ("transferred", "payé"),
        ("declined", "refusé"), ("canceled", "annulé"), ("expired", "expiré"), ("refunded", "remboursé"),
        ("approved_partially_refunded", "payé"), ("transferred_partially_refunded", "payé"),
    ],
)  # fmt: skip
def test_each_status_of_a_transaction_has_a_french_word(status, word):
    """
    Every one that this version knows.
    """
    assert transaction_state(TransactionStatus(status)).word == word
    assert transaction_state(status).word == word


def test_every_status_that_is_known_has_a_word_of_ours():
    """
    None is shown in FedaPay's English.
    """
    words = {each: transaction_state(each).word for each in TransactionStatus}
    words.update({f"payout {each}": payout_state(each).word for each in PayoutStatus})

    assert len(words) == len(TransactionStatus) + len(PayoutStatus)
    assert [each for each, word in words.items() if word in (str(each), each.split()[-1])] == []


def test_a_deleted_transaction_is_cancelled_unless_it_was_paid():
    """
    At FedaPay its status stays as it was.
    """
    assert transaction_state("pending", is_deleted=True).word == "annulé"
    assert transaction_state("approved", is_deleted=True).word == "payé"


@pytest.mark.parametrize(("status", "word"), [("frozen", "frozen"), (None, "inconnu"), ({"a": 1}, "(dict)"), (7, "7")])
def test_a_status_that_is_not_known_is_shown_as_it_is(status, word):
    """
    One that FedaPay has added, and what is none.
    """
    assert transaction_state(status).word == word
    assert payout_state(status).word == word


PAID = Transaction.from_dict({"id": 7, "status": "approved"})
GIVEN_BACK = Transaction.from_dict({"id": 7, "status": "refunded"})
ENDS = EventFutureStatus


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Outcome(ENDS.RESOLVED, [], paid=True, transaction=PAID), "payé"),
        (Outcome(ENDS.RESOLVED, [], paid=True), "payé"),
        (Outcome(ENDS.RESOLVED, [], paid=True, transaction=GIVEN_BACK), "remboursé"),
        (Outcome(ENDS.RESOLVED, [], reason="declined"), "refusé"),
        (Outcome(ENDS.RESOLVED, [], reason="expired"), "expiré"),
        (Outcome(ENDS.RESOLVED, [], reason="frozen"), "statut « frozen »"),
        (Outcome(ENDS.CANCELLED, ["deleted"], reason="transaction annulée chez FedaPay"), "annulé"),
        (Outcome(ENDS.CANCELLED, reason="attente annulée"), "en attente"),
        (Outcome(ENDS.CANCELLED_INTERNALLY), "en attente"),
        (Outcome(ENDS.TIMEOUT), "en attente"),
        (Outcome(ENDS.RESOLVED, error=AmountMismatch("x", expected="a", received="b")), "suspect"),
        (Outcome(ENDS.CANCELLED, error=NotFound("x")), "inconnu de FedaPay"),
    ],
)
def test_an_outcome_has_the_state_of_its_payment(outcome, word):
    """
    Of the payment, not of the wait: one that was only waited for too long can still be paid.
    """
    assert outcome_state(outcome).word == word
    assert f"state={word!r}" in repr(outcome)


@pytest.mark.parametrize(
    ("customer", "text"),
    [
        ({"firstname": "jean", "lastname": "Hounkpatin"}, "J. H."), ({"firstname": "Élodie"}, "É."),
        ({"full_name": "Ana  Maria Zinsou"}, "A. M."), ({"firstname": "<b>", "lastname": "'o"}, "B. O."),
        ({"firstname": "  ", "lastname": "229"}, MISSING), ({}, MISSING), ({"firstname": 7, "full_name": 8}, MISSING),
    ],
)  # fmt: skip
def test_of_a_customer_the_initials_are_shown(customer, text):
    """
    The letters alone, whatever else a name holds.
    """
    assert initials(Customer.from_dict({"id": 1, **customer})) == text


def test_without_a_customer_there_are_no_initials():
    """
    FedaPay often sends their number only.
    """
    assert initials(None) == initials("Jean Hounkpatin") == MISSING


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (12500, "XOF", "12\u202f500\u00a0XOF"), (500, None, "500"), (0, "GNF", "0\u00a0GNF"), (None, "XOF", MISSING),
        ("douze", "XOF", "douze"), (True, "XOF", "True"), (12.5, None, "12.5"), (-1000, None, "-1\u202f000"),
    ],
)  # fmt: skip
def test_a_sum_is_shown_in_digits(amount, currency, text):
    """
    An odd one as it came.
    """
    assert sum_text(amount, currency) == text


def test_a_currency_is_that_which_fedapay_shows():
    """
    Its code, or the one number that is certain.
    """
    assert currency_of(Transaction.from_dict({"id": 1, "currency": {"id": 2, "iso": "gnf"}})) == "GNF"
    assert currency_of(Transaction.from_dict({"id": 1, "currency_id": 1})) == "XOF"
    assert currency_of(Transaction.from_dict({"id": 1, "currency_id": 9})) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (0.9, "0 s"), (59, "59 s"), (60, "1 min"), (125, "2 min 05 s"), (3600, "1 h"), (3780, "1 h 03 min")],
)
def test_a_duration_is_short(seconds, text):
    """
    Two units at most.
    """
    assert duration_text(seconds).replace("\u00a0", " ") == text


def test_a_moment_is_in_utc():
    """
    As FedaPay gives it; what is none is shown as it came.
    """
    there = datetime(2026, 11, 30, 13, 5, tzinfo=timezone(timedelta(hours=1)))

    assert moment_text(there).replace("\u00a0", " ") == "30/11/2026 12:05 UTC"
    assert moment_text(datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))) == MISSING
    assert (moment_text(None), moment_text("hier")) == (MISSING, "hier")


@given(st.one_of(KEYS, TOKENS), st.text("ab ", max_size=2500))
def test_no_secret_comes_through(secret, before):
    """
    Wherever it stands in a long text, of which only the beginning is shown.
    """
    text, hidden = secret

    assert hidden not in clean(f"{before} {text}")
    assert len(clean(f"{before} {text}")) <= 120


def test_the_number_of_an_object_is_no_phone_number():
    """
    Eight digits may be either; a text in the place of a number may be anything.
    """
    assert (id_text(97123456), id_text("97123456"), id_text("CMD-17")) == ("97123456", "97123456", "CMD-17")
    assert id_text("97 12 34 56") == clean("97123456") == "***tel***"
    assert (id_text(None), id_text(True), id_text([1]), id_text(10**5000)) == (MISSING, "True", "(list)", "(nombre)")
    assert sum_text(10**5000, "XOF") == "(nombre)"
    assert clean(SimpleNamespace(secret="x")) == "(SimpleNamespace)"
