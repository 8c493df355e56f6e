"""Sending by IMAP: the Outbox and UID SUBMIT, as a client sees them. What is sent, and when, is tested in tests/msa."""

from __future__ import annotations

import pytest

from posthouse.message.mailbox import Role
from posthouse.ports.sending import SendRefused, SentCopy, WantedEnvelope
from posthouse.ports.store import Fields, Grant
from tests.access.imap_kit import ALICE, BOB, Client, Office, letter, open_office

ONE, TWO = letter("one"), letter("two")


def literal(octets: bytes) -> bytes:
    return b"{%d+}\r\n%b" % (len(octets), octets)


@pytest.fixture
async def office() -> Office:
    return await open_office(ONE, TWO)


@pytest.fixture
async def client(office: Office) -> Client:
    made = await office.enter()
    await made.select()
    return made


async def names(office: Office) -> list[str]:
    return [box.name for box in await office.store.mailboxes.list_all(ALICE)]


async def test_what_is_put_into_the_outbox_is_sent_and_kept_nowhere_there(office: Office, client: Client) -> None:
    assert await client.talk(b"a APPEND Outbox (\\Seen) " + literal(ONE)) == b"a OK Sent\r\n"
    assert office.sending.sent == [ONE]
    assert "Outbox" not in await names(office)


async def test_several_go_together(office: Office, client: Client) -> None:
    assert await client.talk(b"a APPEND Outbox " + literal(ONE) + b" " + literal(TWO)) == b"a OK Sent\r\n"
    assert office.sending.sent == [ONE, TWO]


async def test_a_draft_is_put_together_and_sent(office: Office, client: Client) -> None:
    answer = await client.talk(b'a APPEND Outbox CATENATE (URL "/INBOX/;UID=1" TEXT ' + literal(b"More.\r\n") + b")")
    assert answer == b"a OK Sent\r\n"
    assert office.sending.sent == [ONE + b"More.\r\n"]


async def test_a_copy_sends_and_leaves_the_source(office: Office, client: Client) -> None:
    assert await client.talk(b"a COPY 1:2 Outbox") == b"a OK Sent\r\n"
    assert office.sending.sent == [ONE, TWO]
    assert list(await office.flags()) == [1, 2]


async def test_a_move_sends_and_takes_the_source_away(office: Office, client: Client) -> None:
    assert await client.talk(b"a MOVE 1 Outbox") == b"* 1 EXPUNGE\r\na OK Sent\r\n"
    assert office.sending.sent == [ONE]
    assert list(await office.flags()) == [2]


async def test_a_draft_is_replaced_by_its_being_sent(office: Office, client: Client) -> None:
    better = letter("better")
    assert await client.talk(b"a REPLACE 2 Outbox " + literal(better)) == b"* 2 EXPUNGE\r\na OK Sent\r\n"
    assert office.sending.sent == [better]


@pytest.mark.parametrize("command", [b"COPY 1 Outbox", b"MOVE 1 Outbox", b"APPEND Outbox " + literal(ONE)])
async def test_a_refusal_leaves_everything_as_it_was(office: Office, client: Client, command: bytes) -> None:
    office.sending.error = SendRefused("5.1.1 There is no mailbox <bob@example.org> here")
    assert await client.talk(b"a " + command) == b"a NO 5.1.1 There is no mailbox <bob@example.org> here\r\n"
    assert list(await office.flags()) == [1, 2]
    assert await office.flags() == {1: frozenset(), 2: frozenset()}


async def test_who_may_not_send_that_hears_policydenied(office: Office, client: Client) -> None:
    office.sending.error = SendRefused("5.7.1 This account may not send as <x@example.com>", is_policy=True)
    assert (await client.talk(b"a COPY 1 Outbox")).startswith(b"a NO [POLICYDENIED] 5.7.1 ")


async def test_what_may_go_later_is_unavailable_now(office: Office, client: Client) -> None:
    office.sending.error = SendRefused("4.3.1 Not enough room", is_temporary=True)
    assert (await client.talk(b"a COPY 1 Outbox")).startswith(b"a NO [UNAVAILABLE] 4.3.1 ")


