"""Mail leaves in slices, whoever slow its reader is."""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.manage.transfer_export import ExportParts
from posthouse.manage.web_export import export_mail
from posthouse.message.mailbox import AccountId
from posthouse.message.parse import parse_message
from posthouse.ports.clock import FakeClock
from posthouse.ports.compute import FakeCompute
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition
from posthouse.ports.store_memory import MemoryStore
from posthouse.ports.transfer import Leaving

ALICE = AccountId(1)


class Form:
    def __init__(self) -> None:
        self.slices: list[tuple[tuple[str, ...], int, int]] = []

    def write(self, path: tuple[str, ...], messages: Sequence[Leaving]) -> bytes:
        self.slices.append((path, len(messages), sum(len(message.octets) for message in messages)))
        return b"x" * len(messages)

    def finish(self) -> bytes:
        return b"end"


async def fill(store: MemoryStore, count: int, size: int) -> None:
    box = await store.mailboxes.create(ALICE, "Work")
    octets = b"Subject: x\r\n\r\n" + b"a" * size + b"\r\n"
    message = parse_message(octets)
    for _ in range(count):
        await store.messages.add(ALICE, [Addition((box.id,), InlineBody(octets), message)])


def parts(store: MemoryStore) -> ExportParts:
    return ExportParts(store.mailboxes, store.messages, store.blobs, FakeCompute())


async def test_a_slice_has_a_hundred_messages_at_most() -> None:
    store, form = MemoryStore(FakeClock()), Form()
    await fill(store, 250, 10)
    pieces = [piece async for piece in export_mail(ALICE, parts(store), form)]
    assert [count for path, count, _ in form.slices if path == ("Work",)] == [100, 100, 50]
    assert b"".join(pieces) == b"x" * 250 + b"end"


async def test_large_messages_make_smaller_slices() -> None:
    store, form = MemoryStore(FakeClock(), inline_limit=1 << 30), Form()
    await fill(store, 12, 1 << 20)
    async for _ in export_mail(ALICE, parts(store), form):
        pass
    assert max(octets for _, _, octets in form.slices) <= 9 << 20
    assert sum(count for _, count, _ in form.slices) == 12


async def test_nothing_is_read_before_the_slice_before_was_taken() -> None:
    store, form = MemoryStore(FakeClock()), Form()
    await fill(store, 250, 10)
    pieces = export_mail(ALICE, parts(store), form)
    await anext(aiter(pieces))
    assert len(form.slices) == 1
