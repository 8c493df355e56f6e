"""SEARCH, SORT, THREAD and what is around them, as clients see it."""

from __future__ import annotations

import pytest

from posthouse.access.imap.answers import Bad
from posthouse.access.imap.searching import note_progress
from posthouse.access.imap.searching_keys import Resolver
from posthouse.access.imap.threading_answers import write_threads
from posthouse.access.imap.uid_batches import cut_batches
from posthouse.message.search import All, Larger, Not, Or, ReceivedAt, SearchKey, Side
from posthouse.ms.thread_trees import Forest
from posthouse.ports.access import ConnectionLost
from posthouse.ports.store import FlagMode
from posthouse.protocol.imap.values import AllOf, AnyOf, ImapKey, NoneOf, Within
from tests.access.imap_kit import ALICE, BOB, Client, Office, letter, open_office

DONE = b"a OK Search completed\r\n"


async def enter(office: Office) -> Client:
    client = await office.enter()
    await client.select()
    return client


async def ask(client: Client, line: bytes) -> list[bytes]:
    """The untagged responses to a command that succeeds."""
    *lines, last = (await client.talk(b"a " + line)).split(b"\r\n")[:-1]
    assert last.startswith(b"a OK "), last
    return lines


async def four() -> Office:
    return await open_office(
        letter("one", "cat\n"), letter("two", "a cat and a cat\n"), letter("Re: one", "dog\n"), letter("three")
    )


@pytest.mark.parametrize(
    ("command", "response"),
    [
        (b"SEARCH ALL", b"* SEARCH 1 2 3 4"),
        (b"SEARCH SUBJECT one", b"* SEARCH 1 3"),
        (b"SEARCH SUBJECT nothing", b"* SEARCH"),
        (b"SEARCH OR SUBJECT two BODY dog", b"* SEARCH 2 3"),
        (b"SEARCH NOT (SUBJECT two) 2:3", b"* SEARCH 3"),
        (b"UID SEARCH UID 2:*", b"* SEARCH 2 3 4"),
        (b"SEARCH RETURN () SUBJECT one", b'* ESEARCH (TAG "a") ALL 1,3'),
        (b"SEARCH RETURN (MIN MAX COUNT) SUBJECT one", b'* ESEARCH (TAG "a") MIN 1 MAX 3 COUNT 2'),
        (b"SEARCH RETURN (MIN MAX COUNT ALL) SUBJECT nothing", b'* ESEARCH (TAG "a") COUNT 0'),
        (b"UID SEARCH RETURN (ALL) ALL", b'* ESEARCH (TAG "a") UID ALL 1:4'),
        (b"SEARCH RETURN (PARTIAL 2:3) ALL", b'* ESEARCH (TAG "a") PARTIAL (2:3 2:3)'),
        (b"SEARCH RETURN (PARTIAL -1:-2 COUNT) ALL", b'* ESEARCH (TAG "a") COUNT 4 PARTIAL (-1:-2 3:4)'),
        (b"SEARCH RETURN (PARTIAL -3:-9) ALL", b'* ESEARCH (TAG "a") PARTIAL (-3:-9 1:2)'),
        (b"UID SEARCH RETURN (PARTIAL 9:12) ALL", b'* ESEARCH (TAG "a") UID PARTIAL (9:12 NIL)'),
        (b"SEARCH RETURN (ALL RELEVANCY) FUZZY BODY cat", b'* ESEARCH (TAG "a") ALL 1:2 RELEVANCY (50 100)'),
        (b"SORT (REVERSE SUBJECT) UTF-8 ALL", b"* SORT 2 4 1 3"),
        (b"SORT (RELEVANCY) UTF-8 FUZZY BODY cat", b"* SORT 2 1"),
        (b"UID SORT RETURN (MIN MAX ALL) (SUBJECT) UTF-8 ALL", b'* ESEARCH (TAG "a") UID MIN 1 MAX 2 ALL 1,3,4,2'),
        (b"SORT RETURN (PARTIAL 1:2) (REVERSE SUBJECT) UTF-8 ALL", b'* ESEARCH (TAG "a") PARTIAL (1:2 2,4)'),
        (b"THREAD REFERENCES UTF-8 ALL", b"* THREAD (1 3)(2)(4)"),
        (b"UID THREAD ORDEREDSUBJECT UTF-8 2:3", b"* THREAD (2)(3)"),
        (b"THREAD REFS UTF-8 ALL", b"* THREAD (1)(2)(3)(4)"),
        (b"THREAD REFERENCES UTF-8 SUBJECT nothing", b"* THREAD"),
        (b"ESEARCH RETURN (MAX) ALL", b'* ESEARCH (TAG "a" MAILBOX "INBOX" UIDVALIDITY 1800000000) UID MAX 4'),
        (b"ESEARCH IN (selected) 2:3", b'* ESEARCH (TAG "a" MAILBOX "INBOX" UIDVALIDITY 1800000000) UID ALL 2:3'),
        (b"UIDBATCHES 500", b'* UIDBATCHES (TAG "a") 4:1'),
        (b"UIDBATCHES 500 2:9", b'* UIDBATCHES (TAG "a")'),
    ],
)  # fmt: skip
async def test_an_answer(command: bytes, response: bytes) -> None:
    assert await ask(await enter(await four()), command) == [response]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"SEARCH RETURN (PARTIAL 1:2 ALL) ALL", b"a BAD "),
        (b"SEARCH RETURN (RELEVANCY) BODY cat", b"a BAD "),
        (b"SEARCH 9", b"a BAD "),
        (b"UIDBATCHES 499", b"a NO [TOOFEW] "),
        (b"ESEARCH IN (personal) RETURN (SAVE) ALL", b"a BAD "),
        (b"ESEARCH IN (personal) 1", b"a BAD "),
        (b"SEARCH " + b"NOT (OR SEEN (DELETED ALL) " * 16 + b"ALL" + b")" * 16, b"a "),
        (b"SEARCH " + b"OR FROM a " * 40 + b"ALL", b"a OK "),
        (b"SEARCH " + b"NOT " * 40 + b"ALL", b"a OK "),
        (b"SEARCH " + b"NOT " * 900 + b"ALL", b"a OK "),
    ],
)
async def test_a_strange_search_is_answered(command: bytes, answer: bytes) -> None:
    last = (await (await enter(await four())).talk(b"a " + command)).split(b"\r\n")[-2]
    assert last.startswith(answer) and b"SERVERBUG" not in last


