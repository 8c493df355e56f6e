"""STATUS, every item."""

from __future__ import annotations

import pytest

from posthouse.message.mailbox import Role
from tests.access.imap_kit import ALICE, Client, Office, letter, open_office

_ONE, _TWO = letter("one"), letter("two", "A longer text.\n" * 20)


async def _enter(*messages: bytes, **settings: object) -> tuple[Office, Client]:
    office = await open_office(*messages, **settings)
    return office, await office.enter()


async def _ask(client: Client, items: bytes, mailbox: bytes = b"INBOX") -> bytes:
    answer = await client.talk(b"s STATUS %b (%b)" % (mailbox, items))
    start, end = b'* STATUS "%b" (' % mailbox, b")\r\ns OK That is how it is\r\n"
    assert answer.startswith(start)
    assert answer.endswith(end)
    return answer[len(start) : -len(end)]


async def test_items_are_answered_in_the_order_they_are_asked() -> None:
    _, alice = await _enter(_ONE, _TWO)
    assert await _ask(alice, b"UIDNEXT MESSAGES RECENT UNSEEN") == b"UIDNEXT 3 MESSAGES 2 RECENT 0 UNSEEN 2"


async def test_the_size_is_that_of_all_messages() -> None:
    """RFC 8438."""
    _, alice = await _enter(_ONE, _TWO)
    assert await _ask(alice, b"SIZE") == b"SIZE %d" % (len(_ONE) + len(_TWO))


async def test_what_is_marked_as_deleted_is_counted() -> None:
    """RFC 9208 §4.1.4."""
    office, alice = await _enter(_ONE, _TWO)
    await office.flag(2, "\\Deleted")
    assert await _ask(alice, b"DELETED DELETED-STORAGE MESSAGES") == (
        b"DELETED 1 DELETED-STORAGE %d MESSAGES 2" % len(_TWO)
    )
    await office.expunge(2)
    assert await _ask(alice, b"DELETED DELETED-STORAGE MESSAGES") == b"DELETED 0 DELETED-STORAGE 0 MESSAGES 1"


async def test_a_deleted_message_that_was_not_seen_is_unseen() -> None:
    """RFC 9051 §6.3.11: what lacks \\Seen, whatever else it has."""
    office, alice = await _enter(_ONE, _TWO)
    await office.flag(1, "\\Deleted")
    assert await _ask(alice, b"UNSEEN") == b"UNSEEN 2"
    await office.flag(2, "\\Seen")
    assert await _ask(alice, b"UNSEEN") == b"UNSEEN 1"


async def test_the_highest_modseq_rises_with_changes_and_enables_condstore() -> None:
    office, alice = await _enter()
    assert await _ask(alice, b"HIGHESTMODSEQ") == b"HIGHESTMODSEQ 1"
    assert alice.session.condstore
    await office.add(_ONE)
    first = int((await _ask(alice, b"HIGHESTMODSEQ")).split()[1])
    await office.flag(1, "\\Seen")
    second = int((await _ask(alice, b"HIGHESTMODSEQ")).split()[1])
    await office.expunge(1)
    assert 0 < first < second < int((await _ask(alice, b"HIGHESTMODSEQ")).split()[1])


async def test_uidvalidity_and_the_id_are_those_of_select() -> None:
    _, alice = await _enter()
    opened = await alice.select()
    told = await _ask(alice, b"UIDVALIDITY MAILBOXID")
    uidvalidity, _, mailbox_id = told.removeprefix(b"UIDVALIDITY ").partition(b" ")
    assert b"[UIDVALIDITY %b]" % uidvalidity in opened
    assert b"[%b]" % mailbox_id in opened


async def test_the_append_limit() -> None:
    """RFC 7889 §4."""
    _, alice = await _enter(append_limit=12_345)
    assert await _ask(alice, b"APPENDLIMIT") == b"APPENDLIMIT 12345"


async def test_the_selected_mailbox_may_be_asked_too() -> None:
    office, alice = await _enter(_ONE)
    await alice.select()
    await office.add(_TWO)
    answer = await alice.talk(b"a STATUS INBOX (MESSAGES)")
    assert b'* STATUS "INBOX" (MESSAGES 2)\r\n' in answer
    assert b"* 2 EXISTS\r\n" in answer


async def test_other_mailboxes_do_not_count() -> None:
    office, alice = await _enter(_ONE)
    await office.add(_TWO, into=Role.TRASH)
    assert await _ask(alice, b"MESSAGES") == b"MESSAGES 1"
    assert await _ask(alice, b"MESSAGES", b"Trash") == b"MESSAGES 1"


@pytest.mark.parametrize("name", [b"nowhere", b'""', b'"Other Users"', b"/"])
async def test_what_is_no_mailbox_has_no_status(name: bytes) -> None:
    _, alice = await _enter()
    assert await alice.talk(b"a STATUS %b (MESSAGES)" % name) == b"a NO [NONEXISTENT] There is no such mailbox\r\n"


async def test_many_deleted_messages_are_measured_in_slices() -> None:
    office, alice = await _enter()
    await office.add(*[_ONE] * 1_100, flags=("\\Deleted",))
    box = await office.store.mailboxes.get(ALICE, await office.inbox())
    assert await _ask(alice, b"DELETED-STORAGE") == b"DELETED-STORAGE %d" % box.octets
