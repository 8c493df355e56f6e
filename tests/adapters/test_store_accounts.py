"""An account's life in the store on SQLite, beyond what every store does: undelete, removal, keywords, threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_base import StoreOptions
from posthouse.message.mailbox import (
    AccountId,
    EmailId,
    Flag,
    MailboxId,
    ModSeq,
    Role,
    SubmissionId,
    ThreadId,
    UidRange,
    UidSet,
)
from posthouse.ports.clock import FakeClock
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import (
    Addition,
    Fields,
    FlagEdit,
    FlagMode,
    Grant,
    NewSubmission,
    NoSuchAccount,
    NoSuchMailbox,
    StoreError,
    SubmissionState,
    TooMany,
)
from tests.adapters.store_messages import (
    ACCOUNT,
    ALL,
    OTHER,
    fill,
    find_problems,
    make_addition,
    make_message,
    make_octets,
    open_store,
)

INBOX = MailboxId(1)
DAY = 86_400.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqliteStore]:
    async with open_store(tmp_path, clock) as made:
        yield made
    assert find_problems(tmp_path / "store") == []


def add_flags(*names: str) -> FlagEdit:
    return FlagEdit(FlagMode.ADD, frozenset(names))


def one(uid: int) -> UidSet:
    return (UidRange(uid, uid),)


async def remove(store: SqliteStore, uids: UidSet = ALL, mailbox: MailboxId = INBOX) -> None:
    await store.messages.set_flags(ACCOUNT, mailbox, uids, add_flags("\\Deleted"))
    await store.messages.expunge(ACCOUNT, mailbox)


async def uids(store: SqliteStore, mailbox: MailboxId = INBOX) -> list[int]:
    return list((await store.messages.snapshot(ACCOUNT, mailbox)).uids)


async def row_count(store: SqliteStore, table: str) -> int:
    def call(connection: object) -> int:
        return int(connection.execute(f"SELECT count(*) FROM {table}").get)  # type: ignore[attr-defined]

    return await store.core.shards[0].readers.run(call)


# -- expunged and back


async def test_what_was_expunged_comes_back_where_it_was_under_a_new_id(store: SqliteStore) -> None:
    work = (await store.mailboxes.create(ACCOUNT, "Work")).id
    (added,) = await store.messages.add(ACCOUNT, [make_addition(1, work, flags=frozenset(["$label", "\\Seen"]))])
    usage = await store.quotas.usage(ACCOUNT)
    await remove(store, mailbox=work)
    since = (await store.quotas.usage(ACCOUNT)).emails, await store.changes.modseq(ACCOUNT)
    assert since[0] == 0
    (back,) = await store.undelete(ACCOUNT, [added.email, EmailId(99)])
    assert back != added.email
    assert await uids(store, work) == [2]
    (row,) = await store.messages.load_emails(ACCOUNT, [back], Fields.DATES)
    table = await store.messages.keywords(ACCOUNT)
    assert set(table.flags_of(row.placements[work].flags)) == {"$label", "\\Seen"}
    assert row.thread == added.thread
    assert await store.quotas.usage(ACCOUNT) == usage
    assert (await store.changes.in_account(ACCOUNT, since[1])).created == [back]
    assert await store.undelete(ACCOUNT, [added.email]) == []


async def test_what_was_taken_back_from_scheduled_comes_back_as_a_draft(store: SqliteStore) -> None:
    submitted = await store.submissions.submit(ACCOUNT, scheduled(1))
    assert submitted.mailbox is not None and submitted.email is not None
    await remove(store, mailbox=submitted.mailbox)
    await store.undelete(ACCOUNT, [submitted.email])
    drafts = await store.mailboxes.open_role(ACCOUNT, Role.DRAFTS)
    assert await uids(store, drafts.id) == [1] and await uids(store, submitted.mailbox) == []


async def test_what_was_in_a_removed_mailbox_comes_back_to_the_inbox(store: SqliteStore) -> None:
    work = (await store.mailboxes.create(ACCOUNT, "Work")).id
    (added,) = await store.messages.add(ACCOUNT, [make_addition(1, work)])
    await store.mailboxes.remove(ACCOUNT, work)
    await store.undelete(ACCOUNT, [added.email])
    assert await uids(store) == [1]


async def test_after_the_undelete_time_nothing_of_an_email_is_left(store: SqliteStore, clock: FakeClock) -> None:
    added = await fill(store, 3)
    await remove(store, one(2))
    clock.advance(13 * DAY)
    await store.purge(clock.now())
    assert await row_count(store, "email") == 3
    clock.advance(2 * DAY)
    await store.purge(clock.now())
    assert await row_count(store, "email") == 2
    assert await row_count(store, "thread_ref") == 2
    assert await store.undelete(ACCOUNT, [added[1].email]) == []


# -- accounts


async def test_a_removed_account_is_unknown_at_once_and_erased_later(store: SqliteStore, clock: FakeClock) -> None:
    await fill(store, 3)
    await fill(store, 2, OTHER)
    await store.remove_account(ACCOUNT)
    for asked in (store.mailboxes.list_all(ACCOUNT), store.messages.snapshot(ACCOUNT, INBOX)):
        with pytest.raises(NoSuchAccount):
            await asked
    with pytest.raises(NoSuchAccount):
        await store.messages.add(ACCOUNT, [make_addition(9)])
    await store.purge(clock.now())
    assert await row_count(store, "email") == 5
    clock.advance(15 * DAY)
    await store.purge(clock.now())
    assert await row_count(store, "email WHERE account = 7") == 0
    assert await row_count(store, "account") == 1
    clock.advance(DAY)
    await store.purge(clock.now())
    assert await row_count(store, "body") == 2
    assert (await store.messages.snapshot(OTHER, INBOX)).uids.tolist() == [1, 2]


async def test_erasing_an_account_takes_what_others_granted_to_it_and_what_it_noted_there(
    store: SqliteStore, clock: FakeClock
) -> None:
    await store.sharing.set_grant(OTHER, INBOX, Grant(ACCOUNT, "lr"))
    await store.sharing.set_grant(ACCOUNT, INBOX, Grant(OTHER, "lr"))
    await store.annotations.write(OTHER, INBOX, ACCOUNT, {"/private/comment": b"his", "/shared/comment": b"ours"})
    await store.annotations.write(ACCOUNT, None, ACCOUNT, {"/private/comment": b"his"})
    await store.mailboxes.subscribe_name(ACCOUNT, "Gone", is_subscribed=True)
    await store.messages.add(ACCOUNT, [replace(make_addition(1), uidl="name")])
    await store.remove_account(ACCOUNT)
    assert await store.sharing.grants(OTHER, INBOX) == [Grant(ACCOUNT, "lr")]
    clock.advance(15 * DAY)
    await store.purge(clock.now())
    assert await store.sharing.all_grants(OTHER) == {}
    assert await store.annotations.read(OTHER, INBOX, ACCOUNT) == {"/shared/comment": b"ours"}
    for table, count in (("sharing", 0), ("annotation", 1), ("subscribed_name", 0), ("uidl", 0)):
        assert await row_count(store, table) == count


async def test_a_removed_account_can_be_restored_meanwhile(store: SqliteStore) -> None:
    await fill(store, 3)
    await store.remove_account(ACCOUNT)
    assert await store.restore_account(ACCOUNT)
    assert await uids(store) == [1, 2, 3]
    assert not await store.restore_account(ACCOUNT)


async def test_an_account_comes_into_being_with_an_inbox_by_being_asked_for(store: SqliteStore) -> None:
    assert [m.role for m in await store.mailboxes.list_all(AccountId(123))] == [Role.INBOX]


async def test_an_account_of_a_shard_that_is_not_there_is_refused(store: SqliteStore) -> None:
    store.core._locate = lambda account: 5
    with pytest.raises(NoSuchAccount):
        await store.messages.add(ACCOUNT, [make_addition(1)])


async def test_a_closed_store_refuses(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        pass
    with pytest.raises(StoreError):
        await store.messages.add(ACCOUNT, [make_addition(1)])


# -- UIDs


async def test_uidvalidity_is_never_used_twice_and_uids_never_fall(store: SqliteStore) -> None:
    seen = set()
    for _ in range(3):
        box = await store.mailboxes.create(ACCOUNT, "again")
        assert box.uidvalidity not in seen
        seen.add(box.uidvalidity)
        await store.mailboxes.remove(ACCOUNT, box.id)
    await fill(store, 3)
    await remove(store)
    (added,) = await store.messages.add(ACCOUNT, [make_addition(9)])
    assert added.uids == (4,)


async def test_uidvalidity_outlives_an_account_that_is_erased_and_made_again(tmp_path: Path, clock: FakeClock) -> None:
    async with open_store(tmp_path, clock) as store:
        first = (await store.mailboxes.get(ACCOUNT, INBOX)).uidvalidity
        await store.remove_account(ACCOUNT)
        clock.advance(15 * DAY)
        await store.purge(clock.now())
        assert (await store.mailboxes.get(ACCOUNT, INBOX)).uidvalidity > first


async def test_one_client_moves_and_another_expunges_the_same_message(store: SqliteStore) -> None:
    await fill(store, 1)
    work = (await store.mailboxes.create(ACCOUNT, "Work")).id
    await store.messages.set_flags(ACCOUNT, INBOX, one(1), add_flags("\\Deleted"))
    moved, gone = await asyncio.gather(
        store.messages.move(ACCOUNT, INBOX, one(1), ACCOUNT, work), store.messages.expunge(ACCOUNT, INBOX)
    )
    assert (moved.source, gone) == ((1,), ())
    assert await uids(store) == []
    assert await uids(store, work) == [1]


# -- keywords


async def test_an_unused_keyword_makes_room_for_another_and_a_used_one_does_not(store: SqliteStore) -> None:
    await fill(store, 57)
    for number in range(57):
        await store.messages.set_flags(ACCOUNT, INBOX, one(number + 1), add_flags(f"k{number}"))
    with pytest.raises(TooMany):
        await store.messages.set_flags(ACCOUNT, INBOX, one(1), add_flags("another"))
    await store.messages.set_flags(ACCOUNT, INBOX, one(8), FlagEdit(FlagMode.REMOVE, frozenset(["K7"])))
    await store.messages.set_flags(ACCOUNT, INBOX, one(1), add_flags("another"))
    table = await store.messages.keywords(ACCOUNT)
    assert table.names[7] == "another"
    snapshot = await store.messages.snapshot(ACCOUNT, INBOX)
    assert [table.flags_of(bits) for bits in snapshot.flags[:2]] == [["k0", "another"], ["k1"]]


async def test_a_keyword_that_nothing_gets_is_not_made(store: SqliteStore) -> None:
    await fill(store, 2)
    changed = await store.messages.set_flags(ACCOUNT, INBOX, one(1), add_flags("known"))
    late = FlagEdit(FlagMode.ADD, frozenset(["late"]), ModSeq(changed.modseq - 1))
    assert (await store.messages.set_flags(ACCOUNT, INBOX, one(1), late)).modified == one(1)
    assert (await store.messages.keywords(ACCOUNT)).names == ("known",)
    assert (await store.messages.set_flags(ACCOUNT, INBOX, (UidRange(1, 2),), late)).changed == one(2)
    assert (await store.messages.keywords(ACCOUNT)).names == ("known", "late")


# -- threads


def letter(number: int, subject: str, *references: int) -> Addition:
    octets = make_octets(number)
    message = make_message(number, octets, subject=subject, references=[f"{n}@x" for n in references])
    return make_addition(number, message=message)


async def threads(store: SqliteStore) -> dict[int, int]:
    rows = await store.messages.load(ACCOUNT, INBOX, ALL, Fields.DATES)
    return {int(row.email): int(row.thread) for row in rows}


@pytest.mark.parametrize("at_once", [False, True])
async def test_an_email_that_shows_two_threads_to_be_one_merges_them(store: SqliteStore, at_once: bool) -> None:
    letters = [letter(1, "s"), letter(2, "s"), letter(3, "s", 2), letter(4, "other", 1), letter(5, "s", 1, 3)]
    if at_once:
        await store.messages.add(ACCOUNT, letters)
        since = ModSeq(0)
    else:
        for one_letter in letters[:4]:
            await store.messages.add(ACCOUNT, [one_letter])
        assert await threads(store) == {1: 1, 2: 2, 3: 2, 4: 4}
        since = await store.changes.modseq(ACCOUNT)
        await store.messages.add(ACCOUNT, [letters[4]])
    assert await threads(store) == {1: 1, 2: 1, 3: 1, 4: 4, 5: 1}
    found = await store.messages.thread(ACCOUNT, [ThreadId(1), ThreadId(2), ThreadId(4)])
    assert found == {1: [1, 2, 3, 5], 4: [4]}
    changes = await store.changes.in_account(ACCOUNT, since)
    if not at_once:
        assert (changes.created, changes.updated, changes.threads_changed) == ([5], [2, 3], [1, 2])
    await store.messages.add(ACCOUNT, [letter(6, "s", 2)])
    assert (await threads(store))[6] == 1


async def test_threads_of_accounts_are_their_own(store: SqliteStore) -> None:
    await store.messages.add(ACCOUNT, [letter(1, "s"), letter(2, "s", 1)])
    (added,) = await store.messages.add(OTHER, [letter(3, "s", 1)])
    assert added.thread == 1
    assert await store.messages.thread(OTHER, [ThreadId(1)]) == {1: [1]}


# -- changes


async def test_old_changes_are_forgotten_and_said_to_be(tmp_path: Path, clock: FakeClock) -> None:
    async with open_store(tmp_path, clock) as store:
        store.core.options = StoreOptions(kept_changes=20)
        await fill(store, 1)
        since = await store.changes.modseq(ACCOUNT)
        for _ in range(20):
            for mode in (FlagMode.ADD, FlagMode.REMOVE):
                await store.messages.set_flags(ACCOUNT, INBOX, one(1), FlagEdit(mode, frozenset(["\\Seen"])))
        recent = await store.changes.modseq(ACCOUNT)
        assert (await store.changes.in_mailbox(ACCOUNT, INBOX, since)).is_complete
        await store.purge(clock.now())
        assert not (await store.changes.in_mailbox(ACCOUNT, INBOX, since)).is_complete
        assert not (await store.changes.in_account(ACCOUNT, since)).is_complete
        assert (await store.changes.in_mailbox(ACCOUNT, INBOX, recent)).is_complete
        assert len((await store.messages.snapshot(ACCOUNT, INBOX)).uids) == 1


async def test_a_kept_snapshot_follows_every_change(store: SqliteStore, tmp_path: Path) -> None:
    await fill(store, 20)
    await uids(store)
    await store.messages.set_flags(ACCOUNT, INBOX, (UidRange(3, 5), UidRange(9, 9)), add_flags("\\Flagged"))
    await remove(store, one(7))
    await store.messages.copy(ACCOUNT, INBOX, one(3), ACCOUNT, INBOX)
    kept = await store.messages.snapshot(ACCOUNT, INBOX)
    assert await store.messages.snapshot(ACCOUNT, INBOX) is kept
    async with open_store(tmp_path) as fresh:
        assert await fresh.messages.snapshot(ACCOUNT, INBOX) == kept
    assert kept.uids.tolist() == [*range(1, 7), *range(8, 22)]
    assert [uid for uid, flags in zip(kept.uids, kept.flags, strict=True) if flags & Flag.FLAGGED] == [3, 4, 5, 9, 21]


async def test_snapshots_are_kept_within_bounds(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        store.core.options = StoreOptions(cached_placements=10)
        for number in range(1, 6):
            await fill(store, 4, AccountId(number))
            await store.messages.snapshot(AccountId(number), INBOX)
        assert store._snapshots._placements <= 10


# -- scheduled mail


def scheduled(number: int) -> NewSubmission:
    return NewSubmission(
        b"envelope",
        ("x@example.net",),
        InlineBody(b"wire"),
        SubmissionState.PENDING,
        0,
        filed=make_addition(number, Role.SCHEDULED),
        send_at=2e9,
    )


async def test_mail_that_leaves_scheduled_is_not_sent(store: SqliteStore) -> None:
    states = []
    for number in range(1, 6):
        submitted = await store.submissions.submit(ACCOUNT, scheduled(number))
        assert submitted.mailbox is not None
        assert submitted.email is not None
        box, uid = submitted.mailbox, one(submitted.uid or 0)
        if number == 1:
            await store.messages.move(ACCOUNT, box, uid, ACCOUNT, INBOX)
        elif number == 2:
            await remove(store, uid, box)
        elif number == 3:
            await store.messages.place(ACCOUNT, submitted.email, [INBOX], [box])
        elif number == 4:
            await store.submissions.change(ACCOUNT, submitted.id, SubmissionState.QUEUED)
            await store.messages.move(ACCOUNT, box, uid, ACCOUNT, INBOX)
        found = await store.submissions.get(ACCOUNT, submitted.id)
        assert found is not None
        states.append(found.state.value)
    assert states == ["canceled", "canceled", "canceled", "queued", "pending"]
    assert [s.id for s in await store.submissions.due([0], 3e9, 10)] == [5]
    with pytest.raises(StoreError):
        await store.submissions.wire(ACCOUNT, SubmissionId(1))


async def test_a_refused_submission_leaves_nothing(store: SqliteStore) -> None:
    with pytest.raises(NoSuchMailbox):
        await store.submissions.submit(
            ACCOUNT,
            NewSubmission(b"e", ("x@y",), InlineBody(b"w"), SubmissionState.PENDING, 0, existing=EmailId(77)),
        )
    assert await store.submissions.list_newest(ACCOUNT) == []
    assert await row_count(store, "body") == 0