async def test_rev2_has_esearch_and_sort_stays_sort() -> None:
    client = await enter(await four())
    await ask(client, b"ENABLE IMAP4rev2")
    assert await ask(client, b"SEARCH SUBJECT one") == [b'* ESEARCH (TAG "a") ALL 1,3']
    assert await ask(client, b"SEARCH SUBJECT nothing") == [b'* ESEARCH (TAG "a")']
    assert await ask(client, b"SORT (SUBJECT) UTF-8 1") == [b"* SORT 1"]


async def test_modseqs_are_told_when_asked_for_and_about_what_is_returned() -> None:
    office = await four()
    client = await enter(office)
    await office.flag(4, "\\Seen")
    assert (await ask(client, b"SEARCH MODSEQ 1"))[-1] == b"* SEARCH 1 2 3 4 (MODSEQ 3)"
    assert await ask(client, b"SEARCH RETURN (MIN) MODSEQ 1") == [b'* ESEARCH (TAG "a") MIN 1 MODSEQ 2']
    assert await ask(client, b"SEARCH RETURN (MIN MAX) MODSEQ 1") == [b'* ESEARCH (TAG "a") MIN 1 MAX 4 MODSEQ 3']
    assert await ask(client, b"SEARCH MODSEQ 99") == [b"* SEARCH"]
    await office.flag(1, "\\Seen")  # CONDSTORE is on now
    assert await ask(client, b"NOOP") == [b"* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (4))"]


# -- what is new


