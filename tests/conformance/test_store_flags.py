"""What every message store does with flags, keywords and the placements of one email."""

from __future__ import annotations

import pytest

from posthouse.message.mailbox import MAX_KEYWORDS, EmailId, MailboxId, Role, UidRange
from posthouse.ports.store import Fields, FlagDelta, FlagEdit, FlagMode, NoSuchMailbox, TooMany
from tests.conformance.store_kit import ALICE, BOB, EVERY, Office, make_addition, uid_set


async def test_flags_are_added_removed_and_replaced(office: Office) -> None:
    inbox = await office.inbox()
    await office.add(count=2)
    await office.flag(inbox, EVERY, "\\Seen", "$Forwarded")
    assert await office.flags_of(inbox) == {1: {"\\Seen", "$Forwarded"}, 2: {"\\Seen", "$Forwarded"}}
    await office.flag(inbox, uid_set(1), "\\Seen", "$Unknown", mode=FlagMode.REMOVE)
    await office.flag(inbox, uid_set(2), "\\Draft", mode=FlagMode.REPLACE)
    assert await office.flags_of(inbox) == {1: {"$Forwarded"}, 2: {"\\Draft"}}
    await office.flag(inbox, uid_set(2), mode=FlagMode.REPLACE)
    assert (await office.flags_of(inbox))[2] == set()


async def test_a_keyword_keeps_the_case_it_came_in_and_is_known_in_any(office: Office) -> None:
    inbox = await office.inbox()
    await office.add(addition=make_addition(flags=frozenset({"$Junk", "\\seen"})))
    result = await office.flag(inbox, EVERY, "$JUNK")
    assert result.changed == ()
    assert await office.flags_of(inbox) == {1: {"$Junk", "\\Seen"}}


async def test_only_what_really_changes_gets_a_new_modseq(office: Office) -> None:
    inbox = await office.inbox()
    added = await office.add(count=3)
    first = await office.flag(inbox, uid_set(2), "\\Seen")
    second = await office.flag(inbox, uid_set(1, 2, 9), "\\Seen")
    assert (first.changed, second.changed) == (uid_set(2), uid_set(1))
    snapshot = await office.store.messages.snapshot(ALICE, inbox)
    assert list(snapshot.modseqs) == [second.modseq, first.modseq, added[2].modseq]
    assert snapshot.highest == second.modseq == (await office.get(inbox)).modseq
    nothing = await office.flag(inbox, EVERY, "\\Seen", mode=FlagMode.ADD)
    assert nothing.changed == uid_set(3)
    assert (await office.flag(inbox, EVERY, "\\Seen")).changed == ()
    assert await office.store.changes.modseq(ALICE) == nothing.modseq


async def test_a_store_unchanged_since_leaves_what_has_changed(office: Office) -> None:
    inbox = await office.inbox()
    known = (await office.add(count=3))[-1].modseq
    await office.flag(inbox, uid_set(2), "\\Seen")
    edit = FlagEdit(FlagMode.ADD, frozenset({"\\Flagged"}), known)
    result = await office.store.messages.set_flags(ALICE, inbox, EVERY, edit)
    assert (result.changed, result.modified) == (uid_set(1, 3), uid_set(2))
    assert await office.flags_of(inbox) == {1: {"\\Flagged"}, 2: {"\\Seen"}, 3: {"\\Flagged"}}
    again = await office.store.messages.set_flags(ALICE, inbox, uid_set(1), edit)
    assert (again.changed, again.modified) == ((), uid_set(1))


async def test_keywords_end_at_their_limit_and_nothing_of_the_request_is_done(office: Office) -> None:
    inbox = await office.inbox()
    await office.add(count=2)
    await office.flag(inbox, uid_set(1), *(f"k{number}" for number in range(MAX_KEYWORDS)))
    with pytest.raises(TooMany):
        await office.flag(inbox, uid_set(2), "one-more", "\\Seen")
    with pytest.raises(TooMany):
        await office.add(addition=make_addition(flags=frozenset({"one-more"})))
    assert (await office.flags_of(inbox))[2] == set()
    assert await office.uids(inbox) == [1, 2]
    assert len((await office.flags_of(inbox))[1]) == MAX_KEYWORDS


