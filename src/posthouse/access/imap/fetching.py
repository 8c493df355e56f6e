"""FETCH and UID FETCH (RFC 9051 §6.4.5), with CHANGEDSINCE and VANISHED (RFC 7162 §3.1.4.1, §3.2.6), PARTIAL (RFC 9394
§3.2), MESSAGELIMIT (RFC 9738 §3.1), UIDFETCH (RFC 9586 §3.3).

A command is worked on in slices; between them others get their turn, and a slow client is waited for. \\Seen is set
once for the whole command, before the data, and told in the same responses. Messages that another session expunged and
this client still counts are passed over, with EXPUNGEISSUED at the end (RFC 5530 §3).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from posthouse.access.imap.answers import Bad, Done, No
from posthouse.access.imap.context import Context
from posthouse.access.imap.fetching_bodies import Told, read_headers, write_sections
from posthouse.access.imap.fetching_items import Batch, Plan, compile_plan, write_lines
from posthouse.access.imap.keywords import permanent_flags
from posthouse.access.imap.message_limit import cut_to_limit
from posthouse.access.imap.updates import OwnFlags, tell_news
from posthouse.message.mailbox import ModSeq, UidRange, UidSet
from posthouse.ms.uidsets import from_sorted, intersect, subtract
from posthouse.ports.store import FlagEdit, FlagMode
from posthouse.ports.store_wire import WireColumn
from posthouse.protocol.imap.commands import Fetch
from posthouse.protocol.imap.render import write_vanished
from posthouse.protocol.imap.values import Attribute, Binary, FetchItem, PartialRange, Section

SLICE = 500
_SEEN = 1
_SET_SEEN = FlagEdit(FlagMode.ADD, frozenset({"\\Seen"}))
_MODSEQ_MAX = 2**62


async def fetch(context: Context, request: Fetch) -> Done:
    _check(context, request)
    selected = context.mailbox
    asked = selected.uids_of(request.messages, is_uid=request.is_uid)
    chosen, code = cut_to_limit(context, _choose(context, request, asked))
    is_told = await _mark_seen(context, request.items, chosen)
    plan = compile_plan(context, _complete(context, request, is_told=is_told))
    if request.vanished:
        await _tell_vanished(context, asked, request.changed_since or 0)
    told, is_decoded = 0, True
    for places in _cut(context, chosen):
        done = await _write_slice(context, plan, places)
        told, is_decoded = told + done.messages, is_decoded and done.is_decoded
        context.tell_progress(told, len(chosen))
        await context.breathe()
    if not is_decoded:
        raise No("The encoding of a part is unknown here", b"UNKNOWN-CTE")  # RFC 3516 §4.3
    if told < len(chosen):
        return Done("Some of the messages have been expunged", code or b"EXPUNGEISSUED")
    return Done("Fetched", code)


def _check(context: Context, request: Fetch) -> None:
    """Raises Bad."""
    if request.vanished and not (context.qresync and request.is_uid and request.changed_since is not None):
        raise Bad("VANISHED is for UID FETCH with CHANGEDSINCE, once QRESYNC is enabled")
    if request.changed_since is not None or Attribute.MODSEQ in request.items:
        context.condstore = True  # RFC 7162 §3.1


# -- which messages


def _choose(context: Context, request: Fetch, asked: UidSet) -> Sequence[int]:
    """UIDs, ascending."""
    selected = context.mailbox
    view = selected.view
    slices = selected.slices_of(asked)
    since = request.changed_since
    uids: Sequence[int]
    if since is not None:
        uids = [view.uids[at] for part in slices for at in range(part.start, part.stop) if view.modseqs[at] > since]
    elif len(slices) == 1:
        uids = view.uids[slices[0]]
    else:
        uids = [uid for part in slices for uid in view.uids[part]]
    return uids if request.partial is None else _take_partial(uids, request.partial)


def _take_partial(uids: Sequence[int], partial: PartialRange) -> Sequence[int]:
    first, last = sorted((partial.first, partial.last))
    if first > 0:
        return uids[first - 1 : last]
    count = len(uids)
    return uids[max(count + first, 0) : max(count + last + 1, 0)]


def _cut(context: Context, uids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Their places in the client's numbering, in slices."""
    known = context.mailbox.view.uids
    for start in range(0, len(uids), SLICE):
        part = uids[start : start + SLICE]
        first, last = bisect_left(known, part[0]), bisect_left(known, part[-1])
        if last - first == len(part) - 1:
            yield range(first, last + 1)
        else:
            yield [bisect_left(known, uid, first, last + 1) for uid in part]