async def test_what_came_is_told_before_it_is_found() -> None:
    office = await four()
    client = await enter(office)
    await office.add(letter("five"))
    assert await ask(client, b"SEARCH SUBJECT five") == [b"* 5 EXISTS", b"* SEARCH 5"]


async def test_what_went_keeps_its_number_until_a_search_is_over() -> None:
    office = await four()
    client = await enter(office)
    await office.expunge(2)
    assert await ask(client, b"SEARCH ALL") == [b"* SEARCH 1 3 4"]
    assert await ask(client, b"SORT (REVERSE ARRIVAL) UTF-8 ALL") == [b"* SORT 1 3 4"]
    assert await ask(client, b"UID SEARCH ALL") == [b"* 2 EXPUNGE", b"* SEARCH 1 3 4"]
    assert await ask(client, b"SEARCH ALL") == [b"* SEARCH 1 2 3"]


async def test_an_uid_only_client_searches_by_uid() -> None:
    office = await four()
    await office.expunge(1)
    client = await enter(office)
    await ask(client, b"ENABLE UIDONLY")
    assert await ask(client, b"UID SEARCH ALL") == [b"* SEARCH 2 3 4"]
    assert (await client.talk(b"a SEARCH ALL")).startswith(b"a BAD ")


# -- $


async def test_a_saved_result_is_used_by_other_commands() -> None:
    office = await four()
    client = await enter(office)
    assert await ask(client, b"SEARCH RETURN (SAVE) SUBJECT one") == []
    assert await ask(client, b"SEARCH $ BODY dog") == [b"* SEARCH 3"]
    assert await ask(client, b"FETCH $ UID") == [b"* 1 FETCH (UID 1)", b"* 3 FETCH (UID 3)"]
    await office.expunge(1)
    assert await ask(client, b"UID SEARCH RETURN (ALL) UID $") == [b"* 1 EXPUNGE", b'* ESEARCH (TAG "a") UID ALL 3']


@pytest.mark.parametrize(
    ("options", "saved"),
    [
        (b"SAVE", b"1:4"),
        (b"SAVE MIN", b"1"),
        (b"SAVE MAX", b"4"),
        (b"SAVE MIN MAX", b"1,4"),
        (b"SAVE MIN COUNT", b"1:4"),
        (b"SAVE MAX ALL", b"1:4"),
        (b"SAVE PARTIAL 2:3", b"2:3"),
        (b"SAVE PARTIAL 2:3 MAX", b"2:4"),
        (b"SAVE PARTIAL 2:3 COUNT", b"1:4"),
    ],
)
async def test_what_is_saved_depends_on_what_is_returned(options: bytes, saved: bytes) -> None:
    client = await enter(await four())
    await ask(client, b"SEARCH RETURN (" + options + b") ALL")
    assert await ask(client, b"UID SEARCH RETURN (ALL) $") == [b'* ESEARCH (TAG "a") UID ALL ' + saved]


async def test_a_refused_search_saves_nothing_and_a_wrong_one_leaves_what_was_saved() -> None:
    client = await enter(await four())
    await ask(client, b"SEARCH RETURN (SAVE) SUBJECT one")
    assert (await client.talk(b"a SEARCH RETURN (SAVE) 99")).startswith(b"a BAD ")
    assert await ask(client, b"SEARCH $") == [b"* SEARCH 1 3"]
    await ask(client, b"SEARCH RETURN (SAVE) SUBJECT nothing")
    assert await ask(client, b"SEARCH $") == [b"* SEARCH"]


# -- contexts


