"""Whether a transaction is the payment that was asked for: every field, every form in which it may come."""

import json

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fedapay_sync.models.asked import Asked, sum_shown

REFERENCE = "CMD-17"
BODY = {
    "amount": 1000,
    "currency": {"iso": "XOF"},
    "merchant_reference": REFERENCE,
    "description": "Commande 17",
    "callback_url": "https://boutique.example.bj/retour",
    "custom_metadata": {"commande": 17, "lignes": [{"article": "Pagne", "nombre": 2}]},
    "customer": {
        "firstname": "Afi",
        "email": "Afi@exemple.bj",
        "phone_number": {"number": "+229 01 64 00 00 01", "country": "bj"},
    },
}
SHOWN = {
    "id": 512345,
    "amount": 1000,
    "currency_id": 1,
    "description": "Commande 17",
    "callback_url": "https://boutique.example.bj/retour",
    "custom_metadata": {"lignes": [{"nombre": "2", "article": "Pagne"}], "commande": "17"},
    "customer_id": 41,
    "customer": {"id": 41, "email": "afi@exemple.bj", "phone_number": {"number": "22964000001"}},
}


def asked(**changes):
    return Asked.of_body({**BODY, **changes})


def test_what_was_asked_agrees_with_what_fedapay_shows_of_it():
    assert asked().compare(SHOWN) == ((), (), ())
    assert asked().compare_sum(SHOWN).agrees


# -- the sum -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [1000, "1000", 1000.0, "1000.0"])
def test_an_amount_is_a_number_of_francs_in_whatever_form(amount):
    assert asked().compare_sum({**SHOWN, "amount": amount}).agrees


@pytest.mark.parametrize("amount", [1, 10, "10", 5000, 1001, 999, -1000, 0])
def test_another_amount_is_another_payment(amount):
    assert asked().compare_sum({**SHOWN, "amount": amount}).different == ("amount",)


@pytest.mark.parametrize("amount", [10.5, 1000.4, "mille", "1e3", None, True, [], {}, "", float("inf"), float("nan")])
def test_an_amount_that_cannot_be_read_is_not_another(amount):
    assert asked().compare_sum({**SHOWN, "amount": amount}) == ((), ("amount",), ())


#: What was asked, what the answer to the creation said of the number, what is shown; and what that is.
CURRENCIES = [
    ("XOF", None, {"currency_id": 1}, "agrees"),
    ("XOF", None, {"currency_id": "1"}, "agrees"),
    ("XOF", None, {"currency": {"iso": "XOF"}}, "agrees"),
    ("XOF", None, {"currency_id": 1, "currency": {"iso": "XOF"}}, "agrees"),
    ("XOF", 1, {"currency_id": 2}, "different"),
    ("XOF", 1, {"currency_id": "2"}, "different"),
    ("XOF", 1, {"currency": {"iso": "GNF"}}, "different"),
    ("XOF", 1, {"currency_id": 1, "currency": {"iso": "GNF"}}, "different"),
    ("XOF", 1, {"currency_id": 2, "currency": {"iso": "XOF"}}, "different"),
    ("XOF", 1, {}, "unreadable"),
    ("XOF", 1, {"currency_id": None}, "unreadable"),
    ("XOF", 1, {"currency_id": True}, "unreadable"),
    ("XOF", 1, {"currency_id": "un", "currency": {"iso": 5}}, "unreadable"),
    ("XOF", 1, {"currency_id": 1, "currency": "GNF"}, "different"),
    ("XOF", 1, {"currency": "xof"}, "agrees"),
    ("GNF", None, {"currency": {"iso": "GNF"}}, "agrees"),
    ("GNF", 7, {"currency_id": 7}, "agrees"),
    ("GNF", 7, {"currency_id": 7, "currency": {"iso": "GNF"}}, "agrees"),
    ("GNF", None, {"currency_id": 1}, "different"),
    ("GNF", 7, {"currency_id": 8}, "different"),
    ("GNF", None, {"currency": {"iso": "XOF"}}, "different"),
    ("GNF", 7, {"currency_id": 1, "currency": {"iso": "GNF"}}, "different"),
    # The number of another currency is known from an answer only.
    ("GNF", None, {"currency_id": 7}, "unreadable"),
    # A creation that was answered in XOF was none in GNF, whatever is said later.
    ("GNF", 1, {"currency_id": 7}, "different"),
]


@pytest.mark.parametrize(("currency", "number", "shown", "verdict"), CURRENCIES)
def test_currencies(currency, number, shown, verdict):
    found = Asked(1000, currency, number).compare_sum({"amount": 1000, **shown})
    assert found.agrees == (verdict == "agrees")
    assert found.different == (("currency",) if verdict == "different" else ())
    assert found.unreadable == (("currency",) if verdict == "unreadable" else ())


# -- the payer and the circumstances -------------------------------------------------------------------------------


def test_another_payer_is_another_payment():
    other = {"email": "kossi@exemple.tg", "phone_number": {"number": "22964000001"}}
    assert asked().compare({**SHOWN, "customer": other}).different == ("customer",)
    # By the number, where there is no address on one side.
    other = {"email": None, "phone_number": {"number": "22997000002"}}
    assert asked().compare({**SHOWN, "customer": other}).different == ("customer",)


