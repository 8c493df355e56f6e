"""Arguments of commands of any state and around logging in."""

from __future__ import annotations

import base64
import binascii
import re

from posthouse.protocol.imap.commands import Authenticate, Compress, Enable, Id, Login
from posthouse.protocol.imap.reader import Reader, SyntaxProblem, decode
from posthouse.protocol.imap.server_events import ImapLimits

_BASE64 = re.compile(rb"=|[A-Za-z0-9+/]*={0,2}")
_MOST_FIELDS = 30  # RFC 2971 §3.3


def parse_id(reader: Reader, limits: ImapLimits) -> Id:
    reader.space()
    if reader.accept_word(b"NIL"):
        return Id(None)
    said = reader.listed(reader.nstring)
    names, values = said[::2], said[1::2]
    if len(said) % 2 or len(names) > _MOST_FIELDS:
        raise SyntaxProblem(f"ID wants names and values, {_MOST_FIELDS} at most")
    return Id({name: value for name, value in zip(names, values, strict=True) if name is not None})


def parse_authenticate(reader: Reader, limits: ImapLimits) -> Authenticate:
    reader.space()
    mechanism = reader.keyword("a mechanism")
    if not reader.accept(b" "):
        return Authenticate(mechanism)
    found = reader.match(_BASE64)
    if found is None or found[0] == b"":
        reader.fail("an initial response in base64, or =")
    if found[0] == b"=":
        return Authenticate(mechanism, b"")
    try:
        return Authenticate(mechanism, base64.b64decode(found[0], validate=True))
    except binascii.Error:
        raise SyntaxProblem("The initial response is not base64") from None


def parse_login(reader: Reader, limits: ImapLimits) -> Login:
    reader.space()
    username = reader.astring_octets("a user name")
    reader.space()
    return Login(decode(username), decode(reader.astring_octets("a password")))


def parse_enable(reader: Reader, limits: ImapLimits) -> Enable:
    names = []
    while reader.accept(b" "):
        names.append(reader.keyword("a capability"))
    if not names:
        reader.fail("a capability")
    return Enable(tuple(names))


def parse_compress(reader: Reader, limits: ImapLimits) -> Compress:
    reader.space()
    return Compress(reader.keyword("a mechanism"))
