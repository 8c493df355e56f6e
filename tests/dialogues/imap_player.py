"""Plays IMAP dialogue scripts (`imap_script.py`) against sessions on a store in memory.

DO deliver 2              that one of LETTERS comes into Alice's INBOX
DO clock 3600             so many seconds go by
DO quota 3 2              Alice may have so many KiB and so many messages
DO store broken|defect|full|well     what any use of the store raises
DO outbox off|policy|later|wrong|well  what the Outbox says
DO sessions many|well     whether the account has too many sessions
DO alice disabled         her account
DO password imapless      another password of Alice's, which is not for reading mail
DO silence                the client's time is over
DO stop                   the server stops
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from functools import lru_cache

from posthouse.message.mailbox import AccountId, Role
from posthouse.ports.clock import FakeClock
from posthouse.ports.credentials import Credential, CredentialKind, FakePasswordHash
from posthouse.ports.directory import Account
from posthouse.ports.login import Scope
from posthouse.ports.sending import SendRefused
from posthouse.ports.store import StoreError
from posthouse.ports.store_memory import QuotaLimit
from posthouse.protocol.imap.server_events import ImapLimits
from posthouse.trust.secrets import NewPassword, make_credential
from tests.access.imap_kit import ALICE, BOB, Client, Office
from tests.access.wire_kit import settle
from tests.dialogues.imap_script import Ear, ImapScript, Step
from tests.trust.test_login import SECRET

Cut = Callable[[bytes], Iterable[bytes]]

PASSWORD = "right"
ADDRESSES = {"alice": "alice@example.org", "bob": "bob@example.org"}
_ACCOUNTS = {"alice": ALICE, "bob": BOB}
_DAY = 86_400.0
FIRST_DAY = 837_596_665.0  # of LETTERS: 17-Jul-1996 02:44:25 -0700; each of the others a day later
ZONE_MINUTES = -420

_SUMMARY = (
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
    b"From: Terry Gray <gray@cac.example.com>\r\n"
    b"Subject: IMAP4rev2 WG mtg summary and minutes\r\n"
    b"To: imap@cac.example.com\r\n"
    b"Cc: minutes@cnri.example.net, John Klensin <klensin@mit.example.edu>\r\n"
    b"Message-Id: <B27397-0100000@cac.example.com>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n"
    b"\r\n"
    b"The working group met and agreed.\r\n"
    b"Minutes follow.\r\n"
)
_ANSWER = (
    b"Date: Thu, 18 Jul 1996 10:00:00 +0000\r\n"
    b"From: Fred Foobar <foobar@blurdybloop.example>\r\n"
    b"Subject: Re: IMAP4rev2 WG mtg summary and minutes\r\n"
    b"To: mooch@owatagu.example\r\n"
    b"Message-Id: <B27397-0200000@blurdybloop.example>\r\n"
    b"In-Reply-To: <B27397-0100000@cac.example.com>\r\n"
    b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="cut"\r\n'
    b"\r\n"
    b"--cut\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n"
    b"\r\n"
    b"K=C3=A4se\r\n"
    b"--cut\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Transfer-Encoding: base64\r\n"
    b'Content-Disposition: attachment; filename="a.bin"\r\n'
    b"\r\n"
    b"AAECAw==\r\n"
    b"--cut\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Transfer-Encoding: x-strange\r\n"
    b"\r\n"
    b"????\r\n"
    b"--cut--\r\n"
)
_MEETING = (
    b"Date: Fri, 19 Jul 1996 09:00:00 +0000\r\n"
    b"From: Ann <ann@example.com>\r\n"
    b"Subject: Afternoon meeting\r\n"
    b"To: alice@example.org\r\n"
    b"Message-Id: <3@example.com>\r\n"
    b"\r\n"
    b"Hello Joe, do you think we can meet at 3:30 tomorrow?\r\n"
)
LETTERS = (_SUMMARY, _ANSWER, _MEETING)


class SlowMachine(FakeClock):
    """Each look at it costs a minute."""

    def monotonic(self) -> float:
        self.advance(60.0)
        return super().monotonic()


@lru_cache
def _make_credential(account: AccountId, password: str, scopes: frozenset[Scope]) -> Credential:
    """Keys of SCRAM are dear: once for all scripts."""
    kind, name = (CredentialKind.MAIN, "") if password == PASSWORD else (CredentialKind.APP, password)
    new = NewPassword(account, kind, password, name, scopes)
    return make_credential(new, FakePasswordHash(), SECRET, FakeClock().now())


class World:
    """An office, and the clients of a script."""

    def __init__(self, script: ImapScript) -> None:
        self.script = script
        self.office = Office(clock=SlowMachine() if "haste" in script.abilities else FakeClock())
        self.clients: dict[int, Client] = {}
        self.heard: dict[int, bytes] = {}  # and not yet looked at
        self.output: dict[int, bytes] = {}
        self.sent = b""

    async def begin(self) -> None:
        office, limits = self.office, {field.name for field in fields(ImapLimits)}
        for name, value in self.script.settings.items():
            if name in limits:
                office.set(limits=replace(office.settings.limits, **{name: value}))  # type: ignore[arg-type]
            else:
                office.set(**{name: value})
        for account in _ACCOUNTS.values():
            await self._add_password(account)
        await office.memory.mailboxes.open_role(BOB, Role.INBOX)
        for number in self.script.letters:
            await self.deliver(number)
        for number, person in enumerate(self.script.people, 1):
            client = self._open(number)
            await client.begin()
            told = await client.talk(f"login LOGIN {ADDRESSES[person]} {PASSWORD}".encode())
            assert b"login OK" in told, told
            if self.script.mailbox:
                told = await client.talk(f"open SELECT {self.script.mailbox}".encode())
                assert b"open OK" in told, told
        if not self.script.people:
            self.heard[1] = await self._open(1).begin()

    async def _add_password(
        self, account: AccountId, password: str = PASSWORD, scopes: frozenset[Scope] = frozenset(Scope)
    ) -> None:
        logins = self.office.logins
        await logins.credentials.add(_make_credential(account, password, scopes))

    def _open(self, number: int) -> Client:
        is_clear = bool(self.script.abilities & {"tls", "clear"})
        client = self.office.open("" if is_clear else "TLSv1.3", can_tls="tls" in self.script.abilities)
        self.clients[number] = client
        self.heard[number] = self.output[number] = b""
        return client

    # -- clients

    async def send(self, number: int, octets: bytes, cut: Cut) -> None:
        client = self.clients[number]
        self.sent += octets
        for piece in cut(octets):
            if not client.wire.is_closing:
                client.session.receive(piece)
            await settle_one(client)
        await settle()
        self.hear()

    def hear(self) -> None:
        for number, client in self.clients.items():
            said = client.wire.take()
            self.heard[number] += said
            self.output[number] += said

    def next_line(self, number: int) -> str | None:
        line, separator, rest = self.heard[number].partition(b"\r\n")
        if not separator:
            return None
        self.heard[number] = rest
        return line.decode("utf-8", "backslashreplace")

    # -- the world

    async def deliver(self, number: int) -> None:
        date = (FIRST_DAY + (number - 1) * _DAY, ZONE_MINUTES)
        await self.office.add(LETTERS[number - 1], date=date)

    async def do(self, text: str) -> None:
        what, *words = text.split()
        match what:
            case "deliver":
                await self.deliver(int(words[0]))
            case "clock":
                self.office.clock.advance(float(words[0]))
            case "quota":
                self._set_quota(int(words[0]), int(words[1]))
            case "store":
                self.office.memory.full = words[0] == "full"
                self.office.memory.error = _STORE.get(words[0])  # type: ignore[assignment]
            case "outbox":
                self.office.sending.is_on = words[0] != "off"
                self.office.sending.error = _OUTBOX.get(words[0])
            case "sessions":
                self.office.slots.refusal = None if words[0] == "well" else "Too many sessions of this account"
            case _:
                await self._do_to_people(what, words)
        await settle()
        self.hear()

    async def _do_to_people(self, what: str, words: list[str]) -> None:
        people = self.office.logins.people.by_id
        match what:
            case "alice":
                people[ALICE] = replace(people[ALICE], is_disabled=True)
            case "password":
                await self._add_password(ALICE, words[0], frozenset({Scope.SEND}))
            case "silence":
                self.clients[1].session.time_out()
            case "stop":
                self.clients[1].session.shut_down("The server stops")
            case _:
                raise ValueError(f"the world cannot do that: {what}")

    def _set_quota(self, kib: int, emails: int) -> None:
        people = self.office.logins.people.by_id
        old: Account = people[ALICE]
        people[ALICE] = replace(old, quota_octets=kib << 10, quota_emails=emails)
        self.office.memory.quotas_of[ALICE] = QuotaLimit(kib << 10, emails)


_STORE: dict[str, Exception] = {
    "broken": StoreError("the shard cannot be read"),
    "defect": RuntimeError("a defect"),
}
_OUTBOX: dict[str, Exception] = {
    "policy": SendRefused("5.7.1 You may not send as that", is_policy=True),
    "later": SendRefused("4.3.1 Try again later", is_temporary=True),
    "wrong": SendRefused("5.1.2 Nobody is named"),
}


async def settle_one(client: Client) -> None:
    """A few turns: the session takes what came."""
    for _ in range(3):
        await asyncio.sleep(0)


async def begin(script: ImapScript) -> World:
    world = World(script)
    await world.begin()
    return world


async def play(script: ImapScript, cut: Cut) -> World:
    """All octets of a client up to the next expectation go together, cut by `cut`."""
    world = await begin(script)
    ear = Ear(script)
    waiting, sender = b"", 1
    for step in script.steps:
        if step.kind == "C" and (not waiting or step.client == sender):
            waiting, sender = waiting + step.octets(ear.values), step.client
            continue
        if waiting:
            await world.send(sender, waiting, cut)
            waiting = b""
        if step.kind == "C":
            waiting, sender = step.octets(ear.values), step.client
            continue
        await _take(world, ear, step)
    assert not waiting, f"{script.name}: the script ends with octets nobody answers"
    for number, left in world.heard.items():
        assert not left, f"{script.name}: client {number} also heard {left!r}"
    return world


async def _take(world: World, ear: Ear, step: Step) -> None:
    match step.kind:
        case "S":
            while not ear.hears(step, None if step.text == "**" else world.next_line(step.client)):
                pass
        case "DO":
            await world.do(step.text)
        case "TLS":
            assert world.clients[step.client].wire.peer.tls_version, f"{ear.where(step)}: no handshake was begun"
        case _:
            assert world.clients[step.client].wire.is_closing, f"{ear.where(step)}: still open"
