"""The messages and blobs of the store's fake."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from posthouse.message.mailbox import (
    AccountId,
    EmailId,
    Flag,
    FlagBits,
    KeywordTable,
    MailboxId,
    ModSeq,
    Placement,
    Role,
    Snapshot,
    ThreadId,
    Uid,
    UidSet,
)
from posthouse.message.parsed import ParsedMessage, SortKeys
from posthouse.ms.keywords import plan_placing
from posthouse.ms.uidsets import EVERY, from_list, select
from posthouse.ports.clock import Clock
from posthouse.ports.spool import Body, InlineBody
from posthouse.ports.store import (
    Added,
    Addition,
    CopyResult,
    EmailRow,
    Fields,
    FlagDelta,
    FlagEdit,
    FlagMode,
    FlagResult,
    NoSuchMailbox,
    OverQuota,
    StoreError,
    StoreRefusal,
    WireColumn,
)
from posthouse.ports.store_memory_mailboxes import Reading, find_box, open_role
from posthouse.ports.store_memory_state import AccountState, Box, Email
from posthouse.ports.store_wire import MAX_WIRE_OCTETS

_SEEN = int(Flag.SEEN)
_NO_KEYS = SortKeys(None, "", "", "", "", "", "")
_EMPTY = ParsedMessage(0, 0, 0, b"", b"", (), b"", _NO_KEYS)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class FileBody:
    """A body that is read in pieces, as one that lies in a file."""

    octets: bytes

    @property
    def inline(self) -> bytes | None:
        return None

    @property
    def size(self) -> int:
        return len(self.octets)

    async def read(self, offset: int, length: int) -> bytes:
        return self.octets[offset : offset + length]


class StoreBodyWriter:
    def __init__(self, check: Callable[[], None]) -> None:
        self._check_disk = check
        self._pieces: list[bytes] = []
        self._is_discarded = False

    @property
    def size(self) -> int:
        return sum(map(len, self._pieces))

    async def write(self, data: bytes) -> None:
        self._check()
        self._pieces.append(bytes(data))

    async def finish(self) -> Body:
        self._check()
        return FileBody(b"".join(self._pieces))

    def _check(self) -> None:
        if self._is_discarded:
            raise StoreError("body was discarded")
        self._check_disk()

    def discard(self) -> None:
        self._is_discarded = True
        self._pieces.clear()


def octets_of(body: Body) -> bytes:
    if body.inline is not None:
        return body.inline
    if isinstance(body, FileBody):
        return body.octets
    raise StoreError("a body of another store")


def answer(work: Callable[[], Result]) -> asyncio.Future[Result]:
    """The outcome as a future that is done."""
    future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    try:
        future.set_result(work())
    except (StoreError, StoreRefusal) as error:
        future.set_exception(error)
    return future


@dataclass(frozen=True, slots=True)
class Doors:
    """How the fake's parts reach accounts: each raises what it must. `has_room`: of account, emails, octets."""

    clock: Clock
    read: Reading
    write: Reading  # changes of what is there
    grow: Reading  # new mail
    has_room: Callable[[AccountId, int, int], bool]
    check_disk: Callable[[], None]


