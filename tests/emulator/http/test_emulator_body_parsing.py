"""Forms as FedaPay's PHP and Ruby SDKs write them: brackets for objects, empty brackets for lists, nothing for null."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedapay_sync.emulator.http.body_parsing import read_form


def flat(value, name=""):
    """The pairs that the PHP SDK makes of nested parameters."""
    if isinstance(value, dict):
        return [pair for key, each in value.items() for pair in flat(each, f"{name}[{key}]" if name else key)]
    if isinstance(value, list):
        return [pair for each in value for pair in flat(each, f"{name}[]")]
    return [(name, "" if value is None else value)]


def form(value):
    return urlencode(flat(value)).encode()


def test_items_of_a_list_keep_their_inner_objects_together():
    """
    A second field inside an object that has begun belongs to the same item; a field given again begins the next.
    """
    orders = {
        "payouts": [
            {"id": "1", "phone_number": {"number": "66000001", "country": "bj"}},
            {"id": "2", "phone_number": {"number": "97000001", "country": "bj"}, "scheduled_at": "2030-10-14 08:00:00"},
            {"id": "3"},
        ]
    }
    assert read_form(form(orders)) == orders


NAMES = st.text("abcdef_", min_size=1, max_size=4)
SHAPES = st.recursive(
    st.just(""), lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_leaves=6
).filter(lambda shape: isinstance(shape, dict))


def filled(shape, texts):
    """An object of that shape, with a text at each end."""
    return {key: filled(each, texts) if isinstance(each, dict) else next(texts) for key, each in shape.items()}


@given(shape=SHAPES, count=st.integers(1, 4), words=st.lists(st.text(max_size=5), min_size=1))
def test_a_list_of_like_objects_is_read_as_it_was_written(shape, count, words):
    """
    Whatever is nested in them, as long as each has the same fields: else no form could tell where one ends.
    """
    texts = iter(words * 100)
    body = {"items": [filled(shape, texts) for _ in range(count)]}
    assert read_form(form(body)) == body


@pytest.mark.parametrize("name", ["custom_metadata", "customer"])
def test_a_form_says_null_by_saying_nothing(name, api):
    """
    The PHP SDK saves a transaction that has no metadata with ``custom_metadata=``.
    """
    body = {"description": "a", "amount": 5, "currency": {"iso": "XOF"}, name: None}
    answer = api("POST", "/v1/transactions", data=flat(body))
    assert answer.status_code == 200
    saved = {**answer.json()["v1/transaction"], "description": "b"}
    answer = api("PUT", f"/v1/transactions/{saved['id']}", data=flat(saved))
    assert answer.status_code == 200, answer.text
    assert answer.json()["v1/transaction"]["custom_metadata"] is None
    assert answer.json()["v1/transaction"]["description"] == "b"
