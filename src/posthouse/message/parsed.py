"""What is kept of a message when it is delivered, so that it is parsed once: wire-ready and searchable.

Made by message/parse.py from the octets of a body alone; what delivery puts in front (Return-Path, Delivered-To,
Received) changes none of it but the sizes. Offsets count from the body's first octet. Pure values, all bounded.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartFacts:
    """One MIME part. `section` as IMAP numbers it ("1.2"; "" is the message itself, RFC 9051 §6.4.5.1).

    Octets `header:body` are its header with the blank line, `body:end` its content as it lies there. `lines` counts
    CRLF in the content. `type`, `encoding`, `charset`, `disposition` are in lower case, `name` is the decoded
    file name.
    """

    section: str
    header: int
    body: int
    end: int
    lines: int
    type: str
    encoding: str
    charset: str
    disposition: str
    name: str
    content_id: str


@dataclass(frozen=True, slots=True)
class SortKeys:
    """For SORT (RFC 5256 §3), SORT=DISPLAY (RFC 5957) and listings: comparable as they are, upper case, 255 characters.

    `sent` is the Date field as seconds since 1970 in UTC, None without a valid one.
    """

    sent: float | None
    base_subject: str
    sender: str  # mailbox of the first From
    recipient: str  # mailbox of the first To
    copied: str  # mailbox of the first Cc
    display_from: str
    display_to: str


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """`envelope` and `bodystructure` are the parenthesised lists of RFC 9051 §7.5.2, complete, as octets.

    `head` holds the fields that mail programs ask for together (see message/parse.py HEAD_FIELDS), as they stand in
    the message and in its order, each with its CRLF. `references`: ids without brackets of References, then
    In-Reply-To; the last `reply_ids` of them stand in In-Reply-To alone. `preview`: up to 256 characters of plain text
    (RFC 8970 §3.1). `subject`, `addresses`: decoded text for search. `is_reply_or_forward`: the subject
    says so (RFC 5256 §2.1). `is_truncated`: a limit was reached.
    """

    size: int
    header_size: int  # up to and with the blank line
    lines: int  # CRLFs in the whole message
    envelope: bytes
    bodystructure: bytes
    parts: tuple[PartFacts, ...]
    head: bytes
    keys: SortKeys
    message_id: str = ""
    references: tuple[str, ...] = ()
    subject: str = ""
    from_text: str = ""
    to_text: str = ""
    cc_text: str = ""
    bcc_text: str = ""
    preview: str = ""
    has_attachment: bool = False
    is_reply_or_forward: bool = False
    is_truncated: bool = False
    list_id: str = ""
    reply_ids: int = 0
