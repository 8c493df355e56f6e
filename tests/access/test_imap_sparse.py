"""Large mailboxes, selected by their counters alone: whatever comes first is as with a small one."""

from __future__ import annotations

import pytest

from tests.access.imap_kit import ALICE, Client, Office, letter, open_office

ONE = letter("one")


async def start(*, others: int = 0) -> tuple[Office, Client]:
    """Three messages, of which no array was read."""
    office = await open_office(ONE, ONE, ONE, large_mailbox=2)
    client = await office.enter()
    await client.select()
    assert is_unread(client)
    return office, client


def is_unread(client: Client) -> bool:
    return client.session.mailbox.unread is not None


async def test_select_tells_the_counters() -> None:
    _office, client = await start()
    answer = await client.select()
    assert b"* 3 EXISTS\r\n" in answer and b"[UIDNEXT 4] " in answer and b"[UNSEEN" not in answer


async def test_new_mail_is_told_without_reading_it_all() -> None:
    office, client = await start()
    await client.talk(b"i IDLE")
    await office.add(ONE)
    assert await client.hear() == b"* 4 EXISTS\r\n"
    await office.add(ONE, ONE)
    assert await client.hear() == b"* 6 EXISTS\r\n"
    assert is_unread(client)
    await client.say(b"DONE\r\n")
    assert await client.talk(b"a FETCH 6 UID") == b"* 6 FETCH (UID 6)\r\na OK Fetched\r\n"


async def test_what_others_expunged_and_changed_is_told() -> None:
    office, client = await start()
    await client.talk(b"i IDLE")
    await office.flag(1, "\\Seen")
    assert await client.hear() == b""  # of that message the client knows nothing
    await office.flag(1, "$Work")
    assert (await client.hear()).endswith(b"* 1 FETCH (UID 1 FLAGS (\\Seen $Work))\r\n")
    await office.expunge(2)
    assert b"* 2 EXPUNGE\r\n" in await client.hear()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"FETCH 2 (UID FLAGS)", b"a OK [EXPUNGEISSUED] "),
        (b"FETCH 3 UID", b"* 3 FETCH (UID 3)\r\na OK Fetched"),
        (b"STORE 2 +FLAGS (\\Seen)", b"a OK Changed"),
        (b"STORE 3 +FLAGS (\\Seen)", b"* 3 FETCH (FLAGS (\\Seen))\r\na OK Changed"),
        (b"SEARCH ALL", b"* SEARCH 1 3\r\n"),
        (b"SORT (ARRIVAL) UTF-8 ALL", b"* SORT 1 3\r\n"),
        (b"UID FETCH 1:* FLAGS", b"* 3 FETCH (UID 3 FLAGS ())\r\n"),
        (b"COPY 3 Work", b"a OK [COPYUID "),
        (b"COPY 2 Work", b"a NO [EXPUNGEISSUED] "),
        (b"MOVE 2:3 Work", b"* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n"),
        (b"EXPUNGE", b"* 2 EXPUNGE\r\na OK Expunged"),
        (b"NOOP", b"* 2 EXPUNGE\r\na OK Completed"),
        (b"CLOSE", b"a OK Mailbox closed"),
        (b"UNSELECT", b"a OK Completed"),
        (b"STATUS INBOX (MESSAGES)", b"(MESSAGES 2)"),
    ],
)
async def test_the_first_command_keeps_the_numbers_of_the_select(line: bytes, told: bytes) -> None:
    """The second of three messages went since; nothing is made up about it."""
    office, client = await start()
    await office.store.mailboxes.create(ALICE, "Work")
    await office.expunge(2)
    answer = await client.talk(b"a " + line)
    assert told in answer
    assert b"2 FETCH" not in answer.replace(b"* 2 FETCH (UID 3", b"")
    if line.startswith((b"FETCH", b"STORE", b"SEARCH", b"SORT")):
        assert b"EXPUNGE\r\n" not in answer
        assert await client.talk(b"b NOOP") == b"* 2 EXPUNGE\r\nb OK Completed\r\n"


async def test_an_append_to_it_is_told() -> None:
    _office, client = await start()
    answer = await client.talk(b"a APPEND INBOX {%d+}\r\n%b" % (len(ONE), ONE))
    assert answer.startswith(b"* 4 EXISTS\r\na OK [APPENDUID ")
    assert is_unread(client)


async def test_a_copy_into_it_is_told() -> None:
    _office, client = await start()
    assert b"* 4 EXISTS\r\na OK [COPYUID " in await client.talk(b"a COPY 1 INBOX")


async def test_a_keyword_that_came_since_is_told_before_it_is_seen() -> None:
    office, client = await start()
    await office.flag(1, "$Work")
    answer = await client.talk(b"a FETCH 1 FLAGS")
    assert b"$Work" in answer.splitlines()[0]
    assert b"* 1 FETCH (FLAGS ($Work))\r\n" in answer


