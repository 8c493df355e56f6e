"""One connection as a `Stream` (ports/stream.py) on an asyncio transport, with or without TLS.

Not on asyncio's streams: they keep bytes that came before a handshake and hand them out after it (CVE-2011-0411).
Made for many short steps: a wait is one future, and its deadline costs a look at the loop's clock, because one timer
per connection is kept and only moved when it is too late. What a peer sends unasked is bounded by pausing.
One wait at a time, as the port says. Nothing durable.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from posthouse.ports.stream import StreamError, StreamTimeout, TlsCheck, TlsFacts

if TYPE_CHECKING:
    from posthouse.adapters.net.tls import ClientContexts

INPUT_HIGH_WATER = 65536
OUTPUT_HIGH_WATER = 262144
_SHUTDOWN_S = 2.0  # how long a closed TLS connection may wait for the peer's close_notify


class NetStream(asyncio.Protocol):
    """Made by `NetDialer`."""

    __slots__ = (
        "_contexts",
        "_deadline",
        "_ended",
        "_failure",
        "_input",
        "_is_closed",
        "_is_full",
        "_is_paused",
        "_keep_session",
        "_loop",
        "_timer",
        "_timer_at",
        "_tls",
        "_transport",
        "_waiter",
        "_waits_to",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, contexts: ClientContexts) -> None:
        self._loop = loop
        self._contexts = contexts
        self._transport: asyncio.Transport | None = None
        self._input = b""
        self._ended = False
        self._failure = ""  # why the connection is gone
        self._is_closed = False
        self._is_full = False  # our send buffer is above its mark
        self._is_paused = False  # the peer sent more than anybody read
        self._waiter: asyncio.Future[bytes] | None = None
        self._waits_to = ""
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._tls: TlsFacts | None = None
        self._keep_session: Callable[[], None] | None = None

    # Stream

    @property
    def tls(self) -> TlsFacts | None:
        return self._tls

    @property
    def has_input(self) -> bool:
        return bool(self._input) or self._ended

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._ended and not self._is_closed:
            self._transport.write(data)

    async def drain(self, timeout_s: float) -> None:
        if self._failure or self._is_closed:
            raise StreamError("write", self._failure or "closed")
        if self._is_full:
            await self._wait("write", timeout_s)

    async def read(self, timeout_s: float) -> bytes:
        if self._input:
            data, self._input = self._input, b""
            if self._is_paused:
                self._resume_reading()
            return data
        if self._failure:
            raise StreamError("read", self._failure)
        if self._ended or self._is_closed:
            return b""
        return await self._wait("read", timeout_s)

    async def start_tls(self, check: TlsCheck, host: str, timeout_s: float) -> TlsFacts:
        transport = self._transport
        if transport is None or self._ended or self._is_closed:
            raise StreamError("tls", self._failure or "the peer closed the connection")
        if self._is_paused:
            self._resume_reading()
        self._input = b""
        context = self._contexts.choose(check)
        try:
            secured = await self._loop.start_tls(
                transport,
                self,
                context,
                server_hostname=host or None,
                ssl_handshake_timeout=timeout_s,
                ssl_shutdown_timeout=_SHUTDOWN_S,
            )
        except (OSError, ValueError) as error:  # ValueError: a host name that SNI cannot carry
            context.forget(host)
            self._abandon(transport)
            raise _describe_handshake(error) from None
        except BaseException:
            self._abandon(transport)
            raise
        if secured is None or self._ended:
            self._abandon(transport)
            raise StreamError("tls", self._failure or "the peer closed the connection")
        session = cast(ssl.SSLObject, secured.get_extra_info("ssl_object"))
        self._keep_session = lambda: context.remember(host, session.session)
        return self._note_tls(secured, session)

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._keep_session is not None:
            self._keep_session()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            if self._is_full:  # a peer that does not read would keep it open
                self._transport.abort()
            else:
                self._transport.close()
        self._end_wait("closed")

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=OUTPUT_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is not None and self._waits_to == "read" and not waiter.done():
            self._waiter = None
            waiter.set_result(data)
            return
        self._input += data
        if len(self._input) > INPUT_HIGH_WATER and self._transport is not None and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        self._ended = True
        if self._waits_to == "read":
            self._end_wait("")

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        if exc is not None:
            self._failure = _describe(exc)
        self._end_wait(self._failure)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._waits_to == "write":
            self._end_wait("")

    # Inside

    def _wait(self, phase: str, timeout_s: float) -> asyncio.Future[bytes]:
        waiter = self._waiter = self._loop.create_future()
        self._waits_to = phase
        self._deadline = deadline = self._loop.time() + timeout_s
        if self._timer is None or deadline < self._timer_at:
            self._set_timer(deadline)
        return waiter

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._look_at_deadline)

    def _look_at_deadline(self) -> None:
        """The timer may be older than the wait: then it is set again for what is left."""
        self._timer = None
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._loop.time() < self._deadline - 0.002:  # the loop's clock counts in milliseconds
            self._set_timer(self._deadline)
            return
        self._waiter = None
        waiter.set_exception(StreamTimeout(self._waits_to, "the peer did not answer in time"))

    def _end_wait(self, failure: str) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if failure:
            waiter.set_exception(StreamError(self._waits_to, failure))
        elif self._waits_to == "write" and self._ended:
            waiter.set_exception(StreamError("write", "the peer closed the connection"))
        else:
            waiter.set_result(b"")

    def _resume_reading(self) -> None:
        self._is_paused = False
        if self._transport is not None and not self._ended:
            self._transport.resume_reading()

    def _abandon(self, transport: asyncio.Transport) -> None:
        self._ended = True
        self._failure = self._failure or "handshake failed"
        transport.abort()

    def _note_tls(self, secured: asyncio.Transport, session: ssl.SSLObject) -> TlsFacts:
        self._transport = secured
        secured.set_write_buffer_limits(high=OUTPUT_HIGH_WATER)
        cipher = session.cipher()
        name, _, bits = cipher if cipher is not None else ("unknown", "", 0)
        self._tls = TlsFacts(session.version() or "unknown", name, bits)
        return self._tls


def _describe(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _describe_handshake(error: OSError | ValueError) -> StreamError:
    # What asyncio and uvloop raise when ssl_handshake_timeout is over.
    if isinstance(error, TimeoutError | ConnectionAbortedError) and not isinstance(error, ssl.SSLError):
        return StreamTimeout("tls", "the handshake took too long")
    return StreamError("tls", _describe(error))
