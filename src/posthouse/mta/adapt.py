"""A message made fit for one hop: re-encoded when the hop cannot carry it as it is (message/reencode).

Only looks at what is there: a message that was declared 8-bit and is ASCII goes as it is. Bodies in files are looked
through in pieces and only read whole when they must be changed, one at a time and up to a limit; the work beyond a
few milliseconds is done beside the loop. Nothing is stored: the next hop may need another form.
"""

from __future__ import annotations

import asyncio
from functools import partial

from posthouse.message.capabilities import HopCapabilities
from posthouse.message.envelope import BodyType
from posthouse.message.outcome import Refused
from posthouse.message.reencode import needs_reencoding, reencode
from posthouse.message.reply import Reply
from posthouse.mta.outbound_types import AdaptedMessage
from posthouse.ports.compute import Compute
from posthouse.ports.spool import Body, InlineBody, QueuedMessage, SpoolError

_PIECE = 262_144
_AT_ONCE = 131_072  # octets that are re-encoded on the spot: about two milliseconds
_TOO_LARGE = Refused(Reply(554, "5.6.3", "Conversion required but not possible: the message is too large"))


class MessageAdapter:
    """`adapt` is the hook of the sending side. Raises SpoolError when the body cannot be read."""

    def __init__(self, compute: Compute, max_octets: int = 67_108_864) -> None:
        self._compute, self._max_octets = compute, max_octets
        self._large = asyncio.Lock()  # one large body in memory at a time

    async def adapt(self, message: QueuedMessage, hop: HopCapabilities) -> AdaptedMessage | Refused:
        """The message as it may be sent to a hop with these extensions, or why it may not (5.6.3)."""
        body = message.body
        if not await _needs_change(body, hop):
            is_binary = message.envelope.body is BodyType.BINARYMIME and hop.binarymime
            return AdaptedMessage(message.trace, body, BodyType.BINARYMIME if is_binary else await _plain_type(body))
        if body.size > self._max_octets:
            return _TOO_LARGE
        if body.size <= _AT_ONCE:
            return _adapted(message.trace, reencode(await _read_whole(body), hop))
        async with self._large:
            data = await _read_whole(body)
            return _adapted(message.trace, await self._compute.run(partial(reencode, data, hop)))


def _adapted(trace: bytes, result: bytes | Refused) -> AdaptedMessage | Refused:
    if isinstance(result, Refused):
        return result
    return AdaptedMessage(trace, InlineBody(result), _type_of(result.isascii()))


def _type_of(is_ascii: bool) -> BodyType:
    return BodyType.SEVENBIT if is_ascii else BodyType.EIGHTBITMIME


async def _read_whole(body: Body) -> bytes:
    if body.inline is not None:
        return body.inline
    data = await body.read(0, body.size)
    if len(data) != body.size:
        raise SpoolError("the message ends early")
    return data


async def _needs_change(body: Body, hop: HopCapabilities) -> bool:
    """Look through the body, in pieces when it lies in a file; a CR at the end of a piece waits for its LF."""
    if hop.binarymime:
        return False
    if body.inline is not None:
        return needs_reencoding(body.inline, hop)
    offset, carry = 0, b""
    while offset < body.size:
        piece = await body.read(offset, _PIECE)
        if not piece:
            raise SpoolError("the message ends early")
        offset += len(piece)
        data = carry + piece
        carry = b"\r" if data.endswith(b"\r") else b""
        if needs_reencoding(data.removesuffix(carry), hop):
            return True
    return bool(carry)


async def _plain_type(body: Body) -> BodyType:
    if body.inline is not None:
        return _type_of(body.inline.isascii())
    for offset in range(0, body.size, _PIECE):
        if not (await body.read(offset, _PIECE)).isascii():
            return BodyType.EIGHTBITMIME
    return BodyType.SEVENBIT
