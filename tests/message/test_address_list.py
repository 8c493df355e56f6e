"""Address lists: by the grammar, and as senders write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.address_list import ListedAddress, parse_addresses


def read(value: bytes) -> list[tuple[bytes | None, ...]]:
    return [tuple(address) for address in parse_addresses(value)]


END = (None, None, None, None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"John Doe <john@example.org>", [(b"John Doe", None, b"john", b"example.org")]),
        (b'"Doe, John"\r\n <j@x.org>,k@x.org', [(b"Doe, John", None, b"j", b"x.org"), (None, None, b"k", b"x.org")]),
        (b'"q\\"uo" <"john doe"@x.org>', [(b'q"uo', None, b"john doe", b"x.org")]),
        (b"b@c.d (Bee)", [(b"Bee", None, b"b", b"c.d")]),
        (b"John Q. Public <j@x>", [(b"John Q. Public", None, b"j", b"x")]),
        (b"<@a.test,@b.test:c@d.test>", [(None, b"@a.test,@b.test", b"c", b"d.test")]),
        (b"john . doe @ example . org", [(None, None, b"john.doe", b"example.org")]),
        (b"john@[192.0.2.1]", [(None, None, b"john", b"[192.0.2.1]")]),
        (
            b"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
            [(b"Pete", None, b"pete", b"silly.test")],
        ),
        (
            b"A Group:Ed Jones <joe@where.test>,joe@where.test;",
            [
                (None, None, b"A Group", None),
                (b"Ed Jones", None, b"joe", b"where.test"),
                (None, None, b"joe", b"where.test"),
                END,
            ],
        ),
        (b"Undisclosed recipients:;", [(None, None, b"Undisclosed recipients", None), END]),
        (
            b"g: a@b; , e@f",
            [(None, None, b"g", None), (None, None, b"a", b"b"), END, (None, None, b"e", b"f")],
        ),
        ("Jörg <jörg@exämple.org>".encode(), [("Jörg".encode(), None, "jörg".encode(), "exämple.org".encode())]),
    ],
)
def test_the_grammar(value: bytes, expected: list[tuple[bytes | None, ...]]) -> None:
    assert read(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"=?utf-8?Q?Doe,_John?= <x@y>", [(b"=?utf-8?Q?Doe,_John?=", None, b"x", b"y")]),
        (b"John Doe john@example.org", [(b"John Doe", None, b"john", b"example.org")]),
        (b"<a@b, c@d>", [(None, None, b"a", b"b"), (None, None, b"c", b"d")]),
        (b"a@b; c@d;", [(None, None, b"a", b"b"), (None, None, b"c", b"d")]),
        (b'"John <john@x>', [(b"John", None, b"john", b"x")]),
        (b"John (unclosed <john@x>", [(b"John unclosed", None, b"john", b"x")]),
        (b"<foo@bar@baz>", [(None, None, b"foo@bar", b"baz")]),
        (b"joe@x.org <joe@x.org>", [(b"joe@x.org", None, b"joe", b"x.org")]),
        (b"root", [(None, None, b"root", b"")]),
        (b"two words", [(b"two words", None, b"", b"")]),
        (b"a@", [(None, None, b"a", b"")]),
        (b"g: a@b", [(None, None, b"g", None), (None, None, b"a", b"b"), END]),
        (b"<>", [(None, None, b"", b"")]),
        (b", ,,", []),
        (b"", []),
    ],
)
def test_what_senders_write(value: bytes, expected: list[tuple[bytes | None, ...]]) -> None:
    assert read(value) == expected


@given(st.binary(max_size=60) | st.text(st.sampled_from(' ab@<>,;:()"\\[].=?'), max_size=60).map(str.encode))
def test_whatever_comes_groups_are_closed_and_addresses_have_a_host(value: bytes) -> None:
    is_open = False
    for address in parse_addresses(value):
        if address.host is None:
            assert is_open is (address.mailbox is None)
            is_open = not is_open
        else:
            assert address.mailbox is not None
    assert not is_open


def test_a_list_has_an_end() -> None:
    assert len(parse_addresses(b"a@b, " * 5000)) == 2000
    assert len(parse_addresses(b"a@b, " * 50, 7)) == 7


def test_for_people() -> None:
    assert ListedAddress(b"=?utf-8?q?J=C3=B6rg?=", None, b"j", b"x").display == "Jörg"
    assert ListedAddress(None, None, b"j", b"x").display == "j@x"
    assert ListedAddress(None, None, b"root", b"").address == "root"
