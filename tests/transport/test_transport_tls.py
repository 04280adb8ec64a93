"""TLS, CA bundles and proxies: what counts for a foreign server, and what becomes of a change while we run."""

import os
import socket
import ssl
import time

import pytest
import trustme
from support.raw_server import RawServer, answers, drips, says
from support.transport_calls import GOOD, KEY, Pauses, ask, assert_tells_no_secret, failure, transport_to

from fedapay_sync.errors import NotSent, OutcomeUnknown

FOREIGN = "https://sandbox-api.fedapay.com"
REFUSED = says(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


def bundle_of(authority, path):
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def server_context(authority, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture(autouse=True)
def no_proxies_from_outside(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def trusted(authority, tmp_path, monkeypatch):
    """The environment trusts the authority."""
    path = bundle_of(authority, tmp_path / "bundle.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", path)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    return path


@pytest.fixture
def tls_server(authority):
    with RawServer(GOOD, tls=server_context(authority, "127.0.0.1", "localhost")) as server:
        yield server


def test_five_hundred_calls_over_tls_open_one_connection(tls_server, trusted):
    """
    The handshake is paid once.
    """
    transport = transport_to(tls_server.url, timeouts=(5, 5))
    for _ in range(500):
        assert ask(transport).status == 200
    assert len(tls_server.requests) == 500
    assert tls_server.connections == 1


def test_a_certificate_of_an_unknown_authority_is_refused_before_anything_is_sent(tls_server, monkeypatch):
    """
    Not sent, once only, and the sentence says what to do; the other variable for a bundle counts as well.
    """
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    pauses = Pauses()

    error = failure(transport_to(tls_server.url, pause=pauses), "POST", body={})

    assert type(error) is NotSent and error.cause == "SSLCertVerificationError"
    assert "certificat" in error.message and "REQUESTS_CA_BUNDLE" in error.message
    assert tls_server.requests == [] and tls_server.connections == 1 and pauses == []


def test_a_certificate_for_another_name_is_refused(authority, trusted):
    """
    However trusted its authority.
    """
    with RawServer(GOOD, tls=server_context(authority, "api.fedapay.example")) as server:
        assert failure(transport_to(server.url), "POST", body={}).cause == "SSLCertVerificationError"
        assert server.requests == []


def test_a_server_that_speaks_no_tls_was_sent_nothing(trusted):
    """
    The handshake fails: that is before the request, whatever the class of the error.
    """
    with RawServer(says(b"HTTP/1.1 200 OK\r\n\r\n")) as server:
        assert type(failure(transport_to(server.url.replace("http:", "https:")), "POST", body={})) is NotSent


def test_a_tls_connection_that_is_cut_after_the_request_is_in_doubt(authority, trusted):
    """
    And the POST is not repeated.
    """
    with RawServer(says(b""), tls=server_context(authority, "127.0.0.1")) as server:
        assert type(failure(transport_to(server.url), "POST", body={})) is OutcomeUnknown
        assert server.methods == ["POST"]


def test_a_dripping_answer_over_tls_ends_with_the_budget(authority, trusted):
    """
    As it does without TLS.
    """
    with RawServer(drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), tls=server_context(authority, "127.0.0.1")) as server:
        start = time.monotonic()
        error = failure(transport_to(server.url, timeouts=(5, 30), budget=0.5), "POST", body={})
        assert time.monotonic() - start < 1.5
        assert type(error) is OutcomeUnknown and server.methods == ["POST"]


def test_a_handshake_that_never_ends_is_given_up(trusted):
    """
    With the time for connecting, or the budget if that is shorter; nothing was sent.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        assert type(failure(transport_to(url, timeouts=(5, 30), budget=0.3), "POST", body={})) is NotSent
        assert time.monotonic() - start < 1.3


def test_a_bundle_that_is_not_there_is_named(tls_server, trusted, monkeypatch):
    """
    Nothing is sent without one, and no call goes on without it.
    """
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", trusted + ".missing")
    error = failure(transport_to(tls_server.url), "POST", body={})
    assert type(error) is NotSent and "bundle.pem.missing" in error.message and "REQUESTS_CA_BUNDLE" in error.message
    assert tls_server.connections == 0


def test_a_bundle_that_holds_no_certificate_is_an_error_of_ours(tls_server, trusted):
    """
    Not sent, again.
    """
    with open(trusted, "w") as file:
        file.write("not a certificate\n")
    assert type(failure(transport_to(tls_server.url), "POST", body={})) is NotSent
    assert tls_server.requests == []


def test_a_bundle_that_changes_counts_from_the_next_call(authority, tls_server, trusted, tmp_path, monkeypatch):
    """
    Another file, another variable, or the same file written anew; without a restart, and the old one no longer counts.
    """
    transport = transport_to(tls_server.url)
    other = bundle_of(trustme.CA(), tmp_path / "other.pem")
    ask(transport)

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", other)
    assert type(failure(transport)) is NotSent
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.setenv("CURL_CA_BUNDLE", trusted)
    ask(transport)

    monkeypatch.setenv("CURL_CA_BUNDLE", other)
    assert type(failure(transport)) is NotSent
    bundle_of(authority, other)
    os.utime(other, (time.time() + 5, time.time() + 5))
    ask(transport)
    # A connection that is open already is not trusted any longer than its authority.
    bundle_of(trustme.CA(), other)
    assert type(failure(transport)) is NotSent
    assert len(tls_server.requests) == 3


def test_a_foreign_server_is_reached_through_the_proxy_only(monkeypatch):
    """
    It is asked for a tunnel, and when it refuses, nothing was sent: no request, no key.
    """
    with RawServer(REFUSED) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//joe:hunter2@"))

        error = failure(transport_to(FOREIGN), "POST", body={})

        assert type(error) is NotSent and "proxy" in error.message and "HTTPS_PROXY" in error.message
        assert {(each.method, each.target) for each in proxy.requests} == {("CONNECT", "sandbox-api.fedapay.com:443")}
        assert all(KEY not in str(each) for each in proxy.requests)
        assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")
        assert_tells_no_secret(error, "hunter2")


def test_a_proxy_that_changes_counts_from_the_next_call(monkeypatch):
    """
    So does one that is taken away for that host.
    """
    with RawServer(REFUSED) as first, RawServer(REFUSED) as second:
        transport = transport_to("https://sandbox-api.invalid")
        monkeypatch.setenv("https_proxy", first.url)
        failure(transport)
        seen = len(first.requests)
        assert seen and not second.requests

        monkeypatch.setenv("https_proxy", second.url)
        failure(transport)
        assert len(first.requests) == seen and second.requests

        monkeypatch.setenv("NO_PROXY", "sandbox-api.invalid")
        seen_by_second = len(second.requests)
        error = failure(transport)
        assert type(error) is NotSent and "proxy" not in error.message
        assert len(second.requests) == seen_by_second


def test_a_tunnel_carries_the_request_and_its_end_is_in_doubt(authority, trusted, monkeypatch):
    """
    Through a real tunnel: verified against the name, answered; and cut after the request, it may have arrived.
    """

    def tunnel(server, connection, request):
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        inside = server_context(authority, "sandbox-api.fedapay.com").wrap_socket(connection, server_side=True)
        with inside:
            for status in (200, 404):
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = inside.recv(4096)
                    if not piece:
                        return False
                    head += piece
                heads.append(head.split(b"\r\n")[0])
                inside.sendall(b"HTTP/1.1 %d x\r\nContent-Length: 2\r\n\r\n{}" % status)
            inside.recv(4096)
        return False

    heads = []
    with RawServer(tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        transport = transport_to(FOREIGN, timeouts=(5, 5))
        assert ask(transport).status == 200
        assert failure(transport).status == 404
        assert type(failure(transport, "POST")) is OutcomeUnknown
    assert heads == [b"GET /v1/transactions/1 HTTP/1.1"] * 2


def test_a_server_on_this_machine_needs_no_proxy_even_over_tls(tls_server, trusted, monkeypatch):
    """
    Whatever the environment says.
    """
    with RawServer(answers(200, b"{}")) as proxy:
        for name in ("HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        ask(transport_to(tls_server.url))
        assert proxy.connections == 0
