"""What the arguments of MAIL and RCPT become."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.message.address import Address, Domain, LocalPart
from posthouse.message.envelope import BodyType, Notify, Recipient, Ret
from posthouse.protocol.smtp.grammar import (
    POSTMASTER,
    CommandError,
    parse_chunk,
    parse_forward_path,
    parse_hello_name,
    parse_reverse_path,
)
from posthouse.protocol.smtp.server import MailFrom, RcptTo
from posthouse.protocol.smtp.xtext import (
    XtextError,
    decode_utf8_address,
    decode_xtext,
    encode_utf8_address,
    encode_xtext,
)
from tests.dialogues.dialogue_player import Player, make_core


def address(local: str, domain: str) -> Address:
    return Address(LocalPart(local), Domain(domain))


def tell(line: str, before: str = "") -> object:
    player = Player(make_core({"mt_priority": True}))
    player.feed(f"EHLO c.example\r\n{before}{line}\r\n".encode())
    return player.events[-1]


A = address("a", "b.example")


@pytest.mark.parametrize(
    ("argument", "event"),
    [
        ("<a@B.Example>", MailFrom(A)),
        ("<a@b.example> SIZE=123", MailFrom(A, size=123)),
        ("<a@b.example>  size=123", MailFrom(A, size=123)),
        ("<>", MailFrom(None)),
        ("<> SIZE=5", MailFrom(None, size=5)),
        ("<a@b.example> BODY=8BITMIME SIZE=7", MailFrom(A, body=BodyType.EIGHTBITMIME, size=7)),
        ("<a@b.example> body=binarymime", MailFrom(A, body=BodyType.BINARYMIME)),
        ("<a@b.example> RET=full ENVID=x+2Dy", MailFrom(A, ret=Ret.FULL, envid="x-y")),
        ("<a@b.example> MT-PRIORITY=-4", MailFrom(A, mt_priority=-4)),
        ("<ü@b.example> SMTPUTF8", MailFrom(address("ü", "b.example"), smtputf8=True)),
        ("<@x.example:a@b.example>", MailFrom(A)),
        ("<@x.example,@y.example:a@b.example> SIZE=1", MailFrom(A, size=1)),
        ('<"a b"@b.example>', MailFrom(address("a b", "b.example"))),
        (" <a@b.example>", MailFrom(A)),
        ("a@b.example SIZE=1", MailFrom(A, size=1)),
    ],
)
def test_a_sender_and_its_parameters(argument: str, event: MailFrom) -> None:
    assert tell(f"MAIL FROM:{argument}") == event


@pytest.mark.parametrize(
    ("argument", "recipient"),
    [
        ("<a@b.example>", Recipient(A)),
        ("<a@b.example> NOTIFY=NEVER", Recipient(A, Notify.NEVER)),
        ("<a@b.example> NOTIFY=delay,SUCCESS", Recipient(A, Notify.DELAY | Notify.SUCCESS)),
        ("<a@b.example> ORCPT=Rfc822;a+2Bc@b.example", Recipient(A, orcpt=("rfc822", "a+c@b.example"))),
        ("<a@b.example> ORCPT=utf-8;\\x{FC}@b.example", Recipient(A, orcpt=("utf-8", "ü@b.example"))),
        ("<@relay.example:a@b.example>", Recipient(A)),
        ("<postMASTER>", Recipient(POSTMASTER)),
        ("<Postmaster@b.example>", Recipient(address("Postmaster", "b.example"))),
        ('<"a@c.example"@b.example>', Recipient(address("a@c.example", "b.example"))),
        ("<c.example!a@b.example>", Recipient(address("c.example!a", "b.example"))),
    ],
)
def test_a_recipient_and_its_parameters(argument: str, recipient: Recipient) -> None:
    assert tell(f"RCPT TO:{argument}", "MAIL FROM:<a@b.example>\r\n") == RcptTo(recipient)


def test_a_source_route_never_decides_where_a_message_goes() -> None:
    assert parse_forward_path("TO:<@evil.example:c@d.example>") == (address("c", "d.example"), "")
    for trick in (
        "<@evil.example>",
        "<@evil.example:>",
        "<@a:@b:c@d.example>",
        "<@a,b:c@d.example>",
        "<@a@b:c@d.example>",
    ):
        with pytest.raises(CommandError) as caught:
            parse_forward_path(f"TO:{trick}")
        assert caught.value.reply.code == 501


@settings(deadline=None)
@given(st.text(max_size=80))
def test_whatever_stands_for_an_address_is_an_address_or_501(text: str) -> None:
    for parse, prefix in ((parse_reverse_path, "FROM:"), (parse_forward_path, "TO:")):
        for argument in (f"{prefix}{text}", f"{prefix}<{text}>", f"{prefix}<{text}@b.example>"):
            try:
                parse(argument)
            except CommandError as error:
                assert error.reply.code == 501


def test_a_hostile_path_takes_no_time() -> None:
    for text in (
        '<"' + "\\a" * 1000,
        "<" + '""' * 1000 + "@",
        "<" + "@a," * 600 + ":a@b>",
        "a" * 2000,
        "<" + "a." * 900 + "@b>",
    ):
        with pytest.raises(CommandError):
            parse_forward_path(f"TO:{text}")


def test_chunk_sizes() -> None:
    assert parse_chunk("0 LAST") == (0, True)
    assert parse_chunk("12 last") == (12, True)
    assert parse_chunk("12") == (12, False)
    assert parse_chunk("١٢") is None


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x10FFFF, exclude_categories=["Cc", "Cs"]), min_size=1))
def test_xtext_and_back(text: str) -> None:
    assert decode_xtext(encode_xtext(text)) == text
    assert encode_xtext(text).isascii()
    if all(char > "\u00a0" or "!" <= char <= "~" for char in text):
        assert decode_utf8_address(encode_utf8_address(text)) == text
        assert encode_utf8_address(text).isascii()


@pytest.mark.parametrize("text", ["a=b", "a+b", "a+0", "a b", "a+0a", "a+0D+0AX:y", "a+00", "+FF", "ü"])
def test_bad_xtext(text: str) -> None:
    with pytest.raises(XtextError):
        decode_xtext(text)


@pytest.mark.parametrize("text", ["", "a+b", "\\x{}", "\\x{110000}", "\\x{D800}", "\\x{0D}", "\\xFC", "a b"])
def test_bad_utf8_addresses(text: str) -> None:
    with pytest.raises(XtextError):
        decode_utf8_address(text)


@pytest.mark.parametrize("name", ["c.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "my_pc", "x"])
def test_a_name_or_a_literal_is_a_greeting(name: str) -> None:
    assert parse_hello_name(name) == name


@pytest.mark.parametrize("name", ["[192.0.2.1", "192.0.2.1]", "[]", "[a]b", "", "two words", "(x)"])
def test_a_literal_that_does_not_end_is_501(name: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_hello_name(name)
    assert caught.value.reply.code == 501