async def test_a_search_goes_on_telling_what_comes_and_what_leaves() -> None:
    office = await four()
    client = await enter(office)
    assert await ask(client, b"UID SEARCH RETURN (UPDATE COUNT) UNSEEN") == [b'* ESEARCH (TAG "a") UID COUNT 4']
    await office.flag(2, "\\Seen")
    assert await client.talk(b"b NOOP") == (
        b'* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n* ESEARCH (TAG "a") UID REMOVEFROM (0 2)\r\nb OK Completed\r\n'
    )
    await office.add(letter("new"))
    await office.flag(2, "\\Seen", mode=FlagMode.REMOVE)
    told = (await client.talk(b"b NOOP")).split(b"\r\n")
    assert told[0] == b"* 5 EXISTS" and b'* ESEARCH (TAG "a") UID ADDTO (0 2,5)' in told
    await office.expunge(3)
    told = (await client.talk(b"b NOOP")).split(b"\r\n")
    assert told[:2] == [b'* ESEARCH (TAG "a") UID REMOVEFROM (0 3)', b"* 3 EXPUNGE"]


async def test_a_sorted_context_tells_places() -> None:
    office = await open_office(letter("b"), letter("d"))
    client = await enter(office)
    await client.talk(b"s UID SORT RETURN (UPDATE ALL) (SUBJECT) UTF-8 ALL")
    await office.add(letter("c"), letter("a"), letter("e"))
    assert b'* ESEARCH (TAG "s") UID ADDTO (1 4 3 3 5 5)\r\n' in await client.talk(b"b NOOP")
    await office.expunge(3, 2)
    assert b'* ESEARCH (TAG "s") UID REMOVEFROM (4 2 3 3)\r\n' in await client.talk(b"b NOOP")


async def test_a_context_of_sequence_numbers_has_those_of_its_time() -> None:
    office = await four()
    client = await enter(office)
    await client.talk(b"s SEARCH RETURN (UPDATE) ALL")
    await office.expunge(1)
    assert (await client.talk(b"b NOOP")).startswith(b'* ESEARCH (TAG "s") REMOVEFROM (0 1)\r\n* 1 EXPUNGE\r\n')
    await office.add(letter("five"))
    assert b'* 4 EXISTS\r\n* ESEARCH (TAG "s") ADDTO (0 4)\r\n' in await client.talk(b"b NOOP")


async def test_a_context_ends_when_it_is_told_to() -> None:
    office = await four()
    client = await enter(office)
    await client.talk(b"s SEARCH RETURN (UPDATE) ALL")
    assert (await client.talk(b"s SEARCH RETURN (UPDATE) ALL")).startswith(b"s BAD ")
    await client.talk(b'b CANCELUPDATE "s"')
    await office.expunge(1)
    assert b"ESEARCH" not in await client.talk(b"b NOOP")
    await client.talk(b"s SEARCH RETURN (UPDATE) ALL", b"c UNSELECT", b"d SELECT INBOX")
    await office.expunge(2)
    assert b"ESEARCH" not in await client.talk(b"b NOOP")


async def test_too_many_contexts_are_refused_one_by_one() -> None:
    client = await enter(await four())
    for number in range(16):
        assert b"NOUPDATE" not in await client.talk(b"t%d SEARCH RETURN (UPDATE) ALL" % number)
    told = await client.talk(b"z SEARCH RETURN (UPDATE COUNT) ALL")
    assert b'* NO [NOUPDATE "z"] ' in told and b"COUNT 4" in told and b"\r\nz OK " in told


# -- several mailboxes


async def test_each_mailbox_that_has_something_answers() -> None:
    office = await four()
    archive = await office.store.mailboxes.create(ALICE, "Archive 2024")
    await office.store.mailboxes.create(ALICE, "Empty")
    await office.add(letter("one more"), into=archive.id)
    client = await office.enter()
    found = await ask(client, b"ESEARCH IN (personal) RETURN (COUNT ALL) SUBJECT one")
    assert found == [
        b'* ESEARCH (TAG "a" MAILBOX "INBOX" UIDVALIDITY 1800000000) UID COUNT 2 ALL 1,3',
        b'* ESEARCH (TAG "a" MAILBOX "Archive 2024" UIDVALIDITY %d) UID COUNT 1 ALL 1' % archive.uidvalidity,
    ]
    one = await ask(client, b'ESEARCH IN (mailboxes "Archive 2024") SUBJECT one')
    assert one == [found[1].replace(b"COUNT 1 ", b"")]
    assert (await client.talk(b"a ESEARCH IN (selected) ALL")).startswith(b"a BAD ")


