"""A data directory without room: 452 and nothing half-written, while what is held already goes on its way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.server_under_load import wait_until
from tests.scenarios.surroundings import Client, Surroundings, fill, mounted, put, put_until_taken, started

pytestmark = pytest.mark.interop


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=64M", "tmpfs") as directory:
        yield directory


def put_until_refused(port: int) -> set[str]:
    """What was taken until the first 452."""
    taken, end = set[str](), time.monotonic() + 10
    while (code := put(port, token := f"early{len(taken)}")) != 452:
        assert code == 250
        assert time.monotonic() < end
        taken.add(token)
        time.sleep(0.05)
    return taken


def is_whole(server: Surroundings) -> bool:
    """No file of a message that was refused is left, and fsck has nothing to say."""
    return server.shard_files("tmp") == [] and server.shard_files("bodies") == []


def test_a_disk_below_min_free_refuses_new_mail_and_lets_held_mail_go(tmp_path: Path, disk: Path) -> None:
    with started(Surroundings(tmp_path, disk / "data", min_free="24M")) as server:
        server.stop_sink()
        held = {f"held{number}" for number in range(10)}
        assert [put(server.port, token) for token in sorted(held)] == [250] * 10
        server.command("queue", "hold", "--all")
        open_session = Client(server.port)

        ballast = fill(disk, leave=23 << 20)
        # Free space is looked at once a second: a message or two may still come in.
        held |= put_until_refused(server.port)
        assert open_session.put("early")[0] == 452
        assert open_session.put("early-large", 600_000)[0] == 452

        server.start_sink()
        server.command("queue", "release", "--all")
        wait_until(lambda: set(server.recorded()) == held, 30, "held mail is delivered")
        wait_until(lambda: server.queue() == [], 10, "the queue is empty")
        assert put(server.port, "still") == 452
        assert is_whole(server)

        ballast.unlink()
        put_until_taken(server.port, "later")
        assert open_session.put("same-session")[0] == 250
        wait_until(lambda: set(server.recorded()) == held | {"later", "same-session"}, 30, "new mail is delivered")
        assert server.stop() == 0


def test_a_disk_without_an_octet_left_says_452_and_keeps_what_it_said_250_to(tmp_path: Path, disk: Path) -> None:
    with started(Surroundings(tmp_path, disk / "data", min_free="0")) as server:
        server.stop_sink()
        client, taken, codes = Client(server.port), set[str](), set[int]()
        ballast = fill(disk, leave=3 << 20)
        for number in range(60):
            token, octets = f"full{number}", 400_000 if number % 2 else 30_000
            code, _ = client.put(token, octets)
            codes.add(code)
            if code == 250:
                taken.add(token)
        assert codes == {250, 452}
        assert client.noop() == 250

        ballast.unlink()
        put_until_taken(server.port, "later")
        taken.add("later")
        server.start_sink()
        server.command("queue", "retry", "--all")
        wait_until(lambda: taken <= set(server.recorded()), 40, "everything taken is delivered")
        assert set(server.recorded()) == taken
        wait_until(lambda: server.queue() == [], 20, "the queue is empty")
        wait_until(lambda: is_whole(server), 10, "nothing half-written is left")
        assert server.stop() == 0
