"""Missed events are read by one process at a time, from where the last reading or the last event was."""

import pytest

HOUR = 3600.0


def begin(store, clock, before=None, every=None, overlap=0.0):
    here_for = 0.0 if before is None else clock.now() - before
    settings = {"shortest": 1200, "longest": 30 * 24 * HOUR, "lease": 600, "every": every, "overlap": overlap}
    return store.event_catchup.begin("sandbox", ["shop"], here_for=here_for, **settings)


def test_an_empty_database_had_no_outage(store, clock):
    assert begin(store, clock) == (False, None)


@pytest.mark.parametrize(("hours", "owed"), [(0.1, False), (0.5, True), (700, True), (800, False)])
def test_an_outage_is_one_of_more_than_minutes_and_less_than_a_month(store, make_event, clock, hours, owed):
    store.events.accept(make_event(received_at=clock.now()))
    clock.advance(hours * HOUR)
    assert begin(store, clock)[0] == owed


def test_the_events_of_an_outage_are_read_by_one_process_and_owed_until_they_are(store, second, make_event, clock):
    """
    Even when new webhooks have come meanwhile.
    """
    last = clock.now()
    store.events.accept(make_event(received_at=last))
    clock.advance(HOUR)
    start = clock.now()
    store.events.accept(make_event(received_at=start + 1))
    clock.advance(2)
    assert begin(store, clock, start) == (True, last)
    assert begin(second, clock, start) == (True, None)
    store.event_catchup.finish("sandbox", done=False, again_in=60)
    clock.advance(61)
    assert begin(second, clock) == (True, last)
    clock.advance(601)
    assert begin(store, clock) == (True, last)
    store.event_catchup.finish("sandbox", done=True, again_in=1200)
    assert begin(second, clock, start) == (False, None)


def test_what_is_read_every_hour_is_read_by_one_from_the_last_time_on(store, second, clock):
    """
    The first time only notes the hour: what came before is none of this shop's. Without an interval nothing is owed.
    """
    start = clock.now()
    assert begin(store, clock, start, every=HOUR) == (False, None)
    clock.advance(0.9 * HOUR)
    assert begin(store, clock, start, every=HOUR) == (False, None)
    clock.advance(0.2 * HOUR)
    assert begin(store, clock, start) == (False, None)
    owed, since = begin(store, clock, start, every=HOUR)
    assert owed and since == pytest.approx(start, abs=5)
    assert begin(second, clock, start, every=HOUR) == (True, None)

    store.event_catchup.finish("sandbox", done=True, again_in=1200)
    done = clock.now()
    assert begin(second, clock, start, every=HOUR) == (False, None)
    clock.advance(1.1 * HOUR)
    owed, since = begin(second, clock, start, every=HOUR)
    assert owed and since == pytest.approx(done, abs=5)


def test_what_is_read_twice_is_from_the_life_of_this_database(store, make_event, clock):
    """
    What happened before was told to another database, or to none.
    """
    start = clock.now()
    begin(store, clock, start, every=HOUR)
    clock.advance(1.1 * HOUR)
    assert begin(store, clock, start, every=HOUR, overlap=HOUR)[1] == pytest.approx(start - 60, abs=5)
    store.event_catchup.finish("sandbox", done=True, again_in=1200)
    last = clock.now()
    clock.advance(1.1 * HOUR)
    assert begin(store, clock, start, every=HOUR, overlap=HOUR)[1] == pytest.approx(last - HOUR, abs=5)


def test_a_reading_counts_as_having_been_there(store, make_event, clock):
    """
    A quiet night is no outage where the events were read in it.
    """
    store.events.accept(make_event(received_at=clock.now()))
    clock.advance(8 * HOUR)
    assert begin(store, clock)[0]
    store.event_catchup.finish("sandbox", done=True, again_in=1200)
    clock.advance(600)
    assert begin(store, clock) == (False, None)
    clock.advance(HOUR)
    assert begin(store, clock)[0]


def test_a_clock_set_back_does_not_put_the_reading_off(store, clock):
    """
    Nor does one that jumped ahead by more than is ever read make it read everything.
    """
    start = clock.now()
    begin(store, clock, start, every=HOUR)
    clock.advance(-48 * HOUR)
    owed, since = begin(store, clock, clock.now(), every=HOUR)
    assert owed and since == pytest.approx(clock.now() - HOUR, abs=5)
    store.event_catchup.finish("sandbox", done=True, again_in=1200)
    clock.advance(31 * 24 * HOUR)
    assert begin(store, clock, start, every=HOUR) == (False, None)
    clock.advance(1.1 * HOUR)
    assert begin(store, clock, start, every=HOUR)[0]


def test_after_an_older_copy_what_came_since_its_newest_event_is_owed(store, second, make_event, clock):
    """
    However short the time, whoever was there, and whenever the last reading was; until it is done.
    """
    newest = clock.now()
    store.events.accept(make_event(received_at=newest))
    store.event_catchup.finish("sandbox", done=True, again_in=1200)
    clock.advance(60)
    assert begin(second, clock, newest - HOUR) == (False, None)

    store.event_catchup.owe("sandbox", ["shop"])

    assert begin(second, clock, newest - HOUR) == (True, newest)
    assert begin(store, clock, newest - HOUR) == (True, None)
    store.event_catchup.finish("sandbox", done=True, again_in=1200)
    assert begin(second, clock, newest - HOUR) == (False, None)


def test_what_was_owed_before_an_older_copy_is_read_from_there(store, make_event, clock):
    first = clock.now()
    store.events.accept(make_event(received_at=first))
    clock.advance(HOUR)
    assert begin(store, clock) == (True, first)
    store.events.accept(make_event(received_at=clock.now()))
    store.event_catchup.owe("sandbox", ["shop"])
    assert begin(store, clock) == (True, first)


def test_an_older_copy_without_events_is_read_from_its_beginning(store, clock):
    store.event_catchup.owe("sandbox", ["shop"])
    owed, since = begin(store, clock)
    assert owed and clock.now() - 61 <= since <= clock.now()
