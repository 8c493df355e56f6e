"""Sections of messages, read and written: small messages many at a time, large ones in pieces, in constant memory.

What is read at once is bounded in octets. Large messages are read piece by piece while the client takes them; only
parts that are to be decoded, and headers that fields are picked from, are held whole. Nothing is held in the store over
a wait. A message that goes while it is written ends the connection: its size has been told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from posthouse.access.imap.answers import EXPECTED
from posthouse.access.imap.context import Context
from posthouse.access.imap.fetching_sections import (
    Facts,
    Wanted,
    hide_nul,
    locate,
    narrow,
    render,
    render_made,
    render_missing,
)
from posthouse.ms.uidsets import from_sorted
from posthouse.ports.access import ConnectionLost
from posthouse.ports.store import Fields, StoreRefusal
from posthouse.ports.store_wire import WireColumn

AT_ONCE = 524_288  # octets of messages that are read together; a larger one comes in pieces
_PIECE = 131_072
_FACTS = (WireColumn.EMAIL, WireColumn.SIZE, WireColumn.PREFIX_SIZE, WireColumn.HEADER_SIZE)

Placed = tuple[int, Facts]


class Told(NamedTuple):
    """How many messages, and whether all that should be decoded was."""

    messages: int
    is_decoded: bool = True


async def write_sections(
    context: Context, wanted: Sequence[Wanted], uids: Sequence[int], lines: Sequence[bytes]
) -> Told:
    """Responses of these messages: `lines` are how they begin. Those that have gone are left out."""
    begins = dict(zip(uids, lines, strict=True))
    count, is_decoded = 0, True
    for group in _group(await _read_facts(context, wanted, uids)):
        if group[0][1].size > AT_ONCE:
            told = await _stream(context, wanted, group[0][1], begins[group[0][0]])
        else:
            told = await _write_group(context, wanted, group, begins)
        count, is_decoded = count + told.messages, is_decoded and told.is_decoded
        await context.breathe()
    return Told(count, is_decoded)


async def read_headers(context: Context, uids: Sequence[int]) -> dict[int, bytes]:
    """Whole headers of messages, by UID."""
    place, blobs = context.mailbox.place, context.desk.store.blobs
    found = await _read_facts(context, (), uids)
    return {uid: await blobs.read(place.owner, facts.email, 0, facts.header) for uid, facts in found}


async def _read_facts(context: Context, wanted: Sequence[Wanted], uids: Sequence[int]) -> list[Placed]:
    place, messages = context.mailbox.place, context.desk.store.messages
    asked = from_sorted(uids)
    if wanted and all(each.is_whole for each in wanted):
        rows = await messages.wire(place.owner, place.mailbox.id, asked, (WireColumn.EMAIL, WireColumn.SIZE))
        return [(uid, Facts(email, size, 0, 0)) for uid, email, size in rows]
    if not any(each.needs_parts for each in wanted):
        rows = await messages.wire(place.owner, place.mailbox.id, asked, _FACTS)
        return [(uid, Facts(email, size, prefix, prefix + header)) for uid, email, size, prefix, header in rows]
    found: list[Placed] = []
    for row in await messages.load(place.owner, place.mailbox.id, asked, Fields.STRUCTURE):
        assert row.placement is not None and row.message is not None
        header = row.prefix_size + row.message.header_size
        found.append((row.placement.uid, Facts(row.email, row.size, row.prefix_size, header, row.message.parts)))
    return found


def _group(placed: Sequence[Placed]) -> Iterator[list[Placed]]:
    """In order; what is too large to be held stands alone."""
    group: list[Placed] = []
    octets = 0
    for each in placed:
        size = each[1].size
        if group and octets + size > AT_ONCE:
            yield group
            group, octets = [], 0
        group.append(each)
        octets += size
    if group:
        yield group


# -- small ones


async def _write_group(
    context: Context, wanted: Sequence[Wanted], group: Sequence[Placed], begins: dict[int, bytes]
) -> Told:
    place, store = context.mailbox.place, context.desk.store
    asked = from_sorted([uid for uid, _ in group])
    rows = await store.messages.wire(place.owner, place.mailbox.id, asked, (WireColumn.OCTETS,))
    octets_of: dict[int, bytes | None] = dict(rows)
    pieces: list[bytes] = []
    count, is_decoded = 0, True
    is_whole = len(wanted) == 1 and wanted[0].is_whole
    for uid, facts in group:
        if uid not in octets_of:
            continue
        octets = octets_of[uid]
        if octets is None:  # in a file
            octets = await store.blobs.read(place.owner, facts.email)
        count += 1
        if is_whole:
            begin = b"%b%b {%d}\r\n" % (_lead(begins[uid]), wanted[0].label, len(octets))
            pieces += (begin, hide_nul(octets), b")\r\n")
            continue
        items = [render(each, facts, octets) for each in wanted]
        is_decoded = is_decoded and None not in items
        _add_response(pieces, begins[uid], items)
    context.write(b"".join(pieces))
    return Told(count, is_decoded)


def _add_response(pieces: list[bytes], begin: bytes, items: Sequence[bytes | None]) -> None:
    lead = _lead(begin)
    for item in items:
        if item is not None:
            pieces += (lead, item)
            lead = b" "
    if lead == b" ":
        pieces.append(b")\r\n")
    elif lead != begin:
        pieces += (begin, b")\r\n")


def _lead(begin: bytes) -> bytes:
    """What stands before the first section; the same as `begin` where nothing stands there yet."""
    return begin if begin.endswith(b"(") else begin + b" "


# -- large ones


async def _stream(context: Context, wanted: Sequence[Wanted], facts: Facts, begin: bytes) -> Told:
    place, blobs = context.mailbox.place, context.desk.store.blobs
    try:
        await blobs.read(place.owner, facts.email, 0, 1)
    except StoreRefusal:
        return Told(0)
    lead, is_decoded = _lead(begin), True
    try:
        for each in wanted:
            if await _write_in_turn(context, each, facts, lead):
                lead = b" "
            else:
                is_decoded = False
    except EXPECTED as error:
        raise ConnectionLost from error
    if lead == b" ":
        context.write(b")\r\n")
    elif lead != begin:
        context.write(begin + b")\r\n")
    return Told(1, is_decoded)


async def _write_in_turn(context: Context, wanted: Wanted, facts: Facts, lead: bytes) -> bool:
    """What is decoded is in memory until the client has taken it: all clients together have so much room for it."""
    if wanted.is_plain:
        return await _write_item(context, wanted, facts, lead)
    room, octets = context.desk.decoding, 2 * facts.size
    await room.take(octets, context.account)
    try:
        return await _write_item(context, wanted, facts, lead)
    finally:
        room.give_back(octets, context.account)


async def _write_item(context: Context, wanted: Wanted, facts: Facts, lead: bytes) -> bool:
    """False: its encoding is unknown, nothing was written."""
    span = locate(wanted, facts)
    if span is None:
        context.write(lead + render_missing(wanted))
        return True
    if wanted.is_plain:
        start, stop = narrow(span, wanted)
        context.write(b"%b%b {%d}\r\n" % (lead, wanted.label, stop - start))
        await _copy(context, facts, start, stop)
        return True
    blobs, owner = context.desk.store.blobs, context.mailbox.place.owner
    content = await blobs.read(owner, facts.email, span.start, span.stop - span.start)
    made = await context.desk.compute.run(lambda: render_made(wanted, facts, content))
    if made is None:
        return False
    context.write(lead)
    for start in range(0, len(made), _PIECE):
        context.write(made[start : start + _PIECE])
        await context.breathe()
    return True


async def _copy(context: Context, facts: Facts, start: int, stop: int) -> None:
    blobs, owner = context.desk.store.blobs, context.mailbox.place.owner
    while start < stop:
        piece = await blobs.read(owner, facts.email, start, min(_PIECE, stop - start))
        if not piece:
            raise ConnectionLost
        context.write(hide_nul(piece))
        start += len(piece)
        await context.breathe()
