"""STORE and UID STORE (RFC 9051 §6.4.6), with UNCHANGEDSINCE (RFC 7162 §3.1.3) and MESSAGELIMIT (RFC 9738 §3.1).

Rights (RFC 4314 §4): \\Seen needs `s`, \\Deleted `t`, all others `w`; readers that have their own \\Seen need none.
Setting all flags at once touches those alone that the user may touch. A keyword that is new is told before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from posthouse.access.imap.answers import Bad, Done, No
from posthouse.access.imap.context import Context
from posthouse.access.imap.fetching_items import Batch, compile_plan, write_lines
from posthouse.access.imap.keywords import learn_keywords
from posthouse.access.imap.message_limit import cut_to_limit
from posthouse.access.imap.place import Place
from posthouse.access.imap.updates import OwnFlags, tell_news
from posthouse.message.mailbox import SYSTEM_FLAGS, KeywordTable, ModSeq, UidRange, UidSet
from posthouse.ms.uidsets import EMPTY, from_sorted, join_ranges, select, subtract, unite
from posthouse.ports.store import FlagEdit, FlagMode
from posthouse.protocol.imap.commands import Store
from posthouse.protocol.imap.render import write_status, write_uids
from posthouse.protocol.imap.values import Attribute, StoreMode

_MODES = {StoreMode.ADD: FlagMode.ADD, StoreMode.REMOVE: FlagMode.REMOVE, StoreMode.SET: FlagMode.REPLACE}
_MODSEQ_MAX = 2**62
_SLICE = 2_000


async def store(context: Context, request: Store) -> Done:
    selected = context.must_be_writable()
    edits = _make_edits(selected.place, selected.keywords, request)
    asked = selected.uids_of(request.messages, is_uid=request.is_uid)
    if request.unchanged_since is not None:
        context.condstore = True
    chosen, code = cut_to_limit(context, select(selected.view.uids, asked))
    if not chosen:
        return Done("There was nothing to change")
    changed, modified, modseq = await _apply(context, from_sorted(chosen), edits)
    if any(selected.keywords.bit_of(flag) is None for edit in edits for flag in edit.flags):
        await learn_keywords(context)
    expect = _foresee(edits, selected.keywords)
    own = OwnFlags(changed, modseq, expect, is_told=not request.is_silent)
    await tell_news(context, may_expunge=request.is_uid, own=own)
    if not request.is_silent:
        await _tell_all(context, chosen, is_uid=request.is_uid)
    if not modified:
        return Done("Changed", code)
    if code:
        context.write(write_status(b"*", b"OK", "Not all were looked at", code))
    return Done("Some had been changed", b"MODIFIED %b" % _write_modified(context, modified, is_uid=request.is_uid))


# -- what to do


def _make_edits(place: Place, keywords: KeywordTable, request: Store) -> list[FlagEdit]:
    """Raises Bad; No when there is no flag among them that the user may touch (RFC 4314 §4)."""
    since = None if request.unchanged_since is None else ModSeq(min(request.unchanged_since, _MODSEQ_MAX))
    given = frozenset(request.flags)
    if any(flag.startswith("\\") and flag not in SYSTEM_FLAGS for flag in given):
        nope = min(flag for flag in given if flag.startswith("\\") and flag not in SYSTEM_FLAGS)
        raise Bad(f"There is no system flag {nope}")  # \Recent too is nothing to be set
    allowed = frozenset(flag for flag in given if _may_touch(place, flag))
    if given and not allowed:
        raise No("You may not change such flags in this mailbox", b"NOPERM")
    if request.mode is not StoreMode.SET:
        return [FlagEdit(_MODES[request.mode], allowed, since)]
    if place.may("tw") and _may_touch(place, "\\Seen"):
        return [FlagEdit(FlagMode.REPLACE, given, since)]
    known = (*SYSTEM_FLAGS, *(name for name in keywords.names if name))
    folded = {flag.lower() for flag in given}
    others = frozenset(flag for flag in known if flag.lower() not in folded and _may_touch(place, flag))
    if not others and not allowed:
        raise No("You may not change flags in this mailbox", b"NOPERM")
    return [FlagEdit(FlagMode.ADD, allowed, since), FlagEdit(FlagMode.REMOVE, others)]


def _may_touch(place: Place, flag: str) -> bool:
    if flag == "\\Seen":
        return place.may("s") or place.viewer is not None
    return place.may("t" if flag == "\\Deleted" else "w")


async def _apply(context: Context, uids: UidSet, edits: Sequence[FlagEdit]) -> tuple[UidSet, UidSet, ModSeq]:
    """What changed, what failed UNCHANGEDSINCE, and the modseq of the last change."""
    place, messages = context.mailbox.place, context.desk.store.messages
    changed, modified, modseq = EMPTY, EMPTY, ModSeq(0)
    for edit in edits:
        work = messages.set_flags(place.owner, place.mailbox.id, uids, edit, place.viewer)
        result = await context.wait_patiently(work)
        uids = subtract(uids, result.modified)
        changed, modified, modseq = unite(changed, result.changed), unite(modified, result.modified), result.modseq
    return changed, modified, modseq


def _foresee(edits: Sequence[FlagEdit], keywords: KeywordTable) -> Callable[[int], int]:
    """What flags will be, by what they were."""
    steps = [(edit.mode, sum({keywords.bit_of(flag) or 0 for flag in edit.flags})) for edit in edits]

    def expect(flags: int) -> int:
        for mode, bits in steps:
            match mode:
                case FlagMode.ADD:
                    flags |= bits
                case FlagMode.REMOVE:
                    flags &= ~bits
                case FlagMode.REPLACE:
                    flags = bits
        return flags

    return expect


# -- what is told


async def _tell_all(context: Context, uids: Sequence[int], *, is_uid: bool) -> None:
    """Of every message of the command, whether it changed or not."""
    items = [Attribute.UID] if (is_uid or context.qresync) and not context.uid_only else []  # RFC 7162 §3.2.4
    items += [Attribute.FLAGS, Attribute.MODSEQ] if context.condstore else [Attribute.FLAGS]
    plan = compile_plan(context, items)
    view = context.mailbox.view
    uids = uids if 0 not in view.modseqs else [uid for uid in uids if _is_known(context, uid)]
    for part in context.mailbox.slices_of(from_sorted(uids)):
        for start in range(part.start, part.stop, _SLICE):
            stop = min(start + _SLICE, part.stop)
            known = view.uids[start:stop]
            numbers = known if context.uid_only else range(start + 1, stop + 1)
            batch = Batch(numbers, known, view.flags[start:stop], view.modseqs[start:stop], {})
            context.write(b"".join(write_lines(plan, batch)))
            await context.breathe()


def _is_known(context: Context, uid: int) -> bool:
    """Not gone before the arrays were read (sparse.py)."""
    return context.mailbox.view.modseqs[context.mailbox.sequence_of(uid) - 1] > 0


def _write_modified(context: Context, modified: UidSet, *, is_uid: bool) -> bytes:
    if is_uid:
        return write_uids(modified)
    slices = context.mailbox.slices_of(modified)
    return write_uids(join_ranges(UidRange(part.start + 1, part.stop) for part in slices))
