"""The items of a FETCH, compiled once per command: one template, and the columns that its places are filled from.

A response is made by `template % values`; the values of a slice of messages are columns, so that no Python function
runs per message and item but where text is made. UID, FLAGS and MODSEQ come from the client's picture of the mailbox,
the rest from the rows of the store. What needs the octets of messages (`Plan.wanted`) is written behind (fetching.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from posthouse.access.imap.context import Context
from posthouse.access.imap.fetching_sections import Pick, Wanted, hide_nul, make_pick, want
from posthouse.message.bodystructure import body_of
from posthouse.message.mailbox import AccountId, KeywordTable
from posthouse.message.parse import HEAD_FIELDS
from posthouse.message.wire_strings import write_nstring
from posthouse.ports.store_wire import WireColumn
from posthouse.protocol.imap.objectids import open_email_id, open_thread_id
from posthouse.protocol.imap.render import write_date, write_flags
from posthouse.protocol.imap.values import Attribute, FetchItem, Section, Text

_US = 1_000_000
_DAY_S = 86_400
_FAR_S = 1 << 37  # years that fit a date
_MAX_KEPT = 4_096  # octets of header fields

Make = Callable[..., object]


class FlagTexts(dict[int, bytes]):
    """How flags are written, by their bits: there are few different ones in a mailbox."""

    def __init__(self, keywords: KeywordTable) -> None:
        super().__init__()
        self._keywords = keywords

    def __missing__(self, bits: int) -> bytes:
        text = self[bits] = write_flags(self._keywords.flags_of(bits))
        return text


@dataclass(frozen=True, slots=True)
class Item:
    """`text` has one place. `make` turns what stands in the columns of `needs` into a value; None: it is one already.
    Without `needs` the value is of the client's picture.
    """

    text: bytes
    needs: tuple[WireColumn, ...] = ()
    make: Make | None = None
    local: Attribute | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """`columns`: what to read of the store, in this order. `wanted`: sections that need octets."""

    items: tuple[Item, ...]
    wanted: tuple[Wanted, ...]
    columns: tuple[WireColumn, ...]
    template: bytes
    flag_texts: FlagTexts


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of one slice, all of the same length. `columns` by WireColumn."""

    numbers: Sequence[int]
    uids: Sequence[int]
    flags: Sequence[int]
    modseqs: Sequence[int]
    columns: Mapping[WireColumn, Sequence[Any]]


def compile_plan(context: Context, items: Iterable[FetchItem]) -> Plan:
    quick: list[Item] = []
    wanted: list[Wanted] = []
    owner = context.mailbox.place.owner
    for item in dict.fromkeys(items):
        made = _make_item(item, owner)
        if isinstance(made, Item):
            quick.append(made)
        else:
            wanted.append(made)
    columns = dict.fromkeys(column for item in quick for column in item.needs)
    return Plan(
        tuple(quick),
        tuple(wanted),
        tuple(columns),
        _write_template(context, quick, is_open=bool(wanted)),
        FlagTexts(context.mailbox.keywords),
    )


def _write_template(context: Context, items: Sequence[Item], *, is_open: bool) -> bytes:
    """`is_open`: more is written behind the last item."""
    name = b"UIDFETCH" if context.uid_only else b"FETCH"  # RFC 9586 §3.3
    end = b"" if is_open else b")\r\n"
    return b"* %%d %b (%b%b" % (name, b" ".join([item.text for item in items]), end)


def write_lines(plan: Plan, batch: Batch) -> list[bytes]:
    """A response for each message, whole, or open at its end where sections are wanted."""
    values = [_fill(plan, item, batch) for item in plan.items]
    return list(map(plan.template.__mod__, zip(batch.numbers, *values, strict=True)))


def _fill(plan: Plan, item: Item, batch: Batch) -> Iterable[object]:
    match item.local:
        case Attribute.UID:
            return batch.uids
        case Attribute.FLAGS:
            return map(plan.flag_texts.__getitem__, batch.flags)
        case Attribute.MODSEQ:
            return batch.modseqs
    columns = [batch.columns[column] for column in item.needs]
    return columns[0] if item.make is None else map(item.make, *columns)


