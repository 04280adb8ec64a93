"""What lies on the disk is private, and a link in its place is refused."""

import os
import sqlite3
import stat

import pytest

from fedapay_sync.errors import ConfigError
from fedapay_sync.store import Store

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes are a matter of POSIX")


@pytest.fixture
def make_store():
    made = []

    def make(path):
        made.append(Store(f"sqlite:///{path}"))
        return made[-1]

    yield make
    for store in made:
        store.close()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_all_files_of_the_database_are_private(make_store, tmp_path, umask):
    """
    The database, its two companions and the lock, in a folder of their own, whatever the umask.
    """
    before = os.umask(umask)
    try:
        store = make_store(tmp_path / "shop" / "x.db")
        store.open()
        store.payments.add_intent("sandbox", "shop", "CMD-1", amount=1, currency="XOF")
        store.listens.get("sandbox", "1")
        modes = {each.name: mode(each) for each in (tmp_path / "shop").iterdir()}
    finally:
        os.umask(before)

    assert modes == dict.fromkeys(["x.db", "x.db-wal", "x.db-shm", "x.db.lock"], 0o600)
    assert mode(tmp_path / "shop") == 0o700


def test_folders_on_the_way_are_private_and_those_that_were_there_stay_as_they_are(make_store, tmp_path):
    """
    Each that we make, and not the last one only.
    """
    there = tmp_path / "var"
    there.mkdir()
    there.chmod(0o755)
    before = os.umask(0o022)
    try:
        make_store(there / "lib" / "shop" / "data" / "x.db").open()
    finally:
        os.umask(before)

    made = [there / "lib", there / "lib" / "shop", there / "lib" / "shop" / "data"]
    assert [mode(each) for each in (there, *made)] == [0o755, 0o700, 0o700, 0o700]


@pytest.mark.parametrize(
    ("found", "left"), [(0o644, 0o600), (0o666, 0o660), (0o640, 0o600), (0o660, 0o660), (0o600, 0o600)]
)
def test_a_file_that_was_made_elsewhere_is_made_private(make_store, tmp_path, found, left):
    """
    The asynchronous connector leaves its own readable by all. A group that may write it is meant to.
    """
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE theirs (a)")
    database.close()
    path.chmod(found)

    make_store(path).open()

    assert mode(path) == left


@pytest.mark.parametrize("name", ["x.db", "x.db.lock"])
def test_a_link_in_its_place_is_refused(make_store, tmp_path, name):
    """
    Followed, it would have us write, or hold, whatever file another user chose.
    """
    target = tmp_path / "target"
    (tmp_path / name).symlink_to(target)

    with pytest.raises(ConfigError, match=f"{name} est un lien symbolique"):
        make_store(tmp_path / "x.db").open()

    assert not target.exists()


def test_a_link_planted_later_for_the_lock_is_not_followed(make_store, tmp_path):
    """
    Between the look and the opening: the kernel refuses it.
    """
    store = make_store(tmp_path / "x.db")
    store.open()
    store._connections().writer.connection._close_all()
    lock = tmp_path / "x.db.lock"
    lock.unlink()
    lock.symlink_to(tmp_path / "target")

    with pytest.raises(Exception, match=r"[Ss]ymboli"):
        store.payments.add_intent("sandbox", "shop", "CMD-1", amount=1, currency="XOF")
    assert not (tmp_path / "target").exists()
    lock.unlink()
    assert store.payments.add_intent("sandbox", "shop", "CMD-1", amount=1, currency="XOF") is None
