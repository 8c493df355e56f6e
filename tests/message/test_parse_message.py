"""Whole messages: ENVELOPE, BODYSTRUCTURE, sections, keys, and hostile ones."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.bodystructure import body_of
from posthouse.message.parse import parse_message
from posthouse.message.parsed import ParsedMessage
from posthouse.message.sections import find_message, find_section
from posthouse.message.text import header_text, message_text
from tests.message.imap_lists import Item, read_list
from tests.message.test_mime_scan import FRAGMENTS, HOSTILE

CORPUS = Path(__file__).parent.parent / "corpora"


def lines(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def test_the_envelope_of_the_rfc() -> None:
    """RFC 9051 §8 shows it."""
    parsed = parse_message(
        lines(
            "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\nFrom: Terry Gray <gray@cac.washington.edu>\n"
            "Subject: IMAP4rev2 WG mtg summary and minutes\nTo: imap@cac.washington.edu\n"
            "cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\n"
            "Message-Id: <B27397-0100000@cac.washington.example>\nMIME-Version: 1.0\n"
            "Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\n\nHello\n"
        )
    )
    gray = b'(("Terry Gray" NIL "gray" "cac.washington.edu"))'
    assert parsed.envelope == (
        b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev2 WG mtg summary and minutes" '
        + b" ".join([gray] * 3)
        + b' ((NIL NIL "imap" "cac.washington.edu")) ((NIL NIL "minutes" "CNRI.Reston.VA.US")'
        b'("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL "<B27397-0100000@cac.washington.example>")'
    )
    assert parsed.bodystructure == b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 7 1 NIL NIL NIL NIL)'
    assert body_of(parsed.bodystructure) == b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 7 1)'


def test_what_is_not_there_is_nil_and_what_is_empty_is_empty() -> None:
    assert parse_message(b"\r\nx").envelope == b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
    parsed = parse_message(
        lines("Subject:\nDate: \nIn-Reply-To:\nMessage-ID:\nTo:\nFrom: a@b\nSender: \nReply-To:\n\n")
    )
    a = b'((NIL NIL "a" "b"))'
    assert parsed.envelope == b'("" "" %b %b %b NIL NIL NIL "" "")' % (a, a, a)


def test_eight_bit_and_broken_header_text_is_a_literal() -> None:
    parsed = parse_message('Subject: Grüße "x"\r\nMessage-ID: <a\\b@"c">\r\n\r\n'.encode())
    assert b' {11}\r\nGr\xc3\xbc\xc3\x9fe "x" ' in parsed.envelope
    assert rb'"<a\\b@\"c\">"' in parsed.envelope
    assert b"\x00" not in parse_message(b"Subject: a\x00b\xff\r\n\r\n").envelope


def test_a_folded_subject_is_one_line_and_a_long_one_a_literal() -> None:
    assert b'NIL "a b c" NIL' in parse_message(b"Subject: a\r\n b\r\n\t  c\r\n\r\n").envelope
    assert b"{2000}\r\n" in parse_message(b"Subject: " + b"x" * 2000 + b"\r\n\r\n").envelope


def test_two_from_fields_are_one_list() -> None:
    envelope = parse_message(lines("From: a@b\nFrom: c@d\nSubject: 1\nSubject: 2\n\n")).envelope
    assert envelope.startswith(b'(NIL "1" ((NIL NIL "a" "b")(NIL NIL "c" "d")) ')


NESTED = """From: a@b
Content-Type: multipart/mixed; boundary=o

--o
Content-Type: text/plain; charset=utf-8

one
--o
Content-Type: message/rfc822
Content-Description: a message

Subject: inner
Content-Type: multipart/alternative; boundary=i

--i

two
--i
Content-Type: text/html
Content-ID: <p@q>
Content-Disposition: inline; filename*0="a b"; filename*1=".html"
Content-Language: en, de
Content-Location: here
Content-MD5: abc

<p>three</p>
--i--

--o
Content-Type: message/rfc822

Subject: single

