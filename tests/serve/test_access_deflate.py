"""COMPRESS=DEFLATE: what goes both ways, what is kept while nothing happens, and streams that are bombs or broken."""

from __future__ import annotations

import asyncio
import random
import zlib

import pytest

from posthouse.serve.access import AccessConnection
from posthouse.serve.deflate import SLICE, Deflate
from tests.serve.access_kit import Door, open_door
from tests.serve.test_access_driver import connection_of, say, wait_for


class Client:
    """The other side, as zlib has it."""

    def __init__(self) -> None:
        self.deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.inflater = zlib.decompressobj(-15)

    def pack(self, data: bytes) -> bytes:
        return self.deflater.compress(data) + self.deflater.flush(zlib.Z_SYNC_FLUSH)

    def unpack(self, data: bytes) -> bytes:
        return self.inflater.decompress(data)


def inflate_all(deflate: Deflate, data: bytes) -> bytes:
    plain = deflate.inflate(data)
    while deflate.has_more:
        plain += deflate.inflate(b"")
    return plain


def test_what_is_written_can_be_read_at_once_and_after_every_silence() -> None:
    client, deflate = Client(), Deflate()
    for number in range(20):
        line = b"* %d FETCH (UID %d FLAGS (\\Seen))\r\n" % (number, number)
        assert client.unpack(deflate.deflate(line)) == line
        if number % 3 == 0:
            deflate.cool_down()


def test_a_client_may_refer_to_what_it_sent_before_a_silence() -> None:
    chance = random.Random(1)
    client, deflate = Client(), Deflate()
    text = chance.randbytes(3000)
    for number in range(200):
        data = text[chance.randrange(2000) :][: chance.randrange(1, 1000)] * chance.randrange(1, 40)
        packed = client.pack(data)
        cut = chance.randrange(len(packed) + 1)
        assert inflate_all(deflate, packed[:cut]) + inflate_all(deflate, packed[cut:]) == data
        if number % 4 == 0:
            deflate.cool_down()
            assert not deflate.is_warm


def test_nothing_is_dropped_in_the_middle_of_what_a_client_sends() -> None:
    client, deflate = Client(), Deflate()
    packed = client.pack(b"a1 NOOP\r\n" * 50)
    whole = b""
    for octet in packed:
        whole += inflate_all(deflate, bytes([octet]))
        deflate.cool_down()
    assert whole == b"a1 NOOP\r\n" * 50
    assert not deflate.is_warm


def test_the_mark_of_a_flush_inside_a_stored_block_is_no_flush() -> None:
    data = b"x" * 100 + b"\x00\x00\xff\xff" + b"y" * 100
    stored = b"\x00" + len(data).to_bytes(2, "little") + (len(data) ^ 0xFFFF).to_bytes(2, "little") + data
    deflate = Deflate()
    assert deflate.inflate(stored[:109]) == data[:104]
    deflate.cool_down()
    assert deflate.is_warm
    assert deflate.inflate(stored[109:]) == data[104:]


def test_a_bomb_comes_in_slices() -> None:
    client, deflate = Client(), Deflate()
    plain = deflate.inflate(client.pack(bytes(50 << 20)))
    assert len(plain) == SLICE
    assert deflate.has_more
    deflate.cool_down()
    assert deflate.is_warm


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", zlib.compress(b"a1 NOOP\r\n", wbits=-15)])
def test_what_is_no_deflate_stream_or_ends_is_refused(data: bytes) -> None:
    with pytest.raises(zlib.error):
        Deflate().inflate(data)


# -- on a connection


async def compressed(door: Door) -> tuple[AccessConnection, asyncio.StreamReader, asyncio.StreamWriter, Client]:
    talk = await door.greeted()
    assert await say(talk, "COMPRESS") == "compressed\r\n"
    return connection_of(door), talk.reader, talk.writer, Client()


def is_warm(connection: AccessConnection) -> bool:
    return connection._deflate is not None and connection._deflate.is_warm


async def test_a_compressed_connection_is_served_and_gives_back_its_memory_while_idle() -> None:
    async with open_door() as door:
        connection, reader, writer, client = await compressed(door)
        for word in (b"one", b"two"):
            writer.write(client.pack(b"ECHO " + word + b"\r\n"))
            assert client.unpack(await reader.read(1000)) == word + b"\r\n"
            assert is_warm(connection)
            door.service.sweep()
            assert connection in door.service.warm
            door.service.sweep()
            assert not is_warm(connection)
            assert not door.service.warm


async def test_a_bomb_is_only_taken_as_fast_as_the_session_takes_it() -> None:
    async with open_door() as door:
        connection, reader, writer, client = await compressed(door)
        session = door.sessions[0]
        writer.write(client.pack(b"COUNT once\r\n"))
        assert client.unpack(await reader.read(1000)) == b"counting\r\n"
        before = session.received
        writer.write(client.pack(bytes(20 << 20)))
        await wait_for(lambda: session.received > before)
        for _ in range(20):
            await asyncio.sleep(0)
        assert session.received - before <= 2 * SLICE
        session.takes_no_more = False
        connection.resume()
        await wait_for(lambda: session.received - before == 20 << 20)


async def test_a_broken_stream_ends_the_connection() -> None:
    async with open_door() as door:
        writer = (await compressed(door))[2]
        writer.write(b"ECHO in plain text\r\n" * 10)
        await wait_for(lambda: not door.service.sessions)
        writer.close()


async def test_who_ends_its_side_behind_a_long_upload_has_all_of_it_taken() -> None:
    async with open_door() as door:
        _, reader, writer, client = await compressed(door)
        session = door.sessions[0]
        writer.write(client.pack(b"COUNT\r\n"))
        assert client.unpack(await reader.read(1000)) == b"counting\r\n"
        before = session.received
        writer.write(client.pack(bytes(1 << 20)))
        writer.write_eof()
        assert await reader.read() == b""
        assert session.received - before == 1 << 20