@pytest.mark.parametrize(
    "customer",
    [
        None,
        {},
        {"email": None},
        {"email": "AFI@exemple.bj "},
        {"phone_number": {"number": "64000001"}},
        {"phone_number": {"number": "0164000001"}},
        {"phone_number": {"number": "1"}},
        # FedaPay knows its customers by their address, and may show an older number.
        {"email": "afi@exemple.bj", "phone_number": {"number": "22997000002"}},
        "odd",
    ],
)
def test_the_same_payer_and_one_who_is_not_shown_are_no_difference(customer):
    assert asked().compare({**SHOWN, "customer": customer}).different == ()


CIRCUMSTANCES = {
    "description": "Autre",
    "callback_url": "https://boutique.example.bj/autre",
    "custom_metadata": {"commande": 18},
}


@pytest.mark.parametrize("name", CIRCUMSTANCES)
def test_circumstances_decide_only_where_the_payer_cannot_be_compared(name):
    shown = {**SHOWN, name: CIRCUMSTANCES[name]}
    assert asked().compare(shown) == ((), (), (name,))
    assert asked(customer=None).compare(shown).different == (name,)
    assert asked().compare({**shown, "customer": None, "customer_id": None}).different == (name,)
    # Not shown, or not asked: no difference.
    assert asked(customer=None).compare({**shown, name: None}).different == ()
    assert asked(customer=None, **{name: None}).compare(shown).different == ()


def test_what_the_caller_did_not_say_proves_nothing():
    silent = Asked.of_body({**BODY, "customer": None, "description": "Paiement"}, unsaid=("description",))
    assert silent.compare({**SHOWN, "description": "Commande 17"}).different == ()


def test_what_is_stored_tells_nothing_of_the_payer():
    """
    Neither in clear nor by being the same for two orders of one payer.
    """
    traits = asked().traits
    text = json.dumps(dict(traits)).lower()
    assert not any(each in text for each in ("afi", "64000001", "boutique", "pagne"))
    assert set(traits.values()).isdisjoint(asked(merchant_reference="CMD-18").traits.values())


def test_sums_are_shown_to_people():
    assert sum_shown(SHOWN) == "1000 XOF"
    assert sum_shown({"amount": 5000, "currency": {"iso": "GNF"}, "currency_id": 7}) == "5000 GNF"
    assert sum_shown({"amount": "mille", "currency_id": 7}) == "montant illisible (devise n° 7)"
    assert sum_shown({}) == "montant illisible (devise illisible)"


# -- whatever comes --------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(name=st.sampled_from(sorted(SHOWN)), value=json_values)
@example(name="custom_metadata", value="[" * 50_000)
@example(name="customer", value={"phone_number": "64000001"})
def test_whatever_a_field_holds_the_answer_is_an_answer(name, value):
    found = asked().compare({**SHOWN, name: value})
    assert set(found.different) <= {"amount", "currency", "customer"}


@given(
    amount=st.integers(1, 10**12),
    currency=st.sampled_from(["XOF", "GNF"]),
    wrong=st.sampled_from(["amount", "currency", "customer"]),
    data=st.data(),
)
def test_what_differs_in_one_compared_field_never_agrees(amount, currency, wrong, data):
    shown = {**SHOWN, "amount": amount, "currency_id": 1 if currency == "XOF" else 7, "currency": {"iso": currency}}
    ours = asked(amount=amount, currency={"iso": currency})
    assert ours.compare(shown).agrees
    if wrong == "amount":
        other = data.draw(st.integers(0, 10**12) | st.integers(0, 10**12).map(str))
        assume(int(other) != amount)
        shown["amount"] = other
    elif wrong == "currency":
        shown["currency"] = {"iso": data.draw(st.sampled_from(["XOF", "GNF", "EUR"]).filter(currency.__ne__))}
    else:
        shown["customer"] = {"email": data.draw(st.emails().filter(lambda each: each.lower() != "afi@exemple.bj"))}
    assert ours.compare(shown).different == (wrong,)


@st.composite
def honest(draw):
    """The same transaction, as FedaPay might show it: fields left out, numbers and cases written otherwise."""
    shown = json.loads(json.dumps(SHOWN))
    for name in draw(st.sets(st.sampled_from(["description", "callback_url", "custom_metadata", "customer"]))):
        shown.pop(name)
    if "customer" in shown:
        number = draw(
            st.sampled_from(["64000001", "0164000001", "22964000001", "+229 01 64 00 00 01", "2290164000001"])
        )
        shown["customer"]["phone_number"]["number"] = number
        if draw(st.booleans()):
            shown["customer"]["email"] = draw(st.sampled_from(["afi@exemple.bj", "AFI@EXEMPLE.BJ", None]))
    if "custom_metadata" in shown and draw(st.booleans()):
        shown["custom_metadata"] = json.dumps(shown["custom_metadata"])
    shown["amount"] = draw(st.sampled_from([1000, "1000", 1000.0]))
    shown["currency_id"] = draw(st.sampled_from([1, "1"]))
    return shown


@given(shown=honest(), again=st.sampled_from([{}, {"description": "Autre"}, {"callback_url": "https://a.example"}]))
def test_no_honest_retry_is_refused(shown, again):
    """
    Other words in a retry are compared with what was asked first, too: either will do.
    """
    first, second = asked(), asked(**again)
    assert not first.compare(shown).different
    if "customer" in shown:
        assert not second.compare(shown).different
