"""CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, NAMESPACE of one's own mailboxes."""

from __future__ import annotations

import pytest

from posthouse.message.mailbox import Role
from posthouse.ports.store_memory import MemoryStore
from posthouse.ports.store_memory_mailboxes import MailboxLimits
from posthouse.protocol.imap.commands import Create, Rename
from tests.access.imap_kit import ALICE, Client, Office, letter, open_office
from tests.access.imap_listing_kit import names_of


async def _enter(*messages: bytes) -> tuple[Office, Client]:
    office = await open_office(*messages)
    return office, await office.enter()


# -- CREATE


async def test_a_mailbox_is_made_and_its_id_told() -> None:
    office, alice = await _enter()
    answer = await alice.talk(b"a CREATE Work")
    made = next(box for box in await office.store.mailboxes.list_all(ALICE) if box.name == "Work")
    assert answer == b"a OK [MAILBOXID (F%d-%d)] Mailbox made\r\n" % (ALICE, made.id)


async def test_what_is_missing_above_is_made_too() -> None:
    _, alice = await _enter()
    assert b"a OK" in await alice.talk(b"a CREATE one/two/three")
    assert await names_of(alice, "one*") == ["one", "one/two", "one/two/three"]


async def test_a_separator_at_the_end_means_nothing() -> None:
    _, alice = await _enter()
    assert b"a OK" in await alice.talk(b"a CREATE folder/")
    assert await names_of(alice, "folder*") == ["folder"]
    assert b"[ALREADYEXISTS]" in await alice.talk(b"a CREATE folder")


@pytest.mark.parametrize("name", [b"INBOX", b"inbox", b"Inbox/"])
async def test_inbox_is_there_already(name: bytes) -> None:
    _, alice = await _enter()
    assert b"a NO [ALREADYEXISTS]" in await alice.talk(b"a CREATE " + name)


async def test_below_inbox_is_below_inbox_however_it_is_written() -> None:
    _, alice = await _enter()
    assert b"a OK" in await alice.talk(b"a CREATE inbox/Work")
    assert await names_of(alice, "INBOX*") == ["INBOX", "INBOX/Work"]
    assert b"a OK" in await alice.talk(b"a STATUS InBox/Work (MESSAGES)")


@pytest.mark.parametrize("name", ["", "/", "/x", "a//b", "a/\x07", "x" * 256])
async def test_what_is_no_name_is_refused_and_nothing_is_made(name: str) -> None:
    office, alice = await _enter()
    before = await office.store.mailboxes.list_all(ALICE)
    assert b"t NO [CANNOT]" in await alice.do(Create(name))
    assert await office.store.mailboxes.list_all(ALICE) == before


async def test_names_are_written_in_modified_utf7_until_utf8_is_enabled() -> None:
    _, alice = await _enter()
    assert b"a OK" in await alice.talk(b"a CREATE Entw&APw-rfe")
    assert b'"Entw&APw-rfe"' in await alice.talk(b'a LIST "" Entw%')
    await alice.enable("IMAP4REV2")
    assert '"Entwürfe"'.encode() in await alice.talk(b'a LIST "" Entw%')


async def test_two_spellings_of_a_letter_are_one_name() -> None:
    _, alice = await _enter()
    await alice.do(Create("Bu\u0308cher"))
    assert b"[ALREADYEXISTS]" in await alice.do(Create("B\u00fccher"))
    assert await names_of(alice, "B*") == ["B&APw-cher"]


async def test_rev2_is_told_when_a_name_was_written_otherwise() -> None:
    _, alice = await _enter()
    await alice.enable("IMAP4REV2")
    answer = await alice.talk(b"a CREATE inbox/x")
    assert b'* LIST () "/" "INBOX/x" ("OLDNAME" ("inbox/x"))\r\n' in answer
    assert b"LIST" not in await alice.talk(b"a CREATE y/")


async def test_more_mailboxes_than_the_store_holds_are_refused() -> None:
    office = Office()
    office.memory = MemoryStore(office.clock, limits=MailboxLimits(mailboxes=2))
    office.store = office.memory.as_store()
    alice = await office.enter()
    assert b"a OK" in await alice.talk(b"a CREATE one")
    assert b"b NO [LIMIT]" in await alice.talk(b"b CREATE two")


