"""NOTIFY (RFC 5465): every filter, every event, what is refused, and the selected mailbox."""

from __future__ import annotations

import pytest

from posthouse.message.mailbox import MailboxId
from posthouse.ports.store import Grant, MailboxUpdate
from tests.access.imap_kit import ALICE, BOB, Client, Office, letter, open_office

NEW = letter("new")
MESSAGES = b"(MessageNew MessageExpunge FlagChange)"


async def enter(office: Office, notify: bytes, *, selects: bool = False, enables: tuple[str, ...] = ()) -> Client:
    client = await office.enter()
    await client.enable(*enables)
    if selects:
        await client.select()
    answer = await client.talk(b"n NOTIFY " + notify)
    assert answer.endswith(b"n OK Completed\r\n"), answer
    return client


async def make(office: Office, name: str, parent: MailboxId | None = None) -> MailboxId:
    return (await office.store.mailboxes.create(ALICE, name, parent)).id


# -- what is watched


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (b"INBOXES", {"INBOX"}),
        (b"PERSONAL", {"INBOX", "Work", "Work/Old", "Other"}),
        (b"SUBSCRIBED", {"INBOX", "Work", "Other"}),
        (b"SUBTREE Work", {"Work", "Work/Old"}),
        (b"SUBTREE (Work Other)", {"Work", "Work/Old", "Other"}),
        (b"MAILBOXES Work", {"Work"}),
        (b"MAILBOXES (inbox Other Nothing)", {"INBOX", "Other"}),
    ],
)
async def test_each_filter_names_its_mailboxes(source: bytes, told: set[str]) -> None:
    office = await open_office()
    work = await make(office, "Work")
    boxes = [await office.inbox(), work, await make(office, "Old", work), await make(office, "Other")]
    await office.store.mailboxes.update(ALICE, boxes[2], MailboxUpdate(is_subscribed=False))
    client = await enter(office, b"SET (" + source + b" " + MESSAGES + b")")
    for box in boxes:
        await office.add(NEW, into=box)
    heard = await client.hear()
    assert {line.split(b'"')[1].decode() for line in heard.splitlines()} == told
    assert all(line.startswith(b"* STATUS ") for line in heard.splitlines())


async def test_events_of_all_groups_that_fit_are_told() -> None:
    """RFC 5465 §6: the second group adds to the first."""
    office = await open_office()
    work = await make(office, "Work")
    client = await enter(
        office,
        b"SET (mailboxes Work (MessageNew MessageExpunge)) (personal (SubscriptionChange)) (mailboxes Work NONE)",
    )
    await office.add(NEW, into=work)
    assert b'* STATUS "Work" (MESSAGES 1 ' in await client.hear()
    await office.store.mailboxes.update(ALICE, work, MailboxUpdate(is_subscribed=False))
    assert await client.hear() == b'* LIST (\\HasNoChildren) "/" "Work"\r\n'


async def test_status_says_how_all_is_but_not_of_the_selected_mailbox() -> None:
    office = await open_office(NEW)
    await make(office, "Work")
    client = await office.enter()
    await client.enable("CONDSTORE")
    await client.select()
    answer = await client.talk(b"n NOTIFY SET STATUS (SELECTED " + MESSAGES + b") (PERSONAL " + MESSAGES + b")")
    lines = answer.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(b'* STATUS "Work" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY ')
    assert b" HIGHESTMODSEQ " in lines[0]


async def test_flags_are_told_of_other_mailboxes_to_those_who_asked() -> None:
    office = await open_office(NEW)
    both = await enter(office, b"SET (INBOXES " + MESSAGES + b")", enables=("CONDSTORE",))
    other = await enter(office, b"SET (INBOXES (MessageNew MessageExpunge))")
    await office.flag(1, "\\Seen")
    assert (await both.hear()).startswith(b'* STATUS "INBOX" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ')
    assert await other.hear() == b""
    await office.expunge(1)
    assert b"(MESSAGES 0 UIDNEXT 2 " in await other.hear()


