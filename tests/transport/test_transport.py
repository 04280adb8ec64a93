"""The transport against servers that do wrong: what is repeated, what is never, and what the error tells."""

import contextlib
import gzip
import json
import logging
import math
import os
import pickle
import re
import socket
import sys
import threading
import urllib.parse
import zlib
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.raw_server import RawServer, answers, closes, hangs, http, resets, says
from support.transport_calls import GOOD, KEY, TOKEN, Pauses, ask, assert_tells_no_secret, failure, transport_to

from fedapay_sync.errors import (
    ApiError,
    AuthenticationError,
    BadRequest,
    ConfigError,
    Conflict,
    FedapayError,
    Forbidden,
    InvalidArgument,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    ServerFault,
    UnreadableAnswer,
)
from fedapay_sync.models.schema.values import MAX_DEPTH
from fedapay_sync.resources import PaymentIntents, Transactions
from fedapay_sync.resources.base import Requestor
from fedapay_sync.transport.encoding import quote_segment
from fedapay_sync.transport.responses import MAX_RESPONSE
from fedapay_sync.transport.transport import Transport, _Request

BROKEN = {
    "closed after reading": closes,
    "reset after reading": resets,
    "no answer": hangs,
    "half a status line": says(b"HTTP/1.1 20"),
    "another protocol": says(b"220 smtp.example.bj ESMTP\r\n"),
    "words of TLS": says(b"CERTIFICATE_VERIFY_FAILED NewConnectionError\r\n"),
    "half a body": says(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"v1/'),
    "half a chunk": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{}"),
    "a chunk of no size": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "two lengths": says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "no gzip": answers(200, b"not gzip", Content_Encoding="gzip"),
    "endless headers": says(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n{}"),
}


@pytest.mark.faults(row=12)
@pytest.mark.parametrize("fault", BROKEN)
def test_a_post_whose_answer_is_broken_reaches_the_server_once(fault):
    """
    It may have been done: the error says so, and nothing is sent again.
    """
    with RawServer(BROKEN[fault]) as server:
        error = failure(transport_to(server.url), "POST", "/transactions", body={"amount": 5})

        assert type(error) is OutcomeUnknown
        assert "peut-être arrivée" in error.message and error.cause
        assert server.methods == ["POST"]


@pytest.mark.parametrize("fault", BROKEN)
def test_a_get_whose_answer_is_broken_is_asked_again(fault):
    """
    Reading twice does no harm; after four attempts the error is ours.
    """
    with RawServer(BROKEN[fault], GOOD) as server:
        assert ask(transport_to(server.url)).body == {"v1/transaction": {"id": 1}}
        assert server.methods == ["GET", "GET"]

    if fault != "no answer":
        with RawServer(BROKEN[fault]) as server:
            assert type(failure(transport_to(server.url))) is OutcomeUnknown
            assert len(server.requests) == 4


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_other_methods_are_not_repeated_either(method):
    """
    Only a GET is.
    """
    for play in (closes, answers(503)):
        with RawServer(play) as server:
            failure(transport_to(server.url), method)
            assert server.methods == [method]


@pytest.mark.faults(row=12)
def test_a_refused_connection_is_certainly_not_sent_and_tried_again():
    """
    Any method: the server has seen nothing.
    """
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    pauses = Pauses()

    error = failure(transport_to(url, pause=pauses), "POST", "/transactions", body={})

    assert type(error) is NotSent and "Rien n'a été envoyé" in error.message
    assert len(pauses) == 3 and all(0 <= pause <= 10 for pause in pauses)


def test_an_unknown_host_name_is_certainly_not_sent(monkeypatch):
    """
    The error names the address to check.
    """
    monkeypatch.setenv("NO_PROXY", "*")
    error = failure(transport_to("https://nobody.invalid"), "POST")

    assert type(error) is NotSent and "https://nobody.invalid" in error.message


@pytest.mark.faults(row=12)
def test_a_connection_that_is_reset_when_accepted_is_an_error_of_ours():
    """
    Sent or in doubt, as the moment of the reset has it: in neither case has the server read anything.
    """
    with RawServer(GOOD, resets_on_accept=True) as server:
        error = failure(transport_to(server.url), "POST", body={})
        assert type(error) in (NotSent, OutcomeUnknown)
        assert server.requests == []


STATUSES = {
    400: BadRequest,
    401: AuthenticationError,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    418: ApiError,
    422: BadRequest,
    429: RateLimited,
    500: ServerFault,
    502: ServerFault,
    503: ServerFault,
    504: ServerFault,
    599: ServerFault,
}
BODIES = {
    "empty": (b"", "sans message"),
    "HTML": (b"<html><h1>Bad Gateway</h1></html>", "page HTML"),
    "text": (b"oops", "pas du JSON"),
    "list": (b"[1]", "sans message"),
    "null": (b"null", "sans message"),
    "message": ('{"message": "Opération non autorisée", "errors": {}}'.encode(), "« Opération non autorisée »"),
    "fields": (b'{"message": "Non", "errors": {"amount": ["faux", "vide"]}}', "amount : faux, vide."),
    "field of text": (b'{"message": "Non", "errors": {"amount": "faux"}}', "amount : faux."),
    "nested field": (b'{"errors": {"a": {"b": ["c"]}}}', '{"b": ["c"]}'),
    "list of errors": (b'{"message": "Non", "errors": ["faux"]}', "faux"),
    "text of errors": (b'{"message": "Non", "errors": "faux"}', "faux"),
    "old shape": (b'{"error": {"code": "x", "message": "Ancien", "param": "y"}}', "« Ancien »"),
    "message of no text": (b'{"message": {"a": 1}, "errors": null}', "sans message"),
    "giant message": (b'{"message": "' + b"x" * 100_000 + b'"}', "xxx"),
}


@pytest.mark.faults(row=12)
@pytest.mark.parametrize("status", STATUSES)
def test_each_status_has_its_error_and_a_post_is_never_repeated(status):
    """
    Whatever the body: class, status, what FedaPay said, and one request.
    """
    with RawServer() as server:
        transport = transport_to(server.url)
        for body, told in BODIES.values():
            error = failure_of_status(transport, server(answers(status, body)))

            assert type(error) is STATUSES[status]
            assert error.status == status and f"HTTP {status}" in error.message
            assert told in error.message and len(error.message) < 2500
            assert all(isinstance(reason, str) for reasons in error.errors.values() for reason in reasons)
            assert server.methods == ["POST"]


def failure_of_status(transport, server):
    return failure(transport, "POST", "/transactions", body={})


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_get_is_asked_again_after_a_passing_fault(status):
    """
    With jitter between attempts; four in all.
    """
    pauses = Pauses()
    with RawServer(answers(status), answers(status), GOOD) as server:
        assert ask(transport_to(server.url, pause=pauses)).status == 200
        assert len(server.requests) == 3 and len(pauses) == 2
        server(answers(status))
        failure(transport_to(server.url))
        assert len(server.requests) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 501])
