"""BODY[section], RFC822.*, BINARY: against Python's email package, and by hand (RFC 9051 §6.4.5.1, RFC 3516)."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import re
from email.message import EmailMessage, Message

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.access.imap.fetching_bodies import AT_ONCE
from posthouse.access.imap.fetching_sections import Facts, make_pick, render, want
from posthouse.message.mailbox import EmailId
from posthouse.message.parse import MAX_HEAD, parse_message
from posthouse.ports.store import Addition
from posthouse.protocol.imap.values import Section, Text
from tests.access.imap_kit import ALICE, Client, Office, letter, open_office

PREFIX = b"Return-Path: <ann@example.com>\r\nDelivered-To: alice@example.org\r\n"
PICTURE = bytes(range(256)) * 2


def make_tree() -> bytes:
    """Text, a picture, and a forwarded message that has a text and an attachment."""
    inner = EmailMessage()
    inner["From"], inner["Subject"], inner["X-Inner"] = "carl@example.net", "inside", "yes"
    inner.set_content("Inner text.\n")
    inner.add_attachment(b"inner data", "application", "octet-stream", filename="a.bin")
    outer = EmailMessage()
    outer["From"], outer["To"], outer["Subject"] = "ann@example.com", "alice@example.org", "outside"
    outer["X-Long"] = "word " * 40
    outer.set_content("Outer text with Grüße.\n", cte="quoted-printable")
    outer.add_attachment(PICTURE, "image", "png", filename="p.png")
    outer.add_attachment(inner)
    return outer.as_bytes(policy=email.policy.SMTP)


TREE = make_tree()


async def open_client(*messages: bytes, prefix: bytes = b"") -> tuple[Office, Client]:
    office = await open_office()
    await office.add(*messages, prefix=prefix)
    client = await office.enter()
    await client.select(is_read_only=True)
    return office, client


def literal(answer: bytes, label: bytes) -> bytes | None:
    """What follows that label; None for NIL."""
    at = answer.index(label + b" ") + len(label) + 1
    if answer.startswith(b"NIL", at):
        return None
    found = re.compile(rb"~?\{(\d+)\}\r\n").match(answer, at)
    assert found is not None, answer[at : at + 40]
    size = int(found[1])
    return answer[found.end() : found.end() + size]


async def ask(client: Client, item: str, label: str = "") -> bytes | None:
    answer = await client.talk(b"a FETCH 1 " + item.encode())
    assert b"\r\na OK " in answer, answer[-200:]
    return literal(answer, (label or item).encode())


def split(octets: bytes) -> tuple[bytes, bytes]:
    """Header with its blank line, and body."""
    at = octets.index(b"\r\n\r\n") + 4
    return octets[:at], octets[at:]


def octets_of(part: Message) -> bytes:
    return part.as_bytes(policy=email.policy.SMTP)


# -- the message itself


async def test_header_and_text_are_the_whole_message() -> None:
    _, client = await open_client(TREE)
    header, text = split(TREE)
    assert await ask(client, "BODY[]") == TREE
    assert await ask(client, "RFC822") == TREE
    assert await ask(client, "BODY[HEADER]") == header
    assert await ask(client, "RFC822.HEADER") == header
    assert await ask(client, "BODY[TEXT]") == text
    assert await ask(client, "RFC822.TEXT") == text


async def test_what_delivery_put_in_front_belongs_to_the_header() -> None:
    _, client = await open_client(TREE, prefix=PREFIX)
    header, text = split(TREE)
    assert await ask(client, "BODY[]") == PREFIX + TREE
    assert await ask(client, "BODY[HEADER]") == PREFIX + header
    assert await ask(client, "BODY[TEXT]") == text
    assert await ask(client, "BODY[HEADER.FIELDS (Return-Path Subject)]") == (
        b"Return-Path: <ann@example.com>\r\nSubject: outside\r\n\r\n"
    )
    assert await ask(client, "BODY[1]") == split(octets_of(parts_of(TREE)[0]))[1].removesuffix(b"\r\n") + b"\r\n"


def parts_of(octets: bytes) -> list[Message]:
    return list(email.message_from_bytes(octets, policy=email.policy.SMTP).iter_parts())


# -- parts


async def test_parts_and_their_headers_are_those_of_the_email_package() -> None:
    _, client = await open_client(TREE)
    for number, part in enumerate(parts_of(TREE), 1):
        header, body = split(octets_of(part))
        assert await ask(client, f"BODY[{number}.MIME]") == header
        told = await ask(client, f"BODY[{number}]")
        assert told is not None
        assert told.rstrip(b"\r\n") == body.rstrip(b"\r\n")
        assert told in TREE


async def test_parts_inside_a_forwarded_message() -> None:
    _, client = await open_client(TREE)
    whole = await ask(client, "BODY[3]")
    assert whole is not None
    header, text = split(whole)
    assert b"X-Inner: yes" in header
    assert await ask(client, "BODY[3.HEADER]") == header
    assert await ask(client, "BODY[3.TEXT]") == text
    assert await ask(client, "BODY[3.HEADER.FIELDS (subject)]") == b"Subject: inside\r\n\r\n"
    assert await ask(client, "BODY[3.1]") == b"Inner text.\r\n"
    attached = await ask(client, "BODY[3.2]")
    assert attached is not None
    assert base64.b64decode(attached) == b"inner data"
    others = await ask(client, "BODY[3.HEADER.FIELDS.NOT (Subject From)]")
    assert others is not None
    assert b"X-Inner" in others
    assert b"inside" not in others


@pytest.mark.parametrize(
    "section", ["4", "1.1.1", "9.MIME", "1.HEADER", "2.TEXT", "1.HEADER.FIELDS (Subject)", "3.3", "3.1.2"]
)
async def test_a_part_that_is_not_there_is_nil(section: str) -> None:
    _, client = await open_client(TREE)
    assert await ask(client, f"BODY[{section}]") is None


async def test_part_one_of_a_plain_message_is_its_text() -> None:
    message = letter("one", "Some text.\n")
    _, client = await open_client(message)
    header, text = split(message)
    assert await ask(client, "BODY[1]") == text
    assert await ask(client, "BODY[1.MIME]") == header


# -- partials


@pytest.mark.parametrize(("start", "count"), [(0, 10), (5, 1), (0, 100_000), (170, 50), (100_000, 5)])
async def test_a_partial_is_cut_at_the_end_and_names_its_start(start: int, count: int) -> None:
    message = letter("one")
    _, client = await open_client(message)
    told = await ask(client, f"BODY[]<{start}.{count}>", f"BODY[]<{start}>")
    assert told == message[start : start + count]


@settings(max_examples=15)
@given(
    st.integers(60, 400), st.sampled_from(["", "HEADER", "TEXT", "1", "2", "3", "3.1", "HEADER.FIELDS (From Subject)"])
)
def test_partials_put_together_are_the_whole(step: int, section: str) -> None:
    async def read() -> None:
        _, client = await open_client(TREE, prefix=PREFIX)
        whole = await ask(client, f"BODY[{section}]")
        assert whole is not None
        starts = range(0, len(whole) + step, step)
        asked = [(f"BODY[{section}]<{start}.{step}>", f"BODY[{section}]<{start}>") for start in starts]
        assert b"".join([await ask(client, *each) or b"" for each in asked]) == whole

    asyncio.run(read())


# -- header fields


async def test_fields_are_picked_in_the_order_of_the_message_with_their_folds() -> None:
    message = (
        b"Subject: a\r\n b\r\nX-Other: x\r\nFROM : ann@example.com\r\nsubject:\r\n\tc\r\nTo: x\r\n\r\nSubject: no\r\n"
    )
    _, client = await open_client(message)
    picked = b"Subject: a\r\n b\r\nFROM : ann@example.com\r\nsubject:\r\n\tc\r\n\r\n"
    assert await ask(client, "BODY[HEADER.FIELDS (From Subject)]") == picked
    assert await ask(client, "BODY[HEADER.FIELDS.NOT (From Subject)]") == b"X-Other: x\r\nTo: x\r\n\r\n"


async def test_fields_that_are_not_kept_apart_are_read_from_the_message() -> None:
    message = b"From: ann@example.com\r\nX-Strange: yes\r\n\r\ntext\r\n"
    _, client = await open_client(message)
    assert await ask(client, "BODY[HEADER.FIELDS (X-Strange From)]") == message.split(b"text")[0]
    assert await ask(client, "BODY[HEADER.FIELDS (Bcc)]") == b"\r\n"


async def test_a_header_too_long_to_be_kept_apart_is_read_from_the_message() -> None:
    long = b"".join([b"To: user%d@example.com\r\n" % number for number in range(MAX_HEAD // 20)])
    message = b"Subject: long\r\n" + long + b"\r\ntext\r\n"
    assert not parse_message(message).head
    _, client = await open_client(message, letter("two"))
    assert await ask(client, "BODY[HEADER.FIELDS (Subject)]") == b"Subject: long\r\n\r\n"
    answer = await client.talk(b"a FETCH 1:2 (UID BODY.PEEK[HEADER.FIELDS (Subject)])")
    assert b"* 2 FETCH (UID 2 BODY[HEADER.FIELDS (Subject)] {16}\r\nSubject: two\r\n\r\n)" in answer


async def test_a_field_with_a_percent_sign_in_its_name() -> None:
    _, client = await open_client(b"X%d-Odd: 1\r\nFrom: a@example.com\r\n\r\n")
    assert await ask(client, 'BODY[HEADER.FIELDS ("X%d-Odd")]') == b"X%d-Odd: 1\r\n\r\n"


@given(
    st.lists(st.sampled_from([b"From: a", b"TO: b\r\n c", b"Subject:", b"X-A: 1\r\n\t2", b"to-x: 5", b"Cc : d"])),
    st.sets(st.sampled_from([b"from", b"to", b"subject", b"x-a", b"cc"]), min_size=1),
)
def test_picked_fields_and_all_others_are_the_whole_header(lines: list[bytes], names: set[bytes]) -> None:
    header = b"".join([line + b"\r\n" for line in lines]) + b"\r\n"
    fields = [line for line in lines if line.split(b":")[0].strip().lower() in names]
    others = [line for line in lines if line not in fields]
    assert make_pick(frozenset(names))(header) == b"".join([line + b"\r\n" for line in fields]) + b"\r\n"
    assert make_pick(frozenset(names), is_not=True)(header) == b"".join([line + b"\r\n" for line in others]) + b"\r\n"


# -- BINARY


async def test_binary_undoes_the_transfer_encoding() -> None:
    _, client = await open_client(TREE)
    assert await ask(client, "BINARY[1]") == "Outer text with Grüße.\r\n".encode()
    answer = await client.talk(b"a FETCH 1 BINARY.PEEK[2]")
    assert b"BINARY[2] ~{512}\r\n" in answer  # NUL in it: literal8
    assert literal(answer, b"BINARY[2]") == PICTURE
    assert b"BINARY.SIZE[2] 512)" in await client.talk(b"a FETCH 1 BINARY.SIZE[2]")
    assert await ask(client, "BINARY.PEEK[3.1]", "BINARY[3.1]") == b"Inner text.\r\n"


async def test_a_partial_of_binary_counts_decoded_octets() -> None:
    _, client = await open_client(TREE)
    assert await ask(client, "BINARY[2]<10.5>", "BINARY[2]<10>") == PICTURE[10:15]
    assert await ask(client, "BINARY[2]<600.5>", "BINARY[2]<600>") == b""


async def test_binary_of_the_whole_and_of_what_has_parts_is_as_it_lies_there() -> None:
    _, client = await open_client(TREE)
    assert await ask(client, "BINARY[]") == TREE
    assert await ask(client, "BINARY[3]") == await ask(client, "BODY[3]")
    assert b"BINARY.SIZE[] %d)" % len(TREE) in await client.talk(b"a FETCH 1 BINARY.SIZE[]")


async def test_an_unknown_encoding_is_refused_and_the_rest_is_told() -> None:
    strange = b"From: a@example.com\r\nContent-Transfer-Encoding: x-strange\r\n\r\ntext\r\n"
    _, client = await open_client(strange, letter("two"))
    answer = await client.talk(b"a UID FETCH 1:2 (FLAGS BINARY[1])")
    assert answer == (
        b"* 1 FETCH (UID 1 FLAGS ())\r\n"
        b"* 2 FETCH (UID 2 FLAGS () BINARY[1] {8}\r\nHello.\r\n)\r\n"
        b"a NO [UNKNOWN-CTE] The encoding of a part is unknown here\r\n"
    )
    assert (await client.talk(b"a FETCH 1 BINARY[1]")).startswith(b"a NO [UNKNOWN-CTE] ")
    assert await ask(client, "BODY[1]") == b"text\r\n"


async def test_a_part_that_is_not_there_has_no_binary() -> None:
    _, client = await open_client(TREE)
    assert await ask(client, "BINARY[7]") is None
    assert b"BINARY.SIZE[7] 0)" in await client.talk(b"a FETCH 1 BINARY.SIZE[7]")


# -- large messages


def make_large() -> bytes:
    made = EmailMessage()
    made["From"], made["Subject"] = "ann@example.com", "large"
    made.set_content("small text\n")
    made.add_attachment(bytes(range(256)) * (AT_ONCE // 128), "application", "octet-stream", filename="x")
    return made.as_bytes(policy=email.policy.SMTP)


LARGE = make_large()


async def add_large(office: Office) -> None:
    writer = office.store.messages.open_body(ALICE)
    await writer.write(LARGE)
    body = await writer.finish()
    await office.store.messages.add(ALICE, [Addition((await office.inbox(),), body, parse_message(LARGE))])


async def test_a_large_message_comes_in_pieces_as_the_client_takes_them() -> None:
    office = await open_office(letter("one"))
    await add_large(office)
    client = await office.enter()
    await client.select(is_read_only=True)
    client.wire.writes.clear()
    client.wire.taken = 0
    answer = await client.talk(b"a FETCH 1:2 (UID BODY[])")
    assert literal(answer[answer.index(b"* 2 FETCH") :], b"BODY[]") == LARGE
    assert max(map(len, client.wire.writes)) < AT_ONCE
    assert client.wire.drains >= len(LARGE) // AT_ONCE
    client.wire.block()
    client.session.receive(b"a FETCH 2 BODY[]\r\n")
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(client.wire.take()) < AT_ONCE  # what a client does not take is not read
    client.wire.unblock()
    assert (await client.hear()).endswith(b")\r\na OK Fetched\r\n")


async def test_every_kind_of_section_of_a_large_message() -> None:
    office = await open_office()
    await add_large(office)
    client = await office.enter()
    await client.select(is_read_only=True)
    header, text = split(LARGE)
    answer = await client.talk(
        b"a FETCH 1 (BODY[HEADER] BODY[1] BODY[TEXT]<7.9> BODY[HEADER.FIELDS (X-None Subject)] BODY[8] BINARY.SIZE[2])"
    )
    assert literal(answer, b"BODY[HEADER]") == header
    assert literal(answer, b"BODY[1]") == b"small text\r\n"
    assert literal(answer, b"BODY[TEXT]<7>") == text[7:16]
    assert literal(answer, b"BODY[HEADER.FIELDS (X-None Subject)]") == b"Subject: large\r\n\r\n"
    assert literal(answer, b"BODY[8]") is None
    assert answer.endswith(b" BINARY.SIZE[2] %d)\r\na OK Fetched\r\n" % (256 * (AT_ONCE // 128)))
    assert await ask(client, "BINARY[2]") == bytes(range(256)) * (AT_ONCE // 128)


async def test_a_large_message_that_goes_while_it_is_told_ends_the_connection() -> None:
    office = await open_office()
    await add_large(office)
    client = await office.enter()
    await client.select(is_read_only=True)
    client.wire.block()
    client.session.receive(b"a FETCH 1 BODY[]\r\n")
    for _ in range(200):
        await asyncio.sleep(0)
    await office.expunge(1)
    client.wire.unblock()
    await client.hear()
    assert client.wire.is_closing


async def test_a_large_message_that_is_gone_is_passed_over() -> None:
    office = await open_office()
    await add_large(office)
    client = await office.enter()
    await client.select(is_read_only=True)
    await office.expunge(1)
    assert b"a OK [EXPUNGEISSUED]" in await client.talk(b"a FETCH 1 BODY[]")


# -- NUL


def test_nul_does_not_go_out_in_a_literal() -> None:
    octets = b"From: a\r\n\r\nx\0y"
    facts = Facts(EmailId(1), len(octets), 0, 11)
    assert render(want(Section()), facts, octets) == b"BODY[] {14}\r\nFrom: a\r\n\r\nx\x80y"
    fields = Section(text=Text.FIELDS, fields=(b"a",), name=b"F")
    assert render(want(fields), Facts(EmailId(1), 8, 0, 8), b"A: \0\r\n\r\n") == b"F {8}\r\nA: \x80\r\n\r\n"
