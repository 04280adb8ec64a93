"""How soon `finalise` wakes after a webhook is on disk, beside a bare Flask/waitress endpoint in the same run."""

import json
import statistics
import threading
import time
from typing import List, Tuple

import flask
import requests

from fedapay_sync import sign
from fedapay_sync.server import WebServer

WAITS = 400
#: Seconds: what is promised, from commit to the return of finalise.
MEDIAN, P99 = 0.005, 0.020


def percentile(values: List[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def figures(values: List[float]) -> str:
    return (
        f"median {statistics.median(values) * 1e3:6.2f} ms   "
        f"p99 {percentile(values, 0.99) * 1e3:6.2f} ms   max {max(values) * 1e3:6.2f} ms"
    )


def webhook(number: int, secret: str) -> Tuple[bytes, str]:
    entity = {"id": number, "amount": 1000, "status": "approved", "approved_at": "2026-10-12T09:15:11.204Z"}
    event = {"name": "transaction.approved", "object": "transaction", "object_id": number, "entity": entity}
    body = json.dumps(event, separators=(",", ":")).encode()
    return body, sign(body, secret)


def test_a_webhook_wakes_finalise_within_milliseconds_of_its_commit(connector, emulator):
    """
    Median 5 ms and p99 20 ms at most, measured from before the commit: the write to disk is counted too.
    """
    session = requests.Session()
    session.trust_env = False
    app = flask.Flask("bare")
    app.add_url_rule("/", view_func=lambda: "ok", methods=["POST"])
    bare = WebServer(app)
    bare.start()
    woken: List[float] = []
    answered: List[float] = []
    floor: List[float] = []
    try:
        for number in range(1, WAITS + 1):
            ended: List[float] = []
            handle = connector.listen(number, timeout=60)

            def wait(handle=handle, ended=ended) -> None:
                assert handle.result().paid
                ended.append(time.time())

            waiter = threading.Thread(target=wait)
            waiter.start()
            body, signature = webhook(number, emulator.webhook_secret)
            start = time.perf_counter()
            answer = session.post(connector.webhook_url, data=body, headers={"X-FEDAPAY-SIGNATURE": signature})
            answered.append(time.perf_counter() - start)
            assert answer.status_code == 200
            waiter.join(30)
            outcome = connector.finalise(number, timeout=1)
            woken.append(ended[0] - outcome.webhooks[0].received_at.timestamp())
            start = time.perf_counter()
            session.post(bare.url, data=body)
            floor.append(time.perf_counter() - start)
    finally:
        bare.stop()
    print(f"\nwebhook received (commit included) -> finalise returned   {figures(woken)}")
    print(f"webhook answered 200, seen by the sender                  {figures(answered)}")
    print(f"bare Flask/waitress endpoint, seen by the sender          {figures(floor)}")
    assert statistics.median(woken) <= MEDIAN
    assert percentile(woken, 0.99) <= P99
