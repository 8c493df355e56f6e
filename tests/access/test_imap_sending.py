"""Sending by IMAP: the Outbox and UID SUBMIT, as a client sees them. What is sent, and when, is tested in tests/msa."""

from __future__ import annotations

import pytest

from posthouse.message.mailbox import Role
from posthouse.ports.sending import SendRefused, SentCopy, WantedEnvelope
from tests.access.imap_kit import ALICE, Client, Office, letter, open_office

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
    async def send(*_: object) -> list[SentCopy]:
        return [SentCopy(is_repeat=True)]

    office.sending.send = send  # type: ignore[method-assign, assignment]
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
    await office.flag(2, "$SubmitPending")
    assert b"c NO [SUBMISSIONRACE] " in await client.talk(b"c UID SUBMIT 2")
    assert len(office.sending.stored) == 1


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
