"""What every message store tells about changes, to IMAP (CONDSTORE, QRESYNC) and to JMAP, and quotas at a glance."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.message.mailbox import ModSeq, Role
from posthouse.ms.snapshots import apply_change, compare_snapshots
from posthouse.ports.store import FlagMode, MailboxUpdate, NoSuchMailbox
from tests.conformance.store_kit import ALICE, BOB, EVERY, Office, uid_set


async def test_modseqs_only_rise_and_belong_to_the_account(office: Office) -> None:
    other = await office.store.changes.modseq(BOB)
    seen = [await office.store.changes.modseq(ALICE)]
    await office.add(count=2)
    seen.append(await office.store.changes.modseq(ALICE))
    work = await office.mailbox()
    seen.append(await office.store.changes.modseq(ALICE))
    await office.flag(await office.inbox(), EVERY, "\\Deleted")
    seen.append(await office.store.changes.modseq(ALICE))
    await office.store.messages.copy(ALICE, await office.inbox(), uid_set(1), ALICE, work)
    seen.append(await office.store.changes.modseq(ALICE))
    await office.store.messages.expunge(ALICE, await office.inbox())
    seen.append(await office.store.changes.modseq(ALICE))
    assert seen == sorted(set(seen))
    assert await office.store.changes.modseq(BOB) == other


async def test_a_snapshot_and_what_changed_since_are_the_next_snapshot(office: Office) -> None:
    inbox = await office.inbox()
    await office.add(count=6)
    old = await office.store.messages.snapshot(ALICE, inbox)
    await office.flag(inbox, uid_set(2, 5), "\\Flagged")
    await office.flag(inbox, uid_set(1, 3, 4), "\\Deleted")
    await office.store.messages.expunge(ALICE, inbox, uid_set(3, 4))
    await office.add(count=2)
    await office.flag(inbox, uid_set(8), "\\Deleted")
    await office.store.messages.expunge(ALICE, inbox, uid_set(8))
    change = await office.store.changes.in_mailbox(ALICE, inbox, old.modseq)
    new = await office.store.messages.snapshot(ALICE, inbox)
    assert change.is_complete
    assert apply_change(old, change) == new
    difference = compare_snapshots(old, new)
    assert difference.went == uid_set(3, 4)
    assert [new.uids[place] for place in difference.changed] == [1, 2, 5]
    assert list(new.uids[difference.came :]) == [7]


async def test_nothing_changed_is_told_as_nothing(office: Office) -> None:
    inbox, work = await office.inbox(), await office.mailbox()
    await office.add()
    snapshot = await office.store.messages.snapshot(ALICE, inbox)
    await office.add(work)
    change = await office.store.changes.in_mailbox(ALICE, inbox, snapshot.modseq)
    assert (list(change.uids), change.expunged, change.is_complete) == ([], (), True)
    assert change.highest == snapshot.highest < change.modseq


async def test_a_moved_email_is_gone_here_and_new_there(office: Office) -> None:
    inbox, work = await office.inbox(), await office.mailbox()
    since = (await office.add(count=3))[-1].modseq
    await office.store.messages.move(ALICE, inbox, uid_set(1, 2), ALICE, work)
    here = await office.store.changes.in_mailbox(ALICE, inbox, since)
    there = await office.store.changes.in_mailbox(ALICE, work, since)
    assert (list(here.uids), here.expunged) == ([], uid_set(1, 2))
    assert (list(there.uids), there.expunged) == ([1, 2], ())
    assert here.highest == here.modseq


async def test_what_is_too_long_ago_is_said_to_be_incomplete(office: Office) -> None:
    inbox = await office.inbox()
    since = (await office.add(count=2))[-1].modseq
    await office.flag(inbox, uid_set(1), "\\Deleted")
    await office.store.messages.expunge(ALICE, inbox)
    await office.control.forget_changes(ALICE, await office.store.changes.modseq(ALICE))
    assert not (await office.store.changes.in_mailbox(ALICE, inbox, since)).is_complete
    assert not (await office.store.changes.in_account(ALICE, since)).is_complete
    now = await office.store.changes.modseq(ALICE)
    assert (await office.store.changes.in_mailbox(ALICE, inbox, now)).is_complete
    await office.add()
    assert list((await office.store.changes.in_mailbox(ALICE, inbox, now)).uids) == [3]


async def test_an_account_tells_which_emails_came_changed_and_went(office: Office) -> None:
    inbox = await office.inbox()
    old = await office.add(count=4)
    since = await office.store.changes.modseq(ALICE)
    (new,) = await office.add()
    (short_lived,) = await office.add(Role.TRASH)
    await office.flag(inbox, uid_set(1), "\\Seen")
    await office.flag(inbox, uid_set(2), "\\Deleted")
    await office.store.messages.expunge(ALICE, inbox)
    await office.store.messages.place(ALICE, short_lived.email, [], list(short_lived.mailboxes))
    changes = await office.store.changes.in_account(ALICE, since)
    assert changes.is_complete
    assert changes.modseq == await office.store.changes.modseq(ALICE)
    assert (changes.created, changes.updated, changes.destroyed) == ([new.email], [old[0].email], [old[1].email])
    assert {new.thread, old[1].thread} <= set(changes.threads_changed)
    assert old[3].thread not in changes.threads_changed


async def test_an_email_is_updated_when_it_gets_and_loses_mailboxes(office: Office) -> None:
    inbox, work = await office.inbox(), await office.mailbox()
    (added,) = await office.add()
    since = await office.store.changes.modseq(ALICE)
    await office.store.messages.copy(ALICE, inbox, EVERY, ALICE, work)
    changes = await office.store.changes.in_account(ALICE, since)
    assert (changes.created, changes.updated, changes.destroyed) == ([], [added.email], [])
    since = changes.modseq
    await office.store.messages.place(ALICE, added.email, [], [inbox])
    changes = await office.store.changes.in_account(ALICE, since)
    assert (changes.created, changes.updated, changes.destroyed) == ([], [added.email], [])
    assert set(changes.mailboxes_counted) == {inbox}


async def test_an_email_marked_deleted_everywhere_is_destroyed_for_jmap(office: Office) -> None:
    inbox = await office.inbox()
    (added,) = await office.add()
    since = await office.store.changes.modseq(ALICE)
    await office.flag(inbox, EVERY, "\\Deleted")
    changes = await office.store.changes.in_account(ALICE, since)
    assert (changes.created, changes.updated, changes.destroyed) == ([], [], [added.email])
    since = changes.modseq
    await office.flag(inbox, EVERY, "\\Deleted", mode=FlagMode.REMOVE)
    changes = await office.store.changes.in_account(ALICE, since)
    assert added.email in changes.created + changes.updated
    assert changes.destroyed == []


async def test_an_account_tells_what_became_of_its_mailboxes(office: Office) -> None:
    mailboxes = office.store.mailboxes
    inbox, renamed, removed = await office.inbox(), await office.mailbox("a"), await office.mailbox("b")
    since = await office.store.changes.modseq(ALICE)
    await office.add()
    await mailboxes.update(ALICE, renamed, MailboxUpdate(name="c"))
    await mailboxes.remove(ALICE, removed)
    made = await office.mailbox("d")
    short_lived = await office.mailbox("e")
    await mailboxes.remove(ALICE, short_lived)
    changes = await office.store.changes.in_account(ALICE, since)
    assert changes.mailboxes_created == [made]
    assert changes.mailboxes_updated == [renamed]
    assert changes.mailboxes_counted == [inbox]
    # RFC 8620 §5.2: one that came and went meanwhile may be left out, or be in this list alone.
    assert removed in changes.mailboxes_destroyed
    assert set(changes.mailboxes_destroyed) <= {removed, short_lived}


async def test_changes_of_a_mailbox_that_went_are_refused(office: Office) -> None:
    work = await office.mailbox()
    await office.store.mailboxes.remove(ALICE, work)
    with pytest.raises(NoSuchMailbox):
        await office.store.changes.in_mailbox(ALICE, work, ModSeq(0))


async def test_a_watcher_hears_of_changes_in_its_account_and_no_other(office: Office) -> None:
    await office.inbox()
    await office.inbox(BOB)
    heard: list[str] = []
    alice = asyncio.Event()

    def on_alice() -> None:
        heard.append("alice")
        alice.set()

    subscription = office.store.changes.watch(ALICE, on_alice)
    office.store.changes.watch(BOB, lambda: heard.append("bob"))
    await office.add(count=3)
    await asyncio.wait_for(alice.wait(), 5)
    assert set(heard) == {"alice"}
    subscription.cancel()
    heard.clear()
    await office.add()
    await office.add(account=BOB)
    for _ in range(3):
        await office.store.changes.modseq(ALICE)
        await asyncio.sleep(0)
    assert "alice" not in heard


async def test_room_is_known_at_once(office: Office) -> None:
    assert office.store.quotas.has_room(ALICE, 10**12)
    (added,) = await office.add()
    office.control.set_quota(ALICE, octets=added.size + 100)
    assert office.store.quotas.has_room(ALICE, 100)
    assert not office.store.quotas.has_room(ALICE, 101)
    office.control.set_quota(ALICE, emails=1)
    assert not office.store.quotas.has_room(ALICE, 1)