class MemoryMessages:
    """`inline_limit`: larger bodies go by `open_body`."""

    def __init__(self, doors: Doors, inline_limit: int) -> None:
        self._doors = doors
        self.inline_limit = inline_limit

    def add(self, account: AccountId, additions: Sequence[Addition]) -> asyncio.Future[list[Added]]:
        return answer(lambda: add_emails(self._doors, account, additions))

    def open_body(self, account: AccountId) -> StoreBodyWriter:
        self._doors.check_disk()
        return StoreBodyWriter(self._doors.check_disk)

    async def snapshot(self, account: AccountId, mailbox: MailboxId, viewer: AccountId | None = None) -> Snapshot:
        state = self._doors.read(account)
        box = find_box(state, mailbox)
        return Snapshot(
            box.mailbox.uidvalidity,
            box.mailbox.uidnext,
            state.modseq,
            array("I", box.rows),
            array("Q", [state.flags_for(box, row, viewer) for row in box.rows.values()]),
            array("Q", [row.modseq for row in box.rows.values()]),
            box.mailbox.modseq,
        )

    async def load(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, fields: Fields, viewer: AccountId | None = None
    ) -> list[EmailRow]:
        state = self._doors.read(account)
        box = find_box(state, mailbox)
        rows: list[EmailRow] = []
        for uid in rows_in(box, uids):
            placement = box.rows[uid]
            row = make_row(state.emails[placement.email], fields)
            row.placement = replace(placement, flags=FlagBits(state.flags_for(box, placement, viewer)))
            rows.append(row)
        return rows

    async def wire(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, columns: Sequence[WireColumn]
    ) -> list[tuple[Any, ...]]:
        state = self._doors.read(account)
        box = find_box(state, mailbox)
        rows = []
        for uid in rows_in(box, uids):
            email = state.emails[box.rows[uid].email]
            rows.append((uid, *(wire_column(email, box.rows[uid], column, self.inline_limit) for column in columns)))
        return rows

    async def uidls(self, account: AccountId, mailbox: MailboxId) -> dict[Uid, str]:
        return dict(find_box(self._doors.read(account), mailbox).uidls)

    async def load_emails(self, account: AccountId, emails: Sequence[EmailId], fields: Fields) -> list[EmailRow]:
        state = self._doors.read(account)
        rows: list[EmailRow] = []
        for number in emails:
            email = state.emails.get(number)
            visible = state.visible(email) if email is not None else {}
            if email is not None and visible:
                row = make_row(email, fields)
                row.placements = visible
                rows.append(row)
        return rows

    async def thread(self, account: AccountId, threads: Sequence[ThreadId]) -> dict[ThreadId, list[EmailId]]:
        state = self._doors.read(account)
        found: dict[ThreadId, list[EmailId]] = {}
        for email in sorted(state.emails.values(), key=lambda email: (email.received, email.id)):
            if email.thread in threads and state.visible(email):
                found.setdefault(email.thread, []).append(email.id)
        return found

    async def keywords(self, account: AccountId) -> KeywordTable:
        return self._doors.read(account).table()

    async def set_flags(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, edit: FlagEdit, viewer: AccountId | None = None
    ) -> FlagResult:
        state = self._doors.write(account)
        box = find_box(state, mailbox)
        targets = rows_in(box, uids)
        modified = [uid for uid in targets if is_newer(box.rows[uid], edit.unchanged_since)]
        bits = state.bits_of(edit.flags, makes=edit.mode is not FlagMode.REMOVE and len(targets) > len(modified))
        wanted: dict[Uid, int] = {}
        for uid in sorted(set(targets) - set(modified)):
            old = state.flags_for(box, box.rows[uid], viewer)
            new = apply_edit(old, bits, edit.mode)
            if new != old:
                wanted[uid] = new
        modseq = state.modseq
        if wanted:
            modseq = state.begin()
            state.edit(modseq, box, self._split_seen(state, box, wanted, viewer))
        return FlagResult(modseq, from_list(wanted), from_list(modified))

    def _split_seen(
        self, state: AccountState, box: Box, wanted: dict[Uid, int], viewer: AccountId | None
    ) -> dict[Uid, int]:
        """A reader's \\Seen is kept apart from the owner's, in the row."""
        if viewer is None or viewer == state.account:
            return wanted
        seen = box.seen.setdefault(viewer, set())
        own: dict[Uid, int] = {}
        for uid, flags in wanted.items():
            (seen.add if flags & _SEEN else seen.discard)(uid)
            own[uid] = (flags & ~_SEEN) | (box.rows[uid].flags & _SEEN)
        return own

    async def copy(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, target_account: AccountId, target: MailboxId
    ) -> CopyResult:
        source = find_box(self._doors.read(account), mailbox)
        return self._copy(account, source, rows_in(source, uids), target_account, target)

    async def move(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, target_account: AccountId, target: MailboxId
    ) -> CopyResult:
        state = self._doors.write(account)
        source = find_box(state, mailbox)
        moving = rows_in(source, uids)
        if account != target_account:
            result = self._copy(account, source, moving, target_account, target)
            if moving:
                state.drop(state.begin(), source, moving)
            return result
        into = find_box(state, target)
        if not moving:
            return CopyResult(into.mailbox.uidvalidity, (), (), state.modseq)
        modseq = state.begin()
        new = self._place_again(state, modseq, source, moving, into)
        state.drop(modseq, source, moving)
        return CopyResult(into.mailbox.uidvalidity, tuple(moving), new, modseq)

    def _copy(
        self, account: AccountId, source: Box, uids: list[Uid], target_account: AccountId, target: MailboxId
    ) -> CopyResult:
        state = self._doors.read(account)
        if account == target_account:
            into = find_box(self._doors.write(account), target)
            if not uids:
                return CopyResult(into.mailbox.uidvalidity, (), (), state.modseq)
            modseq = state.begin()
            new = self._place_again(state, modseq, source, uids, into)
            return CopyResult(into.mailbox.uidvalidity, tuple(uids), new, modseq)
        other = self._doors.grow(target_account)
        into = find_box(other, target)
        additions = [_make_copy(state, source.rows[uid], target) for uid in uids]
        added = add_emails(self._doors, target_account, additions)
        return CopyResult(into.mailbox.uidvalidity, tuple(uids), tuple(item.uids[0] for item in added), other.modseq)

    def _place_again(
        self, state: AccountState, modseq: ModSeq, source: Box, uids: list[Uid], into: Box
    ) -> tuple[Uid, ...]:
        now = self._doors.clock.now()
        rows = [source.rows[uid] for uid in uids]
        return tuple(state.put(modseq, into, state.emails[row.email], row.flags, now) for row in rows)

    async def expunge(self, account: AccountId, mailbox: MailboxId, uids: UidSet | None = None) -> UidSet:
        state = self._doors.write(account)
        box = find_box(state, mailbox)
        going = [uid for uid in rows_in(box, EVERY if uids is None else uids) if box.rows[uid].flags & Flag.DELETED]
        if going:
            state.drop(state.begin(), box, going)
        return from_list(going)

    async def place(
        self,
        account: AccountId,
        email: EmailId,
        into: Sequence[MailboxId],
        out_of: Sequence[MailboxId],
        flags: frozenset[str] | FlagDelta | None = None,
    ) -> ModSeq:
        state = self._doors.write(account)
        known = find_email(state, email)
        for mailbox in (*into, *out_of):
            find_box(state, mailbox)
        bits = _wanted_bits(state, known, flags)
        plan = plan_placing(state.held(known), into, out_of, bits)
        if not (plan.entered or plan.changed or plan.removed):
            return state.modseq
        modseq = state.begin()
        for mailbox in plan.entered:
            state.put(modseq, state.boxes[mailbox], known, plan.flags, self._doors.clock.now())
        for item in plan.changed:
            state.edit(modseq, state.boxes[item.mailbox], {item.uid: plan.flags})
        for item in plan.removed:
            state.drop(modseq, state.boxes[item.mailbox], [item.uid])
        return modseq


