"""
Words: they print as their value, on every Python, and the catalogue knows every country.
"""

import copy
import json
import pickle

import pytest

from fedapay_sync import enums
from fedapay_sync.common import countries as catalogue
from fedapay_sync.common.countries import COUNTRIES, SANDBOX_METHOD, currency_of, push_methods
from fedapay_sync.enums import (
    FINAL_PAYOUT_STATUSES,
    FINAL_STATUSES,
    PAID_STATUSES,
    EventFutureStatus,
    MethodesPaiement,
    Monnaies,
    PayoutStatus,
    Pays,
    TransactionStatus,
)

KINDS = [
    kind
    for kind in vars(enums).values()
    if isinstance(kind, type) and issubclass(kind, enums._StrEnum) and kind is not enums._StrEnum
]
WORDS = [member for kind in KINDS for member in kind]


@pytest.mark.parametrize("word", WORDS, ids=repr)
def test_a_word_prints_as_its_value(word):
    """
    str, f-string, format, %, join, JSON as value and as key: one text, an ordinary str where one is made.
    """
    text = word.value

    assert [str(word), f"{word}", f"{word:s}", format(word), "{}".format(word), "%s" % word] == [text] * 6  # noqa: UP031,UP032
    assert type(str(word)) is str
    assert f"{word:>60}" == text.rjust(60)
    assert "".join([word]) == text
    assert json.loads(json.dumps({word: [word]})) == {text: [text]}
    assert repr(word) == f"<{type(word).__name__}.{word.name}: {text!r}>"


@pytest.mark.parametrize("word", WORDS, ids=repr)
def test_a_word_is_its_text(word):
    """
    Equal, same hash, found by value and by name, one and the same after a journey.
    """
    kind = type(word)

    assert word == word.value
    assert hash(word) == hash(word.value)
    assert word in {word.value}
    assert kind(word.value) is kind[word.name] is word
    assert pickle.loads(pickle.dumps(word)) is copy.deepcopy(word) is copy.copy(word) is word


def test_no_two_words_of_a_kind_have_the_same_value():
    """
    An alias would hide a member.
    """
    assert KINDS
    assert [kind.__name__ for kind in KINDS if len(kind) != len(kind.__members__)] == []


def test_paid_statuses_are_those_of_the_official_sdks():
    """
    Debited once is paid, even where the money went back.
    """
    assert {
        "approved",
        "transferred",
        "refunded",
        "approved_partially_refunded",
        "transferred_partially_refunded",
    } == PAID_STATUSES
    assert PAID_STATUSES | {"declined", "canceled", "expired"} == FINAL_STATUSES
    assert {"pending", "created"}.isdisjoint(FINAL_STATUSES)


def test_a_payout_ends_sent_or_failed():
    """
    The words of FedaPay's pages, and no more: those that only other programs know pass as texts.
    """
    assert set(PayoutStatus.__members__) == {"pending", "scheduled", "started", "processing", "sent", "failed"}
    assert {"sent", "failed"} == FINAL_PAYOUT_STATUSES


def test_the_ends_of_a_wait_have_the_names_of_the_asynchronous_connector():
    """
    Code that compares with them moves over unchanged.
    """
    assert set(EventFutureStatus.__members__) == {"CANCELLED", "TIMEOUT", "RESOLVED", "CANCELLED_INTERNALLY"}
    assert TransactionStatus("approved") is TransactionStatus.approved


@pytest.mark.parametrize("country", list(Pays), ids=str)
def test_every_country_has_a_currency_and_the_sandbox_method(country):
    """
    Mali and Burkina Faso too, which the asynchronous connector forgot.
    """
    assert currency_of(country) is (Monnaies.gnf if country == "gn" else Monnaies.xof)
    assert SANDBOX_METHOD in push_methods(country)
    assert COUNTRIES[country].dialling_code.startswith("22")


def test_every_method_belongs_to_one_country():
    """
    Those without redirection, as FedaPay's page lists them.
    """
    offered = {country.value: {each.name for each in COUNTRIES[country].push} for country in COUNTRIES}

    assert offered == {
        "bj": {"mtn_open", "moov", "sbin"},
        "ci": {"mtn_ci"},
        "ne": {"airtel_ne"},
        "sn": {"free_sn"},
        "tg": {"moov_tg", "togocel"},
        "gn": {"mtn_open_gn"},
        "ml": set(),
        "bf": set(),
    }
    assert set.union(*offered.values()) | {"momo_test"} == set(MethodesPaiement.__members__)
    assert catalogue.SANDBOX_GOOD_NUMBER == "0164000001"
