"""JMAP's methods on emails, called as the dispatcher calls them, on any store.

async with open_room(open_memory, tmp_path) as room:
    one = await room.deliver("Subject: one")
    assert (await room.call("Email/query"))["ids"] == [one]
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from itertools import count
from pathlib import Path
from typing import Any, cast

from posthouse.access.jmap import email_methods, snippet_methods, suggestions
from posthouse.access.jmap.method import Call, JmapParts
from posthouse.message.mailbox import AccountId, EmailId, MailboxId, ModSeq, Role
from posthouse.message.objectids import find_email, find_mailbox, name_email, name_mailbox
from posthouse.message.parse import parse_message
from posthouse.message.parsed import ParsedMessage
from posthouse.ports.compute import FakeCompute
from posthouse.ports.login import Login
from posthouse.ports.observe import FakeLog
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Added, Addition, Messages
from posthouse.ports.uploads_memory import MemoryUploads
from posthouse.protocol.jmap.errors import MethodError
from posthouse.protocol.jmap.json import JsonObject, encode_json
from posthouse.protocol.jmap.limits import DEFAULT_LIMITS, CoreLimits
from tests.conformance.store_kit import Office

METHODS = {**email_methods.METHODS, **snippet_methods.METHODS, **suggestions.METHODS}
OWNER = AccountId(1)
START = 1_700_000_000.0
Opener = Callable[[Path], AbstractAsyncContextManager[Office]]


class FakeSending:
    """Keeps since when somebody was told to look at what left Scheduled, and what was put into Sent."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self.removals: list[ModSeq] = []
        self.filed: list[bytes] = []

    async def note_removed(self, account: AccountId, since: ModSeq) -> None:
        self.removals.append(since)

    async def file_upload(self, login: Login, mailbox: MailboxId, octets: bytes, addition: Addition) -> Added:
        self.filed.append(octets)
        return (await self._messages.add(login.account, [addition]))[0]


@dataclass
class Room:
    office: Office
    parts: JmapParts
    sending: FakeSending
    uploads: MemoryUploads
    created: dict[str, str] = field(default_factory=dict)

    async def call(self, name: str, **arguments: object) -> Any:
        """The response as a client reads it. Raises MethodError."""
        given: JsonObject = {"accountId": "A1", **arguments}
        call = Call(self.parts, Login(OWNER, "alice@example.org", "PLAIN"), "192.0.2.1", given, self.created)
        return json.loads(encode_json(await METHODS[name].run(call)))

    async def refuse(self, name: str, **arguments: object) -> str:
        """The type of the error that it is answered with."""
        try:
            await self.call(name, **arguments)
        except MethodError as error:
            return str(error.kind)
        raise AssertionError(f"{name} was not refused")

    async def deliver(
        self,
        subject: str = "tea",
        *mailboxes: MailboxId | Role,
        keywords: str = "",
        minute: int | None = None,
        octets: bytes | None = None,
        **letter: str,
    ) -> str:
        """The id. Each one comes a minute after the one before, or `minute` minutes after the start."""
        written = write_letter(subject, **letter) if octets is None else octets
        at = self.parts.clock.now() if minute is None else START + 60 * minute
        addition = Addition(
            mailboxes or (Role.INBOX,),
            InlineBody(written),
            parse_message(written),
            received=at,
            flags=frozenset(keywords.split()),
        )
        added = await self.office.store.messages.add(OWNER, [addition])
        self.office.clock.advance(60)
        return name_email(OWNER, added[0].email)

    async def upload(self, octets: bytes, media_type: str = "application/octet-stream") -> str:
        """The blob id."""
        writer = self.uploads.begin(OWNER, media_type)
        await writer.write(octets)
        return f"U{(await writer.finish()).id}"

    async def mailbox(self, name: str | Role) -> str:
        boxes = self.office.store.mailboxes
        box = await (boxes.open_role(OWNER, name) if isinstance(name, Role) else boxes.create(OWNER, name))
        return name_mailbox(OWNER, box.id)

    async def show(self, email: str, *properties: str) -> Any:
        told = await self.call("Email/get", ids=[email], properties=list(properties))
        assert told["notFound"] == []
        return told["list"][0]


def number_of(email: str) -> EmailId:
    found = find_email(OWNER, email)
    assert found is not None
    return found


def box_of(mailbox: str) -> MailboxId:
    found = find_mailbox(OWNER, mailbox)
    assert found is not None
    return found


def write_letter(
    subject: str, *, text: str = "It rains.", sender: str = "Ann <ann@example.com>", re: str = "", mid: str = ""
) -> bytes:
    """`mid`: its Message-ID; `re`: that of the letter it answers."""
    letter = EmailMessage()
    letter["From"] = sender
    letter["To"] = "Alice <alice@example.org>"
    letter["Subject"] = subject
    letter["X-Mood"] = "good"
    letter["Date"] = "Tue, 14 Nov 2023 22:13:20 +0000"
    if mid:
        letter["Message-ID"] = f"<{mid}>"
    if re:
        letter["In-Reply-To"] = f"<{re}>"
    letter.set_content(text)
    return letter.as_bytes().replace(b"\n", b"\r\n")


async def _parse(octets: bytes) -> ParsedMessage:
    return parse_message(octets)


@asynccontextmanager
async def open_room(opener: Opener, path: Path, limits: CoreLimits = DEFAULT_LIMITS) -> AsyncIterator[Room]:
    async with opener(path) as office:
        sending, tokens = FakeSending(office.store.messages), count()
        uploads = MemoryUploads(office.clock, lambda: f"upload{next(tokens)}")
        parts = JmapParts(
            office.store,
            cast(Any, None),
            cast(Any, sending),
            cast(Any, None),
            uploads,
            office.clock,
            FakeCompute(),
            FakeLog(),
            _parse,
            lambda: f"token{next(tokens)}",
            limits,
            "mail.example.org",
            max_message_size=100_000,
        )
        yield Room(office, parts, sending, uploads)
