"""Blob/copy (RFC 8620 §6.3), Blob/upload, Blob/get and Blob/lookup (RFC 9404 §4): small octets within a request.

What is uploaded here lies with the other uploads for a day. Nothing larger than one upload may be is put together, and
no more is read for a Blob/get than that. A blob of somebody else is as one that there is not.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import Mapping, Sequence
from hashlib import sha1, sha256

import msgspec

from posthouse.access.jmap.blob_ids import BlobId, read_blob_id
from posthouse.access.jmap.blobs_reading import find_blob, read_blob
from posthouse.access.jmap.method import Call, Method, Methods
from posthouse.message.mailbox import AccountId, EmailId
from posthouse.message.objectids import name_email, name_mailbox, name_thread
from posthouse.ports.store import EmailRow, Fields
from posthouse.ports.uploads import TooManyUploads
from posthouse.protocol.jmap.arguments import Arguments, UnsignedInt, read_arguments
from posthouse.protocol.jmap.blobs import OCTETS, BlobCopyArguments, BlobCopyResponse, check_media_type
from posthouse.protocol.jmap.errors import (
    ErrorType,
    MethodError,
    RecordRefused,
    SetError,
    SetErrorType,
    blobs_not_found,
    invalid_arguments,
    invalid_properties,
    refuse_record,
)
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.ids import Id, resolve_id
from posthouse.protocol.jmap.json import JsonObject, convert
from posthouse.protocol.jmap.limits import CORE, check_get_size, check_set_size
from posthouse.protocol.jmap.session import BLOB, BlobCapability

_TYPES = BlobCapability().supported_type_names
_DIGESTS = {"digest:sha": sha1, "digest:sha-256": sha256}
_PROPERTIES = frozenset({"id", "data", "data:asText", "data:asBase64", "size", *_DIGESTS})
_DEFAULT = ("data", "size")
MAX_SOURCES = BlobCapability().max_data_sources


# -- RFC 8620


async def copy_blobs(call: Call) -> Answer:
    """There is no other account to copy from, so that all there is is there already."""
    asked = read_arguments(BlobCopyArguments, call.arguments)
    try:
        owner = call.check_account(asked.from_account_id)
    except MethodError:
        raise MethodError(ErrorType.FROM_ACCOUNT_NOT_FOUND) from None
    call.check_account(asked.account_id)
    check_set_size(len(asked.blob_ids), call.parts.limits)
    found = {text: await find_blob(call.parts, owner, text) for text in dict.fromkeys(asked.blob_ids)}
    missing = SetError(str(SetErrorType.NOT_FOUND))
    return BlobCopyResponse(
        asked.from_account_id,
        asked.account_id,
        {text: text for text, blob in found.items() if blob is not None} or None,
        {text: missing for text, blob in found.items() if blob is None} or None,
    )


# -- upload


class _Source(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A DataSourceObject (RFC 9404 §4.1): octets as they are, or a piece of a blob."""

    as_text: str | None = msgspec.field(default=None, name="data:asText")
    as_base64: str | None = msgspec.field(default=None, name="data:asBase64")
    blob_id: str | None = None
    offset: UnsignedInt | None = None
    length: UnsignedInt | None = None


