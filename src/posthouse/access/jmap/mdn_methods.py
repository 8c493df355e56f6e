"""MDN/send and MDN/parse (RFC 9007 §2).

A receipt is sent once: not for an email that has "$mdnsent", and not without the client's wish to set it, which the
implied Email/set does. Killed in between, the receipt is on its way and the email is not marked; a client may then
send a second one. It is kept nowhere, and goes with the empty envelope sender (RFC 8098 §2.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from posthouse.access.jmap.blobs_reading import find_blob, read_blob
from posthouse.access.jmap.email_set import set_emails
from posthouse.access.jmap.identities import find_identity
from posthouse.access.jmap.keywords import write_keywords
from posthouse.access.jmap.mdn import (
    Author,
    NewMdn,
    compose_mdn,
    describe_sent,
    parse_mdn,
    read_final_recipient,
    read_mdn,
    read_original,
)
from posthouse.access.jmap.method import Call, Method, Methods
from posthouse.message.address import parse_address
from posthouse.message.mailbox import AccountId, EmailId
from posthouse.message.objectids import find_email, name_email
from posthouse.ports.login import Scope
from posthouse.ports.sending import SendRefused, WantedEnvelope
from posthouse.ports.store import EmailRow, Fields, NoSuchMailbox
from posthouse.protocol.jmap.arguments import Arguments, read_arguments
from posthouse.protocol.jmap.errors import (
    MethodError,
    RecordRefused,
    SetError,
    SetErrorType,
    invalid_arguments,
    refuse_record,
)
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.ids import Id, resolve_id
from posthouse.protocol.jmap.json import JsonObject
from posthouse.protocol.jmap.limits import check_get_size, check_set_size
from posthouse.protocol.jmap.session import MDN

_SENT = "$mdnsent"


class _SendArguments(Arguments, kw_only=True):
    """RFC 9007 §2.1."""

    account_id: str
    identity_id: str
    send: dict[Id, JsonObject]
    on_success_update_email: dict[str, JsonObject] | None = None


async def send_mdns(call: Call) -> Answer:
    asked = read_arguments(_SendArguments, call.arguments)
    owner = _check_account(call, asked.account_id)
    call.check_scope(Scope.SEND)
    check_set_size(len(asked.send), call.parts.limits)
    known = resolve_id(asked.identity_id, call.created)
    identity = await find_identity(call.parts, owner, known) if known is not None else None
    if identity is None:
        raise invalid_arguments("There is no such identity")
    updates = asked.on_success_update_email or {}
    sent: dict[str, JsonObject] = {}
    not_sent: dict[str, SetError] = {}
    patches: dict[str, JsonObject] = {}
    for name, record in asked.send.items():
        try:
            email, sent[name] = await _send_one(call, owner, identity, record, updates.get(f"#{name}"))
            patches[name_email(owner, email)] = updates[f"#{name}"]
        except RecordRefused as refused:
            not_sent[name] = refused.error
    if patches:
        call.extra.append(("Email/set", await _mark(call, asked.account_id, patches)))
    return {"accountId": asked.account_id, "sent": sent or None, "notSent": not_sent or None}


def _check_account(call: Call, account_id: str) -> AccountId:
    """RFC 9007 §2.1 calls it so."""
    try:
        return call.check_account(account_id)
    except MethodError:
        raise invalid_arguments("There is no such account") from None


async def _mark(call: Call, account_id: str, patches: Mapping[str, JsonObject]) -> Answer | MethodError:
    arguments: JsonObject = {"accountId": account_id, "update": dict(patches)}
    try:
        return await set_emails(replace(call, arguments=arguments, extra=[]))
    except MethodError as error:
        return error


async def _send_one(
    call: Call, owner: AccountId, identity: JsonObject, record: JsonObject, patch: JsonObject | None
) -> tuple[EmailId, JsonObject]:
    """Raises RecordRefused."""
    mdn = read_mdn(record)
    row = await _find_email(call, owner, mdn.for_email_id)
    keywords = await call.parts.store.messages.keywords(owner)
    if _SENT in write_keywords(row.placements.values(), keywords):
        raise refuse_record(SetErrorType.MDN_ALREADY_SENT)
    if patch is None or not _marks(patch):
        raise refuse_record(SetErrorType.INVALID_PROPERTIES, f"onSuccessUpdateEmail must set {_SENT} (RFC 9007 §2.1)")
    try:
        original = read_original(await call.parts.store.blobs.read(owner, row.email))
    except NoSuchMailbox:
        raise refuse_record(SetErrorType.NOT_FOUND) from None
    author = _make_author(call, owner, identity, mdn)
    envelope = WantedEnvelope("", tuple([(str(address), {}) for address in original.asking]))
    try:
        octets = compose_mdn(mdn, original, author)
        await call.parts.sending.submit_message(call.login, octets, envelope, call.source)
    except SendRefused as refusal:
        raise refuse_record(_name_refusal(refusal), refusal.text) from None
    return row.email, describe_sent(mdn, original, author)


def _marks(patch: Mapping[str, object]) -> bool:
    whole = patch.get("keywords")
    keywords = dict(whole) if isinstance(whole, dict) else {}
    keywords |= {name.removeprefix("keywords/"): value for name, value in patch.items() if name.startswith("keywords/")}
    return any(name.lower() == _SENT and value is True for name, value in keywords.items())


def _name_refusal(refusal: SendRefused) -> SetErrorType:
    if refusal.is_limit:
        return SetErrorType.RATE_LIMIT
    return SetErrorType.FORBIDDEN


async def _find_email(call: Call, owner: AccountId, text: str) -> EmailRow:
    known = resolve_id(text, call.created)
    email = find_email(owner, known) if known is not None else None
    rows = [] if email is None else await call.parts.store.messages.load_emails(owner, [email], Fields.NONE)
    if not rows:
        raise refuse_record(SetErrorType.NOT_FOUND)
    return rows[0]


def _make_author(call: Call, owner: AccountId, identity: JsonObject, mdn: NewMdn) -> Author:
    """Raises RecordRefused for a final recipient who is not the account's."""
    parts, address = call.parts, parse_address(str(identity["email"]))
    recipient = address
    if mdn.final_recipient is not None:
        recipient = read_final_recipient(mdn.final_recipient)
    if not all(parts.accounts.may_send_as(owner, one) for one in (address, recipient)):
        raise refuse_record(SetErrorType.FORBIDDEN_FROM)
    kind = "rfc822" if recipient.is_ascii else "utf-8"
    return Author(
        str(identity.get("name") or ""),
        address,
        f"{kind};{recipient}",
        parts.hostname,
        parts.make_token(),
        parts.clock.now(),
    )


