"""Maildirs on a real file system: names, modes, links, and disks that fail."""

from __future__ import annotations

import asyncio
import errno
import mailbox
import os
import re
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.adapters.durable import FileCalls
from posthouse.adapters.maildir import FileMaildirs
from posthouse.ports.maildir import MaildirDelivery, MaildirError
from posthouse.ports.spool import Body, InlineBody, SpoolError

BODY = InlineBody(b"Subject: x\r\n\r\nx\r\n")
MANY = 20


class RecordedCalls(FileCalls):
    """Says what was done, in order, and fails where it is told to."""

    def __init__(self, *, whole: bool) -> None:
        super().__init__()
        self.whole = whole
        self.done: list[str] = []
        self.failing: dict[str, int] = {}

    def _note(self, what: str) -> None:
        self.done.append(what)
        if what in self.failing:
            raise OSError(self.failing[what], os.strerror(self.failing[what]))

    def write(self, fd: int, data: bytes) -> None:
        self._note("write")
        super().write(fd, data)

    def fsync(self, fd: int) -> None:
        self._note("fsync directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "fsync file")

    def syncfs(self, fd: int) -> None:
        self._note("syncfs")

    def rename(self, source: str, target: str, source_fd: int, target_fd: int) -> None:
        self._note("rename")
        super().rename(source, target, source_fd, target_fd)

    def can_syncfs(self, device: int) -> bool:
        return self.whole


class Disk:
    """A root with Maildirs below it."""

    def __init__(self, root: Path, calls: FileCalls) -> None:
        self.root, self.calls = root, calls
        self.maildirs = FileMaildirs("mail.example.org", files=calls, now=lambda: 1_800_000_000.25)

    async def deliver(self, *names: str, body: Body = BODY) -> list[MaildirError | None]:
        return await self.maildirs.deliver(
            [MaildirDelivery(str(self.root), f"{self.root}/{name}", b"A: b\r\n", body) for name in names]
        )

    def files(self, name: str, folder: str = "new") -> list[Path]:
        return sorted((self.root / name / folder).iterdir())


@pytest.fixture(params=[False, True], ids=["fsync", "syncfs"])
async def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Disk]:
    disk = Disk(tmp_path / "mail", RecordedCalls(whole=request.param))
    disk.root.mkdir()
    yield disk
    await disk.maildirs.close()


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    made = Disk(tmp_path / "mail", FileCalls())
    made.root.mkdir()
    yield made
    await made.maildirs.close()


def calls_of(disk: Disk) -> RecordedCalls:
    assert isinstance(disk.calls, RecordedCalls)
    return disk.calls


async def test_a_single_message_is_synced_before_and_after_it_is_renamed(recorded: Disk) -> None:
    await recorded.deliver("a")
    calls_of(recorded).done.clear()
    assert await recorded.deliver("a") == [None]
    assert calls_of(recorded).done == ["write", "fsync file", "rename", "fsync directory"]


async def test_many_messages_are_synced_before_and_after_they_are_renamed(recorded: Disk) -> None:
    await recorded.deliver("a")
    calls = calls_of(recorded)
    calls.done.clear()
    assert await recorded.deliver(*["a"] * MANY) == [None] * MANY
    if calls.whole:
        assert calls.done == ["write"] * MANY + ["syncfs"] + ["rename"] * MANY + ["syncfs"]
    else:
        files = ["write"] * MANY + ["fsync file"] * MANY + ["rename"] * MANY
        assert calls.done == [*files, "fsync directory"]  # one for all of them


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("what", ["write", "fsync file", "fsync directory", "syncfs", "rename"])
async def test_a_failing_disk_is_a_temporary_failure_and_leaves_nothing(
    recorded: Disk, what: str, code: int, count: int
) -> None:
    await recorded.deliver("a")
    before = recorded.files("a")
    calls = calls_of(recorded)
    calls.done.clear()
    calls.failing = {what: code}
    results = await recorded.deliver(*["a"] * count)
    if what in calls.done:
        assert all(isinstance(one, MaildirError) for one in results)
        assert os.strerror(code) in str(results[0])
        assert recorded.files("a") == before
    assert recorded.files("a", "tmp") == []
    calls.failing = {}
    assert await recorded.deliver("a") == [None]


