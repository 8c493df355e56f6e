"""Removed accounts: marked in the store, brought back, erased after the undelete time; and who looks after it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from posthouse.adapters.sqlite.directory_admin import FILE, SqliteDirectoryAdmin, open_directory
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_accounts import find_removed, has_account
from posthouse.adapters.sqlite.store_base import StoreOptions
from posthouse.app.store import Whereabouts
from posthouse.app.store_duty import DutyLock, StoreDuty
from posthouse.message.address import parse_address
from posthouse.message.mailbox import AccountId, Role
from posthouse.message.parse import parse_message
from posthouse.ports.clock import FakeClock
from posthouse.ports.directory_admin import NewAccount
from posthouse.ports.observe import FakeLog
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition

ANN = parse_address("ann@ours.example")
BODY = b"Subject: Lunch\r\n\r\nAt noon?\r\n"
UNDELETE_S = 1000.0


class House:
    """A directory with ann in it, a store with her mail, and the duty."""

    def __init__(self, base: Path) -> None:
        self.clock, self.base = FakeClock(), base
        self.admin = SqliteDirectoryAdmin(str(base / FILE), self.clock)
        self.admin.add_domain("ours.example")
        self.ann = self.admin.add_account(NewAccount(ANN)).id
        self.people = open_directory(str(base / FILE))
        whereabouts = Whereabouts(self.people)
        options = StoreOptions(undelete_s=UNDELETE_S)
        self.store = SqliteStore(str(base / "store"), whereabouts.locate, self.clock, options=options)
        lock = DutyLock(str(base / "duty"))
        tools = (self.clock, FakeLog())
        self.duty = StoreDuty(self.store, whereabouts, self.people, self._lend, lock, tools)

    @contextlib.contextmanager
    def _lend(self) -> Iterator[SqliteDirectoryAdmin]:
        yield self.admin

    async def add_mail(self) -> None:
        await self.store.messages.add(self.ann, [Addition((Role.INBOX,), InlineBody(BODY), parse_message(BODY))])

    async def look_later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.duty.look()


@contextlib.asynccontextmanager
async def running(base: Path) -> AsyncIterator[House]:
    house = House(base)
    await house.store.open()
    await house.add_mail()
    try:
        yield house
    finally:
        await house.store.close()
        house.duty.release()
        house.people.close()
        house.admin.close()


async def test_a_removed_account_is_marked_and_erased_after_the_undelete_time(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        house.admin.remove_account(house.ann)
        await house.duty.look()
        assert await find_removed(house.store.core) == {house.ann}
        await house.look_later(UNDELETE_S / 2)
        assert await has_account(house.store.core, house.ann)
        await house.look_later(UNDELETE_S + 3600)
        await house.look_later(60)
        assert not house.admin.list_removed()
        assert await find_removed(house.store.core) == set()


async def test_an_account_that_is_brought_back_has_its_mail(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        house.admin.remove_account(house.ann)
        await house.duty.look()
        house.admin.undelete_account(ANN)
        await house.look_later(60)
        assert await find_removed(house.store.core) == set()
        (inbox,) = await house.store.mailboxes.list_all(house.ann)
        assert inbox.total == 1


async def test_an_account_that_never_had_mail_is_forgotten_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        bob = house.admin.add_account(NewAccount(parse_address("bob@ours.example"))).id
        house.admin.remove_account(bob)
        await house.look_later(UNDELETE_S + 1)
        assert not house.admin.list_removed()


async def test_one_worker_at_a_time_looks_after_the_store(tmp_path: Path) -> None:
    first, second = DutyLock(str(tmp_path / "duty")), DutyLock(str(tmp_path / "duty"))
    assert first.take()
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
    second.release()


def test_where_a_removed_account_lies_is_known_to_the_duty_alone(tmp_path: Path) -> None:
    house = House(tmp_path)
    whereabouts = Whereabouts(house.people)
    assert whereabouts.locate(house.ann) == 0
    house.admin.remove_account(house.ann)
    whereabouts.removed = {house.ann: 0}
    assert whereabouts.locate(house.ann) == 0
    assert whereabouts.limits(AccountId(4711)) == (None, None)
    house.people.close()
    house.admin.close()
