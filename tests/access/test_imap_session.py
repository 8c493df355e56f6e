"""The dialogue of an IMAP session: greeting, logging in, pipelining, IDLE, time, endings."""

from __future__ import annotations

import asyncio
import base64

from posthouse.access.imap.capabilities import HIDDEN_ENTRY
from posthouse.ports.clock import FakeClock
from tests.access.imap_kit import ALICE, BOB, letter, open_office
from tests.access.wire_kit import HOME, settle

CRLF = b"\r\n"


async def test_the_greeting_says_what_may_be_used_before_logging_in() -> None:
    office = await open_office()
    client = office.open(tls="", can_tls=True)
    greeting = await client.begin()
    assert greeting.startswith(b"* OK [CAPABILITY IMAP4rev1 IMAP4rev2 ")
    assert b" STARTTLS LOGINDISABLED " in greeting and b"AUTH=PLAIN" not in greeting
    assert b"SORT" not in greeting and b"UIDPLUS" not in greeting
    assert (await client.talk(b"a LOGIN alice@example.org right")).startswith(b"a NO [PRIVACYREQUIRED]")


async def test_starttls_drops_what_came_behind_it() -> None:
    office = await open_office()
    client = office.open(tls="", can_tls=True)
    await client.begin()
    answer = await client.talk(b"a STARTTLS", b"b LOGIN alice@example.org right")
    assert answer == b"a OK Begin TLS now\r\n"
    assert (await client.talk(b"c LOGIN alice@example.org right")).startswith(b"c OK [CAPABILITY ")
    assert (await client.talk(b"d STARTTLS")).startswith(b"d BAD ")


async def test_a_failed_handshake_ends_it() -> None:
    office = await open_office()
    client = office.open(tls="", can_tls=True, fails_tls=True)
    await client.begin()
    await client.talk(b"a STARTTLS")
    assert client.wire.is_closing


async def test_the_same_is_said_for_a_wrong_name_and_a_wrong_password() -> None:
    office = await open_office()
    client = office.open()
    await client.begin()
    wrong = await client.talk(b"a LOGIN alice@example.org wrong")
    unknown = await client.talk(b"a LOGIN nobody@example.org wrong")
    assert wrong == unknown
    assert wrong.startswith(b"a NO [AUTHENTICATIONFAILED] ")
    assert client.wire.errors == 2


async def test_authenticate_with_and_without_an_initial_response() -> None:
    office = await open_office()
    secret = base64.b64encode(b"\0alice@example.org\0right")
    client = office.open()
    await client.begin()
    assert (await client.talk(b"a AUTHENTICATE PLAIN " + secret)).startswith(b"a OK [CAPABILITY ")
    other = office.open()
    await other.begin()
    assert await other.talk(b"a AUTHENTICATE PLAIN") == b"+ \r\n"
    assert (await other.say(secret + CRLF)).startswith(b"a OK [CAPABILITY ")
    assert office.slots.entered == [(ALICE, HOME)] * 2


async def test_authenticate_can_be_given_up() -> None:
    office = await open_office()
    client = office.open()
    await client.begin()
    await client.talk(b"a AUTHENTICATE PLAIN")
    assert (await client.talk(b"*")).startswith(b"a BAD ")
    await client.talk(b"b AUTHENTICATE PLAIN")
    assert (await client.talk(b"!!")).startswith(b"b BAD That is not base64")
    assert (await client.talk(b"c LOGIN alice@example.org right")).startswith(b"c OK ")


async def test_too_many_sessions_of_an_account_are_told_so() -> None:
    office = await open_office()
    office.slots.refusal = "Too many sessions of this account"
    client = office.open()
    await client.begin()
    assert (
        await client.talk(b"a LOGIN alice@example.org right") == b"a NO [LIMIT] Too many sessions of this account\r\n"
    )
    await client.lose()
    assert office.slots.entered == []


async def test_a_session_that_ends_gives_its_slot_back() -> None:
    office = await open_office()
    client = await office.enter()
    await client.lose()
    assert office.slots.entered == []


async def test_commands_of_another_state_are_refused() -> None:
    office = await open_office()
    client = office.open()
    await client.begin()
    assert (await client.talk(b"a SELECT INBOX")).startswith(b"a BAD Log in first")
    await client.talk(b"b LOGIN alice@example.org right")
    assert (await client.talk(b"c FETCH 1 FLAGS")).startswith(b"c BAD Select a mailbox first")
    assert (await client.talk(b"d LOGIN alice@example.org right")).startswith(b"d BAD ")


async def test_unauthenticate_makes_it_new() -> None:
    office = await open_office(letter("one"))
    client = await office.enter()
    await client.select()
    await client.enable("CONDSTORE")
    assert (await client.talk(b"a UNAUTHENTICATE")).startswith(b"a OK [CAPABILITY ")
    assert office.slots.entered == []
    assert not client.session.condstore
    assert (await client.talk(b"b NOOP", b'c LIST "" *')).endswith(b"c BAD Log in first\r\n")


