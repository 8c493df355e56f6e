"""COPY and MOVE (RFC 9051 §6.4.7, §6.4.8; RFC 6851), REPLACE (RFC 8508).

COPY is one transaction: all or none. MOVE is one too within an account; into another account's mailbox the target is
written first. Rights (RFC 4314 §4): `i` where messages go, `t` and `e` where they leave. Messages that another session
has expunged are left out.
"""

from __future__ import annotations

from posthouse.access.imap import sending
from posthouse.access.imap.answers import Done, No
from posthouse.access.imap.context import Context
from posthouse.access.imap.message_limit import cut_to_limit, refuse_beyond_limit
from posthouse.access.imap.updates import tell_news
from posthouse.access.imap.uploading import append_code, assemble, find_target, make_addition, store_additions
from posthouse.message.mailbox import UidSet
from posthouse.ms.uidsets import count, from_sorted, select
from posthouse.ports.store import CopyResult, FlagEdit, FlagMode
from posthouse.protocol.imap.commands import Copy, Move, Replace
from posthouse.protocol.imap.render import write_status, write_uids

_DELETED = FlagEdit(FlagMode.ADD, frozenset({"\\Deleted"}))


async def copy(context: Context, request: Copy) -> Done:
    selected = context.mailbox
    uids = selected.uids_of(request.messages, is_uid=request.is_uid)
    if sending.is_outbox(context, request.mailbox):
        return (await sending.send_from(context, uids)).done
    target = await find_target(context, request.mailbox)
    source = selected.place
    chosen = select(selected.view.uids, uids)
    if not chosen:
        return Done("There was nothing to copy")
    refuse_beyond_limit(context, chosen)
    work = context.desk.store.messages.copy(source.owner, source.mailbox.id, uids, target.owner, target.mailbox.id)
    copied = await context.wait_patiently(work)
    if not copied.source:
        raise No("The messages have gone in the meantime", b"EXPUNGEISSUED")
    return Done("Copied", _copy_code(copied))


async def move(context: Context, request: Move) -> Done:
    """The code comes before the EXPUNGEs, so that a client knows where they went (RFC 6851 §4.3)."""
    selected = context.must_be_writable()
    source = selected.place
    source.need("te")
    uids = selected.uids_of(request.messages, is_uid=request.is_uid)
    if sending.is_outbox(context, request.mailbox):
        done, going = await sending.send_from(context, uids, is_move=True)
        await _expunge(context, going)
        return done
    target = await find_target(context, request.mailbox)
    chosen, code = cut_to_limit(context, select(selected.view.uids, uids))
    if not chosen:
        return Done("There was nothing to move")
    uids = from_sorted(chosen) if code else uids
    work = context.desk.store.messages.move(source.owner, source.mailbox.id, uids, target.owner, target.mailbox.id)
    async with sending.removing(context, source):
        moved = await context.wait_patiently(work)
    if not moved.source:
        raise No("The messages have gone in the meantime", b"EXPUNGEISSUED")
    context.write(write_status(b"*", b"OK", "Moved", _copy_code(moved)))
    await tell_news(context)
    return Done("Moved", code or context.highest_code())


def _copy_code(result: CopyResult) -> bytes:
    """COPYUID (RFC 4315 §3): both sets in the order of what went where."""
    pairs = sorted(zip(result.source, result.target, strict=True))
    target = [new for _, new in pairs]
    if target == sorted(target):
        written = write_uids(from_sorted(target))
    else:
        written = b",".join([b"%d" % uid for uid in target])
    return b"COPYUID %d %b %b" % (result.uidvalidity, write_uids(from_sorted(old for old, _ in pairs)), written)


async def _expunge(context: Context, uids: UidSet) -> None:
    place, messages = context.mailbox.place, context.desk.store.messages
    if uids:
        await messages.set_flags(place.owner, place.mailbox.id, uids, _DELETED, place.viewer)
        async with sending.removing(context, place):
            await messages.expunge(place.owner, place.mailbox.id, uids)
    await tell_news(context)


async def replace(context: Context, request: Replace) -> Done:
    """The new message is stored (or sent) first, then the old one goes: a crash leaves both, never none."""
    selected = context.must_be_writable()
    selected.place.need("te")
    uids = selected.uids_of(request.message, is_uid=request.is_uid)
    if count(uids) != 1 or not selected.slices_of(uids):
        raise No("There is no such message", b"NONEXISTENT")
    if sending.is_outbox(context, request.mailbox):
        done, uids = await sending.send_instead(context, uids, await assemble(context, request.new))
    else:
        target = await find_target(context, request.mailbox)
        made = await make_addition(context, target, request.new)
        code = append_code(await store_additions(context, target, [made]))
        context.write(write_status(b"*", b"OK", "Stored", code))
        done = Done("Replaced")
    await _expunge(context, uids)
    return done
