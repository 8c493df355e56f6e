"""Text out of mail: character sets, encoded words, parameters, dates, HTML, previews."""

from __future__ import annotations

import email.message
import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.charsets import decode_text
from posthouse.message.dates import parse_date
from posthouse.message.encoded_words import decode_value
from posthouse.message.parameters import clean_value, find_parameter, read_parameters
from posthouse.message.parse import parse_message
from posthouse.message.text import decode_content, decode_part, part_text, strip_html
from tests.message.mime_trees import POLICY, leaves_of, trees


@pytest.mark.parametrize(
    ("octets", "label", "text"),
    [
        (b"\x80", "ISO-8859-1", "€"),
        (b"\xe4", "latin1", "ä"),
        ("ж".encode("koi8-r"), "KOI8-R", "ж"),
        ("漢".encode("gb18030"), "gb2312", "漢"),
        ("①".encode("cp932"), "Shift_JIS", "①"),
        ("ä".encode(), "us-ascii", "ä"),
        (b"\xe4", "us-ascii", "ä"),
        ("ä".encode(), "no-such-charset", "ä"),
        (b"\\x41", "unicode_escape", "\\x41"),
        (b"xn--a", "punycode", "xn--a"),
        (b"uryyb", "rot13", "uryyb"),
        (b"\xff", "utf-8", "\ufffd"),
        (b"+2AA-", "utf-7", "\ufffd"),
        (b"a", "x" * 1000, "a"),
    ],
)
def test_character_sets(octets: bytes, label: str, text: str) -> None:
    assert decode_text(octets, label) == text


@given(st.binary(max_size=40), st.text(max_size=20) | st.sampled_from(["utf-7", "utf-16", "hz", "iso-2022-jp", "big5"]))
def test_any_octets_in_any_character_set_are_text_that_can_be_stored(octets: bytes, label: str) -> None:
    decode_text(octets, label).encode("utf-8")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"=?ISO-8859-1?Q?a?=", "a"),
        (b"=?ISO-8859-1?Q?a?= b", "a b"),
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a_b?=", "a b"),
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
        (b"=?utf-8?b?4pi?= =?utf-8?b?hQ==?=", "★"),
        (b"=?utf-8*de?q?=C3=A4?=", "ä"),
        (b"=?utf-8?q?a b?=", "a b"),
        (b'"=?utf-8?q?=C3=A4?="', '"ä"'),
        (b"=?unicode_escape?q?=5cx41?=", "=?unicode_escape?q?=5cx41?="),
        (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("=?utf-8?q?ä?=".encode(), "=?utf-8?q?ä?="),
        (b"=?utf-8?b?YQ?=", "a"),
        (b"a\r\n\tb", "a b"),
        (b"\xe4\x00", "ä"),
    ],
)
def test_encoded_words(value: bytes, text: str) -> None:
    """The first ones are the examples of RFC 2047 §8."""
    assert decode_value(value) == text


@given(st.binary(max_size=80) | st.text(st.sampled_from("=?utf-8qb_ \r\n*AÄ"), max_size=80).map(str.encode))
def test_a_decoded_value_is_one_line(value: bytes) -> None:
    text = decode_value(b"=?utf-8?q?" + value + b"?= " + value)
    assert len(text.splitlines()) <= 1
    text.encode("utf-8")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b'a; filename="a b.pdf"', "a b.pdf"),
        (b"a; filename=a b.pdf", "a b.pdf"),
        (b"a; filename*=utf-8''%C3%A4.pdf; filename=a.pdf", "ä.pdf"),
        (b"a; filename*0*=iso-8859-1'de'%E4; filename*1*=%E4; filename*2=.pdf", "ää.pdf"),
        (b'a; filename="=?utf-8?q?=C3=A4?=.pdf"', "ä.pdf"),
        (b"a; filename*=unicode_escape''%5cx41", "\\x41"),
        ('a; filename="ä.pdf"'.encode(), "ä.pdf"),
        (b"a; filename*=utf-8''%0Aa", "a"),
        (b"a", ""),
    ],
)
def test_file_names(value: bytes, name: str) -> None:
    assert find_parameter(read_parameters(clean_value(value)), b"filename") == name


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        (b"Fri, 21 Nov 1997 09:55:06 -0600", 880127706),
        (b" 21 Nov 97 09:55:06 GMT", 880106106),
        (b"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706),
        (b"Thu,\r\n 13\r\n Feb\r\n 1969\r\n 23:32\r\n -0330 (Newfoundland Time)", -27723480),
        (b"Tue Nov 24 03:52:01 2026", 1795492321),
        (b"Sat Nov 21 04:05:06 PST 1998", 911649906),
        (b"2026-11-24T03:52:01Z", 1795492321),
        (b"24-Nov-2026 04:52:01 +0100", 1795492321),
        (b"Tue, 24 Nov 2026 3:52:01 pm +0000", 1795535521),
        (b"Wed, 31 Feb 2020 00:00:00 +0000", None),
        (b"yesterday", None),
        (b"", None),
        (b"1 Jan 99999 00:00:00 +0000", None),
    ],
)
def test_dates(value: bytes, instant: int | None) -> None:
    found = parse_date(value)
    assert (found and found.instant) == instant


