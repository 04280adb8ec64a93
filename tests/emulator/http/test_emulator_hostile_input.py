"""Whatever is sent to the emulator, it answers JSON in French, and goes on."""

import json
import socket
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedapay_sync.emulator import Emulator
from fedapay_sync.emulator.http.body_parsing import read_body, read_form
from fedapay_sync.emulator.http.errors import Refusal
from fedapay_sync.emulator.resources import payment_tokens

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


@pytest.mark.parametrize("query", ["page=abc", "page=-1", "page=0", "per_page=0", "per_page=" + "9" * 99])
def test_an_odd_page_is_refused(query, api):
    """
    What is no whole number from 1 on.
    """
    assert_refused(api("GET", "/v1/transactions?" + query), 400)


def test_a_page_beyond_the_end_is_empty(api):
    """
    And says which one it is.
    """
    api.create()
    answer = api("GET", "/v1/transactions?page=9999999&x[=1").json()
    assert answer["v1/transactions"] == []
    assert (answer["meta"]["current_page"], answer["meta"]["total_count"]) == (9999999, 1)


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
    assert "Ce lien de paiement n&#39;existe pas" in answer.text
    assert "alert" not in answer.text


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


# Names that some part reads, and others.
NAMES = st.sampled_from(
    "description amount currency iso code customer id email firstname lastname phone_number number country locale "
    "callback_url merchant_reference custom_metadata sub_accounts_commissions include token mode transactions payouts "
    "scheduled_at send_now url enabled http_headers event name reference custom_fields published due_at tax force "
    "grant_type client_id client_secret 0 1".split()
) | st.text(max_size=5)
KEYS = st.sampled_from(
    "page per_page search include locale token mode match filters filters[compare] filters[compare][amount][op] "
    "filters[compare][amount][value] filters[compare][status][value] filters[includes][customer][email] "
    "filters[type] filters[object_id] filters[status] filters[] filters[compare][] filters[entity]".split()
) | st.text("abf[]=&.", max_size=8)
# Whatever may stand in a body, as JSON has it.
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["XOF", "0164000001", "bj", "momo_test", "2026-10-14 08:00:00", "https://example.bj", "0", "-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
BODIES = st.dictionaries(NAMES, VALUES, max_size=6)
WRITES = [
    ("POST", path)
    for path in (
        "transactions transactions/batch transactions/{t}/token transactions/{t}/receipt_url customers momo_test "
        "payouts payouts/batch webhooks webhooks/stub_event webhooks/{w}/send_event pages invoices accounts "
        "oauth/token events/subscribe logs/subscribe"
    ).split()
] + [
    ("PUT", path)
    for path in "transactions/{t} customers/{c} payouts/start payouts/{p} webhooks/{w} accounts/30211".split()
]
READS = (
    "transactions transactions/search transactions/fees transactions/{t} transactions/merchant/x customers "
    "customers/search balances currencies events logs payouts payouts/search webhooks pages invoices accounts"
).split()


@pytest.fixture(scope="module")
def furnished(client_of):
    """One emulator for all examples, and an id of each kind."""
    with Emulator() as emulator:
        api = client_of(emulator)
        payout = {"amount": 5, "currency": {"iso": "XOF"}, "mode": "momo_test"}
        made = {
            "t": api.create()["id"],
            "c": api("POST", "/v1/customers", json={"firstname": "A", "lastname": "B"}).json()["v1/customer"]["id"],
            "p": api("POST", "/v1/payouts", json=payout).json()["v1/payout"]["id"],
            "w": api("POST", "/v1/webhooks", json={"url": "http://127.0.0.1:9/", "enabled": False}).json()[
                "v1/webhook"
            ]["id"],
        }
        yield api, made


def assert_sober(answer, *, empty=False):
    """An answer of the API's own, and no fault of the emulator's."""
    if answer.status_code == 204 and empty:
        return
    assert answer.status_code < 500 or answer.json()["message"] == "", answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    if answer.status_code >= 400:
        assert isinstance(answer.json()["message"], str)


@pytest.mark.parametrize(("method", "path"), WRITES)
@settings(max_examples=25, deadline=None)
@given(body=BODIES)
def test_no_body_makes_it_stumble(method, path, furnished, body):
    """
    JSON of any shape, at every address that reads one: an answer or a 4xx, and lists can still be shown.
    """
    api, made = furnished
    assert_sober(api(method, "/v1/" + path.format(**made), json=body))


@pytest.mark.parametrize("path", READS)
@settings(max_examples=25, deadline=None)
@given(pairs=st.lists(st.tuples(KEYS, st.text(max_size=10)), max_size=5))
def test_no_query_makes_it_stumble(path, furnished, pairs):
    """
    Filters, pages and brackets of any kind.
    """
    api, made = furnished
    assert_sober(api("GET", "/v1/" + path.format(**made), params=pairs))


@pytest.mark.parametrize("path", READS)
def test_after_all_that_every_list_is_shown(path, furnished):
    """
    What was let in can be written out again.
    """
    api, made = furnished
    answer = api("GET", "/v1/" + path.format(**made) + "?per_page=1000&include=customer,currency")
    assert answer.status_code in ((400,) if path.endswith("fees") else (404,) if "merchant" in path else (200,))


@settings(max_examples=60, deadline=None)
@given(path=st.text(min_size=1, max_size=30), method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]))
def test_no_address_makes_it_stumble(furnished, path, method):
    """
    Any text behind /v1/, quoted.
    """
    api, _ = furnished
    assert_sober(api(method, "/v1/" + quote(path, safe="/")), empty=True)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Version": "\xff\xfe", "X-Source": "<script>"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": ""},
        {"Accept": "text/html"},
    ],
)
def test_odd_headers_are_no_failure(headers, api):
    """
    Taken or passed over, and written to the logs as they are.
    """
    body = json.dumps(GOOD)
    assert api("POST", "/v1/transactions", data=body, headers=headers).status_code == 200
    assert api("GET", "/v1/logs").status_code == 200


@pytest.mark.parametrize("account", ["x" * 1000, "999", "-1", "é"])
def test_an_account_that_is_not_there_acts_in_nothing(account, api):
    """
    404 on every call, so that a client which garbles the header is found out.
    """
    headers = {"FedaPay-Account": account.encode("utf-8")}
    assert_refused(api("POST", "/v1/transactions", json=GOOD, headers=headers), 404)
    assert_refused(api("GET", "/v1/balances", headers=headers), 404)


def test_what_is_made_for_an_account_is_its_own(api):
    """
    account_id is that of the header.
    """
    made = api("POST", "/v1/accounts", json={"name": "Marché"}).json()["v1/account"]
    answer = api("POST", "/v1/transactions", json=GOOD, headers={"FedaPay-Account": str(made["id"])})
    assert answer.json()["v1/transaction"]["account_id"] == made["id"]


@pytest.mark.parametrize(
    "payload", ['{"sub":1e400,"exp":9e9}', '{"sub":"x","exp":9e9}', "[" * 100_000, "[]", "null", "\xff"]
)
def test_a_forged_token_is_refused(payload, api):
    """
    Rightly signed and senseless inside: 400, not a fault of the emulator's.
    """
    signed = "e30." + payment_tokens._text(payload.encode("latin-1"))
    forged = f"{signed}.{payment_tokens._signature(signed)}"
    assert_refused(api("POST", "/v1/momo_test", json={"token": forged}), 400)
