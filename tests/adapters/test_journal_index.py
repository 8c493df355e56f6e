"""The index finds what the journal has, lags, catches up, and can be thrown away."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.adapters.journal import HourJournal, list_files, tend_journal
from posthouse.adapters.sqlite.journal_index import JournalIndex
from posthouse.manage.trace import trace
from posthouse.message.ids import Serial, ShardNumber, make_queue_id
from posthouse.ports.clock import FakeClock

HOUR = 3600
NOON = 1_800_000_000.0
ID = make_queue_id(ShardNumber(1), Serial(5))


def write_journal(root: Path) -> None:
    """One message over three hours and two workers, among others."""
    clock = FakeClock(NOON)
    first, second = HourJournal(root, "0", clock, gather_s=0.0), HourJournal(root, "1", clock, gather_s=0.0)
    for number in range(100, 200):
        first.record("received", make_queue_id(ShardNumber(1), Serial(number)), sender="other@a.example")
    first.record("received", ID, sender="Jörg@a.example", recipients=["b@b.example"], message_id='<"q"@x>')
    clock.advance(HOUR)
    first.record("deferred", ID, recipient="b@b.example", reply="450 later")
    clock.advance(HOUR)
    second.record("relayed", ID, recipient="b@b.example", reply="250 ok")
    assert first.flush()
    assert second.flush()


def find_steps(index: JournalIndex, what: str) -> list[object]:
    return [record["step"] for story in trace(index, what, 10) for record in story.records]


@pytest.fixture(name="index")
def make_index(tmp_path: Path) -> JournalIndex:
    write_journal(tmp_path)
    index = JournalIndex(tmp_path)
    index.catch_up()
    return index


@pytest.mark.parametrize("what", [ID, "jörg@a.example", "JÖRG@A.example", "b@b.example", '"q"@x', '<"q"@x>'])
def test_a_message_is_found_across_hours_and_workers(index: JournalIndex, what: str) -> None:
    assert find_steps(index, what) == ["received", "deferred", "relayed"]


def test_compressed_hours_are_found_as_before_without_a_second_reading(tmp_path: Path, index: JournalIndex) -> None:
    tend_journal(tmp_path, NOON + 2 * HOUR + 600, 30 * 86400, 1 << 30)
    assert {path.suffix for path in list_files(tmp_path)} == {".gz", ".log"}
    index.catch_up()
    assert find_steps(index, ID) == ["received", "deferred", "relayed"]


def test_what_was_added_since_is_indexed_next_time(tmp_path: Path, index: JournalIndex) -> None:
    journal = HourJournal(tmp_path, "0", FakeClock(NOON), gather_s=0.0)
    journal.record("received", make_queue_id(ShardNumber(2), Serial(1)), sender="late@c.example")
    assert journal.flush()
    assert find_steps(index, "late@c.example") == []
    index.catch_up()
    assert find_steps(index, "late@c.example") == ["received"]


def test_removed_hours_are_forgotten(tmp_path: Path, index: JournalIndex) -> None:
    list_files(tmp_path)[0].unlink()
    index.catch_up()
    assert find_steps(index, ID) == ["deferred", "relayed"]
    assert find_steps(index, "other@a.example") == []


@pytest.mark.parametrize("content", [b"", b"this is no database", b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_lost_or_broken_index_is_made_anew(tmp_path: Path, index: JournalIndex, content: bytes) -> None:
    index.rebuild()
    (tmp_path / "index.db").write_bytes(content)
    index.catch_up()
    assert find_steps(index, ID) == ["received", "deferred", "relayed"]


def test_progress_is_told(tmp_path: Path, index: JournalIndex) -> None:
    told: list[tuple[int, int]] = []
    index.rebuild()
    index.catch_up(lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_record_that_is_no_json_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "2027-01-15T08.log").write_bytes(b'nonsense\n{"at":1,"step":"held","id":"%s"}\n' % ID.encode())
    index = JournalIndex(tmp_path)
    index.catch_up()
    assert find_steps(index, ID) == ["held"]


def test_an_index_that_cannot_be_written_is_done_without(tmp_path: Path, index: JournalIndex) -> None:
    index.rebuild()
    (tmp_path / "index.db").mkdir()
    index.catch_up()
    assert find_steps(index, ID) == ["received", "deferred", "relayed"]


def test_beside_the_server_only_hours_that_are_over_are_indexed(tmp_path: Path) -> None:
    write_journal(tmp_path)
    index = JournalIndex(tmp_path)
    index.catch_up(only_closed=True)
    assert find_steps(index, ID) == []
    tend_journal(tmp_path, NOON + 2 * HOUR + 600, 30 * 86400, 1 << 30, lambda: index.catch_up(only_closed=True))
    assert find_steps(index, ID) == ["received", "deferred"]


def test_two_who_index_the_same_file_do_not_quarrel(tmp_path: Path) -> None:
    write_journal(tmp_path)
    first, second = JournalIndex(tmp_path), JournalIndex(tmp_path)
    first.catch_up(lambda done, total: second.catch_up() if not done else None)
    assert find_steps(first, ID) == find_steps(second, ID) == ["received", "deferred", "relayed"]
