"""An upgrade that is killed before any of its writes: the old data as it was, or the new and a whole snapshot."""

from __future__ import annotations

import os
from functools import partial
from importlib import resources
from pathlib import Path

import apsw

from posthouse.adapters.sqlite.database import open_database, open_existing
from tests.crash.spool_faults import HookedFiles, Killer
from tests.crash.spool_kills import in_child
from tests.crash.test_spool_kills import memory_path

__all__ = ["memory_path"]

ROW = ("mx.example", 1.0, 1, "refused")


def make_old(path: Path) -> str:
    """A spool's, because its schema has had a second step."""
    path.mkdir()
    name = str(path / "spool-1.db")
    first = resources.files("posthouse.adapters.sqlite") / "migrations" / "spool_0001.sql"
    connection = apsw.Connection(name)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(first.read_text("utf-8"))
    connection.execute("INSERT INTO site VALUES (?, ?, ?, ?)", ROW)
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    return name


def upgrade(name: str, at: int) -> None:
    files = HookedFiles(Killer(at))  # the VFS lives as long as this
    open_database(name, "spool", vfs=files.vfs).close()


def look(name: str) -> list[object]:
    """Version and rows of a database as it is."""
    connection = open_existing(name)
    found = [connection.pragma("user_version"), connection.execute("SELECT * FROM site").fetchall()]
    connection.close()
    return found


def test_a_kill_in_an_upgrade_leaves_the_old_or_the_new_and_the_next_start_goes_on(memory_path: Path) -> None:
    versions, at, ended = set[object](), 0, False
    while not ended:
        name = make_old(memory_path / str(at))
        ended, _ = in_child(partial(upgrade, name, at))
        found = in_child(partial(look, name))[1]
        assert isinstance(found, list)
        assert found[1] == [list(ROW)]
        versions.add(found[0])
        snapshots = [entry for entry in os.listdir(memory_path / str(at)) if ".before-" in entry]
        assert found[0] == 1 or snapshots == ["spool-1.db.before-2"]
        open_database(name, "spool").close()
        assert look(name)[0] == 2
        assert look(f"{name}.before-2") == [1, [ROW]]
        at += 1
    assert at > 10
    assert versions == {1, 2}
