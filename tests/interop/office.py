"""Our server with accounts: filled by its own commands, its mailboxes read from the store beside it."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from click.testing import CliRunner

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.app.cli import main
from posthouse.app.directory import open_for_worker
from posthouse.app.store import open_store
from posthouse.config import load
from posthouse.message.mailbox import MAX_UID, AccountId, Mailbox, UidRange
from posthouse.ports.store import Fields
from tests.interop.lab import Host, Lab, LabError, Posthouse, wait_until

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Stored:
    """A message of a mailbox. `octets` as clients see them; `prefix` of them is what delivery put in front."""

    octets: bytes
    prefix: bytes
    flags: frozenset[str]
    received: float

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.octets, policy=email.policy.default)

    @property
    def body(self) -> bytes:
        """What came in."""
        return self.octets[len(self.prefix) :]


def run_command(config: Path, words: str | Sequence[str]) -> str:
    """`posthouse WORDS`, in this process; whoever is asked for a password gives PASSWORD."""
    arguments = ["-c", str(config), *(words.split() if isinstance(words, str) else words)]
    mask = os.umask(0o022)
    try:
        done = CliRunner().invoke(main, arguments, input=f"{PASSWORD}\n")
    finally:
        os.umask(mask)  # commands have one of their own
    if done.exit_code:
        raise LabError(f"{words}: {done.exit_code}: {done.output}")
    return done.output


class PostOffice(Posthouse):
    """`commands` make its domains, accounts and aliases, before it starts."""

    def __init__(self, lab: Lab, host: Host, hostname: str, commands: Sequence[str], *, tables: str = "") -> None:
        self._commands = commands
        super().__init__(lab, host, hostname, tables=tables)

    def prepare(self) -> None:
        for words in self._commands:
            run_command(self.config, words)

    def read_mailbox(self, address: str, name: str = "INBOX") -> list[Stored]:
        """In the order of UIDs; nothing when there is no such mailbox."""
        return asyncio.run(self._read(address, name))

    def wait_stored(self, address: str, count: int = 1, name: str = "INBOX", timeout: float = 20.0) -> list[Stored]:
        def look() -> list[Stored]:
            found = self.read_mailbox(address, name)
            return found if len(found) >= count else []

        try:
            return wait_until(look, f"{count} messages in {name} of {address}", timeout)
        except LabError as error:
            raise LabError(f"{error}; log:\n{self.read_log()[-4000:]}") from None

    def find_stored(self, address: str, subject: str, name: str = "INBOX") -> Stored:
        """Waits for the message with this subject."""

        def look() -> Stored | None:
            return next((each for each in self.read_mailbox(address, name) if each.message["Subject"] == subject), None)

        try:
            found = wait_until(look, f"{subject!r} in {name} of {address}")
        except LabError as error:
            raise LabError(f"{error}; log:\n{self.read_log()[-4000:]}") from None
        assert found is not None
        return found

    async def _read(self, address: str, name: str) -> list[Stored]:
        settings = load(str(self.config))
        directory = open_for_worker(settings)
        store = await open_store(settings, directory, SystemClock())
        try:
            account = directory.find(address)
            assert account is not None, address
            boxes = await store.mailboxes.list_all(account.id)
            path = name.split("/")
            box = next((each for each in boxes if _find_path(each, boxes) == path), None)
            return [] if box is None else await _read_all(store, account.id, box)
        finally:
            await store.close()
            directory.close()


def _find_path(box: Mailbox, boxes: Sequence[Mailbox]) -> list[str]:
    parent = next((each for each in boxes if each.id == box.parent), None)
    return [*_find_path(parent, boxes), box.name] if parent else [box.name]


async def _read_all(store: SqliteStore, account: AccountId, box: Mailbox) -> list[Stored]:
    uids = (UidRange(1, MAX_UID),)
    rows = await store.messages.load(account, box.id, uids, Fields.DATES)
    table = await store.messages.keywords(account)
    found = await store.blobs.read_many(account, [row.email for row in rows])
    stored = []
    for row, octets in zip(rows, found, strict=True):
        if octets is None:
            continue  # expunged between the two reads
        assert row.placement is not None
        flags = table.flags_of(row.placement.flags)
        stored.append(Stored(octets, octets[: row.prefix_size], frozenset(flags), row.received))
    return stored
