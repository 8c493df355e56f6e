"""Plays a dialogue script against a POP3 session on a store in memory. The steps are those of `dialogue_script.py`.

    set errors=3 login_delay_s=60 hidden=TOP,LANG     Pop3Limits and Pop3Settings
    with tls          STLS is possible; the client begins in the clear
    with private      the client begins under TLS, as on port 995
    with loopback     the client is on this machine

Alice (alice@example.org) has the password `right` and three messages, MAIL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace

from posthouse.message.peer import Peer
from posthouse.protocol.pop3.server import Pop3Limits
from tests.access.pop3_kit import PostOffice, open_office
from tests.access.wire_kit import HOME, MemoryWire, Talk
from tests.dialogues.dialogue_script import HERE, Script, Step

Cut = Callable[[bytes], Iterable[bytes]]

SCRIPTS = sorted((HERE / "pop3").glob("*.txt"))
MAIL = (
    b"Subject: one\r\nFrom: ann@example.com\r\n\r\nline 1\r\nline 2\r\n",
    b"Subject: dots\r\n\r\n.\r\n..two\r\nnone.\r\n.last\r\n",
    "Subject: Grüße\r\nFrom: Jürgen <j@example.com>\r\n\r\nKäse\r\n".encode(),
)


class Conversation:
    """A script's client and its server."""

    def __init__(self, office: PostOffice, talk: Talk) -> None:
        self.office = office
        self.talk = talk
        self.output = b""

    async def feed(self, octets: bytes) -> None:
        self.output += await self.talk.say(octets)


async def begin(script: Script) -> Conversation:
    limits = {field.name for field in fields(Pop3Limits)}
    office = await open_office(*MAIL)
    for name, value in script.settings.items():
        if name in limits:
            office.set(limits=replace(office.settings.limits, **{name: value}))  # type: ignore[arg-type]
        else:
            office.set(**{name: value})
    address = "127.0.0.1" if "loopback" in script.abilities else HOME
    office.peer = Peer(address, tls_version="TLSv1.3" if "private" in script.abilities else "")
    made = Conversation(office, office.open(can_tls="tls" in script.abilities))
    made.output += await made.talk.begin()
    return made


async def play(script: Script, cut: Cut) -> Conversation:
    """All octets up to the next expectation go together, cut by `cut`."""
    made = await begin(script)
    position, waiting = 0, b""
    for step in script.steps:
        if step.kind == "C":
            waiting += step.octets
            continue
        for piece in cut(waiting):
            await made.feed(piece)
        waiting = b""
        position = _check(script, step, made, position)
    assert not waiting, f"{script.name}: the script ends with octets nobody answers"
    left = made.output[position:]
    assert not left, f"{script.name}: the server also said {left!r}"
    return made


def _check(script: Script, step: Step, made: Conversation, position: int) -> int:
    where = f"{script.name}: {step.kind}: {step.text}"
    wire: MemoryWire = made.talk.wire
    if step.kind == "TLS":
        assert wire.peer.tls_version, f"{where}: no handshake was begun"
    elif step.kind == "END":
        assert wire.is_closing, f"{where}: still open"
    else:
        assert step.kind == "S", f"{where}: not a step of these scripts"
        line, separator, _ = made.output[position:].partition(b"\r\n")
        assert separator, f"{where}: nothing was said"
        said = line.decode("utf-8")
        fits = said.startswith(step.text[:-3]) if step.text.endswith("...") else said == step.text
        assert fits, f"{where}: but it was {said!r}"
        position += len(line) + 2
    return position
