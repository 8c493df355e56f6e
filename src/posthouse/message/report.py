"""Delivery status notifications: a multipart/report in three parts (RFC 6522, RFC 3464, RFC 6533).

The first part is for people, the second for programs, the third is the message or its header. `compose_report`
is pure: what it is given decides every octet. It never makes a line above 998 octets, whatever the original or
the other server's words look like, and the result is ASCII unless it must not be: the original returned in
full may hold 8-bit octets (8BITMIME), and a report to an address that is not ASCII is SMTPUTF8 anyway.

It does not decide whether a report is due (mta/reports).
"""

from __future__ import annotations

import enum
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.message.address import Address
from posthouse.message.dates import format_date
from posthouse.message.encoded_words import decode_value
from posthouse.message.encodings import encode_quoted_printable, is_line_text
from posthouse.message.envelope import Recipient
from posthouse.message.header import MAX_LINE_OCTETS, find_header_end, first_value, make_field
from posthouse.message.hints import find_hint
from posthouse.message.instant import Instant
from posthouse.message.reply import Reply

MAX_RETURNED_HEADER = 131_072
_MAX_REPLY_TEXT = 2000
_MAX_SUBJECT = 200
_MAX_SUBJECT_OCTETS = 4000
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\x00")
_REMOTE = re.compile(r"([^\s\[\]]*)\[([^\]]+)\](?::\d+)?")
_RECEIVED_FROM = re.compile(rb"Received: from ([A-Za-z0-9._-]{1,255})[ \r]")
_ADDRESS_LITERAL = re.compile(r"[0-9a-fA-F:.]+")


class ReportKind(enum.StrEnum):
    """What a report is about. `SUCCESS` holds recipients that were delivered and that were relayed."""

    FAILURE = "failure"
    DELAY = "delay"
    SUCCESS = "success"


