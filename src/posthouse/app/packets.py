"""The line between the supervisor and a child: a pair of SOCK_SEQPACKET sockets, one msgpack map per packet.

    supervisor -> child    stop {deadline_s}   drain {deadline_s}   tls + [certificate, key]   configure {...}
    child -> supervisor    ready   beat   reload {number}   stop        (the last two only from the coordinator)
    supervisor -> coordinator also: reloaded {number, error}

Packets keep their edges and their descriptors, so nothing has to be put together again. Neither side ever waits
for the other: a packet that finds the buffer full is dropped, which only a child that hangs will see.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections.abc import Callable, Mapping, Sequence

import msgspec

_MAX_PACKET = 64 << 10
_MAX_DESCRIPTORS = 8


class Packet(msgspec.Struct, omit_defaults=True):
    op: str
    args: dict[str, object] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Packet).decode

Receive = Callable[[str, Mapping[str, object], Sequence[int]], None]


def make_pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


class PacketEnd:
    """One end. `on_readable` is for the loop's `add_reader`; `is_open` turns False when the other end is gone."""

    def __init__(self, connection: socket.socket, receive: Receive) -> None:
        self.is_open = True
        self._socket = connection
        self._receive = receive

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, op: str, args: Mapping[str, object] | None = None, descriptors: Sequence[int] = ()) -> bool:
        """False when it was dropped."""
        if not self.is_open:
            return False
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            self._socket.sendmsg([_encode(Packet(op, dict(args or {})))], rights, socket.MSG_NOSIGNAL)
        except OSError:
            return False
        return True

    def on_readable(self) -> None:
        """Hand all packets that are there to `receive`; descriptors are the receiver's to close."""
        while self.is_open:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(
                    _MAX_PACKET, socket.CMSG_SPACE(4 * _MAX_DESCRIPTORS), socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError:
                data, ancillary = b"", []
            if not data:
                self.is_open = False
                return
            self._take(data, _descriptors_in(ancillary))

    def _take(self, data: bytes, descriptors: list[int]) -> None:
        try:
            packet = _decode(data)
        except msgspec.DecodeError:
            for number in descriptors:
                os.close(number)
            return
        self._receive(packet.op, packet.args, descriptors)

    def close(self) -> None:
        self.is_open = False
        with contextlib.suppress(OSError):
            self._socket.close()


def _descriptors_in(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return found.tolist()
