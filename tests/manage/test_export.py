"""What is exported and imported again is the same, octet by octet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from posthouse.adapters.maildir_reader import MaildirSource
from posthouse.adapters.maildir_writer import MaildirSink
from posthouse.adapters.mbox import MboxSource, find_files
from posthouse.adapters.mbox_writer import MboxSink
from posthouse.message.mailbox import Role, UidRange
from posthouse.message.parse import parse_message
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition
from posthouse.ports.transfer import Leaving
from tests.manage.transfer_kit import ALICE, BOB, Depot, Kept, make_letter, open_depot, wire

LIMIT = 1 << 22
AWKWARD = [
    b"",
    b"\r\n",
    b"no header and no end",
    b"Subject: bare\r\n\r\none\ntwo\rthree\r\r\nfour",
    b"From here\r\nSubject: x\r\n\r\nFrom a\r\n>From b\r\n\r\nFrom a@b Tue Nov 14 22:13:20 2023\r\n\r\n",
    b"Status: RO\r\nX-Posthouse: size=3\r\nX-Keywords: none\r\n\r\n\r\n\r\n",
    b"Subject: nul\r\n\r\n\x00\xff\r\n",
    wire(make_letter(1, "large\n" * 20_000)),
]


@pytest.fixture
async def depot(tmp_path: Path) -> AsyncIterator[Depot]:
    async with open_depot(tmp_path) as opened:
        yield opened


def make_additions(*messages: bytes, where: Sequence[object] = (Role.INBOX,)) -> list[Addition]:
    flags = [frozenset(), frozenset({"\\Seen", "Project"}), frozenset({"\\Flagged", "\\Deleted", "$Forwarded"})]
    return [
        Addition(
            tuple(where),  # type: ignore[arg-type]
            InlineBody(octets),
            parse_message(octets),
            b"Return-Path: <ann@example.com>\r\n" if number % 2 else b"",
            1_700_000_000.000001 + number * 1.000003,
            30 * number,
            flags[number % 3],
        )
        for number, octets in enumerate(messages)
    ]


async def fill(depot: Depot, messages: Sequence[bytes] = tuple(AWKWARD)) -> None:
    store = depot.store
    odd = await store.mailboxes.create(ALICE, "v1.0 \\ ~ Ünï")
    inner = await store.mailboxes.create(ALICE, "inner.mbox", odd.id)
    await store.mailboxes.create(ALICE, "Empty")
    await store.messages.add(ALICE, make_additions(*messages))
    await store.messages.add(ALICE, make_additions(wire(make_letter(2)), where=(inner.id, odd.id, Role.SENT)))


def without_zone(found: dict[str, list[Kept]]) -> dict[str, list[Kept]]:
    return {name: [Kept(m.octets, m.flags, m.received) for m in mail] for name, mail in found.items()}


async def test_a_maildir_comes_back_as_it_went(depot: Depot, tmp_path: Path) -> None:
    exact = [octets for octets in AWKWARD if octets.find(b"\r\n") == octets.find(b"\n") - 1]
    await fill(depot, exact)
    target = tmp_path / "out"
    result = await depot.take(MaildirSink(str(target), "1"))
    assert (result.exported, result.mailboxes) == (len(exact) + 3, 5)
    assert depot.reports[-1] == (result.exported, result.exported)
    again = await depot.bring(MaildirSource(str(target), limit=LIMIT), BOB)
    assert (again.imported, again.bad) == (result.exported, 0)
    assert await depot.everything(BOB) == without_zone(await depot.everything())


async def test_mbox_files_come_back_as_they_went(depot: Depot, tmp_path: Path) -> None:
    await fill(depot)
    target = tmp_path / "out"
    result = await depot.take(MboxSink(str(target), "1"))
    for file, path in find_files(str(target)):
        await depot.bring(MboxSource(file, path, limit=LIMIT), BOB)
    wanted = {name: mail for name, mail in (await depot.everything()).items() if mail}
    assert {name: mail for name, mail in (await depot.everything(BOB)).items() if mail} == wanted
    assert result.exported == sum(map(len, wanted.values()))


async def test_an_export_goes_on_where_it_stopped(depot: Depot, tmp_path: Path) -> None:
    await depot.store.messages.add(ALICE, make_additions(*[wire(make_letter(number)) for number in range(450)]))

    class Breaking(MaildirSink):
        def write(self, messages: Sequence[Leaving]) -> None:
            super().write(messages[:150])
            raise KeyboardInterrupt

    target = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        await depot.take(Breaking(str(target), "1"))
    result = await depot.take(MaildirSink(str(target), "1"))
    assert (result.exported, result.already) == (300, 150)
    await depot.bring(MaildirSource(str(target), limit=LIMIT), BOB)
    assert await depot.everything(BOB) == without_zone(await depot.everything())


async def test_expunged_mail_is_listed_and_comes_back(depot: Depot) -> None:
    from posthouse.adapters.sqlite.store_gone import list_gone

    await fill(depot)
    inbox = await depot.store.mailboxes.open_role(ALICE, Role.INBOX)
    await depot.store.messages.expunge(ALICE, inbox.id, (UidRange(1, 3),))
    gone = await list_gone(depot.store.core, ALICE)
    assert [(each.email, each.mailbox, each.size) for each in gone] == [(3, inbox.id, len(AWKWARD[2]))]
    assert await list_gone(depot.store.core, ALICE, depot.clock.now() + 1) == []
    await depot.store.undelete(ALICE, [gone[0].email])
    assert await list_gone(depot.store.core, ALICE) == []
    assert (await depot.everything())["INBOX"][-1].octets == AWKWARD[2]