def test_a_get_is_not_asked_again_after_a_lasting_fault(status):
    """
    It would be the same.
    """
    with RawServer(answers(status)) as server:
        failure(transport_to(server.url))
        assert len(server.requests) == 1


@pytest.mark.faults(row=12)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed(status, form, clock):
    """
    As a number of seconds, or as a date.
    """
    pauses = Pauses()
    value = "7" if form == "seconds" else formatdate(clock.now() + 7, usegmt=True)
    with RawServer(answers(status, Retry_After=value), GOOD) as server:
        ask(transport_to(server.url, pause=pauses, clock=clock))

    assert len(pauses) == 1 and 5.5 < pauses[0] <= 7


@pytest.mark.faults(row=12)
@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_that_is_too_long_is_an_error_at_once(status):
    """
    No caller is made to wait for minutes; the error carries the figure.
    """
    with RawServer(answers(status, Retry_After="600")) as server:
        error = failure(transport_to(server.url))
        assert error.retry_after == 600
        assert len(server.requests) == 1


@pytest.mark.parametrize("value", ["-1", "soon", "٣", "9" * 400, "Mon, 99 Foo", "nan", ""])
def test_a_retry_after_that_means_nothing_is_ignored(value):
    """
    The ordinary pause is made.
    """
    raw = f"HTTP/1.1 429 No\r\nContent-Length: 0\r\nRetry-After: {value}\r\n\r\n".encode()
    with RawServer(says(raw, keeps=True), GOOD) as server:
        pauses = Pauses()
        ask(transport_to(server.url, pause=pauses))
        assert len(pauses) == 1 and 0 <= pauses[0] <= 10


