"""mbox files as other programs write them, cut into messages in pieces of any size."""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.adapters import mbox
from posthouse.adapters.mbox import MboxSource, find_files, read_message, split_mbox
from posthouse.adapters.mbox_writer import MboxSink, format_message
from posthouse.ports.transfer import Leaving, Letter, TransferError

FROM = b"From ann@example.com Tue Nov 14 22:13:20 2023\n"
LIMIT = 1 << 20


def split(octets: bytes, chunk: int = 1 << 20, limit: int = LIMIT) -> list[bytes | None]:
    at = 0

    def read(_: int) -> bytes:
        nonlocal at
        piece = octets[at : at + chunk]
        at += chunk
        return piece

    found = list(split_mbox(read, 0, limit))
    assert found == [] or found[-1][1] == len(octets)
    assert all(piece is None or octets[first:last] == piece for first, last, piece in found)
    return [piece for _, _, piece in found]


def read(raw: bytes) -> Letter:
    letter = Letter("", "", (), b"")
    read_message(raw, letter)
    return letter


def letters(path: Path, mark: str = "", limit: int = LIMIT) -> list[Letter]:
    return list(MboxSource(str(path), ("Box",), limit=limit).letters({"": mark} if mark else {}))


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 50, 600, 10_000])
def test_messages_end_where_a_from_line_follows_a_blank_line(chunk: int) -> None:
    one = FROM + b"Subject: 1\n\nFrom here on Nov 14 at 22:13 in 2023 it rains\nstill 1\n\n"
    two = FROM + b"Subject: 2\n\n>From me\nFrom you, too\n\nFrom nowhere\n\n"
    three = FROM + b"Subject: 3\n\n" + b"long\n" * 300 + b"no end of line"
    assert split(one + two + three, chunk) == [one, two, three]


@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_crlf_ends_lines_too(chunk: int) -> None:
    whole = (FROM + b"Subject: 1\n\nhello\n\n").replace(b"\n", b"\r\n")
    assert split(whole * 3, chunk) == [whole] * 3
    assert read(whole).octets == b"Subject: 1\r\n\r\nhello\r\n"


def test_a_huge_mbox_is_read_in_constant_memory() -> None:
    """Other servers took as much memory as the file is long."""
    message = (
        FROM + b"Subject: 1\n\n" + b"a line of seventy characters, as most of mail is written, more or less\n" * 60
    )
    block = (message + b"\n") * 200
    left = 200

    def read_block(_: int) -> bytes:
        nonlocal left
        left -= 1
        return block if left >= 0 else b""

    tracemalloc.start()
    count = sum(1 for _ in split_mbox(read_block, 0, LIMIT))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 200 * 200
    assert peak < 6 * len(block)
    assert 200 * len(block) > 150 << 20


def test_what_is_no_mbox_is_refused_and_an_empty_one_is_not() -> None:
    with pytest.raises(TransferError, match="From"):
        split(b"Subject: 1\n\nhello\n")
    assert split(b"") == []
    assert split(b"\n\n") == []
    assert split(b"\n" + FROM + b"\nx\n") == [FROM + b"\nx\n"]


@pytest.mark.parametrize("chunk", [100, 1000, 100_000])
def test_a_message_beyond_the_limit_is_passed_over_and_the_next_is_not(chunk: int) -> None:
    small, large = FROM + b"Subject: 1\n\nhello\n\n", FROM + b"Subject: 2\n\n" + b"much\n" * 2000 + b"\n"
    assert split(small + large + small + large, chunk, 5000) == [small, None, small, None]


@pytest.mark.parametrize(
    ("line", "instant"),
    [
        (b"From a@b Tue Nov 14 22:13:20 2023", 1_700_000_000),
        (b"From a@b Tue Nov 14 22:13 2023", 1_699_999_980),
        (b"From - Tue Nov 14 22:13:20 2023", 1_700_000_000),
        (b"From 1782@xxx Tue Nov 14 22:13:20 +0000 2023", 1_700_000_000),
        (b"From a@b Tue Nov 14 23:13:20 2023 +0100", 1_700_000_000),
        (b"From a@b Tue Nov 99 22:13:20 2023", None),
    ],
)
def test_dates_of_from_lines(line: bytes, instant: int | None) -> None:
    raw = line + b"\nSubject: x\n\n"
    assert split(raw) == [raw]
    assert read(raw).received == instant


def test_quoting_is_undone_once() -> None:
    letter = read(FROM + b"Subject: 1\n\n>From a\n>>From b\n> From c\n>Fromage\n\n")
    assert letter.octets == b"Subject: 1\r\n\r\nFrom a\r\n>From b\r\n> From c\r\n>Fromage\r\n"


def test_mixed_ends_of_lines_become_crlf() -> None:
    assert (
        read(FROM + b"Subject: 1\r\nX: y\n\nhello\r\nyou\n\n").octets == b"Subject: 1\r\nX: y\r\n\r\nhello\r\nyou\r\n"
    )


def test_data_of_a_mail_program_is_no_message() -> None:
    text = b"From: Mail System Internal Data <x@y>\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\nx\n\n"
    assert read(FROM + text).is_deleted
    assert not read(FROM + text.replace(b"DON'T", b"Do not")).is_deleted


