"""Maildirs as Dovecot, Courier and others keep them."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from posthouse.adapters.maildir_reader import MaildirSource
from posthouse.adapters.maildir_writer import MaildirSink
from posthouse.ports.transfer import Leaving, Letter, TransferError

SOME = b"Subject: 1\n\nhello\n"


def make_folder(path: Path, **files: bytes) -> Path:
    for part in ("cur", "new", "tmp"):
        (path / part).mkdir(parents=True)
    for name, octets in files.items():
        (path / "cur" / name).write_bytes(octets)
    return path


def read(path: Path, marks: dict[str, str] | None = None, **options: object) -> list[Letter]:
    source = MaildirSource(str(path), **{"limit": 1000, **options})  # type: ignore[arg-type]
    return list(source.letters(marks or {}))


def mail(path: Path, marks: dict[str, str] | None = None, **options: object) -> list[Letter]:
    return [letter for letter in read(path, marks, **options) if not letter.is_mailbox]


def test_flags_and_keywords_are_those_of_the_name(tmp_path: Path) -> None:
    make_folder(tmp_path)
    (tmp_path / "dovecot-keywords").write_text("0 Project\n2 $Junk\n99 Broken\nnothing\n")
    (tmp_path / "cur" / "1.a:2,FRSTDPac").write_bytes(SOME)
    (tmp_path / "cur" / "2.a:2,bS").write_bytes(SOME)
    (tmp_path / "cur" / "3.a!2,S").write_bytes(SOME)
    (tmp_path / "new" / "4.a").write_bytes(SOME)
    every = {"\\Flagged", "\\Answered", "\\Seen", "\\Deleted", "\\Draft", "$Forwarded", "Project", "$Junk"}
    assert [letter.flags for letter in mail(tmp_path)] == [every, {"\\Seen"}, {"\\Seen"}, frozenset()]


def test_pop3_names_are_those_of_dovecots_list(tmp_path: Path) -> None:
    make_folder(tmp_path, **{"1.a:2,S": SOME, "2.b:2,": SOME, "3.c:2,": SOME})
    (tmp_path / "dovecot-uidlist").write_text(
        "3 V1700000000 N4 G0123\n1 W20 P0000000165 :1.a\n2 :2.b\n3 Pthird :3.c:2,S\nbroken\n"
    )
    assert [letter.uidl for letter in mail(tmp_path)] == ["0000000165", "", "third"]


def test_internaldate_is_the_time_of_the_file(tmp_path: Path) -> None:
    make_folder(tmp_path, **{"1.a:2,": SOME})
    os.utime(tmp_path / "cur" / "1.a:2,", ns=(0, 1_000_000_000_250_000_999))
    assert mail(tmp_path)[0].received == 1_000_000_000.25


def test_folders_become_mailboxes(tmp_path: Path) -> None:
    make_folder(tmp_path)
    for name in (".Work", ".Work.Entw&APw-rfe", ".v1\\2e0", "nested/deep"):
        make_folder(tmp_path / name)
    (tmp_path / ".notmail").mkdir()
    (tmp_path / "courierimapkeywords").mkdir()
    paths = [letter.path for letter in read(tmp_path)]
    assert paths == [("INBOX",), ("Work",), ("Work", "Entwürfe"), ("nested", "deep"), ("v1.0",)]
    below = [letter.path for letter in read(tmp_path, below=("Old",))]
    assert below == [("Old",), ("Old", "Work"), ("Old", "Work", "Entwürfe"), ("Old", "nested", "deep"), ("Old", "v1.0")]


def test_lines_get_crlf_unless_the_first_one_has_it(tmp_path: Path) -> None:
    files = {"1:2,": SOME, "2:2,": b"Subject: 2\r\n\r\nbare\nends\r\n", "3:2,": b"Subject: 3\nX: y\r\n\nz", "4:2,": b""}
    make_folder(tmp_path, **files)
    assert [letter.octets for letter in mail(tmp_path)] == [
        b"Subject: 1\r\n\r\nhello\r\n",
        files["2:2,"],
        b"Subject: 3\r\nX: y\r\n\r\nz",
        b"",
    ]


def test_files_that_dovecot_compressed_are_read(tmp_path: Path) -> None:
    make_folder(tmp_path, **{"1:2,SZ": gzip.compress(SOME), "2:2,": gzip.compress(b"x" * 100_000)})
    first, second = mail(tmp_path)
    assert first.octets == b"Subject: 1\r\n\r\nhello\r\n"
    assert "longer than 1000" in second.problem


def test_a_message_beyond_the_limit_is_told(tmp_path: Path) -> None:
    make_folder(tmp_path, **{"1:2,": b"x" * 1001, "2:2,": SOME})
    assert [bool(letter.problem) for letter in mail(tmp_path)] == [True, False]


def test_going_on_begins_behind_the_last_name(tmp_path: Path) -> None:
    make_folder(tmp_path, **{f"{number}.x:2,": SOME for number in range(1, 6)})
    marks = {letter.folder: letter.position for letter in mail(tmp_path)[:3]}
    (tmp_path / "cur" / "2.x:2,").rename(tmp_path / "cur" / "2.x:2,S")
    assert [letter.position for letter in mail(tmp_path, marks)] == ["4.x", "5.x"]


def test_a_file_that_is_renamed_or_removed_meanwhile(tmp_path: Path) -> None:
    make_folder(tmp_path, **{f"{number}.x:2,": SOME for number in range(3)})
    letters = MaildirSource(str(tmp_path), limit=1000).letters({})
    assert next(letters).is_mailbox
    assert next(letters).position == "0.x"
    (tmp_path / "cur" / "1.x:2,").rename(tmp_path / "cur" / "1.x:2,S")
    (tmp_path / "cur" / "2.x:2,").unlink()
    renamed, removed = letters
    assert renamed.octets == b"Subject: 1\r\n\r\nhello\r\n"
    assert renamed.flags == {"\\Seen"}
    assert removed.is_deleted


def test_what_is_no_maildir_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="no Maildir"):
        read(tmp_path)
    with pytest.raises(TransferError, match="No such file"):
        read(tmp_path / "nowhere")


# Writing.


def leave(uid: int, *flags: str) -> Leaving:
    return Leaving(f"{uid:010}.E{uid}", uid, b"Subject: 1\r\n\r\nhello\r\n", flags, 1_000_000_000.25, 0)


def test_an_export_goes_on_where_it_was_cut_short(tmp_path: Path) -> None:
    target = tmp_path / "out"
    sink = MaildirSink(str(target), "1")
    assert sink.open_mailbox(("Work",)) == 0
    sink.write([leave(3), leave(7, "Project")])
    (target / ".Work" / "tmp" / "half").write_bytes(b"")
    sink = MaildirSink(str(target), "1")
    assert sink.open_mailbox(("Work",)) == 7
    sink.write([leave(8, "Other", "Project")])
    sink.finish()
    assert [letter.flags for letter in mail(target / ".Work")] == [frozenset(), {"Project"}, {"Project", "Other"}]
    with pytest.raises(TransferError, match="not empty"):
        MaildirSink(str(target), "1")


def test_nobody_elses_files_are_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("dear diary")
    with pytest.raises(TransferError, match="not empty"):
        MaildirSink(str(tmp_path), "1")
    other = tmp_path / "other"
    MaildirSink(str(other), "1")
    with pytest.raises(TransferError, match="something else"):
        MaildirSink(str(other), "2")


def test_keywords_beyond_twenty_six_are_counted(tmp_path: Path) -> None:
    target = tmp_path / "out"
    sink = MaildirSink(str(target), "1")
    sink.open_mailbox(("INBOX",))
    sink.write([leave(number, f"word{number}", "\\Seen") for number in range(1, 30)])
    assert sink.lost_keywords == 3
    flags = [letter.flags for letter in mail(target)]
    assert flags[25] == {"word26", "\\Seen"}
    assert flags[26] == {"\\Seen"}