# -- one item


def _make_item(item: FetchItem, owner: AccountId) -> Item | Wanted:
    if item is Attribute.EMAILID:
        return Item(b"EMAILID (%b%%d)" % open_email_id(owner), (WireColumn.EMAIL,))
    if item is Attribute.THREADID:
        return Item(b"THREADID (%b%%d)" % open_thread_id(owner), (WireColumn.THREAD,))
    if isinstance(item, Attribute):
        return _ATTRIBUTES[item]
    if isinstance(item, Section) and item.text is Text.FIELDS and not item.part and HEAD_FIELDS.issuperset(item.fields):
        text = want(item).label + b" %b"  # none of these names has a "%" in it
        return Item(text, (WireColumn.HEAD,), _make_fields(frozenset(item.fields), item.start, item.count))
    return want(item)


def _make_fields(fields: frozenset[bytes], start: int | None, count: int) -> Make:
    pick = make_pick(fields)
    if start is None:
        return lambda head: _write_kept(pick, head) if len(head) <= _MAX_KEPT else _write_fields(pick, head)
    return lambda head: write_literal(pick(head)[start : start + count])


def _write_fields(pick: Pick, head: bytes) -> bytes:
    return write_literal(pick(head))


# Programs list the same mailbox again and again. The octets of `head` are the store's own, as long as it keeps them.
_write_kept = lru_cache(maxsize=8192)(_write_fields)


def write_literal(content: bytes) -> bytes:
    return b"{%d}\r\n%b" % (len(content), hide_nul(content))


def _write_received(received: int, zone_minutes: int) -> bytes:
    local = received // _US + zone_minutes * 60
    if not -_FAR_S < local < _FAR_S:
        return write_date(received / _US, zone_minutes)
    day, second = divmod(local, _DAY_S)
    before, behind = _write_day(day, zone_minutes)
    minute, second = divmod(second, 60)
    return b"%b%02d:%02d:%02d%b" % (before, minute // 60, minute % 60, second, behind)


@lru_cache(maxsize=4096)
def _write_day(day: int, zone_minutes: int) -> tuple[bytes, bytes]:
    """What stands before and behind the time of that local day."""
    midnight = write_date(day * _DAY_S - zone_minutes * 60, zone_minutes)
    return midnight[:-15], midnight[-7:]


def _write_saved(saved: int | None) -> bytes:
    return b"NIL" if saved is None else write_date(saved // _US, 0)


def _write_preview(preview: str | None) -> bytes:
    return write_nstring(None if preview is None else preview.encode("utf-8", "replace"))


_PREVIEW = Item(b"PREVIEW %b", (WireColumn.PREVIEW,), _write_preview)
_ATTRIBUTES: Mapping[Attribute, Item] = {
    Attribute.UID: Item(b"UID %d", local=Attribute.UID),
    Attribute.FLAGS: Item(b"FLAGS %b", local=Attribute.FLAGS),
    Attribute.MODSEQ: Item(b"MODSEQ (%d)", local=Attribute.MODSEQ),
    Attribute.INTERNALDATE: Item(b"INTERNALDATE %b", (WireColumn.RECEIVED, WireColumn.ZONE), _write_received),
    Attribute.SIZE: Item(b"RFC822.SIZE %d", (WireColumn.SIZE,)),
    Attribute.ENVELOPE: Item(b"ENVELOPE %b", (WireColumn.ENVELOPE,)),
    Attribute.BODYSTRUCTURE: Item(b"BODYSTRUCTURE %b", (WireColumn.STRUCTURE,)),
    Attribute.BODY: Item(b"BODY %b", (WireColumn.STRUCTURE,), body_of),
    Attribute.SAVEDATE: Item(b"SAVEDATE %b", (WireColumn.SAVED,), _write_saved),
    Attribute.PREVIEW: _PREVIEW,
    Attribute.PREVIEW_LAZY: _PREVIEW,
}
