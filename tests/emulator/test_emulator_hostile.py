"""Whatever is sent to the emulator, it answers JSON in French, and goes on."""

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedapay_sync.emulator.bodies import read_body, read_form
from fedapay_sync.emulator.refusal import Refusal

GOOD = {"description": "x", "amount": 100, "currency": {"iso": "XOF"}}


def post(api, body, content_type="application/json"):
    return api("POST", "/v1/transactions", data=body, headers={"Content-Type": content_type})


def assert_refused(answer, status=400):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert isinstance(body["message"], str)
    assert body["message"]
    assert isinstance(body["errors"], dict)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b"[]",
        b'"text"',
        b"12",
        b"null",
        b"\xff\xfe",
        b'{"amount": NaN}',
        b'{"amount": Infinity}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"[" * 100_000,
        b'{"custom_metadata":' + b'{"a":' * 60 + b"1" + b"}" * 61,
        b'{"description": "\\ud800"}',
        b'{"amount": 1' + b"0" * 6000 + b"}",
        b"",
        b"   ",
    ],
)
def test_a_body_that_is_no_transaction_is_400(body, api, emulator):
    """
    Broken, of another type, too deep, half characters, empty.
    """
    assert_refused(post(api, body))
    assert emulator.transactions == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", value)
        for value in (None, "", 0, -1, 12.5, True, "abc", "1e3", "12.5", [], {}, "9" * 40, "١٢", 1e400, "0")
    ]
    + [("description", value) for value in (None, "", [], {}, True)]
    + [("currency", value) for value in (None, "XOF", {}, {"iso": "EUR"}, {"iso": None}, [], 1, {"iso": ["XOF"]})]
    + [("callback_url", value) for value in ([], {}, True)]
    + [("custom_metadata", value) for value in ("x", [], 1)]
    + [("merchant_reference", value) for value in ([], {}, True)]
    + [
        ("customer", value)
        for value in (
            "x",
            [],
            {"id": 1},
            {"id": "abc"},
            {"id": {}},
            {"lastname": ""},
            {"lastname": "undefined"},
            {"firstname": []},
            {"email": []},
            {"phone_number": "0164000001"},
            {"phone_number": {"number": "abc"}},
            {"phone_number": {"number": "0164000001", "country": "benin"}},
            {"phone_number": {"number": {}}},
        )
    ],
)
def test_a_wrong_field_is_named(field, value, api, emulator):
    """
    400 with errors by field, and nothing is made: neither transaction nor customer.
    """
    answer = post(api, json.dumps({**GOOD, field: value}))
    if value == 1e400:  # not JSON at all once written
        assert_refused(answer)
        return
    assert_refused(answer)
    assert answer.json()["errors"]
    assert emulator.transactions == []
    assert api("GET", "/v1/events").json()["meta"]["total_count"] == 0


@pytest.mark.parametrize("size", [300_000, 1_000_000, 3_000_000])
def test_a_giant_body_is_413_in_json(size, api):
    """
    More than any client of ours sends.
    """
    assert_refused(post(api, json.dumps({**GOOD, "description": "x" * size})), 413)


@pytest.mark.parametrize(
    "form",
    [
        "amount=1&amount[x]=2",
        "a[b]=1&a[]=2",
        "a[]=1&a[b]=2",
        "a[][b]=1&a[]=2&a[][b]=3",
        "a" + "[b]" * 100 + "=1",
        "&".join(f"k{n}=1" for n in range(5000)),
        "a=%ff%fe",
        "é=1",
        "[]=1&[=2&]=3&a[=4&a]=5&a[b=6&a[[b]]=7&=8&a[b]c=9",
    ],
)
def test_odd_brackets_are_refused_or_harmless(form, api):
    """
    Every one of them ends in a JSON 400: a contradiction, or a creation without its fields.
    """
    assert_refused(post(api, form.encode(), "application/x-www-form-urlencoded"))


@pytest.mark.parametrize(
    "id",
    ["0", "1", "abc", "-1", "1.5", "9" * 500, "١", "%00", "1%2F2", "..", "%2e%2e", "1;2", "null", "'", "<b>"],
)
def test_a_weird_id_is_not_found(id, api):
    """
    404 for read, change, delete and token.
    """
    for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/token")):
        answer = api(method, f"/v1/transactions/{id}{path}")
        assert_refused(answer, 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1//transactions"),
        ("GET", "/static/x"),
        ("PUT", "/v1/transactions"),
        ("PATCH", "/v1/transactions/1"),
        ("OPTIONS", "/v1/transactions"),
        ("GET", "/v1/momo_test"),
        ("POST", "/v1/transactions/momo_test"),
        ("POST", "/v1/MOMO_TEST"),
        ("POST", "/v1/%F0%9F%98%80"),
    ],
)
def test_an_unknown_address_is_a_json_404(method, path, api):
    """
    Wrong methods too: never an HTML page.
    """
    assert_refused(api(method, path), 404)


@pytest.mark.parametrize("query", ["page=abc", "page=-1", "per_page=0", "per_page=" + "9" * 99, "page=9999999", "x[=1"])
def test_an_odd_page_is_no_failure(query, api):
    """
    What cannot be read is taken for its default.
    """
    api.create()
    answer = api("GET", "/v1/transactions?" + query)
    assert answer.status_code == 200
    assert answer.json()["meta"]["total_count"] == 1


@pytest.mark.parametrize("token", [None, "", 5, [], {}, "abc", "a.b.c", "é.é.é", "x" * 10_000, "..", "\x00"])
def test_a_wrong_token_pays_nothing(token, api):
    """
    400, whatever is in the place of the token.
    """
    body = {"token": token, "phone_number": {"number": "0164000001", "country": "bj"}}
    assert_refused(api("POST", "/v1/momo_test", json=body))


@pytest.mark.parametrize("phone", ["0164000001", [], {"number": "12"}, {"number": "x" * 9}, {"number": None}, 7])
def test_a_wrong_number_is_400(phone, api):
    """
    Flat, short, or no number at all.
    """
    token = api.create()["payment_token"]
    assert_refused(api("POST", "/v1/momo_test", json={"token": token, "phone_number": phone}))


def test_a_page_for_a_wrong_token_says_so(api):
    """
    A human reads it: HTML, but nothing of what was sent in it.
    """
    answer = api("GET", "/process/<script>alert(1)</script>")
    assert answer.status_code == 404
    assert "plus valable" in answer.text
    assert "script" not in answer.text


def test_garbage_on_the_wire_does_not_stop_it(api, emulator):
    """
    After bytes that are no HTTP the next call is served.
    """
    host, _, port = emulator.url.rpartition("//")[2].partition(":")
    for garbage in (
        b"\x00" * 100,
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            connection.makefile("rb").read()
    assert api.create()["status"] == "pending"


def outcome(read, *arguments):
    """What a reader made of it: its dict, or the status of its refusal."""
    try:
        return read(*arguments)
    except Refusal as refusal:
        return refusal.status


@given(st.binary(max_size=300))
def test_no_bytes_break_the_readers(raw):
    """
    A dict or a Refusal 400, for JSON and for forms.
    """
    for result in (outcome(read_body, raw, "application/json"), outcome(read_form, raw)):
        assert isinstance(result, dict) or result == 400


@given(st.lists(st.text("ab[]=&", max_size=12), max_size=8))
def test_no_brackets_break_the_form_reader(parts):
    """
    A dict or a Refusal 400, however the brackets stand.
    """
    result = outcome(read_form, "&".join(parts).encode())
    assert isinstance(result, dict) or result == 400
