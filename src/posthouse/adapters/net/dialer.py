"""Opening connections: TCP from the configured source address, unix sockets, TLS at once where asked for.

Addresses only, never names: who a name is was the resolver's business. What fails on our side (descriptors, ports,
a source address that is not ours) is told apart from what fails on the peer's, phase "local".
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Sequence

from posthouse.adapters.net.stream import NetStream
from posthouse.adapters.net.tls import ClientContexts
from posthouse.ports.stream import Endpoint, Stream, StreamError, StreamTimeout, TlsCheck

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_IP_BIND_ADDRESS_NO_PORT = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)  # Linux; named in Python 3.12


class NetDialer:
    """A `Dialer`. `sources`: the first address of the peer's family is bound; none of that family: system's choice."""

    def __init__(self, contexts: ClientContexts, sources: Sequence[str] = ()) -> None:
        self._contexts = contexts
        self._source4 = next((each for each in sources if ":" not in each), "")
        self._source6 = next((each for each in sources if ":" in each), "")

    async def connect(self, to: Endpoint, timeout_s: float, *, tls: TlsCheck | None = None) -> Stream:
        loop = asyncio.get_running_loop()
        stream = NetStream(loop, self._contexts)
        try:
            async with asyncio.timeout(timeout_s):
                await self._open(loop, stream, to)
        except TimeoutError as error:
            if error.errno is None:  # ours, not the kernel's ETIMEDOUT
                raise StreamTimeout("connect", "the connection was not made in time") from None
            raise _describe(error) from None
        except OSError as error:
            raise _describe(error) from None
        if tls is not None:
            await stream.start_tls(tls, to.host, timeout_s)
        return stream

    async def _open(self, loop: asyncio.AbstractEventLoop, stream: NetStream, to: Endpoint) -> None:
        source = self._source6 if ":" in to.address else self._source4
        if not to.port:
            await loop.create_unix_connection(lambda: stream, to.address)
        elif source:
            await _open_from(loop, stream, to, source)
        else:  # half the cost of a socket of our own; both loops set TCP_NODELAY themselves
            await loop.create_connection(lambda: stream, to.address, to.port)


async def _open_from(loop: asyncio.AbstractEventLoop, stream: NetStream, to: Endpoint, source: str) -> None:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The port is chosen at connect: otherwise the connections to all peers share one set of free ports.
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source, 0))
        await loop.sock_connect(sock, (to.address, to.port))
        await loop.create_connection(lambda: stream, sock=sock)
    except BaseException:
        sock.close()
        raise


def _describe(error: OSError) -> StreamError:
    # Not `strerror`: the event loops put a text of their own there.
    text = os.strerror(error.errno) if error.errno else str(error)
    return StreamError("local" if error.errno in _OURS else "connect", text)
