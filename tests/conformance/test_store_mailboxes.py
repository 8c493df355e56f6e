"""What every message store does with mailboxes."""

from __future__ import annotations

import pytest

from posthouse.message.mailbox import MailboxId, Role
from posthouse.ports.store import (
    BadName,
    MailboxExists,
    MailboxHasChildren,
    MailboxNotEmpty,
    MailboxUpdate,
    NoSuchAccount,
    NoSuchMailbox,
    TooMany,
)
from tests.conformance.store_kit import ALICE, BOB, Office, first_uid

TOP = MailboxId(0)


async def test_a_new_account_has_an_inbox_and_nothing_else(office: Office) -> None:
    (inbox,) = await office.store.mailboxes.list_all(ALICE)
    assert (inbox.name, inbox.role, inbox.parent, inbox.uidnext, inbox.total) == ("INBOX", Role.INBOX, None, 1, 0)
    assert inbox == await office.store.mailboxes.get(ALICE, inbox.id)


async def test_parents_are_listed_before_their_children(office: Office) -> None:
    mailboxes = office.store.mailboxes
    child = await mailboxes.create(ALICE, "child")
    parent = await mailboxes.create(ALICE, "parent")
    grandchild = await mailboxes.create(ALICE, "below", child.id)
    await mailboxes.update(ALICE, child.id, MailboxUpdate(parent=parent.id))
    order = [mailbox.id for mailbox in await mailboxes.list_all(ALICE)]
    assert order.index(parent.id) < order.index(child.id) < order.index(grandchild.id)


async def test_two_siblings_of_one_name_are_refused_and_cousins_are_not(office: Office) -> None:
    mailboxes = office.store.mailboxes
    one = await mailboxes.create(ALICE, "one")
    with pytest.raises(MailboxExists):
        await mailboxes.create(ALICE, "one")
    inner = await mailboxes.create(ALICE, "one", one.id)
    assert (inner.parent, inner.name) == (one.id, "one")
    with pytest.raises(MailboxExists):
        await mailboxes.update(ALICE, inner.id, MailboxUpdate(parent=TOP))
    await mailboxes.create(BOB, "one")


async def test_inbox_is_one_name_in_any_case(office: Office) -> None:
    with pytest.raises(MailboxExists):
        await office.store.mailboxes.create(ALICE, "inbox")


@pytest.mark.parametrize("name", ["", "a/b", "a\x00b", "a\r\nb", "x" * 2000])
async def test_a_name_that_no_client_could_use_is_refused(office: Office, name: str) -> None:
    with pytest.raises(BadName):
        await office.store.mailboxes.create(ALICE, name)
    other = await office.mailbox("fine")
    with pytest.raises(BadName):
        await office.store.mailboxes.update(ALICE, other, MailboxUpdate(name=name))
    assert len(await office.store.mailboxes.list_all(ALICE)) == 2


async def test_a_mailbox_without_its_parent_is_refused(office: Office) -> None:
    with pytest.raises(NoSuchMailbox):
        await office.store.mailboxes.create(ALICE, "lost", MailboxId(4711))
    with pytest.raises(NoSuchMailbox):
        await office.store.mailboxes.update(ALICE, await office.mailbox(), MailboxUpdate(parent=MailboxId(4711)))


async def test_a_mailbox_cannot_be_below_itself(office: Office) -> None:
    mailboxes = office.store.mailboxes
    outer = await mailboxes.create(ALICE, "outer")
    inner = await mailboxes.create(ALICE, "inner", outer.id)
    for parent in (outer.id, inner.id):
        with pytest.raises(BadName):
            await mailboxes.update(ALICE, outer.id, MailboxUpdate(parent=parent))


async def test_mailboxes_go_only_so_deep(office: Office) -> None:
    parent: MailboxId | None = None
    with pytest.raises(TooMany):
        for _ in range(1000):
            parent = (await office.store.mailboxes.create(ALICE, "x", parent)).id
    assert parent is not None
    before = await office.store.mailboxes.list_all(ALICE)
    tower = await office.mailbox("tower")
    await office.store.mailboxes.create(ALICE, "room", tower)
    with pytest.raises(TooMany):
        await office.store.mailboxes.update(ALICE, tower, MailboxUpdate(parent=parent))
    assert len(await office.store.mailboxes.list_all(ALICE)) == len(before) + 2


async def test_a_renamed_mailbox_keeps_uidvalidity_uids_and_children(office: Office) -> None:
    mailboxes = office.store.mailboxes
    old = await mailboxes.create(ALICE, "old")
    child = await mailboxes.create(ALICE, "child", old.id)
    uid = first_uid(await office.add(old.id))
    new = await mailboxes.update(ALICE, old.id, MailboxUpdate(name="new"))
    assert (new.id, new.name, new.uidvalidity, new.total) == (old.id, "new", old.uidvalidity, 1)
    assert await office.uids(old.id) == [uid]
    assert (await office.get(child.id)).parent == old.id
    assert new.changed > old.changed