# -- parse


class _ParseArguments(Arguments, kw_only=True):
    """RFC 9007 §2.2."""

    account_id: str
    blob_ids: list[str]


async def parse_mdns(call: Call) -> Answer:
    asked = read_arguments(_ParseArguments, call.arguments)
    owner = _check_account(call, asked.account_id)
    check_get_size(len(asked.blob_ids), call.parts.limits)
    parsed: dict[str, JsonObject] = {}
    not_parsable: list[str] = []
    not_found: list[str] = []
    for text in dict.fromkeys(asked.blob_ids):
        octets = await _read_message(call, owner, text)
        if octets is None:
            not_found.append(text)
            continue
        found = parse_mdn(octets, await call.parts.parse(octets))
        if found is None:
            not_parsable.append(text)
            continue
        parsed[text] = {**found.told, "forEmailId": await _find_original(call, owner, found.message_id)}
    return {
        "accountId": asked.account_id,
        "parsed": parsed or None,
        "notParsable": not_parsable or None,
        "notFound": not_found or None,
    }


async def _read_message(call: Call, owner: AccountId, text: str) -> bytes | None:
    """What is too large to be mail is no receipt: it is not read."""
    known = resolve_id(text, call.created)
    blob = await find_blob(call.parts, owner, known) if known is not None else None
    if blob is None:
        return None
    if blob.size > 2 * call.parts.max_message_size:
        return b""
    return await read_blob(call.parts, owner, blob)


async def _find_original(call: Call, owner: AccountId, message_id: str) -> str | None:
    """The email of the account that the receipt is about."""
    if not message_id:
        return None
    store = call.parts.store
    threads = await store.messages.thread(owner, await store.threads.naming(owner, message_id))
    emails = [email for members in threads.values() for email in members]
    for row in await store.messages.load_emails(owner, emails, Fields.KEYS):
        if row.message is not None and row.message.message_id == message_id:
            return name_email(owner, row.email)
    return None


METHODS: Methods = {
    "MDN/send": Method(MDN, send_mdns),
    "MDN/parse": Method(MDN, parse_mdns),
}
