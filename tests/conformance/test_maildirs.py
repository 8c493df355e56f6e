"""What every Maildirs does, on disk or in memory: one suite, both pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from posthouse.adapters.maildir import FileMaildirs
from posthouse.ports.maildir import FakeMaildirs, MaildirDelivery, MaildirError, Maildirs
from posthouse.ports.spool import Body, InlineBody


class FileBody:
    """A body that is read in pieces."""

    inline = None

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    async def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


@dataclass
class Place:
    """Maildirs below `root`, and how to look into one. Line ends of what is found are LF."""

    maildirs: Maildirs
    root: str
    look: Callable[[str], list[bytes]]
    break_box: Callable[[str], None]

    def make(self, name: str, prefix: bytes, body: Body) -> MaildirDelivery:
        return MaildirDelivery(self.root, f"{self.root}/{name}", prefix, body)


@pytest.fixture(params=["files", "memory"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    root = tmp_path / "mail"
    root.mkdir()
    if request.param == "memory":
        fake = FakeMaildirs()
        yield Place(
            fake,
            str(root),
            lambda name: sorted(one.replace(b"\r\n", b"\n") for one in fake.delivered.get(f"{root}/{name}", [])),
            lambda name: fake.failing.add(f"{root}/{name}"),
        )
        return
    real = FileMaildirs("mail.example.org")
    yield Place(
        real,
        str(root),
        lambda name: sorted(path.read_bytes() for path in (root / name / "new").glob("*")),
        lambda name: (root / name).write_text("a file is in the way"),  # type: ignore[arg-type]
    )
    await real.close()


async def test_a_message_is_its_prefix_and_its_body(place: Place) -> None:
    assert await place.maildirs.deliver([place.make("a", b"One: 1\r\n", InlineBody(b"Two: 2\r\n\r\nx\r\n"))]) == [None]
    assert place.look("a") == [b"One: 1\nTwo: 2\n\nx\n"]


async def test_a_body_in_a_file_is_delivered_like_one_in_memory(place: Place) -> None:
    data = b"Subject: x\r\n\r\n" + b"".join(b"line %d\r\n" % number for number in range(100_000))
    assert await place.maildirs.deliver([place.make("a", b"One: 1\r\n", FileBody(data))]) == [None]
    assert place.look("a") == [b"One: 1\n" + data.replace(b"\r\n", b"\n")]


async def test_many_for_one_mailbox_all_arrive(place: Place) -> None:
    deliveries = [place.make("a", b"", InlineBody(b"%03d\r\n" % number)) for number in range(150)]
    assert await place.maildirs.deliver(deliveries) == [None] * 150
    assert place.look("a") == [b"%03d\n" % number for number in range(150)]


async def test_many_at_once_all_arrive(place: Place) -> None:
    calls = [
        place.maildirs.deliver([place.make(f"d/{number % 7}", b"", InlineBody(b"%03d\r\n" % number))])
        for number in range(200)
    ]
    assert await asyncio.gather(*calls) == [[None]] * 200
    found = sorted(one for box in range(7) for one in place.look(f"d/{box}"))
    assert found == [b"%03d\n" % number for number in range(200)]


async def test_one_mailbox_that_fails_leaves_the_others_alone(place: Place) -> None:
    place.break_box("broken")
    deliveries = [place.make(name, b"", InlineBody(b"x\r\n")) for name in ("a", "broken", "b")]
    results = await place.maildirs.deliver(deliveries)
    assert [type(one) for one in results] == [type(None), MaildirError, type(None)]
    assert str(results[1]).startswith(f"{place.root}/broken: ")
    assert place.look("a") == place.look("b") == [b"x\n"]


async def test_nothing_to_deliver(place: Place) -> None:
    assert await place.maildirs.deliver([]) == []
