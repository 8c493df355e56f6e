"""Threads (RFC 8621 §3), and a result in which each is there once (RFC 8621 §4.4.3). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from posthouse.message.mailbox import AccountId, EmailId, ThreadId
from posthouse.message.objectids import name_email, name_thread


class Thread(msgspec.Struct, frozen=True, rename="camel"):
    """`email_ids` in the order of receiving."""

    id: str
    email_ids: Sequence[str]


def make_thread(owner: AccountId, thread: ThreadId, emails: Sequence[EmailId]) -> Thread:
    return Thread(name_thread(owner, thread), [name_email(owner, email) for email in emails])


def collapse_threads(emails: Sequence[EmailId], threads: Mapping[EmailId, ThreadId]) -> list[EmailId]:
    """Of each thread the first in the order given."""
    first: dict[ThreadId, EmailId] = {}
    for email in emails:
        first.setdefault(threads[email], email)
    return list(first.values())
