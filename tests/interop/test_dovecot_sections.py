"""Sections of messages beside Dovecot's: every kind, over our corpora and a message with messages in it.

Left out: the messages that test_dovecot_structure.py names, and two with which Dovecot gives up. Accepted as different:
Dovecot takes "1.1" of a part that has no parts for that part, where we have none; and decodes the insides of a
multipart for BINARY, of which RFC 3516 says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from posthouse.message.parse import parse_message
from posthouse.message.sections import find_section
from tests.access.imap_kit import open_office
from tests.access.test_imap_fetch_sections import TREE
from tests.interop.test_dovecot_structure import ACCEPTED, ask_dovecot, list_messages

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

_SECTIONS = (
    *(
        "",
        "HEADER",
        "TEXT",
        "1",
        "2",
        "3",
        "1.MIME",
        "2.MIME",
        "1.1",
        "1.2",
        "2.1",
        "3.1",
        "3.2",
        "1.1.MIME",
        "2.HEADER",
    ),
    *("2.TEXT", "3.HEADER", "3.TEXT", "3.2.MIME", "HEADER.FIELDS (FROM SUBJECT X-LONG)", "9"),
    *("HEADER.FIELDS.NOT (FROM SUBJECT RECEIVED)", "3.HEADER.FIELDS (SUBJECT)", "3.HEADER.FIELDS.NOT (SUBJECT)"),
)
_ITEMS = (
    *(f"BODY.PEEK[{section}]" for section in _SECTIONS),
    *("BODY.PEEK[]<10.40>", "BODY.PEEK[TEXT]<3.7>", "BODY.PEEK[1]<0.20>", "RFC822.HEADER", "RFC822.SIZE"),
    *("BINARY.PEEK[1]", "BINARY.SIZE[1]", "BINARY.PEEK[2]", "BINARY.PEEK[1]<2.9>", "BINARY.SIZE[2]"),
)
_LEFT_OUT = {*ACCEPTED, "msg_15.txt", "msg_39.txt"}
_OF_NO_PARTS = re.compile(rb"BODY\[\d\.1(\.MIME)?\]")
_ITEM = re.compile(rb"\* (\d+) FETCH \(([A-Z0-9.]+(?:\[[^]]*\])?(?:<\d+>)?) (?:~?\{(\d+)\}\r\n|([A-Z0-9]+))")


def write_commands(count: int) -> bytes:
    lines = [
        f"t{number}-{place} FETCH {number} {item}\r\n"
        for number in range(1, count + 1)
        for place, item in enumerate(_ITEMS)
    ]
    return "".join(["a SELECT INBOX\r\n", *lines, "z LOGOUT\r\n"]).encode()


def read_items(answer: bytes) -> dict[tuple[int, bytes], bytes]:
    """What was told of each item of each message; nothing and NIL are the same."""
    told: dict[tuple[int, bytes], bytes] = {}
    at = 0
    while (found := _ITEM.search(answer, at)) is not None:
        at = found.end() + int(found[3] or 0)
        told[int(found[1]), found[2]] = answer[found.end() : at] if found[3] else found[4].replace(b"NIL", b"")
    return told


async def read_ours(messages: Iterable[bytes], commands: bytes) -> bytes:
    office = await open_office(*messages)
    client = await office.enter()
    return b"".join([await client.say(line + b"\r\n") for line in commands.split(b"\r\n")[:-1]])


async def test_dovecot_cuts_out_the_same(tmp_path: Path) -> None:
    messages = {name: octets for name, octets in list_messages().items() if name not in _LEFT_OUT} | {"tree": TREE}
    names, commands = list(messages), write_commands(len(messages))
    theirs = read_items(ask_dovecot(tmp_path, messages.values(), commands))
    ours = read_items(await read_ours(messages.values(), commands))
    assert len(ours) == len(messages) * len(_ITEMS)
    different = {
        (names[number - 1], item) for (number, item), told in ours.items() if theirs.get((number, item)) != told
    }
    nothing = {(name, item) for name, item in different if not ours[names.index(name) + 1, item]}
    assert all(_OF_NO_PARTS.fullmatch(item) for _, item in nothing)
    for name, item in different - nothing:
        part = re.match(rb"BINARY(?:\.SIZE)?\[(\d)\]", item)
        assert part is not None, (name, item)
        found = find_section(parse_message(messages[name]).parts, part[1].decode())
        assert found is not None
        assert found.type.startswith("multipart/"), (name, item)
