"""Names of mailboxes in modified UTF-7 (RFC 3501 §5.1.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.modified_utf7 import decode_name, encode_name


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        ("INBOX", b"INBOX"),
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        ("Entwürfe", b"Entw&APw-rfe"),
        ("A & B", b"A &- B"),
        ("📮", b"&2D3c7g-"),
    ],
)
def test_names_of_the_standard_and_others(name: str, octets: bytes) -> None:
    assert encode_name(name) == octets
    assert decode_name(octets) == name


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (b"&", "&"),
        (b"a&b", "a&b"),
        (b"&APw", "ü"),
        (b"&*-", "&*-"),
        (b"&AP-", "&AP-"),
        ("Entwürfe".encode(), "Entwürfe"),
    ],
)
def test_what_is_not_written_well_is_taken_as_it_stands(octets: bytes, name: str) -> None:
    assert decode_name(octets) == name


@given(st.text())
def test_every_name_comes_back(name: str) -> None:
    assert decode_name(encode_name(name)) == name


@given(st.binary())
def test_no_octets_raise(octets: bytes) -> None:
    decode_name(octets)
