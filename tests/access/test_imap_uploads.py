"""APPEND, MULTIAPPEND, CATENATE, REPLACE, COPY and MOVE, and how much is uploaded at once."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.access.imap.uploads import Uploads
from posthouse.message.mailbox import AccountId, Role
from posthouse.message.parse import parse_message
from posthouse.message.parsed import ParsedMessage
from posthouse.ports.store import Fields, OverQuota, StoreFull
from posthouse.protocol.imap.server_events import ImapLimits
from tests.access.imap_kit import ALICE, BOB, Client, Office, letter, open_office, uid_set

ONE, TWO = letter("one"), letter("two")


def literal(octets: bytes, *, mark: bytes = b"+", prefix: bytes = b"") -> bytes:
    return b"%b{%d%b}\r\n%b" % (prefix, len(octets), mark, octets)


async def octets_in(office: Office, role: Role = Role.INBOX) -> list[bytes]:
    box = await office.store.mailboxes.open_role(ALICE, role)
    snapshot = await office.store.messages.snapshot(ALICE, box.id)
    found = []
    for uid in snapshot.uids:
        rows = await office.store.messages.load(ALICE, box.id, uid_set(uid), Fields.NONE)
        found.append(await office.store.blobs.read(ALICE, rows[0].email))
    return found


@pytest.fixture
async def office() -> Office:
    return await open_office()


@pytest.fixture
async def client(office: Office) -> Client:
    return await office.enter()


async def test_a_message_is_kept_as_it_came_with_flags_and_date(office: Office, client: Client) -> None:
    answer = await client.talk(b'a APPEND INBOX (\\Seen $Work) "17-Jul-1996 02:44:25 -0700" ' + literal(ONE))
    assert answer.startswith(b"a OK [APPENDUID 1800000000 1] ")
    assert await octets_in(office) == [ONE]
    assert await office.flags() == {1: {"\\Seen", "$Work"}}


async def test_a_synchronising_literal_is_waited_for(client: Client) -> None:
    assert await client.say(b"a APPEND INBOX {%d}\r\n" % len(ONE)) == b"+ OK\r\n"
    assert (await client.say(ONE + b"\r\n")).startswith(b"a OK [APPENDUID ")


async def test_several_messages_are_stored_together(office: Office, client: Client) -> None:
    answer = await client.talk(b"a APPEND INBOX " + literal(ONE) + b" (\\Flagged) " + literal(TWO))
    assert answer.startswith(b"a OK [APPENDUID 1800000000 1:2] ")
    assert await office.flags() == {1: frozenset(), 2: {"\\Flagged"}}


async def test_of_several_messages_none_is_stored_when_one_is_wrong(office: Office, client: Client) -> None:
    answer = await client.talk(b"a APPEND INBOX " + literal(ONE) + b" " + literal(b""))
    assert answer.startswith(b"a NO ")
    assert await octets_in(office) == []


async def test_pipelined_appends_are_answered_in_order(office: Office, client: Client) -> None:
    commands = [b"a%d APPEND INBOX " % number + literal(letter(str(number))) for number in range(100)]
    answer = await client.talk(*commands)
    assert [line.split()[0] for line in answer.splitlines()] == [b"a%d" % number for number in range(100)]
    assert b"a99 OK [APPENDUID 1800000000 100]" in answer
    assert len(await octets_in(office)) == 100


async def test_a_mailbox_that_is_not_there_is_worth_creating(client: Client) -> None:
    assert (await client.talk(b"a APPEND Work " + literal(ONE))).startswith(b"a NO [TRYCREATE] ")


async def test_the_selected_mailbox_hears_of_what_it_appends(client: Client) -> None:
    await client.select()
    answer = await client.talk(b"a APPEND INBOX " + literal(ONE))
    assert answer.startswith(b"* 1 EXISTS\r\na OK ")


async def test_nothing_can_be_put_into_scheduled(office: Office, client: Client) -> None:
    await office.store.mailboxes.open_role(ALICE, Role.SCHEDULED)
    await office.add(ONE)
    assert (await client.talk(b"a APPEND Scheduled " + literal(ONE))).startswith(b"a NO [CANNOT] ")
    await client.select()
    assert (await client.talk(b"b COPY 1 Scheduled")).startswith(b"b NO [CANNOT] ")


@pytest.mark.parametrize(("error", "code"), [(OverQuota(), b"OVERQUOTA"), (StoreFull(), b"OVERQUOTA")])
async def test_no_room_is_told(office: Office, client: Client, error: Exception, code: bytes) -> None:
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    office.store.messages.add = lambda *_: future  # type: ignore[method-assign, assignment]
    assert (await client.talk(b"a APPEND INBOX " + literal(ONE))).startswith(b"a NO [" + code + b"] ")


async def test_nul_needs_a_literal8_and_a_part_that_can_be_encoded(office: Office, client: Client) -> None:
    binary = (
        b"From: a@example.com\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Transfer-Encoding: binary\r\n\r\n\0\1\2\r\n"
    )
    assert (await client.talk(b"a APPEND INBOX " + literal(binary))).startswith(b"a BAD ")
    assert (await client.talk(b"b APPEND INBOX " + literal(binary, prefix=b"~"))).startswith(b"b OK ")
    (kept,) = await octets_in(office)
    assert b"\0" not in kept and b"base64" in kept
    header = b"Subject: \0\r\n\r\n"
    assert (await client.talk(b"c APPEND INBOX " + literal(header, prefix=b"~"))).startswith(b"c NO [UNKNOWN-CTE] ")


async def test_utf8_is_for_who_enabled_it(client: Client) -> None:
    message = "Subject: grün\r\n\r\nx\r\n".encode()
    assert (await client.talk(b"a APPEND INBOX UTF8 (~" + literal(message) + b")")).startswith(b"a BAD ")
    await client.enable("UTF8=ACCEPT")
    assert (await client.talk(b"b APPEND INBOX UTF8 (~" + literal(message) + b")")).startswith(b"b OK ")


# -- catenate


async def test_a_message_is_put_together_from_parts_of_others(office: Office, client: Client) -> None:
    await office.add(ONE)
    await client.select()
    header = ONE[: ONE.index(b"\r\n\r\n") + 4]
    answer = await client.talk(
        b'a APPEND INBOX CATENATE (URL "/INBOX;UIDVALIDITY=1800000000/;UID=1/;SECTION=HEADER" TEXT '
        + literal(b"New text.\r\n")
        + b' URL ";UID=1/;SECTION=TEXT/;PARTIAL=0.5")'
    )
    assert b"a OK [APPENDUID " in answer
    assert (await octets_in(office))[1] == header + b"New text.\r\nHello"


@pytest.mark.parametrize(
    "url",
    [
        b"/INBOX/;UID=9",
        b"/Nowhere/;UID=1",
        b"/INBOX;UIDVALIDITY=5/;UID=1",
        b"/INBOX/;UID=1/;SECTION=7",
        b"/INBOX/;UID=1/;SECTION=.",
        b"/INBOX/;UID=1/;SECTION=1.",
        b"/INBOX/;UID=1/;SECTION=1TEXT",
        b"/INBOX/;UID=1/;SECTION=MIME",
        b"imap://bob%40example.org@host/INBOX/;UID=1",
        b"nonsense",
    ],
)
async def test_a_url_that_names_nothing_is_told(office: Office, client: Client, url: bytes) -> None:
    await office.add(ONE)
    answer = await client.talk(b'a APPEND INBOX CATENATE (URL "' + url + b'")')
    assert answer.startswith(b'a NO [BADURL "' + url + b'"] ')
    assert len(await octets_in(office)) == 1


# -- copy, move, replace


async def test_copy_tells_what_became_what(office: Office, client: Client) -> None:
    await office.add(ONE, TWO, letter("three"))
    await office.store.mailboxes.open_role(ALICE, Role.ARCHIVE)
    await client.select()
    assert (await client.talk(b"a COPY 1,3 Archive")).startswith(b"a OK [COPYUID 1800000001 1,3 1:2] ")
    assert (await client.talk(b"b UID COPY 9 Archive")).startswith(b"b OK There was nothing")
    assert (await client.talk(b"c COPY 9 Archive")).startswith(b"c BAD There are only 3")
    assert (await client.talk(b"d COPY 1 Nowhere")).startswith(b"d NO [TRYCREATE] ")
    assert len(await octets_in(office, Role.ARCHIVE)) == 2


async def test_move_tells_where_they_went_before_they_go(office: Office, client: Client) -> None:
    await office.add(ONE, TWO, letter("three"))
    await office.store.mailboxes.open_role(ALICE, Role.ARCHIVE)
    await client.select()
    assert await client.talk(b"a MOVE 1:2 Archive") == (
        b"* OK [COPYUID 1800000001 1:2 1:2] Moved\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE\r\na OK Moved\r\n"
    )
    assert list(await office.flags()) == [3]


async def test_move_is_not_for_a_mailbox_that_was_examined(office: Office, client: Client) -> None:
    await office.add(ONE)
    await client.select(is_read_only=True)
    assert (await client.talk(b"a MOVE 1 INBOX")).startswith(b"a NO [READ-ONLY] ")


async def test_two_clients_one_moving_and_one_deleting_the_same_message(office: Office, client: Client) -> None:
    await office.add(ONE, TWO)
    await office.store.mailboxes.open_role(ALICE, Role.ARCHIVE)
    await client.select()
    await office.expunge(1)
    assert b"a NO [EXPUNGEISSUED] " in await client.talk(b"a MOVE 1 Archive")
    assert await octets_in(office, Role.ARCHIVE) == []


async def test_replace_stores_the_new_and_takes_the_old_away(office: Office, client: Client) -> None:
    await office.add(ONE, TWO)
    await client.select()
    answer = await client.talk(b"a REPLACE 1 INBOX " + literal(letter("better")))
    assert answer == (b"* OK [APPENDUID 1800000000 3] Stored\r\n* 1 EXPUNGE\r\n* 2 EXISTS\r\na OK Replaced\r\n")
    assert (await octets_in(office)) == [TWO, letter("better")]
    assert (await client.talk(b"b UID REPLACE 77 INBOX " + literal(ONE))).startswith(b"b NO [NONEXISTENT] ")


# -- memory


async def test_a_large_literal_waits_until_there_is_room_for_it() -> None:
    office = await open_office(limits=ImapLimits(big_literal=1_000))
    office.uploads = Uploads(5_000)
    first, second = await office.enter(), await office.enter()
    body = letter("large", "x" * 70 + "\n") * 40
    assert await first.say(b"a APPEND INBOX {%d}\r\n" % len(body)) == b"+ OK\r\n"
    assert office.uploads.taken == len(body)
    assert await second.say(b"b APPEND INBOX {%d}\r\n" % len(body)) == b""
    assert (await first.say(body + b"\r\n")).startswith(b"a OK ")
    assert await second.hear() == b"+ OK\r\n"
    await second.lose()
    assert office.uploads.taken == 0


async def test_a_large_literal_beyond_the_quota_is_refused_before_it_comes() -> None:
    office = await open_office(limits=ImapLimits(big_literal=1_000))
    client = await office.enter()
    office.store.quotas.has_room = lambda *_: False  # type: ignore[method-assign]
    assert (await client.say(b"a APPEND INBOX {100000}\r\n")).startswith(b"a NO [OVERQUOTA] ")
    assert await client.talk(b"b NOOP") == b"b OK Completed\r\n"
    assert (await client.say(b"c APPEND INBOX {2000+}\r\n" + b"x" * 2000 + b"\r\nd NOOP\r\n")).endswith(
        b"d OK Completed\r\n"
    )


async def test_a_message_beyond_the_limit_is_refused_and_passed_over() -> None:
    office = await open_office(limits=ImapLimits(message=1_000))
    client = await office.enter()
    assert (await client.say(b"a APPEND INBOX {2000}\r\n")).startswith(b"a NO [TOOBIG] ")
    answer = await client.say(b"b APPEND INBOX {2000+}\r\n" + b"x" * 2000 + b"\r\nc NOOP\r\n")
    assert answer.startswith(b"b NO [TOOBIG] ") and answer.endswith(b"c OK Completed\r\n")


async def take(uploads: Uploads, order: list[int], number: int, octets: int, account: AccountId = ALICE) -> None:
    await uploads.take(octets, account)
    order.append(number)


async def test_room_is_given_in_the_order_of_asking_and_small_ones_go_by() -> None:
    uploads = Uploads(10)
    await uploads.take(4, BOB)
    order: list[int] = []
    waiting = [
        asyncio.ensure_future(take(uploads, order, number, octets, AccountId(100 + number)))
        for number, octets in enumerate((9, 8, 2))
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == [2]
    uploads.give_back(4, BOB)
    await asyncio.sleep(0)
    assert order == [2, 1]
    uploads.give_back(8, AccountId(101))
    uploads.give_back(2, AccountId(102))
    await asyncio.gather(*waiting)
    assert order == [2, 1, 0]


async def test_a_large_one_is_not_gone_by_for_ever() -> None:
    uploads = Uploads(10)
    await uploads.take(4, BOB)
    order: list[int] = []
    large = asyncio.ensure_future(take(uploads, order, 0, 9, AccountId(7)))
    await asyncio.sleep(0)
    for _ in range(100):
        await uploads.take(1, ALICE)
        uploads.give_back(1, ALICE)
    small = asyncio.ensure_future(take(uploads, order, 1, 1))
    await asyncio.sleep(0)
    assert order == []
    uploads.give_back(4, BOB)
    await asyncio.gather(large, small)
    assert order == [0, 1]


async def test_who_has_some_room_gets_half_of_it_at_most() -> None:
    uploads = Uploads(10)
    await uploads.take(4, ALICE)
    order: list[int] = []
    second = asyncio.ensure_future(take(uploads, order, 0, 3))
    await asyncio.sleep(0)
    assert order == []
    await uploads.take(5, BOB)
    second.cancel()
    await asyncio.sleep(0)
    uploads.give_back(4, ALICE)
    uploads.give_back(5, BOB)
    assert (uploads.taken, uploads.waiting) == (0, 0)


async def test_who_stalls_in_the_middle_of_an_upload_is_timed_out_sooner() -> None:
    office = await open_office(limits=ImapLimits(big_literal=1_000))
    client = await office.enter()
    assert await client.say(b"a APPEND INBOX {100000}\r\n") == b"+ OK\r\n"
    assert client.wire.expected_s == 60.0
    office.clock.advance(30)
    await client.say(b"x" * 20_480)
    assert client.wire.expected_s == 40.0


async def test_pipelined_appends_keep_their_order_however_long_each_takes(office: Office) -> None:
    async def parse(octets: bytes) -> ParsedMessage:
        for _ in range(50 if octets == ONE else 0):
            await asyncio.sleep(0)
        return parse_message(octets)

    office.parse = parse  # type: ignore[method-assign]
    client = await office.enter()
    answer = await client.talk(b"a APPEND INBOX " + literal(ONE), b"b APPEND INBOX " + literal(TWO))
    assert answer.startswith(b"a OK [APPENDUID 1800000000 1] ")
    assert await octets_in(office) == [ONE, TWO]


async def test_of_many_pipelined_appends_the_first_are_answered_before_the_last_are_read(office: Office) -> None:
    messages = [letter(str(number)) for number in range(20)]
    answered: list[int] = []

    async def parse(octets: bytes) -> ParsedMessage:
        answered.append(b"".join(wire.writes).count(b" OK [APPENDUID"))
        return parse_message(octets)

    office.parse = parse  # type: ignore[method-assign]
    client = await office.enter()
    wire = client.wire
    answer = await client.talk(*(b"a%d APPEND INBOX " % number + literal(one) for number, one in enumerate(messages)))
    assert answer.count(b" OK [APPENDUID") == 20
    assert await octets_in(office) == messages
    assert answered[0] == 0
    assert answered[-1] >= 10
