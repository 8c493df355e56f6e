"""How the demo looks at what arrived: in the message store beside the running server, exported, and in the journal."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.sqlite.journal_index import JournalIndex
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.app.demo_fetch import parse
from posthouse.app.demo_judge import Boxes
from posthouse.app.demo_server import Mailserver, run_command
from posthouse.app.directory import open_for_worker
from posthouse.app.store import open_store
from posthouse.manage.trace import Story, trace
from posthouse.message.mailbox import MAX_UID, AccountId, EmailId, Mailbox, Uid, UidRange
from posthouse.ports.directory import Accounts
from posthouse.ports.store import Fields

_ALL = (UidRange(Uid(1), MAX_UID),)


@dataclass(slots=True)
class StoreReader:
    """Every message of every account of one server. What was read once is kept: stored mail does not change."""

    server: Mailserver
    accounts: Accounts
    store: SqliteStore
    _known: dict[tuple[AccountId, EmailId], EmailMessage]

    async def make_mailboxes(self) -> None:
        for address, name in self.server.people.mailboxes.items():
            await self.store.mailboxes.create(self._find(address), name)

    async def read_all(self) -> Boxes:
        boxes: dict[str, Sequence[EmailMessage]] = {}
        for person in self.server.people.persons:
            account = self._find(person.address)
            for mailbox in await self.store.mailboxes.list_all(account):
                boxes[f"{person.address}/{mailbox.name}"] = await self._read(account, mailbox)
        return boxes

    def _find(self, address: str) -> AccountId:
        found = self.accounts.find(address)
        assert found is not None
        return found.id

    async def _read(self, account: AccountId, mailbox: Mailbox) -> Sequence[EmailMessage]:
        if not mailbox.total:
            return []
        rows = await self.store.messages.load(account, mailbox.id, _ALL, Fields.NONE)
        missing = [row.email for row in rows if (account, row.email) not in self._known]
        for number, octets in zip(missing, await self.store.blobs.read_many(account, missing), strict=True):
            self._known[account, number] = parse(octets or b"")
        return [self._known[account, row.email] for row in rows]


@contextlib.asynccontextmanager
async def reading(server: Mailserver) -> AsyncIterator[StoreReader]:
    settings = server.load_settings()
    with contextlib.closing(open_for_worker(settings)) as accounts:
        store = await open_store(settings, accounts, SystemClock())
        try:
            yield StoreReader(server, accounts, store, {})
        finally:
            await store.close()


async def export_inbox(server: Mailserver, address: str) -> Boxes:
    """By `posthouse export`, into a Maildir."""
    directory = server.directory / "export"
    await run_command(server, "export", address, str(directory))
    files = sorted(directory.glob("cur/*"))
    return {f"{address}/INBOX": [parse(file.read_bytes()) for file in files]}


def find_ends(servers: Sequence[Mailserver], message_ids: Iterable[str]) -> dict[str, frozenset[str]]:
    """Where the journals say that messages got to: ADDRESS/MAILBOX, and what was replied where they did not."""
    ends: dict[str, set[str]] = {each: set() for each in message_ids}
    for server in servers:
        with contextlib.closing(JournalIndex(server.journal)) as index:
            index.catch_up()
            for message_id, found in ends.items():
                found.update(end for story in trace(index, message_id, 20) for end in _read_ends(story))
    return {message_id: frozenset(found) for message_id, found in ends.items()}


def _read_ends(story: Story) -> Iterator[str]:
    for record in story.records:
        if record.get("step") == "delivered":
            yield str(record.get("mailbox"))
        elif record.get("step") in ("failed", "deferred"):
            yield str(record.get("reply"))
