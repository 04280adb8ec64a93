"""Many waits are ended in one commit by what a list has shown, and none that the list says nothing about."""


def states(store, *numbers):
    return [store.listens.get("sandbox", number).state.value for number in numbers]


def test_what_is_due_and_still_pending_ends_in_every_process(store, second, listen, clock):
    for number in range(1, 5):
        listen(store, number, timeout=10 if number < 4 else 60)
    listen(store, 5, timeout=10, account="other")
    clock.advance(11)
    assert sorted(second.deadlines.overdue("sandbox", "shop")) == ["1", "2", "3"]
    ended = second.deadlines.time_out("sandbox", ["1", "2", "4", "99"], read_at=clock.now())
    assert sorted(ended) == ["1", "2"]
    assert states(store, 1, 2, 3, 4, 5) == ["timed_out", "timed_out", "pending", "pending", "pending"]


def test_a_deadline_that_came_after_the_reading_is_not_decided_by_it(store, listen, clock):
    listen(store, 1, timeout=10)
    read_at = clock.now()
    clock.advance(11)
    assert store.deadlines.time_out("sandbox", ["1"], read_at=read_at) == []
    assert states(store, 1) == ["pending"]


def test_what_ended_is_decided_or_is_to_be_deleted_is_left_alone(store, listen, make_event, clock):
    for number in (1, 2, 3):
        listen(store, number, timeout=10)
    listen(store, 4, timeout=10, delete_at_deadline=True)
    clock.advance(11)
    store.events.accept(make_event("1"))
    store.listens.begin_closing("sandbox", 2, 30)
    store.listens.end("sandbox", 3, "unknown")
    assert store.deadlines.time_out("sandbox", ["1", "2", "3", "4"], read_at=clock.now()) == ["3"]
    assert states(store, 1, 2, 3, 4) == ["resolved", "closing", "timed_out", "pending"]
    assert store.deadlines.overdue("sandbox", "shop") == ["4"]


def test_the_end_of_a_wait_whose_process_is_gone_is_owed_to_the_restored_ones(store, listen, clock, claim):
    listen(store, 1, timeout=10)
    store.listens.release("A", ())
    clock.advance(11)
    assert store.deadlines.time_out("sandbox", ["1"], read_at=clock.now()) == ["1"]
    assert [work.entity_id for work in claim(store, kinds=("restored",))] == ["1"]
