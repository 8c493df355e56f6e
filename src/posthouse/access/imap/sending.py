"""Sending by putting a message into the Outbox, by UID SUBMIT (draft-kundrat-imap-submit), and the rules of both.

What goes into the Outbox is never stored there: it is sent, and its copy is in Sent. Refused: tagged NO, nothing is
stored, the source is untouched; the text begins with the enhanced code and names the address at fault. What was not
sent (again) stays where it lies, even by MOVE. What waits in Scheduled is sent now by being put into the Outbox. There
is no APPENDUID: the copy in Sent is not what the client put anywhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from posthouse.access.imap.answers import Bad, Done, No
from posthouse.access.imap.context import Context
from posthouse.access.imap.place import OTHERS, Place
from posthouse.message.instant import Instant, format_rfc3339
from posthouse.message.mailbox import ROLE_NAMES, EmailId, ModSeq, Role, UidSet
from posthouse.ms.uidsets import count, from_list
from posthouse.ports.sending import SendRefused, SentCopy, WantedEnvelope
from posthouse.ports.store import EmailRow, Fields, FlagEdit, FlagMode, FlagResult
from posthouse.protocol.imap.commands import UidSubmit

_MOST = 20  # messages of one command
_REPEATED = "Sent before, not sent again"
_PENDING, _SUBMITTED = "$SubmitPending", "$Submitted"


class Outcome(NamedTuple):
    """`going`: UIDs of the selected mailbox whose place is taken by the copy in Sent."""

    done: Done
    going: UidSet = ()


def is_outbox(context: Context, name: str) -> bool:
    return name == context.desk.settings.outbox


def is_like_outbox(context: Context, name: str) -> bool:
    """A mailbox at the top that people would take for the Outbox."""
    return name.lower() == context.desk.settings.outbox.lower()


def refuse_other_outbox(context: Context, parts: Sequence[str]) -> None:
    """Mail put into somebody else's Outbox, or into one that is only called so, would lie there. Raises No."""
    path = parts[2:] if parts[0] == OTHERS else parts
    if len(path) == 1 and is_like_outbox(context, path[0]):
        outbox = context.desk.settings.outbox
        raise No(f'Nothing would be sent from there: put it into your own "{outbox}"', b"CANNOT")


async def send_all(context: Context, messages: Sequence[bytes]) -> Done:
    """By the Outbox. Raises No."""
    return _say(await _send(context, messages, ()))


async def _send(context: Context, messages: Sequence[bytes], emails: Sequence[EmailId]) -> list[SentCopy]:
    try:
        return await context.desk.sending.send(context.user, messages, context.wire.peer.address, emails)
    except SendRefused as refusal:
        raise _refuse(refusal) from None


def _say(sent: Sequence[SentCopy], *, is_move: bool = False) -> Done:
    repeats = sum(copy.is_repeat for copy in sent)
    wait = max(copy.send_at for copy in sent)
    text = f"Waits in Scheduled until {format_rfc3339(Instant(wait))}" if wait else "Sent"
    if repeats == len(sent):
        text = _REPEATED if not wait else f"Submitted before, not sent twice: {text[0].lower()}{text[1:]}"
    elif repeats:
        text += f", but {repeats} that were sent before"
    return Done(f"{text}; stays here what is not sent now" if repeats and is_move else text)


async def send_from(context: Context, uids: UidSet, *, is_move: bool = False) -> Outcome:
    """Messages of the selected mailbox that are copied or moved into the Outbox."""
    if not context.mailbox.slices_of(uids):
        return Outcome(Done("There was nothing to send"))
    rows, messages = await _read(context, uids)
    sent = await _send(context, messages, _own(context, rows))
    context.note_change()
    going = [row.placement.uid for row, copy in zip(rows, sent, strict=True) if row.placement and _goes(copy)]
    return Outcome(_say(sent, is_move=is_move), from_list(going))