# -- CREATE-SPECIAL-USE


@pytest.mark.parametrize("use", ["\\Sent", "\\drafts", "\\Archive", "\\JUNK", "\\Trash"])
async def test_a_mailbox_is_made_for_a_use(use: str) -> None:
    office, alice = await _enter()
    assert b"a OK" in await alice.talk(f"a CREATE Mine (USE ({use}))".encode())
    made = (await office.store.mailboxes.list_all(ALICE))[-1]
    assert made.role == use[1:].lower()


@pytest.mark.parametrize("uses", [b"\\All", b"\\Flagged", b"\\Important", b"\\Inbox", b"\\Sent \\Trash"])
async def test_uses_that_are_not_there_are_refused_and_nothing_is_made(uses: bytes) -> None:
    _, alice = await _enter()
    assert b"a NO [USEATTR]" in await alice.talk(b"a CREATE above/Mine (USE (%b))" % uses)
    assert await names_of(alice, "above*") == []


async def test_a_second_mailbox_for_a_use_is_refused_and_nothing_is_made() -> None:
    office, alice = await _enter()
    await office.store.mailboxes.open_role(ALICE, Role.SENT)
    assert b"a NO [USEATTR]" in await alice.talk(b"a CREATE above/Mine (USE (\\Sent))")
    assert await names_of(alice, "above*") == []


# -- DELETE


async def test_a_deleted_mailbox_is_gone() -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE Work")
    assert b"b OK" in await alice.talk(b"b DELETE Work")
    assert b"c NO [NONEXISTENT]" in await alice.talk(b"c STATUS Work (MESSAGES)")
    assert b"d NO [NONEXISTENT]" in await alice.talk(b"d DELETE Work")


async def test_inbox_cannot_be_deleted() -> None:
    _, alice = await _enter()
    assert b"a NO [CANNOT]" in await alice.talk(b"a DELETE inbox")


async def test_a_mailbox_with_others_below_is_not_deleted() -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE one/two")
    assert b"b NO [HASCHILDREN]" in await alice.talk(b"b DELETE one")
    assert await names_of(alice, "one*") == ["one", "one/two"]


async def test_who_deletes_the_selected_mailbox_has_none_selected() -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE Work")
    await alice.select("Work")
    assert b"* OK [CLOSED]" in await alice.talk(b"b DELETE Work")
    assert b"c BAD" in await alice.talk(b"c FETCH 1 FLAGS")
    assert b"d OK" in await alice.talk(b"d NOOP")


async def test_a_subscription_outlives_its_mailbox() -> None:
    """RFC 9051 §6.3.7."""
    _, alice = await _enter()
    await alice.talk(b"a CREATE Work", b"b SUBSCRIBE Work", b"c DELETE Work")
    assert b'* LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" "Work"' in await alice.talk(
        b'd LIST (SUBSCRIBED) "" W*'
    )
    assert await names_of(alice, "W*") == []
    assert b'* LSUB () "/" "Work"' in await alice.talk(b'e LSUB "" W*')
    await alice.talk(b"f UNSUBSCRIBE Work")
    assert b"Work" not in await alice.talk(b'g LSUB "" *')


# -- RENAME


async def test_a_renamed_mailbox_keeps_its_id_uids_and_children() -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE old/below")
    old = await alice.talk(b"b STATUS old (UIDVALIDITY UIDNEXT MAILBOXID)")
    assert b"c OK" in await alice.talk(b"c RENAME old new")
    assert await names_of(alice, "*", start="new") == ["new", "new/below"]
    new = await alice.talk(b"b STATUS new (UIDVALIDITY UIDNEXT MAILBOXID)")
    assert new == old.replace(b'"old"', b'"new"')
    assert b"d NO [NONEXISTENT]" in await alice.talk(b"d STATUS old (MESSAGES)")


async def test_a_mailbox_moves_below_another_that_is_made_for_it() -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE one/two")
    assert b"b OK" in await alice.talk(b"b RENAME one/two far/away/three")
    assert await names_of(alice, "far*") == ["far", "far/away", "far/away/three"]
    assert b"c OK" in await alice.talk(b"c RENAME far/away/three top")
    assert await names_of(alice, "top*") == ["top"]