def test_going_on_takes_only_what_is_behind_the_mark(tmp_path: Path) -> None:
    file = tmp_path / "box"
    whole = b"".join(FROM + b"Subject: %d\n\nhello\n\n" % number for number in range(3))
    file.write_bytes(whole)
    first = letters(file)
    assert [each.octets[:10] for each in first] == [b"Subject: 0", b"Subject: 1", b"Subject: 2"]
    assert [each.octets[:10] for each in letters(file, first[0].position)] == [b"Subject: 1", b"Subject: 2"]
    file.write_bytes(whole + FROM + b"Subject: 3\n\nnew\n\n")
    assert [each.octets[:10] for each in letters(file, first[2].position)] == [b"Subject: 3"]


def test_a_file_that_was_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    file = tmp_path / "box"
    file.write_bytes((FROM + b"Subject: 1\n\nhello\n\n") * 2)
    mark = letters(file)[0].position
    file.write_bytes((FROM + b"Subject: 1\n\nother\n\n") * 2)
    with pytest.raises(TransferError, match="--again"):
        letters(file, mark)
    file.unlink()
    with pytest.raises(TransferError, match="box: No such file"):
        letters(file)


def test_a_message_that_is_too_long_can_be_behind_the_mark(tmp_path: Path) -> None:
    file = tmp_path / "box"
    file.write_bytes(FROM + b"Subject: 1\n\n" + b"x\n" * 5000 + b"\n" + FROM + b"Subject: 2\n\n")
    first, second = letters(file, limit=1000)
    assert "longer than 1000" in first.problem
    assert [each.octets for each in letters(file, first.position, limit=1000)] == [second.octets]


def test_files_are_named_after_their_mailboxes(tmp_path: Path) -> None:
    (tmp_path / "Work").mkdir()
    for name in ("Work/a&-b.mbox", "INBOX.mbox", "Work/notes.txt", "v1\\2e0.mbox"):
        (tmp_path / name).write_bytes(b"")
    assert [path for _, path in find_files(str(tmp_path))] == [("INBOX",), ("Work", "a&b"), ("v1.0",)]
    assert find_files(str(tmp_path / "Work" / "notes.txt"))[0][1] == ("notes.txt",)


def written(octets: bytes, **more: object) -> bytes:
    fields: dict[str, object] = {"flags": (), "received": 1_700_000_000.25, "zone_minutes": -90, **more}
    return format_message(Leaving("n", 1, octets, **fields))  # type: ignore[arg-type]


def test_what_we_write_carries_flags_date_and_zone() -> None:
    raw = written(b"Subject: 1\r\n\r\nhello\r\n", flags=("\\Seen", "\\Flagged", "\\Draft", "$Junk", "Grün"))
    assert raw.startswith(b"From MAILER-DAEMON Tue Nov 14 22:13:20 2023\nX-Posthouse: size=21 ")
    letter = read(raw)
    assert letter.octets == b"Subject: 1\r\n\r\nhello\r\n"
    assert letter.flags == {"\\Seen", "\\Flagged", "\\Draft", "$Junk", "Grün"}
    assert (letter.received, letter.zone_minutes, letter.says_more) == (1_700_000_000.25, -90, False)


def test_a_message_of_ours_that_was_changed_is_read_like_any_other() -> None:
    letter = read(written(b"Subject: 1\r\n\r\nhello\r\n").replace(b"hello", b"hello and more"))
    assert letter.octets == b"Subject: 1\r\n\r\nhello and more\r\n"
    assert letter.says_more


HOSTILE = st.lists(
    st.sampled_from(
        [b"\n", b"\r\n", b"\r", b"From ", b">From ", b"From a@b Tue Nov 14 22:13:20 2023", b"x", b"\0", b"Status: RO"]
    )
).map(b"".join)


@given(st.lists(HOSTILE, min_size=1, max_size=5), st.integers(min_value=30, max_value=300))
def test_what_goes_out_comes_back_octet_by_octet(messages: list[bytes], chunk: int) -> None:
    whole = b"".join(written(octets) for octets in messages)
    assert [read(piece or b"").octets for piece in split(whole, chunk)] == messages


def test_an_mbox_is_part_until_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    sink = MboxSink(str(target), "1")
    assert sink.open_mailbox(("a/b.mbox",)) == 0
    sink.write([Leaving("n", 1, b"Subject: 1\r\n\r\n", (), 0.0, 0)])
    names = [path.name for path in target.iterdir()]
    assert sorted(names) == [".posthouse-export", "a\\2fb\\2embox.mbox.part"]
    again = MboxSink(str(target), "1")
    assert again.open_mailbox(("a/b.mbox",)) == 0
    sink = MboxSink(str(target), "1")
    sink.open_mailbox(("x" * 255,))
    sink.finish()
    assert ".posthouse-export" not in [path.name for path in target.iterdir()]
    with pytest.raises(TransferError, match="not empty"):
        MboxSink(str(target), "1")


def test_marks_are_checked_by_the_octets_before_them(tmp_path: Path) -> None:
    file = tmp_path / "box"
    file.write_bytes(FROM + b"Subject: 1\n\n")
    first, last, check, count = letters(file)[0].position.split()
    assert (first, last, count) == ("0", str(len(FROM) + 12), "1")
    assert int(check) == zlib.crc32(file.read_bytes())
    assert mbox.CHUNK >= 1 << 16
