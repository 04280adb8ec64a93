"""
One fact under two keys of the API: processes of which one has the old key first, and the other the new one.
"""

import hashlib
import threading

ROUNDS = 60


def dedup_key(entity, account):
    return hashlib.sha256(f"{entity}:{account}".encode()).hexdigest()


def test_a_fact_that_came_under_the_other_key_is_known(store, second, make_event):
    """
    Stored before a change of the API's key, it lies under the old key's label.
    """
    facts = {"dedup_key": dedup_key(1, "old"), "also_known_as": (dedup_key(1, "new"),)}
    assert store.events.accept(make_event(**facts)).new

    facts = {"dedup_key": dedup_key(1, "new"), "also_known_as": (dedup_key(1, "old"),)}
    assert not second.events.accept(make_event(**facts)).new


def test_two_processes_that_take_it_at_once_store_it_once(store, second, make_event):
    """
    Each looks whether the other's key is there, and writes under its own: never both between the look and the write.
    """
    store.open(), second.open()
    together, new = threading.Barrier(2), []

    def deliver(to, account, other):
        for entity in range(ROUNDS):
            event = make_event(
                str(entity),
                key=f"{entity}:{account}",
                account=account,
                dedup_key=dedup_key(entity, account),
                also_known_as=(dedup_key(entity, other),),
            )
            together.wait(30)
            if to.events.accept(event).new:
                new.append(entity)

    threads = [
        threading.Thread(target=deliver, args=facts) for facts in ((store, "old", "new"), (second, "new", "old"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert sorted(new) == list(range(ROUNDS))
    assert [len(store.listens.ending("sandbox", entity).events) for entity in range(ROUNDS)] == [1] * ROUNDS
