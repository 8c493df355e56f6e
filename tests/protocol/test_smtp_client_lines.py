"""Commands, announcements and the body as a client writes and reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.address import Address, Domain, LocalPart, parse_address
from posthouse.message.envelope import BodyType, Envelope, Notify, Recipient, Ret
from posthouse.message.reply import Reply
from posthouse.protocol.smtp.client_commands import mail_command, rcpt_command
from posthouse.protocol.smtp.client_data import DotStuffer, stuff_whole
from posthouse.protocol.smtp.client_extensions import NO_EXTENSIONS, Extensions, parse_extensions

FULL = Extensions(
    pipelining=True,
    size=0,
    eightbitmime=True,
    binarymime=True,
    chunking=True,
    smtputf8=True,
    dsn=True,
    mt_priority=True,
)
A = parse_address("a@a.example")
B = parse_address("b@b.example")


def envelope(**fields: object) -> Envelope:
    return Envelope(**{"sender": A, "recipients": (), **fields})  # type: ignore[arg-type]


def test_a_plain_server_gets_a_plain_command() -> None:
    full = envelope(ret=Ret.HDRS, envid="x", body=BodyType.EIGHTBITMIME, mt_priority=3)
    assert mail_command(full, 10, BodyType.EIGHTBITMIME, NO_EXTENSIONS, False) == b"MAIL FROM:<a@a.example>\r\n"
    recipient = Recipient(B, Notify.NEVER, ("rfc822", "b@b.example"))
    assert rcpt_command(recipient, NO_EXTENSIONS, False) == b"RCPT TO:<b@b.example>\r\n"


def test_every_parameter_goes_to_a_server_that_offers_it() -> None:
    full = envelope(ret=Ret.HDRS, envid="a+b=c d", mt_priority=-3)
    assert mail_command(full, 10, BodyType.EIGHTBITMIME, FULL, True) == (
        b"MAIL FROM:<a@a.example> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb+3Dc+20d MT-PRIORITY=-3\r\n"
    )


def test_the_empty_sender() -> None:
    assert mail_command(envelope(sender=None), 10, BodyType.SEVENBIT, FULL, False) == b"MAIL FROM:<> SIZE=10\r\n"


@pytest.mark.parametrize(
    ("notify", "text"),
    [
        (Notify.UNSET, b""),
        (Notify.NEVER, b" NOTIFY=NEVER"),
        (Notify.SUCCESS, b" NOTIFY=SUCCESS"),
        (Notify.SUCCESS | Notify.FAILURE | Notify.DELAY, b" NOTIFY=SUCCESS,FAILURE,DELAY"),
    ],
)
def test_notify_is_passed_as_it_came(notify: Notify, text: bytes) -> None:
    assert rcpt_command(Recipient(B, notify), FULL, False) == b"RCPT TO:<b@b.example>" + text + b"\r\n"


@pytest.mark.parametrize(
    ("orcpt", "text"),
    [
        (("rfc822", "b+c@b.example"), b"rfc822;b+2Bc@b.example"),
        (("rfc822", "b c@b.example"), b"rfc822;b+20c@b.example"),
        (("utf-8", "bü@b.example"), b"utf-8;b\\x{FC}@b.example"),
        (("rfc822", "bü@b.example"), b"utf-8;b\\x{FC}@b.example"),
        (("utf-8", "b\\+@b.example"), b"utf-8;b\\x{5C}\\x{2B}@b.example"),
    ],
)
def test_orcpt_is_encoded_for_its_type(orcpt: tuple[str, str], text: bytes) -> None:
    assert rcpt_command(Recipient(B, orcpt=orcpt), FULL, False) == b"RCPT TO:<b@b.example> ORCPT=" + text + b"\r\n"


def test_names_are_written_in_a_labels_unless_the_transaction_is_smtputf8() -> None:
    umlaut = Recipient(Address(LocalPart("b"), Domain("bücher.example")))
    assert rcpt_command(umlaut, FULL, False) == b"RCPT TO:<b@xn--bcher-kva.example>\r\n"
    assert rcpt_command(umlaut, FULL, True) == "RCPT TO:<b@bücher.example>\r\n".encode()


def test_a_quoted_local_part_keeps_its_quotes() -> None:
    assert rcpt_command(Recipient(parse_address('"a b"@b.example')), FULL, False) == b'RCPT TO:<"a b"@b.example>\r\n'


def test_announcements_are_read_in_any_case_and_order() -> None:
    reply = Reply(
        250,
        "",
        "mx.example\npipelining\nSize 1000\nAUTH plain LOGIN\nLIMITS RCPTMAX=20 MAILMAX=0 X=1 RCPTDOMAINMAX=a\nXYZ",
    )
    hop = parse_extensions(reply)
    assert hop == Extensions(pipelining=True, size=1000, auth=frozenset({"PLAIN", "LOGIN"}), rcpt_max=20)


def test_the_name_in_the_first_line_is_no_extension() -> None:
    assert parse_extensions(Reply(250, "", "PIPELINING")) == NO_EXTENSIONS


@pytest.mark.parametrize(("text", "size"), [("SIZE", 0), ("SIZE 0", 0), ("SIZE x", 0), ("SIZE 5", 5), ("DSN", None)])
def test_a_size_without_a_limit_still_takes_the_parameter(text: str, size: int | None) -> None:
    assert parse_extensions(Reply(250, "", f"mx\n{text}")).size == size


def test_binary_mail_needs_chunking() -> None:
    assert not Extensions(binarymime=True).capabilities.binarymime
    assert FULL.capabilities.binarymime


BODIES = [
    (b"", b".\r\n"),
    (b"x\r\n", b"x\r\n.\r\n"),
    (b"x", b"x\r\n.\r\n"),
    (b".\r\n", b"..\r\n.\r\n"),
    (b"..x\r\n.", b"...x\r\n..\r\n.\r\n"),
    (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
    (b"a.\r\n\r\n.\r\n.\r\n", b"a.\r\n\r\n..\r\n..\r\n.\r\n"),
]


@pytest.mark.parametrize(("body", "wire"), BODIES)
def test_dots_are_doubled_and_the_end_is_marked_whole_and_at_every_split(body: bytes, wire: bytes) -> None:
    assert stuff_whole(body) == wire
    for first in range(len(body) + 1):
        for second in range(first, len(body) + 1):
            stuffer = DotStuffer()
            pieces = [stuffer.stuff(part) for part in (body[:first], body[first:second], body[second:])]
            assert b"".join(pieces) + stuffer.finish() == wire


@given(st.lists(st.sampled_from([b"\r\n", b".", b"x", b"..", b"\r\n."]), max_size=12), st.integers(0, 20))
def test_stuffing_in_pieces_equals_stuffing_the_whole(parts: list[bytes], cut: int) -> None:
    body = b"".join(parts)
    stuffer = DotStuffer()
    assert stuffer.stuff(body[:cut]) + stuffer.stuff(body[cut:]) + stuffer.finish() == stuff_whole(body)


def test_a_command_may_ride_behind_the_final_dot() -> None:
    assert stuff_whole(b"x\r\n", b"QUIT\r\n") == b"x\r\n.\r\nQUIT\r\n"
