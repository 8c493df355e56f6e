"""Bounds of one session, and what it tells beside events."""

from __future__ import annotations

import re
import tracemalloc

import pytest

from posthouse.message.reply import Reply
from posthouse.protocol.lmtp.server import lmtp_settings, make_lmtp_server
from posthouse.protocol.smtp.server import (
    NEED_DATA,
    BodyPiece,
    Closing,
    DataStarted,
    MessageEnd,
    Reset,
    ServerSettings,
    SmtpServer,
    Xclient,
    render_reply,
)
from posthouse.protocol.smtp.server_replies import MAX_TEXT
from posthouse.protocol.smtp.xclient import XclientError, parse_xclient
from posthouse.protocol.wire.dots import MIN_PIECE
from tests.dialogues.dialogue_player import Player, make_core

BEGIN = b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
SETTINGS = ServerSettings("mx.example.org")


def test_an_idle_session_is_small() -> None:
    def greeted() -> SmtpServer:
        core = SmtpServer(SETTINGS)
        core.greet(Reply(220, "", "mx.example.org"))
        core.receive(b"EHLO client.example\r\n")
        core.next_event()
        core.answer(Reply(250))
        core.take_output()
        return core

    greeted()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    cores = [greeted() for _ in range(200)]
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert used / len(cores) < 2048


