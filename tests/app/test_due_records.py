"""What is due is done once, by one worker, whatever is in the way."""

from __future__ import annotations

import asyncio
from pathlib import Path

from posthouse.access.jmap.snooze_moves import SNOOZE_KIND, Snooze, put_away
from posthouse.app.due_records import DueRecords, Handler, make_due_records
from posthouse.app.store_duty import DutyLock
from posthouse.message.mailbox import AccountId, EmailId, Role
from posthouse.ports.clock import FakeClock
from posthouse.ports.observe import FakeLog
from posthouse.ports.records import Record, RecordEdit
from posthouse.ports.store import Fields, NoSuchAccount, NoSuchMailbox, StoreError
from posthouse.ports.store_memory import MemoryStore
from tests.conformance.store_kit import make_addition

ALICE, BOB = AccountId(1), AccountId(2)
PAST = 1_000.0


class Desk:
    def __init__(self, path: Path) -> None:
        self.clock, self.log, self.path = FakeClock(), FakeLog(), path
        self.store = MemoryStore(self.clock)
        self.done: list[tuple[AccountId, int]] = []
        self.trouble: Exception | None = None

    def lock(self) -> DutyLock:
        return DutyLock(str(self.path / "due"))

    def runner(self) -> DueRecords:
        handlers: dict[str, Handler] = {"note": self.handle}
        return DueRecords(self.store.records, handlers, self.lock(), self.clock, self.log)

    async def handle(self, account: AccountId, record: Record) -> bool:
        if self.trouble is not None and record.value.get("trouble"):
            raise self.trouble
        await asyncio.sleep(0)
        self.done.append((account, record.id))
        await self.store.records.edit(account, "note", [RecordEdit(None, record.id)])
        return True

    async def keep(self, *dues: float, account: AccountId = ALICE, kind: str = "note", trouble: bool = False) -> None:
        await self.store.records.edit(account, kind, [RecordEdit({"trouble": trouble}, due=due) for due in dues])


async def test_what_is_due_is_done_the_earliest_first(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    now = desk.clock.now()
    await desk.keep(now - 5, now + 5, 0.0)
    await desk.keep(now - 9, account=BOB)
    runner = desk.runner()
    await runner.look()
    assert desk.done == [(BOB, 1), (ALICE, 1)]
    desk.clock.advance(5)
    await runner.look()
    assert desk.done[2:] == [(ALICE, 2)]


async def test_of_two_workers_one_does_it_and_the_other_when_that_one_ends(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    first, second = desk.runner(), desk.runner()
    await first.look()
    await desk.keep(PAST)
    await second.look()
    assert desk.done == []
    await asyncio.gather(first.look(), second.look())
    assert desk.done == [(ALICE, 1)]
    first.release()
    await desk.keep(PAST)
    await second.look()
    assert desk.done == [(ALICE, 1), (ALICE, 2)]


async def test_what_fails_is_put_off_and_not_in_the_way(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.trouble = NoSuchMailbox("gone")
    await desk.keep(*[PAST] * 150, trouble=True)
    await desk.keep(PAST + 1)
    runner = desk.runner()
    for _ in range(2):
        await runner.look()
    assert desk.done == [(ALICE, 151)]
    desk.trouble = None
    await runner.look()
    assert len(desk.done) == 1
    desk.clock.advance(301)
    for _ in range(2):
        await runner.look()
    assert len(desk.done) == 151


async def test_a_kind_that_nobody_knows_is_left_alone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.keep(*[PAST] * 100, kind="newer")
    await desk.keep(PAST + 1)
    runner = desk.runner()
    for _ in range(2):
        await runner.look()
    assert desk.done == [(ALICE, 1)]
    assert len(await desk.store.records.list_all(ALICE, "newer")) == 100


async def test_a_store_that_cannot_now_is_asked_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.keep(PAST)
    desk.store.error = StoreError("busy")
    runner = desk.runner()
    await runner.look()
    assert desk.done == []
    desk.store.error = None
    await runner.look()
    assert desk.done == [(ALICE, 1)]


async def test_an_account_that_went_meanwhile_is_passed_over(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.keep(PAST, trouble=True)
    await desk.keep(PAST + 1, account=BOB)

    async def go(account: AccountId, record: Record) -> bool:
        if record.value.get("trouble"):
            desk.store.remove_account(account)
            raise NoSuchAccount(account)
        return await desk.handle(account, record)

    await DueRecords(desk.store.records, {"note": go}, desk.lock(), desk.clock, desk.log).look()
    assert desk.done == [(BOB, 1)]


async def test_snoozed_mail_comes_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    store = desk.store.as_store()
    [added] = await store.messages.add(ALICE, [make_addition()])
    snooze = Snooze(added.email, added.mailboxes, "2027-01-01T00:00:00Z")
    await desk.store.records.edit(ALICE, SNOOZE_KIND, [RecordEdit(snooze.as_value(), due=PAST)])
    await put_away(store, ALICE, added.email)
    await make_due_records(store, desk.store.records, desk.lock(), desk.clock, desk.log).look()
    [row] = await store.messages.load_emails(ALICE, [EmailId(added.email)], Fields.NONE)
    assert list(row.placements) == [(await store.mailboxes.open_role(ALICE, Role.INBOX)).id]
    assert await desk.store.records.list_all(ALICE, SNOOZE_KIND) == []
