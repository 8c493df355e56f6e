"""LIST in all its forms, and LSUB."""

from __future__ import annotations

import pytest

from posthouse.message.mailbox import Role
from posthouse.ports.store import Grant, StoreError
from posthouse.protocol.imap.commands import List
from posthouse.protocol.imap.values import ListSelect
from tests.access.imap_kit import ALICE, BOB, Client, Office, letter, open_office
from tests.access.imap_listing_kit import names_of, read_list

_USUAL = ["Drafts", "Sent", "Archive", "Junk", "Trash"]


async def _enter(*mailboxes: str) -> tuple[Office, Client]:
    """With these mailboxes beside INBOX, all of them without a use."""
    office = await open_office(letter("one"))
    alice = await office.enter()
    for name in mailboxes:
        assert b"a OK" in await alice.talk(f'a CREATE "{name}"'.encode())
    return office, alice


# -- the plain form


async def test_an_empty_pattern_asks_for_the_separator() -> None:
    _, alice = await _enter()
    assert await alice.talk(b'a LIST "" ""') == b'* LIST (\\Noselect) "/" ""\r\na OK Listed\r\n'
    assert await alice.talk(b'a LSUB "" ""') == b'* LSUB (\\Noselect) "/" ""\r\na OK Listed\r\n'


async def test_an_empty_pattern_of_the_extended_form_means_nothing_special() -> None:
    _, alice = await _enter("x")
    assert await alice.talk(b'a LIST "" "" RETURN ()') == b"a OK Listed\r\n"
    assert await alice.talk(b'a LIST () "" ""') == b"a OK Listed\r\n"


async def test_children_are_told_always() -> None:
    _, alice = await _enter("one/two")
    assert await alice.talk(b'a LIST "" one*') == (
        b'* LIST (\\HasChildren) "/" "one"\r\n* LIST (\\HasNoChildren) "/" "one/two"\r\na OK Listed\r\n'
    )


async def test_wildcards_and_references() -> None:
    _, alice = await _enter("one/two/three", "one/other", "only")
    assert await names_of(alice, "one/%") == ["one/two", "one/other"]
    assert await names_of(alice, "o%") == ["one", "only"]
    assert await names_of(alice, "*three") == ["one/two/three"]
    assert list(read_list(await alice.talk(b"a LIST one/ %"))) == ["one/two", "one/other"]
    assert list(read_list(await alice.talk(b"a LIST one/tw *"))) == ["one/two", "one/two/three"]
    assert await names_of(alice, "nothing") == []


async def test_several_patterns_give_each_mailbox_once() -> None:
    _, alice = await _enter("one", "two")
    answer = await alice.talk(b'a LIST "" (inbox one o% "*w*")')
    assert list(read_list(answer)) == ["INBOX", "one", "two"]


async def test_too_many_patterns_are_refused() -> None:
    _, alice = await _enter()
    patterns = tuple(f"x{number}" for number in range(101))
    assert b"t NO [LIMIT]" in await alice.do(List("", patterns, is_extended=True))


# -- special use


async def test_an_account_that_has_only_inbox_gets_the_usual_mailboxes_once() -> None:
    _, alice = await _enter()
    found = read_list(await alice.talk(b'a LIST "" %'))
    assert {name: flags for name, (flags, _) in found.items()} == {"INBOX": set()} | {
        name: {f"\\{name}"} for name in _USUAL
    }
    await alice.talk(b"b DELETE Archive", b"c DELETE Trash", b"d DELETE Junk")
    assert await names_of(alice, "%") == ["INBOX", "Drafts", "Sent"]


async def test_a_program_that_does_not_list_finds_the_usual_mailboxes_too() -> None:
    _, alice = await _enter()
    assert b"b OK" in await alice.talk(b"a SELECT Typo", b"b STATUS Archive (MESSAGES)")
    assert await names_of(alice, "%") == ["INBOX", *_USUAL]
    await alice.talk(b"b DELETE Archive")
    assert b"c NO [NONEXISTENT]" in await alice.talk(b"c STATUS Archive (MESSAGES)")


