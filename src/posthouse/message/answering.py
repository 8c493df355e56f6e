"""Who is answered by a program, and what the answer looks like (RFC 3834). Pure.

Answered is a person who wrote to a person: nothing that came from a program, a list or an error report. The rules are
those of RFC 3834 §2 and RFC 5230 §4.5; what programs send without saying so is known by what their makers put into it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from posthouse.message.address import Address, AddressError, parse_address
from posthouse.message.address_list import parse_addresses
from posthouse.message.dates import format_date
from posthouse.message.encodings import encode_quoted_printable
from posthouse.message.header import encode_phrase, find_header_end, iterate_fields, make_field, unfold
from posthouse.message.instant import Instant
from posthouse.message.text import strip_html

MAX_HEAD = 262_144
_MAX_LINE = 78
_MAX_REFERENCES = 20
_MAX_SUBJECT = 500
# Names that no person has (RFC 5230 §4.5, and the habits of senders of bulk mail).
_PROGRAM = re.compile(
    r"mailer-daemon|double-bounce|listserv|majordomo|mdaemon|auto(?:mated|mailer)?|(?:.*[-_.+])?(?:do[-_]?not|no)[-_.]?reply.*"
    r"|bounces?(?:[-+=_.].*)?|owner-.*|.*-(?:request|owner|bounces?|relay|errors?|confirm)(?:[-+=].*)?"
)
_BULK = frozenset({"bulk", "list", "junk", "auto_reply"})
_SUPPRESSED = frozenset({"all", "oof", "autoreply"})  # X-Auto-Response-Suppress (MS-OXCMAIL)
_MARKS = frozenset({b"x-autoreply", b"x-autorespond", b"x-autoresponder", b"x-auto-reply-from", b"x-mailing-list"})
_MESSAGE_ID = re.compile(r"[!-;=?-~]{1,900}", re.ASCII)
_BREAKS = re.compile(r"\r\n|\r|\n")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)


def is_program(sender: Address) -> bool:
    return _PROGRAM.fullmatch(sender.local.lower()) is not None


def find_reason(head: bytes) -> str:
    """Why nobody is answered who wrote that header; "" when there is no reason."""
    end = find_header_end(head)
    for field in iterate_fields(head, 0, end if end >= 0 else len(head)):
        name = field.name
        if name.startswith(b"list-") or name in _MARKS:
            return "it came by a list or from a program"
        if name in _JUDGES:
            value = unfold(head[field.value : field.end]).decode("latin-1").lower()
            if _JUDGES[name](value):
                return f"its {name.decode('ascii')} says so"
    return ""


def _is_automatic(value: str) -> bool:
    """RFC 3834 §5: a keyword, perhaps with parameters and comments."""
    return re.split(r"[;(\s]", value, maxsplit=1)[0] != "no"


_JUDGES: Mapping[bytes, Callable[[str], bool]] = {
    b"auto-submitted": _is_automatic,
    b"precedence": lambda value: value in _BULK,
    b"x-auto-response-suppress": lambda value: not _SUPPRESSED.isdisjoint(re.split(r"[,;\s]+", value)),
    b"content-type": lambda value: value.startswith("multipart/report"),
    b"x-spam-flag": lambda value: value == "yes",
}


def list_named(head: bytes) -> list[Address]:
    """Whom the message names as its recipients."""
    found: list[Address] = []
    end = find_header_end(head)
    for field in iterate_fields(head, 0, end if end >= 0 else len(head)):
        if field.name in (b"to", b"cc", b"resent-to", b"resent-cc"):
            for one in parse_addresses(head[field.value : field.end]):
                address = _read_address(one.mailbox, one.host)
                if address is not None:
                    found.append(address)
    return found


def _read_address(local: bytes | None, domain: bytes | None) -> Address | None:
    if not local or not domain:
        return None
    try:
        return parse_address(f"{local.decode()}@{domain.decode()}")
    except (AddressError, UnicodeDecodeError):
        return None


@dataclass(frozen=True, slots=True)
class Answered:
    """The message that is answered: its ids without brackets, its decoded subject."""

    message_id: str
    references: Sequence[str]
    subject: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`subject` "": made from that of the message. Without `text` and `html` a usual text. `token` is unguessable."""

    sender: Address
    sender_name: str
    to: Address
    subject: str
    text: str
    html: str
    token: str
    hostname: str


_USUAL = "Thank you for your message. I am away at the moment and will read it when I am back.\r\n"


def compose_answer(answer: Answer, to: Answered, now: Instant) -> bytes:
    """The whole message in CRLF form (RFC 3834 §3)."""
    utf8 = answer.sender.needs_smtputf8 or answer.to.needs_smtputf8
    fields = [
        b"Date: " + format_date(now) + b"\r\n",
        make_field("From", _write_mailbox(answer.sender, answer.sender_name), utf8=utf8),
        make_field("To", f"<{_write_address(answer.to)}>", utf8=utf8),
        make_field("Subject", answer.subject or f"Auto: {to.subject[:_MAX_SUBJECT]}"),
        make_field("Message-ID", f"<{answer.token}@{answer.hostname}>"),
        *_write_references(to),
        make_field("Auto-Submitted", "auto-replied"),
        b"MIME-Version: 1.0\r\n",
    ]
    return b"".join(fields) + _write_body(answer)


def _write_mailbox(address: Address, name: str) -> str:
    shown = name.strip()
    if not shown:
        return _write_address(address)
    if not shown.isascii():
        shown = encode_phrase(shown)
    elif not _ATOMS.fullmatch(shown):
        shown = '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{shown} <{_write_address(address)}>"


def _write_address(address: Address) -> str:
    return str(address) if address.needs_smtputf8 else address.to_ascii()


def _write_references(to: Answered) -> list[bytes]:
    """RFC 5322 §3.6.4, of ids that can stand in a header."""
    if not _MESSAGE_ID.fullmatch(to.message_id):
        return []
    before = [known for known in to.references if _MESSAGE_ID.fullmatch(known) and known != to.message_id]
    named = [*before[-_MAX_REFERENCES:], to.message_id]
    return [
        make_field("In-Reply-To", f"<{to.message_id}>"),
        make_field("References", " ".join(f"<{each}>" for each in named)),
    ]


def _write_body(answer: Answer) -> bytes:
    texts = [("plain", answer.text if answer.text.strip() else _read_page(answer.html)), ("html", answer.html)]
    parts = [_write_part(kind, text) for kind, text in texts if text.strip()] or [_write_part("plain", _USUAL)]
    if len(parts) == 1:
        return parts[0]
    mark = f"=_{answer.token}".encode("ascii")
    opening = b'Content-Type: multipart/alternative;\r\n\tboundary="%b"\r\n\r\n' % mark
    return opening + b"".join(b"--%b\r\n%b\r\n" % (mark, part) for part in parts) + b"--%b--\r\n" % mark


def _read_page(page: str) -> str:
    """Its text (RFC 8621 §8), for who reads no HTML."""
    lines = [line.strip() for line in strip_html(page).split("\n")]
    return "\n".join(line for line in lines if line)


def _write_part(kind: str, text: str) -> bytes:
    lines = _BREAKS.split(text.replace("\x00", "").rstrip("\r\n"))
    octets = "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n"
    if octets.isascii() and max(map(len, lines)) <= _MAX_LINE:
        return b"Content-Type: text/%b; charset=us-ascii\r\n\r\n%b" % (kind.encode("ascii"), octets)
    head = b"Content-Type: text/%b; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head % kind.encode("ascii") + encode_quoted_printable(octets)
