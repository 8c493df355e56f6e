"""SELECT, EXAMINE, CLOSE, UNSELECT (RFC 9051 §6.3.2, §6.3.3, §6.4.1, §6.4.2)."""

from __future__ import annotations

import re

import pytest

from posthouse.ports.store import Grant, StoreError
from tests.access.imap_kit import ALICE, BOB, Client, Office, letter, open_office

ONE = letter("one")
SHARED = b'"Other Users/bob@example.org/INBOX"'


async def share(office: Office, rights: str) -> None:
    await office.store.sharing.set_grant(BOB, await office.inbox(BOB), Grant(ALICE, rights))


async def is_selected(client: Client) -> bool:
    return (await client.talk(b"q CHECK")).endswith(b"q OK Completed\r\n")


async def test_select_says_what_rfc_3501_wants() -> None:
    office = await open_office(ONE, ONE)
    await office.flag(1, "\\Seen")
    client = await office.enter()
    lines = (await client.talk(b"a SELECT INBOX")).splitlines()
    assert [re.sub(rb"\d{5,}|\(F[-\d]+\)", b"N", line) for line in lines] == [
        b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)",
        b"* OK [PERMANENTFLAGS (\\Seen \\Deleted \\Answered \\Flagged \\Draft \\*)] What can be kept",
        b"* 2 EXISTS",
        b"* 0 RECENT",
        b"* OK [UNSEEN 2] The first one that is unseen",
        b"* OK [UIDVALIDITY N] UIDs are valid",
        b"* OK [UIDNEXT 3] The next UID",
        b"* OK [HIGHESTMODSEQ 3] The highest modification sequence",
        b"* OK [MAILBOXID N] The mailbox",
        b"a OK [READ-WRITE] Mailbox opened",
    ]


async def test_rev2_has_the_name_and_no_recent_and_unseen() -> None:
    office = await open_office(ONE)
    client = await office.enter()
    await client.enable("IMAP4REV2")
    answer = await client.talk(b"a SELECT inbox")
    assert b'\r\n* LIST () "/" "INBOX"\r\na OK ' in answer
    assert b"RECENT" not in answer and b"UNSEEN" not in answer


async def test_a_name_that_was_written_otherwise_is_told_with_the_real_one() -> None:
    """RFC 9051 §6.3.2: the decomposed name becomes the one that LIST has."""
    office = await open_office()
    await office.store.mailboxes.create(ALICE, "Entwürfe")
    client = await office.enter()
    await client.enable("IMAP4REV2")
    answer = await client.talk('a SELECT "Entwu\u0308rfe"'.encode())
    assert '* LIST () "/" "Entwürfe" ("OLDNAME" ("Entwu\u0308rfe"))\r\n'.encode() in answer


async def test_the_mailbox_before_is_closed_first() -> None:
    office = await open_office(ONE)
    client = await office.enter()
    assert b"CLOSED" not in await client.select()
    assert (await client.select()).startswith(b"* OK [CLOSED] ")
    await client.talk(b"a UNSELECT")
    assert b"CLOSED" not in await client.select()


@pytest.mark.parametrize("name", [b"Nothing", SHARED])
async def test_after_a_refused_select_no_mailbox_is_selected(name: bytes) -> None:
    office = await open_office(ONE)
    await share(office, "l")  # it is there, but may not be read
    client = await office.enter()
    await client.select()
    answer = await client.talk(b"a SELECT " + name)
    assert answer.startswith(b"* OK [CLOSED] ") and b"\r\na NO [" in answer
    assert not await is_selected(client)


async def test_examine_changes_nothing() -> None:
    office = await open_office(ONE)
    await office.flag(1, "\\Deleted")
    client = await office.enter()
    answer = await client.select(is_read_only=True)
    assert b"* OK [PERMANENTFLAGS ()] " in answer and b" OK [READ-ONLY] " in answer
    for line in (b"STORE 1 +FLAGS (\\Seen)", b"EXPUNGE", b"UID EXPUNGE 1", b"MOVE 1 INBOX"):
        assert b"a NO [READ-ONLY] " in await client.talk(b"a " + line)
    assert b"FLAGS" not in await client.talk(b"a FETCH 1 BODY[]")
    assert await client.talk(b"a CLOSE") == b"a OK Mailbox closed\r\n"
    assert await office.flags() == {1: frozenset({"\\Deleted"})}


async def test_who_may_only_read_has_it_read_only() -> None:
    office = await open_office()
    await office.add(ONE, account=BOB)
    client = await office.enter()
    for rights, code in (("lr", b"READ-ONLY"), ("lri", b"READ-WRITE"), ("lrs", b"READ-WRITE"), ("lre", b"READ-WRITE")):
        await share(office, rights)
        assert b"a OK [" + code + b"] " in await client.talk(b"a SELECT " + SHARED)


