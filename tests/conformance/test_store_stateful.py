"""Every store against a model simple enough to be right: whatever is done in whatever order, they agree."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from posthouse.message.mailbox import EmailId, MailboxId, Snapshot, UidSet
from posthouse.ms.snapshots import apply_change, compare_snapshots
from posthouse.ms.uidsets import from_list, iterate
from posthouse.ports.store import (
    Added,
    Addition,
    BadName,
    Fields,
    FlagMode,
    MailboxExists,
    MailboxHasChildren,
    MailboxUpdate,
    OverQuota,
)
from tests.conformance.store_kit import ALICE, Office, make_addition, open_memory, open_sqlite

Result = TypeVar("Result")
FLAGS = ("\\Seen", "\\Deleted", "\\Flagged", "$Work", "$Home")
PLACES = st.integers(0, 3)
UIDS = st.sets(st.integers(1, 12), max_size=6)
FLAG_SETS = st.sets(st.sampled_from(FLAGS), max_size=3)
TOP = MailboxId(0)


@dataclass
class ModelRow:
    email: EmailId
    flags: set[str]


@dataclass
class ModelBox:
    id: MailboxId
    name: str
    parent: MailboxId | None
    uidnext: int = 1
    rows: dict[int, ModelRow] = field(default_factory=dict)

    def put(self, email: EmailId, flags: set[str]) -> int:
        uid = self.uidnext
        self.uidnext += 1
        self.rows[uid] = ModelRow(email, set(flags))
        return uid


class StoreMachine(RuleBasedStateMachine):
    """INBOX and up to three more mailboxes of one account."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.opened = self.open_office(Path(self.folder.name))
        self.office = self.run(self.opened.__aenter__())
        self.boxes: list[ModelBox] = []
        self.sizes: dict[EmailId, int] = {}
        self.known: dict[MailboxId, Snapshot] = {}
        self.modseq = 0
        self.limit: int | None = None
        self.highest_email = 0

    def open_office(self, path: Path) -> AbstractAsyncContextManager[Office]:
        return open_memory(path)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    def box(self, place: int) -> ModelBox:
        return self.boxes[place % len(self.boxes)]

    def teardown(self) -> None:
        self.run(self._close())
        self.runner.close()
        self.folder.cleanup()

    async def _close(self) -> None:
        await self.opened.__aexit__(None, None, None)

    @initialize()
    def begin(self) -> None:
        self.boxes = [ModelBox(self.run(self.office.inbox()), "INBOX", None)]

    # -- mailboxes

    @rule(place=PLACES, name=st.sampled_from("abc"), is_top=st.booleans())
    def create(self, place: int, name: str, is_top: bool) -> None:
        if len(self.boxes) > 3:
            return
        parent = None if is_top else self.box(place).id
        try:
            made = self.run(self.office.store.mailboxes.create(ALICE, name, parent))
        except MailboxExists:
            assert any((box.name, box.parent) == (name, parent) for box in self.boxes)
            return
        assert not any((box.name, box.parent) == (name, parent) for box in self.boxes)
        self.boxes.append(ModelBox(made.id, name, parent))

    @rule(place=PLACES, under=PLACES, name=st.sampled_from("abc"), is_top=st.booleans())
    def rename(self, place: int, under: int, name: str, is_top: bool) -> None:
        box = self.box(place)
        parent = None if is_top else self.box(under).id
        update = MailboxUpdate(name=name, parent=TOP if parent is None else parent)
        try:
            self.run(self.office.store.mailboxes.update(ALICE, box.id, update))
        except BadName:
            assert box.name == "INBOX" or (parent is not None and box.id in self.line_of(parent))
        except MailboxExists:
            assert any((other.name, other.parent) == (name, parent) for other in self.boxes if other is not box)
        else:
            box.name, box.parent = name, parent

    def line_of(self, mailbox: MailboxId | None) -> list[MailboxId]:
        line: list[MailboxId] = []
        parents = {box.id: box.parent for box in self.boxes}
        while mailbox is not None:
            line.append(mailbox)
            mailbox = parents[mailbox]
        return line

    @rule(place=PLACES)
    def remove(self, place: int) -> None:
        box = self.box(place)
        try:
            self.run(self.office.store.mailboxes.remove(ALICE, box.id))
        except BadName:
            assert box.name == "INBOX"
        except MailboxHasChildren:
            assert any(other.parent == box.id for other in self.boxes)
        else:
            self.boxes.remove(box)
            self.known.pop(box.id, None)

    # -- emails

    @rule(places=st.sets(PLACES, min_size=1, max_size=2), flags=FLAG_SETS, count=st.integers(1, 3))
    def append(self, places: set[int], flags: set[str], count: int) -> None:
        boxes = list({box.id: box for box in map(self.box, sorted(places))}.values())
        addition = make_addition(*(box.id for box in boxes), flags=frozenset(flags))
        usage = self.octets()
        try:
            added = self.run(self._add([addition] * count))
        except OverQuota:
            assert self.limit is not None
            assert usage + count * (len(addition.prefix) + addition.body.size) > self.limit
            return
        for item in added:
            assert item.email > self.highest_email
            self.highest_email = item.email
            self.sizes[item.email] = item.size
            assert item.uids == tuple(box.put(item.email, flags) for box in boxes)
        assert self.limit is None or self.octets() <= self.limit

    async def _add(self, additions: list[Addition]) -> list[Added]:
        return await self.office.store.messages.add(ALICE, additions)

    @rule(place=PLACES, uids=UIDS, flags=FLAG_SETS, mode=st.sampled_from(FlagMode))
    def set_flags(self, place: int, uids: set[int], flags: set[str], mode: FlagMode) -> None:
        box = self.box(place)
        result = self.run(self.office.flag(box.id, from_list(uids), *flags, mode=mode))
        changed = []
        for uid in sorted(uids & box.rows.keys()):
            old = box.rows[uid].flags
            new = {FlagMode.ADD: old | flags, FlagMode.REMOVE: old - flags, FlagMode.REPLACE: flags}[mode]
            if new != old:
                box.rows[uid].flags = set(new)
                changed.append(uid)
        assert result.changed == from_list(changed)

    @rule(place=PLACES, to=PLACES, uids=UIDS)
    def copy(self, place: int, to: int, uids: set[int]) -> None:
        source, into = self.box(place), self.box(to)
        result = self.run(self.office.store.messages.copy(ALICE, source.id, from_list(uids), ALICE, into.id))
        rows = [(uid, source.rows[uid]) for uid in sorted(uids & source.rows.keys())]
        assert result.source == tuple(uid for uid, _ in rows)
        assert result.target == tuple(into.put(row.email, row.flags) for _, row in rows)

    @rule(place=PLACES, to=PLACES, uids=UIDS)
    def move(self, place: int, to: int, uids: set[int]) -> None:
        source, into = self.box(place), self.box(to)
        result = self.run(self.office.store.messages.move(ALICE, source.id, from_list(uids), ALICE, into.id))
        rows = [(uid, source.rows.pop(uid)) for uid in sorted(uids & source.rows.keys())]
        assert result.source == tuple(uid for uid, _ in rows)
        assert result.target == tuple(into.put(row.email, row.flags) for _, row in rows)

    @rule(place=PLACES, uids=st.none() | UIDS)
    def expunge(self, place: int, uids: set[int] | None) -> None:
        box = self.box(place)
        wanted: UidSet | None = None if uids is None else from_list(uids)
        gone = self.run(self.office.store.messages.expunge(ALICE, box.id, wanted))
        going = [uid for uid, row in box.rows.items() if "\\Deleted" in row.flags and (uids is None or uid in uids)]
        assert list(iterate(gone)) == going
        for uid in going:
            del box.rows[uid]

    @rule(place=PLACES, into=PLACES, out_of=PLACES, flags=st.none() | FLAG_SETS)
    def place_email(self, place: int, into: int, out_of: int, flags: set[str] | None) -> None:
        """As JMAP does it, on the oldest email of a mailbox that JMAP can see there."""
        home, entered, left = self.box(place), self.box(into), self.box(out_of)
        email = next((row.email for row in home.rows.values() if "\\Deleted" not in row.flags), None)
        if email is None:
            return
        named = None if flags is None else frozenset(flags - {"\\Deleted"})
        work = self.office.store.messages.place(ALICE, email, [entered.id], [left.id], named)
        self.run(work)
        seen = [row for box in self.boxes for row in self.visible(box, email).values()]
        shown = set.union(*(row.flags for row in seen)) - {"\\Seen"}
        shown |= {"\\Seen"} if all("\\Seen" in row.flags for row in seen) else set()
        wanted = shown if named is None else set(named)
        if left is not entered:
            for uid in self.visible(left, email):
                del left.rows[uid]
        if named is not None:
            for box in self.boxes:
                for row in self.visible(box, email).values():
                    row.flags = set(wanted)
        if not self.visible(entered, email):
            entered.put(email, wanted)

    def visible(self, box: ModelBox, email: EmailId) -> dict[int, ModelRow]:
        return {u: row for u, row in box.rows.items() if row.email == email and "\\Deleted" not in row.flags}

    @rule(emails=st.none() | st.integers(0, 8))
    def set_quota(self, emails: int | None) -> None:
        one = make_addition()
        self.limit = None if emails is None else emails * (len(one.prefix) + one.body.size)
        self.office.control.set_quota(ALICE, octets=self.limit)

    # -- what must be true at any time

    def emails(self) -> set[EmailId]:
        return {row.email for box in self.boxes for row in box.rows.values()}

    def octets(self) -> int:
        return sum(self.sizes[email] for email in self.emails())

    @invariant()
    def mailboxes_and_counters_agree(self) -> None:
        listed = {mailbox.id: mailbox for mailbox in self.run(self.office.store.mailboxes.list_all(ALICE))}
        assert listed.keys() == {box.id for box in self.boxes}
        for box in self.boxes:
            mailbox, rows = listed[box.id], box.rows.values()
            assert (mailbox.name, mailbox.parent, mailbox.uidnext) == (box.name, box.parent, box.uidnext)
            assert (mailbox.total, mailbox.unseen, mailbox.deleted, mailbox.octets) == (
                len(rows),
                sum(not row.flags & {"\\Seen", "\\Deleted"} for row in rows),
                sum("\\Deleted" in row.flags for row in rows),
                sum(self.sizes[row.email] for row in rows),
            )
        usage = self.run(self.office.store.quotas.usage(ALICE))
        assert (usage.emails, usage.octets) == (len(self.emails()), self.octets())

    @invariant()
    def snapshots_agree_with_the_model_and_with_what_changed(self) -> None:
        modseq = self.run(self.office.store.changes.modseq(ALICE))
        assert modseq >= self.modseq
        self.modseq = modseq
        for box in self.boxes:
            new = self.run(self.office.store.messages.snapshot(ALICE, box.id))
            assert list(new.uids) == list(box.rows)
            assert self.run(self.office.flags_of(box.id)) == {uid: row.flags for uid, row in box.rows.items()}
            assert max(new.modseqs, default=0) <= new.highest <= new.modseq
            old = self.known.get(box.id)
            if old is not None:
                self.check_change(box, old, new)
            self.known[box.id] = new

    def check_change(self, box: ModelBox, old: Snapshot, new: Snapshot) -> None:
        change = self.run(self.office.store.changes.in_mailbox(ALICE, box.id, old.modseq))
        assert change.is_complete
        assert apply_change(old, change) == new
        difference = compare_snapshots(old, new)
        assert set(iterate(difference.went)) == set(old.uids) - set(new.uids)
        assert list(new.uids[difference.came :]) == [uid for uid in new.uids if uid >= old.uidnext]

    @invariant()
    def emails_are_where_the_model_says(self) -> None:
        emails = sorted(self.emails())
        rows = self.run(self.office.store.messages.load_emails(ALICE, emails, Fields.DATES))
        found = {row.email: set(row.placements) for row in rows}
        wanted = {email: {box.id for box in self.boxes if self.visible(box, email)} for email in emails}
        assert found == {email: places for email, places in wanted.items() if places}


StoreMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMemoryStore = StoreMachine.TestCase


class SqliteMachine(StoreMachine):
    def open_office(self, path: Path) -> AbstractAsyncContextManager[Office]:
        return open_sqlite(path)


SqliteMachine.TestCase.settings = settings(StoreMachine.TestCase.settings, max_examples=12)
TestSqliteStore = SqliteMachine.TestCase
