"""Object ids as IMAP writes them (RFC 8474 §4): those of message/objectids.py, in octets."""

from __future__ import annotations

from posthouse.message.mailbox import AccountId, MailboxId
from posthouse.message.objectids import name_mailbox, parse_email_name, parse_thread_name

__all__ = ["open_email_id", "open_thread_id", "parse_email_name", "parse_thread_name", "write_mailbox_id"]


def open_email_id(owner: AccountId) -> bytes:
    """All of them but the number."""
    return b"M%d-" % owner


def open_thread_id(owner: AccountId) -> bytes:
    return b"T%d-" % owner


def write_mailbox_id(owner: AccountId, mailbox: MailboxId) -> bytes:
    return name_mailbox(owner, mailbox).encode("ascii")
