"""Searches that go on: RETURN (UPDATE) tells what comes into a result and what leaves it (RFC 5267 §4.3).

A context lives as long as its mailbox is selected, or until CANCELUPDATE. It is kept as the UIDs the client knows of
it. Of what is new or changed only that is searched again. What was expunged leaves before its EXPUNGE, what is new
comes after its EXISTS, so that every number means something (RFC 5267 §4.3.3, §4.3.4).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence

from posthouse.access.imap.answers import DONE, EXPECTED, Bad, Done
from posthouse.access.imap.context import Context
from posthouse.access.imap.searching_keys import Program
from posthouse.access.imap.watched import Watched
from posthouse.message.mailbox import UidSet
from posthouse.message.search import And, SearchKey, SortBy, Uids
from posthouse.ms.snapshots import Difference
from posthouse.ms.uidsets import contains, from_list
from posthouse.protocol.imap.commands import CancelUpdate
from posthouse.protocol.imap.render import write_status, write_uids

_MAX_CONTEXTS = 16
_MAX_RESULTS = 250_000  # of all contexts of a session: a megabyte


def refuse_reuse(context: Context) -> None:
    """Raises Bad for a tag that updates would be told by (RFC 5267 §4.3)."""
    if context.tag in context.mailbox.contexts:
        raise Bad("That tag is in use", b"CLIENTBUG")


def begin_context(
    context: Context, program: Program, by: Sequence[SortBy], uids: Sequence[int], *, is_uid: bool
) -> None:
    contexts = context.mailbox.contexts
    kept = sum(len(watched.results) for watched in contexts.values())
    if len(contexts) >= _MAX_CONTEXTS or kept + len(uids) > _MAX_RESULTS:
        tag = context.tag.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        context.write(write_status(b"*", b"NO", "Too much to be watched", b'NOUPDATE "%b"' % tag))
        return
    contexts[context.tag] = Watched(context.tag, program.key, by, uids, is_uid=is_uid)


async def cancel_update(context: Context, request: CancelUpdate) -> Done:
    for tag in request.tags:
        context.mailbox.contexts.pop(tag, None)
    return DONE


# -- what is told


def tell_leaving(context: Context, went: UidSet) -> None:
    """Before the client hears that they were expunged."""
    if went:
        for watched in context.mailbox.contexts.values():
            _take_out(context, watched, lambda uid: contains(went, uid))


async def tell_updates(context: Context, difference: Difference) -> None:
    """After the client has heard of what came and what changed."""
    view = context.mailbox.view
    places = (*difference.changed, *range(difference.came, len(view.uids)))
    if places:
        asked = from_list(view.uids[place] for place in places)
        for watched in list(context.mailbox.contexts.values()):
            await _search_again(context, watched, asked)


async def _search_again(context: Context, watched: Watched, asked: UidSet) -> None:
    try:
        matching = set(await _search(context, And((Uids(asked), watched.key)), ()))
    except EXPECTED:  # looked at again with the next news: what it could have told is lost then
        context.mailbox.contexts.pop(watched.tag, None)
        return
    _take_out(context, watched, lambda uid: contains(asked, uid) and uid not in matching)
    fresh = matching.difference(watched.results)
    if not fresh:
        return
    if not watched.by:
        _write(context, watched, b"ADDTO", b"0 %b" % write_uids(from_list(_number(context, watched, fresh))))
        watched.results = array("I", sorted(fresh.union(watched.results)))
        return
    order = await _search(context, Uids(from_list(fresh.union(watched.results))), watched.by)
    pairs = [(at, uid) for at, uid in enumerate(order, 1) if uid in fresh]
    numbers = _number(context, watched, [uid for _, uid in pairs])
    told = [b"%d %d" % (at, number) for (at, _), number in zip(pairs, numbers, strict=True)]
    _write(context, watched, b"ADDTO", b" ".join(told))
    watched.results = array("I", order)


async def _search(context: Context, key: SearchKey, by: Sequence[SortBy]) -> Sequence[int]:
    place = context.mailbox.place
    found = await context.desk.store.search.search(place.owner, key, place.mailbox.id, by, place.viewer)
    return found.uids


def _take_out(context: Context, watched: Watched, leaves: Callable[[int], bool]) -> None:
    """Those of a SORT from the last place up, so that each place is right when it is read."""
    gone = [at for at, uid in enumerate(watched.results) if leaves(uid)]
    if not gone:
        return
    numbers = _number(context, watched, [watched.results[at] for at in gone])
    if watched.by:
        told = [b"%d %d" % (at + 1, number) for at, number in zip(reversed(gone), reversed(numbers), strict=True)]
        _write(context, watched, b"REMOVEFROM", b" ".join(told))
    else:
        _write(context, watched, b"REMOVEFROM", b"0 %b" % write_uids(from_list(numbers)))
    leaving = set(gone)
    watched.results = array("I", [uid for at, uid in enumerate(watched.results) if at not in leaving])


def _number(context: Context, watched: Watched, uids: Iterable[int]) -> list[int]:
    return list(uids) if watched.is_uid else [context.mailbox.sequence_of(uid) for uid in uids]


def _write(context: Context, watched: Watched, item: bytes, pairs: bytes) -> None:
    tag = watched.tag.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    context.write(b'* ESEARCH (TAG "%b")%b %b (%b)\r\n' % (tag, b" UID" if watched.is_uid else b"", item, pairs))
