"""The octets that a blob id names (RFC 8620 §6.2): of an email, of a part of one, of an upload, of a part of that.

Of an email no more is read than the part. What is inside of a message that is a part is found by parsing that message.
A blob of another account is none. `Blob.size` is known before anything is read: callers refuse what is too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from posthouse.access.jmap.blob_ids import BlobId, read_blob_id
from posthouse.access.jmap.method import JmapParts
from posthouse.message.mailbox import AccountId, EmailId
from posthouse.message.parsed import PartFacts
from posthouse.message.sections import find_section
from posthouse.message.text import decode_content
from posthouse.ports.store import Fields, NoSuchMailbox


@dataclass(frozen=True, slots=True)
class Blob:
    """What is there. `start`, `size`: where it lies in what `id` begins with, encoded as `encoding`; `inner`: sections
    still to be looked for in it, as it is a message. `type`: as the part says, "" where nobody does.
    """

    id: BlobId
    start: int
    size: int
    encoding: str = ""
    inner: tuple[str, ...] = ()
    type: str = ""


async def find_blob(parts: JmapParts, owner: AccountId, text: str) -> Blob | None:
    """None: there is none of that id."""
    blob = read_blob_id(text)
    if blob is None:
        return None
    if blob.email is not None:
        return await _find_in_email(parts, owner, blob, blob.email)
    upload = await parts.uploads.find(owner, blob.upload)
    return None if upload is None else Blob(blob, 0, upload.size, inner=blob.sections, type=upload.type)


async def _find_in_email(parts: JmapParts, owner: AccountId, blob: BlobId, email: EmailId) -> Blob | None:
    wanted = Fields.STRUCTURE if blob.sections else Fields.DATES
    rows = await parts.store.messages.load_emails(owner, [email], wanted)
    if not rows:
        return None
    row = rows[0]
    if not blob.sections:
        return Blob(blob, 0, row.size, type="message/rfc822")
    facts = find_section(row.message.parts, blob.sections[0]) if row.message is not None else None
    return None if facts is None else _make_blob(blob, row.prefix_size, facts, blob.sections[1:])


def _make_blob(blob: BlobId, start: int, facts: PartFacts, inner: tuple[str, ...]) -> Blob | None:
    if facts.type.startswith("multipart/"):
        return None
    return Blob(blob, start + facts.body, facts.end - facts.body, facts.encoding, inner, facts.type)


async def read_blob(parts: JmapParts, owner: AccountId, blob: Blob) -> bytes | None:
    """The octets, any encoding undone. None: it has gone, or has no such part."""
    octets = await _read_outer(parts, owner, blob)
    if octets is None:
        return None
    content = await _decode(parts, octets, blob.encoding)
    for section in blob.inner:
        facts = find_section((await parts.parse(content)).parts, section)
        if facts is None or facts.type.startswith("multipart/"):
            return None
        content = await _decode(parts, content[facts.body : facts.end], facts.encoding)
    return content


async def _decode(parts: JmapParts, octets: bytes, encoding: str) -> bytes:
    return await parts.compute.run(partial(decode_content, octets, encoding)) if encoding else octets


async def _read_outer(parts: JmapParts, owner: AccountId, blob: Blob) -> bytes | None:
    if blob.id.email is None:
        return await parts.uploads.read(owner, blob.id.upload)
    try:
        return await parts.store.blobs.read(owner, blob.id.email, blob.start, blob.size)
    except NoSuchMailbox:
        return None