@given(st.integers(-2_000_000_000, 4_000_000_000))
def test_dates_as_the_standard_library_writes_them(instant: int) -> None:
    found = parse_date(email.utils.formatdate(instant).encode())
    assert found is not None
    assert found.instant == instant


@given(trees)
def test_every_leaf_decodes_to_what_was_put_in(message: email.message.Message) -> None:
    data = message.as_bytes(policy=POLICY)
    parts = parse_message(data).parts
    ours = [
        (part.type, decode_part(data, part))
        for part in parts
        if not part.type.startswith("multipart/") and part.type != "message/rfc822"
    ]
    theirs = leaves_of(email.message_from_bytes(data))
    assert [(kind, octets.replace(b"\r\n", b"\n")) for kind, octets in ours] == [
        (kind, octets.replace(b"\r\n", b"\n")) for kind, octets in theirs
    ]


def test_uuencoded_text() -> None:
    assert decode_content(b"begin 644 a\r\n#86)C\r\n`\r\nend\r\nafter\r\n", "x-uuencode") == b"abc"


@pytest.mark.parametrize("content", [b"YWJj", b"YW\r\nJj\r\n", b"YWJj!", b"YWJjZ", b"YWI=", b"YWI"])
def test_base64_that_is_broken(content: bytes) -> None:
    assert decode_content(content, "base64").startswith(b"ab")


def test_html_becomes_text() -> None:
    page = (
        "<html><head><title>t</title><style>p {x}</style></head><body><!-- no --><p>Hel<b>lo</b> &amp;&nbsp;you</p>"
        "<script>alert('x')</script>a&lt;b<br>c <img src=x alt='>'>"
    )
    assert " ".join(strip_html(page).split()) == "Hello & you a<b c '>"


def preview(text: str, kind: str = "text/plain") -> str:
    return parse_message(f"Content-Type: {kind}; charset=utf-8\r\n\r\n{text}".encode()).preview


def test_previews() -> None:
    assert preview("Hello,\r\n\r\nAm Montag schrieb A:\r\n> quoted\r\n\r\nyes\r\n-- \r\nme") == "Hello, yes"
    assert preview("> only\r\n> quoted") == "> only > quoted"
    assert preview("-- \r\nonly a signature") == "-- only a signature"
    assert preview("ä" * 1000) == "ä" * 256
    assert preview(" " * 3000 + "far") == "far"
    assert preview("<p>Hi<p>there<blockquote>no</blockquote>", "text/html") == "Hi there"
    assert preview("x", "application/pdf") == ""


def test_the_preview_prefers_plain_text_and_passes_attachments_over() -> None:
    data = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: attachment\r\n\r\nno\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n<p>page\r\n--b\r\n\r\nplain\r\n--b--\r\n"
    )
    assert parse_message(data).preview == "plain"


def test_the_text_of_a_part_has_simple_line_ends() -> None:
    data = b"\r\na\r\nb\r\n"
    assert part_text(data, parse_message(data).parts[0]) == "a\nb\n"
