"""A callback that forks: its child ends where the callback does, and the parent goes on as if there had been none."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fedapay_sync

pytestmark = [pytest.mark.faults(row=14), pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")]

ROOT = Path(fedapay_sync.__file__).parents[1]
SHOP = """
    import os, queue, sys, threading
    from support.stored_listens import make_known
    from fedapay_sync import Connector
    from fedapay_sync.store import Store

    url, key, secret, db_url = sys.argv[1:]
    ended = queue.SimpleQueue()

    def say(text):
        # Whole: threads and processes say something at the same time.
        os.write(1, f"{text}\\n".encode())

    def event(number):
        entity = {"klass": "v1/transaction", "id": number, "status": "approved", "amount": 500, "currency_id": 1}
        return {"name": "transaction.approved", "object": "transaction", "object_id": number, "entity": entity}

    def child(number):
        if number == 1:
            sys.exit(7)
        if number == 2:
            sys.exit("the end")
        if number == 3:
            raise ValueError("afi@exemple.bj")
        if number == 4:
            # With a runtime of its own: what it has told is committed before it ends.
            connector.set_webhook_callback_function(lambda event: say(f"child told {event.id_transaction}"))
            connector.save_webhook(event(40))
            sys.exit(8)

    def fork(number, *rest):
        say(f"told {number}")
        pid = os.fork()
        if pid == 0:
            return child(number)
        say(f"{number} ended {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")
        ended.put(number)

    connector = Connector(url, True, listen_server_port=0, fedapay_webhooks_secret_key=secret, db_url=db_url,
                          api_key=key)
    connector.set_webhook_callback_function(lambda event: fork(event.id_transaction))
    connector.start_webhook_server()
    for line in sys.stdin:
        if line == "wait\\n":
            store = Store(db_url)
            make_known(store, [6])
            connector.listen(6, callback=lambda outcome: fork(6))
            store.close()
            connector.set_webhook_callback_function(lambda event: None)
            connector.save_webhook(event(6))
        else:
            connector.save_webhook(event(int(line)))
        # One after the other: a lock that a second thread holds at a fork, that of stderr for example, is held for ever
        # in the child, whatever we do.
        ended.get(timeout=30)
    while connector.owes_callbacks():
        threading.Event().wait(0.02)
    connector.close()
    say("closed")
"""


@pytest.fixture
def shop(emulator, db_url):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SHOP), emulator.url, emulator.secret_key, emulator.webhook_secret,
         db_url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parents[1])])},
        start_new_session=True,
    )  # fmt: skip
    yield process
    # With its children, which hold its pipes open, too.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)


def test_the_child_of_a_callback_ends_where_the_callback_does(shop):
    """
    By sys.exit, with its code, by an exception, by returning, also after it has used the connector: it is gone, nothing
    is told twice, and the parent goes on taking webhooks, calling and closing.
    """
    out, err = shop.communicate("1\n2\n3\n4\n5\n", timeout=40)
    lines = out.splitlines()

    told = sorted(int(line.rpartition(" ")[2]) for line in lines if "told" in line)
    assert told == [1, 2, 3, 4, 5, 40] and lines[-1] == "closed"
    ends = dict(line.split(" ended ") for line in lines if "ended" in line)
    assert [ends[number] for number in "12345"] == ["7", "1", "1", "8", "0"]
    assert "the end" in err and "a child forked in a callback failed: ValueError" in err
    assert "afi@exemple.bj" not in err


def test_so_does_the_child_of_a_waits_callback(shop):
    out, _ = shop.communicate("wait\n", timeout=40)
    assert out.splitlines() == ["told 6", "6 ended 0", "closed"]
