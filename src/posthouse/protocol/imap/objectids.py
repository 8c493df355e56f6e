"""Object ids as IMAP writes them (RFC 8474 §4): those of message/objectids.py, in octets."""

from __future__ import annotations

from posthouse.message.mailbox import EmailId, MailboxId, ThreadId
from posthouse.message.objectids import read_email_id, read_mailbox_id, read_thread_id

__all__ = [
    "read_email_id",
    "read_mailbox_id",
    "read_thread_id",
    "write_email_id",
    "write_mailbox_id",
    "write_thread_id",
]


def write_email_id(email: EmailId) -> bytes:
    return b"M%d" % email


def write_thread_id(thread: ThreadId) -> bytes:
    return b"T%d" % thread


def write_mailbox_id(mailbox: MailboxId) -> bytes:
    return b"F%d" % mailbox
