"""An older copy is put in place of the SQLite file, as cp does it, under a program that has it open."""

import contextlib
import errno
import os
import shutil
import sqlite3

import pytest
from support.shops import is_sound, rows

from fedapay_sync.errors import StoreError
from fedapay_sync.store import Store
from fedapay_sync.store.sqlite import connection
from fedapay_sync.store.sqlite.connection import SqliteConnection, file_of
from fedapay_sync.store.sqlite.database import SqliteDatabase
from fedapay_sync.store.sqlite.files import prepare_file


@pytest.fixture
def db_url(sqlite_url):
    return sqlite_url


@pytest.fixture
def path(db_url):
    return file_of(db_url)


@pytest.fixture
def tell(make_event):
    def tell(store, first, last):
        for number in range(first, last + 1):
            store.events.accept(make_event(str(number), key=f"event {number}"))

    return tell


@pytest.fixture
def put_back(path, tmp_path):
    """Puts a copy in place of the file, as ``cp`` does it, by default one that was written long ago."""

    def put_back(copy, *, age=60.0, logs=True):
        if not logs:
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink()
        with open(path, "wb") as target:
            target.write(copy.read_bytes())
        now = os.stat(path).st_mtime
        os.utime(path, (now - age, now - age))

    return put_back


def checkpointed(path):
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


def stored(store):
    return [int(row[0]) for row in rows(store, "SELECT entity_id FROM fp_event ORDER BY id")]


@pytest.fixture
def older(store, path, tmp_path, tell):
    """A copy with 40 of 100 events, of a store that has more in its file, in its -wal and in memory."""
    copy = tmp_path / "older.db"
    tell(store, 1, 40)
    store.backup(copy)
    tell(store, 41, 90)
    checkpointed(path)
    tell(store, 91, 100)
    assert stored(store) == list(range(1, 101))
    return copy


def assert_goes_on(store, path, tell, caplog):
    """Noticed at the first write; what is confirmed from then on is found by a later reader, in a sound file."""
    tell(store, 201, 203)
    later = [*range(1, 41), 201, 202, 203]
    assert stored(store) == later and is_sound(store)
    assert caplog.text.count("an older copy was put in place") == 1 and store.times_replaced == 1
    with contextlib.closing(sqlite3.connect(path)) as other:
        found = other.execute("SELECT entity_id FROM fp_event ORDER BY id").fetchall()
    assert [int(number) for (number,) in found] == later


@pytest.mark.parametrize("logs", [True, False], ids=["-wal left", "-wal removed"])
def test_an_older_copy_is_noticed_at_the_next_write_and_gone_on_with(store, path, older, put_back, tell, caplog, logs):
    """
    Also where the -wal that lies beside it, or is open still, holds pages of the content that is gone.
    """
    put_back(older, logs=logs)
    assert_goes_on(store, path, tell, caplog)
    kept = path.with_name(path.name + "-wal.replaced")
    assert kept.exists() is logs and (not logs or kept.stat().st_mode & 0o777 == 0o600)
    store.close()
    assert is_sound(store) and stored(store) == [*range(1, 41), 201, 202, 203]


def test_a_copy_that_is_being_written_is_waited_for(store, path, older, put_back, tell, caplog):
    """
    It may not be whole: nothing is confirmed meanwhile.
    """
    put_back(older, age=0.0)
    with pytest.raises(StoreError, match="en train d'être remplacée"):
        tell(store, 301, 301)
    put_back(older)
    assert_goes_on(store, path, tell, caplog)


@pytest.mark.parametrize("content", [b"", b"\xa5" * 100_000], ids=["emptied", "garbage"])
def test_an_emptied_file_confirms_nothing_while_all_of_it_is_in_memory(
    store, path, older, put_back, tell, caplog, content
):
    path.write_bytes(content)
    os.utime(path, (1, 1))
    for _ in range(3):
        with pytest.raises(StoreError, match=r"Rien n'a été confirmé|a été vidée"):
            tell(store, 301, 301)
    put_back(older)
    assert_goes_on(store, path, tell, caplog)