async def _tell_vanished(context: Context, asked: UidSet, since: int) -> None:
    """What went and would not be told as news: it comes before any FETCH (RFC 7162 §3.2.6)."""
    selected = context.mailbox
    place, view = selected.place, selected.view
    modseq = ModSeq(min(since, _MODSEQ_MAX))
    change = await context.desk.store.changes.in_mailbox(place.owner, place.mailbox.id, modseq, place.viewer)
    gone = change.expunged if change.is_complete else (UidRange(1, view.uidnext - 1),) if view.uidnext > 1 else ()
    told = subtract(intersect(gone, asked), from_sorted(view.uids))
    if told:
        context.write(write_vanished(told, is_earlier=True))


# -- which items


def _complete(context: Context, request: Fetch, *, is_told: bool) -> list[FetchItem]:
    """What was asked for, and what belongs to it."""
    items = list(request.items)
    if (request.is_uid or (is_told and context.qresync)) and not context.uid_only:  # RFC 7162 §3.2.4
        items.insert(0, Attribute.UID)
    if is_told:
        items.append(Attribute.FLAGS)
    if request.changed_since is not None or (context.condstore and Attribute.FLAGS in items):
        items.append(Attribute.MODSEQ)
    return list(dict.fromkeys(items))


async def _mark_seen(context: Context, items: Sequence[FetchItem], uids: Sequence[int]) -> bool:
    """True: \\Seen of some has changed, and is to be told with what was asked for."""
    selected = context.mailbox
    if not any(sets_seen(item) for item in items) or "\\Seen" not in permanent_flags(selected):
        return False
    view, place = selected.view, selected.place
    fresh = from_sorted(uid for uid in uids if not view.flags[bisect_left(view.uids, uid)] & _SEEN)
    if not fresh:
        return False
    messages = context.desk.store.messages
    result = await messages.set_flags(place.owner, place.mailbox.id, fresh, _SET_SEEN, place.viewer)
    if not result.changed:
        return False
    own = OwnFlags(result.changed, result.modseq, lambda flags: flags | _SEEN, is_told=True)
    await tell_news(context, may_expunge=False, own=own)
    return True


def sets_seen(item: FetchItem) -> bool:
    if isinstance(item, Section):
        return not item.is_peek
    return isinstance(item, Binary) and not (item.is_peek or item.is_size)


# -- the responses


async def _write_slice(context: Context, plan: Plan, places: Sequence[int]) -> Told:
    batch = await _read_batch(context, plan, places)
    lines = write_lines(plan, batch)
    if plan.wanted:
        return await write_sections(context, plan.wanted, batch.uids, lines)
    context.write(b"".join(lines))
    return Told(len(lines))


async def _read_batch(context: Context, plan: Plan, places: Sequence[int]) -> Batch:
    view = context.mailbox.view
    if 0 in _take(view.modseqs, places):  # gone before the arrays were read (sparse.py)
        places = [at for at in places if view.modseqs[at]]
    uids, flags, modseqs = (_take(array, places) for array in (view.uids, view.flags, view.modseqs))
    before = context.mailbox.before + 1
    numbers = uids if context.uid_only else [at + before for at in places]
    if not plan.columns:
        return Batch(numbers, uids, flags, modseqs, {})
    place, messages = context.mailbox.place, context.desk.store.messages
    rows = await messages.wire(place.owner, place.mailbox.id, from_sorted(uids), plan.columns)
    if len(rows) < len(uids):
        there = {row[0] for row in rows}
        kept = [index for index, uid in enumerate(uids) if uid in there]
        numbers, uids, flags, modseqs = ([column[at] for at in kept] for column in (numbers, uids, flags, modseqs))
    columns: dict[WireColumn, Sequence[Any]] = dict.fromkeys(plan.columns, ())
    columns.update(zip(plan.columns, list(zip(*rows, strict=True))[1:], strict=False))
    heads = columns.get(WireColumn.HEAD)
    if heads is not None and not all(heads):
        columns[WireColumn.HEAD] = await _read_heads(context, uids, heads)
    return Batch(numbers, uids, flags, modseqs, columns)


def _take(array: Sequence[int], places: Sequence[int]) -> Sequence[int]:
    if isinstance(places, range):
        return array[places.start : places.stop]
    return [array[at] for at in places]


async def _read_heads(context: Context, uids: Sequence[int], heads: Sequence[bytes]) -> list[bytes]:
    """Where the fields are not kept apart (message/parse.py MAX_HEAD) the whole header takes their place."""
    missing = [uid for uid, head in zip(uids, heads, strict=True) if not head]
    headers = await read_headers(context, missing)
    return [head or headers.get(uid, b"") for uid, head in zip(uids, heads, strict=True)]
