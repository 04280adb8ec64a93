"""
An outcome is a pair, and knows whether it was paid.
"""

import copy
import json
import pickle

import pytest

from fedapay_sync.enums import FINAL_STATUSES, EventFutureStatus, OutcomeState, UnknownState
from fedapay_sync.errors import AmountMismatch, NotFound, StatusUnknown
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


@pytest.mark.parametrize(
    ("reason", "state", "label"),
    [
        ("approved", "paid", "payé"),
        ("transferred", "paid", "payé"),
        ("approved_partially_refunded", "paid", "payé"),
        ("transferred_partially_refunded", "paid", "payé"),
        ("refunded", "refunded", "remboursé"),
        ("declined", "declined", "refusé"),
        ("canceled", "canceled", "annulé"),
        ("expired", "expired", "expiré"),
    ],
)
def test_the_state_is_one_word_for_each_end(reason, state, label):
    """
    English for programs, French for people.
    """
    there = Outcome(EventFutureStatus.RESOLVED, [EVENT], paid=state in ("paid", "refunded"), reason=reason)

    assert there.state is OutcomeState(state)
    assert (there.state == state, there.state.label) == (True, label)
    assert there.to_dict()["state"] == state


def test_every_final_status_has_a_state():
    """
    None of those that this version knows is told as unknown.
    """
    for status in FINAL_STATUSES:
        assert isinstance(Outcome(EventFutureStatus.RESOLVED, [EVENT], reason=status).state, OutcomeState)


@pytest.mark.parametrize(
    "there",
    [
        Outcome(EventFutureStatus.TIMEOUT),
        Outcome(EventFutureStatus.CANCELLED_INTERNALLY),
        # The wait was given up, and the payer may still pay.
        Outcome(EventFutureStatus.CANCELLED, reason="attente annulée"),
        Outcome(EventFutureStatus.TIMEOUT, error=StatusUnknown("?")),
    ],
)
def test_what_may_still_be_paid_is_pending(there):
    """
    Who is not known to be at an end is not to be asked again.
    """
    assert there.state is OutcomeState.pending
    assert there.state.label == "en attente"


def test_what_was_deleted_at_fedapay_is_canceled():
    """
    Its event says so.
    """
    assert Outcome(EventFutureStatus.CANCELLED, [EVENT]).state is OutcomeState.canceled


def test_what_was_paid_otherwise_is_suspect():
    """
    It is told with the error that finalise raises.
    """
    there = Outcome(EventFutureStatus.RESOLVED, error=AmountMismatch("demandé 500, reçu 5"))

    assert (there.state, there.state.label, bool(there)) == (OutcomeState.suspect, "suspect", False)


@pytest.mark.parametrize(
    ("there", "text", "label"),
    [
        (Outcome(EventFutureStatus.RESOLVED, [EVENT], reason="reversed"), "reversed", "statut « reversed »"),
        (Outcome(EventFutureStatus.CANCELLED, error=NotFound("?")), "not_found", "inconnu de FedaPay"),
    ],
)
def test_a_state_that_is_none_of_ours_is_a_text_with_a_label(there, text, label):
    """
    What FedaPay adds tomorrow passes through; it travels, and is a plain text in JSON.
    """
    there = pickle.loads(pickle.dumps(there))

    assert type(there.state) is UnknownState
    assert (there.state, there.state.label) == (text, label)
    assert json.loads(json.dumps(there.to_dict()))["state"] == text


def test_no_state_is_without_a_label():
    """
    Nor is a label said twice.
    """
    assert len({state.label for state in OutcomeState}) == len(OutcomeState)
