"""What every message store does with access lists, annotations and subscriptions to others' names."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.message.mailbox import AccountId, MailboxId
from posthouse.ports.store import BadName, Grant, MailboxUpdate, NoSuchAccount, NoSuchMailbox, TooMany
from posthouse.ports.store_sharing import MAX_ENTRIES, MAX_ENTRY_OCTETS, MAX_GRANTS
from tests.conformance.store_kit import ALICE, BOB, Office

CAROL = AccountId(3)
NOWHERE = MailboxId(99)


async def test_grants_are_kept_in_canonical_order_and_told_in_one_read(office: Office) -> None:
    sharing, work = office.store.sharing, await office.mailbox()
    await sharing.set_grant(ALICE, work, Grant(BOB, "srl"))
    await sharing.set_grant(ALICE, work, Grant(None, "l"))
    await sharing.set_grant(ALICE, work, Grant(BOB, "t", is_negative=True))
    expected = [Grant(None, "l"), Grant(BOB, "lrs"), Grant(BOB, "t", is_negative=True)]
    assert await sharing.grants(ALICE, work) == expected
    assert await sharing.all_grants(ALICE) == {work: tuple(expected)}


async def test_a_grant_takes_the_place_of_the_one_before_and_goes_without_rights(office: Office) -> None:
    sharing, work = office.store.sharing, await office.mailbox()
    await sharing.set_grant(ALICE, work, Grant(BOB, "lr"))
    await sharing.set_grant(ALICE, work, Grant(BOB, "l"))
    assert await sharing.grants(ALICE, work) == [Grant(BOB, "l")]
    await sharing.set_grant(ALICE, work, Grant(BOB, ""))
    assert await sharing.all_grants(ALICE) == {}


async def test_a_grant_is_a_change_of_its_mailbox_and_the_same_grant_is_none(office: Office) -> None:
    sharing, work = office.store.sharing, await office.mailbox()
    before = (await office.get(work)).changed
    await sharing.set_grant(ALICE, work, Grant(BOB, "lr"))
    after = (await office.get(work)).changed
    assert after > before
    assert (await office.store.changes.in_account(ALICE, before)).mailboxes_updated == [work]
    await sharing.set_grant(ALICE, work, Grant(BOB, "rl"))
    await sharing.set_grant(ALICE, work, Grant(CAROL, ""))
    assert (await office.get(work)).changed == after


async def test_who_watches_hears_of_a_grant(office: Office) -> None:
    work, told = await office.mailbox(), asyncio.Event()
    watch = office.store.changes.watch(ALICE, told.set)
    await office.store.sharing.set_grant(ALICE, work, Grant(BOB, "lr"))
    await asyncio.wait_for(told.wait(), 5)
    watch.cancel()


async def test_owners_are_those_who_grant_something_to_this_account_or_to_anyone(office: Office) -> None:
    sharing = office.store.sharing
    await sharing.set_grant(ALICE, await office.inbox(), Grant(CAROL, "lr"))
    await sharing.set_grant(BOB, await office.inbox(BOB), Grant(None, "l"))
    assert await sharing.owners(CAROL) == [ALICE, BOB]
    assert await sharing.owners(ALICE) == [BOB]
    assert await sharing.owners(BOB) == []
    await sharing.set_grant(ALICE, await office.inbox(), Grant(CAROL, ""))
    await sharing.set_grant(ALICE, await office.inbox(), Grant(CAROL, "lr", is_negative=True))
    assert await sharing.owners(CAROL) == [BOB]


async def test_a_removed_account_shares_nothing(office: Office) -> None:
    sharing = office.store.sharing
    await sharing.set_grant(ALICE, await office.inbox(), Grant(BOB, "lr"))
    await office.control.remove_account(ALICE)
    assert await sharing.owners(BOB) == []
    with pytest.raises(NoSuchAccount):
        await sharing.all_grants(ALICE)


async def test_an_access_list_has_a_limit_and_is_whole_when_it_is_refused(office: Office) -> None:
    sharing, work = office.store.sharing, await office.mailbox()
    wanted = [Grant(AccountId(number), "l") for number in range(10, 10 + MAX_GRANTS)]
    await asyncio.gather(*(sharing.set_grant(ALICE, work, grant) for grant in wanted))
    with pytest.raises(TooMany):
        await sharing.set_grant(ALICE, work, Grant(BOB, "l"))
    assert await sharing.grants(ALICE, work) == wanted
    await sharing.set_grant(ALICE, work, Grant(AccountId(10), "lr"))


async def test_grants_and_annotations_go_along_with_a_rename_and_end_with_the_mailbox(office: Office) -> None:
    work = await office.mailbox()
    await office.store.sharing.set_grant(ALICE, work, Grant(BOB, "lr"))
    await office.store.annotations.write(ALICE, work, ALICE, {"/shared/comment": b"ours"})
    await office.store.mailboxes.update(ALICE, work, MailboxUpdate(name="Elsewhere"))
    assert await office.store.sharing.grants(ALICE, work) == [Grant(BOB, "lr")]
    assert await office.store.annotations.read(ALICE, work, BOB) == {"/shared/comment": b"ours"}
    await office.store.mailboxes.remove(ALICE, work)
    assert await office.store.sharing.all_grants(ALICE) == {}
    assert await office.store.sharing.owners(BOB) == []
    assert await office.store.annotations.read_many(ALICE, [work], ALICE) == {}


async def test_a_mailbox_that_is_not_there_has_no_list_and_no_notes(office: Office) -> None:
    sharing, annotations = office.store.sharing, office.store.annotations
    with pytest.raises(NoSuchMailbox):
        await sharing.grants(ALICE, NOWHERE)
    with pytest.raises(NoSuchMailbox):
        await sharing.set_grant(ALICE, NOWHERE, Grant(BOB, "l"))
    with pytest.raises(NoSuchMailbox):
        await annotations.read(ALICE, NOWHERE, ALICE)
    with pytest.raises(NoSuchMailbox):
        await annotations.write(ALICE, NOWHERE, ALICE, {"/shared/comment": b"x"})


async def test_private_entries_are_the_viewers_own_and_shared_ones_are_everybodys(office: Office) -> None:
    annotations, work = office.store.annotations, await office.mailbox()
    await annotations.write(ALICE, work, ALICE, {"/private/comment": b"mine", "/shared/comment": b"ours"})
    await annotations.write(ALICE, work, BOB, {"/private/comment": b"\x00\xff"})
    assert await annotations.read(ALICE, work, ALICE) == {"/private/comment": b"mine", "/shared/comment": b"ours"}
    assert await annotations.read(ALICE, work, BOB) == {"/private/comment": b"\x00\xff", "/shared/comment": b"ours"}
    inbox = await office.inbox()
    found = await annotations.read_many(ALICE, [work, inbox, NOWHERE], CAROL)
    assert found == {work: {"/shared/comment": b"ours"}}


async def test_annotations_of_an_account_are_not_those_of_a_mailbox(office: Office) -> None:
    annotations, inbox = office.store.annotations, await office.inbox()
    before = await office.store.changes.modseq(ALICE)
    await annotations.write(ALICE, None, ALICE, {"/private/comment": b"of the account"})
    assert await annotations.read(ALICE, None, ALICE) == {"/private/comment": b"of the account"}
    assert await annotations.read(ALICE, inbox, ALICE) == {}
    assert await annotations.read(ALICE, None, BOB) == {}
    assert await office.store.changes.modseq(ALICE) > before


async def test_an_annotation_is_a_change_of_its_mailbox_and_the_same_value_is_none(office: Office) -> None:
    annotations, work = office.store.annotations, await office.mailbox()
    before = (await office.get(work)).changed
    await annotations.write(ALICE, work, ALICE, {"/shared/comment": b""})
    after = (await office.get(work)).changed
    assert after > before
    await annotations.write(ALICE, work, ALICE, {"/shared/comment": b"", "/shared/none": None})
    assert (await office.get(work)).changed == after
    await annotations.write(ALICE, work, ALICE, {"/shared/comment": None})
    assert await annotations.read(ALICE, work, ALICE) == {}


async def test_too_many_annotations_or_octets_are_refused_as_a_whole(office: Office) -> None:
    annotations, work = office.store.annotations, await office.mailbox()
    await annotations.write(ALICE, work, ALICE, {f"/shared/{n}": b"x" for n in range(MAX_ENTRIES)})
    with pytest.raises(TooMany):
        await annotations.write(ALICE, work, BOB, {"/private/one": b"x"})
    with pytest.raises(TooMany):
        await annotations.write(ALICE, work, ALICE, {"/shared/0": b"x" * MAX_ENTRY_OCTETS, "/shared/1": None})
    found = await annotations.read(ALICE, work, ALICE)
    assert (len(found), found["/shared/0"], found["/shared/1"]) == (MAX_ENTRIES, b"x", b"x")
    await annotations.write(ALICE, work, ALICE, {"/shared/0": None, "/shared/new": b"x"})


@pytest.mark.parametrize("entry", ["/comment", "/Shared/comment", "", "/shared/" + "x" * 2000])
async def test_an_entry_that_is_neither_shared_nor_private_is_refused(office: Office, entry: str) -> None:
    with pytest.raises(BadName):
        await office.store.annotations.write(ALICE, None, ALICE, {entry: b"x"})


async def test_a_subscription_to_what_is_no_mailbox_stays_until_it_is_taken_back(office: Office) -> None:
    mailboxes = office.store.mailboxes
    for name in ("Other Users/bob/Work", "Gone", "Gone"):
        await mailboxes.subscribe_name(ALICE, name, True)
    assert sorted(await mailboxes.subscribed_names(ALICE)) == ["Gone", "Other Users/bob/Work"]
    assert await mailboxes.subscribed_names(BOB) == []
    made = await office.mailbox("Gone")
    await mailboxes.remove(ALICE, made)
    await mailboxes.subscribe_name(ALICE, "Other Users/bob/Work", False)
    await mailboxes.subscribe_name(ALICE, "never there", False)
    assert await mailboxes.subscribed_names(ALICE) == ["Gone"]
    with pytest.raises(BadName):
        await mailboxes.subscribe_name(ALICE, "a\r\nb", True)
