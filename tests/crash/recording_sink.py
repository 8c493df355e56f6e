"""An SMTP server that takes everything and writes down the X-Token field of each message before it answers 250.

Its own small protocol code, so that what it records does not depend on the code under test.
Run: python -m tests.crash.recording_sink PORT FILE
"""

from __future__ import annotations

import asyncio
import os
import re
import sys

_TOKEN = re.compile(rb"(?im)^X-Token: (\S+)")


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, out: int) -> None:
    writer.write(b"220 sink ESMTP\r\n")
    try:
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
            elif verb == b"DATA":
                writer.write(b"354 go on\r\n")
                body = await reader.readuntil(b"\r\n.\r\n")
                token = _TOKEN.search(body)
                os.write(out, (token[1] if token else b"?") + b"\n")
                writer.write(b"250 ok\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 ok\r\n")
            await writer.drain()
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


async def main(port: int, path: str) -> None:
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    server = await asyncio.start_server(
        lambda reader, writer: _serve(reader, writer, out), "127.0.0.1", port, limit=1 << 22
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
