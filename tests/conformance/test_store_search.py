"""What every message store finds, and in which order."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from posthouse.message.mailbox import MailboxId, ModSeq, Role, ThreadId, Uid
from posthouse.message.search import (
    All,
    And,
    Contains,
    Emails,
    HasAttachment,
    HasFlag,
    HasHeader,
    InMailbox,
    InThread,
    Larger,
    ModifiedSince,
    Not,
    Or,
    Received,
    ReceivedAt,
    Saved,
    SearchKey,
    SentOn,
    Side,
    Smaller,
    SortBy,
    SortKey,
    Uids,
    Where,
)
from posthouse.ms.search import day_of
from posthouse.ms.thread_trees import ThreadBy
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import FlagEdit, FlagMode, NoSuchMailbox
from tests.conformance.store_kit import ALICE, BOB, EVERY, Office, make_addition, uid_set


async def find(office: Office, program: SearchKey, *sort: SortBy, mailbox: MailboxId | None = None) -> list[int]:
    inbox = mailbox or await office.inbox()
    result = await office.store.search.search(ALICE, program, inbox, sort)
    assert len(result.uids) == len(result.emails)
    return list(result.uids)


async def find_emails(office: Office, program: SearchKey, *sort: SortBy) -> list[int]:
    result = await office.store.search.search(ALICE, program, None, sort)
    assert result.uids == []
    return list(result.emails)


async def fill(office: Office) -> None:
    """Three emails: UIDs 1, 2, 3."""
    for addition in (
        make_addition(subject="Budget für Zürich", text="The Cat sat on the mat.\r\n", sender="Ann <ann@example.com>"),
        make_addition(subject="Re: budget", text="dogs only, 100%\r\n" * 40, sender="Zoë <zoe@example.net>"),
        make_addition(subject="lunch_time", text="cats & dogs\r\n", sender="ann.other@example.org"),
    ):
        await office.add(addition=addition)


@pytest.mark.parametrize(
    ("program", "found"),
    [
        (All(), [1, 2, 3]),
        (Not(All()), []),
        (Contains(Where.SUBJECT, "BUDGET"), [1, 2]),
        (Contains(Where.SUBJECT, "ZÜRICH"), [1]),
        (Contains(Where.SUBJECT, "zu\u0308rich"), [1]),
        (Contains(Where.SUBJECT, "_"), [3]),
        (Contains(Where.SUBJECT, "h_t"), [3]),
        (Contains(Where.SUBJECT, "hxt"), []),
        (Contains(Where.BODY, "100%"), [2]),
        (Contains(Where.BODY, "0%0"), []),
        (Contains(Where.BODY, "cat"), [1, 3]),
        (Contains(Where.BODY, "at s"), [1]),
        (Contains(Where.BODY, '"'), []),
        (Contains(Where.BODY, "ca"), [1, 3]),
        (Contains(Where.BODY, "s & d"), [3]),
        (Contains(Where.BODY, "budget"), []),
        (Contains(Where.TEXT, "budget"), [1, 2]),
        (Contains(Where.TEXT, "mat"), [1]),
        (Contains(Where.TEXT, "return-path"), [1, 2, 3]),
        (Contains(Where.FROM, "ZOË"), [2]),
        (Contains(Where.FROM, "ann"), [1, 3]),
        (Contains(Where.TO, "bob@"), [1, 2, 3]),
        (Contains(Where.CC, "bob@"), []),
        (Contains(Where.SUBJECT, ""), [1, 2, 3]),
        (HasHeader("subject"), [1, 2, 3]),
        (HasHeader("Delivered-To", "ALICE"), [1, 2, 3]),
        (HasHeader("Subject", "lunch"), [3]),
        (HasHeader("X-None"), []),
        (HasAttachment(), []),
        (And((Contains(Where.BODY, "cat"), Contains(Where.BODY, "dog"))), [3]),
        (Or((Contains(Where.BODY, "mat"), Contains(Where.BODY, "only"))), [1, 2]),
        (And((Contains(Where.BODY, "cat"), Not(Contains(Where.BODY, "dog")))), [1]),
        (Not(Or((Contains(Where.BODY, "cat"), Contains(Where.SUBJECT, "re:")))), []),
        (Or((Uids(uid_set(3)), Contains(Where.BODY, "only"))), [2, 3]),
        (And(()), [1, 2, 3]),
        (Or(()), []),
        (Uids(uid_set(2, 3, 99)), [2, 3]),
        (Larger(700), [2]),
        (Smaller(700), [1, 3]),
    ],
)
async def test_a_program_finds_what_it_says(office: Office, program: SearchKey, found: list[int]) -> None:
    await fill(office)
    assert await find(office, program) == found
    if not isinstance(program, Uids) and "Uids" not in repr(program):
        assert await find_emails(office, program) == found


async def test_text_is_decoded_before_it_is_searched(office: Office) -> None:
    addition = make_addition(subject="x")
    header = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: text/html\r\n\r\n"
    body = b"<p>caf=C3=A9 <b>no=\r\nir</b></p>\r\n"
    part = replace(
        addition.message.parts[0],
        header=0,
        body=len(header),
        end=len(header + body),
        type="text/html",
        encoding="quoted-printable",
    )
    message = replace(
        addition.message, subject="Grüße", header_size=len(header), parts=(part,), size=len(header + body)
    )
    await office.add(addition=replace(addition, body=InlineBody(header + body), message=message))
    for program in (
        Contains(Where.BODY, "CAFÉ"),
        Contains(Where.BODY, "noir"),
        Contains(Where.SUBJECT, "grüsse"),
        HasHeader("Subject", "grüße"),
        Contains(Where.TEXT, "Grüße"),
    ):
        assert await find(office, program) == [1], program
    for program in (Contains(Where.BODY, "<b>"), Contains(Where.BODY, "=C3")):
        assert await find(office, program) == [], program


async def test_flags_are_found_by_name_in_any_case(office: Office) -> None:
    await fill(office)
    inbox = await office.inbox()
    await office.flag(inbox, uid_set(2), "\\Seen", "$Work")
    assert await find(office, HasFlag("\\SEEN")) == [2]
    assert await find(office, Not(HasFlag("\\Seen"))) == [1, 3]
    assert await find(office, HasFlag("$work")) == [2]
    assert await find(office, HasFlag("$never")) == []
    assert await find(office, Not(HasFlag("$never"))) == [1, 2, 3]


async def test_seen_is_searched_as_the_reader_sees_it(office: Office) -> None:
    await fill(office)
    inbox = await office.inbox()
    edit = FlagEdit(FlagMode.ADD, frozenset({"\\Seen"}))
    await office.store.messages.set_flags(ALICE, inbox, uid_set(2), edit, viewer=BOB)
    result = await office.store.search.search(ALICE, HasFlag("\\Seen"), inbox, viewer=BOB)
    assert result.uids == [2]
    assert await find(office, HasFlag("\\Seen")) == []


async def test_days_are_those_of_the_message_s_own_clock(office: Office) -> None:
    # 2023-11-14 22:13:20 UTC; at +01:00 and later it was the 15th from 23:00 UTC on.
    await office.add(addition=make_addition(received=1_700_004_000.0, zone_minutes=60))  # 00:20 on the 15th there
    await office.add(addition=make_addition(received=1_700_004_000.0, zone_minutes=0))
    the_15th = date(2023, 11, 15)
    assert await find(office, Received(Side.ON, the_15th)) == [1]
    assert await find(office, Received(Side.BEFORE, the_15th)) == [2]
    assert await find(office, Received(Side.SINCE, the_15th)) == [1]
    assert await find(office, ReceivedAt(Side.SINCE, 1_700_004_000.0)) == [1, 2]
    assert await find(office, ReceivedAt(Side.BEFORE, 1_700_004_000.0)) == []
    assert await find(office, SentOn(Side.ON, date(2023, 11, 14))) == [1, 2]
    assert await find(office, SentOn(Side.BEFORE, date(2023, 11, 14))) == []


async def test_a_date_field_counts_in_its_own_zone(office: Office) -> None:
    addition = make_addition()
    octets = (addition.body.inline or b"").replace(
        b"Tue, 14 Nov 2023 22:13:20 +0000", b"Wed, 15 Nov 2023 09:13:20 +1100"
    )
    await office.add(addition=replace(addition, body=InlineBody(octets)))
    assert await find(office, SentOn(Side.ON, date(2023, 11, 15))) == [1]
    assert await find(office, SentOn(Side.ON, date(2023, 11, 14))) == []


async def test_saved_is_when_it_came_into_this_mailbox(office: Office) -> None:
    await office.add()
    before = day_of(office.clock.now())
    office.clock.advance(3 * 86400)
    work = await office.mailbox()
    await office.store.messages.copy(ALICE, await office.inbox(), EVERY, ALICE, work)
    assert await find(office, Saved(Side.ON, before)) == [1]
    assert await find(office, Saved(Side.ON, before), mailbox=work) == []
    assert await find(office, Not(Saved(Side.BEFORE, before)), mailbox=work) == [1]


async def test_modseqs_are_searched(office: Office) -> None:
    await fill(office)
    inbox = await office.inbox()
    modseq = (await office.flag(inbox, uid_set(2), "\\Seen")).modseq
    assert await find(office, ModifiedSince(modseq)) == [2]
    assert await find(office, ModifiedSince(ModSeq(modseq + 1))) == []


async def test_a_whole_account_is_searched_each_email_once(office: Office) -> None:
    work = await office.mailbox()
    (both,) = await office.add(work, Role.INBOX)
    (one,) = await office.add(Role.SENT)
    (hidden,) = await office.add(Role.TRASH)
    await office.flag(hidden.mailboxes[0], EVERY, "\\Deleted")
    assert await find_emails(office, All()) == [both.email, one.email]
    assert await find_emails(office, InMailbox(work)) == [both.email]
    assert await find_emails(office, Not(InMailbox(work))) == [one.email]
    assert await find_emails(office, InMailbox(hidden.mailboxes[0])) == []
    assert await find_emails(office, InThread(one.thread)) == [one.email]
    assert await find_emails(office, InThread(ThreadId(4711))) == []
    assert await find_emails(office, Emails(frozenset({both.email, hidden.email}))) == [both.email]
    assert await find_emails(office, Uids(EVERY)) == []


async def test_the_keywords_of_several_placements_are_merged(office: Office) -> None:
    (added,) = await office.add(Role.INBOX, Role.ARCHIVE)
    await office.flag(added.mailboxes[0], EVERY, "\\Seen", "$Work")
    assert await find_emails(office, HasFlag("$Work")) == [added.email]
    assert await find_emails(office, HasFlag("\\Seen")) == []
    await office.flag(added.mailboxes[1], EVERY, "\\Seen")
    assert await find_emails(office, HasFlag("\\Seen")) == [added.email]


async def test_a_search_in_another_account_leaks_nothing_not_even_a_count(office: Office) -> None:
    await office.mailbox("one", BOB)
    secret = await office.mailbox("secret", BOB)
    (added,) = await office.add(secret, account=BOB, addition=make_addition(subject="payroll"))
    programs: tuple[SearchKey, ...] = (All(), Contains(Where.TEXT, "payroll"))
    for program in programs:
        with pytest.raises(NoSuchMailbox):
            await office.store.search.search(ALICE, program, secret)
    programs += (InMailbox(secret), Emails(frozenset({added.email})), InThread(added.thread))
    for program in programs:
        assert await find_emails(office, program) == []


async def test_listing_and_sorting_return_every_message(office: Office) -> None:
    inbox = await office.inbox()
    count = 2_934
    for start in range(0, count, 489):
        await office.store.messages.add(
            ALICE, [make_addition(subject=f"s{n % 7}", sent=float(n % 11)) for n in range(start, start + 489)]
        )
    everything = list(range(1, count + 1))
    assert await office.uids(inbox) == everything
    for sort in (
        [],
        [SortBy(SortKey.SUBJECT)],
        [SortBy(SortKey.DATE, is_descending=True)],
        [SortBy(SortKey.RELEVANCY)],
    ):
        assert sorted(await find(office, All(), *sort)) == everything
        assert len(await find_emails(office, All(), *sort)) == count
    assert len(await find(office, Contains(Where.SUBJECT, "s3"))) == len(everything) // 7 + (count % 7 > 3)


async def test_equals_stay_in_the_order_of_uids_upward_and_downward(office: Office) -> None:
    for subject, sent in (("b", 3.0), ("a", 2.0), ("B", 1.0), ("a", None)):
        await office.add(addition=make_addition(subject=subject, sent=sent, received=2.5))
    by_subject, downward = SortBy(SortKey.SUBJECT), SortBy(SortKey.SUBJECT, is_descending=True)
    assert await find(office, All(), by_subject) == [2, 4, 1, 3]
    assert await find(office, All(), downward) == [1, 3, 2, 4]
    assert await find(office, All(), by_subject, SortBy(SortKey.DATE)) == [2, 4, 3, 1]
    assert await find(office, All(), SortBy(SortKey.DATE)) == [3, 2, 4, 1]
    assert await find(office, All(), SortBy(SortKey.ARRIVAL, is_descending=True)) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("key", "order"),
    [
        (SortKey.SIZE, [3, 1, 2]),
        (SortKey.FROM, [1, 3, 2]),
        (SortKey.SUBJECT, [2, 1, 3]),
        (SortKey.TO, [1, 2, 3]),
        (SortKey.CC, [1, 2, 3]),
        (SortKey.DISPLAY_FROM, [1, 3, 2]),
        (SortKey.DISPLAY_TO, [1, 2, 3]),
    ],
)
async def test_every_sort_key_orders(office: Office, key: SortKey, order: list[int]) -> None:
    await fill(office)
    assert await find(office, All(), SortBy(key)) == order


async def test_the_most_relevant_comes_first(office: Office) -> None:
    for text in ("a cat.\r\n", "cat cat cat cat\r\n", "no pets at all\r\n"):
        await office.add(addition=make_addition(text=text))
    assert await find(office, Contains(Where.BODY, "cat", is_fuzzy=True), SortBy(SortKey.RELEVANCY)) == [2, 1]


async def test_threading_gets_what_it_asks_for(office: Office) -> None:
    inbox = await office.inbox()
    for number in range(3):
        await office.add(addition=make_addition(message_id=f"{number}@x", references=("root@x",), subject="Re: x"))
    uids, forest = await office.store.search.threads(ALICE, inbox, [Uid(1), Uid(3), Uid(99)], ThreadBy.REFERENCES)
    assert uids == [1, 3]
    (root,) = forest.roots
    assert root not in (0, 1) and list(forest.children[root]) == [0, 1]
