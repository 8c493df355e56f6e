"""Whom we deliver for, as the routes say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.config import ConfigError, parse
from posthouse.config.directory import CombinedDirectory, build_directory
from posthouse.message.address import parse_address
from posthouse.message.mailbox import AccountId
from posthouse.ports.directory import Directory, FakeDirectory, Standing

HEAD = 'hostname = "mail.example.org"\ndata = "/d"\n'
ROUTES = """
[[route]]
domain = "open.example"
to = "maildir:/m/{domain}/{local}"
accept = "anyone"
[[route]]
domain = "bücher.example"
to = "lmtp+unix:/run/lmtp"
accept = "anyone"
recipients = ["Alice", "J\u00f6rg", "a.b"]
[[route]]
domain = "backup.example"
to = "mx"
accept = "anyone"
[[route]]
domain = "inside.example"
to = "maildir:/m/{local}"
"""


@pytest.fixture(name="directory")
def make_directory() -> Directory:
    return build_directory(parse(HEAD + ROUTES))


@pytest.mark.parametrize(
    ("address", "standing"),
    [
        ("anybody@open.example", Standing.KNOWN),
        ("anybody@OPEN.example", Standing.KNOWN),
        ("alice@bücher.example", Standing.KNOWN),
        ("ALICE@xn--bcher-kva.example", Standing.KNOWN),
        ("jo\u0308rg@bücher.example", Standing.KNOWN),
        ("JÖRG@bücher.example", Standing.KNOWN),
        ('"a.b"@bücher.example', Standing.KNOWN),
        ("Postmaster@bücher.example", Standing.KNOWN),
        ("abuse@bücher.example", Standing.KNOWN),
        ("bob@bücher.example", Standing.UNKNOWN),
        ("bob@sub.open.example", Standing.ELSEWHERE),
        ("bob@backup.example", Standing.ELSEWHERE),
        ("bob@inside.example", Standing.ELSEWHERE),
        ("bob@[192.0.2.1]", Standing.ELSEWHERE),
    ],
)
def test_an_address_has_the_standing_its_route_gives(directory: Directory, address: str, standing: Standing) -> None:
    assert directory.look_up(parse_address(address)) is standing


def test_people_of_a_file_are_added_to_the_list(tmp_path: Path) -> None:
    (tmp_path / "people").write_text("# staff\nbob\n\ncarol  # leaves in May\n")
    text = '[[route]]\ndomain = "a.example"\nto = "mx"\naccept = "anyone"\nrecipients = ["al"]\n'
    directory = build_directory(parse(f'{HEAD}{text}recipients_file = "{tmp_path}/people"\n'))
    standings = [
        directory.look_up(parse_address(f"{name}@a.example")) for name in ("al", "bob", "carol", "staff", "leaves")
    ]
    assert standings == [Standing.KNOWN] * 3 + [Standing.UNKNOWN] * 2


def test_a_people_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    text = f'[[route]]\ndomain = "a.example"\nto = "mx"\naccept = "anyone"\nrecipients_file = "{tmp_path}/none"\n'
    with pytest.raises(ConfigError, match="recipients_file: cannot be read"):
        build_directory(parse(HEAD + text))


def test_what_the_first_directory_does_not_host_is_asked_of_the_second(directory: Directory) -> None:
    alias, target = parse_address("team@open.example"), parse_address("alice@bücher.example")
    account = parse_address("bob@accounts.example")
    first = FakeDirectory(
        {"accounts.example": frozenset({"bob", "all"})},
        aliases={"all@accounts.example": [target, account]},
        accounts={"bob@accounts.example": AccountId(7)},
    )
    both = CombinedDirectory(first, directory)
    assert both.look_up(account) is Standing.KNOWN
    assert both.look_up(parse_address("no@accounts.example")) is Standing.UNKNOWN
    assert both.look_up(parse_address("bob@bücher.example")) is Standing.UNKNOWN
    assert both.look_up(parse_address("bob@elsewhere.example")) is Standing.ELSEWHERE
    assert list(both.expand(parse_address("all@accounts.example"))) == [target, account]
    assert list(both.expand(alias)) == [alias]
    mailbox = both.mailbox_of(account)
    assert mailbox is not None
    assert mailbox.account == 7
    assert both.mailbox_of(alias) is None
