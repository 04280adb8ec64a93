"""
What a program says of a payment: strict, before anything is sent.
"""

import logging
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedapay_sync.common.countries import currency_of, push_methods
from fedapay_sync.enums import MethodesPaiement, Monnaies, Pays, TypesPaiement
from fedapay_sync.errors import InvalidArgument, InvalidCountryPaymentCombination
from fedapay_sync.models import FedapayPay, PaiementSetup, PaymentHistory, UserData
from fedapay_sync.models.params.amounts import checked_amount
from fedapay_sync.models.payment import checked_phone_number


@pytest.mark.parametrize("value", [1, 500, 500.0, Decimal("500"), Fraction(500), 10**12])
def test_a_whole_amount_above_zero_may_be_sent(value):
    """
    As an int, whatever kind of number it was.
    """
    assert checked_amount(value) == value
    assert type(checked_amount(value)) is int


@pytest.mark.parametrize(
    "value",
    [0, -1, 12.5, True, "500", "", None, float("nan"), float("inf"), [], {}, Decimal("sNaN"), b"5", 0.0],
    ids=repr,
)
def test_any_other_amount_is_refused(value):
    """
    With the value, what was expected, an example, and the argument's name.
    """
    with pytest.raises(InvalidArgument) as refused:
        checked_amount(value, "montant")

    said = str(refused.value)
    assert all(word in said for word in (f"montant={value!r}", "refusé", "nombre entier de francs", "1000"))
    assert refused.value.field == "montant"


def test_a_customer_is_taken_as_given():
    """
    Names of one letter, with accents or apostrophes; the number keeps its form.
    """
    client = UserData(nom="N'Dô", prenom="Ô", email="a.b+c@exemple.bj", tel=" 01 64-00.00 01 ")

    assert (client.nom, client.prenom, client.email, client.tel) == ("N'Dô", "Ô", "a.b+c@exemple.bj", "01 64-00.00 01")
    assert UserData("Doe", "John") == UserData(nom="Doe", prenom="John", email=None, tel=None)


@pytest.mark.parametrize("field", ["nom", "prenom"])
@pytest.mark.parametrize("value", ["", "  ", "\n", None, 5, ["Doe"]])
def test_an_empty_name_is_refused(field, value):
    """
    FedaPay would refuse it later.
    """
    with pytest.raises(InvalidArgument, match=f"{field} est vide.*non vide") as refused:
        UserData(**{"nom": "Doe", "prenom": "John", field: value})

    assert refused.value.field == field


@pytest.mark.parametrize(
    "email", ["", "planted", "planted@", "@planted.bj", "planted@bj", "a planted@x.bj", 5, ["a@b.bj"]]
)
def test_a_bad_email_is_refused_and_not_shown(email):
    """
    The sentence gives the form, and None as the way out.
    """
    with pytest.raises(InvalidArgument, match=r"nom@domaine\.bj.*None") as refused:
        UserData("Doe", "John", email=email)

    assert refused.value.field == "email"
    assert "planted" not in str(refused.value)


GOOD_NUMBERS = ["0164000001", "+2290164000001", "2290164000001", "64000001", "+229 01 64 00 00 01", "123456", "1" * 20]


@pytest.mark.parametrize("number", GOOD_NUMBERS)
def test_a_number_is_left_as_given(number):
    """
    What FedaPay accepts differs by country and date.
    """
    assert checked_phone_number(f" {number}\t") == number


@pytest.mark.parametrize(
    "number",
    [
        164000001,
        None,
        True,
        "",
        "12345",
        "+12345",
        "1" * 21,
        "++2290164000001",
        "0164000001+",
        "01640O0001",
        "٠١٦٤٠٠٠٠٠١",
        "tel 0164000001",
        "0164000001\n5a",
        b"0164000001",
    ],
    ids=repr,
)
def test_a_bad_number_is_refused_and_not_shown(number):
    """
    A number without quotes has lost its first zero: the sentence says so.
    """
    with pytest.raises(InvalidArgument, match=r"6 à 20 chiffres.*entre guillemets") as refused:
        checked_phone_number(number, "payment_contact")

    assert refused.value.field == "payment_contact"
    assert number == 164000001 or not number or str(number) not in str(refused.value)
    if number is not None:
        with pytest.raises(InvalidArgument, match="tel n'est pas"):
            UserData("Doe", "John", tel=number)


@given(st.text(max_size=30))
def test_any_text_is_a_number_or_refused(text):
    """
    Nothing else happens, and a number has digits enough.
    """
    try:
        number = checked_phone_number(text)
    except InvalidArgument:
        return
    assert 6 <= sum(sign.isdigit() for sign in number) <= 20


@pytest.mark.parametrize("country", list(Pays), ids=str)
@pytest.mark.parametrize("method", list(MethodesPaiement), ids=lambda method: method.name)
def test_a_country_takes_its_own_methods_and_no_other(country, method):
    """
    Without redirection; the refusal names both, and what the country has.
    """
    if method in push_methods(country):
        assert PaiementSetup(country, method).method is method
        return
    with pytest.raises(InvalidCountryPaymentCombination, match=method.name) as refused:
        PaiementSetup(pays=country, method=method)
    said = str(refused.value)
    assert refused.value.field == "method"
    assert all(word in said for word in ("momo_test", "AVEC_REDIRECTION", method.value))
    assert all(each.name in said for each in push_methods(country))


