"""Email/get (RFC 8621 §4.2), on the store.

What a list of messages shows is one read of the store. Messages themselves are read only where they are asked for, a
few at a time; of large ones the objects are made beside the loop. Changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial

from posthouse.access.jmap.emails import EmailGetArguments, EmailPlan, plan_emails
from posthouse.access.jmap.method import Call
from posthouse.message.mailbox import FIRST_KEYWORD_BIT, EmailId, KeywordTable
from posthouse.message.objectids import find_email, name_email
from posthouse.message.search import All
from posthouse.ports.store import EmailRow, Enough, NoSuchMailbox
from posthouse.protocol.jmap.arguments import read_arguments
from posthouse.protocol.jmap.errors import ErrorType, MethodError
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.json import JsonObject
from posthouse.protocol.jmap.limits import check_get_size
from posthouse.protocol.jmap.responses import GetResponse

_NO_KEYWORDS = KeywordTable(())
_BATCH_OCTETS = 4 << 20  # of messages in memory at once
_LARGE = 256 * 1024  # of a longer message no more is read than is needed
_HEAVY = 32 * 1024  # a message that is looked at beside the loop
_TURN_OCTETS = 512 * 1024  # of messages that are looked at before others get their turn
_MOST_OCTETS = 256 << 20  # of the messages of one call whose bodies are asked for


async def get_emails(call: Call) -> Answer:
    """RFC 8621 §4.2."""
    arguments = read_arguments(EmailGetArguments, call.arguments)
    owner = call.check_account(arguments.account_id)
    plan = plan_emails(arguments, owner)
    state = await call.state()
    names = await _list_names(call, arguments.ids)
    emails = {email: name for name in names if (email := find_email(owner, name)) is not None}
    rows = await call.parts.store.messages.load_emails(owner, list(emails), plan.fields)
    told = await make_emails(call, plan, rows)
    there = {emails[row.email] for row in rows}
    return GetResponse(
        account_id=arguments.account_id,
        state=state,
        list=told,
        not_found=[name for name in names if name not in there],
    )


async def _list_names(call: Call, ids: Sequence[str] | None) -> list[str]:
    """Each once. Raises MethodError (requestTooLarge)."""
    most = call.parts.limits.max_objects_in_get
    if ids is None:
        found = await call.parts.store.search.list_emails(call.owner, All(), enough=Enough(most + 1))
        names = [name_email(call.owner, EmailId(email)) for email in found.emails[: most + 1]]
    else:
        names = list(dict.fromkeys(ids))
    check_get_size(len(names), call.parts.limits)
    return names


async def make_emails(call: Call, plan: EmailPlan, rows: Sequence[EmailRow]) -> list[JsonObject]:
    """The objects, in the order of the rows but for what has gone in the meantime."""
    keywords = await _read_keywords(call, plan, rows)
    if not any(map(plan.needs_octets, rows)):
        return [plan.make(row, None, keywords) for row in rows]
    told: list[JsonObject] = []
    looked_at = 0
    for batch in _split_batches(plan, rows):
        octets = await _read_octets(call, plan, batch)
        for row, message in zip(batch, octets, strict=True):
            if message is None:
                continue
            told.append(await _make(call, plan, row, message, keywords))
            looked_at += len(message)
            if looked_at > _TURN_OCTETS:
                await asyncio.sleep(0)
                looked_at = 0
    return told


async def _read_keywords(call: Call, plan: EmailPlan, rows: Sequence[EmailRow]) -> KeywordTable:
    """The names of those that are needed; most emails have none but system flags."""
    if "keywords" not in plan.properties:
        return _NO_KEYWORDS
    if not any(placed.flags >> FIRST_KEYWORD_BIT for row in rows for placed in row.placements.values()):
        return _NO_KEYWORDS
    return await call.parts.store.messages.keywords(call.owner)


def _split_batches(plan: EmailPlan, rows: Sequence[EmailRow]) -> Iterator[list[EmailRow]]:
    """Raises MethodError (requestTooLarge)."""
    if plan.needs_body and sum(row.size for row in rows) > _MOST_OCTETS and len(rows) > 1:
        raise MethodError(ErrorType.REQUEST_TOO_LARGE, "The bodies of these emails are too much for one call")
    batch: list[EmailRow] = []
    room = _BATCH_OCTETS
    for row in rows:
        if batch and room < row.size:
            yield batch
            batch, room = [], _BATCH_OCTETS
        batch.append(row)
        room -= row.size
    if batch:
        yield batch


async def _read_octets(call: Call, plan: EmailPlan, rows: Sequence[EmailRow]) -> Sequence[bytes | None]:
    """As much of each as the plan needs. None: it has gone."""
    if plan.needs_body or all(row.size <= _LARGE for row in rows):
        return await call.parts.store.blobs.read_many(call.owner, [row.email for row in rows])
    return [await _read_header(call, row) for row in rows]


async def _read_header(call: Call, row: EmailRow) -> bytes | None:
    size = row.prefix_size + row.message.header_size if row.message is not None else None
    try:
        return await call.parts.store.blobs.read(call.owner, row.email, 0, size)
    except NoSuchMailbox:
        return None


async def _make(call: Call, plan: EmailPlan, row: EmailRow, octets: bytes, keywords: KeywordTable) -> JsonObject:
    if len(octets) <= _HEAVY:
        return plan.make(row, octets, keywords)
    return await call.parts.compute.run(partial(plan.make, row, octets, keywords))
