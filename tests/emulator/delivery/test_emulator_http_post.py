"""Receivers of webhooks as bad as they come: the emulator neither hangs nor forgets, and says what it saw."""

import socket
import threading
from contextlib import contextmanager

import pytest
import requests

from fedapay_sync.emulator import Emulator
from fedapay_sync.emulator.delivery import http_post

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


@contextmanager
def answering(*parts):
    """A receiver that sends these bytes and keeps the line open; its address."""
    lines = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                lines.append(line)
                line.recv(65_536)
                for part in parts:
                    line.sendall(part)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for each in lines:
                each.close()


def test_a_receiver_that_redirects_for_ever_is_called_ten_times(api, emulator, receiver):
    """
    Its redirects lead nowhere else, and then it is switched off.
    """
    receiver.answers.extend(["302 FOUND"] * 50)
    api.create()
    emulator.wait_for_deliveries()

    assert len(receiver.received) == 10
    assert {headers["HTTP_HOST"] for headers, _ in receiver.received} == {receiver.url.split("/")[2]}
    assert not emulator.webhook_enabled


@pytest.mark.parametrize("parts", [(ANSWER,), (ANSWER, b"x" * 500), (ANSWER, b"x" * 50_000)])
def test_an_answer_whose_body_does_not_end_is_an_answer(parts, client_of):
    """
    Its status is what counts; of the body what came in time, and no more than is shown.
    """
    with answering(*parts) as url, Emulator(webhook_url=url, webhook_timeout=0.3) as emulator:
        client_of(emulator).create()
        emulator.wait_for_deliveries()
        (made,) = emulator.deliveries

    assert (made.status, made.succeeded) == (200, True)
    assert len(made.answer) <= 2000


@pytest.mark.parametrize("parts", [(), (b"HTTP/1.1 200 OK\r\nX: ",), (b"no HTTP at all\r\n\r\n",)])
def test_what_is_no_answer_is_given_up_in_time(parts, client_of):
    """
    Each attempt is bounded; the error's name says what was seen.
    """
    with answering(*parts) as url, Emulator(webhook_url=url, webhook_timeout=0.2, retry_factor=0.001) as emulator:
        client_of(emulator).create()
        emulator.wait_for_deliveries(20)

        assert len(emulator.deliveries) == 10
        assert all(each.error and each.status is None for each in emulator.deliveries)


def test_a_thousand_webhooks_at_once_are_each_delivered(api, emulator, receiver):
    """
    By a few threads, however many wait.
    """
    api.create()
    emulator.wait_for_deliveries()
    (first,) = emulator.deliveries
    most = 0
    for _ in range(1000):
        emulator.redeliver(first)
        most = max(most, sum(each.name == "fedapay-emulator-webhook" for each in threading.enumerate()))
    emulator.wait_for_deliveries(60)

    assert len(receiver.received) == 1001
    assert 1 <= most <= 4


def test_a_receiver_that_hangs_holds_up_neither_a_jump_nor_a_reset_nor_the_stop(client_of, eventually):
    """
    What is being sent is not waited for.
    """
    with answering() as url, Emulator(webhook_url=url, webhook_timeout=30) as emulator:
        client_of(emulator).create()
        # A thread sends while its name is alive.
        eventually(lambda: any(each.name == "fedapay-emulator-webhook" for each in threading.enumerate()))
        emulator.clock.advance(hours=24)
        emulator.reset()
        emulator.wait_for_deliveries(1)
        emulator.stop()

        assert emulator.transactions == []


def test_a_line_that_is_cut_at_its_deadline_is_a_timeout_too(monkeypatch):
    """
    On a machine that was held up, the deadline comes before the socket's own timeout. One that its receiver cuts is
    none.
    """
    monkeypatch.setattr(http_post, "_GRACE", -0.9)
    with answering() as url, pytest.raises(requests.ReadTimeout):
        http_post.post(url, b"{}", {}, timeout=1.0, verify=True)
    monkeypatch.setattr(http_post, "_GRACE", 30.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        with pytest.raises(requests.ConnectionError):
            http_post.post(url, b"{}", {}, timeout=5.0, verify=True)