def _wanted_bits(state: AccountState, email: Email, flags: frozenset[str] | FlagDelta | None) -> int | None:
    if not isinstance(flags, FlagDelta):
        return None if flags is None else state.bits_of(flags)
    gone = state.bits_of(flags.remove, makes=False)
    return ((state.merged_flags(email) or 0) | state.bits_of(flags.add)) & ~gone


class MemoryBlobs:
    def __init__(self, doors: Doors, inline_limit: int) -> None:
        self._doors, self._inline_limit = doors, inline_limit

    async def read(self, account: AccountId, email: EmailId, offset: int = 0, length: int | None = None) -> bytes:
        octets = find_email(self._doors.read(account), email).octets
        return octets[offset:] if length is None else octets[offset : offset + length]

    async def read_many(self, account: AccountId, emails: Sequence[EmailId]) -> list[bytes | None]:
        state = self._doors.read(account)
        found = [state.emails.get(email) for email in emails]
        return [None if email is None else email.octets for email in found]

    def body(self, account: AccountId, email: EmailId) -> Body:
        return make_body(find_email(self._doors.read(account), email).octets, self._inline_limit)


def make_body(octets: bytes, inline_limit: int) -> Body:
    return InlineBody(octets) if len(octets) <= inline_limit else FileBody(octets)


def add_emails(doors: Doors, account: AccountId, additions: Sequence[Addition]) -> list[Added]:
    """All checks first, then all changes."""
    state = doors.grow(account)
    for addition in additions:
        for target in addition.mailboxes:
            if not isinstance(target, Role):
                find_box(state, target)
    sizes = [len(item.prefix) + item.body.size for item in additions if not item.ignores_quota]
    if sizes and not doors.has_room(account, len(sizes), sum(sizes)):
        raise OverQuota
    bodies = [octets_of(addition.body) for addition in additions]
    state.bits_of(frozenset().union(*(addition.flags for addition in additions)))
    if not additions:
        return []
    boxes = [_resolve(state, addition) for addition in additions]
    modseq = state.begin()
    now = doors.clock.now()
    return [
        _add(state, modseq, now, item, body, into) for item, body, into in zip(additions, bodies, boxes, strict=True)
    ]


def _resolve(state: AccountState, addition: Addition) -> list[Box]:
    found = [open_role(state, t) if isinstance(t, Role) else find_box(state, t) for t in addition.mailboxes]
    return list({box.mailbox.id: box for box in found}.values())


