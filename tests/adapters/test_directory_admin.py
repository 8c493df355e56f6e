"""Changing the directory: what is refused, what comes back, and commands that work at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.adapters.sqlite.directory import DirectoryOptions
from posthouse.adapters.sqlite.directory_admin import SqliteDirectoryAdmin, list_hosted, open_directory
from posthouse.message.address import parse_address
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import FakeClock
from posthouse.ports.directory import DirectoryError
from posthouse.ports.directory_admin import AccountChange, DirectoryRefusal, DomainEntry, NewAccount
from tests.adapters.directory_kit import Town, catch_all, open_town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with open_town(tmp_path) as opened:
        yield opened


def test_domains_are_listed_with_what_is_in_them(town: Town) -> None:
    town.settle("alice@example.org")
    town.alias("info@example.org", "alice@example.org", "x@remote.example")
    assert town.admin.list_domains() == [
        DomainEntry("example.org", "", 1, 1),
        DomainEntry("other.example", "example.org"),
        DomainEntry("bücher.example"),
    ]
    assert list_hosted(town.path) == ["example.org", "other.example", "xn--bcher-kva.example"]


@pytest.mark.parametrize(
    ("name", "alias_of", "words"),
    [
        ("EXAMPLE.org", "", "already here"),
        ("xn--bcher-kva.example", "", "already here"),
        ("new.example", "remote.example", "not hosted"),
        ("new.example", "other.example", "itself an alias of example.org"),
    ],
)
def test_domains_that_make_no_sense_are_refused(town: Town, name: str, alias_of: str, words: str) -> None:
    with pytest.raises(DirectoryRefusal, match=words):
        town.admin.add_domain(name, alias_of)
    assert len(town.admin.list_domains()) == 3


def test_a_domain_in_use_is_not_removed(town: Town) -> None:
    (alice,) = town.settle("alice@example.org")
    with pytest.raises(DirectoryRefusal, match="has 1 accounts"):
        town.admin.remove_domain("example.org")
    town.admin.remove_account(alice.id)
    with pytest.raises(DirectoryRefusal, match=r"other\.example is an alias of"):
        town.admin.remove_domain("example.org")
    town.admin.remove_domain("other.example")
    town.admin.remove_domain("example.org")
    assert town.standing("alice@example.org") == "elsewhere"


def test_one_address_belongs_to_one_account(town: Town) -> None:
    alice, bob = town.settle("alice@example.org", "bob@example.org")
    with pytest.raises(DirectoryRefusal, match="belongs to the account alice@"):
        town.settle("ALICE@example.org")
    with pytest.raises(DirectoryRefusal, match="belongs to the account alice@"):
        town.admin.add_address(bob.id, parse_address("Alice@example.org"))
    with pytest.raises(DirectoryRefusal, match="not hosted here"):
        town.settle("alice@remote.example")
    assert town.worker.get(bob.id) == bob
    assert town.worker.get(alice.id) == alice


def test_two_commands_at_once_never_make_two_accounts_of_one_name(tmp_path: Path) -> None:
    made: list[object] = []

    def add() -> None:
        admin = SqliteDirectoryAdmin(str(tmp_path / "directory.db"), FakeClock())
        try:
            made.append(admin.add_account(NewAccount(parse_address("alice@example.org"))).id)
        except DirectoryRefusal as refusal:
            made.append(str(refusal))
        admin.close()

    with open_town(tmp_path) as town:
        threads = [threading.Thread(target=add) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len([each for each in made if isinstance(each, int)]) == 1
        assert len(made) == 6
        assert town.owner("alice@example.org") is not None


def test_workers_that_start_at_once_make_the_file_once(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def start() -> None:
        try:
            open_directory(str(tmp_path / "directory.db")).close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_the_primary_address_is_the_login_name_and_can_change(town: Town) -> None:
    (alice,) = town.settle("alice@example.org")
    town.admin.add_address(alice.id, parse_address("Al@example.org"))
    changed = town.admin.add_address(alice.id, parse_address("alice.new@example.org"), is_primary=True)
    assert changed.addresses == ("alice.new@example.org", "alice@example.org", "Al@example.org")
    changed = town.admin.add_address(alice.id, parse_address("AL@example.org"), is_primary=True)
    assert changed.address == "AL@example.org"
    assert len(changed.addresses) == 3
    for address in ("al@example.org", "alice.new@example.org"):
        town.admin.remove_address(alice.id, parse_address(address))
    with pytest.raises(DirectoryRefusal, match="the only address"):
        town.admin.remove_address(alice.id, parse_address("alice@example.org"))
    with pytest.raises(DirectoryRefusal, match="does not have"):
        town.admin.remove_address(alice.id, parse_address("bob@example.org"))


def test_quotas_names_and_rights_change_one_by_one(town: Town) -> None:
    (alice,) = town.settle("alice@example.org")
    town.admin.change_account(alice.id, AccountChange(display_name="Alice", quota_octets=100, quota_emails=5))
    changed = town.admin.change_account(alice.id, AccountChange(is_admin=True, quota_emails=0))
    assert (changed.display_name, changed.quota_octets, changed.quota_emails) == ("Alice", 100, None)
    assert changed.is_admin
    with pytest.raises(DirectoryRefusal, match="no such account"):
        town.admin.change_account(AccountId(77), AccountChange(is_admin=True))


def test_new_accounts_go_to_the_least_used_shard(tmp_path: Path) -> None:
    with open_town(tmp_path, shards=3) as town:
        made = town.settle(*(f"u{number}@example.org" for number in range(6)))
        assert [account.shard for account in made] == [0, 1, 2, 0, 1, 2]
        for account in (made[1], made[4]):
            town.admin.remove_account(account.id)
            town.admin.forget_account(account.id)
        assert town.settle("new@example.org")[0].shard == 1


def test_a_removed_account_comes_back_with_its_id_and_those_addresses_that_are_free(town: Town) -> None:
    (alice,) = town.settle("alice@example.org")
    town.admin.add_address(alice.id, parse_address("al@example.org"))
    town.admin.remove_account(alice.id)
    assert [entry.address for entry in town.admin.list_removed()] == ["alice@example.org"]
    assert town.worker.get(alice.id) is None
    (other,) = town.settle("al@example.org")
    assert other.id != alice.id
    back = town.admin.undelete_account(parse_address("ALICE@example.org"))
    assert (back.id, back.addresses) == (alice.id, ("alice@example.org",))
    assert town.owner("al@example.org") == (other.id, "")
    assert town.admin.list_removed() == []


def test_an_account_whose_address_has_gone_to_another_does_not_come_back_under_it(town: Town) -> None:
    (alice,) = town.settle("alice@example.org")
    town.admin.remove_account(alice.id)
    town.settle("alice@example.org")
    with pytest.raises(DirectoryRefusal, match="belongs to the account"):
        town.admin.undelete_account(parse_address("alice@example.org"))
    with pytest.raises(DirectoryRefusal, match="no removed account"):
        town.admin.undelete_account(parse_address("bob@example.org"))


def test_ids_never_come_back(town: Town) -> None:
    alice, bob = town.settle("alice@example.org", "bob@example.org")
    with pytest.raises(DirectoryRefusal, match="no such removed account"):
        town.admin.forget_account(bob.id)
    town.admin.remove_account(bob.id)
    town.admin.forget_account(bob.id)
    (carol,) = town.settle("carol@example.org")
    assert carol.id > bob.id > alice.id


def test_accounts_are_to_be_erased_after_their_time(town: Town) -> None:
    alice, bob = town.settle("alice@example.org", "bob@example.org")
    town.admin.remove_account(alice.id)
    town.clock.advance(1000)
    town.admin.remove_account(bob.id)
    due = town.admin.list_removed(Instant(town.clock.now() - 500))
    assert [(entry.account, entry.shard) for entry in due] == [(alice.id, 0)]


def test_lists_page_through_everything(tmp_path: Path) -> None:
    with open_town(tmp_path, page=5) as town:
        names = sorted(f"u{number}" for number in range(12))
        town.settle(*(f"{name}@example.org" for name in names), "z@bücher.example")
        for name in names:
            town.alias(f"x{name}@example.org", f"{name}@example.org", "a@remote.example", "b@remote.example")
        town.alias("@bücher.example", "z@bücher.example")
        listed = list(town.admin.list_accounts())
        assert [account.address for account in listed] == [
            *(f"{name}@example.org" for name in names),
            "z@bücher.example",
        ]
        aliases = list(town.admin.list_aliases())
        assert [len(entry.targets) for entry in aliases] == [3] * 12 + [1]
        assert aliases[-1].address == "@bücher.example"
        assert [entry.address for entry in town.admin.list_aliases("xn--bcher-kva.example")] == ["@bücher.example"]
        assert [account.address for account in town.admin.list_accounts("BÜCHER.example")] == ["z@bücher.example"]


def test_targets_are_added_once_and_removed_one_by_one(town: Town) -> None:
    town.settle("alice@example.org")
    address, targets = parse_address("info@example.org"), ["alice@example.org", "x@remote.example"]
    town.alias("info@example.org", *targets)
    entry = town.admin.add_alias(address, [parse_address("ALICE@example.org"), parse_address("y@remote.example")])
    assert entry.targets == ("alice@example.org", "x@remote.example", "y@remote.example")
    assert town.admin.find_aliases_to(parse_address("Alice@example.org")) == ["info@example.org"]
    town.admin.remove_alias(address, [parse_address("x@remote.example")])
    assert town.expand("info@example.org") == ["alice@example.org", "y@remote.example"]
    with pytest.raises(DirectoryRefusal, match="is no target"):
        town.admin.remove_alias(address, [parse_address("y@remote.example"), parse_address("x@remote.example")])
    assert len(town.expand("info@example.org")) == 2
    town.admin.remove_alias(address)
    with pytest.raises(DirectoryRefusal, match="there is no alias"):
        town.admin.remove_alias(address)
    with pytest.raises(DirectoryRefusal, match="there is no alias @example"):
        town.admin.remove_alias(catch_all("example.org"))


def test_settings_are_kept_by_name(town: Town) -> None:
    (alice,) = town.settle("alice@example.org")
    town.admin.write_setting(alice.id, "outbox", "on")
    town.admin.write_setting(alice.id, "outbox", "off")
    town.admin.write_setting(alice.id, "theme", "dark")
    town.admin.write_setting(alice.id, "theme", None)
    assert town.admin.read_settings(alice.id) == {"outbox": "off"}
    with pytest.raises(DirectoryRefusal):
        town.admin.write_setting(AccountId(9), "outbox", "on")


def test_what_another_program_made_newer_is_refused_by_name(tmp_path: Path) -> None:
    with open_town(tmp_path, DirectoryOptions()) as town:
        town.admin.connection.execute("PRAGMA user_version = 99")
    with pytest.raises(DirectoryError, match="written by a newer version"):
        open_directory(str(tmp_path / "directory.db"))
