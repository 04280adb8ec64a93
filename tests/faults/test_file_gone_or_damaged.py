"""The database file under a running shop: moved away, deleted, emptied, damaged. Not in the matrix, but bad input."""

import contextlib
import sqlite3
import time

import pytest
from support.shops import is_sound, rows

from fedapay_sync.store import Store
from fedapay_sync.store.sqlite.connection import file_of

pytestmark = pytest.mark.faults

#: Seconds in which a webhook is refused that cannot be stored.
REFUSED = 2.0


@pytest.fixture
def db_url(sqlite_url):
    return sqlite_url


@pytest.fixture
def running(shop, db_url, eventually):
    """A shop that has taken a webhook and told of it, and its file."""
    shop.start()
    assert shop.deliver(1) == 200
    eventually(lambda: shop.told()[1])
    return file_of(db_url)


def refuses(shop, number):
    begun = time.monotonic()
    assert shop.deliver(number) == 503, shop.said()
    assert time.monotonic() - begun < REFUSED


def test_a_file_that_is_moved_away_and_back_is_gone_on_with(shop, running, eventually):
    """
    Meanwhile nothing is confirmed, and no empty file takes its place.
    """
    away = running.with_name("away.db")
    running.rename(away)
    for number in (2, 3):
        refuses(shop, number)
    assert "a disparu" in shop.said() and not running.exists()
    away.rename(running)

    for number in (2, 3):
        assert shop.deliver(number) == 200
    eventually(lambda: shop.told() == {1: 1, 2: 1, 3: 1})
    assert shop.starts == 1


def test_a_file_that_is_deleted_is_not_made_anew_until_somebody_restarts(shop, running):
    """
    With it went what was acknowledged: a new one, in silence, would hide that. Whoever restarts has decided.
    """
    for each in running.parent.glob(f"{running.name}*"):
        each.unlink()
    for _ in range(2):
        refuses(shop, 2)
    assert "a disparu" in shop.said() and not running.exists()

    shop.kill()
    shop.start()
    assert shop.deliver(2) == 200


@pytest.mark.parametrize("what", ["emptied", "garbage", "truncated"])
def test_a_damaged_file_is_refused_until_a_sound_copy_stands_in_its_place(shop, running, tmp_path, what, eventually):
    """
    Never taken for a new database; the copy is taken up without a restart.
    """
    copy = tmp_path / "copy.db"
    source = sqlite3.connect(running)
    target = sqlite3.connect(copy)
    source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    source.backup(target)
    target.close()
    source.close()
    damage = {"emptied": b"", "garbage": b"\xa5" * copy.stat().st_size, "truncated": copy.read_bytes()[:5000]}[what]
    running.write_bytes(damage)

    statuses = [shop.deliver(number) for number in (2, 3, 4)]
    assert statuses == [503] * 3, shop.said()
    # In place, as cp does it: the same file with another content.
    for suffix in ("-wal", "-shm"):
        running.with_name(running.name + suffix).unlink(missing_ok=True)
    running.write_bytes(copy.read_bytes())

    for number in (2, 3, 4):
        # Each of its connections must come across the damage once.
        eventually(lambda number=number: shop.deliver(number) == 200, 30)
    eventually(lambda: shop.told() == {1: 1, 2: 1, 3: 1, 4: 1})
    store = Store(f"sqlite:///{running}")
    assert rows(store, "SELECT count(*) FROM fp_event") == [(4,)] and is_sound(store)
    store.close()
    assert shop.starts == 1


def test_an_older_copy_under_a_running_shop_is_noticed_and_gone_on_with(shop, running, tmp_path, eventually):
    """
    What is confirmed from then on is there, in a sound file, also after a kill; the rest was lost with the file.
    """
    copy = tmp_path / "older.db"
    with contextlib.closing(sqlite3.connect(running)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        for number in range(2, 40):
            assert shop.deliver(number) == 200
        source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert shop.deliver(40) == 200
    running.write_bytes(copy.read_bytes())

    # Refused while the copy may still be being written.
    eventually(lambda: shop.deliver(100) == 200)
    assert shop.deliver(101) == 200
    assert "an older copy was put in place" in shop.said()
    eventually(lambda: shop.told()[100] == shop.told()[101] == 1)
    shop.kill()

    store = Store(f"sqlite:///{running}")
    assert rows(store, "SELECT entity_id FROM fp_event ORDER BY id") == [("1",), ("100",), ("101",)] and is_sound(store)
    store.close()
