"""Row 5: the disk is full, and then it is not."""

import os
import subprocess
import time

import pytest
from support.shops import Shop, is_sound, rows

from fedapay_sync.store import Store

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.faults(row=5)

#: Bytes of a webhook, so that the disk is full soon; and there is room for all when it is not.
LARGE = 3_000
#: What a file may grow to, and what stands in the way on a disk of 4 MB.
LIMIT = 600_000
BALLAST = 3_200_000


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 4 MB of which most is taken; ``free()`` gives it back."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk of our own: {mounted.stderr.strip()}")
    ballast = folder / "ballast"
    ballast.write_bytes(b"x" * BALLAST)
    yield folder, ballast.unlink
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root mounts a disk")
def test_on_a_full_disk_webhooks_are_refused_and_taken_again_when_there_is_room(
    small_disk, emulator, free_port, tmp_path, eventually
):
    """
    A real one, of 4 MB: what was answered 200 is a row, the rest 503, and nobody restarts anything.
    """
    folder, free = small_disk
    shop = Shop(emulator, f"sqlite:///{folder}/shop.db", free_port, tmp_path)
    shop.start()
    try:
        fill_and_recover(shop, free, Store(f"sqlite:///{folder}/shop.db"), eventually)
    finally:
        shop.kill()


def test_with_files_that_may_not_grow_it_is_the_same(emulator, free_port, tmp_path, eventually):
    """
    A quota: the limit of this process on the size of a file.
    """
    url = f"sqlite:///{tmp_path}/store/shop.db"
    shop = Shop(emulator, url, free_port, tmp_path)
    shop.start()
    unlimited = resource.prlimit(shop.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(shop.process.pid, resource.RLIMIT_FSIZE, (LIMIT, unlimited[1]))

    def lift():
        resource.prlimit(shop.process.pid, resource.RLIMIT_FSIZE, unlimited)

    try:
        fill_and_recover(shop, lift, Store(url), eventually)
    finally:
        shop.kill()


def fill_and_recover(shop, free, store, eventually):
    taken, refused, longest = [], [], 0.0
    for number in range(1, 200):
        begun = time.monotonic()
        status = shop.deliver(number, LARGE)
        longest = max(longest, time.monotonic() - begun)
        assert status in (200, 503), shop.said()
        (taken if status == 200 else refused).append(number)
        if len(refused) == 20:
            break
    assert taken and len(refused) == 20
    assert longest < 11
    said = shop.said()
    assert "disque est plein" in said or "disk I/O error" in said, said[-2000:]

    free()
    for number in refused:
        eventually(lambda number=number: shop.deliver(number, LARGE) == 200, 15)
    eventually(lambda: rows(store, "SELECT count(*) FROM fp_event WHERE work_state <> 'done'") == [(0,)], 30)
    kept = [int(row[0]) for row in rows(store, "SELECT entity_id FROM fp_event")]
    assert sorted(kept) == sorted(taken + refused)
    assert shop.told() == dict.fromkeys(kept, 1)
    assert shop.starts == 1 and is_sound(store)
    store.close()
