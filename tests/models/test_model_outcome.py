"""
An outcome is a pair, and knows whether it was paid.
"""

import copy
import json
import pickle

import pytest

from fedapay_sync.enums import EventFutureStatus
from fedapay_sync.models import Outcome, Transaction, WebhookHistory

PAID = Transaction.from_dict({"id": 7, "amount": 500, "status": "approved", "customer": {"lastname": "Planted"}})
EVENT = WebhookHistory.from_dict(
    {"name": "transaction.approved", "entity": PAID.to_dict(), "event_key": "sandbox:a:transaction:7:approved"}
)


def outcome() -> Outcome:
    return Outcome(
        EventFutureStatus.RESOLVED, [EVENT], paid=True, transaction=PAID, id_transaction=7, reason="approved"
    )


def test_an_outcome_unpacks_as_the_page_does():
    """
    ``status, webhooks = finalise(…)``.
    """
    status, webhooks = outcome()

    assert (status, webhooks) == (EventFutureStatus.RESOLVED, [EVENT])
    assert outcome() == (status, webhooks)
    assert (len(outcome()), outcome()[0], outcome()[1]) == (2, status, webhooks)
    assert isinstance(outcome(), tuple)
    assert (outcome().status, outcome().webhooks) == (status, webhooks)


def test_an_outcome_carries_the_facts():
    """
    Paid, transaction, amount, reason.
    """
    there = outcome()

    assert (there.paid, there.transaction, there.amount, there.id_transaction) == (True, PAID, 500, 7)
    assert there.reason == "approved"


@pytest.mark.parametrize("status", list(EventFutureStatus), ids=str)
@pytest.mark.parametrize("paid", [True, False])
def test_an_outcome_is_true_when_it_was_paid(status, paid):
    """
    And not because it is a pair, or because it is RESOLVED.
    """
    assert bool(Outcome(status, [EVENT], paid=paid)) is paid


def test_an_outcome_of_nothing():
    """
    A timeout without any event.
    """
    there = Outcome(EventFutureStatus.TIMEOUT)

    assert tuple(there) == (EventFutureStatus.TIMEOUT, None)
    assert (there.paid, there.transaction, there.amount, there.id_transaction, there.reason) == (
        False,
        None,
        None,
        None,
        "",
    )
    assert json.loads(json.dumps(there.to_dict()))["status"] == "timeout"


@pytest.mark.parametrize(
    "travel",
    [copy.copy, copy.deepcopy]
    + [
        lambda there, protocol=protocol: pickle.loads(pickle.dumps(there, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ],
)
def test_an_outcome_travels_with_its_facts(travel):
    """
    Twice, so that the first journey took nothing away.
    """
    there = outcome()

    for again in (travel(there), travel(there)):
        assert type(again) is Outcome
        assert again == there
        assert vars(again) == vars(there)
        assert bool(again)


def test_an_outcome_is_written_in_simple_types():
    """
    As JSON can carry it, under both names.
    """
    there = json.loads(json.dumps(outcome().to_dict()))

    assert there == json.loads(json.dumps(outcome().model_dump()))
    assert (there["status"], there["paid"], there["id_transaction"]) == ("resolved", True, 7)
    assert there["transaction"]["amount"] == 500
    assert there["webhooks"][0]["event_key"] == EVENT.event_key


def test_an_outcome_shows_no_customer():
    """
    Its repr has what a log needs.
    """
    assert repr(outcome()) == (
        "Outcome(RESOLVED, paid=True, id_transaction=7, amount=500, reason='approved', state='payé')"
    )
    assert "Planted" not in f"{outcome()}{outcome()!s}"