async def test_a_failed_sync_of_the_names_takes_back_what_was_renamed(recorded: Disk) -> None:
    """The first sync is good, the second is not: the messages were already in new/."""
    await recorded.deliver("a")
    calls = calls_of(recorded)
    last = "syncfs" if calls.whole else "fsync directory"
    good_rename = calls.rename

    def rename_then_fail(source: str, target: str, source_fd: int, target_fd: int) -> None:
        good_rename(source, target, source_fd, target_fd)
        calls.failing = {last: errno.EIO}

    calls.rename = rename_then_fail  # type: ignore[method-assign]
    results = await recorded.deliver(*["a"] * MANY)
    assert all(isinstance(one, MaildirError) for one in results)
    assert len(recorded.files("a")) == 1


async def test_a_new_mailbox_is_made_durably_and_for_us_alone(recorded: Disk) -> None:
    old = os.umask(0)
    try:
        await recorded.deliver("example.org/ann")
    finally:
        os.umask(old)
    assert calls_of(recorded).done[:3] == ["fsync directory"] * 3  # above each level, and the folders
    made = [recorded.root / "example.org", *(recorded.root / "example.org").rglob("*")]
    assert {path.name for path in made if path.is_dir()} == {"example.org", "ann", "cur", "new", "tmp"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700, 0o600}


async def test_names_are_unique_and_tell_the_size(disk: Disk) -> None:
    await disk.deliver(*["a"] * MANY)
    names = [path.name for path in disk.files("a")]
    pattern = re.compile(rf"1800000000\.M250000P{os.getpid()}Q\d+\.mail\.example\.org,S=(\d+)")
    for path in disk.files("a"):
        found = pattern.fullmatch(path.name)
        assert found is not None
        assert int(found[1]) == path.stat().st_size
    assert len(set(names)) == MANY


async def test_the_standard_library_reads_the_mailbox(disk: Disk) -> None:
    await disk.deliver("a", "a")
    found = [dict(message.items()) for message in mailbox.Maildir(disk.root / "a", create=False)]
    assert found == [{"A": "b", "Subject": "x"}] * 2


async def test_a_host_name_with_a_slash_makes_no_directory(tmp_path: Path) -> None:
    maildirs = FileMaildirs("a/b:c")
    await maildirs.deliver([MaildirDelivery(str(tmp_path), f"{tmp_path}/box", b"", BODY)])
    await maildirs.close()
    (found,) = (tmp_path / "box" / "new").iterdir()
    assert ".a\\057b\\072c," in found.name


async def test_the_root_must_exist(disk: Disk) -> None:
    disk.root.rmdir()
    (problem,) = await disk.deliver("a")
    assert isinstance(problem, MaildirError)
    assert not disk.root.exists()


@pytest.mark.parametrize("name", ["../a", "a/../../b", "a//b", ".", "", "a/./b", "a\x00b", "n" * 300, "\ud800"])
async def test_paths_that_lead_elsewhere_are_refused(disk: Disk, name: str) -> None:
    (problem,) = await disk.deliver(name)
    assert isinstance(problem, MaildirError)
    assert not (disk.root.parent / "a").exists()


async def test_a_path_beside_the_root_is_refused(disk: Disk) -> None:
    beside = MaildirDelivery(str(disk.root), f"{disk.root}2/a", b"", BODY)
    (problem,) = await disk.maildirs.deliver([beside])
    assert isinstance(problem, MaildirError)


