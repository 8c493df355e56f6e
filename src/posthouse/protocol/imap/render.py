"""Responses of IMAP from values (RFC 9051 §7), good for RFC 3501 clients as well. Each line ends with CRLF.

Strings are written by message/wire_strings: quoted where every client may read them, literals otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

from posthouse.message.mailbox import UidSet
from posthouse.message.modified_utf7 import encode_name
from posthouse.message.wire_strings import write_string

_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write_status(tag: bytes, status: bytes, text: str, code: bytes = b"") -> bytes:
    """`tag` b"*" for an untagged one. `text` is ours: no line breaks, never empty."""
    said = text.encode("utf-8", "replace").replace(b"\r", b" ").replace(b"\n", b" ") or b"Done"
    if said.endswith(b"}"):  # a client must not take it for a literal
        said += b"."
    if code:
        return b"%b %b [%b] %b\r\n" % (tag, status, code, said)
    return b"%b %b %b\r\n" % (tag, status, said)


def write_continuation(text: bytes) -> bytes:
    return b"+ %b\r\n" % text


def write_exists(count: int) -> bytes:
    return b"* %d EXISTS\r\n" % count


def write_uids(uids: UidSet) -> bytes:
    """A `sequence-set`; never of an empty set."""
    return b",".join([b"%d" % r.low if r.low == r.high else b"%d:%d" % (r.low, r.high) for r in uids])


def write_vanished(uids: UidSet, *, is_earlier: bool = False) -> bytes:
    """RFC 7162 §3.2.10."""
    return b"* VANISHED %b%b\r\n" % (b"(EARLIER) " if is_earlier else b"", write_uids(uids))


def write_mailbox(name: str, *, is_utf8: bool) -> bytes:
    """Modified UTF-7 for RFC 3501 clients, UTF-8 for those of RFC 9051 §5.1 or RFC 9755."""
    if name.isascii() and "&" not in name:
        return write_string(name.encode("ascii"))
    if not is_utf8:
        return write_string(encode_name(name))
    octets = name.encode("utf-8", "replace")
    if b'"' not in octets and b"\\" not in octets:
        return b'"%b"' % octets
    return b'"%b"' % octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def write_flags(names: Sequence[str]) -> bytes:
    return b"(%b)" % " ".join(names).encode("ascii", "replace")


def write_date(instant: float, zone_minutes: int) -> bytes:
    """A `date-time` with its quotes, in the zone it was given in."""
    try:
        at = (_EPOCH + timedelta(seconds=int(instant))).astimezone(timezone(timedelta(minutes=zone_minutes)))
    except (OverflowError, ValueError):
        at, zone_minutes = _EPOCH, 0
    sign = b"-" if zone_minutes < 0 else b"+"
    hours, minutes = divmod(abs(zone_minutes), 60)
    return b'"%2d-%b-%04d %02d:%02d:%02d %b%02d%02d"' % (
        at.day,
        _MONTHS[at.month - 1],
        at.year,
        at.hour,
        at.minute,
        at.second,
        sign,
        hours,
        minutes,
    )