async def test_logout_says_goodbye_and_ends_what_is_pipelined_behind() -> None:
    office = await open_office()
    client = await office.enter()
    assert await client.talk(b"a LOGOUT", b"b NOOP") == b"* BYE Goodbye\r\na OK Logged out\r\n"
    assert client.wire.is_closing


async def test_what_comes_in_one_read_is_answered_in_one_write_in_order() -> None:
    office = await open_office(letter("one"))
    client = await office.enter()
    answer = await client.talk(b"a SELECT INBOX", b"b NOOP", b"c UNSELECT", b"d BOGUS", b"e NOOP")
    assert [line[:4] for line in answer.splitlines() if not line.startswith(b"*")] == [
        b"a OK",
        b"b OK",
        b"c OK",
        b"d BA",
        b"e OK",
    ]
    assert len(client.wire.writes) == 2  # the greeting is the other


async def test_idle_tells_what_others_do() -> None:
    office = await open_office(letter("one"), letter("two"))
    client = await office.enter()
    await client.select()
    assert await client.talk(b"a IDLE") == b"+ idling\r\n"
    await office.add(letter("three"))
    assert await client.hear() == b"* 3 EXISTS\r\n"
    await office.flag(2, "\\Seen")
    assert await client.hear() == b"* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n"
    await office.expunge(1)
    assert await client.hear() == b"* 1 EXPUNGE\r\n"
    assert await client.talk(b"DONE") == b"a OK Idle is over\r\n"
    await office.add(letter("four"))
    assert await client.hear() == b""  # nobody asked


async def test_anything_but_done_ends_idle() -> None:
    office = await open_office()
    client = await office.enter()
    await client.talk(b"a IDLE")
    assert b" BAD " in await client.talk(b"b NOOP")
    assert await client.talk(b"c NOOP") == b"c OK Completed\r\n"


async def test_who_idles_is_reminded_and_then_timed_out() -> None:
    office = await open_office(still_here_s=120.0, timeout_s=1800.0)
    client = await office.enter()
    await client.talk(b"a IDLE")
    assert client.wire.expected_s == 120.0
    office.clock.advance(120)
    client.session.time_out()
    assert await client.hear() == b"* OK Still here\r\n"
    assert not client.wire.is_closing
    office.clock.advance(1700)
    client.session.time_out()
    assert (await client.hear()).startswith(b"* BYE You were silent")
    assert client.wire.is_closing


async def test_who_does_not_log_in_has_so_long_for_all_of_it() -> None:
    office = await open_office(login_timeout_s=60.0)
    client = office.open()
    await client.begin()
    assert client.wire.expected_s == 60.0
    office.clock.advance(40)
    await client.talk(b"a NOOP")
    assert client.wire.expected_s == 20.0
    await client.talk(b"b LOGIN alice@example.org right")
    assert client.wire.expected_s == office.settings.timeout_s


async def test_shutting_down_says_bye() -> None:
    office = await open_office()
    client = await office.enter()
    client.session.shut_down("The server stops")
    assert await client.hear() == b"* BYE [UNAVAILABLE] The server stops\r\n"
    assert client.wire.is_closing


async def test_a_mailbox_that_is_removed_ends_the_sessions_in_it() -> None:
    office = await open_office()
    made = await office.store.mailboxes.create(ALICE, "Old")
    client = await office.enter()
    await client.select("Old")
    await client.talk(b"a IDLE")
    await office.store.mailboxes.remove(ALICE, made.id)
    assert (await client.hear()).startswith(b"* BYE The selected mailbox is no longer accessible")
    assert client.wire.is_closing


async def test_another_account_sees_nothing_of_it() -> None:
    office = await open_office(letter("one"))
    bob = await office.enter(BOB)
    assert b"* 0 EXISTS" in await bob.select()


async def test_id_is_answered_and_logged() -> None:
    office = await open_office()
    client = office.open()
    await client.begin()
    assert (await client.talk(b'a ID ("name" "mutt" "version" "2")')).startswith(b'* ID ("name" "Posthouse"')
    assert office.log.events[-1][2]["program"] == "mutt 2"


async def test_enable_tells_what_it_has_enabled() -> None:
    office = await open_office()
    client = await office.enter()
    assert await client.talk(b"a ENABLE CONDSTORE X-UNKNOWN IDLE") == b"* ENABLED CONDSTORE\r\na OK Completed\r\n"
    assert await client.talk(b"b ENABLE imap4rev2 qresync") == b"* ENABLED IMAP4rev2 QRESYNC\r\nb OK Completed\r\n"


async def test_compress_is_answered_before_it_begins() -> None:
    office = await open_office()
    client = await office.enter()
    assert b"COMPRESS=DEFLATE" in await client.talk(b"a CAPABILITY")
    assert (await client.talk(b"b COMPRESS DEFLATE")).startswith(b"b OK ")
    assert client.wire.is_compressed
    assert (await client.talk(b"c COMPRESS DEFLATE")).startswith(b"c NO [COMPRESSIONACTIVE]")
    assert b"COMPRESS=DEFLATE" not in await client.talk(b"d CAPABILITY")
    assert (await client.talk(b"e COMPRESS LZ")).startswith(b"e NO [CANNOT]")