async def send_instead(context: Context, uids: UidSet, octets: bytes) -> Outcome:
    """Of REPLACE: the same message is the one that lies there."""
    rows, messages = await _read(context, uids)
    sent = await _send(context, [octets], _own(context, rows) if messages == [octets] else ())
    context.note_change()
    return Outcome(_say(sent, is_move=True), uids if _goes(sent[0]) else ())


def _own(context: Context, rows: Sequence[EmailRow]) -> list[EmailId]:
    return [row.email for row in rows] if context.mailbox.place.viewer is None else []


def _goes(copy: SentCopy) -> bool:
    return not copy.is_repeat and not copy.is_released


async def _read(context: Context, uids: UidSet) -> tuple[list[EmailRow], list[bytes]]:
    selected = context.mailbox
    if sum(part.stop - part.start for part in selected.slices_of(uids)) > _MOST:
        raise No(f"5.7.1 The Outbox takes {_MOST} messages at a time, nothing was sent", b"LIMIT")
    place, store = selected.place, context.desk.store
    rows = await store.messages.load(place.owner, place.mailbox.id, uids, Fields.NONE, place.viewer)
    octets = await store.blobs.read_many(place.owner, [row.email for row in rows])
    found = [message for message in octets if message is not None]
    if len(found) != len(octets) or not found:
        raise No("A message has gone in the meantime, nothing was sent", b"EXPUNGEISSUED")
    if place.mailbox.role is Role.SCHEDULED and place.viewer is None:  # COPY of what is marked already
        undelete = FlagEdit(FlagMode.REMOVE, frozenset({"\\Deleted"}))
        await store.messages.set_flags(place.owner, place.mailbox.id, uids, undelete)
    return rows, found


def _refuse(refusal: SendRefused) -> No:
    if refusal.is_race:
        return _race()
    if refusal.is_limit:
        return No(refusal.text, b"LIMIT")
    if refusal.is_policy:
        return No(refusal.text, b"POLICYDENIED")
    return No(refusal.text, b"UNAVAILABLE" if refusal.is_temporary else b"")


# -- Scheduled


def is_scheduled(place: Place) -> bool:
    """Also one that is only called so: nothing would go out from it."""
    box = place.mailbox
    return box.role is Role.SCHEDULED or (box.parent is None and is_name_of_scheduled(box.name))


def is_name_of_scheduled(name: str) -> bool:
    return name.lower() == ROLE_NAMES[Role.SCHEDULED].lower()


@contextlib.asynccontextmanager
async def removing(context: Context, place: Place) -> AsyncIterator[None]:
    """While messages leave the mailbox: from Scheduled they are not sent, and that is traced."""
    if place.mailbox.role is not Role.SCHEDULED:
        yield
        return
    since = await context.desk.store.changes.modseq(place.owner)
    yield
    await context.desk.sending.note_removed(place.owner, since)


# -- UID SUBMIT


async def submit(context: Context, request: UidSubmit) -> Done:
    """$SubmitPending while it is being sent, then $Submitted; two that submit the same: SUBMISSIONRACE for one."""
    selected = context.must_be_writable()
    uids = selected.uids_of(request.messages, is_uid=True)
    if count(uids) != 1:
        raise Bad("One message at a time")
    email, flags, modseq = await _find(context, uids)
    if _SUBMITTED.lower() in flags:
        raise _race()
    envelope = WantedEnvelope(request.sender, request.recipients, request.options)
    is_left = _PENDING.lower() in flags  # by a crash: what was sent then is known by its key
    if not is_left and (await _mark(context, uids, FlagMode.ADD, _PENDING, modseq)).modified:
        raise _race()
    try:
        peer = context.wire.peer.address
        copy = await context.desk.sending.send_stored(context.user, email, envelope, peer, files=True)
    except SendRefused as refusal:
        if not refusal.is_race:
            await _mark(context, uids, FlagMode.REMOVE, _PENDING)
        raise _refuse(refusal) from None
    await _mark(context, uids, FlagMode.ADD, _SUBMITTED)
    await _mark(context, uids, FlagMode.REMOVE, _PENDING)
    return _say([copy]) if copy.is_repeat or copy.send_at else Done("Submitted")


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
