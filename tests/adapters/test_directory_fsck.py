"""fsck of the directory: what is damaged is told, what belongs to nobody is removed, people are left alone."""

from __future__ import annotations

from pathlib import Path

from posthouse.adapters.sqlite.directory_fsck import check_directory
from posthouse.message.address import parse_address
from tests.adapters.directory_kit import Town, open_town


def look(town: Town, *, repair: bool = False) -> list[tuple[str, str, bool]]:
    return [(each.what, each.detail, each.is_repaired) for each in check_directory(town.path, repair=repair)]


def test_a_good_directory_and_a_missing_one_give_nothing_to_say(tmp_path: Path) -> None:
    assert check_directory(str(tmp_path / "directory.db")) == []
    assert list(tmp_path.iterdir()) == []
    with open_town(tmp_path) as town:
        town.settle("alice@example.org")
        assert look(town) == []


def test_rows_of_nobody_are_told_and_with_repair_removed(tmp_path: Path) -> None:
    with open_town(tmp_path) as town:
        town.settle("alice@example.org")
        town.admin.connection.execute("INSERT INTO setting VALUES (77, 'a', 'b')")
        town.admin.connection.execute("INSERT INTO address VALUES (78, 0, 'example.org', 'x', 'x@example.org', 0)")
        told = [("rows", "addresses of no account: 1", False), ("rows", "settings of no account: 1", False)]
        assert look(town) == told
        assert look(town, repair=True) == [(word, text, True) for word, text, _ in told]
        assert look(town) == []
        assert town.standing("x@example.org") == "unknown"
        assert town.standing("alice@example.org") == "known"


def test_what_only_people_can_decide_is_told_and_kept(tmp_path: Path) -> None:
    with open_town(tmp_path) as town:
        alice, _ = town.settle("alice@example.org", "bob@example.org")
        town.alias("team@example.org", "alice@example.org", "bob@example.org")
        town.admin.remove_account(alice.id)
        town.admin.connection.execute("UPDATE domain SET alias_of = 'gone.example' WHERE domain = 'other.example'")
        found = look(town, repair=True)
        assert found == [
            ("dangling", "domains that are aliases of none of ours: other.example", False),
            ("dead alias", "team@example.org: nobody is alice@example.org", False),
        ]
        assert town.admin.find_aliases_to(parse_address("alice@example.org")) == ["team@example.org"]


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "directory.db").write_bytes(b"nonsense" * 1000)
    assert [each.what for each in check_directory(str(tmp_path / "directory.db"))] == ["unreadable"]
