"""EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, RFC 4315 §2.1)."""

from __future__ import annotations

import pytest

from tests.access.imap_kit import BOB, Client, Office, letter, open_office


async def open_client(count: int = 5, deleted: tuple[int, ...] = (2, 4), **settings: object) -> tuple[Office, Client]:
    office = await open_office(*[letter(str(number)) for number in range(count)], **settings)
    for uid in deleted:
        await office.flag(uid, "\\Deleted")
    client = await office.enter()
    await client.select()
    return office, client


async def say(client: Client, line: str) -> list[bytes]:
    return (await client.talk(b"a " + line.encode())).split(b"\r\n")[:-1]


async def test_deleted_messages_go_the_highest_number_first() -> None:
    office, client = await open_client()
    assert await say(client, "EXPUNGE") == [b"* 4 EXPUNGE", b"* 2 EXPUNGE", b"a OK Expunged"]
    assert list(await office.flags()) == [1, 3, 5]
    assert await say(client, "EXPUNGE") == [b"a OK Expunged"]


async def test_uid_expunge_takes_only_those_that_are_named() -> None:
    office, client = await open_client()
    assert await say(client, "UID EXPUNGE 1:3") == [b"* 2 EXPUNGE", b"a OK Expunged"]
    assert list(await office.flags()) == [1, 3, 4, 5]
    assert await say(client, "UID EXPUNGE 99") == [b"a OK Expunged"]


async def test_with_qresync_uids_vanish_and_the_highest_modseq_is_told() -> None:
    office, client = await open_client()
    await client.enable("QRESYNC")
    lines = await say(client, "EXPUNGE")
    highest = (await office.store.messages.snapshot(1, await office.inbox())).highest  # type: ignore[arg-type]
    assert lines == [b"* VANISHED 2,4", b"a OK [HIGHESTMODSEQ %d] Expunged" % highest]


async def test_what_another_expunged_is_told_with_the_own_ones() -> None:
    office, client = await open_client()
    await office.expunge(1)
    assert await say(client, "EXPUNGE") == [b"* 4 EXPUNGE", b"* 2 EXPUNGE", b"* 1 EXPUNGE", b"a OK Expunged"]


async def test_another_session_hears_of_it() -> None:
    office, client = await open_client()
    other = await office.enter()
    await other.select()
    await say(client, "EXPUNGE")
    assert await say(other, "NOOP") == [b"* 4 EXPUNGE", b"* 2 EXPUNGE", b"a OK Completed"]


async def test_a_read_only_mailbox_keeps_its_messages() -> None:
    office, client = await open_client()
    await client.select(is_read_only=True)
    assert (await say(client, "EXPUNGE"))[-1].startswith(b"a NO [READ-ONLY] ")
    assert len(await office.flags()) == 5


@pytest.mark.parametrize("command", ["EXPUNGE", "UID EXPUNGE 1:*"])
async def test_expunging_needs_its_right(command: str) -> None:
    office, _ = await open_client()
    bob = await office.enter(BOB)
    await office.share_inbox(bob, "lrswit")
    assert (await say(bob, command))[-1].startswith(b"a NO [NOPERM] ")
    await office.share_inbox(bob, "lre")
    assert (await say(bob, command))[-1] == b"a OK Expunged"
    assert list(await office.flags()) == [1, 3, 5]


async def test_a_limit_takes_the_newest_of_a_uid_expunge() -> None:
    office, client = await open_client(5, (1, 2, 3, 4, 5), message_limit=2)
    lines = await say(client, "UID EXPUNGE 1:*")
    assert lines == [b"* 5 EXPUNGE", b"* 4 EXPUNGE", b"a OK [MESSAGELIMIT 2 4] Expunged"]
    assert list(await office.flags()) == [1, 2, 3]


async def test_a_store_that_cannot_write_says_so() -> None:
    office, client = await open_client()
    office.memory.broken = True
    assert (await say(client, "EXPUNGE"))[-1].startswith(b"a NO [UNAVAILABLE] ")
    assert (await say(client, "STORE 1 +FLAGS (\\Seen)"))[-1].startswith(b"a NO [UNAVAILABLE] ")