@pytest.mark.faults(row=12)
@pytest.mark.parametrize("raw", [http(204), http(200), http(200, b" \r\n"), b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_a_success_without_a_body_is_a_success(raw):
    """
    DELETE answers so. Where an object is due, it is an error that says so.
    """
    with RawServer(says(raw)) as server:
        answer = ask(transport_to(server.url), "DELETE")
        assert answer.body is None
        with pytest.raises(UnreadableAnswer, match="corps vide") as caught:
            answer.object("v1/transaction")
        assert (caught.value.method, caught.value.path) == ("DELETE", "/transactions/1")
        assert caught.value.status == answer.status


UNREADABLE = {
    "text": b"ok",
    "HTML": b"<!doctype html><title>Maintenance</title>",
    "half JSON": b'{"v1/transaction": {"id": 1',
    "NaN": b'{"v1/transaction": {"id": NaN}}',
    "Infinity": b'{"v1/transaction": {"id": -Infinity}}',
    "too large a number": b'{"v1/transaction": {"id": 1e999}}',
    "not UTF-8": b'{"v1/transaction": {"id": "\xff\xfe"}}',
    "UTF-16": '{"v1/transaction": {"id": 1}}'.encode("utf-16"),
    "deep list": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    "giant": b'{"a": "' + b"x" * MAX_RESPONSE + b'"}',
}


@pytest.mark.faults(row=12)
@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_success_that_cannot_be_read_is_an_error_and_not_repeated(name, method):
    """
    It may well have been done: the error says to look first.
    """
    with RawServer(answers(200, UNREADABLE[name])) as server:
        error = failure(transport_to(server.url, timeouts=(1, 5)), method)
        assert type(error) is UnreadableAnswer and error.status == 200
        assert "relire" in error.message
        assert len(server.requests) == 1


def test_json_as_deep_as_allowed_is_read():
    """
    The limit is where it says.
    """
    with RawServer(answers(200, b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)) as server:
        assert ask(transport_to(server.url)).body


@pytest.mark.parametrize("body", [b"[]", b'[{"id": 1}]', b"3", b'"text"', b"null", b"true"])
def test_something_else_where_an_object_is_due_is_an_error(body):
    """
    With method, path and status, like every other.
    """
    with RawServer(answers(200, body)) as server:
        transactions = Transactions(Requestor(transport_to(server.url), lambda key: KEY))
        with pytest.raises(UnreadableAnswer, match="v1/transaction") as caught:
            transactions.retrieve(1)
        assert (caught.value.method, caught.value.path, caught.value.status) == ("GET", "/transactions/1", 200)


@pytest.mark.faults(row=12)
def test_attempts_and_pauses_end_with_the_budget(clock):
    """
    The second pause would end after it: the error comes now.
    """
    with RawServer(answers(503, Retry_After="29")) as server:
        transport = Transport(server.url, clock=clock, pause=clock.advance)
        failure(transport)
        assert len(server.requests) == 3


@pytest.mark.faults(row=12)
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="no peak memory to reset here")
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("status", [200, 302, 400])
def test_a_gzip_bomb_takes_little_memory(layers, status):
    """
    200 MB in 200 kB, or in a few hundred bytes: read up to 2 MB, then dropped. In a redirect as well.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join(packer.compress(bytes(1024 * 1024)) for _ in range(200)) + packer.flush()
    if layers == 2:
        body = gzip.compress(body)
    encoding = ", ".join(["gzip"] * layers)
    with RawServer(answers(status, body, Content_Encoding=encoding, Location="/elsewhere")) as server:
        transport = transport_to(server.url, timeouts=(1, 10))
        Path("/proc/self/clear_refs").write_text("5")
        before = peak_memory()
        error = failure(transport)
        assert error.status == status and "2 Mio" in error.message
        assert peak_memory() - before < 20_000


def peak_memory():
    """In kB."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_and_the_key_goes_nowhere(status):
    """
    Not to another port, not to the same one.
    """
    with RawServer(GOOD) as elsewhere, RawServer(answers(status, Location=f"{elsewhere.url}/v1/x")) as server:
        for method in ("GET", "POST"):
            error = failure(transport_to(server.url), method)
            assert type(error) is ApiError and "redirige" in error.message
        assert elsewhere.connections == 0
        assert server.methods == ["GET", "POST"]


@pytest.mark.skipif(sys.platform == "win32", reason="0.0.0.0 leads nowhere there")
def test_a_netrc_cannot_replace_the_key(tmp_path, monkeypatch):
    """
    A person's password for that host is not sent in the place of the merchant's key.
    """
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 0.0.0.0 login joe password hunter2\ndefault login joe password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("NO_PROXY", "*")
    with RawServer(GOOD) as server:
        # The first is this machine too, but not by a name under which the environment is left out of it.
        for url in (f"http://0.0.0.0:{server.port}", server.url):
            ask(transport_to(url))
        assert [each.headers["authorization"] for each in server.requests] == [f"Bearer {KEY}"] * 2


def test_a_password_in_the_address_cannot_replace_the_key(free_port):
    """
    Nor does it stand in an error.
    """
    with RawServer(GOOD) as server:
        ask(transport_to(server.url.replace("//", "//joe:hunter2@")))
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert_tells_no_secret(failure(transport_to(f"http://joe:hunter2@127.0.0.1:{free_port}")), "hunter2")


@pytest.mark.parametrize("part", ["", ".", "..", "\ud800"])
def test_a_part_that_would_lead_elsewhere_is_refused(part):
    """
    An address with two dots in it is another address by the time it is sent.
    """
    with pytest.raises(InvalidArgument, match="adresse"):
        quote_segment(part)


@pytest.mark.parametrize("part", ["a/b", "../x", "%2e%2e", "a?b#c", "é à", "...", "\x00", "~a-b_c.d"])
def test_a_quoted_part_arrives_as_one_segment(part):
    """
    And says what it said.
    """
    with RawServer(GOOD) as server:
        ask(transport_to(server.url), path=f"/transactions/merchant/{quote_segment(part)}")
        *parents, last = server.requests[0].target.split("/")
        assert parents == ["", "v1", "transactions", "merchant"]
        assert urllib.parse.unquote(last) == part


def test_proxies_in_the_environment_count_for_others_only(monkeypatch):
    """
    A server on this machine is reached directly; a foreign one through the proxy.
    """
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with RawServer(GOOD) as proxy, RawServer(GOOD) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)

        ask(transport_to(server.url))
        assert proxy.connections == 0 and len(server.requests) == 1

        ask(transport_to("http://fedapay.example"))
        assert proxy.requests[0].target == "http://fedapay.example/v1/transactions/1"


