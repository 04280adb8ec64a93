"""Row 1: SIGKILL at each step between the bytes of a webhook and the end of its callback."""

import pytest
from support.shops import is_sound, rows

pytestmark = pytest.mark.faults(row=1)

#: A callback done has been marked so: nothing of it is left.
AFTER_THE_EFFECT = "shop.note:return"
STEPS = {
    "W1 received": "signature.verify:call",
    "W2 checked": "signature.verify:return",
    "W3 in the transaction": "after INSERT INTO fp_event",
    "W3 taken in it": "after INSERT INTO fp_call",
    "W4 committed": "held_works.add:call",
    "W4 handed over": "inbox.receive:return",
    "W5 answered": "",
    "W6 claimed": "worker._call:call",
    "W7 told": AFTER_THE_EFFECT,
    "W8 marked": "ends.ended:call",
}
#: What is tried every day: before the commit, after it, and the one death that repeats a callback.
DAILY = ("W3 in the transaction", "W4 committed", "W7 told")
PAYMENTS = [1, 2, 3, 4]


def cases():
    for step in STEPS:
        for hit in (1, 3):
            daily = step in DAILY and hit == 1
            yield pytest.param(STEPS[step], hit, id=f"{step}-{hit}", marks=() if daily else pytest.mark.long)


@pytest.mark.parametrize(("point", "hit"), list(cases()))
def test_killed_at_a_step_of_a_webhook_nothing_is_lost_and_nothing_told_twice(shop, store, eventually, point, hit):
    """
    The sender repeats until 200 and the shop is started again: one row and one call for each payment. Only a death in
    the callback itself repeats it, as attempt 2.
    """
    shop.start(f"{point}#{hit}" if point else "", deaf=not point)
    for number in PAYMENTS:
        eventually(lambda number=number: revived(shop) and shop.deliver(number) == 200, 30)
        if not point and number == hit:
            shop.kill()
        # One after the other, so that a death can only meet one callback.
        eventually(lambda number=number: (revived(shop) and shop.starts == 1 and not point) or is_done(store, number))
    eventually(lambda: revived(shop) and shop.told().keys() == set(PAYMENTS) and shop.starts == 2)
    eventually(lambda: all(is_done(store, number) for number in PAYMENTS))

    kept = rows(store, "SELECT entity_id, event_key, attempts FROM fp_event ORDER BY id")
    assert sorted(int(row[0]) for row in kept) == PAYMENTS and len({row[1] for row in kept}) == len(PAYMENTS)
    told = shop.told()
    if point == AFTER_THE_EFFECT:
        assert shop.effects() == {f"{number} 1": 1 for number in PAYMENTS} | {f"{hit} 2": 1}
    else:
        assert set(told.values()) == {1}
    assert is_sound(store)


def revived(shop):
    """Whoever supervises the shop starts it again, in good health."""
    if shop.is_dead:
        shop.start()
    return True


def is_done(store, number):
    return rows(store, f"SELECT work_state FROM fp_event WHERE entity_id = '{number}'") == [("done",)]