async def test_a_mailbox_one_may_not_read_leaves_no_trace() -> None:
    """CVE-2026-47083."""
    office = await four()
    await office.add(letter("one of Bob's"), account=BOB)
    client = await office.enter()
    hidden, missing = [
        await client.talk(b'a ESEARCH IN (mailboxes "%b") RETURN (COUNT) SUBJECT one' % name)
        for name in (b"Other Users/bob@example.org/INBOX", b"Nothing of the kind")
    ]
    assert hidden == missing == DONE


# -- long searches


async def test_a_client_that_has_gone_ends_its_search() -> None:
    office = await four()
    client = await enter(office)
    client.wire.is_closing = True
    assert await client.talk(b"a SEARCH BODY cat") == b""
    assert office.log.events == []


# -- programs


def resolve(key: ImapKey) -> SearchKey:
    return Resolver(lambda numbered: (), 1_000.0, ALICE).resolve(key).key


def test_a_chain_of_ors_is_one_of_many_parts() -> None:
    key: ImapKey = All()
    for number in range(400):
        key = AnyOf((Larger(number), key))
    assert resolve(key) == Or((*map(Larger, reversed(range(400))), All()))


def test_what_is_nested_too_deeply_is_refused() -> None:
    key: ImapKey = Larger(1)
    for _ in range(100):
        key = NoneOf(AllOf((key, Larger(1))))
    with pytest.raises(Bad):
        resolve(key)


def test_two_negations_are_none() -> None:
    assert resolve(NoneOf(NoneOf(Larger(1)))) == Larger(1)
    assert resolve(NoneOf(NoneOf(NoneOf(Larger(1))))) == Not(Larger(1))


def test_so_long_ago_is_a_moment() -> None:
    assert resolve(Within(100, is_younger=True)) == ReceivedAt(Side.SINCE, 900.0)
    assert resolve(Within(100, is_younger=False)) == ReceivedAt(Side.BEFORE, 900.0)


# -- arithmetic


def test_batches_touch_and_end_at_one() -> None:
    uids = [3, 5, 8, 20, 21, 40, 41]
    assert cut_batches(uids, 3, 1, None) == [(41, 21), (20, 5), (4, 1)]
    assert cut_batches(uids, 3, 2, 2) == [(20, 5)]
    assert cut_batches(uids, 3, 4, 9) == []
    assert cut_batches(uids, 7, 1, 1) == [(41, 1)]
    assert cut_batches([], 3, 1, None) == []


def test_threads_are_written_as_in_the_rfc() -> None:
    """RFC 5256 §4."""
    forest = Forest([0, 1], {1: [2], 2: [3, 5], 3: [4], 5: [6], 6: [7]})
    assert write_threads(forest, [2, 3, 6, 4, 23, 44, 7, 96]) == b"* THREAD (2)(3 6 (4 23)(44 7 96))\r\n"
    assert write_threads(Forest([9], {9: [0, 1]}), [3, 5]) == b"* THREAD ((3)(5))\r\n"


def test_a_thread_may_be_very_deep() -> None:
    chain = Forest([0], {at: [at + 1] for at in range(49_999)})
    assert write_threads(chain, range(50_000)).count(b" ") == 50_001
    comb = Forest([0], {at: [at + 1, at + 2] for at in range(0, 30_000, 2)})
    assert write_threads(comb, range(30_001)).endswith(b")" * 15_000 + b"\r\n")


async def test_a_client_hears_of_a_long_search() -> None:
    office = await four()
    client = await enter(office)
    client.session.tag = b"x9"
    note = note_progress(client.session)
    client.session.start_progress()
    note(1, 9)
    assert client.wire.take() == b""
    office.clock.advance(6.0)
    note(4, 9)
    assert client.wire.take().startswith(b'* OK [INPROGRESS ("x9" 4 9)] ')
    client.wire.is_closing = True
    with pytest.raises(ConnectionLost):
        note(5, 9)