def test_headers_cannot_be_injected():
    """
    A key with a line break is not sent at all.
    """
    with RawServer(GOOD) as server:
        with pytest.raises(ConfigError) as caught:
            transport_to(server.url).request("GET", "/x", key=f"{KEY}\r\nX-Evil: 1")
        assert_tells_no_secret(caught.value)
        assert server.connections == 0


def test_cookies_are_not_kept():
    """
    What one account was given must not go along with another's key.
    """
    with RawServer(answers(200, b"{}", Set_Cookie="session=of-a; Path=/")) as server:
        transport = transport_to(server.url)
        transport.request("GET", "/a", key="sk_a")
        transport.request("GET", "/b", key="sk_b")
        assert [each.headers["authorization"] for each in server.requests] == ["Bearer sk_a", "Bearer sk_b"]
        assert all("cookie" not in each.headers for each in server.requests)


def test_what_is_sent_is_json_in_utf8():
    """
    Content type, accents, and a name for us.
    """
    with RawServer(GOOD) as server:
        ask(transport_to(server.url), "POST", body={"description": "Tréma é"})
        request = server.requests[0]
        assert request.body == '{"description": "Tréma é"}'.encode()
        assert request.headers["content-type"] == "application/json"
        assert request.headers["user-agent"].startswith("fedapay_sync/")


