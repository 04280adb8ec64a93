"""The judge of the soak notices each of the faults that it is there for."""

import pytest
from support.soak_verdict import Truth, Verdict, judge

PAYMENT = {"id": 1, "status": "approved", "merchant_reference": "A"}
SECOND = {"id": 2, "status": "pending", "merchant_reference": "A"}
TOLD = [
    {"what": "begin", "life": 1, "at": 10.0, "run": "r1", "key": "k", "id": "1", "paid": True, "attempt": 1},
    {"what": "end", "life": 1, "at": 10.5, "run": "r1"},
]
HEARD = {"what": "listened", "at": 1.0, "key": "l", "id": "1", "paid": False}
AGAIN = {"what": "begin", "life": 2, "at": 99.0, "run": "r2", "key": "k", "id": "1", "paid": True, "attempt": 2}


def verdict(entries, transactions=(PAYMENT,), pushes=None, kills=None, freezes=None):
    return judge(entries, Truth(transactions, pushes or {"1": 1}, kills or {}, freezes or {}))


def test_what_was_paid_and_told_once_is_in_order():
    """
    No fault is found where there is none.
    """
    assert verdict(TOLD) == Verdict([], [], [], [], [])


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("never_told", verdict([])),
        ("never_paid", verdict(TOLD, [{**PAYMENT, "status": "declined"}])),
        ("never_paid", verdict([*TOLD, {"what": "finalise", "at": 11.0, "id": "2", "paid": True}])),
        ("pushed_twice", verdict(TOLD, pushes={"1": 2})),
        ("pushed_twice", verdict(TOLD, [PAYMENT, SECOND], {"1": 1, "2": 1})),
        ("unexplained", verdict([*TOLD, AGAIN])),
        ("unexplained", verdict([TOLD[0], AGAIN])),
        ("unexplained", verdict([TOLD[0], {**AGAIN, "attempt": 1}], kills={1: (11.0, 11.3)})),
        ("unexplained", verdict([*TOLD, AGAIN], kills={1: (20.0, 20.3)})),
        ("unexplained", verdict([*TOLD, AGAIN], kills={2: (10.2, 10.5)})),
        ("unexplained", verdict([*TOLD, AGAIN], freezes={1: [(20.0, 90.0)]})),
        ("unexplained", verdict([TOLD[0], AGAIN], freezes={1: [(60.0, 90.0)]})),
        ("unexplained", verdict([HEARD, HEARD])),
        ("crashed", verdict([{"what": "crashed", "at": 1.0, "error": "KeyError"}])),
    ],
)  # fmt: skip
def test_each_fault_is_found(fault, found):
    """
    Told never, told wrongly, asked twice, called twice for no reason.
    """
    assert getattr(found, fault)


@pytest.mark.parametrize(
    "found",
    [
        verdict([TOLD[0], {**TOLD[1], "what": "fail"}, AGAIN]),
        verdict([TOLD[0], AGAIN], kills={1: (11.0, 11.3)}),
        verdict([*TOLD, AGAIN], kills={1: (10.6, 10.9)}),
        verdict([TOLD[0], {**AGAIN, "at": 11.2}], kills={1: (11.0, 11.3)}),
        verdict([*TOLD, AGAIN], kills={1: (13.0, 13.3)}, freezes={3: [(10.0, 14.0)]}),
        verdict([TOLD[0], AGAIN], freezes={1: [(11.0, 90.0)]}),
    ],
    ids=[
        "failed",
        "killed",
        "killed before its end was stored",
        "seen dead by another",
        "killed while another held the lock",
        "frozen past its lease",
    ],
)
def test_a_repeat_that_had_to_be_is_none(found):
    """
    The process of the first call could not say that it was over.
    """
    assert not found.unexplained
