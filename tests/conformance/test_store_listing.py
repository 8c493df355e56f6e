"""What every message store lists for JMAP: as it is now, whatever was kept of it before (RFC 8621 §4.4)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from posthouse.message.mailbox import EmailId, MailboxId, Role
from posthouse.message.search import (
    All,
    And,
    Contains,
    Emails,
    HasAttachment,
    HasFlag,
    InMailbox,
    Larger,
    Not,
    Or,
    ReceivedAt,
    SearchKey,
    Side,
    SortBy,
    SortKey,
    Where,
)
from posthouse.ports.store import Enough, FlagMode
from tests.conformance.store_kit import ALICE, EVERY, Office, make_addition, open_memory, open_sqlite, uid_set

NEWEST = [SortBy(SortKey.ARRIVAL, is_descending=True)]
OLDEST = [SortBy(SortKey.ARRIVAL)]


async def listed(
    office: Office, program: SearchKey, sort: Sequence[SortBy] = NEWEST, *, collapses: bool = False
) -> list[int]:
    found = await office.store.search.list_emails(ALICE, program, sort, collapses=collapses)
    assert found.is_whole and len(found.threads) == len(found.emails)
    return list(found.emails)


async def put(office: Office, *mailboxes: MailboxId | Role, at: float, **letter: object) -> EmailId:
    addition = make_addition(*mailboxes, received=1_700_000_000.0 + at, **letter)
    return (await office.store.messages.add(ALICE, [addition]))[0].email


async def test_a_mailbox_is_listed_by_the_time_of_receiving(office: Office) -> None:
    inbox, work = await office.inbox(), await office.mailbox()
    two = await put(office, inbox, at=2)
    one = await put(office, inbox, work, at=1)
    three = await put(office, work, at=3)
    assert await listed(office, InMailbox(inbox)) == [two, one]
    assert await listed(office, InMailbox(inbox), OLDEST) == [one, two]
    assert await listed(office, InMailbox(work)) == [three, one]
    assert await listed(office, All()) == [three, two, one]
    assert await listed(office, InMailbox(MailboxId(99))) == []


async def test_equals_are_listed_by_id_whichever_way_it_goes(office: Office) -> None:
    inbox = await office.inbox()
    emails = [await put(office, inbox, at=at) for at in (1, 2, 2, 2, 3)]
    assert await listed(office, InMailbox(inbox)) == [emails[4], *emails[1:4], emails[0]]
    assert await listed(office, InMailbox(inbox), OLDEST) == emails
    assert await listed(office, All()) == [emails[4], *emails[1:4], emails[0]]


async def test_a_list_follows_what_comes_goes_and_changes(office: Office) -> None:
    inbox, work = await office.inbox(), await office.mailbox()
    one, two, three = [await put(office, inbox, at=at) for at in (1, 2, 3)]
    assert await listed(office, InMailbox(inbox)) == [three, two, one]
    four = await put(office, inbox, at=0)
    assert await listed(office, InMailbox(inbox)) == [three, two, one, four]
    await office.flag(inbox, uid_set(2), "\\Deleted")
    assert await listed(office, InMailbox(inbox)) == [three, one, four]
    await office.flag(inbox, uid_set(2), "\\Deleted", mode=FlagMode.REMOVE)
    assert await listed(office, InMailbox(inbox)) == [three, two, one, four]
    await office.store.messages.move(ALICE, inbox, uid_set(2, 3), ALICE, work)
    assert await listed(office, InMailbox(inbox)) == [one, four]
    assert await listed(office, InMailbox(work)) == [three, two]
    await office.store.messages.move(ALICE, work, uid_set(1, 2), ALICE, inbox)
    assert await listed(office, InMailbox(inbox)) == [three, two, one, four]
    assert await listed(office, InMailbox(work)) == []


async def test_a_small_mailbox_of_a_large_account_is_listed(office: Office) -> None:
    work = await office.mailbox()
    await office.add(count=20)
    one = await put(office, work, at=2, message_id="1@x", subject="tea")
    two = await put(office, work, at=1, references=("1@x",), subject="Re: tea")
    assert await listed(office, InMailbox(work)) == [one, two]
    assert await listed(office, InMailbox(work), collapses=True) == [one]


async def test_an_email_that_is_twice_in_a_mailbox_is_listed_once(office: Office) -> None:
    inbox = await office.inbox()
    one, two = [await put(office, inbox, at=at) for at in (1, 2)]
    assert await listed(office, InMailbox(inbox)) == [two, one]
    await office.store.messages.copy(ALICE, inbox, uid_set(1), ALICE, inbox)
    assert await listed(office, InMailbox(inbox)) == [two, one]
    await office.flag(inbox, uid_set(1), "\\Deleted")
    assert await listed(office, InMailbox(inbox)) == [two, one]
    await office.store.messages.expunge(ALICE, inbox)
    assert await listed(office, InMailbox(inbox)) == [two, one]


async def test_of_a_thread_the_first_in_the_order_is_listed(office: Office) -> None:
    inbox = await office.inbox()
    one = await put(office, inbox, at=1, message_id="1@x", subject="tea")
    two = await put(office, inbox, at=2, message_id="2@x", subject="cake")
    three = await put(office, inbox, at=3, references=("1@x",), subject="Re: tea")
    assert await listed(office, InMailbox(inbox), collapses=True) == [three, two]
    assert await listed(office, InMailbox(inbox), OLDEST, collapses=True) == [one, two]
    assert await listed(office, All(), collapses=True) == [three, two]


async def test_threads_that_became_one_are_listed_once(office: Office) -> None:
    inbox = await office.inbox()
    for number in (1, 2):
        await put(office, inbox, at=number, message_id=f"{number}@x", subject="tea")
    assert len(await listed(office, InMailbox(inbox), collapses=True)) == 2
    both = await put(office, Role.ARCHIVE, at=3, references=("1@x", "2@x"), subject="Re: tea")
    assert len(await listed(office, InMailbox(inbox), collapses=True)) == 1
    assert await listed(office, All(), collapses=True) == [both]


async def test_flags_are_those_of_all_placements_together(office: Office) -> None:
    inbox, work = await office.inbox(), await office.mailbox()
    one, two = await put(office, inbox, work, at=1), await put(office, inbox, at=2)
    await office.flag(inbox, EVERY, "\\Seen")
    await office.flag(work, uid_set(1), "\\Flagged", "Later")
    assert await listed(office, And((InMailbox(inbox), HasFlag("\\Seen")))) == [two]
    assert await listed(office, And((InMailbox(inbox), Not(HasFlag("\\Seen"))))) == [one]
    either = Or((HasFlag("later"), HasFlag("\\Seen")))
    assert await listed(office, And((InMailbox(inbox), either))) == [two, one]
    assert await listed(office, And((InMailbox(inbox), HasFlag("unknown")))) == []


async def test_what_is_deleted_everywhere_is_not_listed(office: Office) -> None:
    inbox, work = await office.inbox(), await office.mailbox()
    one = await put(office, inbox, work, at=1)
    await office.flag(inbox, uid_set(1), "\\Deleted")
    assert await listed(office, InMailbox(inbox)) == []
    assert await listed(office, InMailbox(work)) == [one] == await listed(office, All())
    await office.flag(work, uid_set(1), "\\Deleted")
    assert await listed(office, All()) == []


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_texts_are_looked_at_as_far_as_is_needed(office: Office, count: int) -> None:
    inbox = await office.inbox()
    emails = [await put(office, inbox, at=at, text=f"tea {at}\r\n") for at in range(60)]
    wanted = And((InMailbox(inbox), Contains(Where.BODY, "tea")))
    search = office.store.search
    found = await search.list_emails(ALICE, wanted, NEWEST, enough=Enough(count))
    assert list(found.emails)[:count] == emails[::-1][:count]
    behind = await search.list_emails(ALICE, wanted, NEWEST, enough=Enough(count, emails[20]))
    at = list(behind.emails).index(emails[20])
    assert list(behind.emails)[at : at + count] == emails[20::-1][:count]
    assert await listed(office, wanted) == emails[::-1]
    await put(office, inbox, at=99, text="tea\r\n")
    assert len(await listed(office, wanted)) == 61


async def test_a_search_that_goes_on_collapses_threads(office: Office) -> None:
    inbox = await office.inbox()
    await put(office, inbox, at=0, message_id="0@x", subject="tea", text="tea\r\n")
    for at in range(1, 30):
        await put(office, inbox, at=at, references=("0@x",), subject="Re: tea", text="tea\r\n")
    other = await put(office, inbox, at=-1, text="tea\r\n")
    wanted = Contains(Where.BODY, "tea")
    found = await office.store.search.list_emails(ALICE, wanted, NEWEST, collapses=True, enough=Enough(2))
    assert list(found.emails) == [30, other]


# -- any history, told the same by both stores


PROGRAMS: list[SearchKey] = [
    All(),
    InMailbox(MailboxId(1)),
    InMailbox(MailboxId(2)),
    And((InMailbox(MailboxId(1)), HasFlag("\\Seen"))),
    And((InMailbox(MailboxId(1)), Not(HasFlag("\\Seen")), Not(HasFlag("work")))),
    And((InMailbox(MailboxId(2)), Or((HasFlag("\\Flagged"), Not(HasFlag("\\Seen")))))),
    And((InMailbox(MailboxId(1)), InMailbox(MailboxId(2)))),
    And((InMailbox(MailboxId(1)), Not(InMailbox(MailboxId(2))))),
    And((InMailbox(MailboxId(1)), ReceivedAt(Side.SINCE, 1_700_000_005.0), Not(HasAttachment()))),
    And((InMailbox(MailboxId(1)), Larger(300), Emails(frozenset(map(EmailId, range(1, 40, 2)))))),
    And((InMailbox(MailboxId(1)), Not(Emails(frozenset(map(EmailId, range(1, 40, 2))))))),
    And((InMailbox(MailboxId(1)), Contains(Where.SUBJECT, "tea"), HasFlag("\\Seen"))),
    Contains(Where.SUBJECT, "number 1"),
    Or((HasFlag("\\Flagged"), Contains(Where.BODY, "rain"))),
]
SORTS = [NEWEST, OLDEST, [SortBy(SortKey.SUBJECT), SortBy(SortKey.ARRIVAL, is_descending=True)]]


async def take_step(office: Office, seed: int) -> None:
    """One of what happens to mailboxes; the same in every store."""
    chance = random.Random(seed)
    boxes = [MailboxId(1), MailboxId(2)]
    box, other = chance.sample(boxes, 2)
    uids = uid_set(*chance.sample(range(1, 25), 4))
    match chance.randrange(7):
        case 0 | 1:
            number = chance.randrange(8)
            into = boxes if chance.random() < 0.3 else [box]
            references = tuple(f"{chance.randrange(8)}@x" for _ in range(chance.randrange(3)))
            subject = chance.choice(["tea", "Re: tea", "number 1"])
            at = chance.randrange(10)
            await put(office, *into, at=at, message_id=f"{number}@x", references=references, subject=subject)
        case 2:
            mode = chance.choice([FlagMode.ADD, FlagMode.REMOVE])
            await office.flag(box, uids, chance.choice(["\\Seen", "\\Flagged", "Work"]), mode=mode)
        case 3:
            mode = chance.choice([FlagMode.ADD, FlagMode.REMOVE])
            await office.flag(box, uids, "\\Deleted", mode=mode)
        case 4:
            await office.store.messages.expunge(ALICE, box)
        case 5:
            await office.store.messages.move(ALICE, box, uids, ALICE, other)
        case _:
            await office.store.messages.copy(ALICE, box, uids, ALICE, chance.choice([box, other]))


async def describe(office: Office) -> list[object]:
    told: list[object] = []
    for program in PROGRAMS:
        for sort in SORTS:
            for collapses in (False, True):
                search = office.store.search
                found = await search.list_emails(ALICE, program, sort, collapses=collapses)
                part = await search.list_emails(ALICE, program, sort, collapses=collapses, enough=Enough(3))
                assert part.emails[:3] == found.emails[:3] and part.threads[:3] == found.threads[:3]
                assert not part.is_whole or part.emails == found.emails
                groups: dict[int, int] = {}
                threads = [groups.setdefault(thread, len(groups)) for thread in found.threads]
                told.append((program, sort, collapses, list(found.emails), threads))
    return told


@pytest.mark.parametrize("seed", range(6))
async def test_after_any_history_the_stores_list_the_same(tmp_path: Path, seed: int) -> None:
    async with open_memory(tmp_path) as one, open_sqlite(tmp_path) as other:
        for office in (one, other):
            await office.inbox()
            await office.mailbox()
        for step in range(40):
            for office in (one, other):
                await take_step(office, 1000 * seed + step)
            if step % 5 == 4:
                assert await describe(other) == await describe(one)
