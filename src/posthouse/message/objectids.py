"""Object ids as clients see them: a letter for the kind, then the store's number (RFC 8474 §4, RFC 8620 §1.2).

IMAP and JMAP write the same, so that a program that speaks both knows an email by either. Pure.
"""

from __future__ import annotations

import re

from posthouse.message.mailbox import AccountId, EmailId, MailboxId, ThreadId

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


# -- with the account in them: one of a kind on the server (RFC 8474 §4.1: shared mailboxes stand beside one's own)

_OF_ACCOUNT = re.compile(r"([MTF])([1-9][0-9]{0,17})-([1-9][0-9]{0,17})", re.ASCII)


def name_email(owner: AccountId, email: EmailId) -> str:
    return f"M{owner}-{email}"


def name_thread(owner: AccountId, thread: ThreadId) -> str:
    return f"T{owner}-{thread}"


def name_mailbox(owner: AccountId, mailbox: MailboxId) -> str:
    return f"F{owner}-{mailbox}"


def parse_email_name(text: str) -> tuple[AccountId, EmailId] | None:
    found = _parse(text, "M")
    return None if found is None else (found[0], EmailId(found[1]))


def parse_thread_name(text: str) -> tuple[AccountId, ThreadId] | None:
    found = _parse(text, "T")
    return None if found is None else (found[0], ThreadId(found[1]))


def parse_mailbox_name(text: str) -> tuple[AccountId, MailboxId] | None:
    found = _parse(text, "F")
    return None if found is None else (found[0], MailboxId(found[1]))


def _parse(text: str, kind: str) -> tuple[AccountId, int] | None:
    found = _OF_ACCOUNT.fullmatch(text)
    return None if found is None or found[1] != kind else (AccountId(int(found[2])), int(found[3]))