@pytest.mark.parametrize("link", ["example.org", "example.org/ann", "example.org/ann/new", "example.org/ann/tmp"])
async def test_symbolic_links_below_the_root_are_not_followed(disk: Disk, tmp_path: Path, link: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = disk.root / link
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(elsewhere)
    (problem,) = await disk.deliver("example.org/ann")
    assert isinstance(problem, MaildirError)
    assert list(elsewhere.iterdir()) == []


async def test_a_root_that_is_a_link_is_the_administrators_choice(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(disk.root)
    root = f"{tmp_path}/link"
    assert await disk.maildirs.deliver([MaildirDelivery(root, f"{root}/a", b"", BODY)]) == [None]


async def test_a_mailbox_that_was_moved_away_is_made_anew(disk: Disk) -> None:
    await disk.deliver("a")
    (disk.root / "a").rename(disk.root / "old")
    assert await disk.deliver("a") == [None]
    assert len(disk.files("a")) == len(disk.files("old")) == 1


async def test_folders_that_were_removed_are_made_anew(disk: Disk) -> None:
    await disk.deliver("a")
    (disk.root / "a" / "tmp").rmdir()
    assert await disk.deliver("a") == [None]
    assert len(disk.files("a")) == 2


async def test_more_mailboxes_than_are_kept_open(disk: Disk) -> None:
    names = [str(number) for number in range(130)]
    for _ in range(2):
        assert await disk.deliver(*names) == [None] * 130
    assert len(os.listdir("/proc/self/fd")) < 400
    assert all(len(disk.files(name)) == 2 for name in names)


async def test_descriptors_are_given_back(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    disk = Disk(tmp_path, FileCalls())
    await disk.deliver(*[str(number) for number in range(30)])
    await disk.maildirs.close()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_deliveries_wait_for_each_other_and_then_share_a_sync(tmp_path: Path) -> None:
    calls = RecordedCalls(whole=True)
    gate = threading.Event()
    good_write = calls.write

    def slow_write(fd: int, data: bytes) -> None:
        gate.wait(20)
        good_write(fd, data)

    calls.write = slow_write  # type: ignore[method-assign]
    disk = Disk(tmp_path, calls)
    first = asyncio.ensure_future(disk.deliver("a"))
    others = [asyncio.ensure_future(disk.deliver(f"b{number}")) for number in range(MANY)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(first, *others) == [[None]] * (MANY + 1)
    assert calls.done.count("syncfs") <= 4
    await disk.maildirs.close()


async def test_a_syncfs_held_up_by_others_is_left_alone_for_a_while(tmp_path: Path) -> None:
    calls = RecordedCalls(whole=True)
    time = [0.0]
    good_syncfs = calls.syncfs

    def slow_syncfs(fd: int) -> None:
        time[0] += 0.5
        good_syncfs(fd)

    calls.syncfs = slow_syncfs  # type: ignore[method-assign]
    maildirs = FileMaildirs("mail.example.org", files=calls, monotonic=lambda: time[0])
    deliveries = [MaildirDelivery(str(tmp_path), f"{tmp_path}/a", b"", BODY)] * MANY
    await maildirs.deliver(deliveries)
    assert calls.done.count("syncfs") == 1
    await maildirs.deliver(deliveries)
    assert calls.done.count("syncfs") == 1
    time[0] += 60
    await maildirs.deliver(deliveries)
    assert calls.done.count("syncfs") == 2
    await maildirs.close()


class EndingBody:
    """A file that is shorter than it was."""

    inline = None
    size = 1_000_000

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def read(self, offset: int, length: int) -> bytes:
        if self._error is not None and offset:
            raise self._error
        return b"x" * length if not offset else b""


@pytest.mark.parametrize("error", [None, SpoolError("gone")])
async def test_a_body_that_ends_early_is_not_delivered(disk: Disk, error: Exception | None) -> None:
    (problem,) = await disk.deliver("a", body=EndingBody(error))
    assert isinstance(problem, MaildirError)
    assert disk.files("a") == disk.files("a", "tmp") == []


async def test_a_delivery_that_is_cancelled_leaves_no_file_and_no_descriptor(disk: Disk) -> None:
    await disk.deliver("a")
    before = len(os.listdir("/proc/self/fd"))
    waiting = asyncio.Event()

    class StuckBody(EndingBody):
        async def read(self, offset: int, length: int) -> bytes:
            if offset:
                waiting.set()
                await asyncio.Event().wait()
            return b"x" * length

    task = asyncio.ensure_future(disk.deliver("a", body=StuckBody()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert disk.files("a", "tmp") == []
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("cut", range(262_130, 262_150))
async def test_a_line_end_between_two_pieces_becomes_one_line_feed(disk: Disk, cut: int) -> None:
    data = b"x" * cut + b"\r\n" + b"y" * 10 + b"\r\n"

    class PieceBody:
        inline = None
        size = len(data)

        async def read(self, offset: int, length: int) -> bytes:
            return data[offset : offset + length]

    await disk.deliver("a", body=PieceBody())
    (found,) = disk.files("a")
    assert found.read_bytes() == b"A: b\n" + data.replace(b"\r\n", b"\n")