class _Upload(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    data: list[_Source]
    type: str | None = None


class _UploadArguments(Arguments, kw_only=True):
    account_id: str
    create: dict[Id, JsonObject]


async def upload_blobs(call: Call) -> Answer:
    """RFC 9404 §4.1. A blob may be made of those before it ("#name")."""
    asked = read_arguments(_UploadArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    check_set_size(len(asked.create), call.parts.limits)
    created: dict[str, JsonObject] = {}
    not_created: dict[str, SetError] = {}
    for name, record in asked.create.items():
        try:
            made = created[name] = await _upload_one(call, owner, record)
            call.created[name] = str(made["id"])
        except RecordRefused as refused:
            not_created[name] = refused.error
    return {"accountId": asked.account_id, "created": created or None, "notCreated": not_created or None}


async def _upload_one(call: Call, owner: AccountId, record: JsonObject) -> JsonObject:
    try:
        wanted = convert(record, _Upload)
    except msgspec.ValidationError as problem:
        names = [name for name in record if name not in ("data", "type")] or ["data"]
        raise invalid_properties(names, str(problem)) from None
    if len(wanted.data) > MAX_SOURCES:
        raise invalid_properties(["data"], f"At most {MAX_SOURCES} sources")
    kind = OCTETS if wanted.type is None else check_media_type(wanted.type)
    pieces, room = [], call.parts.limits.max_size_upload
    for source in wanted.data:
        pieces.append(await _read_source(call, owner, source, room))
        room -= len(pieces[-1])
    upload = await _keep(call, owner, kind, pieces)
    return {"id": upload, "type": wanted.type, "size": sum(map(len, pieces))}


async def _keep(call: Call, owner: AccountId, kind: str, pieces: Sequence[bytes]) -> str:
    try:
        writer = call.parts.uploads.begin(owner, kind)
        try:
            for piece in pieces:
                await writer.write(piece)
            return str(BlobId(upload=(await writer.finish()).id))
        finally:
            writer.discard()
    except TooManyUploads as refused:
        raise refuse_record(SetErrorType.OVER_QUOTA, str(refused) or None) from None


async def _read_source(call: Call, owner: AccountId, source: _Source, room: int) -> bytes:
    given = [value for value in (source.as_text, source.as_base64, source.blob_id) if value is not None]
    if len(given) != 1:
        raise invalid_properties(["data"], "A source has one of data:asText, data:asBase64, blobId")
    if source.blob_id is not None:
        octets = await _read_piece(call, owner, source.blob_id, source, room)
    elif source.offset is not None or source.length is not None:
        raise invalid_properties(["data"], "offset and length are of a blob")
    else:
        octets = _decode(source)
    if len(octets) > room:
        raise _too_large(call)
    return octets


def _decode(source: _Source) -> bytes:
    try:
        if source.as_text is not None:
            return source.as_text.encode("utf-8")
        return b64decode(source.as_base64 or "", validate=True)
    except (BadBase64, ValueError):
        raise invalid_properties(["data"], "It is no base64, or half a character") from None


async def _read_piece(call: Call, owner: AccountId, text: str, source: _Source, room: int) -> bytes:
    """A range that is not there as a whole is refused."""
    octets = await _read_blob(call, owner, text)
    if octets is None:
        raise blobs_not_found([text])
    start = source.offset or 0
    end = len(octets) if source.length is None else start + source.length
    if end > len(octets) or start > len(octets):
        raise invalid_properties(["data"], f"{text[:100]!r} has {len(octets)} octets")
    if end - start > room:
        raise _too_large(call)
    return octets[start:end]


async def _read_blob(call: Call, owner: AccountId, text: str) -> bytes | None:
    """`text` may be a creation id. Raises RecordRefused."""
    known = resolve_id(text, call.created)
    blob = await find_blob(call.parts, owner, known) if known is not None else None
    if blob is None:
        return None
    if blob.size > 2 * call.parts.limits.max_size_upload:
        raise _too_large(call)
    return await read_blob(call.parts, owner, blob)


def _too_large(call: Call) -> RecordRefused:
    return RecordRefused(SetError(str(SetErrorType.TOO_LARGE), max_size=call.parts.limits.max_size_upload))


# -- get


class _GetArguments(Arguments, kw_only=True):
    """RFC 9404 §4.2."""

    account_id: str
    ids: list[str]
    properties: list[str] | None = None
    offset: UnsignedInt | None = None
    length: UnsignedInt | None = None


async def get_blobs(call: Call) -> Answer:
    asked = read_arguments(_GetArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    check_get_size(len(asked.ids), call.parts.limits)
    names = [name for name in dict.fromkeys(asked.properties or _DEFAULT) if name != "id"]
    unknown = [name for name in names if name not in _PROPERTIES]
    if unknown:
        raise invalid_arguments(f"There is no property {unknown[0][:100]!r}")
    found: list[JsonObject] = []
    not_found: list[str] = []
    room = call.parts.limits.max_size_upload
    for text in dict.fromkeys(asked.ids):
        octets = await _read_for_get(call, owner, text)
        if octets is None:
            not_found.append(text)
            continue
        room -= len(octets)
        if room < 0:
            raise MethodError(ErrorType.REQUEST_TOO_LARGE, "These blobs are too much for one call: download them")
        found.append({"id": text, **_write_blob(octets, names, asked)})
    return {"accountId": asked.account_id, "list": found, "notFound": not_found}


async def _read_for_get(call: Call, owner: AccountId, text: str) -> bytes | None:
    try:
        return await _read_blob(call, owner, text)
    except RecordRefused:
        raise MethodError(ErrorType.REQUEST_TOO_LARGE, f"{text[:100]!r} is too large: download it") from None


def _write_blob(octets: bytes, names: Sequence[str], asked: _GetArguments) -> JsonObject:
    start = asked.offset or 0
    end = len(octets) if asked.length is None else start + asked.length
    piece = octets[start:end]
    told: JsonObject = {}
    if end > len(octets) or start > len(octets):
        told["isTruncated"] = True
    for name in names:
        if name == "size":
            told[name] = len(octets)
        elif name in _DIGESTS:
            told[name] = b64encode(_DIGESTS[name](piece, usedforsecurity=False).digest()).decode("ascii")
        else:
            told |= _write_data(piece, name)
    return told


def _write_data(piece: bytes, name: str) -> JsonObject:
    """`data` is text where it can be; what is no UTF-8 has an encoding problem as text."""
    if name == "data:asBase64":
        return {name: b64encode(piece).decode("ascii")}
    try:
        return {"data:asText": piece.decode("utf-8")}
    except UnicodeDecodeError:
        if name == "data:asText":
            return {name: None, "isEncodingProblem": True}
        return {"data:asBase64": b64encode(piece).decode("ascii"), "isEncodingProblem": True}


# -- lookup


class _LookupArguments(Arguments, kw_only=True):
    """RFC 9404 §4.3."""

    account_id: str
    type_names: list[str]
    ids: list[str]


async def look_up_blobs(call: Call) -> Answer:
    """What there is not is in nothing, so that nobody learns whether there is a blob that is not theirs."""
    asked = read_arguments(_LookupArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    check_get_size(len(asked.ids), call.parts.limits)
    unknown = [name for name in asked.type_names if name not in _TYPES]
    if unknown:
        raise MethodError(ErrorType.UNKNOWN_DATA_TYPE, f"{unknown[0][:100]!r} has no blobs")
    ids = list(dict.fromkeys(asked.ids))
    emails = {text: blob.email for text in ids if (blob := read_blob_id(text)) is not None and blob.email is not None}
    rows = await call.parts.store.messages.load_emails(owner, list(dict.fromkeys(emails.values())), Fields.DATES)
    known = {row.email: row for row in rows}
    there = {text for text in emails if await find_blob(call.parts, owner, text) is not None}
    return {
        "accountId": asked.account_id,
        "list": [
            {"id": text, "matchedIds": _match(owner, known, emails[text] if text in there else None, asked.type_names)}
            for text in ids
        ],
        "notFound": [],
    }


def _match(
    owner: AccountId, rows: Mapping[EmailId, EmailRow], email: EmailId | None, types: Sequence[str]
) -> dict[str, list[str]]:
    row = rows.get(email) if email is not None else None
    if row is None:
        return {name: [] for name in types}
    found = {
        "Email": [name_email(owner, row.email)],
        "Thread": [name_thread(owner, row.thread)],
        "Mailbox": [name_mailbox(owner, mailbox) for mailbox in row.placements],
    }
    return {name: found[name] for name in types}


METHODS: Methods = {
    "Blob/copy": Method(CORE, copy_blobs),
    "Blob/upload": Method(BLOB, upload_blobs),
    "Blob/get": Method(BLOB, get_blobs),
    "Blob/lookup": Method(BLOB, look_up_blobs),
}