async def test_a_name_that_is_taken_is_refused() -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE one", b"b CREATE two")
    assert b"c NO [ALREADYEXISTS]" in await alice.talk(b"c RENAME one two")
    assert b"d NO [ALREADYEXISTS]" in await alice.talk(b"d RENAME one inbox")
    assert b"e NO [ALREADYEXISTS]" in await alice.talk(b"e RENAME one one")


async def test_a_mailbox_does_not_come_below_itself() -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE one/two")
    assert b"b NO [CANNOT]" in await alice.talk(b"b RENAME one one/two/three")
    assert await names_of(alice, "one*") == ["one", "one/two"]


async def test_only_case_may_change() -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE work")
    assert b"b OK" in await alice.talk(b"b RENAME work Work")
    assert await names_of(alice, "W*") == ["Work"]


async def test_renaming_inbox_moves_its_messages_to_a_new_mailbox() -> None:
    """RFC 9051 §6.3.6: what is below INBOX stays."""
    _, alice = await _enter(letter("one"), letter("two"))
    await alice.talk(b"a CREATE INBOX/below")
    assert b"b OK" in await alice.talk(b"b RENAME INBOX old/mail")
    assert b"(MESSAGES 0)" in await alice.talk(b"c STATUS INBOX (MESSAGES)")
    assert b"(MESSAGES 2)" in await alice.talk(b"d STATUS old/mail (MESSAGES)")
    assert await names_of(alice, "INBOX*") == ["INBOX", "INBOX/below"]


async def test_who_has_inbox_selected_while_it_is_renamed_sees_the_messages_go() -> None:
    _, alice = await _enter(letter("one"))
    await alice.select()
    assert b"* 1 EXPUNGE" in await alice.talk(b"a RENAME INBOX old")


async def test_rev2_is_told_the_old_name() -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE old")
    await alice.enable("IMAP4REV2")
    assert b'* LIST () "/" "new" ("OLDNAME" ("old"))\r\n' in await alice.talk(b"b RENAME old new")


async def test_the_selected_mailbox_is_renamed_with_what_is_above_it() -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE one/two")
    await alice.select("one/two")
    await alice.talk(b"b RENAME one other")
    assert alice.session.mailbox.place.name == "other/two"
    assert b"c OK" in await alice.talk(b"c NOOP")


@pytest.mark.parametrize("new", ["", "a//b", "x" * 256])
async def test_a_mailbox_is_not_renamed_to_what_is_no_name(new: str) -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE one")
    assert b"t NO [CANNOT]" in await alice.do(Rename("one", new))


# -- the Outbox


@pytest.mark.parametrize("command", [b"CREATE Outbox", b"CREATE Outbox/x", b"DELETE Outbox", b"RENAME Outbox x"])
async def test_the_outbox_is_a_door_that_is_opened_otherwise(command: bytes) -> None:
    office, alice = await _enter()
    await office.store.mailboxes.create(ALICE, "Outbox")
    answer = await alice.talk(b"a " + command)
    assert b"a NO [CANNOT]" in answer
    assert b"/private/vendor/posthouse/outbox" in answer
    assert await names_of(alice, "Outbox*") == ["Outbox"]


async def test_nothing_becomes_the_outbox() -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE x")
    assert b"b NO [CANNOT]" in await alice.talk(b"b RENAME x Outbox")


# -- subscriptions


async def test_subscribing_and_not() -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE Work", b"b UNSUBSCRIBE Work")
    assert b"Work" not in await alice.talk(b'c LSUB "" *')
    assert b"d OK" in await alice.talk(b"d SUBSCRIBE Work")
    assert b'"Work"' in await alice.talk(b'e LSUB "" *')
    assert b"f OK" in await alice.talk(b"f UNSUBSCRIBE Work", b"g UNSUBSCRIBE Work")
    assert b"Work" not in await alice.talk(b'h LSUB "" *')


