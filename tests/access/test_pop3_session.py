"""A POP3 session on a maildrop: what it holds, what it changes and when, and how it ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from posthouse.message.mailbox import AccountId, EmailId, Flag
from posthouse.ports.credentials import CredentialKind
from posthouse.ports.login import Scope
from posthouse.ports.store import NoSuchAccount, StoreError
from tests.access.pop3_kit import LOGIN, PostOffice, letter, open_office
from tests.access.wire_kit import Talk, settle
from tests.trust.test_login import ALICE, BOB

TEMPORARY = b"-ERR [SYS/TEMP] Not possible now, try again later\r\n"


# -- what others may do meanwhile


async def test_what_comes_after_the_login_is_not_there() -> None:
    office = await open_office(letter("one"))
    talk = await office.enter()
    await office.add(letter("two"))
    assert (await talk.say(b"STAT\r\nRETR 2\r\n")).startswith(b"+OK 1 ")
    await talk.say(b"QUIT\r\n")
    assert (await (await office.enter()).say(b"STAT\r\n")).startswith(b"+OK 2 ")


async def test_what_imap_has_marked_as_deleted_is_not_shown() -> None:
    office = await open_office(letter("one"), letter("two"), letter("three"))
    await office.flag(2, "\\Deleted")
    talk = await office.enter()
    assert (await talk.say(b"STAT\r\n")).startswith(b"+OK 2 ")
    assert b"Subject: three\r\n" in await talk.say(b"RETR 2\r\n")
    await talk.say(b"DELE 1\r\nQUIT\r\n")
    assert await office.left() == {2: Flag.DELETED, 3: Flag.SEEN}


async def test_numbers_stay_when_another_program_removes_messages() -> None:
    office = await open_office(letter("one"), letter("two"))
    talk = await office.enter()
    await office.expunge(1)
    assert b"Subject: two\r\n" in await talk.say(b"RETR 2\r\n")
    assert (await talk.say(b"STAT\r\n")).startswith(b"+OK 2 ")


async def test_a_message_that_is_gone_says_so_and_its_deletion_is_no_failure() -> None:
    office = await open_office(letter("one"), letter("two"))
    talk = await office.enter()
    await office.expunge(1)
    assert (await talk.say(b"RETR 1\r\n")).startswith(b"-ERR Another program has removed this message")
    assert (await talk.say(b"TOP 1 0\r\n")).startswith(b"-ERR Another program has removed this message")
    assert await talk.say(b"DELE 1\r\nDELE 2\r\nQUIT\r\n") == b"+OK Gone at QUIT\r\n+OK Gone at QUIT\r\n+OK Goodbye\r\n"
    assert await office.left() == {}


async def test_messages_that_are_gone_do_not_count_as_errors_of_the_client() -> None:
    office = await open_office(letter("one"))
    office.set(limits=replace(office.settings.limits, errors=2))
    talk = await office.enter()
    await office.expunge(1)
    for _ in range(5):
        assert (await talk.say(b"RETR 1\r\n")).startswith(b"-ERR Another")
    assert talk.wire.errors == 0


# -- DELE and RETR take effect at QUIT


async def test_nothing_is_deleted_before_quit() -> None:
    office = await open_office(letter("one"), letter("two"))
    talk = await office.enter()
    await talk.say(b"RETR 1\r\nDELE 1\r\n")
    assert await office.left() == {1: Flag(0), 2: Flag(0)}
    await talk.say(b"QUIT\r\n")
    assert await office.left() == {2: Flag(0)}


async def test_a_lost_connection_deletes_nothing() -> None:
    office = await open_office(letter("one"))
    talk = await office.enter()
    await talk.say(b"DELE 1\r\n")
    await talk.lose()
    assert await office.left() == {1: Flag(0)}


@pytest.mark.parametrize("end", [lambda talk: talk.session.time_out(), lambda talk: talk.session.shut_down("Bye")])
async def test_neither_silence_nor_a_shut_down_deletes(end: Callable[[Talk], None]) -> None:
    office = await open_office(letter("one"))
    talk = await office.enter()
    await talk.say(b"RETR 1\r\nDELE 1\r\n")
    end(talk)
    await talk.lose()
    assert await office.left() == {1: Flag(0)}
    assert not office.maildrops.locked


async def test_a_client_that_closes_behind_its_quit_has_quit() -> None:
    """Under TLS the driver tells of the end before the command was looked at."""
    office = await open_office(letter("one"), letter("two"))
    talk = await office.enter()
    await talk.say(b"DELE 1\r\n")
    talk.session.receive(b"QUIT\r\n")
    await talk.lose()
    assert await office.left() == {2: Flag(0)}
    assert not office.maildrops.locked


async def test_commands_that_were_not_answered_count_for_nothing() -> None:
    office = await open_office(letter("one"), letter("two"))
    talk = await office.enter()
    talk.session.receive(b"RETR 1\r\nDELE 1\r\nQUIT\r\n")
    await talk.lose()
    assert await office.left() == {1: Flag(0), 2: Flag(0)}


async def test_a_client_that_ends_its_side_is_answered_to_the_end() -> None:
    office = await open_office(letter("one"))
    talk = await office.enter()
    talk.session.receive(b"DELE 1\r\nQUIT\r\n")
    talk.session.end_of_input()
    assert await talk.hear() == b"+OK Gone at QUIT\r\n+OK Goodbye\r\n"
    assert talk.wire.is_closing
    assert await office.left() == {}


async def test_what_was_retrieved_is_seen_after_quit() -> None:
    office = await open_office(letter("one"), letter("two"), letter("three"))
    talk = await office.enter()
    await talk.say(b"RETR 1\r\nTOP 2 5\r\nQUIT\r\n")
    assert await office.left() == {1: Flag.SEEN, 2: Flag(0), 3: Flag(0)}


async def test_rset_forgets_what_was_retrieved() -> None:
    office = await open_office(letter("one"))
    talk = await office.enter()
    await talk.say(b"RETR 1\r\nDELE 1\r\nRSET\r\nQUIT\r\n")
    assert await office.left() == {1: Flag(0)}


async def test_flags_stay_where_the_settings_say_so() -> None:
    office = await open_office(letter("one"), marks_seen=False)
    talk = await office.enter()
    await talk.say(b"RETR 1\r\nQUIT\r\n")
    assert await office.left() == {1: Flag(0)}


async def test_a_store_that_cannot_delete_is_told_of() -> None:
    """RFC 1939 §6."""
    office = await open_office(letter("one"))
    talk = await office.enter()
    await talk.say(b"DELE 1\r\n")
    office.memory.full = True
    fail(office, "messages", "expunge", StoreError("disk"))
    assert await talk.say(b"QUIT\r\n") == b"-ERR [SYS/TEMP] some deleted messages not removed\r\n"
    assert talk.wire.is_closing
    assert not office.maildrops.locked
    assert list(await office.left()) == [1]


# -- one session per maildrop


async def test_two_sessions_on_one_maildrop() -> None:
    """RFC 1939 §4, RFC 2449 §8.1.2."""
    office = await open_office(letter("one"))
    first = await office.enter()
    second = office.open()
    await second.begin()
    assert (await second.say(LOGIN)).endswith(b"-ERR [IN-USE] Another session has this maildrop\r\n")
    assert office.slots.entered == [(ALICE, "192.0.2.7")]
    await first.say(b"QUIT\r\n")
    assert (await second.say(LOGIN)).endswith(b"+OK 1 messages (165 octets)\r\n")


async def test_the_maildrop_is_free_before_the_client_hears_of_it() -> None:
    office = await open_office(letter("one"))
    talk = await office.enter()
    written: list[bool] = []
    talk.wire.write = lambda data: written.append(bool(office.maildrops.locked))  # type: ignore[method-assign]
    await talk.say(b"QUIT\r\n")
    assert written == [False]


async def test_a_dead_session_holds_nothing() -> None:
    office = await open_office(letter("one"))
    talk = await office.enter()
    assert office.maildrops.locked
    assert office.slots.entered
    await talk.lose()
    assert not office.maildrops.locked
    assert not office.slots.entered


async def test_a_client_that_leaves_while_it_waits_for_the_lock_holds_nothing() -> None:
    office = await open_office(letter("one"))
    gate = asyncio.Event()
    lock = office.maildrops.lock

    async def slow(account: AccountId) -> bool:
        await gate.wait()
        return await lock(account)

    office.maildrops.lock = slow  # type: ignore[method-assign]
    talk = office.open()
    await talk.begin()
    talk.session.receive(LOGIN)
    await talk.lose()
    gate.set()
    await settle()
    assert not office.maildrops.locked
    assert not office.slots.entered


async def test_too_many_sessions_of_an_account() -> None:
    office = await open_office()
    office.slots.refusal = "Too many sessions"
    talk = office.open()
    await talk.begin()
    assert (await talk.say(LOGIN)).endswith(b"-ERR [SYS/TEMP] Too many sessions\r\n")
    assert not office.maildrops.locked


async def test_a_maildrop_that_cannot_be_opened_is_not_kept_locked() -> None:
    office = await open_office(letter("one"))
    fail(office, "messages", "wire", StoreError("disk"))
    talk = office.open()
    await talk.begin()
    assert (await talk.say(LOGIN)).endswith(TEMPORARY)
    assert not office.maildrops.locked
    assert not office.slots.entered
    assert (await talk.say(b"STAT\r\n")).startswith(b"-ERR Log in first")


async def test_an_account_that_is_gone() -> None:
    """RFC 3206 §4: trying again does not help."""
    office = await open_office()
    fail(office, "mailboxes", "open_role", NoSuchAccount())
    talk = office.open()
    await talk.begin()
    assert (await talk.say(LOGIN)).endswith(b"-ERR [SYS/PERM] The account has gone\r\n")


async def test_login_delay() -> None:
    """RFC 2449 §6.5, §8.1.1."""
    office = await open_office(letter("one"), login_delay_s=60.0)
    talk = await office.enter()
    assert b"LOGIN-DELAY 60\r\n" in await talk.say(b"CAPA\r\n")
    await talk.say(b"QUIT\r\n")
    office.clock.advance(59)
    again = office.open()
    await again.begin()
    assert b"-ERR [LOGIN-DELAY]" in await again.say(LOGIN)
    office.clock.advance(1)
    assert (await again.say(LOGIN)).count(b"+OK") == 2


async def test_delays_of_accounts_are_their_own_and_are_forgotten() -> None:
    office = await open_office()
    office.delays.note(ALICE, 60)
    assert office.delays.is_too_soon(ALICE, 60)
    assert not office.delays.is_too_soon(BOB, 60)
    office.clock.advance(61)
    office.delays.note(BOB, 60)
    assert list(office.delays._last) == [BOB]


async def test_the_ids_of_a_former_server_are_kept() -> None:
    office = await open_office(letter("one"))
    await office.add(letter("two"), uidl="ABC123")
    talk = await office.enter()
    assert await talk.say(b"UIDL\r\n") == b"+OK Unique-ids follow\r\n1 6b49d20000000001\r\n2 ABC123\r\n.\r\n"
    assert await talk.say(b"UIDL 2\r\n") == b"+OK 2 ABC123\r\n"


# -- logging in


async def test_a_password_that_is_not_for_reading() -> None:
    office = await open_office()
    await office.logins.add("send-only", CredentialKind.APP, scopes=frozenset({Scope.SEND}))
    talk = office.open()
    await talk.begin()
    heard = await talk.say(b"USER alice@example.org\r\nPASS send-only\r\n")
    assert heard.endswith(b"-ERR [AUTH] This password is not for reading mail\r\n")


async def test_who_guesses_is_told_to_wait_and_noted() -> None:
    office = await open_office()
    office.set(limits=replace(office.settings.limits, errors=100))
    talk = office.open()
    await talk.begin()
    heard = b""
    for _ in range(40):
        heard = await talk.say(b"USER alice@example.org\r\nPASS wrong\r\n")
        if b"[SYS/TEMP]" in heard:
            break
    assert heard.endswith(b"-ERR [SYS/TEMP] Too many failed logins, try again later\r\n")
    assert talk.wire.errors > 1


async def test_the_session_is_told_who_it_is() -> None:
    office = await open_office()
    talk = await office.enter()
    assert talk.wire.login_name == "alice@example.org"
    assert [event for _, event, _ in office.log.events] == ["logged in"]
    assert "right" not in str(office.log.events)


async def test_tls_makes_the_session_new_and_drops_what_came_behind() -> None:
    """CVE-2011-0411."""
    office = await open_office()
    office.peer.tls_version = ""
    talk = office.open(can_tls=True)
    await talk.begin()
    assert await talk.say(b"UTF8\r\nSTLS\r\nUSER mallory@example.org\r\nCAPA\r\n") == (
        b"+OK UTF-8 from here on\r\n+OK Begin TLS now\r\n"
    )
    assert (await talk.say(b"PASS right\r\n")).startswith(b"-ERR Say USER first")


async def test_a_handshake_that_fails_ends_the_session() -> None:
    office = await open_office()
    office.peer.tls_version = ""
    talk = office.open(can_tls=True, fails_tls=True)
    await talk.begin()
    await talk.say(b"STLS\r\n")
    assert talk.wire.is_closing


# -- large messages and maildrops


def make_large(size: int) -> bytes:
    line = b".dots and text, and more of it, up to the end of this line of it\r\n"
    return b"Subject: large\r\n\r\n" + line * (size // len(line))


async def test_a_large_message_goes_out_in_pieces_as_the_client_takes_them() -> None:
    large = make_large(5_000_000)
    office = await open_office(large)
    talk = await office.enter()
    talk.wire.block()
    first = await talk.say(b"RETR 1\r\n")
    assert len(first) < 300_000
    assert not await talk.hear()
    talk.wire.unblock()
    heard = first + await talk.hear()
    assert max(map(len, talk.wire.writes)) < 300_000
    head, _, rest = heard.partition(b"\r\n")
    assert head == b"+OK %d octets" % len(large)
    assert rest.replace(b"\r\n..", b"\r\n.") == large + b".\r\n"


async def test_a_client_that_leaves_in_a_large_message_ends_the_work() -> None:
    office = await open_office(make_large(2_000_000))
    talk = await office.enter()
    talk.wire.block()
    await talk.say(b"RETR 1\r\nDELE 1\r\nQUIT\r\n")
    await talk.lose()
    assert len(asyncio.all_tasks()) == 1
    assert not office.maildrops.locked
    assert await office.left() == {1: Flag(0)}


async def test_a_large_message_that_cannot_be_read_to_its_end_closes_without_the_dot() -> None:
    office = await open_office(make_large(1_000_000))
    talk = await office.enter()
    read = office.store.blobs.read

    async def broken(account: AccountId, email: EmailId, offset: int = 0, length: int | None = None) -> bytes:
        if offset > 500_000:
            raise StoreError("disk")
        return await read(account, email, offset, length)

    office.store.blobs.read = broken  # type: ignore[method-assign]
    heard = await talk.say(b"RETR 1\r\n")
    assert not heard.endswith(b"\r\n.\r\n")
    assert talk.wire.is_closing
    assert [event for _, event, _ in office.log.events][-1] == "message cannot be read"
    await talk.lose()
    assert await office.left() == {1: Flag(0)}


async def test_a_message_that_cannot_be_read_at_all_is_refused_and_the_session_goes_on() -> None:
    office = await open_office(letter("one"))
    talk = await office.enter()
    fail(office, "blobs", "read", StoreError("disk"))
    assert await talk.say(b"RETR 1\r\nNOOP\r\n") == TEMPORARY + b"+OK\r\n"


async def test_the_top_of_a_large_message_reads_no_more_than_it_needs() -> None:
    office = await open_office(make_large(5_000_000))
    talk = await office.enter()
    heard = await talk.say(b"TOP 1 2\r\n")
    assert heard.count(b"\r\n..dots") == 2
    assert len(heard) < 300
    assert len(await talk.say(b"TOP 1 10000\r\n")) > 600_000


async def test_who_reads_on_has_the_next_messages_read_along() -> None:
    office = await open_office(*[letter(f"number {number}") for number in range(1, 31)])
    talk = await office.enter()
    calls = count_reads(office)
    heard = b""
    for number in range(1, 31):
        heard += await talk.say(b"RETR %d\r\n" % number)
    assert heard.count(b"\r\nSubject: number ") == 30
    assert calls == {"read": 1, "read_many": 1}
    await talk.say(b"RETR 7\r\nRETR 30\r\nTOP 1 0\r\n")
    assert calls == {"read": 4, "read_many": 1}


async def test_what_is_read_along_is_bounded_and_skips_what_is_not_wanted() -> None:
    office = await open_office(letter("one"), letter("two"), letter("three"), make_large(120_000), make_large(120_000))
    talk = await office.enter()
    await talk.say(b"DELE 3\r\n")
    await office.expunge(2)
    calls = count_reads(office)
    assert b"Subject: one" in await talk.say(b"RETR 1\r\n")
    assert (await talk.say(b"RETR 2\r\n")).startswith(b"-ERR Another program")
    assert (await talk.say(b"RETR 3\r\n")).startswith(b"-ERR There is no such")
    assert b"Subject: large" in await talk.say(b"RETR 4\r\n")
    assert b"Subject: large" in await talk.say(b"RETR 5\r\n")
    assert calls["read_many"] == 1


async def test_large_listings_are_sent_in_pieces_and_are_whole() -> None:
    office = await open_office(*[letter("x")] * 12_000)
    talk = await office.enter()
    heard = await talk.say(b"LIST\r\n")
    assert heard.count(b"\r\n") == 12_002
    assert heard.endswith(b"\r\n12000 163\r\n.\r\n")
    heard = await talk.say(b"UIDL\r\n")
    assert len(set(heard.split()[3:])) > 12_000
    assert heard.count(b"\r\n") == 12_002


async def test_a_client_that_pipelines_without_reading_is_paused() -> None:
    office = await open_office(make_large(1_000_000))
    talk = await office.enter()
    talk.wire.block()
    talk.session.receive(b"RETR 1\r\n")
    await settle()
    talk.session.receive(b"NOOP\r\n" * 20_000)
    assert talk.wire.is_paused
    talk.wire.unblock()
    assert (await talk.hear()).endswith(b"+OK\r\n" * 20_000)
    assert not talk.wire.is_paused


async def test_what_came_together_is_answered_together() -> None:
    """RFC 2449 §6.6."""
    office = await open_office(*[letter(f"number {number}") for number in range(20)])
    talk = await office.enter()
    before = len(talk.wire.writes)
    heard = await talk.say(b"".join(b"RETR %d\r\nDELE %d\r\n" % (each, each) for each in range(1, 21)))
    assert len(talk.wire.writes) == before + 1
    subjects = [line for line in heard.split(b"\r\n") if line.startswith(b"Subject:")]
    assert subjects == [b"Subject: number %d" % number for number in range(20)]


# -- the end


async def test_a_silent_client_hears_nothing_more() -> None:
    """RFC 1939 §3."""
    office = await open_office()
    talk = await office.enter()
    assert talk.wire.expected_s == 600.0
    talk.session.time_out()
    assert await talk.hear() == b""
    assert talk.wire.is_closing


async def test_octets_win_no_time_and_commands_do() -> None:
    """A client that sends one octet now and then."""
    office = await open_office()
    talk = await office.enter()
    for octet in (b"N", b"O", b"O"):
        office.clock.advance(100)
        await talk.say(octet)
    assert talk.wire.expected_s == 300.0
    await talk.say(b"P\r\n")
    assert talk.wire.expected_s == 600.0


async def test_who_does_not_log_in_has_so_long_for_all_of_it() -> None:
    office = await open_office()
    talk = office.open()
    await talk.begin()
    for _ in range(4):
        office.clock.advance(100)
        await talk.say(b"CAPA\r\n")
    assert talk.wire.expected_s == 200.0
    await talk.say(LOGIN)
    assert talk.wire.expected_s == 600.0


async def test_a_shut_down_is_told() -> None:
    office = await open_office()
    talk = await office.enter()
    talk.session.shut_down("The server stops")
    assert await talk.hear() == b"-ERR [SYS/TEMP] The server stops\r\n"
    assert talk.wire.is_closing


async def test_a_shut_down_lets_the_command_in_hand_end() -> None:
    office = await open_office(make_large(1_000_000))
    talk = await office.enter()
    talk.wire.block()
    first = await talk.say(b"RETR 1\r\nNOOP\r\n")
    talk.session.shut_down("The server stops")
    assert not talk.wire.is_closing
    talk.wire.unblock()
    heard = first + await talk.hear()
    assert heard.endswith(b"\r\n.\r\n-ERR [SYS/TEMP] The server stops\r\n")
    assert talk.wire.is_closing


async def test_a_defect_of_ours_ends_this_session_only() -> None:
    office = await open_office(letter("one"))
    talk = await office.enter()
    fail(office, "blobs", "read", ZeroDivisionError())
    assert await talk.say(b"RETR 1\r\n") == b"-ERR [SYS/TEMP] Internal error\r\n"
    assert talk.wire.is_closing
    await talk.lose()
    assert not office.maildrops.locked


def count_reads(office: PostOffice) -> Counter[str]:
    calls: Counter[str] = Counter()
    for name in ("read", "read_many"):
        real = getattr(office.store.blobs, name)

        async def call(*args: Any, name: str = name, real: Any = real) -> Any:
            calls[name] += 1
            return await real(*args)

        setattr(office.store.blobs, name, call)
    return calls


def fail(office: PostOffice, port: str, method: str, error: Exception) -> None:
    """That call fails from now on."""

    async def raise_it(*args: object, **more: object) -> None:
        raise error

    setattr(getattr(office.store, port), method, raise_it)


async def test_who_has_logged_in_slows_nobody_by_what_is_refused() -> None:
    office = await open_office(letter("one"))
    talk = await office.enter()
    await talk.say(b"RETR 99\r\nBOGUS\r\n")
    assert talk.wire.errors == 0