@pytest.mark.parametrize("size", [1, 7, 4096, 65536, 1 << 20])
def test_a_message_without_end_is_never_kept(size: int) -> None:
    player = Player(make_core({"max_size": 100_000}))
    player.feed(BEGIN + b"DATA\r\n\r\n")
    piece = (b"x" * 70 + b"\r\n") * (size // 72 + 1)
    for _ in range(400_000 // size if size < 4096 else 60):
        player.core.receive(piece[:size] if size >= 72 else b"x" * size)
        while (event := player.core.next_event()) is not NEED_DATA:
            assert isinstance(event, BodyPiece)
        assert player.core.unread < MIN_PIECE


def test_the_largest_chunk_is_read_through_without_keeping_it() -> None:
    player = Player(make_core({"max_size": 1000}))
    player.feed(BEGIN + b"BDAT 999999999999999999 LAST\r\n")
    for _ in range(50):
        player.feed(b"\0" * (1 << 20))
        assert player.core.unread == 0
        assert len(player.message) <= 1000


def test_pieces_stop_at_the_first_problem() -> None:
    player = Player(make_core({}))
    player.feed(BEGIN + b"DATA\r\n")
    player.feed(b"x" * 5000 + b"\r\n")
    player.feed(b"a\nb" + b"x" * 5000 + b"\r\n")
    player.feed(b"y" * 5000 + b"\r\n")
    assert set(player.message) <= set(b"x\r\n")
    player.feed(b".\r\n")
    end = player.events[-1]
    assert isinstance(end, MessageEnd)
    assert end.size == 15009
    assert end.problem is not None


def test_a_client_that_pipelines_without_being_offered_it_is_noticed() -> None:
    polite = Player(make_core({}))
    polite.feed(b"EHLO c.example\r\n")
    polite.feed(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
    assert not polite.core.pipelined_early
    hasty = Player(make_core({}))
    hasty.feed(b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n")
    assert hasty.core.pipelined_early
    old = Player(make_core({}))
    old.feed(b"HELO c.example\r\n")
    assert not old.core.pipelined_early
    old.feed(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n")
    assert old.core.pipelined_early


def test_many_pipelined_commands_are_answered_in_one_output() -> None:
    player = Player(make_core({"max_recipients": 10_000}))
    player.feed(b"EHLO c.example\r\n")
    player.output = b""
    player.feed(b"MAIL FROM:<a@b.example>\r\n" + b"RCPT TO:<c@d.example>\r\n" * 3000)
    assert player.output.count(b"250 2.1.5") == player.core.accepted == 3000


def test_recipients_beyond_the_limit_are_no_errors_until_there_is_no_end_of_them() -> None:
    player = Player(make_core({"max_recipients": 10}))
    player.feed(BEGIN + b"RCPT TO:<c@d.example>\r\n" * 1019)
    assert (player.core.accepted, player.core.error_count) == (10, 0)
    player.feed(b"RCPT TO:<c@d.example>\r\n" * 30)
    assert player.events[-1] == Closing("too many errors")


@pytest.mark.parametrize("chunk", [b"BDAT 0\r\n", b"BDAT 1\r\nx"])
def test_chunks_that_bring_nothing_count_as_commands(chunk: bytes) -> None:
    player = Player(make_core({}))
    player.feed(b"EHLO c.example\r\n" + chunk * 200)
    assert player.events[-1] == Closing("too many commands")
    player = Player(make_core({}))
    player.feed(BEGIN + chunk * 200)
    assert (player.events[-1] == Closing("too many commands")) is (chunk == b"BDAT 0\r\n")


def test_a_reply_cannot_be_split_by_its_text() -> None:
    assert render_reply(Reply(250, "2.0.0", "a\r\n354 b\rc\0")) == b"250-2.0.0 a \r\n250 2.0.0 354 b c \r\n"
    assert render_reply(Reply(221)) == b"221 \r\n"
    assert render_reply(Reply(250, "", "a\nb")) == b"250-a\r\n250 b\r\n"
    assert render_reply(Reply(550, "5.1.1", "\x85ü"), True) == "550 5.1.1  ü\r\n".encode()
    assert render_reply(Reply(550, "5.1.1", "ü")) == b"550 5.1.1 ?\r\n"
    assert len(render_reply(Reply(550, "5.1.1", "x" * 2000))) == MAX_TEXT + 12


def test_utf8_in_replies_only_in_a_transaction_that_has_it() -> None:
    def answer(parameter: bytes) -> bytes:
        player = Player(make_core({}))
        player.feed(b"EHLO c.example\r\nMAIL FROM:<a@b.example>" + parameter + b"\r\n")
        player.core.receive(b"RCPT TO:<c@d.example>\r\n")
        player.core.next_event()
        player.core.answer(Reply(550, "5.1.1", "grün"))
        return player.core.take_output()

    assert answer(b" SMTPUTF8") == "550 5.1.1 grün\r\n".encode()
    assert answer(b"") == b"550 5.1.1 gr?n\r\n"


def test_lmtp_by_its_own_name() -> None:
    core = make_lmtp_server(SETTINGS)
    assert core.settings.lmtp
    assert lmtp_settings(SETTINGS).max_size == SETTINGS.max_size
    player = Player(core)
    player.feed(b"LHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\nDATA\r\nx\r\n")
    core.receive(b".\r\n")
    while isinstance(event := core.next_event(), BodyPiece):
        pass
    assert event == MessageEnd(3)
    with pytest.raises(RuntimeError):
        core.answer_each([Reply(250)])
    core.answer_each([Reply(250), Reply(421, "4.3.2", "Going down")])
    assert core.next_event() == Closing("421 answered")


def test_a_message_that_is_refused_counts_as_an_error_and_not_as_a_message() -> None:
    player = Player(make_core({}))
    player.feed(BEGIN + b"DATA\r\na\nb\r\n.\r\n")
    assert player.core.error_count == 1
    assert player.core.message_count == 0
    player.feed(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n.\r\n")
    assert (player.core.error_count, player.core.message_count) == (0, 1)


def test_a_message_that_is_put_off_is_no_error_of_the_client() -> None:
    player = Player(make_core({}))
    core = player.core
    for _ in range(core.settings.max_errors + 1):
        core.receive(BEGIN + b"DATA\r\na\r\n.\r\n")
        while (event := core.next_event()) is not NEED_DATA:
            if isinstance(event, MessageEnd):
                core.answer(Reply(452, "4.3.1", "No room"))
            elif not isinstance(event, BodyPiece | Reset):
                core.answer(Reply(354 if isinstance(event, DataStarted) else 250))
    assert core.error_count == 0
    assert core.take_output().endswith(b"452 4.3.1 No room\r\n")


def test_every_keyword_of_ehlo_is_well_formed() -> None:
    core = make_core({"mt_priority": True, "max_messages": 5}, frozenset({"tls", "xclient"}))
    player = Player(core)
    player.feed(b"EHLO c.example\r\n")
    lines = player.output.decode("ascii").split("\r\n")[2:-1]
    assert all(re.fullmatch(r"250[ -][A-Z0-9][A-Z0-9-]*( [!-~]+)*", line) for line in lines)
    assert [line[3] for line in lines] == ["-"] * (len(lines) - 1) + [" "]
    assert {"250-STARTTLS", "250-LIMITS RCPTMAX=1000 MAILMAX=5"} <= set(lines)


def test_xclient_tells_who_the_client_is() -> None:
    player = Player(make_core({}, frozenset({"xclient"})))
    player.feed(
        b"EHLO proxy.example\r\nXCLIENT NAME=spike.example ADDR=IPV6:2001:DB8::1 PORT=047 PROTO=esmtp HELO=c.example"
        b" LOGIN=a+2Bb DESTADDR=192.0.2.1 DESTPORT=25\r\n"
    )
    assert player.events[-1] == Xclient(
        {
            "NAME": "spike.example",
            "ADDR": "2001:db8::1",
            "PORT": "47",
            "PROTO": "ESMTP",
            "HELO": "c.example",
            "LOGIN": "a+b",
            "DESTADDR": "192.0.2.1",
            "DESTPORT": "25",
        }
    )


def test_what_the_proxy_does_not_know_is_none() -> None:
    assert parse_xclient("NAME=[UNAVAILABLE] HELO=[tempunavail]") == {"NAME": None, "HELO": None}
    assert parse_xclient("addr=::ffff:192.0.2.9") == {"ADDR": "192.0.2.9"}


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "NAME",
        "NAME=",
        "NAME=a NAME=b",
        "FOO=a",
        "ADDR=a",
        "PORT=65536",
        "PROTO=HTTP",
        "LOGIN=a+0D+0Ab",
        "NAME=a+20b",
    ],
)
def test_bad_xclient_attributes(argument: str) -> None:
    with pytest.raises(XclientError):
        parse_xclient(argument)