class ReportAction(enum.StrEnum):
    """The Action field (RFC 3464 §2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """One per-recipient block. `status` may differ from the reply's: 4.4.7 when time ran out."""

    recipient: Recipient
    action: ReportAction
    status: str
    reply: Reply | None
    remote: str = ""  # "mx1.example.net[192.0.2.1]:25"; "" when it was we who said so
    retry_until: Instant | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a report says. `original` is the message in full or its beginning, see `is_full`."""

    kind: ReportKind
    hostname: str
    to: Address
    recipients: Sequence[ReportedRecipient]
    queue_id: str
    arrived: Instant
    now: Instant
    original: bytes
    is_full: bool  # return all of `original`; False: only its header section
    envid: str | None = None
    source: str = ""
    is_utf8: bool = False  # the original came with SMTPUTF8
    is_double: bool = False  # about a report that could not be delivered


_SUBJECTS = {
    ReportKind.FAILURE: "Undelivered mail returned to sender",
    ReportKind.DELAY: "Delayed mail (still being tried)",
    ReportKind.SUCCESS: "Delivered mail (receipt you asked for)",
}
_OPENINGS = {
    ReportKind.FAILURE: "Your message could not be delivered to the recipients below, and will not be tried again for"
    " them.",
    ReportKind.DELAY: "Your message has not been delivered to the recipients below yet. You need to do nothing: it is"
    " still being tried.",
    ReportKind.SUCCESS: "Your message has reached the recipients below. You get this receipt because you asked for it.",
}
_DOUBLE = (
    "A report about a message could not be delivered to the message's sender. It comes to you as the postmaster;"
    " what follows is about that report."
)


def compose_report(report: Report) -> bytes:
    """The whole message, header and body, in CRLF form."""
    utf8 = report.to.needs_smtputf8
    original = _original_part(report, utf8)
    boundary = _choose_boundary(report, original)
    parts = (_text_part(report), _status_part(report, utf8), original)
    opening = b"--" + boundary + b"\r\n"
    body = b"".join(opening + part + b"\r\n" for part in parts)
    if not body.isascii():
        body = b"Content-Transfer-Encoding: 8bit\r\n\r\n" + body
    else:
        body = b"\r\n" + body
    return _header(report, boundary, utf8) + body + b"--" + boundary + b"--\r\n"


def _choose_boundary(report: Report, original: bytes) -> bytes:
    number = 0
    while True:
        boundary = f"=_{report.queue_id}.{report.kind}.{number}".encode("ascii")
        if boundary not in original:
            return boundary
        number += 1


def _header(report: Report, boundary: bytes, utf8: bool) -> bytes:
    to = str(report.to) if utf8 else report.to.to_ascii()
    subject = _SUBJECTS[report.kind]
    if report.is_double:
        subject = "Undeliverable report: " + subject
    milliseconds = int(report.now * 1000)
    fields = [
        b"Date: " + format_date(report.now) + b"\r\n",
        make_field("From", f"Mail Delivery System <MAILER-DAEMON@{report.hostname}>"),
        make_field("To", f"<{to}>", utf8=utf8),
        make_field("Subject", subject),
        make_field("Message-ID", f"<{report.queue_id}.{report.kind}.{milliseconds}@{report.hostname}>"),
        *_references(report.original),
        # RFC 3834 §5: a report answers a message; one to the postmaster answers nobody.
        make_field("Auto-Submitted", "auto-generated" if report.is_double else "auto-replied"),
        b"MIME-Version: 1.0\r\n",
        b'Content-Type: multipart/report; report-type=%s;\r\n\tboundary="%s"\r\n' % (b"delivery-status", boundary),
    ]
    return b"".join(fields)


def _references(original: bytes) -> list[bytes]:
    """In-Reply-To and References to the original (RFC 5322 §3.6.4), when its Message-ID can stand in a header."""
    value = first_value(original[:MAX_RETURNED_HEADER], b"message-id") or b""
    if not re.fullmatch(rb"<[!-;=?-~]{1,900}>", value):
        return []
    return [make_field(name, value.decode("ascii")) for name in ("In-Reply-To", "References")]


def _text_part(report: Report) -> bytes:
    text = "\r\n".join(_text_lines(report)) + "\r\n"
    if text.isascii():
        head = "Content-Type: text/plain; charset=us-ascii\r\nContent-Description: Notification\r\n\r\n"
        return (head + text).encode("ascii")
    head = "Content-Type: text/plain; charset=utf-8\r\nContent-Description: Notification\r\n"
    octets = text.encode("utf-8", "replace")
    return (
        head.encode("ascii") + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encode_quoted_printable(octets)
    )


def _text_lines(report: Report) -> list[str]:
    lines = [f"This is the mail system at {report.hostname}.", ""]
    if report.is_double:
        lines += [*textwrap.wrap(_DOUBLE, 72), ""]
    lines += [*textwrap.wrap(_OPENINGS[report.kind], 72), ""]
    for group in _group_alike(report.recipients):
        lines += _group_lines(report, group)
    if subject := _read_subject(report.original):
        lines += textwrap.wrap(f'The subject of the message: "{subject}".', 72)
    lines += textwrap.wrap(f"The message was received on {_date(report.arrived)}.", 72)
    lines += textwrap.wrap(f"Its number here is {report.queue_id}; name it when you ask for help.", 72)
    return lines


def _read_subject(original: bytes) -> str:
    """For people: encoded words decoded (RFC 2047 §6.2), nothing in it that could change what stands around it."""
    value = first_value(original[:MAX_RETURNED_HEADER], b"subject") or b""
    text = decode_value(value[:_MAX_SUBJECT_OCTETS])
    return " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())[:_MAX_SUBJECT]


def _group_alike(recipients: Sequence[ReportedRecipient]) -> list[list[ReportedRecipient]]:
    groups: dict[tuple[object, ...], list[ReportedRecipient]] = {}
    for one in recipients:
        key = (one.action, one.status, one.reply, one.remote, one.retry_until)
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def _group_lines(report: Report, group: list[ReportedRecipient]) -> list[str]:
    """The recipients that had the same fate, then what it was."""
    one = group[0]
    lines = [f"<{member.recipient.address}>" for member in group]
    lines += _indent(_explain(one))
    reply = _clean(str(one.reply))[:_MAX_REPLY_TEXT] if one.reply is not None else ""
    if reply and one.action is not ReportAction.DELIVERED:
        lines += _indent(f"The server {one.remote} said: {reply}" if one.remote else f"In technical words: {reply}")
    if one.retry_until is not None:
        lines += _indent(f"It will be tried until {_date(one.retry_until)}.")
    return [*lines, ""]


def _explain(one: ReportedRecipient) -> str:
    if one.action is ReportAction.DELIVERED:
        return "It has been delivered."
    if one.action is ReportAction.RELAYED:
        return "It was passed on to a server that sends no receipts; you may hear nothing more."
    hint = find_hint(one.status, is_own=not one.remote)
    return hint.what if one.action is ReportAction.DELAYED else f"{hint.what} {hint.do}"


def _indent(text: str) -> list[str]:
    return textwrap.wrap(text, 72, initial_indent="    ", subsequent_indent="    ")


def _clean(text: str) -> str:
    return _CONTROLS.sub(" ", text).strip()


def _status_part(report: Report, utf8: bool) -> bytes:
    """message/delivery-status, or message/global-delivery-status when an address is not ASCII (RFC 6533 §3)."""
    blocks = [_message_fields(report), *(_recipient_fields(one, report.now) for one in report.recipients)]
    octets = b"\r\n".join(b"".join(make_field(name, value, utf8=True) for name, value in block) for block in blocks)
    description = b"Content-Description: Delivery report\r\n"
    if octets.isascii():
        return b"Content-Type: message/delivery-status\r\n" + description + b"\r\n" + octets
    head = b"Content-Type: message/global-delivery-status\r\n" + description
    if utf8:
        return head + b"Content-Transfer-Encoding: 8bit\r\n\r\n" + octets
    return head + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encode_quoted_printable(octets)


def _message_fields(report: Report) -> list[tuple[str, str]]:
    """RFC 3464 §2.2."""
    fields = []
    if report.envid:
        fields.append(("Original-Envelope-Id", _ascii(report.envid)))
    fields.append(("Reporting-MTA", f"dns; {report.hostname}"))
    if _ADDRESS_LITERAL.fullmatch(report.source):
        fields.append(("Received-From-MTA", f"dns; {_name_source(report)}"))
    fields.append(("Arrival-Date", _date(report.arrived)))
    fields.append(("X-Posthouse-Queue-ID", report.queue_id))
    return fields


def _name_source(report: Report) -> str:
    """As it called itself, with its address as a comment (RFC 3464 §2.2.4); our Received field is the first of all."""
    literal = _literal(report.source)
    hello = _RECEIVED_FROM.match(report.original)
    return f"{hello[1].decode('ascii')} ({literal})" if hello is not None else literal


def _recipient_fields(one: ReportedRecipient, now: Instant) -> list[tuple[str, str]]:
    """RFC 3464 §2.3."""
    fields = []
    if one.recipient.orcpt is not None:
        kind, original = one.recipient.orcpt
        shown = _clean(original) if kind.lower() == "utf-8" else _ascii(original)
        fields.append(("Original-Recipient", f"{_ascii(kind)}; {shown}"))
    address = one.recipient.address
    final = f"utf-8; {address}" if address.needs_smtputf8 else f"rfc822; {address.to_ascii()}"  # RFC 6533 §3
    fields += [("Final-Recipient", final), ("Action", one.action), ("Status", one.status)]
    remote = _REMOTE.match(one.remote)
    if remote is not None:
        fields.append(("Remote-MTA", f"dns; {_ascii(remote[1]) or _literal(remote[2])}"))
    if one.reply is not None:
        kind = "smtp" if one.remote else "x-posthouse"
        fields.append(("Diagnostic-Code", f"{kind}; {_ascii(str(one.reply))[:_MAX_REPLY_TEXT]}"))
    fields.append(("Last-Attempt-Date", _date(now)))
    if one.retry_until is not None:
        fields.append(("Will-Retry-Until", _date(one.retry_until)))
    return fields


def _literal(address: str) -> str:
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _date(instant: Instant) -> str:
    return format_date(instant).decode("ascii")


def _ascii(text: str) -> str:
    return _clean(text).encode("ascii", "replace").decode("ascii")


def _original_part(report: Report, utf8: bool) -> bytes:
    """The message in full where that is wanted and possible, else its header section (RFC 3461 §4.3)."""
    end = find_header_end(report.original)
    head = report.original[: end if end >= 0 else MAX_RETURNED_HEADER][:MAX_RETURNED_HEADER]
    is_global = report.is_utf8 and not head.isascii()
    if report.is_full and not (is_global and not utf8) and can_return_full(report.original):
        kind = b"message/global" if is_global else b"message/rfc822"
        encoding = b"" if report.original.isascii() else b"Content-Transfer-Encoding: 8bit\r\n"
        description = b"Content-Description: Undelivered message\r\n"
        return b"Content-Type: " + kind + b"\r\n" + description + encoding + b"\r\n" + report.original
    return _header_part(_bound_header(head), is_global, utf8)


def _header_part(head: bytes, is_global: bool, utf8: bool) -> bytes:
    description = b"Content-Description: Header of the message\r\n"
    kind = b"message/global-headers" if is_global else b"text/rfc822-headers"
    start = b"Content-Type: " + kind + b"\r\n" + description
    if head.isascii():
        return start + b"\r\n" + head
    if utf8:
        return start + b"Content-Transfer-Encoding: 8bit\r\n\r\n" + head
    return start + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encode_quoted_printable(head)


def can_return_full(original: bytes) -> bool:
    """Whether a message can stand in a report as it is: CRLF lines of at most 998 octets, no NUL."""
    return is_line_text(original) and max(map(len, original.split(b"\r\n"))) <= MAX_LINE_OCTETS


def _bound_header(head: bytes) -> bytes:
    """The header section with lines that may be sent: long ones broken, strange octets made blanks."""
    lines: list[bytes] = []
    for line in _BARE.sub(b" ", head.removesuffix(b"\r\n\r\n").removesuffix(b"\r\n")).split(b"\r\n"):
        while len(line) > MAX_LINE_OCTETS:
            lines.append(line[:MAX_LINE_OCTETS])
            line = b" " + line[MAX_LINE_OCTETS:]
        lines.append(line)
    return b"\r\n".join(lines) + b"\r\n"
