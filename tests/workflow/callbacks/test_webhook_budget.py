"""What a webhook with callbacks asks of the database, counted: each commit is a wait for the disk."""

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.statements import statements_of

from fedapay_sync import sign

NUMBERS = itertools.count(1000)


@pytest.fixture(params=["sqlite", "postgres"])
def db_url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def budget(make_connector, emulator, caplog):
    """Commits, and statements besides, from the webhook to the end of all callbacks, in a process that is warm."""

    def budget(callbacks, **settings):
        shop, called = make_connector(callbacks="inline", **settings), []
        for number in range(callbacks):
            shop.on_webhook(called.append, name=f"callback {number}")

        def receive():
            number = next(NUMBERS)
            entity = {"klass": "v1/transaction", "id": number, "status": "approved", "amount": 500}
            told = {"name": "transaction.approved", "object": "transaction", "object_id": number, "entity": entity}
            body = json.dumps(told).encode()
            shop.receive(body, sign(body, emulator.webhook_secret, timestamp=int(time.time())))

        receive()
        called.clear()
        seen = min((statements_of(caplog, receive) for _ in range(3)), key=len)
        assert len(called) == 3 * callbacks
        ours = [each for each in seen if "fp_" in each and "fp_meta" not in each]
        return sum(each.startswith("BEGIN") and "READ ONLY" not in each for each in seen), len(ours)

    return budget


def test_a_webhook_with_one_callback(budget):
    """
    Stored and taken, ended.
    """
    assert budget(1) == (2, 9)


def test_a_webhook_with_three_callbacks(budget):
    """
    In one thread, one after the other.
    """
    assert budget(3) == (4, 13)


def test_a_webhook_without_a_callback(budget):
    assert budget(0) == (1, 3)


def test_many_webhooks_at_once_share_their_commits(make_connector, emulator, caplog, eventually):
    """
    From the first webhook to the end of the last callback: fewer than 1.2 for each.
    """
    shop, called = make_connector(), []
    shop.on_webhook(called.append, name="callback")

    def receive(number):
        entity = {"klass": "v1/transaction", "id": number, "status": "approved", "amount": 500}
        told = {"name": "transaction.approved", "object": "transaction", "object_id": number, "entity": entity}
        body = json.dumps(told).encode()
        shop.receive(body, sign(body, emulator.webhook_secret, timestamp=int(time.time())))

    def all_of(count):
        called.clear()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(receive, itertools.islice(NUMBERS, count)))
        eventually(lambda: len(called) == count and not any(each.count for each in shop.health().owed.values()))

    all_of(20)
    seen = statements_of(caplog, lambda: all_of(160))

    commits = sum(each.startswith("BEGIN") and "READ ONLY" not in each for each in seen)
    assert commits < 1.2 * 160
