"""Strings as IMAP writes them in responses (RFC 9051 §4.3), good for RFC 3501 as well: quoted where that is allowed to
every client, a literal otherwise (8-bit, line breaks, long). NUL cannot be written and is left out.
"""

from __future__ import annotations

import re

_MAX_QUOTED = 1000
_PLAIN = re.compile(rb"[ !#-\[\]-~]*+")  # nothing to escape
_UNQUOTABLE = re.compile(rb"[\x00\r\n\x80-\xff]")
_FOLD = re.compile(rb"[ \t]*(?:\r?\n[ \t]*+)+")

NIL = b"NIL"


def write_string(value: bytes) -> bytes:
    """`string` of RFC 9051 §9."""
    if len(value) <= _MAX_QUOTED:
        if _PLAIN.fullmatch(value) is not None:
            return b'"%b"' % value
        if _UNQUOTABLE.search(value) is None:
            return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    value = value.replace(b"\x00", b"")
    return b"{%d}\r\n%b" % (len(value), value)


def write_nstring(value: bytes | None) -> bytes:
    """`nstring`: NIL for what is not there."""
    return NIL if value is None else write_string(value)


def unfold_value(value: bytes) -> bytes:
    """One line of a field's value: line breaks and the white space about them become one space."""
    if b"\n" in value:
        value = _FOLD.sub(b" ", value)
    return value.strip(b" \t\r\n")