async def test_inbox_keeps_its_name_place_and_role(office: Office) -> None:
    mailboxes = office.store.mailboxes
    inbox, other = await office.inbox(), await office.mailbox()
    for update in (MailboxUpdate(name="other"), MailboxUpdate(parent=other), MailboxUpdate(role=Role.TRASH)):
        with pytest.raises(BadName):
            await mailboxes.update(ALICE, inbox, update)
    with pytest.raises(BadName):
        await mailboxes.remove(ALICE, inbox)
    assert not (await mailboxes.update(ALICE, inbox, MailboxUpdate(is_subscribed=False))).is_subscribed


async def test_subscription_and_order_are_kept_and_what_is_none_stays(office: Office) -> None:
    mailbox = await office.mailbox()
    assert (await office.get(mailbox)).is_subscribed
    await office.store.mailboxes.update(ALICE, mailbox, MailboxUpdate(is_subscribed=False, sort_order=7))
    await office.store.mailboxes.update(ALICE, mailbox, MailboxUpdate(name="Other"))
    kept = await office.get(mailbox)
    assert (kept.name, kept.is_subscribed, kept.sort_order, kept.role) == ("Other", False, 7, None)


async def test_a_mailbox_with_a_role_is_made_at_first_need_and_once(office: Office) -> None:
    made = await office.store.mailboxes.open_role(ALICE, Role.SENT)
    assert (made.name, made.role) == ("Sent", Role.SENT)
    assert await office.store.mailboxes.open_role(ALICE, Role.SENT) == made


async def test_a_mailbox_of_the_usual_name_takes_the_role(office: Office) -> None:
    mailbox = await office.mailbox("Trash")
    taken = await office.store.mailboxes.open_role(ALICE, Role.TRASH)
    assert (taken.id, taken.role) == (mailbox, Role.TRASH)


async def test_a_role_belongs_to_one_mailbox(office: Office) -> None:
    mailboxes = office.store.mailboxes
    junk = await mailboxes.create(ALICE, "Spam", role=Role.JUNK)
    with pytest.raises(MailboxExists):
        await mailboxes.create(ALICE, "More", role=Role.JUNK)
    assert (await mailboxes.open_role(ALICE, Role.JUNK)).id == junk.id
    assert {mailbox.name for mailbox in await mailboxes.list_all(ALICE)} == {"INBOX", "Spam"}


async def test_a_mailbox_with_children_stays(office: Office) -> None:
    mailboxes = office.store.mailboxes
    outer = await mailboxes.create(ALICE, "outer")
    inner = await mailboxes.create(ALICE, "inner", outer.id)
    with pytest.raises(MailboxHasChildren):
        await mailboxes.remove(ALICE, outer.id)
    await mailboxes.remove(ALICE, inner.id)
    await mailboxes.remove(ALICE, outer.id)
    with pytest.raises(NoSuchMailbox):
        await mailboxes.get(ALICE, outer.id)


async def test_a_mailbox_with_mail_goes_only_when_that_is_said(office: Office) -> None:
    mailbox = await office.mailbox()
    (added,) = await office.add(mailbox)
    with pytest.raises(MailboxNotEmpty):
        await office.store.mailboxes.remove(ALICE, mailbox, with_emails=False)
    await office.store.mailboxes.remove(ALICE, mailbox)
    with pytest.raises(NoSuchMailbox):
        await office.store.blobs.read(ALICE, added.email)
    assert (await office.store.quotas.usage(ALICE)).emails == 0


async def test_an_email_that_is_elsewhere_too_outlives_a_mailbox(office: Office) -> None:
    mailbox = await office.mailbox()
    (added,) = await office.add(mailbox, Role.INBOX)
    await office.store.mailboxes.remove(ALICE, mailbox)
    assert len(await office.read(added.email)) == added.size
    assert await office.uids(await office.inbox()) == [1]


async def test_a_mailbox_made_again_has_another_uidvalidity(office: Office) -> None:
    first = await office.get(await office.mailbox("again"))
    await office.add(first.id)
    await office.store.mailboxes.remove(ALICE, first.id)
    second = await office.get(await office.mailbox("again"))
    assert second.uidvalidity > first.uidvalidity
    assert second.id != first.id
    assert (second.uidnext, second.total) == (1, 0)


async def test_a_mailbox_of_another_account_is_not_there(office: Office) -> None:
    await office.mailbox("one", BOB)
    secret = await office.mailbox("secret", BOB)
    await office.add(secret, account=BOB)
    store = office.store
    for call in (
        store.mailboxes.get(ALICE, secret),
        store.mailboxes.update(ALICE, secret, MailboxUpdate(name="mine")),
        store.mailboxes.remove(ALICE, secret),
        store.mailboxes.create(ALICE, "below", secret),
        store.messages.snapshot(ALICE, secret),
        store.messages.expunge(ALICE, secret),
        store.changes.in_mailbox(ALICE, secret, (await office.get(secret, BOB)).created),
    ):
        with pytest.raises(NoSuchMailbox):
            await call
    assert (await office.get(secret, BOB)).total == 1


async def test_a_removed_account_is_unknown(office: Office) -> None:
    inbox = await office.inbox()
    await office.add()
    await office.control.remove_account(ALICE)
    with pytest.raises(NoSuchAccount):
        await office.store.mailboxes.list_all(ALICE)
    with pytest.raises(NoSuchAccount):
        await office.add()
    with pytest.raises(NoSuchAccount):
        await office.store.messages.snapshot(ALICE, inbox)
    assert await office.store.mailboxes.list_all(BOB)
