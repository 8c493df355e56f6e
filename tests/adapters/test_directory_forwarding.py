"""Accounts that forward their mail: where it goes, what stays, and what cannot be set."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from posthouse.adapters.sqlite.directory_forwarding import KEY
from posthouse.manage.forwarding import ForwardingOperations
from posthouse.message.address import parse_address
from posthouse.message.mailbox import AccountId
from posthouse.ports.directory_admin import MAX_FORWARDS, DirectoryRefusal
from tests.adapters.directory_kit import Town, open_town

ALICE, BOB, CAROL = AccountId(1), AccountId(2), AccountId(3)
HERE = ["alice@example.org", "bob@example.org", "carol@example.org"]
AWAY = "a@remote.example"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with open_town(tmp_path) as opened:
        opened.settle(*HERE)
        yield opened


def forward(town: Town, account: AccountId, *targets: str, copy: bool = False) -> object:
    return ForwardingOperations(town.admin).write(account, targets, keeps_copy=copy)


def test_without_a_setting_mail_stays(town: Town) -> None:
    assert ForwardingOperations(town.admin).read(ALICE) == {"targets": [], "keepsCopy": True}
    assert town.expand(HERE[0]) == [HERE[0]]


def test_mail_is_forwarded_without_a_copy(town: Town) -> None:
    assert forward(town, ALICE, AWAY) == {"targets": [AWAY], "keepsCopy": False}
    assert town.expand(HERE[0]) == [AWAY]
    assert town.standing(HERE[0]) == "known"
    assert ForwardingOperations(town.admin).read(ALICE) == {"targets": [AWAY], "keepsCopy": False}


def test_mail_is_forwarded_with_a_copy(town: Town) -> None:
    forward(town, ALICE, AWAY, HERE[1], copy=True)
    assert town.expand("Alice@example.org") == ["Alice@example.org", AWAY, HERE[1]]
    assert town.owner("Alice@example.org") == (ALICE, "")


def test_every_address_of_the_account_is_forwarded_and_aliases_too(town: Town) -> None:
    town.admin.add_address(ALICE, parse_address("smith@example.org"))
    town.alias("team@example.org", HERE[0], HERE[1])
    forward(town, ALICE, AWAY)
    assert town.expand("smith@example.org") == [AWAY]
    assert town.expand("alice@other.example") == [AWAY]
    assert town.expand("team@example.org") == [AWAY, HERE[1]]


def test_a_tag_stays_with_the_copy_and_goes_along_to_targets_that_are_ours(town: Town) -> None:
    forward(town, ALICE, HERE[1], AWAY, copy=True)
    assert town.expand("alice+x@example.org") == ["alice+x@example.org", "bob+x@example.org", AWAY]
    assert town.owner("alice+x@example.org") == (ALICE, "x")


def test_it_goes_on_where_the_target_forwards(town: Town) -> None:
    forward(town, BOB, AWAY, copy=True)
    forward(town, ALICE, HERE[1])
    assert town.expand(HERE[0]) == [HERE[1], AWAY]


def test_it_ends_when_it_is_taken_away(town: Town) -> None:
    forward(town, ALICE, AWAY)
    assert forward(town, ALICE) == {"targets": [], "keepsCopy": True}
    assert town.expand(HERE[0]) == [HERE[0]]
    assert town.admin.read_settings(ALICE) == {}


def test_a_circle_without_a_copy_is_refused(town: Town) -> None:
    forward(town, ALICE, HERE[1])
    forward(town, BOB, HERE[2])
    with pytest.raises(DirectoryRefusal, match="would come back"):
        forward(town, CAROL, HERE[0])
    assert town.expand(HERE[0]) == [HERE[2]]


def test_in_a_circle_with_copies_everybody_gets_it_once(town: Town) -> None:
    forward(town, ALICE, HERE[1], copy=True)
    forward(town, BOB, HERE[0], copy=True)
    assert town.expand(HERE[0]) == [HERE[0], HERE[1]]
    assert town.expand(HERE[1]) == [HERE[1], HERE[0]]


def test_a_circle_that_came_about_by_an_alias_loses_nothing(town: Town) -> None:
    town.alias("desk@example.org", HERE[1])
    forward(town, ALICE, "desk@example.org")
    town.alias("desk@example.org", HERE[0])
    town.admin.remove_alias(parse_address("desk@example.org"), [parse_address(HERE[1])])
    assert town.expand(HERE[0]) == [HERE[0]]


def test_mail_stays_when_the_only_target_has_gone(town: Town) -> None:
    forward(town, ALICE, HERE[1])
    town.admin.remove_account(BOB)
    assert town.standing(HERE[0]) == "known"
    assert town.expand(HERE[0]) == [HERE[0]]


def test_an_alias_of_the_account_s_name_comes_first(town: Town) -> None:
    forward(town, ALICE, AWAY)
    town.alias(HERE[0], HERE[1])
    assert town.expand(HERE[0]) == [HERE[1]]


def test_who_forwards_may_still_send_as_an_alias_that_leads_to_it_alone(town: Town) -> None:
    town.alias("info@example.org", HERE[0])
    forward(town, ALICE, AWAY)
    assert town.worker.may_send_as(ALICE, parse_address("info@example.org"))
    assert town.worker.may_send_as(ALICE, parse_address(HERE[0]))
    assert not town.worker.may_send_as(BOB, parse_address("info@example.org"))


@pytest.mark.parametrize(
    ("targets", "why"),
    [
        (["alice@example.org"], "is the account itself"),
        (["alice+x@other.example"], "is the account itself"),
        (["nobody@example.org"], "does not exist"),
        (["no address"], "no address"),
        ([f"x{number}@remote.example" for number in range(MAX_FORWARDS + 1)], "at most"),
    ],
)
def test_what_cannot_be_a_target_is_refused_and_changes_nothing(town: Town, targets: list[str], why: str) -> None:
    forward(town, ALICE, AWAY)
    with pytest.raises(DirectoryRefusal, match=why):
        forward(town, ALICE, *targets)
    assert town.expand(HERE[0]) == [AWAY]


def test_a_target_comes_once(town: Town) -> None:
    assert forward(town, ALICE, AWAY, "a@REMOTE.example", HERE[1]) == {"targets": [AWAY, HERE[1]], "keepsCopy": False}


def test_a_setting_that_cannot_be_read_forwards_nothing(town: Town) -> None:
    for value in ("nonsense", "[]", '{"targets": 7}', '{"targets": ["no address", 7]}'):
        town.admin.write_setting(ALICE, KEY, value)
        assert town.expand(HERE[0]) == [HERE[0]]


def test_mail_stays_where_it_would_be_forwarded_too_often(tmp_path: Path) -> None:
    with open_town(tmp_path) as town:
        accounts = town.settle(*[f"a{number}@example.org" for number in range(13)])
        for account, target in pairwise(accounts):
            forward(town, account.id, target.address)
        assert town.expand("a0@example.org") == ["a10@example.org"]
        assert town.expand("a5@example.org") == ["a12@example.org"]