async def test_what_the_server_made_before_is_not_doubled() -> None:
    office, alice = await _enter()
    await office.store.mailboxes.open_role(ALICE, Role.SENT)
    await office.store.mailboxes.create(ALICE, "Outbox")
    assert sorted(await names_of(alice, "%")) == sorted(["INBOX", "Outbox", *_USUAL])


async def test_an_account_with_mailboxes_of_its_own_is_left_as_it_is() -> None:
    _, alice = await _enter("Sent Items")
    assert await names_of(alice, "%") == ["INBOX", "Sent Items"]


async def test_lsub_shows_the_usual_mailboxes_of_a_new_account_too() -> None:
    _, alice = await _enter()
    assert (await alice.talk(b'a LSUB "" *')).count(b"* LSUB () ") == 6


async def test_a_full_disk_does_not_hinder_listing() -> None:
    office, alice = await _enter()
    office.memory.broken = True
    assert await names_of(alice, "%") == ["INBOX"]
    office.memory.error = StoreError("away")
    assert b"a NO [UNAVAILABLE]" in await alice.talk(b'a LIST "" *')


async def test_special_use_chooses_those_with_a_use() -> None:
    _, alice = await _enter("x", "Mine")
    await alice.talk(b"a CREATE Copies (USE (\\Sent))")
    expected = {"Copies": ({"\\Sent"}, "")}
    assert read_list(await alice.talk(b'b LIST (SPECIAL-USE) "" *')) == expected
    assert read_list(await alice.talk(b'b LIST (SPECIAL-USE) "" * RETURN (SPECIAL-USE)')) == expected


# -- subscriptions


async def test_subscribed_ones_and_their_attribute() -> None:
    _, alice = await _enter("one", "two")
    await alice.talk(b"a UNSUBSCRIBE one")
    assert read_list(await alice.talk(b'b LIST (SUBSCRIBED) "" %')) == {
        "INBOX": ({"\\Subscribed"}, ""),
        "two": ({"\\Subscribed"}, ""),
    }
    assert read_list(await alice.talk(b'c LIST "" % RETURN (SUBSCRIBED CHILDREN)')) == {
        "INBOX": ({"\\Subscribed"}, ""),
        "one": (set(), ""),
        "two": ({"\\Subscribed"}, ""),
    }
    assert b"\\Subscribed" not in await alice.talk(b'd LIST "" %')


async def test_names_that_are_subscribed_but_gone_are_told_to_who_asks_for_subscriptions() -> None:
    _, alice = await _enter("one", "two/three")
    await alice.talk(b"a DELETE two/three", b"b DELETE two")
    found = read_list(await alice.talk(b'c LIST (SUBSCRIBED REMOTE) "" *'))
    assert found["two/three"] == ({"\\NonExistent", "\\Subscribed"}, "")
    assert await names_of(alice, "t*") == []


async def test_a_parent_of_subscribed_ones_is_told_by_recursivematch() -> None:
    """RFC 5258 §5, examples 8 and 9."""
    _, alice = await _enter("foo/bar", "foo/baz", "moo")
    await alice.talk(b"a UNSUBSCRIBE foo", b"b UNSUBSCRIBE foo/baz", b"c UNSUBSCRIBE INBOX")
    assert read_list(await alice.talk(b'd LIST (SUBSCRIBED RECURSIVEMATCH) "" %')) == {
        "foo": (set(), '("CHILDINFO" ("SUBSCRIBED"))'),
        "moo": ({"\\Subscribed"}, ""),
    }
    assert read_list(await alice.talk(b'e LIST (SUBSCRIBED) "" %')) == {"moo": ({"\\Subscribed"}, "")}
    await alice.talk(b"f SUBSCRIBE foo")
    assert read_list(await alice.talk(b'g LIST (RECURSIVEMATCH SUBSCRIBED) "" foo')) == {
        "foo": ({"\\Subscribed"}, '("CHILDINFO" ("SUBSCRIBED"))')
    }


