"""What the outbound tests share: a connector on scripted peers, messages, and the usual lines of a session."""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.message.address import parse_address
from posthouse.message.envelope import BodyType, Envelope, Recipient
from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.mta.outbound import (
    Adapt,
    Connection,
    Connector,
    HopPlan,
    Mode,
    OutboundSettings,
    TlsPolicy,
    pass_through,
)
from posthouse.ports.clock import FakeClock
from posthouse.ports.observe import FakeLog
from posthouse.ports.spool import Body, InlineBody, QueuedMessage, QueuedRecipient, Status
from posthouse.ports.stream import Endpoint, ScriptedDialer, ScriptedStream, StreamError, scripted

GREETING = b"220 mx.example ESMTP\r\n"
EHLO = b"EHLO me.example\r\n"
OK = b"250 2.0.0 ok\r\n"
GO = b"354 go\r\n"
TRACE = b"Received: from x\r\n"
TEXT = b"Subject: x\r\n\r\nhello\r\n"
MX1 = Endpoint("mx1.example", "192.0.2.1", 25)
MX2 = Endpoint("mx2.example", "192.0.2.2", 25)
LABEL = "mx1.example[192.0.2.1]:25"

Step = tuple[bytes, bytes]


def hello(*extensions: str) -> Step:
    """The EHLO exchange of a server with these extensions."""
    lines = ["mx.example", *extensions]
    text = "".join(f"250{' ' if line is lines[-1] else '-'}{line}\r\n" for line in lines)
    return (EHLO, text.encode())


def mail(sender: str = "a@a.example", parameters: str = "") -> bytes:
    return f"MAIL FROM:<{sender}>{parameters}\r\n".encode()


def rcpt(*names: str, parameters: str = "") -> bytes:
    return b"".join(f"RCPT TO:<{name}@b.example>{parameters}\r\n".encode() for name in names)


def message(
    *names: str,
    body: Body | bytes = TEXT,
    body_type: BodyType = BodyType.SEVENBIT,
    trace: bytes = TRACE,
    **fields: object,
) -> QueuedMessage:
    """A message from a@a.example to these local parts at b.example (or whole addresses)."""
    addresses = [parse_address(name if "@" in name else f"{name}@b.example") for name in names or ("r1",)]
    recipients = tuple(Recipient(address) for address in addresses)
    sender = parse_address(str(fields.pop("sender", "a@a.example")))
    envelope = Envelope(sender, recipients, body_type, **fields)  # type: ignore[arg-type]
    rows = [QueuedRecipient(number, each, Status.WAITING, None) for number, each in enumerate(recipients)]
    kept = InlineBody(body) if isinstance(body, bytes) else body
    return QueuedMessage(QueueId("0000000000001"), envelope, rows, trace, kept, Instant(0.0))


class FileLikeBody:
    """A body that is not at hand in memory; `fails` makes its file disappear, `short` cut it."""

    def __init__(self, data: bytes, *, fails: Exception | None = None, short: int = 0) -> None:
        self._data = data
        self._fails = fails
        self._short = short

    @property
    def size(self) -> int:
        return len(self._data)

    @property
    def inline(self) -> bytes | None:
        return None

    async def read(self, offset: int, length: int) -> bytes:
        if self._fails is not None:
            raise self._fails
        return self._data[: self.size - self._short][offset : offset + length]


def make_connector(
    *peers: ScriptedStream | StreamError, adapt: Adapt = pass_through, **settings: object
) -> tuple[Connector, ScriptedDialer]:
    dialer = ScriptedDialer.playing(*peers)
    chosen = OutboundSettings("me.example", **settings)  # type: ignore[arg-type]
    return Connector(dialer, chosen, FakeLog(), FakeClock(), lambda: "nonce", adapt), dialer


async def connect(
    steps: Sequence[Step],
    extensions: Sequence[str] = ("PIPELINING",),
    *,
    adapt: Adapt = pass_through,
    mode: Mode = Mode.SMTP,
    **settings: object,
) -> tuple[Connection, ScriptedStream]:
    """An open connection to a server with these extensions that goes on with `steps`."""
    line, answer = hello(*extensions)
    start = line if mode is not Mode.LMTP else line.replace(b"EHLO", b"LHLO")
    peer = scripted(GREETING, [(start, answer), *steps])
    connector, _ = make_connector(peer, adapt=adapt, **settings)
    opened = await connector.open(HopPlan([MX1], mode, TlsPolicy.OFF))
    assert isinstance(opened, Connection)
    return opened, peer
