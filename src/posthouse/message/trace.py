"""Trace fields: what each server writes in front of a message (RFC 5321 §4.4).

`make_received` is on the path of every message: what does not change in a session is put together once
(`received_prefix`), the rest is one join. Whatever the peer said is reduced to characters that can neither
open a comment nor end a line.

It does not decide whether a name is verified: `Origin.peer_name` is "" when it is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from posthouse.message.address import Address
from posthouse.message.dates import format_date
from posthouse.message.instant import Instant

_UNSAFE = re.compile(r"[^A-Za-z0-9.\-_:\[\]]")
_MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a session comes from. `tls` is the text of `describe_tls` or "". `peer_address` "" for a unix socket."""

    hostname: str  # ours
    helo: str = ""  # as the peer gave it; made harmless here
    peer_name: str = ""  # the verified reverse name, "" when unknown
    peer_address: str = ""
    tls: str = ""


def describe_tls(version: str, cipher: str, bits: int = 0) -> str:
    """`version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256`, what RFC 8314 §7.4 wants recorded."""
    text = f"version={_safe_name(version)} cipher={_safe_name(cipher)}"
    return f"{text} bits={bits}" if bits else text


def with_protocol(
    *, lmtp: bool, extended: bool = True, utf8: bool = False, tls: bool = False, auth: bool = False
) -> str:
    """The word behind `with`: ESMTP, ESMTPSA, LMTPS, UTF8SMTPS (RFC 3848, RFC 6531 §3.7.3), SMTP after HELO."""
    if not extended and not lmtp:
        return "SMTP"  # RFC 3848 has no SMTPS: TLS and AUTH need EHLO
    base = ("UTF8LMTP" if lmtp else "UTF8SMTP") if utf8 else ("LMTP" if lmtp else "ESMTP")
    return base + ("S" if tls else "") + ("A" if auth else "")


def _safe_name(text: str) -> str:
    return _UNSAFE.sub("?", text[:_MAX_NAME])


def received_prefix(origin: Origin) -> bytes:
    """The part of a Received field that is the same for all messages of a session; again after EHLO and STARTTLS."""
    hostname = _safe_name(origin.hostname)
    helo = _safe_name(origin.helo) or "unknown"
    if not origin.peer_address:
        return f"Received: from {helo} (local)\r\n\tby {hostname} (Posthouse) with ".encode("ascii")
    address = _safe_name(origin.peer_address)
    literal = f"[IPv6:{address}]" if ":" in address else f"[{address}]"  # RFC 5321 §4.1.3
    peer = f"{_safe_name(origin.peer_name) or 'unknown'} {literal}"
    tls = f"\r\n\t({origin.tls})" if origin.tls else ""
    return f"Received: from {helo} ({peer}){tls}\r\n\tby {hostname} (Posthouse) with ".encode("ascii")


def hidden_prefix(origin: Origin) -> bytes:
    """As `received_prefix`, without a word about the client: for mail of people who logged in."""
    tls = f"\r\n\t({origin.tls})" if origin.tls else ""
    return f"Received: by {_safe_name(origin.hostname)} (Posthouse){tls} with ".encode("ascii")


def complete_received(prefix: bytes, protocol: str, queue_id: str, sole: Address | None, now: Instant) -> bytes:
    """A whole Received field with its CRLF. `sole`: the recipient when there is only one, else None.

    With several recipients naming one would tell of the others' blind copies (RFC 5321 §7.2). A recipient that
    is not ASCII is named only where the protocol word allows UTF-8 (RFC 6531 §3.7.3).
    """
    if sole is not None and (sole.is_ascii or protocol.startswith("UTF8")):
        tail = f"{protocol} id {queue_id}\r\n\tfor <{sole}>;\r\n\t"
    else:
        tail = f"{protocol} id {queue_id};\r\n\t"
    return b"".join((prefix, tail.encode("utf-8", "replace"), format_date(now), b"\r\n"))


def make_received(origin: Origin, protocol: str, queue_id: str, sole: Address | None, now: Instant) -> bytes:
    """`received_prefix` and `complete_received` in one."""
    return complete_received(received_prefix(origin), protocol, queue_id, sole, now)


def make_local_received(hostname: str, uid: int, queue_id: str, now: Instant) -> bytes:
    """The Received field of a message that a local user handed in (`sendmail`)."""
    text = f"Received: by {_safe_name(hostname)} (Posthouse, from userid {uid}) id {queue_id};\r\n\t"
    return b"".join((text.encode("ascii"), format_date(now), b"\r\n"))


def make_return_path(sender: Address | None) -> bytes:
    """Written by the server that makes final delivery (RFC 5321 §4.4)."""
    return f"Return-Path: <{sender or ''}>\r\n".encode("utf-8", "replace")


def make_delivered_to(recipient: Address) -> bytes:
    """`Delivered-To`, by which a forwarding loop is known (RFC 9228 §2)."""
    return f"Delivered-To: {recipient}\r\n".encode("utf-8", "replace")