async def test_hidden_capabilities_are_not_announced() -> None:
    office = await open_office(hidden=frozenset({"IDLE", "AUTH=PLAIN", "SORT"}))
    client = office.open()
    assert b"AUTH=PLAIN" not in await client.begin()
    answer = await client.talk(b"a LOGIN alice@example.org right")
    assert b" IDLE " not in answer and b" SORT " not in answer


async def test_an_account_is_not_shown_what_is_hidden_from_it() -> None:
    office = await open_office()
    await office.store.annotations.write(ALICE, None, ALICE, {HIDDEN_ENTRY: b"notify Condstore"})
    client = office.open()
    assert b" ENABLE " in await client.begin()
    answer = await client.talk(b"a LOGIN alice@example.org right")
    assert b" NOTIFY " not in answer and b" CONDSTORE " not in answer and b" QRESYNC " in answer
    assert await client.talk(b"b ENABLE CONDSTORE") == b"* ENABLED\r\nb OK Completed\r\n"
    assert b" CONDSTORE " in await (await office.enter(BOB)).talk(b"c CAPABILITY")


async def test_many_errors_end_the_session() -> None:
    office = await open_office()
    client = office.open()
    await client.begin()
    heard = b"".join([await client.talk(b"a BOGUS") for _ in range(office.settings.limits.errors + 1)])
    assert b"* BYE Too many " in heard
    assert heard.count(b"a BAD ") >= office.settings.limits.errors - 1
    assert client.wire.is_closing


async def test_who_half_closes_still_gets_the_answers() -> None:
    office = await open_office()
    client = await office.enter()
    client.session.receive(b"a NOOP\r\n")
    client.session.end_of_input()
    await settle()
    assert client.wire.take() == b"a OK Completed\r\n"
    assert client.wire.is_closing


async def test_a_defect_of_ours_costs_one_command() -> None:
    office = await open_office()
    client = await office.enter()

    async def broken(*_: object) -> object:
        raise ZeroDivisionError

    office.store.mailboxes.list_all = broken  # type: ignore[method-assign, assignment]
    assert await client.talk(b"a SELECT INBOX") == b"a NO [SERVERBUG] Internal error, the command was not done\r\n"
    assert office.log.events[-1][0] == "error"
    assert await client.talk(b"b NOOP") == b"b OK Completed\r\n"


async def test_empty_lines_are_passed_over_a_few_times_and_no_more() -> None:
    office = await open_office()
    client = office.open()
    await client.begin()
    assert await client.say(b"\r\n" * 5 + b"a NOOP\r\n") == b"a OK Completed\r\n"
    heard = await client.say(b"\r\n" * 1_000)
    assert heard.count(b"* BAD An empty line is no command") >= office.settings.limits.errors - 1
    assert client.wire.is_closing


class TickingClock(FakeClock):
    """Each look at it takes a tenth of a millisecond."""

    def monotonic(self) -> float:
        self.advance(0.0001)
        return super().monotonic()


async def test_what_is_pipelined_without_end_lets_others_have_their_turn() -> None:
    office = await open_office()
    office.clock = TickingClock()
    client = await office.enter()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.ensure_future(count())
    client.session.receive(b"a NOOP\r\n" * 2_000)
    while client.wire.taken == len(client.wire.writes):
        await asyncio.sleep(0)
    other.cancel()
    assert client.wire.take().count(b"a OK") == 2_000
    assert 10 < turns < 1_000


async def test_who_has_logged_in_slows_nobody_by_what_is_refused() -> None:
    office = await open_office()
    client = await office.enter()
    await client.talk(b"a BOGUS", b"b SELECT Nowhere")
    assert client.wire.errors == 0


async def test_no_answer_ends_as_if_a_literal_followed() -> None:
    office = await open_office()
    client = await office.enter()
    for line in (b"a STATUS INBOX ({5}", b"b STORE 1 {7}x{9}", b'c LIST "" x {3} {11}', b"d SETACL INBOX x }{5}"):
        for answer in (await client.talk(line)).split(b"\r\n"):
            assert not answer.endswith(b"}"), answer


async def test_a_search_without_keys_is_told_what_is_missing() -> None:
    office = await open_office(letter("one"))
    client = await office.enter()
    await client.select()
    assert await client.talk(b"a SEARCH") == b"a BAD Expected a search key at the end\r\n"
    assert await client.talk(b"b UID SEARCH ") == b"b BAD Expected a search key at the end\r\n"


async def test_who_does_not_log_in_hears_why_the_connection_ends() -> None:
    client = (await open_office()).open()
    await client.begin()
    client.session.time_out()
    assert (await client.hear()).endswith(b"* BYE You did not log in in time\r\n")
