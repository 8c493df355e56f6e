"""What Email/set, Email/import and Email/parse have in common: octets as an email of the store, and where it may go.

Nothing is put into Scheduled, nor into what is called Outbox: mail gets there by being sent. Raises RecordRefused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial

from posthouse.access.jmap.blob_ids import BlobId
from posthouse.access.jmap.blobs_reading import Blob, find_blob, read_blob
from posthouse.access.jmap.email_changes import Placing
from posthouse.access.jmap.method import Call
from posthouse.message.encodings import is_line_text
from posthouse.message.mailbox import ROLE_NAMES, Mailbox, MailboxId, Role
from posthouse.message.objectids import name_email, name_mailbox, name_thread
from posthouse.ports.bodies import keep_body
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Added, Addition, NoSuchMailbox, OverQuota, StoreRefusal, TooMany
from posthouse.protocol.jmap.errors import (
    RecordRefused,
    SetError,
    SetErrorType,
    blobs_not_found,
    invalid_properties,
    refuse_record,
)
from posthouse.protocol.jmap.json import JsonObject

Boxes = Mapping[MailboxId, Mailbox]

_OUTBOX = "outbox"
_FIELD = re.compile(rb"(?:From [^\n]*\n)?[!-9;-~]+[ \t]*:")


def check_targets(call: Call, boxes: Boxes, wanted: Iterable[MailboxId]) -> None:
    for mailbox in wanted:
        box = boxes.get(mailbox)
        if box is None:
            raise invalid_properties([f"mailboxIds/{name_mailbox(call.owner, mailbox)}"], "There is no such mailbox")
        if is_closed(box):
            raise refuse_record(SetErrorType.FORBIDDEN, f"Mail comes into {box.name} by being sent")


def is_closed(box: Mailbox) -> bool:
    """Also what is only called so: nothing would go out from it."""
    if box.role is Role.SCHEDULED:
        return True
    return box.parent is None and box.name.lower() in (ROLE_NAMES[Role.SCHEDULED].lower(), _OUTBOX)


async def read_blobs(call: Call, ids: Iterable[str]) -> dict[str, bytes]:
    """Those that there are; all together no more than a message may have."""
    found: dict[str, Blob] = {}
    for text in ids:
        blob = await find_blob(call.parts, call.owner, text)
        if blob is not None:
            found[text] = blob
    check_size(call, sum(blob.size for blob in found.values()))
    read = {text: await read_blob(call.parts, call.owner, blob) for text, blob in found.items()}
    return {text: octets for text, octets in read.items() if octets is not None}


def check_size(call: Call, octets: int) -> None:
    most = call.parts.max_message_size
    if octets > most:
        raise RecordRefused(SetError(str(SetErrorType.TOO_LARGE), max_size=most))


async def read_message(call: Call, blob: str) -> bytes:
    """A blob that is a message, its lines ending as those of messages do."""
    octets = (await read_blobs(call, [blob])).get(blob)
    if octets is None:
        raise blobs_not_found([blob])
    if not is_message(octets):
        raise refuse_record(SetErrorType.INVALID_EMAIL, "It does not begin with a header field, or has NUL in it")
    return octets if is_line_text(octets) or b"\r\n" in octets else octets.replace(b"\n", b"\r\n")


def is_message(octets: bytes) -> bool:
    return _FIELD.match(octets) is not None and b"\0" not in octets


async def add_email(call: Call, boxes: Boxes, octets: bytes, placing: Placing) -> JsonObject:
    """Stores it where `check_targets` said it may go. What the client does not know of it (RFC 8621 §4.6, §4.8)."""
    check_size(call, len(octets))
    parts = call.parts
    addition = Addition(
        placing.mailboxes,
        await keep_body(InlineBody(octets), parts.inline_limit, partial(parts.store.messages.open_body, call.owner)),
        await parts.parse(octets),
        received=parts.clock.now() if placing.received is None else placing.received,
        flags=placing.flags,
    )
    try:
        return _describe(call, await _store(call, boxes, octets, addition))
    except StoreRefusal as refusal:
        raise tell_refusal(refusal) from None


async def _store(call: Call, boxes: Boxes, octets: bytes, addition: Addition) -> Added:
    """A copy of what was sent takes the place of the server's own (docs/internals.md)."""
    only = addition.mailboxes[0] if len(addition.mailboxes) == 1 else None
    if only is not None and not isinstance(only, Role) and boxes[only].role is Role.SENT:
        return await call.parts.sending.file_upload(call.login, only, octets, addition)
    return (await call.parts.store.messages.add(call.owner, [addition]))[0]


def _describe(call: Call, added: Added) -> JsonObject:
    return {
        "id": name_email(call.owner, added.email),
        "blobId": str(BlobId(added.email)),
        "threadId": name_thread(call.owner, added.thread),
        "size": added.size,
    }


def tell_refusal(refusal: StoreRefusal) -> RecordRefused:
    """In the words of JMAP. Raises what cannot be one record's fault."""
    match refusal:
        case OverQuota():
            return refuse_record(SetErrorType.OVER_QUOTA)
        case TooMany() if str(refusal).startswith("keyword"):
            return refuse_record(SetErrorType.TOO_MANY_KEYWORDS, str(refusal))
        case TooMany():
            return refuse_record(SetErrorType.OVER_QUOTA, str(refusal) or None)
        case NoSuchMailbox():
            return invalid_properties(["mailboxIds"], "A mailbox has gone in the meantime")
        case _:
            raise refusal
