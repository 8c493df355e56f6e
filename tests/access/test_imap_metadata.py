"""GETMETADATA and SETMETADATA (RFC 5464)."""

from __future__ import annotations

import pytest

from posthouse.message.mailbox import Role
from posthouse.ports.store import Grant
from posthouse.protocol.imap.commands import GetMetadata, SetMetadata
from tests.access.imap_kit import ALICE, BOB, Client, Office, open_office


async def _enter(**settings: object) -> tuple[Office, Client]:
    office = await open_office(**settings)
    return office, await office.enter()


async def test_an_entry_is_kept_changed_and_removed() -> None:
    _, alice = await _enter()
    assert b"a OK" in await alice.talk(b'a SETMETADATA INBOX (/private/comment "one")')
    assert b'* METADATA "INBOX" (/private/comment "one")\r\n' in await alice.talk(
        b"b GETMETADATA INBOX /private/comment"
    )
    await alice.talk(b'c SETMETADATA INBOX (/private/comment "two" /shared/comment "for all")')
    assert await alice.talk(b"d GETMETADATA INBOX (/private/comment /shared/comment)") == (
        b'* METADATA "INBOX" (/private/comment "two" /shared/comment "for all")\r\nd OK Those are the entries\r\n'
    )
    await alice.talk(b"e SETMETADATA INBOX (/private/comment NIL)")
    assert b"(/private/comment NIL)" in await alice.talk(b"f GETMETADATA INBOX /private/comment")


async def test_names_of_entries_are_the_same_in_any_case() -> None:
    _, alice = await _enter()
    await alice.talk(b'a SETMETADATA INBOX (/PRIVATE/Comment "x")')
    assert b'/private/comment "x"' in await alice.talk(b"b GETMETADATA INBOX /private/COMMENT")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (b"", b'""'),
        (b'say "hi"', b'"say \\"hi\\""'),
        (b"two\r\nlines", b"{10}\r\ntwo\r\nlines"),
        ("ä".encode(), b"{2}\r\n" + "ä".encode()),
        (b"\0nul", b"~{4}\r\n\0nul"),
        (b"NIL", b'"NIL"'),
    ],
)
async def test_any_octets_come_back(value: bytes, written: bytes) -> None:
    _, alice = await _enter()
    await alice.do(SetMetadata("INBOX", (("/private/x", value),)))
    assert b"(/private/x %b)\r\n" % written in await alice.talk(b"a GETMETADATA INBOX /private/x")


async def test_depth() -> None:
    """RFC 5464 §4.2.2."""
    _, alice = await _enter()
    await alice.talk(b'a SETMETADATA INBOX (/private/a "0" /private/a/b "1" /private/a/b/c "2" /private/ab "no")')
    for depth, expected in (
        (b"0", b'/private/a "0"'),
        (b"1", b'/private/a "0" /private/a/b "1"'),
        (b"infinity", b'/private/a "0" /private/a/b "1" /private/a/b/c "2"'),
    ):
        answer = await alice.talk(b"b GETMETADATA (DEPTH %b) INBOX /private/a" % depth)
        assert answer == b'* METADATA "INBOX" (%b)\r\nb OK Those are the entries\r\n' % expected
    assert await alice.talk(b"c GETMETADATA (DEPTH 1) INBOX /private/none") == b"c OK Those are the entries\r\n"


async def test_all_private_entries_at_once() -> None:
    _, alice = await _enter()
    await alice.talk(b'a SETMETADATA INBOX (/private/a/b "1" /shared/c "2")')
    answer = await alice.talk(b"b GETMETADATA (DEPTH infinity) INBOX /private")
    assert b'* METADATA "INBOX" (/private/a/b "1")\r\n' in answer


async def test_large_values_are_left_out_when_they_are_not_wanted() -> None:
    """RFC 5464 §4.2.1: the size of the largest is told."""
    _, alice = await _enter()
    await alice.talk(b'a SETMETADATA INBOX (/private/a "12345" /private/b "123" /private/c "1234567")')
    assert await alice.talk(b"b GETMETADATA (MAXSIZE 4 DEPTH 1) INBOX /private") == (
        b'* METADATA "INBOX" (/private/b "123")\r\nb OK [METADATA LONGENTRIES 7] Those are the entries\r\n'
    )
    assert await alice.talk(b"c GETMETADATA (MAXSIZE 5) INBOX /private/a") == (
        b'* METADATA "INBOX" (/private/a "12345")\r\nc OK Those are the entries\r\n'
    )


async def test_a_value_that_is_too_large_is_refused_with_all_of_the_command() -> None:
    _, alice = await _enter(largest_metadata=4)
    assert b"a NO [METADATA MAXSIZE 4]" in await alice.talk(b'a SETMETADATA INBOX (/private/a "1" /private/b "12345")')
    assert b"(/private/a NIL)" in await alice.talk(b"b GETMETADATA INBOX /private/a")


async def test_too_many_entries_are_refused() -> None:
    _, alice = await _enter()
    for number in range(5):
        entries = tuple((f"/private/{number}/{each}", b"x") for each in range(100))
        assert b"t OK" in await alice.do(SetMetadata("INBOX", entries))
    assert b"t NO [METADATA TOOMANY]" in await alice.do(SetMetadata("INBOX", (("/private/more", b"x"),)))
    many = tuple(f"/private/{each}" for each in range(101))
    assert b"t NO [METADATA TOOMANY]" in await alice.do(GetMetadata("INBOX", many))


@pytest.mark.parametrize("entry", ["/other/x", "/privates/x", "/vendor", "/private/" + "x" * 2000])
async def test_what_is_no_entry_is_bad(entry: str) -> None:
    _, alice = await _enter()
    assert b"t BAD" in await alice.do(SetMetadata("INBOX", ((entry, b"x"),)))