four
--o--
"""


def test_a_message_within_a_message() -> None:
    parsed = parse_message(lines(NESTED))
    nil9 = b'(NIL "%b" NIL NIL NIL NIL NIL NIL NIL NIL)'
    plain = b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" %d 0 NIL NIL NIL NIL)'
    page = (
        b'("text" "html" ("CHARSET" "US-ASCII") "<p@q>" NIL "7BIT" 12 0 "abc" '
        b'("inline" ("filename" "a b.html")) ("en" "de") "here")'
    )
    inner = b'(%b%b "alternative" ("boundary" "i") NIL NIL NIL)' % (plain % 3, page)
    first = parsed.parts[2]
    assert (first.section, first.type) == ("2", "message/rfc822")
    assert parsed.bodystructure == (
        b'(("text" "plain" ("charset" "utf-8") NIL NIL "7BIT" 3 0 NIL NIL NIL NIL)'
        b'("message" "rfc822" NIL NIL "a message" "7BIT" %d %b %b %d NIL NIL NIL NIL)'
        b'("message" "rfc822" NIL NIL NIL "7BIT" 23 %b %b 2 NIL NIL NIL NIL)'
        b' "mixed" ("boundary" "o") NIL NIL NIL)'
    ) % (first.end - first.body, nil9 % b"inner", inner, first.lines, nil9 % b"single", plain % 4)
    sections = [part.section for part in parsed.parts]
    assert sections == ["", "1", "2", "2.0", "2.1", "2.2", "3", "3.0"]


def test_sections_are_found_as_imap_numbers_them() -> None:
    data = lines(NESTED)
    parts = parse_message(data).parts

    def content(section: str) -> bytes:
        part = find_section(parts, section)
        assert part is not None
        return data[part.body : part.end]

    assert [content(section) for section in ("1", "2.1", "2.2", "3.1")] == [b"one", b"two", b"<p>three</p>", b"four"]
    assert find_section(parts, "1.1") is None
    assert find_section(parts, "4") is None
    inner = find_message(parts, "2")
    assert inner is not None
    assert data[inner.header : inner.body].startswith(b"Subject: inner")
    assert find_message(parts, "1") is None
    simple = parse_message(b"Subject: x\r\n\r\ny\r\n").parts
    assert find_section(simple, "1") is find_message(simple, "") is simple[0]
    attached = parse_message(b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ny").parts
    assert [part.section for part in attached] == ["", "1.0"]
    found = find_section(attached, "1.1")
    assert found is not None
    assert found.type == "text/plain"


@pytest.mark.parametrize(
    ("header", "structure"),
    [
        (b"Content-Type: multipart/mixed; boundary=b", b'(%b "mixed" ("boundary" "b") NIL NIL NIL)'),
        (b"Content-Type: multipart/mixed", b'(%b "mixed" NIL NIL NIL NIL)'),
        (b"Content-Type: nonsense", b"%b"),
        (b"Content-Type: text", b"%b"),
    ],
)
def test_a_broken_type_still_shows_what_is_there(header: bytes, structure: bytes) -> None:
    text = b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 6 1 NIL NIL NIL NIL)'
    parsed = parse_message(header + b"\r\n\r\ntext\r\n")
    assert parsed.bodystructure == structure % text
    assert list(message_text(header + b"\r\n\r\ntext\r\n", parsed)) == ["text\n"]


def test_an_encoded_message_is_said_to_hold_an_empty_one() -> None:
    data = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0KDQo=\r\n"
    check_grammar(parse_message(data))


def test_extended_parameters_are_put_together() -> None:
    data = b'Content-Type: a/b; N*1*=%41; n*0="x y%"; q=1\r\n\r\n'
    assert b'("N*" "\'\'x%20y%25%41" "q" "1")' in parse_message(data).bodystructure


def test_keys_and_texts() -> None:
    parsed = parse_message(
        lines(
            "From: =?utf-8?q?J=C3=B6rg?= <jo@b.test>\nTo: c@d.test\nSubject: Re: =?utf-8?b?R3LDvMOfZQ==?=\n"
            "Date: Fri, 21 Nov 1997 09:55:06 -0600\nMessage-ID: <1@x>\nReferences: <3@x>\n <4@x>\nIn-Reply-To: <5@x>\n"
            "List-Id: A list <L.example.org>\n\n> quoted\nHello  there\n-- \nme\n"
        )
    )
    assert parsed.keys.sent == 880127706
    assert (parsed.keys.sender, parsed.keys.recipient, parsed.keys.copied) == ("JO", "C", "")
    assert parsed.keys.base_subject == "GRU\u0308SSE"
    assert parsed.subject == "Re: Grüße"
    assert parsed.is_reply_or_forward
    assert (parsed.message_id, parsed.references) == ("1@x", ("3@x", "4@x", "5@x"))
    assert parsed.references[len(parsed.references) - parsed.reply_ids :] == ("5@x",)
    assert parsed.from_text == "Jörg <jo@b.test>"
    assert parsed.list_id == "l.example.org"
    assert parsed.preview == "Hello there"


def test_the_head_is_as_it_stands_there() -> None:
    data = b"X-A: 1\r\nSubject: a\r\n b\r\nReceived: x\r\nfrom : c@d\r\n\r\nSubject: no\r\n"
    assert parse_message(data).head == b"Subject: a\r\n b\r\nfrom : c@d\r\n"
    assert parse_message(b"Subject: " + b"x" * 20_000 + b"\r\n\r\n").head == b""


@pytest.mark.parametrize(
    ("fields", "is_file"),
    [
        ("Content-Type: text/plain", False),
        ("Content-Type: text/plain\nContent-Disposition: attachment; filename=a.txt", True),
        ("Content-Type: application/pdf", True),
        ("Content-Type: image/png\nContent-Disposition: inline", False),
        ("Content-Type: application/pgp-signature; name=signature.asc", False),
        ("Content-Type: message/rfc822", True),
    ],
)
def test_what_counts_as_an_attachment(fields: str, is_file: bool) -> None:
    data = lines(f"Content-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\n{fields}\n\nx\n--b--\n")
    assert parse_message(data).has_attachment is is_file


def test_no_header_text_spills_over_lines() -> None:
    parsed = parse_message(lines("Subject: =?utf-8?q?a=0D=0ABcc:_x?=\nFrom: =?utf-8?q?a=0Ab?= <a@b>\n\n"))
    assert (parsed.subject, parsed.from_text) == ("a Bcc: x", "a b <a@b>")


def test_a_field_is_found_by_name() -> None:
    data = b"X-A: =?utf-8?q?=C3=A4?=\r\nx-a:\r\n  b\r\n\r\nX-B: c\r\n"
    assert header_text(data, "X-a") == "ä\nb"
    assert header_text(data, "X-B") is None


def check_grammar(parsed: ParsedMessage) -> None:
    """Both lists can be read, and have the shape that RFC 9051 §9 gives them."""
    check_envelope(read_list(parsed.envelope))
    check_body(read_list(parsed.bodystructure), is_extended=True)
    check_body(read_list(body_of(parsed.bodystructure)), is_extended=False)


def check_envelope(envelope: Item) -> None:
    assert isinstance(envelope, list)
    assert len(envelope) == 10
    for addresses in envelope[2:8]:
        for address in addresses if isinstance(addresses, list) else []:
            assert isinstance(address, list)
            assert len(address) == 4
            assert not any(isinstance(field, list) for field in address)


def check_body(body: Item, *, is_extended: bool) -> None:
    assert isinstance(body, list)
    extension = 4 if is_extended else 0
    if isinstance(body[0], list):
        children = list(itertools.takewhile(lambda item: isinstance(item, list), body))
        for child in children:
            check_body(child, is_extended=is_extended)
        assert len(body) == len(children) + 1 + extension
        return
    assert isinstance(body[1], bytes)
    main, sub = body[0].lower() if body[0] else b"", body[1].lower()
    size = 8 if main == b"text" else 7
    if main == b"message" and sub in (b"rfc822", b"global"):
        check_envelope(body[7])
        check_body(body[8], is_extended=is_extended)
        size = 10
    assert len(body) == size + extension


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.eml")), ids=lambda path: path.stem)
def test_the_corpus_gives_lists_of_the_grammar(path: Path) -> None:
    check_grammar(parse_message(path.read_bytes()))


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(b"".join))
def test_whatever_comes_the_lists_are_of_the_grammar(data: bytes) -> None:
    parsed = parse_message(data)
    check_grammar(parsed)
    assert parsed.lines == data.count(b"\r\n")
    for part in parsed.parts:
        assert part.lines == data.count(b"\r\n", part.body, part.end)
    "".join(message_text(data, parsed, with_header=True))


@given(
    st.binary(max_size=200),
    st.sampled_from([b"From:", b"Content-Type: a/b;", b"Content-Disposition:", b"Date:", b"Subject:"]),
)
def test_no_field_makes_it_raise(octets: bytes, name: bytes) -> None:
    check_grammar(parse_message(name + octets + b"\r\n\r\n"))


MORE = {
    "a million addresses": b"To: " + b"a@b, " * 1_000_000 + b"\r\n\r\n",
    "a million To fields": b"To: a@b\r\n" * 1_000_000 + b"\r\n",
    "comments without end": b"To: " + b"(" * 1_000_000 + b"\r\n\r\n",
    "quotes without end": b"To: " + b'"\\' * 500_000 + b"\r\n\r\n",
    "encoded words without end": b"Subject: " + b"=?a?q?" * 200_000 + b"\r\n\r\n",
    "encoded words in dozens": b"Subject: " + b"=?utf-8?q?=C3?= " * 15_000 + b"\r\n\r\n",
    "words": b"From: " + b"a " * 100_000 + b"\r\n\r\n",
    "at signs": b"From: " + b"@" * 200_000 + b"\r\n\r\n",
    "references": b"References: " + b"<a@b>" * 200_000 + b"\r\n\r\n",
    "comments in a date": b"Date: " + b"(" * 100_000 + b")" * 100_000 + b"\r\n\r\n",
    "open tags": b"Content-Type: text/html\r\n\r\n" + b"<a " * 500_000,
    "open comments": b"Content-Type: text/html\r\n\r\n" + b"<!-- -" * 300_000,
    "open scripts": b"Content-Type: text/html\r\n\r\n" + b"<script><style>" * 100_000,
    "entities": b"Content-Type: text/html\r\n\r\n" + b"&#" * 500_000,
    "quoted lines": b"\r\n" + b">\r\n" * 500_000,
    "soft line breaks": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\r\n" * 500_000,
}  # fmt: skip


@pytest.mark.parametrize("name", [*HOSTILE, *MORE])
def test_bounded_time_for_all_of_it(name: str) -> None:
    data = (HOSTILE | MORE)[name]
    started = time.perf_counter()
    parsed = parse_message(data)
    for _ in message_text(data, parsed, with_header=True):
        pass
    assert time.perf_counter() - started < 5
    check_grammar(parsed)
    assert len(parsed.envelope) + len(parsed.bodystructure) < 2 * len(data) + 4_000_000
    assert len(parsed.preview) <= 256
