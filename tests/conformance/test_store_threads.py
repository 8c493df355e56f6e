"""Where threads are: of all of them, and of those that something happened to."""

from __future__ import annotations

from posthouse.message.mailbox import AccountId, EmailId, MailboxId, Role, ThreadId
from posthouse.ports.store_threads import ThreadPlaces
from tests.conformance.store_kit import ALICE, BOB, Office, make_addition, uid_set

NOBODY = ThreadPlaces()


async def all_places(office: Office, account: AccountId = ALICE) -> tuple[dict[MailboxId, int], dict[MailboxId, int]]:
    """How many in each mailbox, and how many unread."""
    return count(await office.store.threads.places(account))


def count(places: ThreadPlaces) -> tuple[dict[MailboxId, int], dict[MailboxId, int]]:
    there, unread = (
        {mailbox: len(threads) for mailbox, threads in found.items() if threads}
        for found in (places.there, places.unread)
    )
    return there, unread


async def test_an_empty_account_has_no_threads(office: Office) -> None:
    assert await all_places(office) == ({}, {})


async def test_emails_of_one_thread_count_once_in_each_mailbox(office: Office) -> None:
    inbox, work = await office.inbox(), await office.mailbox()
    await office.add(addition=make_addition(subject="tea", message_id="a@x"))
    await office.add(addition=make_addition(subject="tea", message_id="b@x", references=("a@x",)))
    await office.add(work, addition=make_addition(subject="tea", message_id="c@x", references=("a@x",)))
    await office.add(addition=make_addition(subject="other", message_id="d@x"))
    assert await all_places(office) == ({inbox: 2, work: 1}, {inbox: 2, work: 1})
    assert await all_places(office, BOB) == ({}, {})


async def test_read_emails_drafts_and_deleted_ones(office: Office) -> None:
    inbox = await office.inbox()
    await office.add(count=4)
    await office.flag(inbox, uid_set(1), "\\Seen")
    await office.flag(inbox, uid_set(2), "\\Draft")
    await office.flag(inbox, uid_set(3), "\\Deleted")
    assert await all_places(office) == ({inbox: 3}, {inbox: 1})


async def test_more_threads_than_are_read_at_once(office: Office) -> None:
    inbox = await office.inbox()
    await office.add(count=300)
    await office.add(addition=make_addition(subject="tea", message_id="a@x"))
    for number in range(20):
        await office.add(addition=make_addition(subject="tea", message_id=f"{number}@x", references=("a@x",)))
    assert await all_places(office) == ({inbox: 301}, {inbox: 301})


async def test_where_the_threads_of_some_emails_are_now(office: Office) -> None:
    inbox = await office.inbox()
    sent = (await office.store.mailboxes.open_role(ALICE, Role.SENT)).id
    first = (await office.add(addition=make_addition(subject="tea", message_id="a@x")))[0]
    other = (await office.add(addition=make_addition(subject="other", message_id="d@x")))[0]
    answer = make_addition(subject="tea", message_id="b@x", references=("a@x",), flags=frozenset({"\\Seen"}))
    second = (await office.add(sent, addition=answer))[0]
    threads, places = await office.store.threads.places_of(ALICE, [], [second.email, EmailId(999)])
    assert threads == {first.thread}
    assert places.there == {inbox: {first.thread}, sent: {first.thread}}
    assert count(places)[1] == {inbox: 1}
    threads, places = await office.store.threads.places_of(ALICE, [other.thread, ThreadId(999)], [])
    assert threads == {other.thread, ThreadId(999)}
    assert count(places) == ({inbox: 1}, {inbox: 1})
    assert (await office.store.threads.places_of(BOB, [first.thread], []))[1] == NOBODY


async def test_a_thread_that_was_merged_is_nowhere(office: Office) -> None:
    inbox = await office.inbox()
    one = (await office.add(addition=make_addition(subject="tea", message_id="a@x")))[0]
    two = (await office.add(addition=make_addition(subject="tea", message_id="b@x")))[0]
    await office.add(addition=make_addition(subject="tea", message_id="c@x", references=("a@x", "b@x")))
    _, places = await office.store.threads.places_of(ALICE, [one.thread, two.thread], [])
    assert places.there == {inbox: {one.thread}}
    assert await all_places(office) == ({inbox: 1}, {inbox: 1})


async def test_threads_that_name_a_message(office: Office) -> None:
    one = (await office.add(addition=make_addition(subject="tea", message_id="a@x")))[0]
    report = make_addition(subject="Undelivered", message_id="b@x", references=("a@x",))
    two = (await office.add(addition=report))[0]
    await office.add(addition=make_addition(subject="tea", message_id="c@x"))
    assert set(await office.store.threads.naming(ALICE, "a@x")) == {one.thread, two.thread}
    assert await office.store.threads.naming(ALICE, "nothing@x") == []
    assert await office.store.threads.naming(BOB, "a@x") == []
