"""Row 11: a thousand clients that are slow on purpose, and a webhook among them."""

import subprocess
import sys
from contextlib import ExitStack

import pytest
from support import strangers as program
from support.shops import descriptors, timed

resource = pytest.importorskip("resource")

pytestmark = [pytest.mark.faults(row=11), pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)]

#: In two processes, as one may not open so many files everywhere.
PROCESSES, IN_EACH = 2, 500


@pytest.fixture
def strangers(shop):
    """Strangers of these manners, once they have all come."""
    with ExitStack() as stack:

        def come(*manners, processes=PROCESSES, each=IN_EACH):
            command = [sys.executable, program.__file__, str(shop.port), str(each), *manners]
            started = [
                stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
                for _ in range(processes)
            ]
            for process in started:
                stack.callback(process.kill)
                assert int(process.stdout.readline()) >= each * 0.9
            return started

        yield come


def takes_ten_webhooks(shop, eventually):
    """They are answered within a second, all but one on a busy machine, and told."""
    answers = [timed(shop.deliver, number) for number in range(1, 11)]
    assert {status for status, _ in answers} == {200}, shop.said()
    assert sorted(taken for _, taken in answers)[-2] <= 1, answers
    eventually(lambda: shop.told() == dict.fromkeys(range(1, 11), 1))


def test_a_webhook_is_taken_within_a_second_among_a_thousand_slow_clients(shop, strangers, eventually):
    """
    Of every manner, and they come back; the process keeps its descriptors to itself.
    """
    shop.start()
    started = strangers(*program.MANNERS)
    takes_ten_webhooks(shop, eventually)
    assert descriptors(shop.process.pid) <= 300
    assert all(process.poll() is None for process in started)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limit of another process is set, as on Linux")
def test_strangers_give_their_descriptors_where_the_process_may_open_no_more(shop, strangers, eventually):
    """
    The system's limit is reached before the server's own.
    """
    shop.start()
    assert shop.deliver(1) == 200
    room = descriptors(shop.process.pid) + 40
    resource.prlimit(shop.process.pid, resource.RLIMIT_NOFILE, (room, room))
    strangers("head", "silent", processes=1, each=150)
    eventually(lambda: descriptors(shop.process.pid) >= room - 2)
    takes_ten_webhooks(shop, eventually)
