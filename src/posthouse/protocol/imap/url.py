"""IMAP URLs (RFC 5092 §2, §7), by which CATENATE names messages and parts. URLAUTH is not understood."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_ABSOLUTE = re.compile(r"imap://(?:(?P<user>[^@/;]*)(?:;AUTH=[^@/]*)?@)?[^/]*(?P<rest>/.*)", re.IGNORECASE)
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_PARTIAL = re.compile(r"([0-9]{1,10})(?:\.([1-9][0-9]{0,9}))?")
_PIECE = re.compile(r"/?;(UIDVALIDITY|UID|SECTION|PARTIAL)=([^/;]*)", re.IGNORECASE)


class UrlError(ValueError):
    """It names nothing that could be here."""


@dataclass(frozen=True, slots=True)
class MessageUrl:
    """`mailbox` "" is the selected one. `user` "" is the one who asks. `section` as within BODY[...]."""

    uid: int
    mailbox: str = ""
    user: str = ""
    uidvalidity: int | None = None
    section: str = ""
    start: int | None = None
    count: int | None = None


def parse_url(text: str) -> MessageUrl:
    """Raises UrlError."""
    absolute = _ABSOLUTE.fullmatch(text)
    user = _decode(absolute["user"] or "") if absolute is not None else ""
    path = absolute["rest"] if absolute is not None else text
    at = path.find(";")
    if at < 0:
        raise UrlError("It names no message")
    mailbox = _decode(path[:at].strip("/"))
    found: dict[str, str] = {}
    while at < len(path):
        piece = _PIECE.match(path, at)
        if piece is None or piece[1].upper() in found:
            raise UrlError("It is not an IMAP URL")
        found[piece[1].upper()] = _decode(piece[2])
        at = piece.end()
    start, count = _read_partial(found.get("PARTIAL"))
    uidvalidity = found.get("UIDVALIDITY")
    return MessageUrl(
        _read_number(found.get("UID", "")),
        mailbox,
        user,
        None if uidvalidity is None else _read_number(uidvalidity),
        found.get("SECTION", ""),
        start,
        count,
    )


def _decode(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise UrlError("It is not UTF-8") from None


def _read_number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise UrlError("A number is missing")
    return int(text)


def _read_partial(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    found = _PARTIAL.fullmatch(text)
    if found is None:
        raise UrlError("PARTIAL needs numbers")
    return int(found[1]), int(found[2]) if found[2] else None
