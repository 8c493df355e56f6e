"""Uploads in memory and in files: the same promises; then what only files can do."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from posthouse.adapters.files import Files, Space
from posthouse.adapters.sqlite.disk import Disk
from posthouse.adapters.uploads import FileUploads
from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import FakeClock
from posthouse.ports.store_errors import StoreError
from posthouse.ports.uploads import TooManyUploads, Upload, Uploads
from posthouse.ports.uploads_memory import MemoryUploads

ALICE, BOB = AccountId(1), AccountId(2)
LIMIT = 100_000


class FullFiles(Files):
    def space(self, path: str) -> Space:
        return Space(0, 0)


class SlowFiles(Files):
    """Each write waits for the file to be closed under it, for a moment."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.closed = threading.Event(), threading.Event()
        self.was_closed_within: list[bool] = []

    def write(self, descriptor: int, pieces: Sequence[bytes]) -> None:
        self.begun.set()
        self.was_closed_within.append(self.closed.wait(0.1))
        super().write(descriptor, pieces)

    def close(self, descriptor: int) -> None:
        super().close(descriptor)
        self.closed.set()


class Rig:
    def __init__(self, path: Path, executor: ThreadPoolExecutor) -> None:
        self.path, self.executor = path, executor
        self.clock = FakeClock()
        self._serials = itertools.count(1)

    def make_token(self) -> str:
        return f"token{next(self._serials)}"

    def in_memory(self) -> Uploads:
        return MemoryUploads(self.clock, self.make_token, LIMIT)

    def in_files(self, files: Files | None = None) -> FileUploads:
        return FileUploads(
            str(self.path),
            Disk(files or Files(), self.executor),
            self.clock,
            self.make_token,
            max_octets=LIMIT,
            min_free=Space(1, 1),
        )

    def names(self) -> list[str]:
        return sorted(str(found.relative_to(self.path)) for found in self.path.rglob("*") if found.is_file())


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with ThreadPoolExecutor(1) as executor:
        yield Rig(tmp_path, executor)


@pytest.fixture(params=["memory", "files"])
def uploads(request: pytest.FixtureRequest, rig: Rig) -> Uploads:
    makers: dict[str, Callable[[], Uploads]] = {"memory": rig.in_memory, "files": rig.in_files}
    return makers[request.param]()


async def put(uploads: Uploads, *pieces: bytes, account: AccountId = ALICE, media_type: str = "text/plain") -> Upload:
    writer = uploads.begin(account, media_type)
    try:
        for piece in pieces:
            await writer.write(piece)
        return await writer.finish()
    finally:
        writer.discard()


async def test_what_is_uploaded_is_there_with_its_type_and_in_parts(uploads: Uploads, rig: Rig) -> None:
    upload = await put(uploads, b"Hello, ", b"world")
    assert (upload.size, upload.type, upload.expires) == (12, "text/plain", rig.clock.now() + 86400)
    assert await uploads.find(ALICE, upload.id) == upload
    assert await uploads.read(ALICE, upload.id) == b"Hello, world"
    assert await uploads.read(ALICE, upload.id, 7) == b"world"
    assert await uploads.read(ALICE, upload.id, 7, 2) == b"wo"
    assert await uploads.read(ALICE, upload.id, 50, 2) == b""


async def test_nothing_at_all_can_be_uploaded(uploads: Uploads) -> None:
    upload = await put(uploads)
    assert await uploads.read(ALICE, upload.id) == b""


async def test_it_belongs_to_its_account(uploads: Uploads) -> None:
    upload = await put(uploads, b"mine")
    assert await uploads.find(BOB, upload.id) is None
    assert await uploads.read(BOB, upload.id) is None


@pytest.mark.parametrize("name", ["", "nothing", "../1/token1", "token1.part", "/etc/passwd", "x" * 65, "é"])
async def test_what_is_no_id_is_not_there(uploads: Uploads, name: str) -> None:
    await put(uploads, b"mine")
    assert await uploads.find(ALICE, name) is None
    assert await uploads.read(ALICE, name) is None


async def test_it_is_over_after_a_day_and_swept(uploads: Uploads, rig: Rig) -> None:
    old = await put(uploads, b"old")
    rig.clock.advance(86399)
    fresh = await put(uploads, b"fresh", account=BOB)
    assert await uploads.find(ALICE, old.id) is not None
    rig.clock.advance(1)
    assert await uploads.find(ALICE, old.id) is None
    assert await uploads.read(ALICE, old.id) is None
    await uploads.sweep()
    assert await uploads.find(BOB, fresh.id) is not None