async def test_only_what_is_there_is_subscribed_but_anything_may_be_let_go() -> None:
    _, alice = await _enter()
    assert b"a NO [NONEXISTENT]" in await alice.talk(b"a SUBSCRIBE nowhere")
    assert b"b OK" in await alice.talk(b"b UNSUBSCRIBE nowhere")


async def test_the_namespaces() -> None:
    _, alice = await _enter()
    assert await alice.talk(b"a NAMESPACE") == (
        b'* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL\r\na OK Completed\r\n'
    )


async def test_other_users_is_nobodys_to_make() -> None:
    _, alice = await _enter()
    for name in (b'"Other Users"', b'"Other Users/x"', b'"Other Users/x/y"', b'"Other Users/alice@example.org/y"'):
        assert b"a NO [NOPERM]" in await alice.talk(b"a CREATE " + name)


async def test_a_mailbox_that_an_import_named_like_those_of_others_can_be_had_and_renamed() -> None:
    office, alice = await _enter()
    above = await office.store.mailboxes.create(ALICE, "Other Users")
    await office.store.mailboxes.create(ALICE, "old", above.id)
    assert b"a OK" in await alice.talk(b'a SELECT "Other Users/old"')
    assert b"b OK" in await alice.talk(b'b RENAME "Other Users" Elsewhere')
    assert await names_of(alice, "E*") == ["Elsewhere", "Elsewhere/old"]


@pytest.mark.parametrize("name", [b"&bad", b"&2AA-", b"R&D", b"&AEE-", b"&Jj", b"&AOR-", b"a&"])
async def test_a_name_that_is_no_modified_utf7_is_no_mailbox(name: bytes) -> None:
    """RFC 3501 §5.1.3."""
    office, client = await _enter()
    assert (await client.talk(b'a CREATE "%b"' % name)).startswith(b"a NO [CANNOT] ")
    assert (await client.talk(b'a RENAME INBOX "%b"' % name)).startswith(b"a NO [CANNOT] ")
    assert (await client.talk(b'a SELECT "%b"' % name)).startswith(b"a NO [NONEXISTENT] ")
    assert len(await office.store.mailboxes.list_all(ALICE)) == 1


async def test_a_name_that_is_written_wrong_is_not_that_of_another() -> None:
    _, client = await _enter()
    for name in (b"R&-D", b"R&-&-D", b"&AOQ-&-", b"&ZeVnLIqe-"):
        assert b"a OK " in await client.talk(b'a CREATE "%b"' % name)
        assert b"a OK " in await client.talk(b'a SELECT "%b"' % name)
    assert b"a NO [NONEXISTENT] " in await client.talk(b'a STATUS "R&D" (MESSAGES)')


@pytest.mark.parametrize("name", ["Drafts", "Sent", "Archive", "Junk", "Trash"])
async def test_a_usual_name_that_is_made_gets_its_use(name: str) -> None:
    _, client = await _enter()
    assert b"a OK " in await client.talk(b"a CREATE " + name.encode())
    assert rb"\%b)" % name.encode() in await client.talk(b'b LIST "" ' + name.encode())
    assert b"c OK " in await client.talk(b"c CREATE Work/" + name.encode())
    assert rb"\%b)" % name.encode() not in await client.talk(b'd LIST "" Work/' + name.encode())


async def test_a_usual_name_gets_no_use_that_another_mailbox_has() -> None:
    _, client = await _enter()
    assert b"a OK " in await client.talk(b"a CREATE Posted (USE (\\Sent))", b"b CREATE Sent")
    assert rb"\Sent" not in await client.talk(b'c LIST "" Sent')


@pytest.mark.parametrize(
    "command",
    [
        b"SELECT Sent",
        b"STATUS Trash (MESSAGES)",
        b"SUBSCRIBE Junk",
        b'SETMETADATA Archive (/private/comment "x")',
        b"APPEND Drafts {5+}\r\nA: b\n",
        b"COPY 1 Archive",
    ],
)
async def test_usual_mailboxes_are_there_for_who_does_not_list(command: bytes) -> None:
    _, client = await _enter(letter("one"))
    await client.select()
    assert b"\r\na OK " in b"\r\n" + await client.talk(b"a " + command)
