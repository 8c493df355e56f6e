"""Header sections: found, looked through and written."""

from __future__ import annotations

import email
import email.header
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.header import (
    MAX_LINE_OCTETS,
    count_received,
    find_header_end,
    first_value,
    inspect_head,
    iterate_fields,
    make_field,
)

USUAL = (
    b"Received: from a.example (a.example [192.0.2.1])\r\n\tby b.example; Tue, 24 Nov 2026 03:52:01 +0000\r\n"
    b"Received: by a.example\r\n"
    b"From: a@example.org\r\n"
    b"Message-ID: <1@example.org>\r\n"
    b"Date: Tue, 24 Nov 2026 03:52:01 +0000\r\n"
    b"\r\n"
    b"Received: this one is in the body\r\n"
)


def test_the_facts_of_a_usual_message() -> None:
    facts = inspect_head(USUAL)
    assert facts.end == USUAL.index(b"Received: this")
    assert facts.received_count == 2
    assert facts.message_id == "<1@example.org>"
    assert facts.has_date
    assert facts.has_from
    assert not facts.has_8bit_headers


@pytest.mark.parametrize(
    "spelling", [b"Message-ID: <1@b>", b"message-id:<1@b>", b"MESSAGE-ID:\r\n <1@b>", b"Message-Id: \t<1@b> "]
)
def test_a_message_id_is_found_however_it_is_written(spelling: bytes) -> None:
    assert inspect_head(b"A: b\r\n" + spelling + b"\r\n\r\n").message_id == "<1@b>"
    assert inspect_head(spelling + b"\r\n\r\n").message_id == "<1@b>"


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", 0),
        (b"\r\n", 2),
        (b"\r\nbody", 2),
        (b"A: b\r\n", 6),
        (b"A: b\r\n\r\n", 8),
        (b"A: b\r\n\r\nbody\r\n\r\n", 8),
    ],
)
def test_where_the_body_starts(data: bytes, end: int) -> None:
    assert inspect_head(data).end == end


def test_no_blank_line_yet() -> None:
    assert find_header_end(b"A: b\r\n") == -1


def test_8bit_octets_count_only_in_the_header() -> None:
    assert inspect_head(b"Subject: \xc3\xa4\r\n\r\n").has_8bit_headers
    assert not inspect_head(b"Subject: a\r\n\r\n\xc3\xa4").has_8bit_headers


def test_a_loop_of_received_fields_is_counted() -> None:
    assert count_received(b"Received: by a\r\n" * 51 + b"\r\n") == 51


def test_names_that_only_look_like_received_do_not_count() -> None:
    assert count_received(b"X-Received: by a\r\nReceived-SPF: pass\r\nSubject: Received: x\r\n\r\n") == 0


def test_a_million_fields_are_looked_through_in_no_time() -> None:
    head = b"X: y\r\n" * 1_000_000 + b"Message-ID: <1@b>\r\n\r\n"
    started = time.perf_counter()
    assert inspect_head(head).message_id == "<1@b>"
    assert time.perf_counter() - started < 2


def test_a_million_continuation_lines_are_one_field() -> None:
    head = b"X: y\r\n" + b" z\r\n" * 1_000_000 + b"\r\n"
    (field,) = iterate_fields(head)
    assert field.next == len(head) - 2


@given(st.binary(max_size=300))
def test_nothing_read_raises(data: bytes) -> None:
    facts = inspect_head(data)
    assert 0 <= facts.end <= len(data)
    position = 0
    for field in iterate_fields(data):
        assert field.start == position
        assert field.start < field.value <= field.end <= field.next
        position = field.next


@given(st.lists(st.sampled_from([b"A: b", b"Received: x", b" folded", b"no colon", b"", b"\xff: \xff", b"B :c"])))
def test_fields_are_contiguous_and_end_at_the_first_line_that_is_none(lines: list[bytes]) -> None:
    data = b"\r\n".join(lines) + b"\r\n"
    fields = list(iterate_fields(data))
    assert [field.start for field in fields] == [0, *[field.next for field in fields[:-1]]][: len(fields)]
    if not fields:
        assert b":" not in lines[0] or lines[0][:1] in (b" ", b"\xff") if lines else True


def test_fields_have_their_offsets() -> None:
    head = b"One: 1\r\nTwo:\r\n 2\r\n\r\n"
    fields = list(iterate_fields(head))
    assert [(field.name, head[field.value : field.end]) for field in fields] == [(b"one", b" 1"), (b"two", b"\r\n 2")]


def test_the_first_of_several_values_unfolded() -> None:
    head = b"To: a,\r\n\tb\r\nSubject: s\r\nTo: c\r\n\r\n"
    assert first_value(head, b"to") == b"a,\tb"
    assert first_value(head, b"cc") is None


def test_a_plain_field() -> None:
    assert make_field("Subject", "hello world") == b"Subject: hello world\r\n"


def test_a_long_field_is_folded_at_its_spaces() -> None:
    field = make_field("Subject", "word " * 60)
    lines = field.split(b"\r\n")
    assert max(map(len, lines)) <= 78
    assert all(line[:1] == b" " for line in lines[1:-1])
    assert b"".join(lines).split() == [b"Subject:", *[b"word"] * 60]


@pytest.mark.parametrize("value", ["a\r\nBcc: victim@example.org", "a\nX: y", "a\rX: y", "\r\n\r\nbody"])
def test_a_value_cannot_bring_a_field_of_its_own(value: str) -> None:
    field = make_field("Subject", value)
    assert len(list(iterate_fields(field + b"\r\n"))) == 1
    assert b"\r" not in field.replace(b"\r\n", b"")
    assert b"\n" not in field.replace(b"\r\n", b"")


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=40))
def test_encoded_words_say_what_was_said(text: str) -> None:
    words = f"{text} plain {text} {text}"
    field = make_field("Subject", words)
    assert field.isascii()
    assert max(map(len, field.split(b"\r\n"))) <= 78 or text.isascii()
    value = email.message_from_bytes(field + b"\r\n")["Subject"].replace("\r\n", "")
    assert str(email.header.make_header(email.header.decode_header(value))) == words


@given(st.text(max_size=3000), st.booleans())
def test_no_line_is_ever_above_998_octets(text: str, utf8: bool) -> None:
    field = make_field("X-Long", text, utf8=utf8)
    assert field.endswith(b"\r\n")
    assert max(map(len, field.split(b"\r\n"))) <= MAX_LINE_OCTETS


def test_one_endless_word_is_cut_between_characters() -> None:
    field = make_field("X", "ä" * 3000, utf8=True)
    lines = field.split(b"\r\n")
    assert max(map(len, lines)) <= MAX_LINE_OCTETS
    assert "".join(line.decode("utf-8") for line in lines).count("ä") == 3000