async def test_no_email_comes_with_more_keywords_than_there_may_be(office: Office) -> None:
    many = frozenset(f"k{number}" for number in range(MAX_KEYWORDS + 1))
    with pytest.raises(TooMany):
        await office.add(addition=make_addition(flags=many))


async def test_keywords_of_an_email_are_added_to_and_taken_from(office: Office) -> None:
    inbox, work = await office.inbox(), await office.mailbox()
    added = (await office.add(inbox, work, addition=make_addition(flags=frozenset({"\\Flagged", "Work"}))))[0]
    delta = FlagDelta(frozenset({"\\Seen", "$New"}), frozenset({"work", "\\Answered", "unknown"}))
    await office.store.messages.place(ALICE, added.email, [], [], delta)
    for mailbox in (inbox, work):
        assert await office.flags_of(mailbox) == {1: {"\\Seen", "\\Flagged", "$New"}}


async def test_a_keyword_that_nobody_uses_makes_room(office: Office) -> None:
    inbox = await office.inbox()
    await office.add()
    await office.flag(inbox, EVERY, *(f"k{number}" for number in range(MAX_KEYWORDS)))
    await office.flag(inbox, EVERY, "k7", mode=FlagMode.REMOVE)
    await office.flag(inbox, EVERY, "one-more")
    flags = (await office.flags_of(inbox))[1]
    assert "one-more" in flags
    assert "k7" not in flags
    assert len(flags) == MAX_KEYWORDS


async def test_seen_in_a_shared_mailbox_is_each_reader_s_own(office: Office) -> None:
    inbox = await office.inbox()
    await office.add(count=2)
    messages = office.store.messages
    edit = FlagEdit(FlagMode.ADD, frozenset({"\\Seen", "\\Flagged"}))
    await messages.set_flags(ALICE, inbox, uid_set(1), edit, viewer=BOB)
    assert await office.flags_of(inbox) == {1: {"\\Flagged"}, 2: set()}
    assert await office.flags_of(inbox, viewer=BOB) == {1: {"\\Seen", "\\Flagged"}, 2: set()}
    await office.flag(inbox, uid_set(2), "\\Seen")
    assert await office.flags_of(inbox, viewer=BOB) == {1: {"\\Seen", "\\Flagged"}, 2: set()}
    assert (await office.get(inbox)).unseen == 1
    await messages.set_flags(ALICE, inbox, EVERY, FlagEdit(FlagMode.REMOVE, frozenset({"\\Seen"})), viewer=BOB)
    assert await office.flags_of(inbox, viewer=BOB) == {1: {"\\Flagged"}, 2: set()}
    assert await office.flags_of(inbox) == {1: {"\\Flagged"}, 2: {"\\Seen"}}


async def test_a_reader_s_other_session_hears_what_was_seen(office: Office) -> None:
    inbox = await office.inbox()
    since = (await office.add(count=2))[-1].modseq
    edit = FlagEdit(FlagMode.ADD, frozenset({"\\Seen"}))
    await office.store.messages.set_flags(ALICE, inbox, uid_set(2), edit, viewer=BOB)
    change = await office.store.changes.in_mailbox(ALICE, inbox, since, viewer=BOB)
    assert (list(change.uids), list(change.flags)) == ([2], [1])
    (row,) = await office.store.messages.load(ALICE, inbox, uid_set(2), Fields.NONE, viewer=BOB)
    assert row.placement is not None
    assert row.placement.flags == 1


# -- one email, several placements, as JMAP sees it


async def test_an_email_is_put_into_and_out_of_mailboxes_at_once(office: Office) -> None:
    inbox, work = await office.inbox(), await office.mailbox()
    (added,) = await office.add(addition=make_addition(flags=frozenset({"\\Flagged"})))
    modseq = await office.store.messages.place(ALICE, added.email, [work], [inbox])
    assert (await office.uids(inbox), await office.flags_of(work)) == ([], {1: {"\\Flagged"}})
    assert await office.store.changes.modseq(ALICE) == modseq
    (row,) = await office.store.messages.load_emails(ALICE, [added.email], Fields.NONE)
    assert list(row.placements) == [work]