async def test_changes_that_the_store_has_forgotten_before_are_no_matter() -> None:
    """An archive that nobody touched for years, in an account where much happens."""
    office = await open_office(ONE, ONE, ONE, large_mailbox=2)
    work = await office.store.mailboxes.create(ALICE, "Work")
    await office.add(*[ONE] * 5, into=work.id)
    office.memory.forget_changes(ALICE, await office.store.changes.modseq(ALICE))
    client = await office.enter()
    await client.select()
    await client.talk(b"i IDLE")
    await office.expunge(2)
    assert b"* 2 EXPUNGE\r\n" in await client.hear()
    await client.say(b"DONE\r\n")
    assert await client.talk(b"a FETCH 2 UID") == b"* 2 FETCH (UID 3)\r\na OK Fetched\r\n"


async def test_changes_that_the_store_has_forgotten_since_end_the_session() -> None:
    office, client = await start()
    await office.expunge(2)
    office.memory.forget_changes(ALICE, await office.store.changes.modseq(ALICE))
    assert await client.talk(b"a FETCH 2 UID") == b"* BYE The selected mailbox has changed too much\r\n"


@pytest.mark.parametrize("line", [b"NOOP", b"FETCH 1 FLAGS"])
async def test_a_large_mailbox_that_was_removed_ends_the_session(line: bytes) -> None:
    office = await open_office(large_mailbox=0)
    work = await office.store.mailboxes.create(ALICE, "Work")
    await office.add(ONE, into=work.id)
    client = await office.enter()
    await client.select("Work")
    await office.store.mailboxes.remove(ALICE, work.id)
    assert await client.talk(b"a " + line) == b"* BYE The selected mailbox is no longer accessible\r\n"


# -- the last messages, without the arrays


async def many(count: int = 40) -> tuple[Office, Client]:
    office = await open_office(*[letter(f"number {number}") for number in range(1, count + 1)], large_mailbox=2)
    client = await office.enter()
    await client.select()
    return office, client


@pytest.mark.parametrize(
    ("messages", "uids"),
    [(b"39:*", [39, 40]), (b"*", [40]), (b"38:39", [38, 39]), (b"37,39:40", [37, 39, 40]), (b"40", [40])],
)
async def test_the_last_messages_are_told_without_reading_it_all(messages: bytes, uids: list[int]) -> None:
    _office, client = await many()
    expected = b"".join(b"* %d FETCH (UID %d FLAGS ())\r\n" % (uid, uid) for uid in uids)
    assert await client.talk(b"a FETCH " + messages + b" (UID FLAGS)") == expected + b"a OK Fetched\r\n"
    assert is_unread(client)
    assert b"* 40 FETCH (BODY[HEADER.FIELDS (SUBJECT)] " in await client.talk(
        b"b FETCH 40 BODY.PEEK[HEADER.FIELDS (SUBJECT)]"
    )
    assert is_unread(client)


async def test_gaps_before_the_last_messages_do_not_shift_their_numbers() -> None:
    office, client = await many()
    await office.expunge(*range(2, 39))
    await client.select()
    assert is_unread(client)
    assert await client.talk(b"a FETCH 2:3 UID") == b"* 2 FETCH (UID 39)\r\n* 3 FETCH (UID 40)\r\na OK Fetched\r\n"
    assert await client.talk(b"b FETCH 1:* UID") == (
        b"* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 39)\r\n* 3 FETCH (UID 40)\r\nb OK Fetched\r\n"
    )


@pytest.mark.parametrize(
    "line",
    [
        b"FETCH 40:39 UID",
        b"FETCH 40 BODY[]",
        b"UID FETCH 40 FLAGS",
        b"FETCH 40 (FLAGS) (CHANGEDSINCE 1)",
        b"FETCH 41 UID",
    ],
)
async def test_what_needs_the_arrays_reads_them(line: bytes) -> None:
    _office, client = await many()
    await client.talk(b"a " + line)
    assert not is_unread(client)


async def test_mail_that_came_since_is_not_told_before_its_exists() -> None:
    office, client = await many()
    await office.add(ONE)
    assert b"* 40 FETCH (UID 40)\r\n" in await client.talk(b"a FETCH 40 UID")
    assert await client.talk(b"b FETCH 41 UID") == b"* 41 FETCH (UID 41)\r\nb OK Fetched\r\n"


async def test_after_an_expunge_by_others_the_numbers_of_the_select_still_count() -> None:
    office, client = await many()
    await office.expunge(39)
    assert b"* 40 FETCH (UID 40)\r\n" in await client.talk(b"a FETCH 40 UID")
    assert not is_unread(client)
