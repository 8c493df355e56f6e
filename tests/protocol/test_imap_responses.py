"""Responses of an IMAP server, whole, octet by octet, at every split, and hostile ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.imap.responses import MAX_LINE, TOO_LONG, Response, ResponseError, ResponseReader, quote_string

STREAM = (
    b'* OK [CAPABILITY IMAP4rev1 (odd "text] ready\r\n'
    b"* CAPABILITY IMAP4rev1 AUTH=PLAIN LITERAL+\r\n"
    b'* LIST (\\HasNoChildren \\Sent) "/" "a \\"quoted\\" name"\r\n'
    b"* LIST () NIL {5}\r\na\r\nbc\r\n"
    b'* 12 FETCH (UID 34 FLAGS (\\Seen $Junk) INTERNALDATE "17-Jul-1996 02:44:25 -0700" BODY[] {10}\r\nx {3}\r\n\r\n)'
    b" BODY[HEADER.FIELDS (DATE)]<0> NIL)\r\n"
    b"* 3 EXISTS\r\n+ go on\r\n* SEARCH\r\na1 OK [READ-ONLY] done\r\n"
)
WANTED = [
    Response(b"*", b"OK", text=b'[CAPABILITY IMAP4rev1 (odd "text] ready'),
    Response(b"*", b"CAPABILITY", items=[b"IMAP4rev1", b"AUTH=PLAIN", b"LITERAL+"]),
    Response(b"*", b"LIST", items=[[b"\\HasNoChildren", b"\\Sent"], b"/", b'a "quoted" name']),
    Response(b"*", b"LIST", items=[[], None, b"a\r\nbc"]),
    Response(
        b"*",
        b"FETCH",
        12,
        items=[
            [
                b"UID",
                b"34",
                b"FLAGS",
                [b"\\Seen", b"$Junk"],
                b"INTERNALDATE",
                b"17-Jul-1996 02:44:25 -0700",
                b"BODY[]",
                b"x {3}\r\n\r\n)",
                b"BODY[HEADER.FIELDS (DATE)]<0>",
                None,
            ]
        ],
    ),
    Response(b"*", b"EXISTS", 3, items=[]),
    Response(b"+", text=b"go on"),
    Response(b"*", b"SEARCH", items=[]),
    Response(b"a1", b"OK", text=b"[READ-ONLY] done"),
]


def read(pieces: list[bytes], max_literal: int = 1000) -> list[Response]:
    reader, found = ResponseReader(max_literal), []
    for piece in pieces:
        reader.receive(piece)
        while (response := reader.next_response()) is not None:
            found.append(response)
    return found


def test_a_stream_whole_and_octet_by_octet() -> None:
    assert read([STREAM]) == WANTED
    assert read([STREAM[at : at + 1] for at in range(len(STREAM))]) == WANTED


@pytest.mark.parametrize("at", range(0, len(STREAM), 3))
def test_a_stream_at_every_split(at: int) -> None:
    assert read([STREAM[:at], STREAM[at:]]) == WANTED


def test_a_literal_beyond_the_limit_is_passed_over_and_not_kept() -> None:
    head = b"* 1 FETCH (UID 7 BODY[] {4000000000}\r\n"
    reader = ResponseReader(1000)
    reader.receive(head)
    for _ in range(50):
        reader.receive(b"x" * 1_000_000)
        assert reader.next_response() is None
        assert len(reader._buffer) == 0
    stream = b"* 1 FETCH (UID 7 BODY[] {2000}\r\n" + b"x" * 2000 + b" FLAGS ())\r\n"
    items = read([stream])[0].items
    assert items == [[b"UID", b"7", b"BODY[]", b"", b"FLAGS", []]]
    assert isinstance(items[0], list)
    assert items[0][3] is TOO_LONG


@pytest.mark.parametrize(
    "stream",
    [
        b"* LIST ((\r\n",
        b"* LIST )\r\n",
        b'* LIST "open\r\n',
        b"* FETCH " + b"(" * 200 + b")" * 200 + b"\r\n",
        b"\r\n",
        b"*\r\n",
        b"x" * (MAX_LINE + 10),
        b"* SEARCH {5}\r\n12345" + b"1" * (MAX_LINE + 10),
    ],
)
def test_what_is_no_imap_is_an_error(stream: bytes) -> None:
    with pytest.raises(ResponseError):
        read([stream])


def test_brackets_without_end_take_no_time() -> None:
    assert len(read([b"* X " + b"[ " * 200_000 + b"\r\n"])) == 1


@given(
    st.lists(
        st.sampled_from([b"* ", b"(", b")", b'"', b"{3}\r\n", b"\r\n", b"abc", b" ", b"[", b"]", b"\\", b"1 FETCH"])
    )
)
def test_only_responses_or_an_error_come_out(words: list[bytes]) -> None:
    try:
        read([b"".join(words)])
    except ResponseError:
        return


def test_strings_are_quoted_where_that_is_possible() -> None:
    assert quote_string(b'a "b" \\') == b'"a \\"b\\" \\\\"'
    assert quote_string(b"a\r\nb") is None
    assert quote_string("ü".encode()) is None