async def test_a_folder_dragged_into_the_outbox_is_refused(office: Office, client: Client) -> None:
    await office.add(*[letter(str(number)) for number in range(30)])
    await client.talk(b"n NOOP")
    assert b"a NO [LIMIT] 5.7.1 The Outbox takes 20" in await client.talk(b"a COPY 1:* Outbox")
    assert office.sending.sent == []


async def test_a_repeat_is_told(office: Office, client: Client) -> None:
    office.sending.copies[ONE] = SentCopy(is_repeat=True)
    assert await client.talk(b"a COPY 1 Outbox") == b"a OK Sent before, not sent again\r\n"


async def test_the_door_is_announced_while_it_is_open(office: Office) -> None:
    open_door = office.open()
    await open_door.begin()
    assert b" XCOURIEROUTBOX=Outbox" in await open_door.talk(b"a LOGIN alice@example.org right")
    office.sending.is_on = False
    shut = office.open()
    await shut.begin()
    assert b"XCOURIEROUTBOX" not in await shut.talk(b"a LOGIN alice@example.org right")


async def test_messages_that_went_meanwhile_are_not_sent(office: Office, client: Client) -> None:
    await office.expunge(1)
    assert b"a NO [EXPUNGEISSUED] " in await client.talk(b"a COPY 1 Outbox")
    assert office.sending.sent == []


# -- UID SUBMIT


async def test_a_stored_message_is_submitted_and_marked(office: Office, client: Client) -> None:
    command = b'a UID SUBMIT 1 (FROM "alice@example.org" RECIPIENT "bob@example.net")'
    assert (await client.talk(command)).endswith(b"a OK Submitted\r\n")
    assert [envelope for _, envelope in office.sending.stored] == [
        WantedEnvelope("alice@example.org", (("bob@example.net", {}),), {})
    ]
    assert (await office.flags())[1] == {"$Submitted"}


async def test_the_envelope_may_be_left_to_the_message(office: Office, client: Client) -> None:
    assert (await client.talk(b"a UID SUBMIT 2")).endswith(b"a OK Submitted\r\n")
    assert [envelope for _, envelope in office.sending.stored] == [WantedEnvelope()]


async def test_what_was_submitted_is_not_submitted_again(office: Office, client: Client) -> None:
    await client.talk(b"a UID SUBMIT 1")
    assert (await client.talk(b"b UID SUBMIT 1")).startswith(b"b NO [SUBMISSIONRACE] ")
    assert len(office.sending.stored) == 1


async def test_a_mark_that_a_crash_left_does_not_hinder_the_next_try(office: Office, client: Client) -> None:
    await office.flag(2, "$SubmitPending")
    assert b"a OK Submitted" in await client.talk(b"a UID SUBMIT 2")
    assert (await office.flags())[2] == {"$Submitted"}


async def test_while_it_is_being_submitted_the_other_one_hears_so(office: Office, client: Client) -> None:
    await office.flag(2, "$SubmitPending")
    office.sending.error = SendRefused("5.5.0 At it", is_race=True)
    assert b"a NO [SUBMISSIONRACE] " in await client.talk(b"a UID SUBMIT 2")
    assert (await office.flags())[2] == {"$SubmitPending"}


async def test_a_refused_submission_leaves_no_mark(office: Office, client: Client) -> None:
    office.sending.error = SendRefused("5.7.1 Not as that", is_policy=True)
    assert b"a NO [POLICYDENIED] 5.7.1 Not as that" in await client.talk(b"a UID SUBMIT 1")
    assert (await office.flags())[1] == frozenset()


async def test_one_message_at_a_time_that_is_there(client: Client) -> None:
    assert (await client.talk(b"a UID SUBMIT 1:2")).startswith(b"a BAD ")
    assert (await client.talk(b"b UID SUBMIT 77")).startswith(b"b NO [NONEXISTENT] ")


async def test_what_was_examined_is_not_submitted(office: Office) -> None:
    client = await office.enter()
    await client.select(is_read_only=True)
    assert (await client.talk(b"a UID SUBMIT 1")).startswith(b"a NO [READ-ONLY] ")


