"""LIST and LSUB (RFC 9051 §6.3.9; RFC 3501 §6.3.9; RFC 5258).

What is told of a mailbox: whether there are children (RFC 5258 §4), its use (RFC 6154 §2), subscription where it is
asked for, and by return options STATUS (RFC 5819), MYRIGHTS (RFC 8440), METADATA (RFC 9590). Names that are no
mailboxes, or that may not be looked up, stand there only above or as subscriptions. An account that has never had more
than INBOX gets the usual mailboxes now, so that a mail program finds them instead of making its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from posthouse.access.imap.acl import write_rights
from posthouse.access.imap.answers import Bad, Done, No
from posthouse.access.imap.context import Context
from posthouse.access.imap.listing_patterns import compile_patterns, literal_start
from posthouse.access.imap.listing_tree import Entry, Tree, grow_tree, mark_above
from posthouse.access.imap.mailboxes_status import note_items, write_status_of
from posthouse.access.imap.mailboxes_uses import use_of
from posthouse.access.imap.metadata import read_listed, with_use, write_entries
from posthouse.access.imap.place import OTHERS, Place
from posthouse.access.imap.places import list_places
from posthouse.access.imap.usual import is_fresh, make_usual
from posthouse.message.mailbox import AccountId, MailboxId
from posthouse.protocol.imap.commands import List, Lsub
from posthouse.protocol.imap.render import write_mailbox
from posthouse.protocol.imap.values import ListReturn, ListSelect

_SLICE = 200
_MOST_PATTERNS = 100
_ROOT = b'(\\Noselect) "/" ""'
_BASE = (ListSelect.SUBSCRIBED, ListSelect.SPECIAL_USE)

Metadata = dict[tuple[AccountId, MailboxId], dict[str, bytes]]


async def list_mailboxes(context: Context, request: List) -> Done:
    if not request.is_extended and request.patterns == ("",):
        context.write(b"* LIST %b\r\n" % _ROOT)
        return Done("Listed")
    if ListSelect.RECURSIVEMATCH in request.select and not request.select.intersection(_BASE):
        raise Bad("RECURSIVEMATCH needs another selection option")
    note_items(context, request.status)
    tree = await _grow(context, request)
    chosen = _choose(tree, request)
    metadata = await _read_metadata(context, request, chosen)
    for start in range(0, len(chosen), _SLICE):
        for entry in chosen[start : start + _SLICE]:
            context.write(_write_entry(context, request, entry))
            if entry.place is not None and _is_wanted(entry, request.select):
                await _write_more(context, request, entry.place, metadata)
        await context.breathe()
    return Done("Listed")


# -- what there is


async def _grow(context: Context, request: List) -> Tree:
    places, names = await _gather(context, request.reference, request.patterns)
    return grow_tree(places, names if ListSelect.SUBSCRIBED in request.select else ())


async def _gather(context: Context, reference: str, patterns: Sequence[str]) -> tuple[list[Place], list[str]]:
    """Places, and names that are subscribed without being mailboxes of the user."""
    if len(patterns) > _MOST_PATTERNS:
        raise No(f"At most {_MOST_PATTERNS} patterns", b"LIMIT")
    with_shared = any(_may_be_shared(reference + pattern) for pattern in patterns)
    places = await list_places(context, with_shared=with_shared)
    if is_fresh(context, places):
        await make_usual(context)
        places = await list_places(context, with_shared=with_shared)
    return places, await context.desk.store.mailboxes.subscribed_names(context.account)


def _may_be_shared(pattern: str) -> bool:
    start = literal_start(pattern)
    return start.startswith(OTHERS) or OTHERS.startswith(start)


# -- what is chosen


def _is_wanted(entry: Entry, select: frozenset[ListSelect]) -> bool:
    if ListSelect.SUBSCRIBED in select and not entry.is_subscribed:
        return False
    return ListSelect.SPECIAL_USE not in select or (entry.place is not None and use_of(entry.place) is not None)


def _choose(tree: Tree, request: List) -> list[Entry]:
    select = request.select
    matches = compile_patterns([request.reference + pattern for pattern in request.patterns])
    is_recursive = ListSelect.RECURSIVEMATCH in select
    if is_recursive:
        mark_above(tree, lambda entry: _is_wanted(entry, select))
    return [
        entry
        for entry in tree.values()
        if (_is_wanted(entry, select) or (is_recursive and entry.has_chosen))
        and _is_shown(entry)
        and matches(entry.name)
    ]


def _is_shown(entry: Entry) -> bool:
    return entry.place is not None or entry.is_subscribed or entry.has_children or entry.has_chosen


# -- what is told


def _write_entry(context: Context, request: List, entry: Entry) -> bytes:
    attributes: list[str] = []
    if entry.place is None:
        attributes.append("\\NonExistent" if request.is_extended or context.rev2 else "\\Noselect")
    elif not entry.place.may("r"):
        attributes.append("\\Noselect")
    attributes.append("\\HasChildren" if entry.has_children else "\\HasNoChildren")
    use = None if entry.place is None else use_of(entry.place)
    if use is not None:
        attributes.append(use)
    if entry.is_subscribed and (ListSelect.SUBSCRIBED in request.select or ListReturn.SUBSCRIBED in request.returns):
        attributes.append("\\Subscribed")
    extended = b""
    if ListSelect.RECURSIVEMATCH in request.select and entry.has_chosen:
        criteria = " ".join(f'"{each.value}"' for each in _BASE if each in request.select)
        extended = f' ("CHILDINFO" ({criteria}))'.encode("ascii")
    return _write_line(context, b"LIST", " ".join(attributes), entry.name) + extended + b"\r\n"


def _write_line(context: Context, kind: bytes, attributes: str, name: str) -> bytes:
    written = write_mailbox(name, is_utf8=context.writes_utf8)
    return b'* %b (%b) "/" %b' % (kind, attributes.encode("ascii"), written)


async def _write_more(context: Context, request: List, place: Place, metadata: Metadata) -> None:
    if request.status and place.may("r"):
        context.write(await write_status_of(context, place, request.status))
    if ListReturn.MYRIGHTS in request.returns:
        name = write_mailbox(place.name, is_utf8=context.writes_utf8)
        context.write(b"* MYRIGHTS %b %b\r\n" % (name, write_rights(place.rights)))
    if request.metadata and place.may("r"):
        entries = with_use(place, metadata.get((place.owner, place.mailbox.id), {}))
        context.write(write_entries(context, place.name, {name: entries.get(name) for name in request.metadata}))


async def _read_metadata(context: Context, request: List, chosen: Iterable[Entry]) -> Metadata:
    if not request.metadata:
        return {}
    return await read_listed(context, [entry.place for entry in chosen if entry.place is not None])


# -- LSUB


async def list_subscribed(context: Context, request: Lsub) -> Done:
    """A name above subscribed ones is \\Noselect where the pattern ends with "%" (RFC 3501 §6.3.9)."""
    if not request.pattern:
        context.write(b"* LSUB %b\r\n" % _ROOT)
        return Done("Listed")
    places, names = await _gather(context, request.reference, (request.pattern,))
    tree = grow_tree(places, names)
    mark_above(tree, lambda entry: entry.is_subscribed)
    matches = compile_patterns([request.reference + request.pattern])
    with_parents = request.pattern.endswith("%")
    for entry in tree.values():
        if (entry.is_subscribed or (with_parents and entry.has_chosen)) and matches(entry.name):
            attributes = "" if entry.is_subscribed else "\\Noselect"
            context.write(_write_line(context, b"LSUB", attributes, entry.name) + b"\r\n")
    return Done("Listed")
