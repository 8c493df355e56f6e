"""Commands' side of the control socket (control.py has the requests). Blocking, with a deadline for each step."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import Protocol

import msgspec

from posthouse.app.launch import control_path
from posthouse.app.rpc import MAX_FRAME, Frame, encode_frame
from posthouse.app.sockets import connect_unix
from posthouse.config.settings import Settings

STEP_S = 120.0

Arguments = Mapping[str, object]


class ControlError(Exception):
    """The request failed; the message is for people."""


class Control(Protocol):
    """Who carries out what a command asks."""

    def stream(self, op: str, args: Arguments) -> Iterator[dict[str, object]]:
        """Items one by one. Raises ControlError."""

    def call(self, op: str, args: Arguments) -> object:
        """One answer. Raises ControlError."""


class ControlClient:
    """A connection to a running server."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._connection.settimeout(STEP_S)
        self._stream = connection.makefile("rb")
        self._decode = msgspec.msgpack.Decoder(Frame).decode

    def stream(self, op: str, args: Arguments) -> Iterator[dict[str, object]]:
        self._send(op, args)
        while True:
            frame = self._read()
            if frame.item is msgspec.UNSET:
                return
            if isinstance(frame.item, dict):
                yield frame.item

    def call(self, op: str, args: Arguments) -> object:
        self._send(op, args)
        while (frame := self._read()).item is not msgspec.UNSET:
            pass
        return None if frame.done is msgspec.UNSET else frame.done

    def close(self) -> None:
        self._stream.close()
        self._connection.close()

    def _send(self, op: str, args: Arguments) -> None:
        try:
            self._connection.sendall(encode_frame(Frame(op=op, args=dict(args))))
        except OSError as error:
            raise ControlError(f"the server cannot be asked: {error.strerror or error}") from None

    def _read(self) -> Frame:
        try:
            size = int.from_bytes(self._stream.read(4), "big")
            body = self._stream.read(size) if 0 < size <= MAX_FRAME else b""
            if not size or len(body) < size:
                raise ControlError("the server hung up in mid-answer")
            frame = self._decode(body)
        except OSError as error:
            raise ControlError(f"the server does not answer: {error.strerror or error}") from None
        except msgspec.DecodeError as error:
            raise ControlError(f"the server's answer makes no sense: {error}") from None
        if frame.error is not None:
            raise ControlError(frame.error)
        return frame


def connect(settings: Settings, otherwise: str) -> ControlClient:
    """Raises ControlError, which begins with `otherwise`, when nobody answers."""
    reasons = []
    for runtime in list_runtimes(settings):
        path = control_path(runtime)
        try:
            return ControlClient(connect_unix(path))
        except OSError as error:
            reasons.append(f"{path}: {error.strerror}")
    raise ControlError(f"{otherwise}, and its control socket does not answer ({'; '.join(reasons)})")


def list_runtimes(settings: Settings) -> list[str]:
    """Where the sockets may be: we need not be started by the same user as the server."""
    return list(dict.fromkeys([settings.runtime_directory(is_root=False), settings.runtime_directory(is_root=True)]))