CYCLE = {}
CYCLE["itself"] = CYCLE


@pytest.mark.parametrize("body", [{"a": float("nan")}, {"a": object()}, {"a": "\ud800"}, {"a": {1, 2}}, CYCLE])
def test_a_body_that_is_no_json_is_refused_before_the_network(body):
    """
    And not taken for a request that may have arrived.
    """
    with RawServer(GOOD) as server:
        with pytest.raises(InvalidArgument, match="JSON"):
            ask(transport_to(server.url), "POST", body=body)
        assert server.connections == 0


def test_parameters_are_written_in_fedapays_form():
    """
    Brackets for what nests, small letters for truth, nothing for None.
    """
    params = {"page": 2, "filters": {"type": "a&b"}, "key": [1, 2], "all": True, "none": None}
    with RawServer(GOOD) as server:
        ask(transport_to(server.url), params=params)
        assert server.requests[0].target == (
            "/v1/transactions/1?page=2&filters%5Btype%5D=a%26b&key%5B%5D=1&key%5B%5D=2&all=true"
        )
        with pytest.raises(InvalidArgument):
            ask(transport_to(server.url), params={"search": "\ud800"})


def test_one_connection_serves_twenty_gets():
    """
    Whatever they answer: a refusal does not close it either.
    """
    plays = [
        GOOD,
        answers(404, {"message": "?"}),
        answers(204),
        answers(200, gzip.compress(b"{}"), Content_Encoding="gzip"),
    ]
    with RawServer(*(plays * 5)) as server:
        transport = transport_to(server.url)
        for _ in range(20):
            with contextlib.suppress(NotFound):
                ask(transport)
        assert len(server.requests) == 20
        assert server.connections == 1


def test_a_connection_that_the_server_has_closed_is_replaced(eventually):
    """
    An idle one that went away costs nothing: the POST arrives, once.
    """
    with RawServer(says(http(200, b"{}")), GOOD) as server:
        transport = transport_to(server.url)
        ask(transport)
        eventually(lambda: server.ended == 1)
        ask(transport, "POST", body={})
        assert server.methods == ["GET", "POST"]


def test_each_thread_has_its_own_connection():
    """
    Four threads, four connections, however many calls.
    """
    with RawServer(GOOD) as server:
        transport = transport_to(server.url, timeouts=(1, 5))
        together = threading.Barrier(4)

        def work():
            together.wait(10)
            for _ in range(5):
                ask(transport)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(server.requests) == 20
        assert server.connections == 4
        by_connection = [each.connection for each in server.requests]
        assert all(by_connection.count(number) == 5 for number in set(by_connection))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_opens_its_own_connection():
    """
    Parent and child go on side by side, and neither hears the other's answers.
    """
    with RawServer(GOOD) as server:
        transport = transport_to(server.url, timeouts=(1, 5))
        ask(transport)
        child = os.fork()
        if child == 0:
            try:
                ask(transport, path="/child")
                ask(transport, path="/child")
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        ask(transport)

        connections = [(each.target[4:], each.connection) for each in server.requests]
        assert connections == [("transactions/1", 1), ("child", 2), ("child", 2), ("transactions/1", 1)]


def assert_ended_by(end, transport, server, eventually):
    """
    A call that pauses between two attempts gets its error when that is called.
    """
    caught = []

    def work():
        try:
            ask(transport)
        except ServerFault as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    eventually(lambda: server.requests)
    end()
    thread.join(10)
    assert caught


def test_a_closed_transport_ends_its_pauses(eventually):
    """
    A call that waits between two attempts gets the error, and not ten more seconds.
    """
    with RawServer(answers(503, Retry_After="25")) as server:
        transport = Transport(server.url)
        assert_ended_by(transport.close, transport, server, eventually)
        assert len(server.requests) <= 2


