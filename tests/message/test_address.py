"""Addresses by the grammar of RFC 5321 §4.1.2 and RFC 6531 §3.3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.address import AddressError, literal_address, parse_address, parse_domain, to_ascii_domain


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("a@example.org", "a", "example.org"),
        ("A.b+c@EXAMPLE.Org", "A.b+c", "example.org"),
        ('"info@"@example.org', "info@", "example.org"),
        ('"a b"@example.org', "a b", "example.org"),
        (r'"a\"b\\c"@example.org', r"a\"b\c".replace("\\", "", 1), "example.org"),
        ('""@example.org', "", "example.org"),
        ("!#$%&'*+-/=?^_`{|}~@example.org", "!#$%&'*+-/=?^_`{|}~", "example.org"),
        ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
        ("a@[IPv6:2001:DB8:0::1]", "a", "[IPv6:2001:db8::1]"),
        ("a@localhost", "a", "localhost"),
        ("jörg@bücher.example", "jörg", "bücher.example"),
        ("a@xn--bcher-kva.example", "a", "xn--bcher-kva.example"),
    ],
)
def test_addresses_that_are_good(text: str, local: str, domain: str) -> None:
    address = parse_address(text)
    assert (address.local, address.domain) == (local, domain)


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "@example.org", "a@", "a@@b", "a b@example.org", ".a@example.org", "a.@example.org",
        "a..b@example.org",
        "a@-b.example", "a@b-.example", "a@b..example", "a@.example", "a@example.", "a@exa mple", "a@exa_mple.org",
        '"a@example.org', '"a"b@example.org', "a@[192.0.2.256]", "a@[192.0.2.1", "a@[]", "a@[IPv6:192.0.2.1]",
        "<a@example.org>", "a@example.org\r\n", "a\x00@example.org", "@a,@b:c@example.org", "a@b\u200d.example",
    ],
)  # fmt: skip
def test_addresses_that_are_not(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)


def test_a_local_part_of_64_octets_is_the_longest() -> None:
    assert parse_address("a" * 64 + "@example.org").local == "a" * 64
    with pytest.raises(AddressError, match="64"):
        parse_address("a" * 65 + "@example.org")
    with pytest.raises(AddressError, match="64"):
        parse_address("ä" * 33 + "@example.org")


def test_a_domain_of_255_octets_is_the_longest() -> None:
    label = "a" * 62
    assert parse_domain(".".join([label] * 4)) == ".".join([label] * 4)
    with pytest.raises(AddressError):
        parse_domain(".".join([label] * 5))
    with pytest.raises(AddressError):
        parse_address("a@" + "a" * 64 + ".example")


def test_what_was_quoted_is_quoted_again() -> None:
    for text in ('"a b"@example.org', r'"a\"b"@example.org', '"@"@example.org', '""@example.org', '"a..b"@example.org'):
        assert str(parse_address(text)) == text


def test_quotes_that_are_not_needed_make_no_other_address() -> None:
    assert parse_address('"abc"@example.org') == parse_address("abc@example.org")


def test_a_domain_in_utf8_has_an_ascii_form() -> None:
    address = parse_address("a@bücher.example")
    assert not address.needs_smtputf8
    assert not address.is_ascii
    assert address.to_ascii() == "a@xn--bcher-kva.example"
    assert parse_address("jörg@example.org").needs_smtputf8


def test_idna_rules_are_those_of_2008() -> None:
    assert to_ascii_domain("straße.example") == "xn--strae-oqa.example"
    with pytest.raises(AddressError):
        to_ascii_domain("a" * 300 + "ä")


def test_address_literals_give_their_address() -> None:
    assert literal_address("[192.0.2.1]") == "192.0.2.1"
    assert literal_address("[IPv6:2001:db8::1]") == "2001:db8::1"
    assert literal_address("example.org") is None


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_an_address_error(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert parse_address(str(address)) == address