async def test_none_is_none_and_another_command_replaces_it() -> None:
    office = await open_office()
    client = await enter(office, b"SET (INBOXES " + MESSAGES + b")")
    assert await client.talk(b"b NOTIFY NONE") == b"b OK Completed\r\n"
    await office.add(NEW)
    assert await client.hear() == b""


# -- what is refused


@pytest.mark.parametrize(
    ("groups", "answer"),
    [
        (b"(PERSONAL (AnnotationChange MessageNew MessageExpunge))", b"NO [BADEVENT (MessageNew MessageExpunge "),
        (b"(PERSONAL (Sunrise))", b"NO [BADEVENT (MessageNew MessageExpunge "),
        (b"(PERSONAL (MessageNew))", b"BAD "),
        (b"(PERSONAL (FlagChange))", b"BAD "),
        (b"(SELECTED (MailboxName))", b"BAD "),
        (b"(SELECTED NONE) (SELECTED-DELAYED NONE)", b"BAD "),
        (b"(PERSONAL (MessageNew (UID) MessageExpunge))", b"BAD "),
        (b"(PERSONAL ())", b"BAD "),
    ],
)
async def test_what_cannot_be_told_is_refused_and_changes_nothing(groups: bytes, answer: bytes) -> None:
    office = await open_office()
    client = await enter(office, b"SET (INBOXES " + MESSAGES + b")")
    assert (await client.talk(b"b NOTIFY SET " + groups)).startswith(b"b " + answer)
    await office.add(NEW)
    assert (await client.hear()).startswith(b'* STATUS "INBOX" ')


async def test_too_many_mailboxes_are_an_overflow_at_once_and_later() -> None:
    office = await open_office(watched_mailboxes=2)
    await make(office, "one")
    client = await enter(office, b"SET (PERSONAL (MailboxName))")
    await make(office, "two")
    assert (await client.hear()).startswith(b"* OK [NOTIFICATIONOVERFLOW] ")
    assert (await client.talk(b"b NOTIFY SET (PERSONAL (MailboxName))")).startswith(b"b NO [NOTIFICATIONOVERFLOW] ")
    await make(office, "three")
    assert await client.hear() == b""


# -- names, subscriptions, metadata


async def test_names_that_come_go_and_change() -> None:
    office = await open_office()
    client = await enter(office, b"SET (PERSONAL (MailboxName))")
    work = await make(office, "Work")
    assert await client.hear() == b'* LIST (\\HasNoChildren \\Subscribed) "/" "Work"\r\n'
    old = await make(office, "Old", work)
    assert (await client.hear()).splitlines() == [
        b'* LIST (\\HasNoChildren \\Subscribed) "/" "Work/Old"',
        b'* LIST (\\HasChildren \\Subscribed) "/" "Work"',  # the parent is affected (RFC 5465 §5.4)
    ]
    await office.store.mailboxes.update(ALICE, work, MailboxUpdate(name="Play"))
    assert await client.hear() == b'* LIST (\\HasChildren \\Subscribed) "/" "Play" ("OLDNAME" ("Work"))\r\n'
    await office.store.mailboxes.remove(ALICE, old)
    assert (await client.hear()).splitlines() == [
        b'* LIST (\\NonExistent) "/" "Play/Old"',
        b'* LIST (\\HasNoChildren \\Subscribed) "/" "Play"',
    ]


async def test_a_watched_name_that_is_changed_is_told_with_its_new_one() -> None:
    office = await open_office()
    work = await make(office, "Work")
    client = await enter(office, b"SET (MAILBOXES Work (MailboxName))")
    await office.store.mailboxes.update(ALICE, work, MailboxUpdate(name="Play"))
    assert await client.hear() == b'* LIST (\\HasNoChildren \\Subscribed) "/" "Play" ("OLDNAME" ("Work"))\r\n'
    await office.add(NEW, into=work)
    assert await client.hear() == b""


