"""Real mail of others' test data, through LMTP into the store and out again: octet for octet what went in.

Bounces of a hundred mail systems (flufl.bounce), what broke Mailman, signed mail (dkimpy), odd mail (mailbits, Python's
own email package), and our corpus. Before it is sent, lines end in CRLF, as they do for every way in.
"""

from __future__ import annotations

import os
import re
import smtplib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from posthouse.message.parse import parse_message
from posthouse.message.parsed import ParsedMessage
from tests.interop.lab import Lab
from tests.interop.office import PostOffice, Stored
from tests.message.imap_lists import read_list

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

FETCHED = Path(os.environ.get("CORPORA_ROOT", "/usr/local/lib/posthouse-interop/corpora"))
SUITE = Path(os.environ.get("PYTHON_SUITE_ROOT", "/usr/local/lib/posthouse-interop/python"))
MAILBOX_LINE = re.compile(rb"^From \S+ .*\n", re.MULTILINE)
TABLES = """
[[listener]]
service = "lmtp"
bind = "unix:@SOCKET@"
"""


@dataclass(frozen=True)
class Source:
    """At least `least` files match `pattern` below `root`; without them the test fails rather than pass by skipping."""

    name: str
    root: Path
    pattern: str
    least: int


SOURCES = (
    Source("flufl.bounce", FETCHED, "flufl_bounce-*/**/tests/data/*.txt", 110),
    Source("mailman", FETCHED, "mailman-*/**/*.eml", 12),
    Source("mailbits", FETCHED, "mailbits-*/test/data/emails/*.eml", 8),
    Source("mailbits mboxes", FETCHED, "mailbits-*/test/data/mboxes/*.mbox", 2),
    Source("dkimpy", FETCHED, "dkimpy-*/**/tests/data/*.m*", 10),
    Source("python", SUITE, "usr/lib/python3.11/test/test_email/data/*.txt", 45),
    Source("ours", Path(__file__).parent.parent / "corpora", "*.eml", 5),
)


def read_source(source: Source) -> dict[str, bytes]:
    paths = sorted(path for path in source.root.glob(source.pattern) if path.is_file())
    assert len(paths) >= source.least, f"{source.name} is not there: run tests/interop/install.sh"
    messages: dict[str, bytes] = {}
    for path in paths:
        octets = path.read_bytes()
        parts = MAILBOX_LINE.split(octets)[1:] if path.suffix == ".mbox" else [octets]
        messages |= {f"{path.name}/{number}": end_lines(part) for number, part in enumerate(parts)}
    return messages


def end_lines(octets: bytes) -> bytes:
    """Every line, the last one too, ends in CRLF."""
    text = re.sub(rb"\r\n|\r|\n", b"\r\n", octets)
    return text if text.endswith(b"\r\n") else text + b"\r\n"


@dataclass
class World:
    ours: PostOffice
    socket: str
    account: Callable[[Source], str]


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    host = lab.add_host("ph")
    socket = str(host.directory / "lmtp.sock")
    accounts = {source.name: f"corpus-{number}@ph.test" for number, source in enumerate(SOURCES)}
    commands = ["domain add ph.test", *(f"account add {address}" for address in accounts.values())]
    tables = TABLES.replace("@SOCKET@", socket)
    return World(PostOffice(lab, host, "mx.ph.test", commands, tables=tables), socket, lambda one: accounts[one.name])


def deliver(world: World, address: str, messages: dict[str, bytes]) -> None:
    with smtplib.LMTP(world.socket, local_hostname="client.test") as client:
        for name, octets in messages.items():
            options = ["BODY=8BITMIME"] if octets.isascii() is False else []
            assert not client.sendmail("sender@there.test", [address], octets, options), name


def check_parsed(octets: bytes) -> ParsedMessage:
    """What IMAP would say can be read, and the parts lie in the message."""
    parsed = parse_message(octets)
    assert parsed.size == len(octets)
    assert isinstance(read_list(parsed.envelope), list)
    assert isinstance(read_list(parsed.bodystructure), list)
    return parsed


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_message_comes_out_as_it_went_in(world: World, source: Source) -> None:
    messages, address = read_source(source), world.account(source)
    deliver(world, address, messages)
    stored: list[Stored] = world.ours.read_mailbox(address)  # it was there before the reply
    assert len(stored) == len(messages)
    for (name, octets), each in zip(messages.items(), stored, strict=True):
        assert each.body == octets, name
        assert each.prefix.startswith(b"Return-Path: <sender@there.test>\r\nDelivered-To: "), name
        check_parsed(octets)
        check_parsed(each.octets)
