"""Additions: a batch of them is checked and planned in memory, then written in a handful of statements.

What can be refused is refused before anything is written or counted, so additions need no savepoints. The order of
works is the order of their UIDs. Runs in the writer's thread, inside a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from posthouse.adapters.sqlite.bulk import Value, insertion, padded
from posthouse.adapters.sqlite.store_bodies import BodyShelf
from posthouse.adapters.sqlite.store_book import AccountState, Book, MailboxState
from posthouse.adapters.sqlite.store_rows import (
    EMAIL_COLUMNS,
    INSERT_EMAILS,
    INSERT_PLACEMENTS,
    PLACEMENT_COLUMNS,
    describe_message,
)
from posthouse.adapters.sqlite.store_threads import ThreadFinder, refs_of
from posthouse.adapters.sqlite.store_works import AddWork
from posthouse.message.mailbox import MAX_UID, EmailId, Flag, MailboxId, ModSeq, Role, ThreadId, Uid, UidValidity
from posthouse.message.parsed import ParsedMessage
from posthouse.ports.store import Added, Addition, OverQuota, StoreRefusal, TooMany

_SEEN, _DELETED = int(Flag.SEEN), int(Flag.DELETED)
_MAX_KEYWORD = 255
_INSERT_UIDLS = insertion("uidl", 4)
Described = tuple[tuple[Value, ...], tuple[Value, ...], list[int], int]


class _Planned:
    """An addition with its ids and counters given, its rows not yet written."""

    __slots__ = ("addition", "email", "flags", "mailboxes", "modseq", "size", "state", "uids")

    def __init__(
        self, state: AccountState, addition: Addition, modseq: int, flags: int, mailboxes: list[MailboxState]
    ) -> None:
        self.state = state
        self.addition = addition
        self.modseq = modseq
        self.flags = flags
        self.mailboxes = mailboxes
        self.email = state.next_email
        state.next_email += 1
        self.size = len(addition.prefix) + addition.body.size
        self.uids = [_place(box, flags, self.size, modseq) for box in mailboxes]


def _place(box: MailboxState, flags: int, size: int, modseq: int) -> int:
    uid = box.uidnext
    box.uidnext = uid + 1
    box.modseq = modseq
    count_in(box, 1, flags, size)
    return uid


def count_in(box: MailboxState, count: int, flags: int, octets: int) -> None:
    """Counters for `count` placements (negative: fewer) of these flags, together of `octets`."""
    box.total += count
    box.octets += octets
    if flags & _DELETED:
        box.deleted += count
    elif not flags & _SEEN:
        box.unseen += count


class Adder:
    def __init__(self, shelf: BodyShelf) -> None:
        self._shelf = shelf

    def add_all(self, connection: apsw.Connection, book: Book, works: Sequence[AddWork]) -> None:
        """Sets `result` or `error` of each."""
        book.load(connection, [work.account for work in works])
        planned: list[tuple[AddWork, list[_Planned]]] = []
        for work in works:
            try:
                state = book.account(connection, work.account)
                planned.append((work, plan(connection, book, state, work.additions, work.limits)))
            except StoreRefusal as refusal:
                work.error = refusal
        results = self._write(connection, book, [p for _, some in planned for p in some])
        start = 0
        for work, some in planned:
            work.result = results[start : start + len(some)]
            start += len(some)

    def add(
        self,
        connection: apsw.Connection,
        book: Book,
        state: AccountState,
        additions: Sequence[Addition],
        limits: tuple[int | None, int | None],
    ) -> list[Added]:
        """Within another unit."""
        return self._write(connection, book, plan(connection, book, state, additions, limits))

    def _write(self, connection: apsw.Connection, book: Book, planned: Sequence[_Planned]) -> list[Added]:
        if not planned:
            return []
        bodies = self._shelf.put(connection, [p.addition.body for p in planned])
        described: dict[int, Described] = {}
        for p in planned:
            message = p.addition.message
            if id(message) not in described:
                described[id(message)] = _describe(message)
        finder = ThreadFinder(connection, book)
        finder.find(
            (p.state.account, ref, described[id(p.addition.message)][3])
            for p in planned
            for ref in described[id(p.addition.message)][2]
        )
        for p in planned:
            _, _, refs, subject = described[id(p.addition.message)]
            finder.join(p.state, p.email, refs, subject)
        finder.write()
        emails: list[Value] = []
        placements: list[Value] = []
        added: list[Added] = []
        for p in planned:
            columns, octets, _, _ = described[id(p.addition.message)]
            thread = finder.thread_of(p.state.account, p.email)
            emails += _email_row(p, thread, bodies[id(p.addition.body)], columns, octets)
            for box, uid in zip(p.mailboxes, p.uids, strict=True):
                placements += (p.state.account, box.mailbox, uid, p.email, p.flags, p.modseq, book.now_us)
            added.append(_as_added(p, thread))
        for sql, bindings in padded(INSERT_EMAILS, EMAIL_COLUMNS, emails):
            connection.execute(sql, bindings)
        for sql, bindings in padded(INSERT_PLACEMENTS, PLACEMENT_COLUMNS, placements):
            connection.execute(sql, bindings)
        _write_uidls(connection, planned)
        return added


def plan(
    connection: apsw.Connection,
    book: Book,
    state: AccountState,
    additions: Sequence[Addition],
    limits: tuple[int | None, int | None],
) -> list[_Planned]:
    """Refuses before it changes anything but keywords and mailboxes made at first need."""
    _check(state, additions, limits)
    flags = [book.flag_bits(connection, state, a.flags, make=True) if a.flags else 0 for a in additions]
    boxes = [_open_mailboxes(connection, book, state, a) for a in additions]
    modseq = book.next_modseq(state)
    planned = []
    for addition, bits, mailboxes in zip(additions, flags, boxes, strict=True):
        made = _Planned(state, addition, modseq, bits, mailboxes)
        for box in mailboxes:
            book.mark_mailbox(state, box)
        state.emails += 1
        state.octets += made.size
        planned.append(made)
    return planned


def _check(state: AccountState, additions: Sequence[Addition], limits: tuple[int | None, int | None]) -> None:
    octets, emails = limits
    counted = [a for a in additions if not a.ignores_quota]
    size = sum(len(a.prefix) + a.body.size for a in counted)
    if octets is not None and counted and state.octets + size > octets:
        raise OverQuota("mailbox is full")
    if emails is not None and counted and state.emails + len(counted) > emails:
        raise OverQuota("too many messages")
    for addition in additions:
        for mailbox in addition.mailboxes:
            if not isinstance(mailbox, Role) and state.mailbox(mailbox).uidnext + len(additions) > MAX_UID:
                raise TooMany("UIDs of the mailbox are used up")
        if any(len(name) > _MAX_KEYWORD for name in addition.flags):
            raise TooMany(f"keyword: at most {_MAX_KEYWORD} octets")


def _open_mailboxes(
    connection: apsw.Connection, book: Book, state: AccountState, addition: Addition
) -> list[MailboxState]:
    return [
        book.open_role(connection, state, mailbox) if isinstance(mailbox, Role) else state.mailboxes[mailbox]
        for mailbox in addition.mailboxes
    ]


def _write_uidls(connection: apsw.Connection, planned: Sequence[_Planned]) -> None:
    values: list[Value] = []
    for p in planned:
        if p.addition.uidl:
            for box, uid in zip(p.mailboxes, p.uids, strict=True):
                values += (p.state.account, box.mailbox, uid, p.addition.uidl)
    for sql, bindings in padded(_INSERT_UIDLS, 4, values):
        connection.execute(sql, bindings)


def _describe(message: ParsedMessage) -> Described:
    return (*describe_message(message), *refs_of(message))


def _email_row(
    p: _Planned, thread: int, body: int, columns: tuple[Value, ...], octets: tuple[Value, ...]
) -> tuple[Value, ...]:
    addition = p.addition
    return (
        p.state.account,
        p.email,
        thread,
        body,
        p.size,
        round(addition.received * 1e6),
        addition.zone_minutes,
        p.modseq,
        None,
        None,
        None,
        *columns,
        addition.prefix,
        *octets,
    )


def _as_added(p: _Planned, thread: int) -> Added:
    return Added(
        EmailId(p.email),
        ThreadId(thread),
        tuple([MailboxId(box.mailbox) for box in p.mailboxes]),
        tuple([UidValidity(box.uidvalidity) for box in p.mailboxes]),
        tuple([Uid(uid) for uid in p.uids]),
        ModSeq(p.modseq),
        p.size,
    )