@pytest.mark.parametrize("country", list(Pays), ids=str)
def test_every_country_pays_with_redirection_and_momo_test_fits_everywhere(country):
    """
    Mali and Burkina Faso too, in their currency.
    """
    with_page = PaiementSetup(pays=country, type_paiement=TypesPaiement.AVEC_REDIRECTION)

    assert (with_page.pays, with_page.method) == (country, None)
    assert PaiementSetup(pays=country, method=MethodesPaiement.momo_test).method is MethodesPaiement.momo_test
    assert currency_of(with_page.pays) in (Monnaies.xof, Monnaies.gnf)


@pytest.mark.parametrize("country", [Pays.mali, Pays.burkina_faso], ids=str)
def test_a_country_without_methods_says_that_it_has_a_page_only(country):
    """
    Nothing to choose from: the sentence does not pretend otherwise.
    """
    with pytest.raises(InvalidCountryPaymentCombination, match="ne paie que sur la page de FedaPay"):
        PaiementSetup(pays=country, method=MethodesPaiement.moov)
    assert currency_of(country) is Monnaies.xof


def test_a_missing_method_is_told():
    """
    Without redirection one is needed.
    """
    with pytest.raises(InvalidCountryPaymentCombination, match="Il manque la méthode de paiement pour le pays Togo"):
        PaiementSetup(pays=Pays.togo)


@pytest.mark.parametrize("pays", [Pays.benin, "bj", "benin"])
@pytest.mark.parametrize("method", [MethodesPaiement.sbin, "sbin", "Celtis Bénin"])
@pytest.mark.parametrize("kind", [TypesPaiement.SANS_REDIRECTION, "sans_redirection", "SANS_REDIRECTION", None])
def test_texts_are_taken_by_value_or_by_name(pays, method, kind):
    """
    They become members.
    """
    setup = PaiementSetup(pays, method, kind)

    assert (setup.pays, setup.method) == (Pays.benin, MethodesPaiement.sbin)
    assert setup.pays is Pays.benin
    assert setup.type_paiement is TypesPaiement.SANS_REDIRECTION


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"pays": "fr"}, "pays"),
        ({"pays": None}, "pays"),
        ({"pays": MethodesPaiement.moov}, "pays"),
        ({"method": "orange_ci"}, "method"),
        ({"method": ""}, "method"),
        ({"method": 5}, "method"),
        ({"method": "inconnue", "type_paiement": "avec_redirection"}, "method"),
        ({"type_paiement": "direct"}, "type_paiement"),
    ],
)
def test_an_unknown_word_is_told_with_the_known_ones(changes, field):
    """
    The value, and every possible one.
    """
    with pytest.raises(InvalidArgument, match=r"est inconnu\. Valeurs possibles") as refused:
        PaiementSetup(**{"pays": "bj", "method": "moov", **changes})

    kind = {"pays": Pays, "method": MethodesPaiement, "type_paiement": TypesPaiement}[field]
    assert refused.value.field == field
    assert f"{field}={changes[field]!r}" in str(refused.value)
    assert all(member.name in str(refused.value) for member in kind)


def test_a_method_is_ignored_with_redirection(caplog):
    """
    The payer chooses on the page; the log says so.
    """
    with caplog.at_level(logging.WARNING, "fedapay_sync"):
        setup = PaiementSetup("ml", MethodesPaiement.moov, TypesPaiement.AVEC_REDIRECTION)

    assert setup.method is None
    assert ["payment method ignored" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("kind", [FedapayPay, PaymentHistory])
def test_a_payment_has_the_names_of_the_asynchronous_page(kind):
    """
    ``id_transaction``, ``transaction``, ``payment_link``.
    """
    there = kind.from_dict(
        {
            "transaction_data": {"id": 7},
            "link_and_token_data": {"token": "t", "url": "https://p/t"},
            "status": "pending",
        }
    )

    assert there.id_transaction == there.transaction.id == there.transaction_data.id == 7
    assert there.payment_link == there.link_and_token_data.payment_link == "https://p/t"
    assert there.set_methode_data is None
    assert there.status == "pending"


@pytest.mark.parametrize("value", ["sk_live_abc", "ayaba@exemple.bj", "\n0164000001", b"\n0164000001", "x" * 5000])
def test_a_secret_in_the_wrong_place_is_not_quoted(value):
    """
    A key, an address or a number given as an amount, a country or a method stays out of the error.
    """
    for wrong in (value, [value]):
        for call in (checked_amount, PaiementSetup):
            with pytest.raises(InvalidArgument) as refused:
                call(wrong)
            assert not any(secret in str(refused.value) for secret in ("abc", "ayaba", "0164000001", "x" * 100))


@pytest.mark.parametrize("value", [10**15 + 1, 10**5000, -(10**5000), 1e300], ids=lambda value: type(value).__name__)
def test_an_amount_too_large_to_be_meant_is_refused(value):
    """
    The database could not write it down either.
    """
    with pytest.raises(InvalidArgument, match="est refusé") as refused:
        checked_amount(value, "amount")

    assert refused.value.field == "amount" and len(str(refused.value)) < 300
    assert checked_amount(10**15) == 10**15


def test_a_signalling_number_is_refused_without_a_programmers_words():
    with pytest.raises(InvalidArgument) as refused:
        checked_amount(Decimal("sNaN"))

    assert "pas un nombre" in str(refused.value) and "<class" not in str(refused.value)
