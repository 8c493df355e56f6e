"""The door of Mozilla's programs for those who drive them: JSON on a connection, scripts that run inside.

What is there: a session, scripts with the program's own rights that answer when they are done, and pictures.
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Sequence
from pathlib import Path

PATIENCE_S = 60
SCRIPT = """
const done = arguments[arguments.length - 1];
%s
const act = actions[arguments[0]];
act(...arguments[1]).then(answer => done({answer}), error => done({error: `${error} ${error.stack}`}));
"""

Json = None | bool | int | float | str | Sequence["Json"] | dict[str, "Json"]


class MarionetteError(Exception):
    """The program could not do it; with what it says."""


class Marionette:
    """`script` defines `actions`, asynchronous functions by name."""

    def __init__(self, address: tuple[str, int], script: str) -> None:
        self._socket = socket.create_connection(address, PATIENCE_S)
        self._stream = self._socket.makefile("rb")
        self._number = 0
        self._script = script
        self._read()  # it introduces itself
        self._command("WebDriver:NewSession")
        self._command("Marionette:SetContext", value="chrome")
        self._command("WebDriver:SetTimeouts", script=PATIENCE_S * 1000)

    def act(self, name: str, *arguments: Json) -> Json:
        reply = self._command("WebDriver:ExecuteAsyncScript", script=SCRIPT % self._script, args=[name, arguments])
        answer = reply.get("value")
        if not isinstance(answer, dict) or "error" in answer:
            raise MarionetteError(f"{name}: {answer}")
        return answer.get("answer")

    def take_picture(self, path: Path) -> None:
        reply = self._command("WebDriver:TakeScreenshot", full=True)
        path.write_bytes(base64.b64decode(str(reply["value"])))

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def _command(self, name: str, **values: Json) -> dict[str, Json]:
        self._number += 1
        data = json.dumps([0, self._number, name, values]).encode()
        self._socket.sendall(b"%d:%s" % (len(data), data))
        reply = self._read()
        assert isinstance(reply, list)
        if reply[2]:
            raise MarionetteError(f"{name}: {reply[2]}")
        return reply[3] if isinstance(reply[3], dict) else {}

    def _read(self) -> Json:
        size = b""
        while not size.endswith(b":"):
            octet = self._stream.read(1)
            if not octet:
                raise MarionetteError("it closed the connection")
            size += octet
        answer: Json = json.loads(self._stream.read(int(size[:-1])))
        return answer
