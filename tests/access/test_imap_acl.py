"""Access lists, and what each right opens and leaves shut (RFC 4314 §4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from posthouse.access.imap.place import ALL_RIGHTS, sum_rights
from posthouse.message.mailbox import MailboxId, Role
from posthouse.ports.directory import Account
from posthouse.ports.store import Grant
from tests.access.imap_kit import ALICE, BOB, Client, Office, letter, open_office
from tests.access.imap_listing_kit import names_of

_OWNER = "Other Users/alice@example.org"
_TEAM = f'"{_OWNER}/Team"'.encode()
_ALL = b"lrswipkxteacd"


async def _open() -> tuple[Office, Client, Client]:
    """Alice has Team with two messages, and Bob."""
    office = await open_office()
    alice, bob = await office.enter(), await office.enter(BOB)
    await alice.talk(b"a CREATE Team")
    team = await _team(office)
    await office.add(letter("one"), letter("two"), into=team)
    return office, alice, bob


async def _team(office: Office) -> MailboxId:
    return next(box.id for box in await office.store.mailboxes.list_all(ALICE) if box.name == "Team")


async def _open_with(rights: str) -> tuple[Office, Client]:
    """Bob, who has these rights."""
    office, _, bob = await _open()
    await office.store.sharing.set_grant(ALICE, await _team(office), Grant(BOB, rights))
    return office, bob


# -- right by command

# What a command needs beside `l`; "" is what everybody may who may look the mailbox up.
_COMMANDS = {
    b"STATUS %b (MESSAGES)": "r",
    b"SELECT %b": "r",
    b"EXAMINE %b": "r",
    b"SUBSCRIBE %b": "",
    b"UNSUBSCRIBE %b": "",
    b"MYRIGHTS %b": "",
    b"GETACL %b": "a",
    b"SETACL %b anyone lr": "a",
    b"DELETEACL %b anyone": "a",
    b"LISTRIGHTS %b anyone": "a",
    b"GETMETADATA %b /shared/comment": "r",
    b'SETMETADATA %b (/private/comment "x")': "r",
    b"GETQUOTAROOT %b": "r",
    b"APPEND %b {5+}\r\nA: b\n": "i",
    b"DELETE %b": "x",
}


@pytest.mark.parametrize("right", ALL_RIGHTS)
async def test_each_right_opens_its_commands_alone(right: str) -> None:
    _, bob = await _open_with("l" + right)
    for command, needed in _COMMANDS.items():
        answer = await bob.talk(b"a " + command % _TEAM)
        if needed in ("", right):
            assert b"a OK" in answer, command
        else:
            assert b"a NO [NOPERM] You may not do that in this mailbox\r\n" in answer, command


@pytest.mark.parametrize("right", ALL_RIGHTS)
async def test_only_k_makes_mailboxes_below(right: str) -> None:
    _, bob = await _open_with("l" + right)
    answer = await bob.talk(f'a CREATE "{_OWNER}/Team/New"'.encode())
    assert (b"a OK" if right == "k" else b"a NO [NOPERM]") in answer


@pytest.mark.parametrize("right", ALL_RIGHTS)
async def test_a_mailbox_is_renamed_with_x_of_its_own_and_k_of_the_new_parent(right: str) -> None:
    _, alice, bob = await _open()
    await alice.talk(b"a CREATE Team/Old", b"b CREATE There")
    await alice.talk(f"a SETACL Team/Old bob@example.org l{right}".encode())
    await alice.talk(b"b SETACL There bob@example.org lk")
    answer = await bob.talk(f'c RENAME "{_OWNER}/Team/Old" "{_OWNER}/There/New"'.encode())
    assert (b"c OK" if right == "x" else b"c NO [NOPERM]") in answer
    await alice.talk(b"d SETACL There bob@example.org -k")
    await alice.talk(b"e SETACL Team/Old bob@example.org lx", b"f SETACL There/New bob@example.org lx")
    source = "There/New" if right == "x" else "Team/Old"
    assert b"g NO [NOPERM]" in await bob.talk(f'g RENAME "{_OWNER}/{source}" "{_OWNER}/There/Again"'.encode())


@pytest.mark.parametrize("right", ALL_RIGHTS)
async def test_flags_are_set_by_the_rights_they_need(right: str) -> None:
    _, bob = await _open_with("lr" + right)
    await bob.talk(b"a SELECT " + _TEAM)
    for flag, needed in ((b"\\Deleted", "t"), (b"\\Flagged", "w"), (b"keyword", "w")):
        await bob.talk(b"b STORE 1 +FLAGS.SILENT (%b)" % flag)
        seen = await bob.talk(b"c FETCH 1 FLAGS")
        assert (flag in seen) == (right == needed)


@pytest.mark.parametrize("right", ALL_RIGHTS)
async def test_only_e_expunges(right: str) -> None:
    office, bob = await _open_with("lr" + right)
    alice = await office.enter()
    await alice.select("Team")
    await alice.talk(b"a STORE 1 +FLAGS (\\Deleted)")
    await bob.talk(b"b SELECT " + _TEAM)
    await bob.talk(b"c EXPUNGE")
    assert (b"(MESSAGES 1)" if right == "e" else b"(MESSAGES 2)") in await alice.talk(b"d STATUS Team (MESSAGES)")


@pytest.mark.parametrize("right", ALL_RIGHTS)
async def test_shared_entries_need_w(right: str) -> None:
    _, bob = await _open_with("lr" + right)
    answer = await bob.talk(b'a SETMETADATA %b (/shared/comment "x")' % _TEAM)
    assert (b"a OK" if right == "w" else b"a NO [NOPERM]") in answer


async def test_all_rights_of_another_do_everything_but_take_the_mailbox_along() -> None:
    _, bob = await _open_with(ALL_RIGHTS)
    assert b"a NO [CANNOT]" in await bob.talk(b"a RENAME %b Mine" % _TEAM)
    await bob.talk(b"b CREATE Mine")
    assert b"c NO [CANNOT]" in await bob.talk(f'c RENAME Mine "{_OWNER}/Team/Yours"'.encode())


async def test_nobody_makes_a_mailbox_for_anothers_use() -> None:
    """Nor learns from it which uses the owner has."""
    office, bob = await _open_with("lk")
    await office.store.mailboxes.open_role(ALICE, Role.SENT)
    for use in (b"\\Sent", b"\\Trash"):
        name = f'"{_OWNER}/Team/New"'.encode()
        assert b"a NO [USEATTR]" in await bob.talk(b"a CREATE %b (USE (%b))" % (name, use))


# -- what may not be looked up does not exist


@pytest.mark.parametrize("right", ALL_RIGHTS.replace("l", ""))
async def test_without_l_every_answer_is_that_of_a_mailbox_that_is_not_there(right: str) -> None:
    _, bob = await _open_with(right)
    for command in _COMMANDS:
        if right == "i" and command.startswith(b"APPEND"):
            continue  # a drop box
        hidden = await bob.talk(b"a " + command % _TEAM)
        missing = await bob.talk(b"a " + command % f'"{_OWNER}/Nothing"'.encode())
        nobody = await bob.talk(b"a " + command % b'"Other Users/nobody@example.org/Team"')
        assert hidden == missing == nobody, command
        if not command.startswith(b"UNSUBSCRIBE"):
            assert b"a NO [NONEXISTENT] There is no such mailbox\r\n" in hidden, command


async def test_a_drop_box_takes_mail_and_shows_nothing() -> None:
    """RFC 4314 §4: `i` is all that APPEND and COPY need."""
    office, bob = await _open_with("i")
    await office.add(letter("his"), account=BOB)
    assert b"a OK [APPENDUID " in await bob.talk(b"a APPEND %b {5+}\r\nA: b\n" % _TEAM)
    await bob.select()
    assert b"b OK [COPYUID " in await bob.talk(b"b COPY 1 %b" % _TEAM)
    assert (await office.store.mailboxes.get(ALICE, await _team(office))).total == 4
    assert b"c NO [NONEXISTENT] " in await bob.talk(b"c SELECT %b" % _TEAM)


@pytest.mark.parametrize(("rights", "code"), [("lk", b"TRYCREATE"), ("li", b"NONEXISTENT")])
async def test_only_who_may_create_is_told_to_try(rights: str, code: bytes) -> None:
    _, bob = await _open_with(rights)
    below = f'"{_OWNER}/Team/below"'.encode()
    assert b"a NO [%b] " % code in await bob.talk(b"a APPEND %b {5+}\r\nA: b\n" % below)
    assert b"b NO [NONEXISTENT] " in await bob.talk(b'b APPEND "Other Users/nobody@example.org/x" {5+}\r\nA: b\n')
    assert b"c NO [TRYCREATE] " in await bob.talk(b"c APPEND mine {5+}\r\nA: b\n")


async def test_other_accounts_are_looked_into_only_when_they_share() -> None:
    """Otherwise the time an answer takes would tell which accounts there are."""
    office, _, bob = await _open()
    asked: list[str] = []
    sharing = office.store.sharing
    office.store = replace(office.store, sharing=_Noting(sharing, asked))  # type: ignore[arg-type]
    bob.session.desk = office.desk
    await bob.talk(b"a STATUS %b (MESSAGES)" % _TEAM)
    there, asked[:] = [*asked], []
    await bob.talk(b'a STATUS "Other Users/nobody@example.org/Team" (MESSAGES)')
    assert there == asked == ["owners"]


class _Noting:
    def __init__(self, sharing: object, asked: list[str]) -> None:
        self._sharing, self._asked = sharing, asked

    def __getattr__(self, name: str) -> object:
        self._asked.append(name)
        return getattr(self._sharing, name)


async def test_an_account_that_shares_nothing_is_as_one_that_is_not_there() -> None:
    """CVE-2026-47083."""
    _, _, bob = await _open()
    for command in (*_COMMANDS, b"CREATE %b", b"RENAME INBOX %b"):
        there = await bob.talk(b"a " + command % _TEAM)
        nobody = await bob.talk(b"a " + command % b'"Other Users/nobody@example.org/Team"')
        assert there == nobody
        assert b"UNSUBSCRIBE" in command or b"a NO" in there
    assert all("Other Users" not in name for name in await names_of(bob, "*"))


async def test_hidden_mailboxes_are_not_counted_among_the_children() -> None:
    _, alice, bob = await _open()
    await alice.talk(b"a CREATE Team/Hidden")
    await alice.talk(b"b SETACL Team bob@example.org lrx", b"c DELETEACL Team/Hidden bob@example.org")
    assert b'* LIST (\\HasNoChildren) "/" ' + _TEAM in await bob.talk(b'd LIST "" *Team*')
    answer = await bob.talk(b"e DELETE " + _TEAM)
    assert answer == b"e NO [NOPERM] The mailbox cannot be removed\r\n"


async def test_a_reader_does_not_learn_how_much_mail_the_owner_has() -> None:
    office, bob = await _open_with("lr")
    people = office.logins.people
    people.by_id[ALICE] = Account(ALICE, "alice@example.org", addresses=("alice@example.org",), quota_octets=1 << 20)
    people.by_id[BOB] = Account(BOB, "bob@example.org", addresses=("bob@example.org",), quota_octets=1 << 20)
    assert await bob.talk(b"a GETQUOTAROOT " + _TEAM) == b"* QUOTAROOT %b\r\na OK That is the quota root\r\n" % _TEAM


async def test_rights_that_are_taken_hide_the_mailbox_at_once() -> None:
    office, bob = await _open_with("lr")
    assert b"a OK" in await bob.talk(b"a STATUS %b (MESSAGES)" % _TEAM)
    await office.store.sharing.set_grant(ALICE, await _team(office), Grant(BOB, ""))
    assert b"b NO [NONEXISTENT]" in await bob.talk(b"b STATUS %b (MESSAGES)" % _TEAM)


async def test_who_may_not_read_the_selected_mailbox_any_more_is_put_out() -> None:
    office, bob = await _open_with("lr")
    await bob.talk(b"a SELECT " + _TEAM, b"b IDLE")
    await office.store.sharing.set_grant(ALICE, await _team(office), Grant(BOB, "l"))
    assert await bob.hear() == b"* BYE The selected mailbox is no longer accessible\r\n"
    assert bob.wire.is_closing


async def test_rights_of_the_selected_mailbox_change_while_it_is_selected() -> None:
    office, bob = await _open_with("lrw")
    await bob.talk(b"a SELECT " + _TEAM)
    await office.store.sharing.set_grant(ALICE, await _team(office), Grant(BOB, "lr"))
    await bob.talk(b"b NOOP", b"c STORE 1 +FLAGS (\\Flagged)")
    assert b"FLAGS ()" in await bob.talk(b"d FETCH 1 FLAGS")


async def test_an_owner_whose_name_has_a_separator_cannot_be_named_and_shares_nothing() -> None:
    office, bob = await _open_with("lr")
    office.logins.people.by_id[ALICE] = Account(ALICE, "al/ice@example.org", addresses=("al/ice@example.org",))
    assert all("Other Users" not in name for name in await names_of(bob, "*"))


async def test_an_owner_that_was_removed_shares_nothing() -> None:
    office, bob = await _open_with("lr")
    office.memory.remove_account(ALICE)
    assert b"a NO [NONEXISTENT]" in await bob.talk(b"a STATUS %b (MESSAGES)" % _TEAM)
    assert all("Other Users" not in name for name in await names_of(bob, "*"))


# -- lists


async def test_the_owner_stands_in_the_list_with_all_rights() -> None:
    _, alice, _ = await _open()
    assert await alice.talk(b"a GETACL Team") == (
        b'* ACL "Team" "alice@example.org" %b\r\na OK That is the access list\r\n' % _ALL
    )
    assert await alice.talk(b"a MYRIGHTS Team") == b'* MYRIGHTS "Team" %b\r\na OK Those are your rights\r\n' % _ALL


async def test_rights_are_set_added_and_taken() -> None:
    _, alice, bob = await _open()
    for change, expected in ((b"lr", b"lr"), (b"+sw", b"lrsw"), (b"-rw", b"ls"), (b"lk", b"lkc"), (b"lte", b"lted")):
        assert b"a OK" in await alice.talk(b"a SETACL Team bob@example.org " + change)
        assert await bob.talk(b"b MYRIGHTS " + _TEAM) == (
            b"* MYRIGHTS %b %b\r\nb OK Those are your rights\r\n" % (_TEAM, expected)
        )
    await alice.talk(b'a SETACL Team bob@example.org ""')
    assert b"bob" not in await alice.talk(b"c GETACL Team")


async def test_rights_of_rfc_2086_are_understood() -> None:
    _, alice, _ = await _open()
    await alice.talk(b"a SETACL Team bob@example.org lcd")
    assert b'"bob@example.org" lkxtecd\r\n' in await alice.talk(b"b GETACL Team")
    await alice.talk(b"a SETACL Team bob@example.org -d")
    assert b'"bob@example.org" lkxc\r\n' in await alice.talk(b"b GETACL Team")


async def test_an_entry_goes_by_deleteacl() -> None:
    _, alice, bob = await _open()
    await alice.talk(b"a SETACL Team bob@example.org lr")
    assert b"b OK" in await alice.talk(b"b DELETEACL Team bob@example.org")
    assert b"bob" not in await alice.talk(b"c GETACL Team")
    assert b"d NO [NONEXISTENT]" in await bob.talk(b"d SELECT " + _TEAM)


async def test_anyone_is_everybody_here() -> None:
    _, alice, bob = await _open()
    await alice.talk(b"a SETACL Team anyone lr")
    assert b'"anyone" lr\r\n' in await alice.talk(b"b GETACL Team")
    assert b"c OK" in await bob.talk(b"c SELECT " + _TEAM)


async def test_negative_rights_are_taken_from_what_others_give() -> None:
    _, alice, bob = await _open()
    await alice.talk(
        b"a SETACL Team anyone lrs", b"b SETACL Team bob@example.org lrw", b"c SETACL Team -bob@example.org rw"
    )
    assert b" ls\r\n" in await bob.talk(b"d MYRIGHTS " + _TEAM)
    assert b'"-bob@example.org" rw' in await alice.talk(b"e GETACL Team")
    await alice.talk(b"f SETACL Team -anyone l")
    assert b"g NO [NONEXISTENT]" in await bob.talk(b"g MYRIGHTS " + _TEAM)
    assert b"h OK" in await alice.talk(b"h SELECT Team")
    await alice.talk(b"i DELETEACL Team -bob@example.org", b"j DELETEACL Team -anyone")
    assert b" lrsw\r\n" in await bob.talk(b"k MYRIGHTS " + _TEAM)


@pytest.mark.parametrize("identifier", [b"alice@example.org", b"al@example.org", b"-alice@example.org"])
async def test_the_owner_cannot_lose_a_right(identifier: bytes) -> None:
    office, alice, bob = await _open()
    assert b"a NO [CANNOT]" in await alice.talk(b"a SETACL Team %b lr" % identifier)
    await office.store.sharing.set_grant(ALICE, await _team(office), Grant(BOB, ALL_RIGHTS))
    assert b"b NO [CANNOT]" in await bob.talk(b"b SETACL %b %b lr" % (_TEAM, identifier))
    assert b"c NO [CANNOT]" in await bob.talk(b"c DELETEACL %b %b" % (_TEAM, identifier))
    assert _ALL in await alice.talk(b"d MYRIGHTS Team")


async def test_an_identifier_may_be_any_address_of_an_account() -> None:
    _, alice, bob = await _open()
    await bob.talk(b"a CREATE Desk", b"b SETACL Desk AL@example.org lr")
    assert b'"alice@example.org" lr\r\n' in await bob.talk(b"c GETACL Desk")
    assert b"d OK" in await alice.talk(b'd SELECT "Other Users/bob@example.org/Desk"')


async def test_who_has_no_account_gets_no_rights() -> None:
    _, alice, _ = await _open()
    assert b"a NO [CANNOT]" in await alice.talk(b"a SETACL Team nobody@example.org lr")
    assert b"b NO [CANNOT]" in await alice.talk(b"b DELETEACL Team nobody@example.org")


@pytest.mark.parametrize("rights", [b"lz", b"L", b"l1", b"+q"])
async def test_what_is_no_right_is_bad(rights: bytes) -> None:
    """RFC 4314 §3.1."""
    _, alice, _ = await _open()
    assert b"a BAD" in await alice.talk(b"a SETACL Team bob@example.org " + rights)


async def test_what_may_be_given() -> None:
    _, alice, _ = await _open()
    assert await alice.talk(b"a LISTRIGHTS Team bob@example.org") == (
        b'* LISTRIGHTS "Team" "bob@example.org" "" l r s w i p k x t e a c d\r\na OK Those are the rights there are\r\n'
    )
    assert b'"alice@example.org" %b\r\n' % _ALL in await alice.talk(b"b LISTRIGHTS Team alice@example.org")
    assert b'"-anyone" "" l r ' in await alice.talk(b"c LISTRIGHTS Team -anyone")
    assert b"d NO [CANNOT]" in await alice.talk(b"d LISTRIGHTS Team nobody@example.org")


async def test_a_mailbox_made_below_another_has_its_list() -> None:
    _, alice, bob = await _open()
    await alice.talk(b"a SETACL Team bob@example.org lrk", b"b SETACL Team -anyone x")
    assert b"c OK" in await bob.talk(f'c CREATE "{_OWNER}/Team/a/b"'.encode())
    for name in (b"Team/a", b"Team/a/b"):
        assert b'"-anyone" xc "bob@example.org" lrkc' in await alice.talk(b"d GETACL " + name)
    assert b"e OK" in await bob.talk(f'e SELECT "{_OWNER}/Team/a/b"'.encode())


async def test_a_list_goes_with_its_mailbox() -> None:
    _, alice, bob = await _open()
    await alice.talk(b"a SETACL Team bob@example.org lr", b"b RENAME Team Crew")
    assert b"c NO [NONEXISTENT]" in await bob.talk(b"c SELECT " + _TEAM)
    assert b"d OK" in await bob.talk(f'd SELECT "{_OWNER}/Crew"'.encode())


async def test_the_owner_is_named_by_any_of_his_addresses() -> None:
    _, bob = await _open_with("lr")
    answer = await bob.talk(b'a STATUS "Other Users/al@example.org/Team" (MESSAGES)')
    assert b"* STATUS %b (MESSAGES 2)" % _TEAM in answer


async def test_inbox_of_another_may_be_shared_but_stays() -> None:
    _, alice, bob = await _open()
    await alice.talk(b"a SETACL INBOX bob@example.org " + _ALL)
    name = f'"{_OWNER}/INBOX"'.encode()
    assert b"b OK" in await bob.talk(b"b SELECT " + name)
    assert b"c NO [CANNOT]" in await bob.talk(b"c DELETE " + name)
    assert b"d NO [CANNOT]" in await bob.talk(f'd RENAME {name.decode()} "{_OWNER}/INBOX/x"'.encode())


async def test_what_a_reader_has_seen_is_counted_for_the_reader() -> None:
    office, bob = await _open_with("lrs")
    alice = await office.enter()
    await alice.select("Team")
    await alice.talk(b"a STORE 1 +FLAGS (\\Seen)")
    assert b"(UNSEEN 1)" in await alice.talk(b"b STATUS Team (UNSEEN)")
    assert b"(UNSEEN 2)" in await bob.talk(b"c STATUS %b (UNSEEN)" % _TEAM)


def test_rights_add_up() -> None:
    grants = [Grant(None, "lr"), Grant(BOB, "sw"), Grant(ALICE, "a"), Grant(BOB, "r", is_negative=True)]
    assert sum_rights(grants, BOB) == "lsw"
    assert sum_rights(grants, ALICE) == "lra"
    assert sum_rights([], BOB) == ""
