"""The hourly work on the journal, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.adapters.journal import HourJournal, list_files
from posthouse.adapters.sqlite.journal_index import JournalIndex
from posthouse.app.journal_tending import seconds_to_next, tend_once
from posthouse.config import Settings, parse
from posthouse.ports.clock import FakeClock
from posthouse.ports.observe import FakeLog

HOUR = 3600
LONG_AGO = 1_700_000_000.0


def make_settings(data: Path, keep: str) -> Settings:
    return parse(f'hostname = "m.example"\ndata = "{data}"\n[journal]\nkeep = "{keep}"\n')


def write_journal(root: Path) -> None:
    journal = HourJournal(root, "0", FakeClock(LONG_AGO), gather_s=0.0)
    journal.record("received", "0A", sender="ann@a.example")
    assert journal.flush()


@pytest.mark.parametrize(("minute", "expected_minutes"), [(0, 5), (4, 1), (6, 59), (59, 6)])
def test_an_hour_is_tended_five_minutes_after_it_ended(minute: int, expected_minutes: int) -> None:
    assert seconds_to_next(1_800_000_000.0 + minute * 60, 0.0) == expected_minutes * 60


async def test_closed_hours_are_compressed_and_indexed(tmp_path: Path) -> None:
    write_journal(tmp_path)
    log = FakeLog()
    await tend_once(tmp_path, make_settings(tmp_path, "3650d"), log)
    assert log.events == []
    assert [path.suffix for path in list_files(tmp_path)] == [".gz"]
    index = JournalIndex(tmp_path)
    assert [record["step"] for record in index.find(["ann@a.example"])] == ["received"]
    index.close()


async def test_hours_beyond_their_age_are_removed(tmp_path: Path) -> None:
    write_journal(tmp_path)
    await tend_once(tmp_path, make_settings(tmp_path, "30d"), FakeLog())
    assert list_files(tmp_path) == []


async def test_a_failure_is_logged_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    log = FakeLog()
    await tend_once(tmp_path / "file", make_settings(tmp_path, "30d"), log)
    [(level, event, fields)] = log.events
    assert (level, event) == ("error", "journal not tended")
    assert "FileExistsError" in str(fields["reason"])
