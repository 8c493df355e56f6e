"""What others did to the selected mailbox, told to the client: the difference of two snapshots, rendered in one place.

NOOP, IDLE, NOTIFY, QRESYNC and every command that ends tell news by `tell_news` and nothing else. EXPUNGE comes from
the highest number down, so that each number is right when it is read; then EXISTS, then flags. While a command runs
that speaks of sequence numbers, messages that went are kept (RFC 9051 §7.5.1).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from posthouse.access.imap.context import Context
from posthouse.access.imap.contexts import tell_leaving, tell_updates
from posthouse.access.imap.keywords import learn_keywords_of
from posthouse.access.imap.places import renew_rights
from posthouse.access.imap.sparse import fill_view, lose_mailbox, tell_arrivals
from posthouse.message.mailbox import ModSeq, Snapshot, UidSet
from posthouse.ms.snapshots import Difference, compare_snapshots, keep_gone
from posthouse.ms.uidsets import find_slices, subtract
from posthouse.ports.store import NoSuchMailbox
from posthouse.protocol.imap.render import write_exists, write_flags, write_vanished

_SLICE = 2_000


@dataclass(frozen=True, slots=True)
class OwnFlags:
    """Flags that the client has just set itself. `expect`: what it takes flags to be now, by what they were.

    Of placements that have `modseq` and are as expected nothing is told but, where wanted, the modseq; with
    `is_told`, because the command itself tells them, not even that.
    """

    uids: UidSet
    modseq: ModSeq
    expect: Callable[[int], int]
    is_told: bool = False


async def tell_news(
    context: Context, *, may_expunge: bool = True, may_change: bool = True, own: OwnFlags | None = None
) -> None:
    """Bring the client's picture up to date. Without `may_change` flags are told later."""
    selected = context.mailbox
    selected.is_dirty = selected.holds_back = False
    new: Snapshot | None = None
    try:
        place = selected.place = await renew_rights(context, selected.place)
        if selected.unread is not None:
            if await tell_arrivals(context):
                return
            await fill_view(context)
        new = await context.desk.store.messages.snapshot(place.owner, place.mailbox.id, place.viewer)
    except NoSuchMailbox:
        pass  # gone, or not to be read any more
    if context.selected is not selected:
        return
    old = selected.view
    if new is None or new.uidvalidity != old.uidvalidity:
        lose_mailbox(context)
    if new is old:
        return
    difference = compare_snapshots(old, new)
    if difference.went and not may_expunge:
        selected.holds_back = True
        new = keep_gone(old, new)
        difference = compare_snapshots(old, new)
    if difference.changed and not may_change:
        selected.holds_back = True
        new = _keep_flags(old, new, difference.changed)
        difference = replace(difference, changed=())
    await _learn_keywords(context, new, difference)
    tell_leaving(context, difference.went)
    _tell_counts(context, old, new, difference)
    selected.view = new
    known = _find_known(old, new, difference, own) if own is not None else frozenset()
    await _tell_flags(context, difference.changed, known, has_modseqs=context.condstore and not (own and own.is_told))
    if selected.contexts:
        await tell_updates(context, difference)


def _keep_flags(old: Snapshot, new: Snapshot, changed: Sequence[int]) -> Snapshot:
    """`new` with flags as they were; the next comparison finds them changed."""
    flags, modseqs = new.flags[:], new.modseqs[:]
    for at in changed:
        before = bisect_left(old.uids, new.uids[at])
        flags[at], modseqs[at] = old.flags[before], old.modseqs[before]
    return Snapshot(new.uidvalidity, new.uidnext, old.modseq, new.uids, flags, modseqs, new.highest)


def _tell_counts(context: Context, old: Snapshot, new: Snapshot, difference: Difference) -> None:
    if difference.went:
        context.mailbox.saved = _without(context.mailbox.saved, difference.went)
        if context.qresync or context.uid_only:
            context.write(write_vanished(difference.went))
        else:
            slices = context.mailbox.slices_of(difference.went)
            numbers = (number for part in reversed(slices) for number in range(part.stop, part.start, -1))
            context.write(b"".join([b"* %d EXPUNGE\r\n" % number for number in numbers]))
    if difference.came < len(new.uids):
        context.write(write_exists(len(new.uids)))


def _without(saved: UidSet, gone: UidSet) -> UidSet:
    return subtract(saved, gone) if saved else saved


def _find_known(old: Snapshot, new: Snapshot, difference: Difference, own: OwnFlags) -> Set[int]:
    """Places of `new` whose flags the client knows, because it set them."""
    expected = {flags: own.expect(flags) for flags in set(old.flags)}
    known: set[int] = set()
    for part in find_slices(new.uids, own.uids):
        places = range(part.start, part.stop)
        is_untouched = new.modseqs[part].count(own.modseq) == len(places)
        if is_untouched and (own.is_told or _is_foreseen(old, new, part, difference, expected)):
            known.update(places)
            continue
        for at in places:
            was = old.flags[bisect_left(old.uids, new.uids[at])]
            if new.modseqs[at] == own.modseq and (own.is_told or new.flags[at] == expected[was]):
                known.add(at)
    return known


def _is_foreseen(
    old: Snapshot, new: Snapshot, part: slice, difference: Difference, expected: Mapping[int, int]
) -> bool:
    """All of them, looked at together."""
    if difference.went:
        return False
    return array("Q", map(expected.__getitem__, old.flags[part])) == new.flags[part]


async def _tell_flags(context: Context, changed: Sequence[int], known: Set[int], *, has_modseqs: bool) -> None:
    told = changed if has_modseqs or not known else [at for at in changed if at not in known]
    for start in range(0, len(told), _SLICE):
        places = told[start : start + _SLICE]
        context.write(b"".join([write_flag_news(context, at, has_flags=at not in known) for at in places]))
        await context.breathe()


def write_flag_news(context: Context, at: int, *, has_flags: bool = True) -> bytes:
    """An unsolicited FETCH of the message at this place of the view."""
    selected = context.mailbox
    view = selected.view
    uid = view.uids[at]
    items = [] if context.uid_only else [b"UID %d" % uid]
    if has_flags:
        items.append(b"FLAGS %b" % write_flags(selected.keywords.flags_of(view.flags[at])))
    if context.condstore:
        items.append(b"MODSEQ (%d)" % view.modseqs[at])
    if context.uid_only:
        return b"* %d UIDFETCH (%b)\r\n" % (uid, b" ".join(items))
    return b"* %d FETCH (%b)\r\n" % (at + 1, b" ".join(items))


async def _learn_keywords(context: Context, new: Snapshot, difference: Difference) -> None:
    """A keyword that the client has not heard of is told before a message that has it (RFC 9051 §7.3.5)."""
    largest = max(map(new.flags.__getitem__, difference.changed), default=0)
    await learn_keywords_of(context, max(largest, max(new.flags[difference.came :], default=0)))
