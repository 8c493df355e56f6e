"""What addresses mean to workers: names, tags, aliases, loops, roles, and changes that are seen at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.adapters.sqlite.directory import DirectoryOptions
from posthouse.adapters.sqlite.directory_admin import RAISE_GENERATION
from posthouse.adapters.sqlite.directory_bell import Bell, writing_lock
from posthouse.message.address import parse_address
from posthouse.message.mailbox import AccountId
from posthouse.ports.directory import DirectoryError
from posthouse.ports.directory_admin import AccountChange, DirectoryRefusal, NewAccount
from tests.adapters.directory_kit import Town, open_town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with open_town(tmp_path) as opened:
        yield opened


def test_an_address_is_known_unknown_or_elsewhere(town: Town) -> None:
    town.settle("alice@example.org")
    assert town.standing("alice@example.org") == "known"
    assert town.standing("nobody@example.org") == "unknown"
    assert town.standing("alice@remote.example") == "elsewhere"
    assert town.owner("nobody@example.org") is None
    assert town.expand("alice@remote.example") == ["alice@remote.example"]


def test_the_case_of_names_does_not_matter_and_is_kept_on_the_way_out(town: Town) -> None:
    town.settle("Alice@example.org", "Jörg@example.org")
    assert town.owner("aLICE@EXAMPLE.org") == (1, "")
    assert town.expand("aLICE@EXAMPLE.org") == ["aLICE@example.org"]
    assert town.owner("JO\N{COMBINING DIAERESIS}RG@example.org") == (2, "")
    first = town.worker.get(AccountId(1))
    assert first is not None
    assert first.address == "Alice@example.org"


def test_a_domain_is_one_and_the_same_in_unicode_and_ascii(town: Town) -> None:
    town.settle("alice@xn--bcher-kva.example")
    assert town.owner("alice@bücher.example") == (1, "")
    assert town.owner("alice@BÜCHER.example") == (1, "")
    assert town.owner("alice@xn--bcher-kva.example") == (1, "")


def test_a_tag_is_cut_off_and_kept_as_given(town: Town) -> None:
    town.settle("alice@example.org")
    assert town.owner("alice+Lists/Work@example.org") == (1, "Lists/Work")
    assert town.owner("alice+a+b@example.org") == (1, "a+b")
    assert town.owner("+alice@example.org") is None
    assert town.owner("alice-x@example.org") is None


def test_the_longest_name_wins_over_a_tag(tmp_path: Path) -> None:
    with open_town(tmp_path, DirectoryOptions(separators="+-")) as town:
        town.settle("mary@example.org", "mary-ann@example.org", "mary-ann+x@example.org")
        assert town.owner("mary-ann-lists@example.org") == (2, "lists")
        assert town.owner("mary-ann+x@example.org") == (3, "")
        assert town.owner("mary-lou@example.org") == (1, "lou")


def test_without_separators_nothing_is_cut_off(tmp_path: Path) -> None:
    with open_town(tmp_path, DirectoryOptions(separators="")) as town:
        town.settle("alice@example.org")
        assert town.standing("alice+x@example.org") == "unknown"


def test_a_domain_alias_has_the_addresses_of_its_domain(town: Town) -> None:
    town.settle("alice@example.org", "only@other.example")
    assert town.owner("alice+t@other.example") == (1, "t")
    assert town.owner("only@other.example") == (2, "")
    assert town.standing("only@example.org") == "unknown"


def test_aliases_end_in_accounts_and_elsewhere_each_once_and_in_order(town: Town) -> None:
    town.settle("alice@example.org", "bob@example.org")
    town.alias("team@example.org", "bob@example.org", "x@remote.example", "BOB@example.org")
    town.alias("all@example.org", "alice@example.org", "team@example.org", "x@remote.example", "bob@other.example")
    assert town.expand("all@example.org") == ["alice@example.org", "bob@example.org", "x@remote.example"]
    assert town.standing("team@other.example") == "known"
    assert town.owner("team@example.org") is None


def test_a_tag_goes_along_to_targets_that_are_ours(town: Town) -> None:
    town.settle("alice@example.org")
    town.alias("sales@example.org", "alice@example.org", "x@remote.example")
    assert town.expand("sales+march@example.org") == ["alice+march@example.org", "x@remote.example"]


def test_an_alias_that_names_itself_keeps_a_copy(town: Town) -> None:
    town.settle("alice@example.org")
    town.alias("alice@example.org", "alice@example.org", "a@remote.example")
    assert town.expand("Alice@example.org") == ["alice@example.org", "a@remote.example"]
    assert town.owner("alice@example.org") == (1, "")


def test_an_alias_of_the_name_of_an_account_forwards_without_a_copy(town: Town) -> None:
    town.settle("alice@example.org")
    town.alias("alice@example.org", "a@remote.example")
    assert town.expand("alice@example.org") == ["a@remote.example"]


def test_loops_end(town: Town) -> None:
    town.settle("alice@example.org")
    town.alias("a@example.org", "alice@example.org")
    town.alias("b@example.org", "a@example.org")
    town.alias("a@example.org", "b@example.org")
    assert town.expand("b@example.org") == ["alice@example.org"]
    town.admin.remove_alias(parse_address("a@example.org"), [parse_address("alice@example.org")])
    assert town.standing("b@example.org") == "unknown"


def test_an_alias_that_leads_to_nobody_is_not_made(town: Town) -> None:
    with pytest.raises(DirectoryRefusal, match="would lead to nobody"):
        town.alias("l@example.org", "l@example.org")
    with pytest.raises(DirectoryRefusal, match="would lead to nobody"):
        town.alias("l@example.org", "nobody@example.org")
    assert town.standing("l@example.org") == "unknown"


def test_beyond_the_limits_an_alias_is_put_off_and_never_cut_short(tmp_path: Path) -> None:
    with open_town(tmp_path) as town:
        town.alias("many@example.org", *(f"u{number}@remote.example" for number in range(5)))
        town.settle("alice@example.org")
        town.alias("d0@example.org", "alice@example.org")
        for depth in range(4):
            town.alias(f"d{depth + 1}@example.org", f"d{depth}@example.org")
    with open_town(tmp_path, DirectoryOptions(max_targets=4, max_depth=3)) as town:
        with pytest.raises(DirectoryError, match="max_targets"):
            town.expand("many@example.org")
        with pytest.raises(DirectoryError, match="max_alias_depth"):
            town.standing("d4@example.org")
        assert town.expand("d2@example.org") == ["alice@example.org"]
        with pytest.raises(DirectoryRefusal, match="max_targets"):
            town.alias("more@example.org", "many@example.org")


def test_the_catch_all_takes_what_nobody_else_does(town: Town) -> None:
    town.settle("alice@example.org", "bob@example.org")
    town.alias("@example.org", "bob@example.org")
    assert town.expand("whoever@example.org") == ["bob@example.org"]
    assert town.expand("whoever@other.example") == ["bob@example.org"]
    assert town.expand("alice@example.org") == ["alice@example.org"]


def test_role_addresses_are_always_deliverable(town: Town) -> None:
    assert town.standing("postmaster@example.org") == "known"
    assert town.expand("abuse@bücher.example") == ["abuse@bücher.example"]
    assert town.owner("abuse@bücher.example") is None
    boss = town.admin.add_account(NewAccount(parse_address("boss@example.org"), is_admin=True))
    assert town.expand("Postmaster@other.example") == ["boss@example.org"]
    town.settle("abuse@example.org")
    assert town.expand("abuse@example.org") == ["abuse@example.org"]
    town.admin.remove_account(boss.id)
    assert town.standing("postmaster@example.org") == "known"


def test_role_addresses_go_to_the_postmaster_setting(tmp_path: Path) -> None:
    with open_town(tmp_path, DirectoryOptions(postmaster=parse_address("postmaster@example.org"))) as town:
        town.admin.add_account(NewAccount(parse_address("boss@example.org"), is_admin=True))
        assert town.expand("abuse@example.org") == ["boss@example.org"]
        town.settle("postmaster@example.org")
        assert town.expand("abuse@bücher.example") == ["postmaster@example.org"]


def test_a_postmaster_setting_that_names_nobody_falls_back_to_an_administrator(tmp_path: Path) -> None:
    with open_town(tmp_path, DirectoryOptions(postmaster=parse_address("gone@example.org"))) as town:
        town.admin.add_account(NewAccount(parse_address("boss@example.org"), is_admin=True))
        assert town.expand("abuse@example.org") == ["boss@example.org"]


def test_a_removed_target_is_left_out_and_the_others_still_get_theirs(town: Town) -> None:
    alice, _ = town.settle("alice@example.org", "bob@example.org")
    town.alias("team@example.org", "alice@example.org", "bob@example.org")
    town.alias("just@example.org", "alice@example.org")
    assert len(town.expand("team@example.org")) == 2
    town.admin.remove_account(alice.id)
    assert town.expand("team@example.org") == ["bob@example.org"]
    assert town.standing("just@example.org") == "unknown"
    assert town.standing("alice@example.org") == "unknown"


def test_a_disabled_account_still_gets_its_mail(town: Town) -> None:
    (alice,) = town.settle("alice@example.org")
    town.admin.change_account(alice.id, AccountChange(is_disabled=True))
    assert town.owner("alice@example.org") == (1, "")
    found = town.worker.find("alice@example.org")
    assert found is not None
    assert found.is_disabled


def test_every_change_is_seen_by_the_very_next_question(town: Town) -> None:
    assert town.standing("alice@example.org") == "unknown"
    (alice,) = town.settle("alice@example.org")
    assert town.standing("alice@example.org") == "known"
    town.alias("alice@example.org", "a@remote.example")
    assert town.expand("alice@example.org") == ["a@remote.example"]
    town.admin.remove_alias(parse_address("alice@example.org"))
    town.admin.add_address(alice.id, parse_address("al@example.org"))
    assert town.owner("al@example.org") == (1, "")
    assert town.standing("x@new.example") == "elsewhere"
    town.admin.add_domain("new.example")
    assert town.standing("x@new.example") == "unknown"


def test_no_more_is_remembered_than_allowed(tmp_path: Path) -> None:
    with open_town(tmp_path, DirectoryOptions(cache_entries=100)) as town:
        for number in range(350):
            town.standing(f"u{number}@example.org")
            town.standing(f"u@d{number}.example")
            town.worker.find(f"u{number}@example.org")
        sizes = [len(town.worker._places), len(town.worker._domains), len(town.worker._logins)]
        assert max(sizes) <= 100


def test_people_send_as_their_own_addresses_and_as_aliases_of_theirs_alone(town: Town) -> None:
    alice, bob = town.settle("alice@example.org", "bob@example.org")
    town.admin.add_address(alice.id, parse_address("a.liddell@bücher.example"))
    town.alias("info@example.org", "alice@example.org")
    town.alias("team@example.org", "alice@example.org", "bob@example.org")
    mine = ["ALICE+x@example.org", "alice@other.example", "a.liddell@xn--bcher-kva.example", "info@example.org"]
    assert all(town.worker.may_send_as(alice.id, parse_address(address)) for address in mine)
    others = ["bob@example.org", "team@example.org", "alice@remote.example", "nobody@example.org"]
    assert not any(town.worker.may_send_as(alice.id, parse_address(address)) for address in others)
    assert not town.worker.may_send_as(bob.id, parse_address("info@example.org"))


def test_people_log_in_by_any_of_their_addresses_but_not_by_tags_or_aliases(town: Town) -> None:
    (alice,) = town.settle("alice@example.org")
    town.admin.add_address(alice.id, parse_address("al@example.org"))
    town.alias("info@example.org", "alice@example.org")
    for login in ("Alice@Example.org", "al@example.org", "alice@other.example"):
        found = town.worker.find(login)
        assert found is not None
        assert found.id == alice.id
    for login in ("alice+x@example.org", "info@example.org", "alice", "", "alice@", "@example.org", "alice@x.example"):
        assert town.worker.find(login) is None


def test_a_writer_killed_around_its_commit_hides_nothing_from_workers(town: Town) -> None:
    town.settle("alice@example.org")
    assert town.standing("bob@example.org") == "unknown"
    with writing_lock(town.path) as rope:
        rope.announce()  # and dies, its commit done
    write_bob = "INSERT INTO address VALUES (1, 7, 'example.org', 'bob', 'bob@example.org', 0)"
    town.admin.connection.execute(write_bob)
    town.admin.connection.execute(RAISE_GENERATION)
    assert town.standing("bob@example.org") == "known"
    town.admin.connection.execute("DELETE FROM address WHERE local = 'bob'")
    town.admin.connection.execute(RAISE_GENERATION)
    assert town.standing("bob@example.org") == "unknown"
    town.settle("bob@example.org")
    assert town.standing("bob@example.org") == "known"


def test_the_bell_is_silent_while_a_commit_is_on_its_way(tmp_path: Path) -> None:
    path = str(tmp_path / "d")
    bell = Bell(path)
    with writing_lock(path) as rope:
        before = bell.count
        rope.announce()
        assert bell.count is None
        rope.announce()
        assert bell.count is None
        rope.ring()
        after = bell.count
        rope.ring()
        assert bell.count == after
    assert before is not None
    assert before != after
    bell.close()
