"""Sending by putting a message into the Outbox, by UID SUBMIT (draft-kundrat-imap-submit), and the rules of both.

What goes into the Outbox is never stored there: it is sent, and its copy is in Sent. Refused: tagged NO, nothing is
stored, the source is untouched; the text begins with the enhanced code and names the address at fault. The OK names
the copy in Sent only where the client can make use of it, so no APPENDUID is given.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.access.imap.answers import Bad, Done, No
from posthouse.access.imap.context import Context
from posthouse.message.mailbox import EmailId, ModSeq, UidSet
from posthouse.ms.uidsets import count
from posthouse.ports.sending import SendRefused, WantedEnvelope
from posthouse.ports.store import Fields, FlagEdit, FlagMode, FlagResult
from posthouse.protocol.imap.commands import UidSubmit

_MOST = 20  # messages of one command
_PENDING, _SUBMITTED = "$SubmitPending", "$Submitted"


def is_outbox(context: Context, name: str) -> bool:
    return name == context.desk.settings.outbox


async def send_all(context: Context, messages: Sequence[bytes]) -> Done:
    """By the Outbox. Raises No."""
    try:
        sent = await context.desk.sending.send(context.user, messages, context.wire.peer.address)
    except SendRefused as refusal:
        raise _refuse(refusal) from None
    repeats = sum(copy.is_repeat for copy in sent)
    if repeats == len(sent):
        return Done("Sent before, not sent again")
    return Done("Sent" if not repeats else f"Sent, but {repeats} that were sent before")


async def send_from(context: Context, uids: UidSet) -> Done:
    """Messages of the selected mailbox that are copied into the Outbox."""
    return await send_all(context, await _read(context, uids))


async def _read(context: Context, uids: UidSet) -> list[bytes]:
    selected = context.mailbox
    if sum(part.stop - part.start for part in selected.slices_of(uids)) > _MOST:
        raise No(f"5.7.1 The Outbox takes {_MOST} messages at a time, nothing was sent", b"LIMIT")
    place, store = selected.place, context.desk.store
    rows = await store.messages.load(place.owner, place.mailbox.id, uids, Fields.NONE, place.viewer)
    octets = await store.blobs.read_many(place.owner, [row.email for row in rows])
    found = [message for message in octets if message is not None]
    if len(found) != len(octets) or not found:
        raise No("A message has gone in the meantime, nothing was sent", b"EXPUNGEISSUED")
    return found


def _refuse(refusal: SendRefused) -> No:
    if refusal.is_policy:
        return No(refusal.text, b"POLICYDENIED")
    return No(refusal.text, b"UNAVAILABLE" if refusal.is_temporary else b"")


# -- UID SUBMIT


async def submit(context: Context, request: UidSubmit) -> Done:
    """$SubmitPending while it is being sent, then $Submitted; two that submit the same: SUBMISSIONRACE for one."""
    selected = context.must_be_writable()
    uids = selected.uids_of(request.messages, is_uid=True)
    if count(uids) != 1:
        raise Bad("One message at a time")
    email, flags, modseq = await _find(context, uids)
    if _PENDING.lower() in flags or _SUBMITTED.lower() in flags:
        raise _race()
    envelope = WantedEnvelope(request.sender, request.recipients, request.options)
    if (await _mark(context, uids, FlagMode.ADD, _PENDING, modseq)).modified:
        raise _race()
    try:
        await context.desk.sending.send_stored(context.user, email, envelope, context.wire.peer.address)
    except SendRefused as refusal:
        await _mark(context, uids, FlagMode.REMOVE, _PENDING)
        raise _refuse(refusal) from None
    await _mark(context, uids, FlagMode.ADD, _SUBMITTED)
    await _mark(context, uids, FlagMode.REMOVE, _PENDING)
    return Done("Submitted")


def _race() -> No:
    return No("That message was submitted already", b"SUBMISSIONRACE")


async def _find(context: Context, uids: UidSet) -> tuple[EmailId, set[str], ModSeq]:
    place = context.mailbox.place
    messages = context.desk.store.messages
    if place.viewer is not None:
        raise No("Only mail of one's own can be submitted", b"NOPERM")
    rows = await messages.load(place.owner, place.mailbox.id, uids, Fields.NONE)
    if not rows or rows[0].placement is None:
        raise No("There is no such message", b"NONEXISTENT")
    table = await messages.keywords(place.owner)
    placement = rows[0].placement
    return rows[0].email, {name.lower() for name in table.flags_of(placement.flags)}, placement.modseq


async def _mark(
    context: Context, uids: UidSet, mode: FlagMode, flag: str, unchanged_since: ModSeq | None = None
) -> FlagResult:
    place = context.mailbox.place
    edit = FlagEdit(mode, frozenset({flag}), unchanged_since)
    context.mailbox.is_dirty = True
    return await context.desk.store.messages.set_flags(place.owner, place.mailbox.id, uids, edit)
