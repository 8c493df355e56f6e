"""The journal: what was recorded is found again, whatever happened to the file since."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
from pathlib import Path

from posthouse.adapters.journal import HourJournal, list_files, read_lines, tend_journal
from posthouse.ports.clock import FakeClock

HOUR = 3600
NOON = 1_800_000_000.0 - 1_800_000_000 % HOUR  # the start of an hour
DAYS = 24 * HOUR


def read_records(root: Path) -> list[dict[str, object]]:
    return [json.loads(line) for path in list_files(root) for line in read_lines(path)]


def test_records_are_found_in_the_file_of_their_hour(tmp_path: Path) -> None:
    clock = FakeClock(NOON)
    journal = HourJournal(tmp_path, "3", clock, gather_s=0.0)
    journal.record("received", "0A", peer="::1", size=5)
    clock.advance(HOUR - 0.5)
    journal.record("tried", "0A")
    clock.advance(0.5)
    journal.record("delivered", "0A")
    assert journal.flush()
    assert [path.relative_to(tmp_path).as_posix() for path in list_files(tmp_path)] == [
        "3/2027-01-15T08.log",
        "3/2027-01-15T09.log",
    ]
    assert read_records(tmp_path)[0] == {"at": NOON, "step": "received", "id": "0A", "peer": "::1", "size": 5}
    assert [record["step"] for record in read_records(tmp_path)] == ["received", "tried", "delivered"]


def test_values_of_peers_cannot_break_a_record(tmp_path: Path) -> None:
    journal = HourJournal(tmp_path, "0", FakeClock(NOON), gather_s=0.0)
    journal.record("received", "0A", helo="\udcff\n{", size=3)
    assert journal.flush()
    assert read_records(tmp_path) == [{"at": NOON, "step": "received", "id": "0A", "helo": "\\udcff\n{", "size": 3}]


def test_a_torn_last_line_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "2027-01-15T08.log").write_bytes(b'{"at":1}\n{"at":2,"st')
    assert read_records(tmp_path) == [{"at": 1}]


def test_a_disk_that_takes_nothing_costs_records_not_mail(tmp_path: Path) -> None:
    (tmp_path / "0").write_text("in the way of the directory")
    journal = HourJournal(tmp_path, "0", FakeClock(NOON), gather_s=0.0)
    journal.record("received", "0A")
    assert journal.flush()
    assert journal.dropped == 1
    (tmp_path / "0").unlink()
    journal.record("received", "0B")
    assert journal.flush()
    assert [record["id"] for record in read_records(tmp_path)] == ["0B"]


def test_more_than_the_buffer_holds_is_dropped_and_counted(tmp_path: Path) -> None:
    journal = HourJournal(tmp_path, "0", FakeClock(NOON), gather_s=60.0, limit=1000)
    for _ in range(1000):
        journal.record("received", "0A")
    assert 0 < journal.dropped < 1000
    assert journal.flush()
    assert len(read_records(tmp_path)) == 1000 - journal.dropped


def make_hours(root: Path, count: int) -> None:
    for worker in ("0", "1"):
        journal = HourJournal(root, worker, clock := FakeClock(NOON), gather_s=0.0)
        for number in range(count):
            journal.record("received", f"{worker}{number}", filler=os.urandom(500).hex())
            clock.advance(HOUR)
        assert journal.flush()


def test_closed_hours_are_compressed_and_read_as_before(tmp_path: Path) -> None:
    make_hours(tmp_path, 3)
    before = read_records(tmp_path)
    tend_journal(tmp_path, NOON + 2 * HOUR + 600, 30 * DAYS, 1 << 30)
    assert sorted(path.name for path in list_files(tmp_path)) == [
        "2027-01-15T08.log.gz", "2027-01-15T08.log.gz", "2027-01-15T09.log.gz", "2027-01-15T09.log.gz",
        "2027-01-15T10.log", "2027-01-15T10.log",
    ]  # fmt: skip
    assert read_records(tmp_path) == before


def test_an_hour_that_just_ended_is_left_to_workers_that_drain(tmp_path: Path) -> None:
    make_hours(tmp_path, 1)
    tend_journal(tmp_path, NOON + HOUR + 10, 30 * DAYS, 1 << 30)
    assert [path.suffix for path in list_files(tmp_path)] == [".log", ".log"]


def test_records_end_by_age(tmp_path: Path) -> None:
    make_hours(tmp_path, 3)
    tend_journal(tmp_path, NOON + 30 * DAYS + 1.5 * HOUR, 30 * DAYS, 1 << 30)
    assert [record["id"] for record in read_records(tmp_path)] == ["01", "11", "02", "12"]


def test_records_end_by_size_oldest_first(tmp_path: Path) -> None:
    make_hours(tmp_path, 4)
    tend_journal(tmp_path, NOON + 4 * HOUR + 600, 30 * DAYS, 0)
    assert read_records(tmp_path) == []
    make_hours(tmp_path, 4)
    size = sum(path.stat().st_size for path in list_files(tmp_path))
    tend_journal(tmp_path, NOON, 30 * DAYS, size // 2 + 100)
    assert [record["id"] for record in read_records(tmp_path)] == ["02", "12", "03", "13"]


def test_a_crash_while_compressing_loses_and_doubles_nothing(tmp_path: Path) -> None:
    make_hours(tmp_path, 1)
    before = read_records(tmp_path)
    log = tmp_path / "0" / "2027-01-15T08.log"
    (tmp_path / "0" / "2027-01-15T08.log.tmp").write_bytes(b"half of it")
    assert read_records(tmp_path) == before
    with gzip.open(tmp_path / "0" / "2027-01-15T08.log.gz", "wb") as stream:
        stream.write(log.read_bytes())
    assert read_records(tmp_path) == before
    tend_journal(tmp_path, NOON + HOUR + 600, 30 * DAYS, 1 << 30)
    assert read_records(tmp_path) == before
    assert not log.exists()


def test_one_process_at_a_time_tends_the_journal(tmp_path: Path) -> None:
    make_hours(tmp_path, 1)
    with open(tmp_path / ".lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        tend_journal(tmp_path, NOON + 10 * HOUR, 30 * DAYS, 1 << 30)
    assert [path.suffix for path in list_files(tmp_path)] == [".log", ".log"]


def test_reading_goes_on_where_it_stopped(tmp_path: Path) -> None:
    make_hours(tmp_path, 1)
    path = list_files(tmp_path)[0]
    size = path.stat().st_size
    with path.open("ab") as stream:
        stream.write(b'{"step":"later"}\n')
    assert list(read_lines(path, size)) == [b'{"step":"later"}\n']
    assert list(read_lines(tmp_path / "0" / "gone.log")) == []


def test_an_hour_begun_anew_by_a_clock_set_back_is_kept_beside_the_first(tmp_path: Path) -> None:
    for step in ("first", "second", "third"):
        journal = HourJournal(tmp_path, "0", FakeClock(NOON), gather_s=0.0)
        journal.record(step, "0A")
        assert journal.flush()
        tend_journal(tmp_path, NOON + HOUR + 600, 30 * DAYS, 1 << 30)
    journal = HourJournal(tmp_path, "0", FakeClock(NOON), gather_s=0.0)
    journal.record("fourth", "0A")
    assert journal.flush()
    assert sorted(str(record["step"]) for record in read_records(tmp_path)) == ["first", "fourth", "second", "third"]
