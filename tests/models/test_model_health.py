"""
A connector's health is what a monitoring page can print as it is.
"""

import copy
import dataclasses
import json
import pickle
from datetime import datetime, timezone

import pytest

from fedapay_sync import Health, OwedCallbacks

WELL = Health(
    database=True,
    working=True,
    schema=5,
    workers=2,
    owed={"webhook": OwedCallbacks(3, 12.5), "payment": OwedCallbacks()},
    parked=1,
    followed=4,
    last_webhook_at=datetime(2026, 11, 30, 10, 0, tzinfo=timezone.utc),
)


def test_it_is_ok_unless_there_is_a_problem():
    """
    Neither can be said without the other.
    """
    assert WELL.ok
    assert not dataclasses.replace(WELL, problems=("La base n'a pas répondu.",)).ok


def test_it_goes_into_json_as_it_is():
    """
    Numbers and times, by the names of the attributes.
    """
    assert json.loads(json.dumps(WELL.as_dict())) == {
        "ok": True,
        "database": True,
        "working": True,
        "schema": 5,
        "workers": 2,
        "owed": {"webhook": {"count": 3, "oldest": 12.5}, "payment": {"count": 0, "oldest": None}},
        "parked": 1,
        "followed": 4,
        "last_webhook_at": "2026-11-30T10:00:00.000Z",
        "last_answer_at": None,
        "problems": [],
    }
    assert WELL.to_dict() == WELL.model_dump() == WELL.as_dict()


def test_it_does_not_change_and_can_be_sent_to_another_process():
    with pytest.raises(dataclasses.FrozenInstanceError):
        WELL.parked = 0

    assert pickle.loads(pickle.dumps(WELL)) == copy.deepcopy(WELL) == WELL