async def test_close_expunges_without_a_word_and_unselect_does_not() -> None:
    office = await open_office(ONE, ONE)
    await office.flag(1, "\\Deleted")
    client = await office.enter()
    await client.select()
    assert await client.talk(b"a UNSELECT") == b"a OK Completed\r\n"
    assert set(await office.flags()) == {1, 2}
    await client.select()
    assert await client.talk(b"a CLOSE") == b"a OK Mailbox closed\r\n"
    assert set(await office.flags()) == {2}
    assert not await is_selected(client)


@pytest.mark.parametrize(("rights", "left"), [("lrste", 0), ("lre", 0), ("lrst", 1)])
async def test_close_expunges_with_the_right_to(rights: str, left: int) -> None:
    """RFC 4314 §4: `e` and nothing else."""
    office = await open_office()
    await office.add(ONE, account=BOB, flags=("\\Deleted",))
    await share(office, rights)
    client = await office.enter()
    await client.talk(b"a SELECT " + SHARED)
    assert await client.talk(b"a CLOSE") == b"a OK Mailbox closed\r\n"
    assert (await office.store.mailboxes.get(BOB, await office.inbox(BOB))).total == left


async def test_rights_that_were_taken_meanwhile_do_not_expunge() -> None:
    office = await open_office()
    await office.add(ONE, account=BOB, flags=("\\Deleted",))
    await share(office, "lrte")
    client = await office.enter()
    await client.talk(b"a SELECT " + SHARED)
    await share(office, "lr")
    assert await client.talk(b"a CLOSE") == b"a OK Mailbox closed\r\n"
    assert (await office.store.mailboxes.get(BOB, await office.inbox(BOB))).total == 1


async def test_a_mailbox_that_has_gone_can_be_closed() -> None:
    office = await open_office()
    work = await office.store.mailboxes.create(ALICE, "Work")
    client = await office.enter()
    await client.select("Work")
    await office.store.mailboxes.remove(ALICE, work.id)
    assert await client.talk(b"a CLOSE") == b"a OK Mailbox closed\r\n"


async def test_a_mailbox_that_was_removed_ends_the_session() -> None:
    office = await open_office()
    work = await office.store.mailboxes.create(ALICE, "Work")
    client = await office.enter()
    await client.select("Work")
    await office.store.mailboxes.remove(ALICE, work.id)
    assert await client.talk(b"a NOOP") == b"* BYE The selected mailbox is no longer accessible\r\n"
    assert client.wire.is_closing


async def test_news_that_the_store_cannot_tell_now_are_told_later() -> None:
    office = await open_office(ONE)
    client = await office.enter()
    await client.select()
    await client.talk(b"i IDLE")
    await office.add(ONE)
    office.memory.error = StoreError("busy")
    assert await client.hear() == b""
    office.memory.error = None
    assert await client.say(b"DONE\r\n") == b"* 2 EXISTS\r\ni OK Idle is over\r\n"


async def test_a_select_that_is_wrong_in_itself_changes_nothing() -> None:
    office = await open_office(ONE)
    client = await office.enter()
    await client.select()
    answer = await client.talk(b"a SELECT INBOX (QRESYNC (1 1))")
    assert answer == b"a BAD QRESYNC has to be enabled first\r\n"
    assert await is_selected(client)
    assert not client.session.condstore


@pytest.mark.parametrize("enabled", ["QRESYNC", "IMAP4REV2"])
async def test_who_knows_closed_goes_on_when_the_mailbox_is_removed(enabled: str) -> None:
    """RFC 9051 §7.1, CLOSED."""
    office = await open_office()
    client = await office.enter()
    await client.enable(enabled)
    gone = b"* NO The selected mailbox is no longer accessible\r\n* OK [CLOSED] It is closed\r\n"
    commands = {b"NOOP": b"a OK", b"SEARCH ALL": b"a NO [NONEXISTENT]", b"UID STORE 1 +FLAGS X": b"a NO [NONEXISTENT]"}
    for line, answer in commands.items():
        made = await office.store.mailboxes.create(ALICE, "Old")
        await client.select("Old")
        await office.store.mailboxes.remove(ALICE, made.id)
        if line.startswith(b"UID STORE"):
            answer = b"a OK"  # there was nothing to change; then the news
        said = await client.talk(b"a " + line)
        assert said.startswith(gone + answer), (line, said)
        assert await client.talk(b"b FETCH 1 FLAGS") == b"b BAD Select a mailbox first\r\n"
    made = await office.store.mailboxes.create(ALICE, "Old")
    await client.select("Old")
    assert await client.talk(b"c IDLE") == b"+ idling\r\n"
    await office.store.mailboxes.remove(ALICE, made.id)
    assert await client.hear() == gone
    assert (await client.talk(b"DONE", b"d NOOP")).endswith(b"d OK Completed\r\n")
    assert not client.wire.is_closing