async def test_a_mailbox_that_was_made_anew_has_another_uidvalidity() -> None:
    """RFC 5465 §5.1. It is not told as gone: its name is there."""
    office = await open_office()
    work = await make(office, "Work")
    client = await enter(office, b"SET (PERSONAL (MailboxName MessageNew MessageExpunge FlagChange))")
    await office.store.mailboxes.remove(ALICE, work)
    await make(office, "Work")
    lines = (await client.hear()).splitlines()
    assert lines[0] == b'* LIST (\\HasNoChildren \\Subscribed) "/" "Work"'
    assert lines[1].startswith(b'* STATUS "Work" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY ')


async def test_who_watches_subscribed_mailboxes_hears_of_one_that_is_none_any_more() -> None:
    office = await open_office()
    work = await make(office, "Work")
    client = await enter(office, b"SET (SUBSCRIBED (SubscriptionChange MailboxName MessageNew MessageExpunge))")
    await office.store.mailboxes.update(ALICE, work, MailboxUpdate(is_subscribed=False))
    assert await client.hear() == b'* LIST (\\HasNoChildren) "/" "Work"\r\n'
    await office.add(NEW, into=work)
    assert await client.hear() == b""
    await office.store.mailboxes.update(ALICE, work, MailboxUpdate(is_subscribed=True))
    assert b'* LIST (\\HasNoChildren \\Subscribed) "/" "Work"\r\n' in await client.hear()


async def test_metadata_of_mailboxes_and_of_the_server() -> None:
    office = await open_office()
    work = await make(office, "Work")
    client = await enter(office, b"SET (PERSONAL (MailboxMetadataChange ServerMetadataChange))")
    write = office.store.annotations.write
    await write(ALICE, work, ALICE, {"/private/comment": b"mine"})
    assert await client.hear() == b'* METADATA "Work" /private/comment\r\n'
    await write(ALICE, work, ALICE, {"/private/comment": None})
    assert await client.hear() == b'* METADATA "Work" /private/comment\r\n'
    await write(ALICE, None, ALICE, {"/private/comment": b"all"})
    assert await client.hear() == b'* METADATA "" /private/comment\r\n'


# -- mailboxes of others


async def share(office: Office, rights: str) -> None:
    await office.store.sharing.set_grant(BOB, await office.inbox(BOB), Grant(ALICE, rights))


async def test_a_mailbox_of_another_is_watched_as_long_as_it_may_be_read() -> None:
    office = await open_office()
    await share(office, "lr")
    name = b'"Other Users/bob@example.org/INBOX"'
    client = await enter(office, b"SET (SUBTREE {11+}\r\nOther Users (MailboxName MessageNew MessageExpunge))")
    await office.add(NEW, account=BOB)
    assert (await client.hear()).startswith(b"* STATUS " + name + b" (MESSAGES 1 ")
    await share(office, "l")
    assert await client.hear() == b'* LIST (\\HasNoChildren \\NoAccess) "/" ' + name + b"\r\n"
    await office.add(NEW, account=BOB)
    assert await client.hear() == b""
    await share(office, "lr")
    assert (await client.hear()).startswith(b'* LIST (\\HasNoChildren) "/" ' + name + b"\r\n")
    await share(office, "")
    assert await client.hear() == b'* LIST (\\NonExistent) "/" ' + name + b"\r\n"
    await share(office, "lr")
    assert (await client.hear()).startswith(b'* LIST (\\HasNoChildren) "/" ' + name + b"\r\n")


async def test_what_may_not_be_read_is_said_at_once() -> None:
    office = await open_office()
    await share(office, "l")
    client = await office.enter()
    answer = await client.talk(b"n NOTIFY SET STATUS (SUBTREE {11+}", b"Other Users " + MESSAGES + b")")
    assert (
        answer == b'* LIST (\\HasNoChildren \\NoAccess) "/" "Other Users/bob@example.org/INBOX"\r\nn OK Completed\r\n'
    )


# -- the selected mailbox