async def test_an_account_has_no_more_here_than_it_may(uploads: Uploads) -> None:
    await put(uploads, b"x" * (LIMIT - 20_000))
    with pytest.raises(TooManyUploads):
        await put(uploads, b"x" * 30_000)
    assert (await put(uploads, b"x" * 10_000)).size == 10_000
    assert (await put(uploads, b"x" * 50_000, account=BOB)).size == 50_000


async def test_what_is_swept_makes_room(uploads: Uploads, rig: Rig) -> None:
    await put(uploads, b"x" * (LIMIT - 5_000))
    rig.clock.advance(86400)
    await uploads.sweep()
    assert (await put(uploads, b"x" * 50_000)).size == 50_000


async def test_what_was_given_up_is_not_there_and_counts_nothing(uploads: Uploads) -> None:
    for _ in range(5):
        writer = uploads.begin(ALICE, "text/plain")
        await writer.write(b"x" * 60_000)
        writer.discard()
    assert (await put(uploads, b"x" * 60_000)).size == 60_000


# -- files


async def test_files_lie_with_their_account_and_go_with_their_folder(rig: Rig) -> None:
    uploads = rig.in_files()
    upload = await put(uploads, b"octets", media_type="image/png")
    assert rig.names() == [f"1/{upload.id}"]
    assert os.stat(rig.path / "1" / upload.id).st_mode & 0o777 == 0o600
    assert os.stat(rig.path / "1").st_mode & 0o777 == 0o700
    rig.clock.advance(86400)
    await uploads.sweep()
    assert list(rig.path.iterdir()) == []


async def test_another_worker_finds_it(rig: Rig) -> None:
    upload = await put(rig.in_files(), b"octets", media_type="image/png")
    assert await rig.in_files().find(ALICE, upload.id) == upload


async def test_what_a_crash_left_is_no_upload_and_is_swept(rig: Rig) -> None:
    uploads = rig.in_files()
    (rig.path / "1").mkdir()
    (rig.path / "1" / "token9.part").write_bytes(b"half")
    os.utime(rig.path / "1" / "token9.part", (rig.clock.now(), rig.clock.now()))
    assert await uploads.find(ALICE, "token9") is None
    await uploads.sweep()
    assert rig.names() == ["1/token9.part"]
    rig.clock.advance(86400)
    await uploads.sweep()
    assert rig.names() == []


async def test_many_tiny_ones_count_as_blocks(rig: Rig) -> None:
    uploads = rig.in_files()
    for _ in range(LIMIT // 4096):
        await put(uploads, b"x")
    with pytest.raises(TooManyUploads):
        await put(uploads, b"x")


class Counting(FileUploads):
    scans = 0

    def count_octets(self, folder: str) -> int:
        self.scans += 1
        return super().count_octets(folder)


async def test_the_directory_is_not_read_for_each_upload_but_before_one_is_refused(rig: Rig) -> None:
    disk = Disk(Files(), rig.executor)
    uploads = Counting(str(rig.path), disk, rig.clock, rig.make_token, max_octets=LIMIT)
    for _ in range(20):
        await put(uploads, b"x")
    assert uploads.scans == 1
    rig.clock.advance(1.0)
    await put(uploads, b"x")
    assert uploads.scans == 2
    for name in rig.names():  # as another worker sweeps them
        os.unlink(rig.path / name)
    assert (await put(uploads, b"x" * 90_000)).size == 90_000
    with pytest.raises(TooManyUploads):
        await put(uploads, b"x" * 30_000)
    other = rig.in_files()
    with pytest.raises(TooManyUploads):
        await put(other, b"x" * 30_000)


async def test_nothing_is_taken_when_the_disk_is_nearly_full(rig: Rig) -> None:
    with pytest.raises(TooManyUploads):
        rig.in_files(FullFiles()).begin(ALICE, "text/plain")
    memory = MemoryUploads(rig.clock, rig.make_token)
    memory.is_full = True
    with pytest.raises(TooManyUploads):
        memory.begin(ALICE, "text/plain")


async def test_a_file_is_not_closed_under_a_write_whose_client_has_gone(rig: Rig) -> None:
    files = SlowFiles()
    with ThreadPoolExecutor(2) as executor:
        rig.executor = executor
        writer = rig.in_files(files).begin(ALICE, "text/plain")
        writing = asyncio.create_task(writer.write(b"a piece"))
        await asyncio.to_thread(files.begun.wait)
        writing.cancel()
        writer.discard()
        await asyncio.gather(writing, return_exceptions=True)
    assert files.closed.is_set()
    assert not any(files.was_closed_within)
    assert rig.names() == []


async def test_what_was_given_up_is_not_begun_again(rig: Rig) -> None:
    writer = rig.in_files().begin(ALICE, "text/plain")
    writer.discard()
    with pytest.raises(StoreError):
        await writer.write(b"late")
    assert rig.names() == []