async def test_private_entries_are_each_readers_own() -> None:
    office, alice = await _enter()
    await office.store.sharing.set_grant(ALICE, await office.inbox(), Grant(BOB, "lrw"))
    bob = await office.enter(BOB)
    name = b'"Other Users/alice@example.org/INBOX"'
    await alice.talk(b'a SETMETADATA INBOX (/private/comment "mine" /shared/comment "ours")')
    assert b'(/private/comment NIL /shared/comment "ours")' in await bob.talk(
        b"b GETMETADATA %b (/private/comment /shared/comment)" % name
    )
    await bob.talk(b'c SETMETADATA %b (/private/comment "his" /shared/comment "new")' % name)
    assert b'(/private/comment "mine" /shared/comment "new")' in await alice.talk(
        b"d GETMETADATA INBOX (/private/comment /shared/comment)"
    )


# -- of the server


async def test_what_the_server_says_of_itself() -> None:
    _, alice = await _enter()
    assert await alice.talk(b'a GETMETADATA "" (/shared/comment /shared/admin /shared/motd)') == (
        b'* METADATA "" (/shared/comment "Posthouse at imap.example.org" /shared/admin'
        b' "mailto:postmaster@example.org" /shared/motd NIL)\r\na OK Those are the entries\r\n'
    )
    assert b"b NO [NOPERM]" in await alice.talk(b'b SETMETADATA "" (/shared/comment "x")')


async def test_private_entries_of_the_server_are_the_users_and_may_open_the_outbox() -> None:
    office, alice = await _enter()
    entry = b"/private/vendor/posthouse/outbox"
    assert b"a OK" in await alice.talk(b'a SETMETADATA "" (%b "on")' % entry)
    assert office.sending.entries == [entry.decode()]
    assert b'(%b "on")' % entry in await alice.talk(b'b GETMETADATA "" ' + entry)
    assert b"XCOURIEROUTBOX=Outbox" in await alice.talk(b"c CAPABILITY")
    office.sending.is_on = False
    await alice.talk(b'd SETMETADATA "" (%b NIL)' % entry)
    assert b"XCOURIEROUTBOX" not in await alice.talk(b"e CAPABILITY")


async def test_private_entries_of_the_server_are_not_for_others() -> None:
    office, alice = await _enter()
    await alice.talk(b'a SETMETADATA "" (/private/x "mine")')
    bob = await office.enter(BOB)
    assert b"(/private/x NIL)" in await bob.talk(b'b GETMETADATA "" /private/x')


async def test_entries_of_a_mailbox_that_is_not_there() -> None:
    _, alice = await _enter()
    assert b"a NO [NONEXISTENT]" in await alice.talk(b"a GETMETADATA nowhere /private/comment")
    assert b"b NO [NONEXISTENT]" in await alice.talk(b'b SETMETADATA nowhere (/private/comment "x")')


async def test_entries_go_with_a_mailbox() -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE one", b'b SETMETADATA one (/private/comment "x")', b"c RENAME one two")
    assert b'(/private/comment "x")' in await alice.talk(b"d GETMETADATA two /private/comment")


# -- special use


async def test_the_use_of_a_mailbox_is_read_and_changed() -> None:
    """RFC 6154 §4."""
    _, alice = await _enter()
    await alice.talk(b"a CREATE Copies (USE (\\Sent))", b"b CREATE Other")
    entry = b"/private/specialuse"
    assert b'(%b "\\\\Sent")' % entry in await alice.talk(b"c GETMETADATA Copies " + entry)
    assert b"d NO [USEATTR]" in await alice.talk(b'd SETMETADATA Other (%b "\\\\Sent")' % entry)
    assert b"e OK" in await alice.talk(b"e SETMETADATA Copies (%b NIL)" % entry)
    assert b"f OK" in await alice.talk(b'f SETMETADATA Other (%b "\\\\sent" /private/comment "x")' % entry)
    answer = await alice.talk(b'g LIST "" (Copies Other) RETURN (METADATA (%b))' % entry)
    assert b'* METADATA "Copies" (%b NIL)\r\n' % entry in answer
    assert b'* LIST (\\HasNoChildren \\Sent) "/" "Other"\r\n' in answer
    assert b'* METADATA "Other" (%b "\\\\Sent")\r\n' % entry in answer


@pytest.mark.parametrize(
    ("name", "use"), [(b"INBOX", b"\\\\Sent"), (b"Work", b"\\\\All"), (b"Work", b"\\\\Sent \\\\Trash")]
)
async def test_uses_that_cannot_be_are_refused(name: bytes, use: bytes) -> None:
    _, alice = await _enter()
    await alice.talk(b"a CREATE Work")
    assert b"b NO [USEATTR]" in await alice.talk(b'b SETMETADATA %b (/private/specialuse "%b")' % (name, use))


async def test_the_use_of_anothers_mailbox_is_not_the_readers_to_know_or_change() -> None:
    office, alice = await _enter()
    made = await office.store.mailboxes.open_role(ALICE, Role.TRASH)
    await office.store.sharing.set_grant(ALICE, made.id, Grant(BOB, "lrw"))
    bob = await office.enter(BOB)
    name, entry = b'"Other Users/alice@example.org/Trash"', b"/private/specialuse"
    assert b"(%b NIL)" % entry in await bob.talk(b"a GETMETADATA %b %b" % (name, entry))
    assert b"b NO [USEATTR]" in await bob.talk(b'b SETMETADATA %b (%b "\\\\Sent")' % (name, entry))
    assert b"\\\\Trash" in await alice.talk(b"c GETMETADATA Trash " + entry)
