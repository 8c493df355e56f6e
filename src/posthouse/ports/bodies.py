"""Handing a body on: into memory when it is small, piece by piece into a file of its shard when it is not."""

from __future__ import annotations

from collections.abc import Callable

from posthouse.ports.spool import Body, BodyWriter, InlineBody, SpoolError

_PIECE = 1 << 20


async def keep_body(body: Body, inline_limit: int, open_writer: Callable[[], BodyWriter]) -> Body:
    """As the spool, or the store, wants it: what is at most `inline_limit` octets long goes as it is.

    Raises SpoolError, and what the writer raises; then nothing is left of what was written.
    """
    if body.size <= inline_limit:
        return body if body.inline is not None else InlineBody(await read_whole(body))
    writer = open_writer()
    try:
        for offset in range(0, body.size, _PIECE):
            await writer.write(await body.read(offset, _PIECE))
        return await writer.finish()
    except BaseException:
        writer.discard()
        raise


async def read_whole(body: Body) -> bytes:
    """Raises SpoolError when not all of it is there."""
    octets = body.inline if body.inline is not None else await body.read(0, body.size)
    if len(octets) != body.size:
        raise SpoolError("the message ends early")
    return octets
