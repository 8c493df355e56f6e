"""Object ids that are one of a kind on the server, shared mailboxes included (RFC 8474 §4, §5)."""

from __future__ import annotations

import re

from posthouse.message.mailbox import AccountId, EmailId, MailboxId, ThreadId
from posthouse.message.objectids import (
    name_email,
    name_mailbox,
    name_thread,
    parse_email_name,
    parse_mailbox_name,
    parse_thread_name,
)
from posthouse.ports.store import Grant
from tests.access.imap_kit import ALICE, BOB, Client, letter, open_office

_SHARED = b'"Other Users/alice@example.org/INBOX"'


async def _open() -> Client:
    """Bob, who has a letter, and may read Alice's, which is another one of the same numbers."""
    office = await open_office(letter("hers"))
    await office.add(letter("his"), account=BOB)
    await office.store.sharing.set_grant(ALICE, await office.inbox(), Grant(BOB, "lr"))
    return await office.enter(BOB)


def _ids(answer: bytes) -> list[bytes]:
    return re.findall(rb"(?:EMAIL|THREAD|MAILBOX)ID \(([A-Za-z0-9_-]+)\)", answer)


async def test_a_shared_mailbox_and_ones_own_have_different_ids() -> None:
    bob = await _open()
    own = _ids(await bob.talk(b"a STATUS INBOX (MAILBOXID)"))
    shared = _ids(await bob.talk(b"a STATUS %b (MAILBOXID)" % _SHARED))
    assert len(own) == len(shared) == 1 and own != shared
    assert _ids(await bob.talk(b"a SELECT INBOX")) == own
    assert _ids(await bob.talk(b"a SELECT %b" % _SHARED)) == shared


async def test_different_messages_never_have_the_same_id() -> None:
    bob = await _open()
    await bob.talk(b"a SELECT INBOX")
    own = _ids(await bob.talk(b"a FETCH 1 (EMAILID THREADID)"))
    await bob.talk(b"a SELECT %b" % _SHARED)
    shared = _ids(await bob.talk(b"a FETCH 1 (EMAILID THREADID)"))
    assert len(own) == 2 and not {*own}.intersection(shared)


async def test_an_id_is_found_in_mailboxes_of_its_account_alone() -> None:
    bob = await _open()
    await bob.talk(b"a SELECT INBOX")
    email, thread = _ids(await bob.talk(b"a FETCH 1 (EMAILID THREADID)"))
    assert (
        await bob.talk(b"a SEARCH EMAILID %b THREADID %b" % (email, thread))
        == b"* SEARCH 1\r\na OK Search completed\r\n"
    )
    several = await bob.talk(b"a ESEARCH IN (personal subtree %b) EMAILID %b" % (_SHARED, email))
    assert several.count(b"* ESEARCH") == 1 and b'MAILBOX "INBOX"' in several
    await bob.talk(b"a SELECT %b" % _SHARED)
    for key in (b"EMAILID %b" % email, b"THREADID %b" % thread, b"EMAILID M1", b"EMAILID M1-01", b"EMAILID T1-1"):
        assert await bob.talk(b"a SEARCH %b" % key) == b"* SEARCH\r\na OK Search completed\r\n"
    assert await bob.talk(b"a SEARCH NOT EMAILID %b" % email) == b"* SEARCH 1\r\na OK Search completed\r\n"


def test_names_are_read_as_they_are_written() -> None:
    owner = AccountId(3)
    assert parse_email_name(name_email(owner, EmailId(7))) == (3, 7)
    assert parse_thread_name(name_thread(owner, ThreadId(7))) == (3, 7)
    assert parse_mailbox_name(name_mailbox(owner, MailboxId(7))) == (3, 7)
    assert parse_mailbox_name("M3-7") is None
    assert parse_email_name("M3") is None
    assert parse_thread_name("T3-٣") is None
