"""Object ids as IMAP writes them (RFC 8474 §4): a letter for the kind, then the store's number. JMAP uses the same."""

from __future__ import annotations

import re

from posthouse.message.mailbox import EmailId, MailboxId, ThreadId

_ID = re.compile(r"[MTF]([1-9][0-9]{0,17})", re.ASCII)


def write_email_id(email: EmailId) -> bytes:
    return b"M%d" % email


def write_thread_id(thread: ThreadId) -> bytes:
    return b"T%d" % thread


def write_mailbox_id(mailbox: MailboxId) -> bytes:
    return b"F%d" % mailbox


def read_email_id(text: str) -> EmailId | None:
    """None: no email can have that id."""
    return EmailId(int(text[1:])) if text.startswith("M") and _ID.fullmatch(text) else None


def read_thread_id(text: str) -> ThreadId | None:
    return ThreadId(int(text[1:])) if text.startswith("T") and _ID.fullmatch(text) else None


def read_mailbox_id(text: str) -> MailboxId | None:
    return MailboxId(int(text[1:])) if text.startswith("F") and _ID.fullmatch(text) else None