async def test_a_copy_of_ones_own_in_sent_goes_through_the_filing(office: Office, client: Client) -> None:
    filed: list[bytes] = []
    original = office.sending.file_upload

    async def file_upload(login: object, mailbox: object, octets: bytes, addition: object) -> object:
        filed.append(octets)
        return await original(login, mailbox, octets, addition)  # type: ignore[arg-type]

    office.sending.file_upload = file_upload  # type: ignore[method-assign, assignment]
    await office.store.mailboxes.open_role(ALICE, Role.SENT)
    assert (await client.talk(b"a APPEND Sent " + literal(ONE))).startswith(b"a OK [APPENDUID ")
    assert filed == [ONE]


async def test_who_submits_what_was_sent_before_hears_so(office: Office, client: Client) -> None:
    async def send_stored(*given: object, **more: object) -> SentCopy:
        return SentCopy(is_repeat=True)

    office.sending.send_stored = send_stored  # type: ignore[method-assign]
    assert (await client.talk(b"a UID SUBMIT 1")).endswith(b"a OK Sent before, not sent again\r\n")


# -- what is not sent (now)


async def test_a_move_that_sends_nothing_leaves_the_source(office: Office, client: Client) -> None:
    office.sending.copies[ONE] = SentCopy(is_repeat=True)
    answer = await client.talk(b"a MOVE 1:2 Outbox")
    assert answer == b"* 2 EXPUNGE\r\na OK Sent, but 1 that were sent before; stays here what is not sent now\r\n"
    assert list(await office.flags()) == [1]


async def test_a_replacement_that_was_sent_before_leaves_the_draft(office: Office, client: Client) -> None:
    better = letter("better")
    office.sending.copies[better] = SentCopy(is_repeat=True)
    answer = await client.talk(b"a REPLACE 2 Outbox " + literal(better))
    assert answer == b"a OK Sent before, not sent again; stays here what is not sent now\r\n"
    assert list(await office.flags()) == [1, 2]


async def test_what_waits_is_told_with_its_time(office: Office, client: Client) -> None:
    office.sending.copies[ONE] = SentCopy(send_at=1_800_000_000.0)
    assert await client.talk(b"a COPY 1 Outbox") == b"a OK Waits in Scheduled until 2027-01-15T08:00:00.000Z\r\n"
    office.sending.copies[ONE] = SentCopy(send_at=1_800_000_000.0, is_repeat=True)
    assert await client.talk(b"b COPY 1 Outbox") == (
        b"b OK Submitted before, not sent twice: waits in Scheduled until 2027-01-15T08:00:00.000Z\r\n"
    )


async def test_too_much_at_a_time_is_a_limit(office: Office, client: Client) -> None:
    office.sending.error = SendRefused("4.7.1 Later", is_limit=True, is_temporary=True)
    assert await client.talk(b"a COPY 1 Outbox") == b"a NO [LIMIT] 4.7.1 Later\r\n"


async def test_no_message_is_no_error(office: Office, client: Client) -> None:
    assert await client.talk(b"a UID COPY 77 Outbox") == b"a OK There was nothing to send\r\n"
    assert await client.talk(b"b UID MOVE 77 Outbox") == b"b OK There was nothing to send\r\n"
    assert office.sending.sent == []


# -- Scheduled


@pytest.fixture
async def waiting(office: Office) -> Client:
    """A client with Scheduled selected, in which one message is."""
    await office.add(ONE, into=Role.SCHEDULED)
    client = await office.enter()
    await client.select("Scheduled")
    return client


@pytest.mark.parametrize("command", [b"COPY 1 Outbox", b"MOVE 1 Outbox", b"REPLACE 1 Outbox " + literal(ONE)])
async def test_what_waits_is_sent_as_the_email_that_it_is(office: Office, waiting: Client, command: bytes) -> None:
    office.sending.copies[ONE] = SentCopy(is_released=True)
    assert (await waiting.talk(b"a " + command)).endswith(b"a OK Sent\r\n")
    ((email,),) = office.sending.emails
    rows = await office.store.messages.load_emails(ALICE, [email], Fields.NONE)
    assert len(rows) == 1, "the fake released nothing, and the command took nothing away"


async def test_another_message_instead_of_one_that_waits_is_a_new_one(office: Office, waiting: Client) -> None:
    answer = await waiting.talk(b"a REPLACE 1 Outbox " + literal(TWO))
    assert office.sending.emails == [[]] and b"* 1 EXPUNGE" in answer
    assert len(office.sending.removals) == 1


