"""What the header of an imported message tells about itself: flags, keywords and labels of other mail programs.

Status and X-Status (mbox files of mutt, UW-IMAP, Dovecot), X-Keywords, X-Mozilla-Status (Thunderbird), X-Gmail-Labels
(Google's export). The fields stay in the message: it is kept as it is. Also where folders of usual names belong.
Trusts nothing; pure.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from posthouse.message.dates import parse_date
from posthouse.message.encoded_words import decode_value
from posthouse.message.header import first_value
from posthouse.message.mailbox import Role
from posthouse.message.parsed import ParsedMessage

_FIELDS = re.compile(
    rb"^(Status|X-Status|X-Keywords|X-Mozilla-Status|X-Mozilla-Keys|X-Gmail-Labels):"
    rb"[ \t]*([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)",
    re.IGNORECASE | re.MULTILINE,
)
_WORTH_A_LOOK = (b"Status:", b"X-Keywords:", b"X-Gmail-Labels:", b"X-Mozilla-Keys:")
_STATUS = {"r": "\\Seen"}
_X_STATUS = {"a": "\\Answered", "f": "\\Flagged", "d": "\\Deleted", "t": "\\Draft"}
_MOZILLA = ((1, "\\Seen"), (2, "\\Answered"), (4, "\\Flagged"), (0x1000, "$Forwarded"))
_MOZILLA_EXPUNGED = 8
_MAX_VALUE = 10_000
_NO_KEYWORD = re.compile(r'[\x00-\x20\x7f-\U0010ffff(){%*"\\\]]')

# Names of mailboxes at the top, in lower case: the roles that programs use them for.
_USUAL = {
    "inbox": Role.INBOX,
    "drafts": Role.DRAFTS,
    "draft": Role.DRAFTS,
    "sent": Role.SENT,
    "sent items": Role.SENT,
    "sent messages": Role.SENT,
    "sent mail": Role.SENT,
    "archive": Role.ARCHIVE,
    "archives": Role.ARCHIVE,
    "junk": Role.JUNK,
    "junk e-mail": Role.JUNK,
    "spam": Role.JUNK,
    "trash": Role.TRASH,
    "deleted items": Role.TRASH,
    "deleted messages": Role.TRASH,
}
_LABEL_FLAGS = {"starred": "\\Flagged", "opened": "\\Seen", "important": "$Important"}
_NO_LABELS = frozenset({"unread", "archived", "chat", "chats", "all mail"})


@dataclass(slots=True)
class Hints:
    """`labels`: the mailboxes it is in, as paths; None where no label was told."""

    flags: set[str] = field(default_factory=set)
    labels: list[tuple[str, ...]] | None = None
    is_deleted: bool = False


def read_hints(head: bytes) -> Hints:
    hints = Hints()
    if not any(name in head for name in _WORTH_A_LOOK):
        return hints
    for found in _FIELDS.finditer(head):
        name, value = found[1].lower(), found[2][:_MAX_VALUE]
        text = value.decode("latin-1")
        if name == b"status":
            hints.flags.update(_STATUS[each] for each in text.lower() if each in _STATUS)
        elif name == b"x-status":
            hints.flags.update(_X_STATUS[each] for each in text.lower() if each in _X_STATUS)
        elif name == b"x-mozilla-status":
            _read_mozilla(text, hints)
        elif name == b"x-gmail-labels":
            _read_labels(decode_value(value), hints)
        else:
            hints.flags.update(clean_keywords(text.split()))
    return hints


def _read_mozilla(text: str, hints: Hints) -> None:
    try:
        bits = int(text.strip(), 16)
    except ValueError:
        return
    hints.flags.update(flag for bit, flag in _MOZILLA if bits & bit)
    hints.is_deleted |= bool(bits & _MOZILLA_EXPUNGED)


def _read_labels(text: str, hints: Hints) -> None:
    """Of Google's export."""
    labels = [label.strip() for label in next(csv.reader([text]), [])]
    if "unread" not in {label.lower() for label in labels}:
        hints.flags.add("\\Seen")
    take_labels(labels, hints)


def take_labels(labels: Sequence[str], hints: Hints) -> None:
    """Gmail: a message may be in many mailboxes; one without any is in the archive."""
    folded = {label.lower() for label in labels}
    hints.flags.update(_LABEL_FLAGS[label] for label in folded if label in _LABEL_FLAGS)
    if "drafts" in folded or "draft" in folded:
        hints.flags.add("\\Draft")
    paths = [split_label(label) for label in labels if _is_mailbox(label.lower())]
    hints.labels = list(dict.fromkeys(path for path in paths if path)) or [("Archive",)]


def _is_mailbox(label: str) -> bool:
    return not (label in _LABEL_FLAGS or label in _NO_LABELS or label.startswith("category "))


def split_label(label: str) -> tuple[str, ...]:
    return tuple(part for part in label.split("/") if part)


def clean_keywords(names: list[str]) -> list[str]:
    """Those that IMAP can name (RFC 9051 §9, flag-keyword)."""
    return [name for name in names if name and len(name) <= 255 and not _NO_KEYWORD.search(name)]


def choose_role(path: tuple[str, ...]) -> Role | None:
    return _USUAL.get(path[0].lower()) if len(path) == 1 else None


def guess_received(octets: bytes, message: ParsedMessage) -> tuple[float, int] | None:
    """When the last server got it, else when it was sent."""
    trace = first_value(octets[: min(message.header_size, 65_536)], b"received")
    if trace is not None:
        date = parse_date(trace.rpartition(b";")[2].strip())
        if date is not None:
            return date
    return None if message.keys.sent is None else (message.keys.sent, 0)