async def test_selected_tells_at_once_and_fetches_what_was_wanted() -> None:
    office = await open_office(NEW, NEW)
    client = await enter(
        office, b"SET (SELECTED (MessageNew (UID RFC822.SIZE) MessageExpunge FlagChange))", selects=True
    )
    await office.add(NEW)
    assert await client.hear() == b"* 3 EXISTS\r\n* 3 FETCH (UID 3 RFC822.SIZE %d)\r\n" % len(NEW)
    await office.flag(1, "\\Seen")
    assert await client.hear() == b"* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n"
    await office.expunge(1)
    assert (await client.hear()).endswith(b"* 1 EXPUNGE\r\n")


async def test_mail_that_comes_while_a_command_runs_is_fetched_too() -> None:
    office = await open_office()
    client = await enter(office, b"SET (SELECTED (MessageNew (UID) MessageExpunge))", selects=True)
    adding = office.add(NEW)
    client.session.receive(b"a NOOP\r\n")
    await adding
    assert b"* 1 EXISTS\r\n* 1 FETCH (UID 1)\r\n" in await client.hear()


async def test_selected_delayed_keeps_numbers_until_a_command_allows_it() -> None:
    office = await open_office(NEW, NEW)
    client = await enter(office, b"SET (SELECTED-DELAYED " + MESSAGES + b")", selects=True)
    await office.expunge(1)
    assert b"EXPUNGE" not in await client.hear()
    assert b"EXPUNGE" not in await client.talk(b"a FETCH 2 FLAGS")
    await office.add(NEW)
    assert await client.hear() == b"* 3 EXISTS\r\n"
    assert await client.talk(b"b NOOP") == b"* 1 EXPUNGE\r\nb OK Completed\r\n"


async def test_flags_that_nobody_asked_for_wait_for_a_command() -> None:
    office = await open_office(NEW)
    client = await enter(office, b"SET (SELECTED (MessageNew MessageExpunge))", selects=True)
    await office.flag(1, "\\Seen")
    assert await client.hear() == b""
    await office.add(NEW)
    assert await client.hear() == b"* 2 EXISTS\r\n"
    assert b"* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n" in await client.talk(b"a NOOP")


@pytest.mark.parametrize("notify", [b"NONE", b"SET (SELECTED NONE)", b"SET (PERSONAL (MailboxName))"])
async def test_idle_tells_what_notify_asked_for_and_nothing_else(notify: bytes) -> None:
    office = await open_office(NEW)
    client = await enter(office, notify, selects=True)
    await client.talk(b"i IDLE")
    await office.add(NEW)
    assert await client.hear() == b""
    assert await client.say(b"DONE\r\n") == b"* 2 EXISTS\r\ni OK Idle is over\r\n"


async def test_idle_and_other_mailboxes_at_once() -> None:
    office = await open_office(NEW)
    work = await make(office, "Work")
    groups = b"SET (SELECTED " + MESSAGES + b") (PERSONAL " + MESSAGES + b")"
    client = await enter(office, groups, selects=True)
    await client.talk(b"i IDLE")
    await office.add(NEW)
    await office.add(NEW, into=work)
    lines = (await client.hear()).splitlines()
    assert lines[0] == b"* 2 EXISTS" and lines[1].startswith(b'* STATUS "Work" ') and len(lines) == 2


async def test_notify_tells_what_waited_like_noop() -> None:
    office = await open_office(NEW)
    client = await office.enter()
    await client.select()
    await office.add(NEW)
    answer = await client.talk(b"n NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge))")
    assert answer == b"* 2 EXISTS\r\n* 2 FETCH (UID 2)\r\nn OK Completed\r\n"


async def test_a_large_mailbox_is_read_when_something_of_new_mail_is_wanted() -> None:
    office = await open_office(NEW, NEW, large_mailbox=1)
    client = await enter(office, b"SET (SELECTED (MessageNew (UID FLAGS) MessageExpunge))", selects=True)
    await office.add(NEW)
    assert await client.hear() == b"* 3 EXISTS\r\n* 3 FETCH (UID 3 FLAGS ())\r\n"


async def test_a_session_that_ends_watches_nothing_any_more() -> None:
    office = await open_office()
    client = await enter(office, b"SET (PERSONAL (MailboxName))")
    await client.lose()
    await make(office, "Work")
    assert await client.hear() == b""
