"""A file system that turns read-only under a running server, as ext4 does when it finds an error.

The kernel does not make it writable again while it is mounted: it is repaired and mounted anew, and the server
started. Until then it answers 4xx and lives.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.server_under_load import wait_until
from tests.scenarios.surroundings import Client, Surroundings, mounted, put_until_taken, started

pytestmark = pytest.mark.interop


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "image"
    with path.open("wb") as stream:
        stream.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(path)], check=True)
    yield path
    path.unlink()


def break_file_system(directory: Path) -> None:
    """What the kernel does when it finds an error on the disk."""
    found = subprocess.run(["findmnt", "-no", "SOURCE", str(directory)], check=True, capture_output=True, text=True)
    Path(f"/sys/fs/ext4/{os.path.basename(found.stdout.strip())}/trigger_fs_error").write_text("scenario")
    wait_until(lambda: is_read_only(directory), 10, "the file system is read-only")


def is_read_only(directory: Path) -> bool:
    try:
        (directory / "probe").touch()
    except OSError:
        return True
    return False


def test_a_disk_that_turns_read_only_is_answered_4xx_until_it_is_repaired(tmp_path: Path, image: Path) -> None:
    disk, taken = tmp_path / "disk", {f"held{number}" for number in range(5)}
    with contextlib.ExitStack() as stack:
        with mounted(disk, "-o", "loop,errors=remount-ro", str(image)):
            server = stack.enter_context(started(Surroundings(tmp_path, disk / "data")))
            refuse_while_read_only(server, disk, taken)
            assert server.stop() == 0
        disk.rmdir()
        assert subprocess.run(["e2fsck", "-fp", str(image)], check=False, capture_output=True).returncode <= 1
        stack.enter_context(mounted(disk, "-o", "loop", str(image)))
        server.start()
        put_until_taken(server.port, "later")
        server.start_sink()
        wait_until(lambda: taken | {"later"} <= set(server.recorded()), 40, "everything taken is delivered")
        assert server.stop() == 0


def refuse_while_read_only(server: Surroundings, disk: Path, taken: set[str]) -> None:
    server.stop_sink()
    client = Client(server.port)
    assert [client.put(token)[0] for token in sorted(taken)] == [250] * len(taken)
    worker = server.worker

    break_file_system(disk)
    codes = [client.put(f"refused{number}", 400_000 if number % 2 else 1000)[0] for number in range(8)]
    assert all(400 <= code < 500 for code in codes), codes
    # The shard is broken by now and no fresh one can be had.
    wait_until(lambda: "shards could not be looked after" in server.log, 10, "the worker has given up the shard")
    assert 400 <= client.put("refused-still")[0] < 500
    assert 400 <= Client(server.port).put("refused-too", 400_000)[0] < 500
    assert client.noop() == 250
    assert server.worker == worker
