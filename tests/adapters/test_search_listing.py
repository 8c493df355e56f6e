"""Listings of mailboxes that the worker keeps: read by one reader or by two, and how many are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.adapters.sqlite.search_listing import KeptListings
from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.message.mailbox import MailboxId
from posthouse.ms.listings import Listing
from posthouse.ports.store import NoSuchMailbox
from tests.conformance.store_kit import ALICE, Office, SqliteControl, make_addition, open_sqlite, uid_set


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_sqlite(tmp_path) as made:
        yield made


def core_of(office: Office) -> StoreCore:
    assert isinstance(office.control, SqliteControl)
    return office.control.store.core


async def fill(office: Office) -> tuple[MailboxId, MailboxId]:
    """Two mailboxes with emails in threads, some in both, some gone or hidden, received in no order."""
    inbox, work = await office.inbox(), await office.mailbox()
    for number in range(12):
        references = (f"{number // 3}@x",) if number % 3 else ()
        addition = make_addition(
            *([inbox, work] if number % 4 == 0 else [inbox]),
            received=1_700_000_000.0 + number * 7 % 5,
            message_id=f"{number // 3}@x" if number % 3 == 0 else "",
            references=references,
        )
        await office.store.messages.add(ALICE, [addition])
    await office.flag(inbox, uid_set(2, 5), "\\Deleted")
    await office.store.messages.expunge(ALICE, inbox)
    await office.flag(inbox, uid_set(3), "\\Deleted")
    await office.add(work, count=3)
    return inbox, work


def describe(listing: Listing) -> tuple[object, ...]:
    return listing.emails, listing.order, listing.received, listing.threads, listing.hidden, listing.has_ties


async def test_two_readers_read_what_one_does(office: Office) -> None:
    for mailbox in await fill(office):
        one = await KeptListings(core_of(office), large=10**9).get(ALICE, mailbox)
        two = await KeptListings(core_of(office), large=1).get(ALICE, mailbox)
        assert describe(one) == describe(two)
        assert one.snapshot.uids == two.snapshot.uids == (await office.store.messages.snapshot(ALICE, mailbox)).uids


async def test_what_a_listing_read_is_the_worker_s_snapshot(office: Office) -> None:
    inbox, _ = await fill(office)
    listing = await KeptListings(core_of(office)).get(ALICE, inbox)
    assert await office.store.messages.snapshot(ALICE, inbox) is listing.snapshot


async def test_a_mailbox_that_there_is_not_has_no_listing(office: Office) -> None:
    await fill(office)
    with pytest.raises(NoSuchMailbox):
        await KeptListings(core_of(office)).get(ALICE, MailboxId(99))


async def test_the_longest_unused_listing_goes_first(office: Office) -> None:
    inbox, work = await fill(office)
    core = core_of(office)
    core.options = replace(core.options, cached_placements=30)
    listings = KeptListings(core)
    first = await listings.get(ALICE, inbox)
    assert await listings.get(ALICE, inbox) is first
    await listings.get(ALICE, work)
    assert await listings.get(ALICE, inbox) is not first
