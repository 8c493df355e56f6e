"""An HTTP listener on a real socket, and a client that writes what it is told to."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from posthouse.adapters.clock import SystemClock
from posthouse.ports.observe import FakeLog
from posthouse.serve.admission import Admission
from posthouse.serve.http import HttpDoor, HttpServer
from posthouse.serve.http_messages import AnyRoute
from posthouse.serve.http_reading import HttpLimits


class Lab:
    def __init__(
        self,
        routes: Sequence[AnyRoute],
        limits: HttpLimits,
        admission: Admission,
        door: HttpDoor | None = None,
    ) -> None:
        self.log = FakeLog()
        self.admission = admission
        self.server = HttpServer(routes, admission, SystemClock(), self.log, limits, door)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]

    async def send(self, data: bytes, tls: ssl.SSLContext | None = None) -> bytes:
        """What comes back until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)
        writer.write(data)
        try:
            return await asyncio.wait_for(reader.read(), 20)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def get(self, path: str, *headers: str, tls: ssl.SSLContext | None = None) -> bytes:
        lines = [f"GET {path} HTTP/1.1", "Host: mail.example.org", "Connection: close", *headers, "", ""]
        return await self.send("\r\n".join(lines).encode(), tls)


@asynccontextmanager
async def serving(
    *routes: AnyRoute,
    limits: HttpLimits | None = None,
    admission: Admission | None = None,
    tls: ssl.SSLContext | None = None,
    door: HttpDoor | None = None,
) -> AsyncIterator[Lab]:
    lab = Lab(routes, limits or HttpLimits(), admission or Admission(), door)
    await lab.server.start(lab.socket, tls)
    yield lab
    await lab.server.drain(5.0)