async def test_a_parent_that_is_gone_is_told_by_recursivematch() -> None:
    _, alice = await _enter("foo/bar")
    await alice.talk(b"a DELETE foo/bar", b"b UNSUBSCRIBE foo", b"c DELETE foo")
    assert read_list(await alice.talk(b'd LIST (SUBSCRIBED RECURSIVEMATCH) "" f%'))["foo"] == (
        {"\\NonExistent"},
        '("CHILDINFO" ("SUBSCRIBED"))',
    )


async def test_recursivematch_by_use() -> None:
    _, alice = await _enter("above/x")
    await alice.talk(b"a CREATE above/Copies (USE (\\Sent))")
    assert read_list(await alice.talk(b'b LIST (SPECIAL-USE RECURSIVEMATCH) "" %')) == {
        "above": (set(), '("CHILDINFO" ("SPECIAL-USE"))')
    }


async def test_recursivematch_alone_is_refused() -> None:
    _, alice = await _enter()
    assert b"a BAD" in await alice.talk(b'a LIST (RECURSIVEMATCH) "" *')
    select = frozenset({ListSelect.RECURSIVEMATCH, ListSelect.REMOTE})
    assert b"t BAD" in await alice.do(List("", ("*",), select, is_extended=True))


# -- what is returned along


async def test_status_comes_with_each_mailbox_that_was_chosen() -> None:
    _, alice = await _enter("one/two")
    await alice.talk(b"a UNSUBSCRIBE one")
    assert await alice.talk(b'b LIST (SUBSCRIBED RECURSIVEMATCH) "" (% one/%) RETURN (STATUS (MESSAGES UNSEEN))') == (
        b'* LIST (\\HasNoChildren \\Subscribed) "/" "INBOX"\r\n'
        b'* STATUS "INBOX" (MESSAGES 1 UNSEEN 1)\r\n'
        b'* LIST (\\HasChildren) "/" "one" ("CHILDINFO" ("SUBSCRIBED"))\r\n'
        b'* LIST (\\HasNoChildren \\Subscribed) "/" "one/two"\r\n'
        b'* STATUS "one/two" (MESSAGES 0 UNSEEN 0)\r\n'
        b"b OK Listed\r\n"
    )


async def test_rights_come_along() -> None:
    _, alice = await _enter()
    answer = await alice.talk(b'a LIST "" INBOX RETURN (MYRIGHTS)')
    assert b'"/" "INBOX"\r\n* MYRIGHTS "INBOX" lrswipkxteacd\r\n' in answer


async def test_entries_come_along_and_nil_where_there_is_none() -> None:
    """RFC 9590 §3."""
    _, alice = await _enter("one")
    await alice.talk(b'a SETMETADATA one (/shared/vendor/x/color "red")')
    answer = await alice.talk(b'b LIST "" (INBOX one) RETURN (METADATA (/shared/vendor/x/color))')
    assert b'"INBOX"\r\n* METADATA "INBOX" (/shared/vendor/x/color NIL)\r\n' in answer
    assert b'"one"\r\n* METADATA "one" (/shared/vendor/x/color "red")\r\n' in answer


async def test_asking_for_the_highest_modseq_enables_condstore() -> None:
    _, alice = await _enter()
    await alice.talk(b'a LIST "" INBOX RETURN (STATUS (HIGHESTMODSEQ))')
    assert alice.session.condstore


async def test_many_mailboxes_are_listed_in_turns() -> None:
    office, alice = await _enter()
    for number in range(700):
        await office.store.mailboxes.create(ALICE, f"m{number:04}")
    assert len(await names_of(alice, "m*")) == 700


# -- LSUB


