"""Asking a search program of emails one by one, with their text: what decides, whatever an index said before.

Runs in slices inside read transactions of a reader's thread: a slice ends after some milliseconds, so that no
transaction lasts and other reads have their turn. An email whose body cannot be read matches nothing that needs its
text (`fsck` tells of it). The octets of one message at a time are in memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import apsw

from posthouse.adapters.sqlite.search_rank import Counts, Term, count_terms
from posthouse.adapters.sqlite.search_sql import Scope
from posthouse.adapters.sqlite.store_blobs import find_stored, read_octets
from posthouse.adapters.sqlite.store_reader import read_emails, read_seen
from posthouse.adapters.sqlite.store_sql import IN_LIST, numbers_json, select_rows
from posthouse.message.mailbox import AccountId, EmailId, Flag, KeywordTable, MailboxId
from posthouse.message.search import And, Contains, Not, Or, SearchKey, Where
from posthouse.ms.keywords import is_visible, merge_flags
from posthouse.ms.search import EmailFacts, compile_search
from posthouse.ms.texts import MessageTexts
from posthouse.ports.spool import SpoolError
from posthouse.ports.store import EmailRow, Fields, StoreRefusal

Key = tuple[int, int]  # UID (0 where an account is searched), email

_SEEN = int(Flag.SEEN)
_OF_PARTS = (Where.BODY, Where.TEXT, Where.ATTACHMENT)
_SLICE = 64
_SLICE_S = 0.03
_PLACEMENTS = (
    "SELECT email, mailbox, uid, flags, modseq, saved FROM placement INDEXED BY placement_email"
    f" WHERE account = ? AND email {IN_LIST} ORDER BY email, mailbox, uid"
)


@dataclass(frozen=True, slots=True)
class _Placed:
    mailbox: MailboxId
    uid: int
    flags: int
    modseq: int
    saved: float


@dataclass(frozen=True, slots=True)
class Match:
    key: Key
    counts: Counts


def read_texts(connection: apsw.Connection, account: AccountId, row: EmailRow, folder: str) -> MessageTexts:
    """Of an email that is there; its octets are read when they are asked for. Those raise SpoolError."""
    assert row.message is not None
    return MessageTexts(row.message, row.prefix_size, lambda: _read_whole(connection, account, row.email, folder))


def _read_whole(connection: apsw.Connection, account: AccountId, email: EmailId, folder: str) -> bytes:
    stored = find_stored(connection, account, email)
    octets = read_octets(connection, account, stored, folder, 0, stored.size)
    if len(octets) < stored.size:
        raise SpoolError("body is shorter than it was")
    return octets


def _asks_parts(program: SearchKey) -> bool:
    match program:
        case Not(of):
            return _asks_parts(of)
        case And(of) | Or(of):
            return any(map(_asks_parts, of))
        case Contains(where, _, _):
            return where in _OF_PARTS
        case _:
            return False


class Verifier:
    """Of one search: `run` until nothing is left. `folder`: where bodies are that are files. `terms` are counted."""

    def __init__(
        self, scope: Scope, program: SearchKey, keywords: KeywordTable, folder: str, terms: Sequence[Term] = ()
    ) -> None:
        self._scope = scope
        self._test = compile_search(program, keywords)
        self._folder = folder
        self._terms = terms
        self._fields = Fields.DATES | Fields.TEXTS
        if _asks_parts(program):
            self._fields |= Fields.STRUCTURE

    def run(
        self, connection: apsw.Connection, account: AccountId, keys: Sequence[Key], start: int
    ) -> tuple[list[Match], int]:
        """The matches of a slice of `keys` from `start` on, and where the next one starts."""
        until = time.monotonic() + _SLICE_S
        found: list[Match] = []
        while start < len(keys):
            piece = keys[start : start + _SLICE]
            start += len(piece)
            matches = map(self._match, self._read_facts(connection, account, piece))
            found += [match for match in matches if match is not None]
            if time.monotonic() >= until:
                break
        return found, start

    def _match(self, facts: EmailFacts) -> Match | None:
        try:
            if self._test(facts):
                return Match((facts.uid, facts.email), count_terms(self._terms, facts.texts))
        except (SpoolError, StoreRefusal):
            return None
        return None

    def _read_facts(self, connection: apsw.Connection, account: AccountId, keys: Sequence[Key]) -> Iterator[EmailFacts]:
        emails = [EmailId(email) for _, email in keys]
        rows = read_emails(connection, account, emails, self._fields)
        placed = self._read_placements(connection, emails)
        for uid, email in keys:
            row, placements = rows.get(EmailId(email)), placed.get(email, [])
            asked = [placement for placement in placements if placement.uid == uid] if uid else placements
            if row is not None and asked:  # else it went meanwhile
                yield _make_facts(row, uid, asked, placements, read_texts(connection, account, row, self._folder))

    def _read_placements(self, connection: apsw.Connection, emails: Sequence[EmailId]) -> dict[int, list[_Placed]]:
        """As the reader sees them. Where an account is searched, the visible ones; of other mailboxes without UID."""
        account, mailbox, viewer = self._scope.account, self._scope.mailbox, self._scope.viewer
        rows = select_rows(
            connection, "email, mailbox, uid, flags, modseq, saved", _PLACEMENTS, (account, numbers_json(emails))
        )
        seen = None if mailbox is None or viewer is None else read_seen(connection, account, mailbox, viewer)
        found: dict[int, list[_Placed]] = {}
        for email, box, uid, flags, modseq, saved in cast("list[tuple[int, int, int, int, int, int]]", rows):
            if mailbox is None and not is_visible(flags):
                continue
            if seen is not None:
                flags = flags | _SEEN if uid in seen else flags & ~_SEEN
            placed = _Placed(MailboxId(box), uid if box == mailbox else 0, flags, modseq, saved / 1e6)
            found.setdefault(email, []).append(placed)
        return found


def _make_facts(
    row: EmailRow, uid: int, asked: Sequence[_Placed], placements: Sequence[_Placed], texts: MessageTexts
) -> EmailFacts:
    assert row.message is not None
    return EmailFacts(
        row.email,
        row.thread,
        uid,
        {placement.mailbox for placement in placements},
        asked[0].flags if uid else merge_flags(placement.flags for placement in asked) or 0,
        max(placement.modseq for placement in asked),
        tuple(placement.saved for placement in asked),
        row.received,
        row.zone_minutes,
        row.size,
        row.message.has_attachment,
        texts,
    )
