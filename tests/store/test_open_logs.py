"""
Whether the -wal and -shm that a connection has open are still those at its path.
"""

import os
from contextlib import closing
from pathlib import Path

import pytest

from fedapay_sync.store.sqlite import logs
from fedapay_sync.store.sqlite.logs import OpenLogs

pytestmark = pytest.mark.skipif(os.name == "nt", reason="an open file cannot be taken away there")


@pytest.fixture(params=["by what the descriptor leads to", "by stat"])
def path(request, tmp_path, monkeypatch):
    if request.param == "by stat":
        # As on a system without /proc.
        monkeypatch.setattr(logs.os, "readlink", unreadable)
    elif not os.path.exists("/proc/self/fd"):
        pytest.skip("this system does not tell what a descriptor leads to")
    for name in ("shop.db-wal", "shop.db-shm"):
        (tmp_path / name).write_bytes(b"12345")
    return tmp_path / "shop.db"


def unreadable(path):
    raise FileNotFoundError(path)


def remove(file):
    file.unlink()


def rename(file):
    file.rename(f"{file}.away")


def replace(file):
    made = Path(f"{file}.new")
    made.write_bytes(b"12345")
    made.replace(file)


def remove_and_make_anew(file):
    # The old one is kept by another name: its number is not given to the new one.
    os.link(file, f"{file}.kept")
    file.unlink()
    file.write_bytes(b"12345")


@pytest.mark.parametrize("take_away", [remove, rename, replace, remove_and_make_anew])
@pytest.mark.parametrize("name", ["shop.db-wal", "shop.db-shm"])
def test_a_file_that_was_taken_away_is_noticed(path, name, take_away):
    with closing(OpenLogs(path)) as opened:
        assert opened.are_in_place()
        take_away(path.with_name(name))
        assert not opened.are_in_place()


def test_what_changes_in_them_is_no_matter(path):
    with closing(OpenLogs(path)) as opened:
        with path.with_name("shop.db-wal").open("ab") as wal:
            wal.write(b"678")
        assert opened.are_in_place() and opened.wal_size() == 8
        os.truncate(path.with_name("shop.db-wal"), 0)
        assert opened.are_in_place() and opened.wal_size() == 0


def test_a_journal_of_another_kind_has_none(path):
    for name in ("shop.db-wal", "shop.db-shm"):
        path.with_name(name).unlink()
    with closing(OpenLogs(path)) as opened:
        assert opened.are_in_place() and opened.wal_size() == 0
        path.with_name("shop.db-wal").write_bytes(b"")
        assert not opened.are_in_place()


def test_closing_gives_the_descriptor_back(path):
    opened = OpenLogs(path)
    descriptor = opened._wal
    os.fstat(descriptor)
    opened.close()
    opened.close()
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_a_transaction_does_not_stat_the_wal(db_url, monkeypatch):
    """
    Each write after that takes longer.
    """
    if not os.path.exists("/proc/self/fd"):
        pytest.skip("this system does not tell what a descriptor leads to")
    from fedapay_sync.store import Store

    store, seen, stat = Store(db_url), [], os.stat

    def seeing(path, *arguments, **options):
        seen.append(str(path))
        return stat(path, *arguments, **options)

    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
    store.payments.of_transaction("sandbox", "1")
    monkeypatch.setattr(os, "stat", seeing)
    store.payments.add_intent("sandbox", "shop", "CMD-2", amount=500, currency="XOF")
    store.payments.of_transaction("sandbox", "1")
    store.close()

    # The database file is looked at, which shows that looks are seen.
    assert any(each.endswith(".db") for each in seen)
    assert not any(each.endswith("-wal") for each in seen)