def test_secrets_stay_out_of_logs_and_errors(caplog):
    """
    Even if FedaPay quotes the key and the token back at us.
    """
    caplog.set_level(logging.DEBUG, "fedapay_sync")
    said = {"message": f"{KEY} et {TOKEN}", "errors": {"token": [TOKEN], KEY: "jean@example.bj"}}
    with RawServer(answers(503, said)) as server:
        transport = transport_to(server.url)
        error = failure(transport, path="/transactions/search", params={"search": "Jean Dupont", "token": TOKEN})
        assert_tells_no_secret(error, "jean@example.bj", "Dupont")
        assert len(server.requests) == 4
        server(closes)
        error = failure(transport, path="/transactions/search", params={"search": "Jean Dupont", "token": TOKEN})
        assert_tells_no_secret(error, "Dupont")
    ours = [record for record in caplog.records if record.name.startswith("fedapay_sync")]
    assert ours
    told = "".join(f"{record.getMessage()}{record.__dict__}" for record in ours)
    assert KEY not in told and TOKEN not in told and "Dupont" not in told


# -- whatever it answers -------------------------------------------------------------------------------------------

LINES = st.sampled_from(
    [
        b"Content-Length: 2",
        b"Content-Length: -5",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: x",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Content-Encoding: gzip",
        b"Content-Encoding: deflate, gzip",
        b"Content-Encoding: br",
        b"Connection: close",
        b"Retry-After: 0",
        b"Set-Cookie: \xff=\x00; Expires=never",
        b"Location: http://[",
        b": no name",
        b" folded",
        b"\xff\xfe: \xff",
    ]
)
BYTES = st.builds(
    lambda status, lines, body: b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"", body]),
    st.sampled_from(
        [b"200 OK", b"100 Continue", b"101 Switch", b"204", b"304 Same", b"500 No", b"999 x", b"-1 x", b"2 x"]
    )
    | st.binary(max_size=8),
    st.lists(LINES | st.binary(max_size=20), max_size=5),
    st.binary(max_size=60)
    | st.sampled_from([b"{}", b"-5\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n", b"5;\r\n{}", gzip.compress(b"{}")]),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["id", "amount", "status", "message", "errors", "error", "token", "url", "meta", "customer"])
OBJECTS = st.dictionaries(FIELDS, JSON, max_size=6)
ENVELOPES = st.sampled_from(["v1/transaction", "v1/transactions", "v1/payment_intent", "meta", "error"])
ANSWERS = JSON | OBJECTS | st.dictionaries(ENVELOPES, JSON | OBJECTS | st.lists(OBJECTS, max_size=3), max_size=2)

MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def any_server():
    with RawServer(GOOD) as server:
        yield server


