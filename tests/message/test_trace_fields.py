"""Received, Return-Path, Delivered-To and dates."""

from __future__ import annotations

import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.address import Address, Domain, LocalPart, parse_address
from posthouse.message.dates import format_date
from posthouse.message.header import iterate_fields
from posthouse.message.instant import Instant
from posthouse.message.trace import (
    Origin,
    describe_tls,
    make_delivered_to,
    make_local_received,
    make_received,
    make_return_path,
    with_protocol,
)

NOW = Instant(1_800_000_000.5)
ORIGIN = Origin("mail.example.org", "client.example", "client.example", "192.0.2.1")


def test_a_complete_received_field() -> None:
    tls = describe_tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)
    origin = Origin("mail.example.org", "client.example", "host.example", "192.0.2.1", tls)
    assert make_received(origin, "ESMTPS", "0012345678901", parse_address("b@example.net"), NOW) == (
        b"Received: from client.example (host.example [192.0.2.1])\r\n"
        b"\t(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256)\r\n"
        b"\tby mail.example.org (Posthouse) with ESMTPS id 0012345678901\r\n"
        b"\tfor <b@example.net>;\r\n"
        b"\tFri, 15 Jan 2027 08:00:00 +0000\r\n"
    )


def test_with_several_recipients_none_is_named() -> None:
    assert b"for" not in make_received(ORIGIN, "ESMTP", "X", None, NOW)


def test_an_ipv6_client_without_a_name() -> None:
    field = make_received(Origin("h.example", "c", "", "2001:db8::1"), "ESMTP", "X", None, NOW)
    assert b"from c (unknown [IPv6:2001:db8::1])" in field


def test_a_unix_socket_has_no_address() -> None:
    assert b"from c (local)" in make_received(Origin("h.example", "c"), "LMTP", "X", None, NOW)


def test_a_recipient_in_utf8_is_named_only_with_a_utf8_protocol() -> None:
    address = parse_address("jörg@example.net")
    assert b"for" not in make_received(ORIGIN, "ESMTP", "X", address, NOW)
    assert "for <jörg@example.net>".encode() in make_received(ORIGIN, "UTF8SMTPS", "X", address, NOW)


@given(st.text(), st.text(), st.text())
def test_nothing_a_peer_says_breaks_the_field(helo: str, name: str, address: str) -> None:
    origin = Origin("mail.example.org", helo, name, address)
    field = make_received(origin, "ESMTP", "X", None, NOW)
    assert field.isascii()
    assert len(list(iterate_fields(field + b"\r\n"))) == 1
    assert field.count(b"(") == field.count(b")") == 2
    assert max(map(len, field.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("helo", ["a)b", "a(b", "a\r\nX: y", "a;b", "a b", 'a"b', ""])
def test_a_hostile_helo_is_made_harmless(helo: str) -> None:
    field = make_received(Origin("h.example", helo, "", "192.0.2.1"), "SMTP", "X", None, NOW)
    assert field.startswith(b"Received: from " + (b"unknown" if not helo else b"a?"))


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"lmtp": False}, "ESMTP"),
        ({"lmtp": False, "extended": False}, "SMTP"),
        ({"lmtp": False, "tls": True}, "ESMTPS"),
        ({"lmtp": False, "auth": True}, "ESMTPA"),
        ({"lmtp": False, "tls": True, "auth": True}, "ESMTPSA"),
        ({"lmtp": False, "utf8": True, "tls": True}, "UTF8SMTPS"),
        ({"lmtp": False, "utf8": True, "tls": True, "auth": True}, "UTF8SMTPSA"),
        ({"lmtp": True}, "LMTP"),
        ({"lmtp": True, "tls": True}, "LMTPS"),
        ({"lmtp": True, "utf8": True}, "UTF8LMTP"),
    ],
)
def test_the_word_behind_with(facts: dict[str, bool], word: str) -> None:
    assert with_protocol(**facts) == word


def test_a_local_user_is_named_by_number() -> None:
    field = make_local_received("h.example", 1000, "X", NOW)
    assert b"by h.example (Posthouse, from userid 1000) id X;" in field


def test_return_path_and_delivered_to() -> None:
    assert make_return_path(None) == b"Return-Path: <>\r\n"
    assert make_return_path(parse_address("a@example.org")) == b"Return-Path: <a@example.org>\r\n"
    assert make_delivered_to(parse_address("b@example.org")) == b"Delivered-To: b@example.org\r\n"


def test_an_address_that_cannot_be_written_does_not_raise() -> None:
    broken = Address(LocalPart("\ud800"), Domain("example.org"))
    assert make_return_path(broken) == b"Return-Path: <?@example.org>\r\n"


@given(st.integers(min_value=0, max_value=4_102_444_800))
def test_dates_are_what_the_standard_library_writes(second: int) -> None:
    parsed = email.utils.parsedate_to_datetime(format_date(Instant(second + 0.25)).decode())
    assert parsed.timestamp() == second
