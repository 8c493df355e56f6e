"""A message made fit for a hop: what is looked at, what is changed, what is refused."""

from __future__ import annotations

import email

import pytest

from posthouse.message.address import parse_address
from posthouse.message.capabilities import HopCapabilities
from posthouse.message.envelope import BodyType, Envelope, Recipient
from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.message.outcome import Refused
from posthouse.mta.adapt import MessageAdapter
from posthouse.mta.outbound_types import AdaptedMessage
from posthouse.ports.compute import FakeCompute
from posthouse.ports.spool import Body, InlineBody, QueuedMessage, SpoolError

SEVEN = HopCapabilities(eightbitmime=False, binarymime=False, smtputf8=False)
EIGHT = HopCapabilities(eightbitmime=True, binarymime=False, smtputf8=False)
BINARY = HopCapabilities(eightbitmime=True, binarymime=True, smtputf8=False)
TRACE = b"Received: by mail.example.org\r\n"
HEADER = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"


class FileBody:
    """A body in a file, cut short when `lost` octets are gone."""

    inline = None

    def __init__(self, data: bytes, lost: int = 0) -> None:
        self.size = len(data)
        self._data = data[: len(data) - lost]
        self.longest = 0

    async def read(self, offset: int, length: int) -> bytes:
        self.longest = max(self.longest, length)
        return self._data[offset : offset + length]


def make_message(body: Body, body_type: BodyType = BodyType.EIGHTBITMIME) -> QueuedMessage:
    envelope = Envelope(None, (Recipient(parse_address("bob@example.net")),), body=body_type)
    return QueuedMessage(QueueId("0012345678901"), envelope, [], TRACE, body, Instant(0.0))


async def adapt(
    body: Body, hop: HopCapabilities, body_type: BodyType = BodyType.EIGHTBITMIME, limit: int = 10_000_000
) -> AdaptedMessage | Refused:
    return await MessageAdapter(FakeCompute(), limit).adapt(make_message(body, body_type), hop)


async def test_what_is_ascii_goes_as_it_is_whatever_was_declared() -> None:
    body = InlineBody(HEADER + b"abc\r\n")
    assert await adapt(body, SEVEN) == AdaptedMessage(TRACE, body, BodyType.SEVENBIT)


@pytest.mark.parametrize("size", [1, 300_000])
async def test_8bit_text_is_re_encoded_from_memory_and_from_a_file(size: int) -> None:
    text = "Grüße\r\n".encode() * size
    for body in (InlineBody(HEADER + text), FileBody(HEADER + text)):
        adapted = await adapt(body, SEVEN)
        assert isinstance(adapted, AdaptedMessage)
        assert (adapted.trace, adapted.body_type) == (TRACE, BodyType.SEVENBIT)
        result = await adapted.body.read(0, adapted.body.size)
        assert result.isascii()
        assert email.message_from_bytes(result).get_payload(decode=True) == text


async def test_work_beyond_a_few_milliseconds_is_done_beside_the_loop() -> None:
    compute = FakeCompute()
    adapter = MessageAdapter(compute)
    await adapter.adapt(make_message(InlineBody(HEADER + b"\xe4\r\n")), SEVEN)
    assert compute.count == 0
    await adapter.adapt(make_message(InlineBody(HEADER + b"\xe4\r\n" * 100_000)), SEVEN)
    assert compute.count == 1


async def test_a_large_ascii_file_is_looked_through_in_pieces() -> None:
    body = FileBody(HEADER + b"abc\r\n" * 200_000)
    assert await adapt(body, SEVEN, limit=1000) == AdaptedMessage(TRACE, body, BodyType.SEVENBIT)
    assert body.longest <= 262_144


async def test_a_file_too_large_to_be_changed_is_refused() -> None:
    refused = await adapt(FileBody(HEADER + b"\xe4\r\n" * 1000), SEVEN, limit=1000)
    assert isinstance(refused, Refused)
    assert refused.reply.enhanced == "5.6.3"


async def test_a_hop_with_8bitmime_gets_8bit() -> None:
    for body in (InlineBody(HEADER + b"\xe4\r\n"), FileBody(HEADER + b"\xe4\r\n")):
        assert await adapt(body, EIGHT) == AdaptedMessage(TRACE, body, BodyType.EIGHTBITMIME)


async def test_binary_goes_as_it_is_only_to_a_hop_that_takes_it() -> None:
    body = InlineBody(HEADER.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: binary\r\n\r\n") + b"a\n\x00b\r\n")
    assert await adapt(body, BINARY, BodyType.BINARYMIME) == AdaptedMessage(TRACE, body, BodyType.BINARYMIME)
    adapted = await adapt(body, EIGHT, BodyType.BINARYMIME)
    assert isinstance(adapted, AdaptedMessage)
    assert adapted.body_type is BodyType.SEVENBIT
    assert adapted.body.inline is not None
    assert email.message_from_bytes(adapted.body.inline).get_payload(decode=True) == b"a\n\x00b\r\n"


@pytest.mark.parametrize("at", [262_143, 262_144, 262_145])
async def test_a_line_end_between_two_pieces_is_no_bare_one(at: int) -> None:
    body = FileBody(HEADER + b"a" * (at - len(HEADER) - 1) + b"\r\n" + b"b" * 1000 + b"\r\n")
    assert await adapt(body, EIGHT, limit=10) == AdaptedMessage(TRACE, body, BodyType.SEVENBIT)


async def test_a_carriage_return_at_the_very_end_is_bare() -> None:
    refused = await adapt(FileBody(HEADER + b"abc\r"), EIGHT, limit=10)
    assert isinstance(refused, Refused)


async def test_signed_mail_is_refused_rather_than_broken() -> None:
    head = b"MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n"
    refused = await adapt(InlineBody(head + b"--s\r\n\r\n\xe4\r\n--s--\r\n"), SEVEN)
    assert isinstance(refused, Refused)
    assert str(refused.reply).startswith("554 5.6.3 Conversion required but not allowed")


async def test_a_file_that_is_gone_is_an_error_of_the_spool() -> None:
    with pytest.raises(SpoolError):
        await adapt(FileBody(HEADER + b"abc\r\n", lost=3), SEVEN)
    with pytest.raises(SpoolError):
        await adapt(FileBody(HEADER + b"\xe4\r\n" * 300_000, lost=3), SEVEN)