@MANY
@given(raw=st.binary(max_size=80) | BYTES)
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n")
@example(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
def test_no_answer_makes_another_error_than_ours(any_server, raw):
    """
    Arbitrary bytes: an answer, or a FedapayError; and one POST at most.
    """
    any_server(says(raw))
    try:
        ask(transport_to(any_server.url, timeouts=(1, 1)), "POST", body={})
    except FedapayError as error:
        assert (error.method, error.path) == ("POST", "/transactions/1")
        assert_tells_no_secret(error)
    assert len(any_server.requests) == 1


@MANY
@given(status=st.sampled_from([200, 201, 400, 403, 500]), said=ANSWERS)
def test_no_json_makes_another_error_than_ours(any_server, status, said):
    """
    Whatever is in the objects, resources give a model that can be written and pickled, or a FedapayError.
    """
    any_server(answers(status, said))
    caller = Requestor(transport_to(any_server.url, timeouts=(1, 1)), lambda key: KEY)
    transactions, intents = Transactions(caller), PaymentIntents(caller)
    for call in (
        lambda: transactions.create({"description": "Commande", "amount": 5, "currency": {"iso": "XOF"}}),
        lambda: transactions.retrieve(1),
        lambda: next(iter(transactions.list()), None),
        lambda: transactions.token(1),
        lambda: intents.create("momo_test", "token"),
        lambda: transactions.delete(1),
    ):
        try:
            made = call()
        except FedapayError as error:
            assert error.status == status
            assert_tells_no_secret(error)
        else:
            if made is not None:
                json.dumps(made.to_dict())
                pickle.loads(pickle.dumps(made))


def test_a_test_of_the_tests_a_good_answer_is_read():
    """
    The server of these tests can also do right.
    """
    with RawServer(GOOD) as server:
        assert ask(transport_to(server.url)).object("v1/transaction") == {"id": 1}
    assert sys.getrecursionlimit() > MAX_DEPTH


# -- what is told, and what is taken --------------------------------------------------------------------------------


@pytest.mark.parametrize("play", [closes, answers(200, b"<html>"), says(b"HTTP/1.1 20")])
def test_a_reading_without_an_answer_may_simply_be_made_again(play):
    """
    Nothing was changed, and the error does not send its reader to look for what was.
    """
    with RawServer(play) as server:
        transport = transport_to(server.url)
        reading, writing = failure(transport), failure(transport, "POST", body={})

    assert "Ce n'était qu'une lecture" in reading.message and "avant de la refaire" not in reading.message
    assert "avant de la refaire" in writing.message and "lecture" not in writing.message


@pytest.mark.parametrize(
    ("method", "path", "about_modes"),
    [
        ("POST", "/mtn_open", True),
        ("POST", "/nouveau_bj", True),
        ("POST", "/payouts", True),
        ("POST", "/payouts/batch", True),
        ("POST", "/transactions", False),
        ("POST", "/customers", False),
        ("POST", "/webhooks/1/send_event", False),
        ("PUT", "/transactions/1", False),
        ("GET", "/payouts", False),
    ],
)
def test_only_where_a_mode_is_sent_a_refusal_speaks_of_modes(method, path, about_modes):
    with RawServer(answers(400, {"message": "Non"})) as server:
        error = failure(transport_to(server.url), method, path)

    assert ("momo_test" in error.message) is about_modes


def test_wrong_credentials_of_an_application_are_named_as_such():
    """
    The key of the environment is not what FedaPay looked at.
    """
    with RawServer(answers(401)) as server:
        transport = transport_to(server.url)
        error = failure(transport, "POST", "/oauth/token", body={})
        assert "client_id et client_secret" in error.message and "FEDAPAY_API_KEY" not in error.message
        assert "FEDAPAY_API_KEY" in failure(transport, "POST", "/customers", body={}).message


def test_what_an_attempt_sends_is_not_in_its_repr():
    """
    Tools that report errors show local variables.
    """
    sent = _Request("POST", "/customers", "http://x", {}, b"Hounkpatin", KEY)

    assert KEY not in repr(sent) and "Hounkpatin" not in repr(sent)


NO_TIMES = [math.nan, math.inf, -1, 0, "60", None, True, 1e300, 10**5000]


@pytest.mark.parametrize("time", NO_TIMES, ids=lambda time: type(time).__name__)
def test_a_time_that_is_none_is_refused_when_the_transport_is_made(time):
    for options in ({"budget": time}, {"timeouts": (time, 1)}, {"timeouts": (1, time)}, {"timeouts": time}):
        with pytest.raises(ConfigError, match=f"{next(iter(options))}.*secondes"):
            Transport("https://sandbox-api.fedapay.com", **options)


@pytest.mark.parametrize("timeouts", [(None, None), 5, (), (1,), (1, 2, 3), {1: 2, 3: 4}])
def test_timeouts_are_two(timeouts):
    with pytest.raises(ConfigError, match="timeouts : deux nombres"):
        Transport("https://sandbox-api.fedapay.com", timeouts=timeouts)


def test_an_observer_is_a_function():
    with pytest.raises(ConfigError, match="observer"):
        Transport("https://sandbox-api.fedapay.com", observer="print")


def test_a_released_transport_ends_its_pauses_and_is_patient_again(eventually):
    """
    Who waits gets the error; who calls afterwards has a second attempt.
    """
    with RawServer(answers(503, Retry_After="25")) as server:
        transport = Transport(server.url)
        assert_ended_by(transport.release, transport, server, eventually)
        server(answers(503, Retry_After="0"), GOOD)
        assert ask(transport).status == 200