@pytest.mark.parametrize(
    "commands",
    [
        (b"a STORE 1 +FLAGS (\\Deleted)", b"b EXPUNGE"),
        (b"a STORE 1 +FLAGS (\\Deleted)", b"b CLOSE"),
        (b"b MOVE 1 INBOX",),
    ],
)
async def test_what_leaves_scheduled_is_told_to_the_post(
    office: Office, waiting: Client, commands: tuple[bytes, ...]
) -> None:
    assert b"b OK" in await waiting.talk(*commands)
    assert len(office.sending.removals) == 1


async def test_scheduled_stays_while_something_waits_in_it(office: Office, waiting: Client, client: Client) -> None:
    assert (await client.talk(b"a DELETE Scheduled")).startswith(b"a NO [INUSE] Mail waits")
    await waiting.talk(b"a MOVE 1 INBOX")
    assert (await client.talk(b"b DELETE Scheduled")).endswith(b"b OK Mailbox removed\r\n")


@pytest.mark.parametrize("name", [b"Scheduled", b"scheduled", b"SCHEDULED"])
async def test_nobody_makes_a_mailbox_that_is_only_called_scheduled(
    office: Office, client: Client, name: bytes
) -> None:
    assert (await client.talk(b"a CREATE " + name)).startswith(b"a NO [CANNOT] ")
    await client.talk(b"b CREATE Other")
    assert (await client.talk(b"c RENAME Other " + name)).startswith(b"c NO [CANNOT] ")
    await office.store.mailboxes.create(ALICE, name.decode())  # an older one
    assert (await client.talk(b"d APPEND " + name + b" " + literal(ONE))).startswith(b"d NO [CANNOT] ")
    assert (await client.talk(b"e COPY 1 " + name)).startswith(b"e NO [CANNOT] ")


async def test_scheduled_keeps_its_use(office: Office, waiting: Client) -> None:
    answer = await waiting.talk(b"a SETMETADATA Scheduled (/private/specialuse NIL)")
    assert answer.startswith(b"a NO [USEATTR] ")


# -- only the own Outbox is one


@pytest.mark.parametrize("name", [b"OUTBOX", b"outbox"])
async def test_a_mailbox_that_looks_like_the_outbox_takes_no_mail(office: Office, client: Client, name: bytes) -> None:
    assert (await client.talk(b"a CREATE " + name)).startswith(b"a NO [CANNOT] ")
    await office.store.mailboxes.create(ALICE, name.decode())
    for command in (b"APPEND " + name + b" " + literal(ONE), b"COPY 1 " + name, b"MOVE 1 " + name):
        assert (await client.talk(b"b " + command)).startswith(b"b NO [CANNOT] Nothing would be sent")
    assert list(await office.flags()) == [1, 2]


async def test_anothers_outbox_swallows_no_mail(office: Office) -> None:
    box = await office.store.mailboxes.create(ALICE, "Outbox")
    await office.store.sharing.set_grant(ALICE, box.id, Grant(BOB, "lrsi"))
    bob = await office.enter(BOB)
    answer = await bob.talk(b'a APPEND "Other Users/alice@example.org/Outbox" ' + literal(ONE))
    assert answer.startswith(b"a NO [CANNOT] Nothing would be sent")
    assert (await office.store.mailboxes.get(ALICE, box.id)).total == 0


async def test_the_outbox_is_not_shared(office: Office, client: Client) -> None:
    await office.store.mailboxes.create(ALICE, "Outbox")
    assert (await client.talk(b"a SETACL Outbox bob@example.org lrsi")).startswith(b"a NO [CANNOT] ")


async def test_the_entry_that_opens_it_is_looked_at(office: Office, client: Client) -> None:
    office.sending.error = SendRefused('5.5.4 The Outbox is "on" or "off"')
    answer = await client.talk(b'a SETMETADATA "" (/private/vendor/posthouse/outbox "yes")')
    assert answer == b'a NO [CANNOT] 5.5.4 The Outbox is "on" or "off"\r\n'
    assert office.sending.entries == []
