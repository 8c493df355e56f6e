"""Several sessions on one mailbox, each with its mirror, on any store; and what they can be made to do.

Every call of the store takes a few turns of the loop before and after, as drawn: what is read may be old when it
arrives.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, cast

from posthouse.message.mailbox import MailboxId, UidRange
from posthouse.ports.store import FlagEdit, FlagMode, Messages, Store
from tests.access.imap_kit import ALICE, Office, letter, open_office
from tests.access.mirror_kit import Flags, Kind, Mirror, Truth, add_flags, remove_flags, set_flags
from tests.conformance import store_kit

FLAGS = ("\\Seen", "\\Deleted", "\\Flagged", "$Work")
SIMPLE = letter("hello")
VERBS = (
    "deliver",
    "flag",
    "expunge",
    "FETCH",
    "FETCH BODY",
    "FETCH CHANGEDSINCE",
    "STORE",
    "STORE",
    "EXPUNGE",
    "UID EXPUNGE",
    "APPEND",
    "COPY",
    "MOVE",
    "SEARCH",
    "NOOP",
    "IDLE",
    "SELECT",
    "STATUS",
)
Op = tuple[int, str, int]  # who, what, and a number to choose everything else by


class Slowed:
    """A port whose calls take a while."""

    def __init__(self, port: object, random: Random, after: Callable[[], Awaitable[None]]) -> None:
        self._port, self._random, self._after = port, random, after

    def __getattr__(self, name: str) -> object:
        found = getattr(self._port, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def slowly(*given: object, **more: object) -> object:
            for _ in range(self._random.randrange(3)):
                await asyncio.sleep(0)
            result = await found(*given, **more)
            await self._after()
            for _ in range(self._random.randrange(3)):
                await asyncio.sleep(0)
            return result

        return slowly


class Crowd:
    """`mirrors`: the sessions, all on Alice's INBOX."""

    def __init__(self, office: Office, random: Random, *, has_history: bool) -> None:
        self.office, self.random, self.truth = office, random, Truth()
        if has_history:
            self.truth.ever = {}
        self.real: Store = office.store
        self.mirrors: list[Mirror] = []
        self.inbox = MailboxId(0)
        slow = {
            name: cast(Any, Slowed(getattr(self.real, name), random, self.look))
            for name in ("messages", "changes", "search", "mailboxes")
        }
        office.store = replace(self.real, **slow)

    async def begin(self, kinds: Sequence[Kind], count: int) -> None:
        self.inbox = (await self.real.mailboxes.list_all(ALICE))[0].id
        for number in range(count):
            await self.office.add(SIMPLE, flags=FLAGS[: number % 3])
        await self.real.mailboxes.create(ALICE, "Work")
        for kind in kinds:
            client = await self.office.enter()
            mirror = Mirror(client, kind, self.truth)
            self.mirrors.append(mirror)
            if kind.enables:
                mirror.write("ENABLE", " ".join(kind.enables).encode())
            mirror.write("EXAMINE" if kind.is_read_only else "SELECT", b"INBOX")
            if kind.notify:
                mirror.write("NOTIFY", b"SET (" + kind.notify + b")")
            await self.rest()
            assert all(b" OK" in sent.answer for sent in mirror.done)

    async def look(self) -> None:
        """Keep what the store has now."""
        rows = self.truth.rows = await self.rows()
        self.truth.gone = {uid for uid, _ in self.truth.flags} - rows.keys()
        for uid, (flags, modseq) in rows.items():
            self.truth.note(uid, modseq, flags)
            if self.truth.ever is not None:
                self.truth.ever.setdefault(uid, set()).add(flags)

    async def rows(self) -> dict[int, tuple[Flags, int]]:
        messages: Messages = self.real.messages
        view, table = await messages.snapshot(ALICE, self.inbox), await messages.keywords(ALICE)
        return {
            uid: (frozenset(table.flags_of(flags)), modseq)
            for uid, flags, modseq in zip(view.uids, view.flags, view.modseqs, strict=True)
        }

    async def rest(self) -> None:
        """Until no session has anything to do, and all were heard."""
        while True:
            for _ in range(10):
                await asyncio.sleep(0)
            busy = [task for mirror in self.mirrors if (task := mirror.client.session._task) is not None]
            if not busy:
                break
            await asyncio.wait(busy)
        await self.look()
        for mirror in self.mirrors:
            mirror.hear(mirror.client.wire.take())

    # -- what happens

    async def do(self, *ops: Op) -> None:
        """All at once."""
        for who, what, number in ops:
            mirror = self.mirrors[who % len(self.mirrors)]
            choice = Random(number)
            match what:
                case "deliver":
                    chosen = choice.sample(FLAGS, number % 3)
                    await self.office.add(SIMPLE, flags=chosen)
                case "flag" | "expunge":
                    await self._from_outside(what, choice)
                case _:
                    self.send(mirror, what, choice)
            for _ in range(number % 4):
                await asyncio.sleep(0)
        await self.rest()

    async def _from_outside(self, what: str, choice: Random) -> None:
        uids = list(await self.rows())
        if not uids:
            return
        uid = choice.choice(uids)
        chosen = (UidRange(uid, uid),)
        messages = self.real.messages
        flag = "\\Deleted" if what == "expunge" else choice.choice(FLAGS)
        await messages.set_flags(ALICE, self.inbox, chosen, FlagEdit(choice.choice(list(FlagMode)), frozenset({flag})))
        await self.look()
        if what == "expunge":
            await messages.expunge(ALICE, self.inbox, chosen)

    def send(self, mirror: Mirror, what: str, choice: Random) -> None:
        verb = what.rsplit(maxsplit=1)[-1] if what.startswith("UID ") else what.split(maxsplit=1)[0]
        match what:
            case "NOOP" | "IDLE":
                mirror.write(what)
            case "EXPUNGE":
                mirror.write(what)
            case "APPEND":
                mirror.write(what, b"INBOX (%b) {%d+}\r\n%b" % (_some_flags(choice), len(SIMPLE), SIMPLE))
            case "SELECT":
                mirror.write("EXAMINE" if mirror.kind.is_read_only else "SELECT", b"INBOX")
            case "STATUS":
                mirror.write(what, b"INBOX (MESSAGES UIDNEXT UNSEEN HIGHESTMODSEQ)", brings_modseqs=True)
            case "SEARCH":
                is_uid = not mirror.will_keep_numbers or choice.random() < 0.5
                mirror.write(verb, choice.choice((b"ALL", b"UNSEEN", b"DELETED")), is_uid=is_uid)
            case _:
                self._send_with_set(mirror, what, verb, choice)

    def _send_with_set(self, mirror: Mirror, what: str, verb: str, choice: Random) -> None:
        is_uid = what.startswith("UID ") or not mirror.will_keep_numbers or choice.random() < 0.4
        chosen = _choose_uids(mirror, choice) if is_uid else _choose_numbers(mirror, choice)
        if not chosen:
            return
        rest, expect, brings_modseqs = b"", None, False
        match what:
            case "FETCH":
                rest = choice.choice((b"(UID FLAGS)", b"(FLAGS)", b"(UID FLAGS RFC822.SIZE)"))
            case "FETCH BODY":
                rest = b"(UID BODY[TEXT])"
            case "FETCH CHANGEDSINCE":
                rest, brings_modseqs = b"(UID FLAGS) (CHANGEDSINCE %d)" % choice.randrange(1, 40), True
            case "STORE":
                rest, expect, brings_modseqs = _choose_edit(choice)
            case "COPY" | "MOVE":
                rest = choice.choice((b"INBOX", b"Work"))
        mirror.write(verb, rest, chosen=chosen, is_uid=is_uid, expect=expect, brings_modseqs=brings_modseqs)

    async def conclude(self) -> None:
        """Everybody asks for news, and knows what the store has."""
        for mirror in self.mirrors:
            mirror.write("NOOP")
        await self.rest()
        rows = await self.rows()
        for mirror in self.mirrors:
            mirror.compare(rows)
            if rows:
                mirror.write("FETCH", b"(UID FLAGS)", chosen=b"1:*", is_uid=True)
        await self.rest()
        for mirror in self.mirrors:
            assert not mirror.under_way
            assert all(row.uid and row.flags is not None for row in mirror.rows)
            mirror.compare(rows)

    def end(self) -> None:
        for mirror in self.mirrors:
            mirror.client.session.ended()