def test_two_programs_go_on_with_the_same_older_copy(store, second, path, older, put_back, tell, caplog):
    """
    Each parts from what it has in memory; that there was a copy is said once.
    """
    tell(second, 101, 101)
    put_back(older)
    assert_goes_on(store, path, tell, caplog)
    tell(second, 204, 204)
    assert stored(second) == stored(store) == [*range(1, 41), 201, 202, 203, 204]
    tell(store, 205, 205)
    assert is_sound(second) and stored(second)[-1] == 205


def test_a_copy_put_in_place_between_two_runs_is_noticed_beside_the_wal_of_the_first(
    store, db_url, path, older, put_back, tell, tmp_path, make_store, caplog
):
    """
    The first was killed: its -wal and its lock file lie there.
    """
    killed = tmp_path / "killed"
    shutil.copytree(path.parent, killed)
    store.close()
    for each in killed.iterdir():
        shutil.copy2(each, path.parent)
    put_back(older)
    assert_goes_on(make_store(), path, tell, caplog)


def test_a_program_that_ends_copies_nothing_of_its_wal_into_an_older_copy(store, path, older, put_back, make_store):
    put_back(older)
    store.close()
    again = make_store()
    assert is_sound(again) and stored(again) == list(range(1, 41))


@pytest.mark.parametrize("content", [b"", b"\xa5" * 100_000], ids=["emptied", "garbage"])
def test_a_program_that_ends_writes_nothing_into_what_is_no_database(store, path, older, content):
    path.write_bytes(content)
    store.close()
    assert path.read_bytes() == content


def test_at_the_start_a_copy_that_is_being_written_is_waited_for_without_an_error(
    store, path, older, put_back, make_store, tell, caplog
):
    store.close()
    put_back(older, age=0.0)
    assert_goes_on(make_store(), path, tell, caplog)


def test_a_mark_that_cannot_be_left_refuses_no_commit(store, path, older, tell, monkeypatch):
    """
    On a full disk a line more may be too much.
    """

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    checkpointed(path)
    monkeypatch.setattr(os, "pwrite", full)
    tell(store, 101, 102)
    monkeypatch.undo()
    tell(store, 103, 103)
    assert stored(store) == list(range(1, 104))


def test_a_file_that_is_compacted_is_no_older_copy(store, path, older, tell, caplog):
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("DELETE FROM fp_event WHERE id > 10")
        other.commit()
        other.execute("VACUUM")
    checkpointed(path)
    tell(store, 201, 201)
    assert stored(store) == [*range(1, 11), 201] and is_sound(store)
    assert "older copy" not in caplog.text


def test_a_copy_since_the_last_checkpoint_takes_nothing_away(store, path, tmp_path, put_back, tell, caplog):
    """
    All by which it differs lies in the -wal.
    """
    tell(store, 1, 40)
    checkpointed(path)
    tell(store, 41, 60)
    store.backup(tmp_path / "copy.db")
    tell(store, 61, 100)
    put_back(tmp_path / "copy.db")
    tell(store, 101, 101)
    assert stored(store) == list(range(1, 102)) and is_sound(store)
    assert "older copy" not in caplog.text


def test_checkpoints_of_other_programs_are_no_older_copies(store, second, path, tell, caplog):
    for number in range(1, 30, 3):
        tell(store, number, number)
        checkpointed(path)
        tell(second, number + 1, number + 1)
        tell(store, number + 2, number + 2)
    store.close()
    second.close()
    tell(second, 31, 31)
    assert stored(second) == list(range(1, 32)) and "older copy" not in caplog.text


def test_a_new_database_in_the_place_of_a_deleted_one_is_no_older_copy(store, db_url, path, older, tell, caplog):
    store.close()
    path.unlink()
    again = Store(db_url)
    tell(again, 1, 2)
    checkpointed(path)
    tell(again, 3, 3)
    assert stored(again) == [1, 2, 3] and "older copy" not in caplog.text
    again.close()


