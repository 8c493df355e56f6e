"""Headers without 8-bit octets in place of those that have them (RFC 6858)."""

from __future__ import annotations

import email
import email.policy

from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.address_list import parse_addresses
from posthouse.message.encoded_words import decode_value
from posthouse.message.header import first_value
from posthouse.message.surrogate import make_surrogate


def rewrite(field: str) -> bytes:
    head = make_surrogate(field.encode() + b"\r\n\r\n")
    assert head.endswith(b"\r\n\r\n")
    return head[:-4]


def test_a_header_in_ascii_is_the_same_object() -> None:
    head = b"Subject: x\r\n\r\n"
    assert make_surrogate(head) is head


def test_only_what_is_not_ascii_is_touched() -> None:
    head = "X-Odd :  as\r\n\tit is\r\nSubject: ü\r\nTo:a@b.example ,c@d.example\r\n\r\n".encode()
    kept = make_surrogate(head)
    assert kept.startswith(b"X-Odd :  as\r\n\tit is\r\nSubject: =?utf-8?b?")
    assert kept.endswith(b"\r\nTo:a@b.example ,c@d.example\r\n\r\n")


def test_a_subject_says_the_same() -> None:
    kept = rewrite("Subject: Grüße an alle,\r\n die hier sind")
    assert decode_value(kept.partition(b": ")[2].replace(b"\r\n", b"")) == "Grüße an alle, die hier sind"


def test_octets_that_are_no_utf8_are_guessed() -> None:
    kept = make_surrogate(b"Subject: gr\xfc\xdfe\r\n\r\n")
    assert decode_value(kept.partition(b": ")[2]) == "grüße"


def test_names_are_kept_and_domains_become_ascii() -> None:
    kept = rewrite('From: "Müller, Jr." <jm@exämple.de>, Ann <ann@example.com>')
    first, second = parse_addresses(kept.partition(b": ")[2])
    assert (first.display, first.address) == ("Müller, Jr.", "jm@xn--exmple-cua.de")
    assert (second.display, second.address) == ("Ann", "ann@example.com")


def test_an_address_that_has_no_ascii_form_is_shown_and_leads_nowhere() -> None:
    """RFC 6858 §2.1."""
    (address,) = parse_addresses(rewrite("To: Jürgen <jürgen@example.de>").partition(b": ")[2])
    assert address.display == "Jürgen jürgen@example.de"
    assert address.address == "invalid@internationalized-address.invalid"


def test_groups_stay_groups() -> None:
    kept = rewrite("To: Grüppchen: a@b.example, c@d.example;, e@f.example").partition(b": ")[2]
    marks = [(each.mailbox, each.host) for each in parse_addresses(kept)]
    assert marks[1:] == [(b"a", b"b.example"), (b"c", b"d.example"), (None, None), (b"e", b"f.example")]


def test_the_name_of_an_attachment_is_kept() -> None:
    """RFC 2231 §4."""
    kept = rewrite('Content-Disposition: attachment; filename="Grüße \\"1\\".pdf"; size=3')
    part = email.message_from_bytes(kept + b"\r\n\r\n", policy=email.policy.default)
    assert part.get_filename() == 'Grüße "1".pdf'
    assert part["Content-Disposition"].params["size"] == "3"


def test_what_is_no_field_loses_its_octets() -> None:
    assert make_surrogate("Subject: x\r\nno field ü\r\n\r\n".encode()) == b"Subject: x\r\nno field ??\r\n\r\n"


@given(st.binary(max_size=200), st.sampled_from([b"From", b"Subject", b"Content-Type", b"To", b"X-Y"]))
def test_whatever_the_value_it_is_one_field_in_ascii(value: bytes, name: bytes) -> None:
    value = value.replace(b"\r", b"").replace(b"\n", b"")
    kept = make_surrogate(name + b": " + value + b"\r\nLast: yes\r\n\r\n")
    assert kept.isascii()
    assert kept.endswith(b"\r\n\r\n")
    assert first_value(kept, b"last") == b"yes"
    assert kept.count(b"\r\n\r\n") == 1
