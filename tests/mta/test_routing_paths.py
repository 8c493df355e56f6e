"""Maildir paths: what a stranger wrote becomes one safe segment each."""

from __future__ import annotations

import posixpath
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.address import Address, AddressError, Domain, LocalPart, parse_address
from posthouse.message.nexthop import MaildirHop
from posthouse.mta.routing_paths import BoxMaker

HOP = MaildirHop("/var/mail/{domain}/{local}")


def path_of(local: str, domain: str = "example.net", hop: MaildirHop = HOP) -> str:
    return BoxMaker(hop, domain).make(Address(LocalPart(local), Domain(domain))).path


@pytest.mark.parametrize(
    ("local", "segment"),
    [
        ("ann", "ann"),
        ("Ann.Smith+tag", "ann.smith+tag"),
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
        ("..", "%2E."),
        (".", "%2E"),
        (".hidden", "%2Ehidden"),
        ("a/b", "a%2Fb"),
        ("a\x00b", "a%00b"),
        ("a%2Fb", "a%252fb"),
        ("", "%"),
        ("jörg", "j%C3%B6rg"),
        ("a b", "a%20b"),
        ("a\nb", "a%0Ab"),
        ("{domain}", "%7Bdomain%7D"),
        ("-rf", "-rf"),
    ],
)
def test_a_local_part_becomes_one_safe_segment(local: str, segment: str) -> None:
    assert path_of(local) == f"/var/mail/example.net/{segment}"


def test_composed_and_decomposed_letters_are_one_mailbox() -> None:
    assert path_of("jo\u0308rg") == path_of("j\u00f6rg")


def test_the_root_is_the_fixed_part() -> None:
    assert BoxMaker(HOP, "example.net").make(parse_address("ann@example.net")).root == "/var/mail"


def test_a_literal_domain_becomes_a_segment() -> None:
    assert path_of("ann", "[127.0.0.1]") == "/var/mail/%5B127.0.0.1%5D/ann"


def test_a_long_local_part_stays_below_the_limit_of_file_names() -> None:
    one, other = path_of("ö" * 60 + "a"), path_of("ö" * 60 + "b")
    assert max(len(name) for name in one.split("/")) == 255
    assert one != other


def test_both_in_one_segment_stay_below_the_limit_too() -> None:
    hop = MaildirHop("/var/mail/{local}@{domain}/inbox")
    path = path_of("x" * 64, ".".join(["d" * 60] * 4), hop)
    assert path.endswith("/inbox")
    assert max(len(name) for name in path.split("/")) == 255


def _fold(local: str) -> str:
    return unicodedata.normalize("NFC", local).lower()


@given(st.text(min_size=0, max_size=80), st.text(max_size=80))
def test_no_local_part_leaves_its_directory_or_shares_it(one: str, other: str) -> None:
    path = path_of(one)
    head, _, segment = path.rpartition("/")
    assert head == "/var/mail/example.net"
    assert posixpath.normpath(path) == path
    assert segment.isascii()
    assert segment.isprintable()
    assert 0 < len(segment) <= 255
    same = _fold(one) == _fold(other)
    assert (path_of(one) == path_of(other)) is same


@given(st.text(max_size=30))
def test_every_address_the_grammar_allows_has_a_path(local: str) -> None:
    try:
        address = parse_address(f"{local}@example.net")
    except AddressError:
        return
    assert BoxMaker(HOP, "example.net").make(address).path.startswith("/var/mail/example.net/")