def test_what_moves_pages_counts(store, path, tell):
    """
    Pages of the -wal do not fit a copy from before, though the rows are the same.
    """

    def counted():
        return rows(store, "SELECT seq FROM sqlite_sequence WHERE name = 'fp_transactions'")[0][0]

    tell(store, 1, 60)
    store.write(lambda database: database.execute_sql("DELETE FROM fp_event"))
    before = counted()
    store.write(lambda database: database.reclaim())
    assert counted() > before


def test_what_changes_nothing_counts_nothing(store, path, tell):
    """
    A transaction that finds nothing to do is no write to the disk.
    """
    tell(store, 1, 1)
    counted = rows(store, "SELECT seq FROM sqlite_sequence WHERE name = 'fp_transactions'")
    store.write(lambda database: database.execute_sql("UPDATE fp_event SET late = 0 WHERE id < 0"))
    assert rows(store, "SELECT seq FROM sqlite_sequence WHERE name = 'fp_transactions'") == counted


def test_a_reader_during_the_first_checkpoint_refuses_nothing(store, path, tell):
    """
    It lets through a part of it, which without the -wal would be no database.
    """
    store.open()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        for first in range(1, 1201, 100):
            # A snapshot in the midst of the -wal, now and then a newer one.
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM fp_event").fetchall()
            tell(store, first, first + 99)
            reader.execute("COMMIT")
    assert stored(store) == list(range(1, 1201))


@pytest.mark.parametrize("pages", [1, 2, 3, 5, 8, 13, 21])
@pytest.mark.parametrize("open_still", [True, False], ids=["running", "restarted"])
def test_a_checkpoint_that_was_cut_takes_nothing_away(
    store, db_url, path, tell, tmp_path, caplog, monkeypatch, pages, open_still
):
    """
    The first one of a database, which holds nothing without its -wal: a kill or a full disk leaves some pages of it.
    """
    monkeypatch.setattr(SqliteDatabase, "write_schema", lambda database: None)
    tell(store, 1, 60)
    before, wal = path.read_bytes(), path.with_name(path.name + "-wal").read_bytes()
    if not open_still:
        store.close()
    whole = tmp_path / "whole.db"
    whole.write_bytes(before)
    whole.with_name("whole.db-wal").write_bytes(wal)
    checkpointed(whole)
    with open(path, "r+b") as file:
        file.write(whole.read_bytes()[: 4096 * pages] + before[4096 * pages :])
        file.truncate(max(len(before), 4096 * pages))
    # A while ago: what has just been written to may be in the midst of a copy, and is refused for a second.
    os.utime(path, (os.stat(path).st_mtime - 60,) * 2)
    if not open_still:
        path.with_name(path.name + "-wal").write_bytes(wal)
    again = store if open_still else Store(db_url)
    tell(again, 61, 62)
    assert stored(again) == list(range(1, 63)) and is_sound(again)
    assert again.times_replaced == 0 and "older copy" not in caplog.text
    again.close()
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM fp_event").fetchone()[0] == 62


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_writes_nothing_of_the_wal_into_an_older_copy(store, path, older, put_back, tell, caplog):
    """
    Connections are closed for the time of a fork, and the last one to close would.
    """
    put_back(older)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert_goes_on(store, path, tell, caplog)


def test_of_two_connections_that_close_at_once_the_last_writes_nothing_into_an_older_copy(path, monkeypatch):
    """
    The one that only reads closes in the midst of the other's closing.
    """
    prepare_file(path)
    writing = SqliteConnection(path, writes=True)
    reading = SqliteConnection(path, beside=writing)
    for each in (writing, reading):
        with each.exclusive():
            pass
    monkeypatch.setattr(writing._mark, "is_as_left", lambda: False)
    kept = []

    @contextlib.contextmanager
    def keep(path):
        kept.append(path)
        yield

    monkeypatch.setattr(connection, "no_checkpoint", keep)
    close = writing._database.close

    def close_both():
        with reading._unwritten():
            reading._close_database()
        close()

    monkeypatch.setattr(writing._database, "close", close_both)
    with writing._unwritten():
        writing._close_database()

    assert kept == [path]
    writing.close()
