"""A real server with accounts: mail comes in by SMTP, and is submitted with TLS and a password; what became of both.

Clients remember what was answered 250, and try again what was not. A submission keeps its Message-ID and Date, so that
a repetition is known as one. Mailboxes are read from the store's databases when the server has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import smtplib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import apsw

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.sqlite.database import open_existing
from posthouse.app.account_tools import open_account_tools
from posthouse.app.directory import open_for_worker
from posthouse.app.store import open_store
from posthouse.config import load
from posthouse.message.mailbox import MAX_UID, Role, UidRange
from posthouse.ports.directory import Accounts
from posthouse.ports.directory_admin import AccountChange
from posthouse.ports.store import Fields, Store
from tests.crash.server_under_load import Clients, Server, free_port
from tests.crash.store_check import check_store

USERS = 4
PASSWORD = "correct horse battery staple"

MORE_CONFIG = """
[[listener]]
service = "submission"
bind = "127.0.0.1:{port}"
tls = "implicit"
[submission]
messages_per_hour = 0
recipients_per_hour = 0
recipients_per_day = 0
hold_suspicious = false
[store]
shards = 2
min_free = "1M"
body_file_size = "64K"
"""


class PostOffice(Server):
    """u0@ours.example and so on; all other domains are the sink's."""

    def __init__(self, base: Path, workers: int = 2) -> None:
        self.submission_port = free_port()
        super().__init__(base, workers)
        (base / "data").mkdir(mode=0o700)
        with open_account_tools(load(str(self.config))) as tools:
            tools.domains.add("ours.example")
            for number in range(USERS):
                tools.add_account(f"u{number}@ours.example", AccountChange(), PASSWORD)

    def configure(self, workers: int) -> None:
        super().configure(workers)
        more = MORE_CONFIG.format(port=self.submission_port)
        self.config.write_text(self.config.read_text() + more)

    @property
    def store_path(self) -> Path:
        return self.base / "data" / "store"

    def states(self) -> Counter[str]:
        """Of all submissions, by state."""
        found = Counter[str]()
        for path in self.store_path.glob("*.db"):
            connection = open_existing(str(path))
            try:
                rows = connection.execute("SELECT state, count(*) FROM submission GROUP BY state").fetchall()
            finally:
                connection.close()
            found.update({str(state): int(str(count)) for state, count in rows})
        return found

    def spooled(self) -> int:
        """Messages in all shards, whoever owns them."""
        count = 0
        for path in (self.base / "data" / "spool").glob("*/spool-*.db"):
            with contextlib.suppress(apsw.Error):  # being made or removed
                connection = open_existing(str(path))
                count += int(str(connection.execute("SELECT count(*) FROM message").get))
                connection.close()
        return count

    def are_settled(self) -> bool:
        return set(self.states()) <= {"final"} and self.spooled() == 0

    def read(self, role: Role) -> Counter[str]:
        """Tokens in everybody's mailbox of that role."""
        return asyncio.run(self._read(role))

    async def _read(self, role: Role) -> Counter[str]:
        settings = load(str(self.config))
        directory = open_for_worker(settings)
        store = await open_store(settings, directory, SystemClock())
        try:
            found = Counter[str]()
            for number in range(USERS):
                found.update(await read_tokens(store.store, directory, f"u{number}@ours.example", role))
            return found
        finally:
            await store.close()
            directory.close()

    def check(self) -> list[str]:
        return check_store(self.store_path)


async def read_tokens(store: Store, accounts: Accounts, login: str, role: Role) -> list[str]:
    account = accounts.find(login)
    assert account is not None
    box = await store.mailboxes.open_role(account.id, role)
    rows = await store.messages.load(account.id, box.id, (UidRange(1, MAX_UID),), Fields.NONE)
    tokens = []
    for row in rows:
        message = email.message_from_bytes(await store.blobs.read(account.id, row.email))
        tokens.append(str(message["X-Token"]))
    return tokens


class Correspondents(Clients):
    """Clients whose mail is for accounts here."""

    def _send(self, client: smtplib.SMTP, token: str) -> None:
        number = int(token[1:])
        recipients = [f"u{number % USERS}@ours.example"]
        if number % 10 == 0:
            recipients = [f"u{user}@ours.example" for user in range(USERS)]
        size = self._random.choice((200, 4000, 4000, 4000, 200_000))
        body = f"Subject: crash\r\nX-Token: {token}\r\n\r\n" + ("x" * 70 + "\r\n") * (size // 72)
        self.unsure.add(token)
        client.sendmail("a@src.example", recipients, body)
        self.acknowledged.add(token)


def expected_copies(token: str) -> int:
    return USERS if int(token[1:]) % 10 == 0 else 1


class Submitters:
    """Threads that submit as u0, u1, ...; a token each, until it was answered 250."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._count = count
        self._context = ssl.create_default_context()
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self.acknowledged: set[str] = set()
        self.unsure: set[str] = set()
        self.errors: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._run, args=(user,), daemon=True) for user in range(USERS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(300)

    def _run(self, user: int) -> None:
        tokens = [f"s{number}" for number in range(user, self._count, USERS)]
        while tokens:
            try:
                with smtplib.SMTP_SSL("127.0.0.1", self._port, timeout=20, context=self._context) as client:
                    client.login(f"u{user}@ours.example", PASSWORD)
                    for _ in range(min(10, len(tokens))):
                        self._send(client, user, tokens[-1])
                        tokens.pop()
            except (OSError, smtplib.SMTPException) as error:
                self.errors[type(error).__name__] += 1
                time.sleep(0.05)

    def _send(self, client: smtplib.SMTP, user: int, token: str) -> None:
        size = 100_000 if token.endswith("7") else 2000
        head = (
            f"From: u{user}@ours.example\r\nTo: b@far.example\r\nSubject: crash\r\nX-Token: {token}\r\n"
            f"Message-ID: <{token}@client.example>\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\n\r\n"
        )
        self.unsure.add(token)
        client.sendmail(f"u{user}@ours.example", ["b@far.example"], head + ("x" * 70 + "\r\n") * (size // 72))
        self.acknowledged.add(token)


@contextlib.contextmanager
def open_office(base: Path, workers: int = 2) -> Iterator[PostOffice]:
    office = PostOffice(base, workers)
    try:
        office.start()
        yield office
    finally:
        office.close()
