"""Email/import, Email/copy and Email/parse (RFC 8621 §4.7 to §4.9).

Each email that is imported is a transaction of its own. Copying is between accounts, of which a login has one: it is
always refused, in the words of RFC 8620 §5.4. Parsing changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec

from posthouse.access.jmap.blob_ids import read_blob_id
from posthouse.access.jmap.blobs_reading import find_blob, read_blob
from posthouse.access.jmap.email_changes import read_placing
from posthouse.access.jmap.email_set_adding import Boxes, add_email, check_targets, is_message, read_message
from posthouse.access.jmap.emails import EmailImport, EmailImportArguments, EmailParseArguments, plan_emails
from posthouse.access.jmap.method import Call, write_state
from posthouse.message.objectids import name_account
from posthouse.protocol.jmap.arguments import CopyArguments, check_state, read_arguments
from posthouse.protocol.jmap.errors import ErrorType, MethodError, RecordRefused, SetError, invalid_arguments
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.json import JsonObject
from posthouse.protocol.jmap.limits import check_get_size, check_set_size


class ImportResponse(msgspec.Struct, rename="camel", kw_only=True):
    """RFC 8621 §4.8; None where there is nothing to tell."""

    account_id: str
    old_state: str
    new_state: str
    created: Mapping[str, JsonObject] | None = None
    not_created: Mapping[str, SetError] | None = None


class ParseResponse(msgspec.Struct, rename="camel", kw_only=True):
    """RFC 8621 §4.9; None where there is nothing to tell."""

    account_id: str
    parsed: Mapping[str, JsonObject] | None = None
    not_parsable: list[str] | None = None
    not_found: list[str] | None = None


async def import_emails(call: Call) -> Answer:
    asked = read_arguments(EmailImportArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    check_set_size(len(asked.emails), call.parts.limits)
    store, old_state = call.parts.store, await call.state()
    check_state(asked.if_in_state, old_state)
    boxes = {box.id: box for box in await store.mailboxes.list_all(owner)}
    created: dict[str, JsonObject] = {}
    not_created: dict[str, SetError] = {}
    for name, record in asked.emails.items():
        try:
            created[name] = await _import_one(call, boxes, record)
            call.created[name] = str(created[name]["id"])
        except RecordRefused as refused:
            not_created[name] = refused.error
    return ImportResponse(
        account_id=asked.account_id,
        old_state=old_state,
        new_state=write_state(await store.changes.modseq(owner)),
        created=created or None,
        not_created=not_created or None,
    )


async def _import_one(call: Call, boxes: Boxes, record: EmailImport) -> JsonObject:
    given = {"mailboxIds": record.mailbox_ids, "keywords": record.keywords, "receivedAt": record.received_at}
    placing = read_placing(call.owner, given, call.created)
    check_targets(call, boxes, placing.mailboxes)
    return await add_email(call, boxes, await read_message(call, record.blob_id), placing)


async def copy_emails(call: Call) -> Answer:
    asked = read_arguments(CopyArguments, call.arguments)
    own = name_account(call.owner)
    if asked.from_account_id != own:
        raise MethodError(ErrorType.FROM_ACCOUNT_NOT_FOUND)
    call.check_account(asked.account_id)
    raise invalid_arguments("The accounts are one: Email/set puts an email into another mailbox")


async def parse_emails(call: Call) -> Answer:
    asked = read_arguments(EmailParseArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    check_get_size(len(asked.blob_ids), call.parts.limits)
    plan = plan_emails(asked, owner)
    parsed: dict[str, JsonObject] = {}
    not_parsable: list[str] = []
    not_found: list[str] = []
    for text in dict.fromkeys(asked.blob_ids):
        name, octets = read_blob_id(text), await _read(call, text)
        if name is None or octets is None:
            not_found.append(text)
        elif not is_message(octets):
            not_parsable.append(text)
        else:
            message = await call.parts.parse(octets)
            parsed[text] = await call.parts.compute.run(partial(plan.make_parsed, message, octets, name))
    return ParseResponse(
        account_id=asked.account_id,
        parsed=parsed or None,
        not_parsable=not_parsable or None,
        not_found=not_found or None,
    )


async def _read(call: Call, text: str) -> bytes | None:
    """What is too large to be a message is none."""
    blob = await find_blob(call.parts, call.owner, text)
    if blob is None:
        return None
    return await read_blob(call.parts, call.owner, blob) if blob.size <= 2 * call.parts.max_message_size else b""
