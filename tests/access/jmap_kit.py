"""JMAP on a store in memory, with the real MSA behind it: one account, requests as a client writes them.

desk = await open_desk(letter("one"), letter("two"))         # what lies in Alice's INBOX
told = await desk.call("Mailbox/get", ids=None)              # the arguments of the response, as a client reads them
error = await desk.fail("Mailbox/get", ids=["x"] * 501)      # the type of the error
names = [name for name, _ in await desk.ask(("Core/echo", {}))]
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from typing import Any

from posthouse.access.jmap.method import JmapParts
from posthouse.access.jmap.methods import TABLES, JmapServer
from posthouse.access.jmap.session import SessionBuilder
from posthouse.message.mailbox import EmailId, MailboxId, Role
from posthouse.message.objectids import name_account
from posthouse.message.parse import parse_message
from posthouse.msa.doors import DoorParts
from posthouse.msa.email_doors import EmailDoors
from posthouse.msa.sent import SentParts
from posthouse.ports.compute import FakeCompute
from posthouse.ports.login import Login
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Added, Addition, Fields, Store
from posthouse.ports.store_memory import MemoryStore
from posthouse.ports.uploads_memory import MemoryUploads
from posthouse.protocol.jmap.limits import CoreLimits
from tests.msa.submit_kit import ALICE, LOGIN, House, parse

__all__ = ["ALICE", "HOME", "LOGIN", "Desk", "letter", "make_doors", "make_parts", "open_desk"]

HOME = "192.0.2.7"
ME = name_account(ALICE.id)
Told = dict[str, Any]  # an object, as a client reads it
_PREFIX = b"Return-Path: <bob@there.example>\r\n"


def letter(subject: str, text: str = "Hello", **fields: str) -> bytes:
    """Names of fields with "_" for "-"."""
    message = EmailMessage()
    message["From"] = fields.pop("From", "Bob <bob@there.example>")
    message["To"] = fields.pop("To", "alice@ours.example")
    message["Subject"] = subject
    message["Date"] = fields.pop("Date", "Thu, 14 Jan 2027 08:00:00 +0000")
    message["Message-ID"] = fields.pop("Message_ID", f"<{subject}@there.example>")
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message.as_bytes().replace(b"\n", b"\r\n")


def make_doors(house: House, undo_s: float = 0.0) -> EmailDoors:
    store = house.store
    return EmailDoors(
        DoorParts(
            submitter=house.submitter,
            sent=SentParts(store.submissions, store.messages, store.blobs, house.clock, house.log),
            mailboxes=store.mailboxes,
            blobs=store.blobs,
            annotations=store.annotations,
            changes=store.changes,
            clock=house.clock,
            hostname="mail.ours.example",
            undo_s=undo_s,
        )
    )


def make_parts(house: House, undo_s: float = 0.0) -> JmapParts:
    return JmapParts(
        store=house.store.as_store(),
        records=house.store.records,
        sending=make_doors(house, undo_s),
        accounts=house.accounts,
        uploads=MemoryUploads(house.clock, house.make_token),
        clock=house.clock,
        compute=FakeCompute(),
        log=house.log,
        parse=parse,
        make_token=house.make_token,
        limits=CoreLimits(),
        hostname="mail.ours.example",
        max_delayed_send_s=86400 * 30,
        undo_s=undo_s,
    )


@dataclass
class Desk:
    """`house` holds what is behind it: store, clock, spool, log."""

    house: House
    parts: JmapParts
    server: JmapServer
    login: Login = LOGIN
    created: dict[str, str] = field(default_factory=dict)  # of the last request

    @property
    def memory(self) -> MemoryStore:
        return self.house.store

    @property
    def store(self) -> Store:
        return self.parts.store

    async def ask(self, *calls: tuple[str, Told]) -> list[tuple[str, Told]]:
        """Names and arguments of the responses."""
        request = {
            "using": sorted(self.server.capabilities),
            "methodCalls": [[name, arguments, f"c{place}"] for place, (name, arguments) in enumerate(calls)],
            "createdIds": {},
        }
        response = await self.server.answer(self.login, HOME, json.dumps(request).encode())
        await self.house.handover.settle_down()
        told = json.loads(response.as_json())
        self.created = told["createdIds"]
        return [(name, arguments) for name, arguments, _ in told["methodResponses"]]

    async def call(self, name: str, /, **arguments: Any) -> Told:
        """With the account, unless another one is given."""
        answers = await self.ask((name, {"accountId": ME, **arguments}))
        assert answers[0][0] == name, answers[0]
        return answers[0][1]

    async def fail(self, name: str, /, **arguments: Any) -> str:
        """The type of the error."""
        answers = await self.ask((name, {"accountId": ME, **arguments}))
        assert answers[0][0] == "error", answers[0]
        return str(answers[0][1]["type"])

    async def add(self, octets: bytes, *where: Role | MailboxId, flags: frozenset[str] = frozenset()) -> Added:
        addition = Addition(
            where or (Role.INBOX,),
            InlineBody(octets),
            parse_message(octets),
            _PREFIX,
            self.house.clock.now(),
            flags=flags,
        )
        return (await self.store.messages.add(ALICE.id, [addition]))[0]

    async def where(self, email: EmailId) -> set[str]:
        """Names of the mailboxes it is in."""
        rows = await self.store.messages.load_emails(ALICE.id, [email], Fields.NONE)
        boxes = {box.id: box.name for box in await self.store.mailboxes.list_all(ALICE.id)}
        return {boxes[mailbox] for row in rows for mailbox in row.placements}

    def as_login(self, login: Login) -> Desk:
        return replace(self, login=login)


async def open_desk(*letters: bytes, undo_s: float = 0.0, house: House | None = None) -> Desk:
    parts = make_parts(house := house or House(), undo_s)
    desk = Desk(house, parts, JmapServer(parts, SessionBuilder(parts), TABLES))
    for octets in letters:
        await desk.add(octets)
    return desk