def _add(state: AccountState, modseq: ModSeq, now: float, addition: Addition, body: bytes, boxes: list[Box]) -> Added:
    received = (addition.received, addition.zone_minutes)
    email = state.make_email(modseq, addition.prefix, body, addition.message, received)
    bits = state.bits_of(addition.flags)
    uids = [state.put(modseq, box, email, bits, now) for box in boxes]
    if addition.uidl:
        for box, uid in zip(boxes, uids, strict=True):
            box.uidls[uid] = addition.uidl
    return Added(
        email.id,
        email.thread,
        tuple(box.mailbox.id for box in boxes),
        tuple(box.mailbox.uidvalidity for box in boxes),
        tuple(uids),
        modseq,
        email.size,
    )


def _make_copy(state: AccountState, row: Placement, target: MailboxId) -> Addition:
    email = state.emails[row.email]
    return Addition(
        (target,),
        FileBody(email.body),
        email.message,
        email.prefix,
        email.received,
        email.zone_minutes,
        frozenset(state.table().flags_of(row.flags)),
    )


def rows_in(box: Box, uids: UidSet) -> list[Uid]:
    return [Uid(uid) for uid in select(list(box.rows), uids)]


def find_email(state: AccountState, email: EmailId) -> Email:
    found = state.emails.get(email)
    if found is None:
        raise NoSuchMailbox(f"email {email}")
    return found


def is_newer(row: Placement, unchanged_since: ModSeq | None) -> bool:
    return unchanged_since is not None and row.modseq > unchanged_since


def apply_edit(old: int, bits: int, mode: FlagMode) -> int:
    match mode:
        case FlagMode.ADD:
            return old | bits
        case FlagMode.REMOVE:
            return old & ~bits
        case FlagMode.REPLACE:
            return bits


def make_row(email: Email, fields: Fields) -> EmailRow:
    """Only what was asked for: who forgets to ask learns it here."""
    row = EmailRow(email.id)
    if fields & Fields.DATES:
        row.thread, row.received, row.zone_minutes = email.thread, email.received, email.zone_minutes
        row.size, row.prefix_size = email.size, len(email.prefix)
    if fields & ~Fields.DATES:
        row.message = _make_message(email.message, fields)
        row.size, row.prefix_size = email.size, len(email.prefix)
    if fields & Fields.HEAD:
        row.head = email.prefix + email.message.head
    return row


def wire_column(email: Email, placement: Placement, column: WireColumn, inline_limit: int) -> int | str | bytes | None:
    message = email.message
    if column is WireColumn.OCTETS:
        return email.octets if len(email.body) <= inline_limit and email.size <= MAX_WIRE_OCTETS else None
    found: dict[WireColumn, int | str | bytes] = {
        WireColumn.EMAIL: email.id,
        WireColumn.THREAD: email.thread,
        WireColumn.SIZE: email.size,
        WireColumn.PREFIX_SIZE: len(email.prefix),
        WireColumn.HEADER_SIZE: message.header_size,
        WireColumn.RECEIVED: round(email.received * 1e6),
        WireColumn.ZONE: email.zone_minutes,
        WireColumn.SAVED: round(placement.saved * 1e6),
        WireColumn.ENVELOPE: message.envelope,
        WireColumn.STRUCTURE: message.bodystructure,
        WireColumn.HEAD: email.prefix + message.head,
        WireColumn.PREVIEW: message.preview,
    }
    return found[column]


def _make_message(message: ParsedMessage, fields: Fields) -> ParsedMessage:
    made = replace(_EMPTY, size=message.size)
    if fields & Fields.ENVELOPE:
        made = replace(made, envelope=message.envelope)
    if fields & Fields.STRUCTURE:
        made = replace(
            made,
            bodystructure=message.bodystructure,
            parts=message.parts,
            header_size=message.header_size,
            lines=message.lines,
            is_truncated=message.is_truncated,
        )
    if fields & Fields.HEAD:
        made = replace(made, head=message.head)
    if fields & Fields.KEYS:
        made = replace(
            made,
            keys=message.keys,
            message_id=message.message_id,
            references=message.references,
            is_reply_or_forward=message.is_reply_or_forward,
        )
    return _add_texts(made, message) if fields & Fields.TEXTS else made


def _add_texts(made: ParsedMessage, message: ParsedMessage) -> ParsedMessage:
    return replace(
        made,
        subject=message.subject,
        from_text=message.from_text,
        to_text=message.to_text,
        cc_text=message.cc_text,
        bcc_text=message.bcc_text,
        preview=message.preview,
        has_attachment=message.has_attachment,
        list_id=message.list_id,
    )
