"""Object ids as clients see them: a letter for the kind, the account, the store's number (RFC 8474 §4, RFC 8620 §1.2).

One of a kind on the server, as shared mailboxes stand beside one's own (RFC 8474 §4.1). IMAP and JMAP write the same,
so that a program that speaks both knows an email by either (RFC 9698). Pure.
"""

from __future__ import annotations

import re

from posthouse.message.mailbox import AccountId, EmailId, MailboxId, SubmissionId, ThreadId

_OF_ACCOUNT = re.compile(r"([MTFS])([1-9][0-9]{0,17})-([1-9][0-9]{0,17})", re.ASCII)


def name_account(account: AccountId) -> str:
    return f"A{account}"


def name_email(owner: AccountId, email: EmailId) -> str:
    return f"M{owner}-{email}"


def name_thread(owner: AccountId, thread: ThreadId) -> str:
    return f"T{owner}-{thread}"


def name_mailbox(owner: AccountId, mailbox: MailboxId) -> str:
    return f"F{owner}-{mailbox}"


def name_submission(owner: AccountId, submission: SubmissionId) -> str:
    return f"S{owner}-{submission}"


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


def find_email(owner: AccountId, text: str) -> EmailId | None:
    """The email of that account; None: none of its emails can have that id."""
    found = parse_email_name(text)
    return found[1] if found is not None and found[0] == owner else None


def find_thread(owner: AccountId, text: str) -> ThreadId | None:
    found = parse_thread_name(text)
    return found[1] if found is not None and found[0] == owner else None


def find_mailbox(owner: AccountId, text: str) -> MailboxId | None:
    found = parse_mailbox_name(text)
    return found[1] if found is not None and found[0] == owner else None


def find_submission(owner: AccountId, text: str) -> SubmissionId | None:
    found = _parse(text, "S")
    return SubmissionId(found[1]) if found is not None and found[0] == owner else None