async def test_lsub_shows_a_parent_that_is_not_subscribed_where_the_pattern_ends_there() -> None:
    """RFC 3501 §6.3.9."""
    _, alice = await _enter("foo/bar/deep")
    await alice.talk(b"a UNSUBSCRIBE foo", b"b UNSUBSCRIBE foo/bar", b"c UNSUBSCRIBE INBOX")
    assert await alice.talk(b'd LSUB "" %') == b'* LSUB (\\Noselect) "/" "foo"\r\nd OK Listed\r\n'
    assert await alice.talk(b"d LSUB foo/ %") == b'* LSUB (\\Noselect) "/" "foo/bar"\r\nd OK Listed\r\n'
    assert await alice.talk(b'd LSUB "" *') == b'* LSUB () "/" "foo/bar/deep"\r\nd OK Listed\r\n'
    await alice.talk(b"e SUBSCRIBE foo")
    assert await alice.talk(b'f LSUB "" %') == b'* LSUB () "/" "foo"\r\nf OK Listed\r\n'


# -- mailboxes of others


async def _share(office: Office, name: str, rights: str) -> None:
    boxes = await office.store.mailboxes.list_all(BOB)
    number = next(box.id for box in boxes if box.name == name)
    await office.store.sharing.set_grant(BOB, number, Grant(ALICE, rights))


async def test_what_others_share_is_below_other_users() -> None:
    office, alice = await _enter("x")
    bob = await office.enter(BOB)
    await bob.talk(b"a CREATE Team/Plans", b"b CREATE Secret")
    await _share(office, "Plans", "lr")
    owner = "Other Users/bob@example.org"
    assert read_list(await alice.talk(b'c LIST "" "O*" RETURN ()')) == {
        "Other Users": ({"\\NonExistent"}, ""),
        owner: ({"\\NonExistent"}, ""),
        f"{owner}/Team": ({"\\NonExistent"}, ""),
        f"{owner}/Team/Plans": (set(), ""),
    }
    assert b'* LIST (\\Noselect \\HasChildren) "/" "Other Users"' in await alice.talk(b'd LIST "" %')
    assert "Other Users" in await names_of(alice, "%")
    assert "Other Users" not in await names_of(await office.enter(BOB), "%")


async def test_what_may_be_seen_but_not_read_is_not_selectable() -> None:
    office, alice = await _enter()
    bob = await office.enter(BOB)
    await bob.talk(b"a CREATE Team")
    await _share(office, "Team", "l")
    answer = await alice.talk(b'a LIST "" "*Team" RETURN (STATUS (MESSAGES) METADATA (/shared/comment))')
    assert answer == (b'* LIST (\\Noselect \\HasNoChildren) "/" "Other Users/bob@example.org/Team"\r\na OK Listed\r\n')


async def test_a_shared_mailbox_is_subscribed_by_its_reader_for_himself() -> None:
    office, alice = await _enter()
    bob = await office.enter(BOB)
    await bob.talk(b"a CREATE Team")
    await _share(office, "Team", "lr")
    name = b'"Other Users/bob@example.org/Team"'
    assert b"Team" not in await alice.talk(b'a LIST (SUBSCRIBED) "" *')
    assert b"b OK" in await alice.talk(b"b SUBSCRIBE " + name)
    assert b'(\\HasNoChildren \\Subscribed) "/" ' + name in await alice.talk(b'c LIST (SUBSCRIBED) "" *')
    assert b'* LSUB () "/" ' + name in await alice.talk(b'd LSUB "" *')
    await bob.talk(b"e UNSUBSCRIBE Team")
    assert name in await alice.talk(b'f LSUB "" *')
    await alice.talk(b"g UNSUBSCRIBE " + name)
    assert name not in await alice.talk(b'h LSUB "" *')


@pytest.mark.parametrize("use", [Role.SENT, Role.TRASH])
async def test_the_uses_of_others_are_not_ones_own(use: Role) -> None:
    office, alice = await _enter()
    made = await office.store.mailboxes.open_role(BOB, use)
    await office.store.sharing.set_grant(BOB, made.id, Grant(ALICE, "lr"))
    found = read_list(await alice.talk(b'a LIST "" Other*'))
    assert found[f"Other Users/bob@example.org/{made.name}"][0] == set()
    assert all("Other" not in name for name in read_list(await alice.talk(b'b LIST (SPECIAL-USE) "" *')))
