"""Archives as others read them, of any size."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import BinaryIO

from posthouse.adapters.zip_stream import ZipStream, measure_list


def test_members_come_back_with_their_times_and_names() -> None:
    stream = ZipStream()
    members = {"Büro/1.eml": b"a" * 5000, "empty.eml": b"", "2.eml": bytes(range(256))}
    octets = b"".join([stream.add(name, text, 1_790_000_000.0) for name, text in members.items()] + [stream.finish()])
    with zipfile.ZipFile(io.BytesIO(octets)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == members
        first = archive.infolist()[0]
        assert first.date_time == (2026, 9, 21, 14, 13, 20)
        assert first.compress_type == zipfile.ZIP_DEFLATED
        assert archive.infolist()[2].compress_type == zipfile.ZIP_STORED
        assert first.external_attr >> 16 == 0o100600


def test_times_that_an_archive_cannot_hold_are_moved_to_what_it_can() -> None:
    stream = ZipStream()
    octets = stream.add("old", b"x", -5.0) + stream.add("late", b"x", 1e11) + stream.finish()
    with zipfile.ZipFile(io.BytesIO(octets)) as archive:
        assert [member.date_time[0] for member in archive.infolist()] == [1980, 2107]


def test_more_members_than_sixteen_bits_count() -> None:
    stream = ZipStream()
    octets = b"".join([stream.add(f"{number}", b"", 0.0) for number in range(70_000)] + [stream.finish()])
    with zipfile.ZipFile(io.BytesIO(octets)) as archive:
        assert len(archive.infolist()) == 70_000
        assert archive.read("69999") == b""
    assert measure_list(io.BytesIO(octets)) > 70_000 * 46


class _Sparse(io.RawIOBase):
    """The archive below as if its first member were many gigabytes: only what is read exists."""

    def __init__(self, tail: bytes, hole: int) -> None:
        self._tail, self._hole, self._at = tail, hole, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._hole + len(self._tail))[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        start = max(0, self._at - self._hole)
        found = self._tail[start:] if size < 0 else self._tail[start : start + size]
        self._at += len(found)
        return found

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def test_members_beyond_four_gigabytes_are_found() -> None:
    hole = 5 << 30
    stream = ZipStream()
    stream._offset = hole
    tail = stream.add("far.eml", b"hello", 0.0) + stream.finish()
    file: BinaryIO = io.BufferedReader(_Sparse(tail, hole))
    assert 0 < measure_list(file) < 200
    with zipfile.ZipFile(_Sparse(tail, hole)) as archive:
        assert archive.read("far.eml") == b"hello"


def test_what_is_no_archive_has_no_list() -> None:
    for octets in (b"", b"x" * 100, b"PK\5\6", zlib.compress(b"x" * 1000)):
        assert measure_list(io.BytesIO(octets)) == -1
    locator = b"PK\6\7" + b"\xff" * 16
    end = b"PK\5\6" + b"\xff" * 16 + b"\0\0"
    assert measure_list(io.BytesIO(locator + end)) == -1
