"""One question to one name server: by UDP from a fresh port, by TCP when the answer does not fit.

Every question has its own connected socket and a random id, so that a forged answer must guess 32 bits; datagrams
that do not answer the question are passed over, and waiting goes on (RFC 5452 §9.1).
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from dataclasses import dataclass

from posthouse.adapters.dns.wire import Rcode, Response, Type, WireError, decode_response, encode_query

_MAX_UDP = 65535


@dataclass(frozen=True, slots=True)
class Server:
    """`is_trusted`: its AD bit is believed, because nobody is on the way who could set it."""

    address: str
    port: int = 53
    is_trusted: bool = False

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class NoAnswer(Exception):
    """The server could not be reached or did not answer in time."""


@dataclass(frozen=True, slots=True)
class Question:
    name: str
    type: Type


async def ask(server: Server, question: Question, timeout_s: float) -> Response:
    """The answer, whatever its code. Raises NoAnswer."""
    try:
        async with asyncio.timeout(timeout_s):
            response = await _ask_udp(server, question, edns=True)
            if response.rcode == Rcode.FORMERR:  # a server from before EDNS (RFC 6891 §7)
                response = await _ask_udp(server, question, edns=False)
            return await _ask_tcp(server, question) if response.is_truncated else response
    except TimeoutError:
        raise NoAnswer(f"{server} did not answer within {timeout_s:g} s") from None
    except OSError as error:
        raise NoAnswer(f"{server}: {error.strerror or error}") from None
    except WireError as error:  # the end of an alias can be a name that cannot be asked for
        raise NoAnswer(f"{question.name} cannot be asked for: {error}") from None


async def _ask_udp(server: Server, question: Question, *, edns: bool) -> Response:
    query_id = secrets.randbits(16)
    query = encode_query(query_id, question.name, question.type, edns=edns)
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Response] = loop.create_future()
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sock:
        sock.connect((server.address, server.port))

        def on_readable() -> None:
            try:
                response = _match(sock.recv(_MAX_UDP), query_id, question)
            except BlockingIOError:
                return
            except OSError as error:
                if not answered.done():
                    answered.set_exception(error)
                return
            if response is not None and not answered.done():
                answered.set_result(response)

        loop.add_reader(sock.fileno(), on_readable)
        try:
            sock.send(query)
            return await answered
        finally:
            loop.remove_reader(sock.fileno())


def _match(data: bytes, query_id: int, question: Question) -> Response | None:
    """The answer to this question, or None."""
    try:
        response = decode_response(data)
    except WireError:
        return None
    if response.id == query_id and response.rcode == Rcode.FORMERR and not response.type:
        return response
    if response.id != query_id or response.name != question.name or response.type != question.type:
        return None
    return response


async def _ask_tcp(server: Server, question: Question) -> Response:
    reader, writer = await asyncio.open_connection(server.address, server.port)
    try:
        query_id = secrets.randbits(16)
        query = encode_query(query_id, question.name, question.type)
        writer.write(struct.pack("!H", len(query)) + query)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        response = _match(await reader.readexactly(length), query_id, question)
    except asyncio.IncompleteReadError:
        raise NoAnswer(f"{server} closed the connection") from None
    finally:
        writer.close()
    if response is None or response.is_truncated:
        raise NoAnswer(f"{server} answered something else by TCP")
    return response