async def test_keywords_set_on_an_email_are_set_in_every_mailbox(office: Office) -> None:
    (added,) = await office.add(Role.INBOX, Role.ARCHIVE)
    await office.flag(added.mailboxes[0], EVERY, "$Old", "\\Seen")
    await office.store.messages.place(ALICE, added.email, [], [], frozenset({"\\Flagged"}))
    for mailbox in added.mailboxes:
        assert await office.flags_of(mailbox) == {1: {"\\Flagged"}}


async def test_an_email_without_a_mailbox_is_destroyed(office: Office) -> None:
    (added,) = await office.add(Role.INBOX, Role.ARCHIVE)
    await office.store.messages.place(ALICE, added.email, [], list(added.mailboxes))
    with pytest.raises(NoSuchMailbox):
        await office.read(added.email)
    assert await office.store.messages.load_emails(ALICE, [added.email], Fields.NONE) == []
    (next_one,) = await office.add()
    assert next_one.email > added.email


async def test_deleted_placements_are_invisible(office: Office) -> None:
    (added,) = await office.add(Role.INBOX, Role.ARCHIVE)
    inbox, archive = added.mailboxes
    await office.flag(inbox, EVERY, "\\Deleted")
    (row,) = await office.store.messages.load_emails(ALICE, [added.email], Fields.NONE)
    assert list(row.placements) == [archive]
    await office.store.messages.place(ALICE, added.email, [], [], frozenset({"\\Answered"}))
    assert await office.flags_of(inbox) == {1: {"\\Deleted"}}
    await office.flag(archive, EVERY, "\\Deleted")
    assert await office.store.messages.load_emails(ALICE, [added.email], Fields.NONE) == []
    assert await office.store.messages.thread(ALICE, [added.thread]) == {}
    await office.flag(inbox, EVERY, "\\Deleted", mode=FlagMode.REMOVE)
    (row,) = await office.store.messages.load_emails(ALICE, [added.email], Fields.NONE)
    assert list(row.placements) == [inbox]


async def test_an_email_put_where_it_is_stays_as_it_is(office: Office) -> None:
    (added,) = await office.add()
    before = await office.store.changes.modseq(ALICE)
    await office.store.messages.place(ALICE, added.email, [added.mailboxes[0]], [])
    assert await office.uids(added.mailboxes[0]) == [1]
    assert await office.store.changes.modseq(ALICE) >= before


async def test_an_email_cannot_be_put_where_nothing_is(office: Office) -> None:
    (added,) = await office.add()
    place = office.store.messages.place
    with pytest.raises(NoSuchMailbox):
        await place(ALICE, added.email, [MailboxId(4711)], [added.mailboxes[0]])
    with pytest.raises(NoSuchMailbox):
        await place(ALICE, EmailId(4711), [added.mailboxes[0]], [])
    assert await office.uids(added.mailboxes[0]) == [1]


@pytest.mark.parametrize("is_open_ended", [False, True])
async def test_many_scattered_messages_are_flagged_copied_and_expunged_and_no_others(
    office: Office, is_open_ended: bool
) -> None:
    inbox, work = await office.inbox(), await office.mailbox()
    await office.add(count=60)
    wanted = uid_set(*range(2, 60, 3))
    if is_open_ended:
        wanted = (*wanted, UidRange(70, 2**32 - 1))
    result = await office.flag(inbox, wanted, "\\Deleted")
    expected = list(range(2, 60, 3))
    assert result.changed == uid_set(*expected)
    assert [uid for uid, flags in (await office.flags_of(inbox)).items() if flags] == expected
    copied = await office.store.messages.copy(ALICE, inbox, wanted, ALICE, work)
    assert (copied.source, copied.target) == (tuple(expected), tuple(range(1, 21)))
    assert await office.store.messages.expunge(ALICE, inbox, wanted) == uid_set(*expected)
    assert await office.uids(inbox) == [uid for uid in range(1, 61) if uid not in expected]
    assert ((await office.get(inbox)).total, (await office.get(work)).deleted) == (40, 20)
