"""SearchSnippet/get (RFC 8621 §5.1): where in subject and text of emails stands what was searched for.

The preview that the store keeps is looked at first: only where nothing stands there is the message read, a few at a
time, and of a large one its beginning. Changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from posthouse.access.jmap.filters import list_thread_tests, list_tokens
from posthouse.access.jmap.method import Call, Method
from posthouse.access.jmap.snippets import SearchSnippet, SnippetGetArguments, make_snippet
from posthouse.message.mailbox import AccountId, EmailId
from posthouse.message.objectids import find_email, name_email
from posthouse.message.text import message_text
from posthouse.ports.store import EmailRow, Fields, NoSuchMailbox
from posthouse.protocol.jmap.arguments import read_arguments, read_filter
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.limits import check_get_size
from posthouse.protocol.jmap.session import MAIL

_LARGE = 512 * 1024  # of a longer message no more is read
_BATCH = 32  # messages in memory at once
_HEAVY = 16 * 1024  # octets of a message that is looked at beside the loop
_MOST_TEXT = 256 * 1024  # octets that are decoded of a message


class SnippetGetResponse(msgspec.Struct, rename="camel", kw_only=True):
    """RFC 8621 §5.1."""

    account_id: str
    list: Sequence[SearchSnippet]
    not_found: Sequence[str] | None


async def get_snippets(call: Call) -> Answer:
    asked = read_arguments(SnippetGetArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    check_get_size(len(asked.email_ids), call.parts.limits)
    wanted = read_filter(asked.filter)
    list_thread_tests(wanted)  # raises where a condition is none
    in_subject, in_text = list_tokens(wanted, ("text", "subject")), list_tokens(wanted, ("text", "body"))
    emails = {text: email for text in asked.email_ids if (email := find_email(owner, text)) is not None}
    rows = await call.parts.store.messages.load_emails(
        owner, list(dict.fromkeys(emails.values())), Fields.TEXTS | (Fields.STRUCTURE if in_text else Fields.NONE)
    )
    made = await _make_all(call, _Terms(in_subject, in_text), rows)
    return SnippetGetResponse(
        account_id=asked.account_id,
        list=[made[email] for email in dict.fromkeys(emails.values()) if email in made],
        not_found=[text for text in dict.fromkeys(asked.email_ids) if emails.get(text) not in made] or None,
    )


@dataclass(frozen=True, slots=True)
class _Terms:
    in_subject: Sequence[str]
    in_text: Sequence[str]


async def _make_all(call: Call, terms: _Terms, rows: Sequence[EmailRow]) -> Mapping[EmailId, SearchSnippet]:
    """Of the preview of each, or of the body where that has none of the terms."""
    made = {row.email: _make(call.owner, terms, row, _preview_of(row)) for row in rows}
    missing = [row for row in rows if terms.in_text and made[row.email].preview is None]
    for start in range(0, len(missing), _BATCH):
        batch = missing[start : start + _BATCH]
        for row, octets in zip(batch, await _read(call, batch), strict=True):
            if octets is not None and row.message is not None:
                look = partial(_look, call.owner, terms, row, octets)
                made[row.email] = await call.parts.compute.run(look) if len(octets) > _HEAVY else look()
        await asyncio.sleep(0)
    return made


def _make(owner: AccountId, terms: _Terms, row: EmailRow, text: str) -> SearchSnippet:
    subject = row.message.subject if row.message is not None else ""
    return make_snippet(name_email(owner, row.email), subject, text, terms.in_subject, terms.in_text)


def _preview_of(row: EmailRow) -> str:
    return row.message.preview if row.message is not None else ""


def _look(owner: AccountId, terms: _Terms, row: EmailRow, octets: bytes) -> SearchSnippet:
    """Into the body."""
    assert row.message is not None
    texts = message_text(octets[row.prefix_size :], row.message, limit=_MOST_TEXT)
    return _make(owner, terms, row, "\n".join(texts))


async def _read(call: Call, rows: Sequence[EmailRow]) -> Sequence[bytes | None]:
    blobs = call.parts.store.blobs
    if all(row.size <= _LARGE for row in rows):
        return await blobs.read_many(call.owner, [row.email for row in rows])
    return [await _read_beginning(call, row.email) for row in rows]


async def _read_beginning(call: Call, email: EmailId) -> bytes | None:
    try:
        return await call.parts.store.blobs.read(call.owner, email, 0, _LARGE)
    except NoSuchMailbox:
        return None


METHODS: Mapping[str, Method] = {"SearchSnippet/get": Method(MAIL, get_snippets)}