def _choose_edit(choice: Random) -> tuple[bytes, Callable[[Flags], Flags] | None, bool]:
    """Its words, what a silent one makes of flags, and whether it is conditional."""
    sign, expect = choice.choice(((b"+", add_flags), (b"-", remove_flags), (b"", set_flags)))
    is_silent, is_conditional = choice.random() < 0.6, choice.random() < 0.3
    given = _some_flags(choice)
    before = b"(UNCHANGEDSINCE %d) " % choice.choice((0, 5, 20, 10_000)) if is_conditional else b""
    rest = b"%b%bFLAGS%b (%b)" % (before, sign, b".SILENT" if is_silent else b"", given)
    return rest, expect(given.decode().split()) if is_silent else None, is_conditional


def _some_flags(choice: Random) -> bytes:
    return " ".join(choice.sample(FLAGS, choice.choice((1, 1, 2)))).encode()


def _choose_numbers(mirror: Mirror, choice: Random) -> bytes:
    count = len(mirror.rows)
    if not count:
        return b""
    one, other = choice.randint(1, count), choice.randint(1, count)
    return choice.choice((b"%d" % one, b"%d:%d" % (one, other), b"%d,%d" % (one, other), b"1:*", b"*"))


def _choose_uids(mirror: Mirror, choice: Random) -> bytes:
    """Without numbers nobody knows what "*" is."""
    one, other = choice.randint(1, 12), choice.randint(1, 12)
    to_star = b"%d:*" % (1 if mirror.kind.is_uid_only else one)
    return choice.choice((b"%d" % one, b"%d:%d" % (one, other), b"%d,%d" % (one, other), b"1:*", to_star))


# -- stores


@asynccontextmanager
async def in_memory(path: Path, random: Random, **settings: object) -> AsyncIterator[Crowd]:
    office = await open_office(**settings)
    yield Crowd(office, random, has_history=True)


@asynccontextmanager
async def on_sqlite(path: Path, random: Random, **settings: object) -> AsyncIterator[Crowd]:
    async with store_kit.open_sqlite(path) as opened:
        office = await open_office(**settings)
        office.store = opened.store
        yield Crowd(office, random, has_history=False)
