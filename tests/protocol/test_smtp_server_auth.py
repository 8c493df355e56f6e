"""AUTH in the SMTP server core (RFC 4954): what is offered, the exchange in every split, and its limits."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.reply import Reply
from posthouse.protocol.smtp.server import NEED_DATA, Closing, ServerSettings, SmtpServer, StartTls
from posthouse.protocol.smtp.server_auth import AuthSmtpServer
from posthouse.protocol.smtp.server_events import AuthData, AuthStarted, Event, Hello, MailFrom, Quit

SETTINGS = ServerSettings("mx.example.org", auth=True, max_failed_logins=3)
NO = Reply(535, "5.7.8", "no")
YES = Reply(235, "2.7.0", "yes")


def make(mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN"), after_tls: frozenset[str] = frozenset()) -> AuthSmtpServer:
    core = AuthSmtpServer(SETTINGS)
    core.mechanisms, core.mechanisms_after_tls = mechanisms, after_tls
    core.greet(Reply(220, "", "mx.example.org"))
    core.take_output()
    return core


def feed(core: SmtpServer, octets: bytes, *, split: int = 0) -> tuple[list[Event], bytes]:
    """LOGIN asks twice; the password is `right`."""
    events: list[Event] = []
    pieces = [octets[:split], octets[split:]] if split else [octets]
    for piece in pieces:
        core.receive(piece)
        while (event := core.next_event()) is not NEED_DATA:
            events.append(event)
            match event:
                case AuthStarted("PLAIN", initial) if initial is not None:
                    core.answer(YES if initial.endswith(b"\0right") else NO)
                case AuthStarted():
                    core.answer(Reply(334, "", "VXNlcm5hbWU6"))
                case AuthData(b"tim"):
                    core.answer(Reply(334, "", "UGFzc3dvcmQ6"))
                case AuthData(data):
                    core.answer(YES if data.endswith(b"right") else NO)
                case StartTls():
                    core.answer(Reply(220, "", "go"))
                case Closing():
                    break
                case Hello() | MailFrom() | Quit():
                    core.answer(Reply(250, "", "ok"))
                case _:
                    raise AssertionError(event)
    return events, core.take_output()


def b64(data: bytes) -> bytes:
    return base64.b64encode(data)


HELLO = b"EHLO c.example\r\n"
PLAIN = b"AUTH PLAIN " + b64(b"\0tim\0right") + b"\r\n"
WRONG = b"AUTH PLAIN " + b64(b"\0tim\0wrong") + b"\r\n"


def test_auth_is_offered_where_there_is_a_mechanism() -> None:
    assert b"250-AUTH PLAIN LOGIN\r\n" in feed(make(), HELLO)[1]
    assert b"AUTH" not in feed(make(()), HELLO)[1]


def test_a_server_without_logins_knows_no_auth() -> None:
    core = SmtpServer(ServerSettings("mx.example.org"))
    core.greet(Reply(220, "", "hi"))
    _, output = feed(core, HELLO + PLAIN + b"MAIL FROM:<a@b.example> AUTH=<>\r\n")
    assert b"AUTH PLAIN" not in output
    assert b"502 5.5.1" in output
    assert b"555 5.5.4" in output


DIALOGUE = (
    HELLO
    + b"AUTH LOGIN\r\n" + b64(b"tim") + b"\r\n" + b64(b"wrong") + b"\r\n"
    + b"AUTH plain =\r\n"
    + b"AUTH LOGIN\r\n*\r\n"
    + b"AUTH LOGIN\r\n\r\n"
    + b"AUTH LOGIN\r\n" + b64(b"tim") + b"\r\n" + b64(b"right") + b"\r\n"
    + b"AUTH LOGIN\r\nMAIL FROM:<tim@example.org> AUTH=tim+40example.org\r\nQUIT\r\n"
)  # fmt: skip


def whole() -> tuple[list[Event], bytes]:
    core = make()
    core.settings = ServerSettings("mx.example.org", auth=True, max_failed_logins=10)
    return feed(core, DIALOGUE)


def test_the_exchange() -> None:
    events, output = whole()
    codes = [line[:3] for line in output.split(b"\r\n") if line[3:4] == b" "]
    assert b" ".join(codes) == b"250 334 334 535 535 334 501 334 535 334 334 235 503 250 250"
    assert AuthStarted("PLAIN", b"") in events
    assert AuthData(b"") in events
    assert [type(event) for event in events[-2:]] == [MailFrom, Quit]


@pytest.mark.parametrize("split", range(1, len(DIALOGUE)))
def test_the_exchange_in_every_split(split: int) -> None:
    core = make()
    core.settings = ServerSettings("mx.example.org", auth=True, max_failed_logins=10)
    assert feed(core, DIALOGUE, split=split) == whole()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"AUTH", b"501"),
        (b"AUTH PLAIN a b", b"501"),
        (b"AUTH PLAIN !!!", b"501"),
        (b"AUTH PLAIN AHRpbQ=", b"501"),
        (b"AUTH " + b"X" * 21, b"501"),
        (b"AUTH NTLM", b"504"),
        (b"AUTH CRAM-MD5 x", b"504"),
        (b"AUTH XOAUTH2 x", b"538"),
    ],
)
def test_an_auth_that_is_none_starts_nothing(line: bytes, code: bytes) -> None:
    core = make(after_tls=frozenset({"XOAUTH2"}))
    feed(core, HELLO)
    events, output = feed(core, line + b"\r\n")
    assert events == []
    assert output[:3] == code


@pytest.mark.parametrize("before", [b"", HELLO + b"MAIL FROM:<a@b.example>\r\n", b"HELO c.example\r\n"])
def test_out_of_order_is_503(before: bytes) -> None:
    core = make()
    feed(core, before)
    assert feed(core, PLAIN)[1].startswith(b"503")


def test_a_line_in_the_exchange_that_is_no_base64_ends_it() -> None:
    core = make()
    feed(core, HELLO + b"AUTH LOGIN\r\n")
    events, output = feed(core, b"QUIT or not\r\n")
    assert events == []
    assert output.startswith(b"501 5.5.2")
    assert feed(core, b"NOOP\r\n")[1].startswith(b"250")


def test_a_line_may_have_12288_octets_and_no_more() -> None:
    core = make()
    feed(core, HELLO)
    events, _ = feed(core, b"AUTH LOGIN\r\n" + b"A" * 12288 + b"\r\n")
    assert AuthData(b"\0" * 9216) in events
    events, output = feed(core, b"AUTH LOGIN\r\n" + b"A" * 12292 + b"\r\nNOOP\r\n")
    assert [type(event) for event in events] == [AuthStarted]
    assert b"500 5.5.2 Line too long\r\n250" in output


def test_after_some_failures_the_connection_ends() -> None:
    core = make()
    events, output = feed(core, HELLO + WRONG * 4 + b"NOOP\r\n")
    assert isinstance(events[-1], Closing)
    assert output.count(b"535") == 3
    assert output.endswith(b"421 4.7.0 Too many failed logins, closing connection\r\n")


def test_starttls_forgets_the_login() -> None:
    core = make()
    core.offers_tls = True
    feed(core, HELLO + PLAIN)
    assert feed(core, PLAIN)[1].startswith(b"503")
    assert b"AUTH" not in feed(core, HELLO)[1]
    feed(core, b"STARTTLS\r\n")
    core.tls_started()
    assert b"250-AUTH" in feed(core, HELLO)[1]
    assert feed(core, PLAIN)[1].startswith(b"235")


@pytest.mark.parametrize("value", [b"", b"=", b"=+4", b"=+0A", b"=" + b"x" * 501])
def test_a_malformed_auth_parameter_of_mail(value: bytes) -> None:
    core = make()
    feed(core, HELLO)
    assert feed(core, b"MAIL FROM:<a@b.example> AUTH" + value + b"\r\n")[1].startswith(b"501 5.5.4")


def test_secrets_are_not_in_the_repr_of_events() -> None:
    assert "right" not in repr(AuthStarted("PLAIN", b"right")) + repr(AuthData(b"right"))


WORDS = [
    *(HELLO, PLAIN, WRONG, b"AUTH LOGIN\r\n", b"dGlt\r\n"),
    *(b"*\r\n", b"=\r\n", b"\r\n", b"AUTH \r\n", b"QUIT\r\n", b"\xff\r\n", b"a\nb\r\n"),
]


@given(st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=20)), max_size=12), st.integers(1, 30))
def test_whatever_comes_only_events_and_replies_come_out_however_it_is_cut(words: list[bytes], size: int) -> None:
    octets = b"".join(words)
    whole_events, whole_output = feed(make(), octets)
    core = make()
    events: list[Event] = []
    output = b""
    for start in range(0, len(octets), size):
        more, said = feed(core, octets[start : start + size])
        events += more
        output += said
    assert (events, output) == (whole_events, whole_output)
