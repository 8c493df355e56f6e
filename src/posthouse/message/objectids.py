"""Object ids as clients see them: a letter for the kind, then the store's number (RFC 8474 §4, RFC 8620 §1.2).

IMAP and JMAP write the same, so that a program that speaks both knows an email by either. Pure.
"""

from __future__ import annotations

import re

from posthouse.message.mailbox import EmailId, MailboxId, ThreadId

_ID = re.compile(r"[MTF]([1-9][0-9]{0,17})", re.ASCII)


def show_email_id(email: EmailId) -> str:
    return f"M{email}"


def show_thread_id(thread: ThreadId) -> str:
    return f"T{thread}"


def show_mailbox_id(mailbox: MailboxId) -> str:
    return f"F{mailbox}"


def read_email_id(text: str) -> EmailId | None:
    """None: no email can have that id."""
    return EmailId(int(text[1:])) if text.startswith("M") and _ID.fullmatch(text) else None


def read_thread_id(text: str) -> ThreadId | None:
    return ThreadId(int(text[1:])) if text.startswith("T") and _ID.fullmatch(text) else None


def read_mailbox_id(text: str) -> MailboxId | None:
    return MailboxId(int(text[1:])) if text.startswith("F") and _ID.fullmatch(text) else None
