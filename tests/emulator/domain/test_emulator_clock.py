"""The emulator's time: it goes faster, it jumps, and only ever forward."""

import time
from datetime import datetime

import pytest

from fedapay_sync.emulator import Emulator
from fedapay_sync.errors import InvalidArgument


def test_a_day_later_what_was_not_paid_has_expired(api, emulator, receiver):
    """
    At the return of the jump; its webhook follows, signed with real time.
    """
    id = api.create()["id"]
    emulator.clock.advance(hours=23, minutes=59)
    assert emulator.transaction(id)["status"] == "pending"
    emulator.wait_for_deliveries()
    emulator.clock.advance(minutes=1)
    assert emulator.transaction(id)["status"] == "expired"
    emulator.wait_for_deliveries()

    assert receiver.names == ["transaction.created", "transaction.expired"]
    receiver.verify(emulator.webhook_secret)


def test_three_days_later_the_merchant_has_his_money(api, emulator):
    """
    And the stamps are those of that day.
    """
    id = api.create()["id"]
    emulator.approve(id)
    emulator.clock.advance(hours=72)
    transferred = emulator.transaction(id)

    assert transferred["status"] == "transferred"
    assert transferred["transferred_at"][:10] > transferred["approved_at"][:10]
    assert emulator.clock.ahead == 72 * 3600


def test_payers_and_operators_answer_by_that_clock(client_of):
    """
    At the return of the jump, all that was due has been done, one thing after another.
    """
    with Emulator(delay=600) as emulator:
        client = client_of(emulator)
        made = client.create()
        client.push(made)
        person = {"email": "a@b.bj", "phone_number": {"number": "0164000001", "country": "bj"}}
        payout = {"amount": 500, "currency": {"iso": "XOF"}, "mode": "momo_test", "customer": person}
        payout = client("POST", "/v1/payouts", json=payout).json()["v1/payout"]
        client("PUT", "/v1/payouts/start", json={"payouts": [{"id": payout["id"]}]})
        emulator.clock.advance(minutes=9)
        assert (client.get(made["id"])["status"], emulator.payout(payout["id"])["status"]) == ("pending", "processing")
        emulator.clock.advance(minutes=2)

        assert (client.get(made["id"])["status"], emulator.payout(payout["id"])["status"]) == ("approved", "sent")


def test_an_answer_in_time_pays_however_far_the_jump(client_of):
    """
    The payer needs ten minutes: before the link expires, and the merchant has the money three days later.
    """
    with Emulator(delay=600) as emulator:
        client = client_of(emulator)
        made = client.create()
        client.push(made)

        emulator.clock.advance(hours=73)

        paid = client.get(made["id"])
        assert paid["status"] == "transferred"
        told = [datetime.strptime(paid[name][:19], "%Y-%m-%dT%H:%M:%S") for name in ("approved_at", "transferred_at")]
        assert 72 * 3600 <= (told[1] - told[0]).total_seconds() < 73 * 3600
        assert emulator.clock.ahead == 73 * 3600


def test_many_payers_hold_no_jump_up(client_of):
    """
    Each of them has answered, and the clock stops once for all answers of about the same time.
    """
    with Emulator(delay=600) as emulator:
        client = client_of(emulator)
        for _ in range(100):
            client.push(client.create())
        stops = []
        emulator.clock.on_advance(before=lambda ahead: None, after=lambda: stops.append(emulator.clock.ahead))

        emulator.clock.advance(hours=24)

        assert {each["status"] for each in emulator.transactions} == {"approved"}
        assert len(stops) < 50


def test_retries_of_webhooks_follow_it(client_of, make_receiver, eventually):
    """
    Ten attempts with minutes between them are made at once when those minutes are jumped over.
    """
    shop = make_receiver()
    shop.answers.extend(["500 NO"] * 9)
    with shop.server, Emulator(webhook_url=shop.url) as emulator:
        client_of(emulator).create()
        for attempt in range(1, 10):
            # What was answered must have been noted before its wait can be jumped over.
            eventually(lambda: len(emulator.deliveries) == attempt)  # noqa: B023
            emulator.clock.advance(minutes=3)
        emulator.wait_for_deliveries()

        assert [each.attempt for each in emulator.deliveries] == list(range(1, 11))


def test_time_may_go_a_thousand_times_faster(client_of, eventually):
    """
    A day is over in seconds, without a jump.
    """
    with Emulator(time_factor=100_000) as emulator:
        id = client_of(emulator).create()["id"]
        before = emulator.clock.now()

        assert eventually(lambda: emulator.transaction(id)["status"] == "expired")
        assert emulator.clock.now() - before >= 80_000
        assert emulator.clock.factor == 100_000


def test_a_jump_of_a_stopped_emulator_is_seen_at_its_start(client_of):
    """
    Nothing moves while it is stopped.
    """
    with Emulator() as emulator:
        id = client_of(emulator).create()["id"]
        emulator.stop()
        emulator.clock.advance(days=2)
        emulator.start()

        assert emulator.transaction(id)["status"] == "expired"


def test_the_state_file_keeps_the_jump(client_of, tmp_path):
    """
    Time does not go back with a new process: what was paid after the jump stays newer than what was before.
    """
    path = tmp_path / "state.db"
    with Emulator(state=path) as emulator:
        emulator.clock.advance(hours=30)
        first = client_of(emulator).create()
    with Emulator(state=path) as emulator:
        second = client_of(emulator).create()

        assert emulator.clock.ahead == pytest.approx(30 * 3600, abs=1)
        assert second["created_at"] > first["created_at"]
        assert second["id"] > first["id"]


def test_the_state_file_keeps_the_time_that_a_factor_won(client_of, tmp_path):
    """
    After a stop; the next run goes on from there, at its own pace.
    """
    path = tmp_path / "state.db"
    with Emulator(state=path, time_factor=100_000) as emulator:
        first = client_of(emulator).create()
        end = emulator.clock.now()
    with Emulator(state=path) as emulator:
        assert emulator.clock.now() >= end
        assert client_of(emulator).create()["created_at"] > first["created_at"]


def test_a_clock_of_somebody_else_is_not_set(client_of, hand_clock):
    """
    It is the caller's; the French error says so, and nothing has happened.
    """
    with Emulator(clock=hand_clock) as emulator:
        with pytest.raises(InvalidArgument, match="clock="):
            emulator.clock.advance(hours=1)
        with pytest.raises(InvalidArgument, match="ne vont pas ensemble"):
            Emulator(clock=hand_clock, time_factor=2)

        assert emulator.clock.now() == hand_clock.now()


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "24", True, None, 1e300])
def test_only_a_stretch_of_time_is_a_jump(wrong, emulator):
    """
    Nothing else moves the clock.
    """
    with pytest.raises(InvalidArgument):
        emulator.clock.advance(hours=wrong)

    assert emulator.clock.ahead == 0


def test_the_clock_stops_before_dates_do(emulator, api):
    """
    A century ahead is the most; the API still answers there.
    """
    emulator.clock.advance(days=36_525)
    with pytest.raises(InvalidArgument, match="siècle"):
        emulator.clock.advance(days=1)

    assert int(api.create()["created_at"][:4]) >= time.gmtime().tm_year + 99


@pytest.mark.parametrize("wrong", [0, 0.5, -1, "fast", True, float("nan"), 10_000_000])
def test_a_factor_is_one_or_more(wrong):
    """
    Slower than real time would put the stamps behind.
    """
    with pytest.raises(InvalidArgument, match="time_factor"):
        Emulator(time_factor=wrong)
