"""The HTTP API on fakes and the real HTTP application: a browser that keeps its cookie, and programs without one."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from posthouse.adapters.passkeys import WebAuthn
from posthouse.adapters.sqlite.directory import SqliteDirectory
from posthouse.adapters.sqlite.directory_admin import SqliteDirectoryAdmin, open_directory
from posthouse.adapters.sqlite.directory_credentials import SqliteCredentials
from posthouse.adapters.sqlite.directory_factors import SqliteSecondFactors
from posthouse.adapters.sqlite.directory_web import DirectoryWriter, SqliteWebSessions
from posthouse.app.web import Visitors
from posthouse.app.web_api import ApiParts, make_endpoints
from posthouse.app.web_api_desk import ApiDesk, Cookies, WebFacts
from posthouse.app.web_api_table import Api
from posthouse.app.web_api_transfer import TransferParts
from posthouse.app.worker_context import Arguments, LinkError
from posthouse.manage.accounts import PasswordOperations
from posthouse.manage.trace import Story
from posthouse.manage.web_passwords import OwnPasswords
from posthouse.message.address import parse_address
from posthouse.message.mailbox import AccountId
from posthouse.message.peer import Peer
from posthouse.msa.outbox import is_open
from posthouse.ports.clock import FakeClock
from posthouse.ports.compute import FakeCompute
from posthouse.ports.credentials import NEW, Credential, CredentialKind, FakePasswordHash
from posthouse.ports.directory_admin import NewAccount
from posthouse.ports.history import History, Record
from posthouse.ports.login import Login, Scope
from posthouse.ports.observe import FakeFigure, FakeLog
from posthouse.ports.sending import Sending, SendRefused
from posthouse.ports.store_memory import MemoryStore
from posthouse.ports.transfer_memory import MemoryImports
from posthouse.serve.http_app import AppSettings, HttpApp
from posthouse.serve.http_reading import HttpLimits
from posthouse.trust.authenticator import Authenticator, LoginFigures, LoginParts, LoginSettings
from posthouse.trust.login import SaslConversation
from posthouse.trust.web_factors import Challenges, CodeDesk
from posthouse.trust.web_logins import WebLogins, WebLoginSettings

ALICE, BOB, ADMIN = AccountId(1), AccountId(2), AccountId(3)
HOST = "mail.example.org"
HOME = "192.0.2.7"
PASSWORD = "alice's own"
PAGE = {"x-posthouse": "1", "sec-fetch-site": "same-origin", "origin": f"https://{HOST}"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def detail(self) -> str:
        assert self.headers["content-type"] == "application/problem+json"
        assert self.json["status"] == self.status
        return str(self.json["detail"])


class FakeLink:
    """`answers`: what the coordinator says to an op; `asked` what it was asked."""

    is_connected = True

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.asked: list[tuple[str, Arguments]] = []

    def register(self, op: str, handler: object) -> None: ...

    def on_notice(self, op: str, handler: object) -> None: ...

    def on_connect(self, fill: object) -> None: ...

    def on_disconnect(self, callback: object) -> None: ...

    def notify(self, op: str, args: Arguments) -> bool:
        return True

    async def call(self, op: str, args: Arguments, timeout_s: float = 10.0) -> object:
        self.asked.append((op, args))
        if op not in self.answers:
            raise LinkError("no coordinator")
        answer = self.answers[op]
        if isinstance(answer, Exception):
            raise answer
        return answer(args) if callable(answer) else answer


class FakeSending:
    """Of `Sending` only what opens and shuts the Outbox; `refusal`: what opening it is answered with."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.refusal = ""
        self.noted: list[tuple[AccountId, str]] = []

    async def is_outbox_on(self, account: AccountId) -> bool:
        return await is_open(self._store.annotations, account)

    async def note_annotation(self, account: AccountId, entry: str) -> None:
        self.noted.append((account, entry))

    def check_annotation(self, login: Login, entry: str, value: bytes | None) -> None:
        if self.refusal:
            raise SendRefused(self.refusal)


class KnownHistory:
    def __init__(self, records: list[Record]) -> None:
        self._records = records

    def find(self, terms: Collection[str]) -> Sequence[Record]:
        return [record for record in self._records if {str(value) for value in record.values()} & set(terms)]


class _Connection:
    is_stuck = False

    def cancel_when_lost(self, task: object) -> None: ...


@dataclass
class Browser:
    """`token` is the cookie it keeps. Without TLS it is on this machine unless `is_local` says no."""

    app: HttpApp
    peer: str = HOME
    scheme: str = "https"
    host: str = HOST
    headers: dict[str, str] = field(default_factory=lambda: dict(PAGE))
    cookie: str = ""

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        sent: dict[str, str | None] = {"host": self.host, **self.headers}
        octets = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        if body is not None or raw is not None:
            sent["content-type"] = "application/json"
        if self.cookie:
            sent["cookie"] = self.cookie
        sent.update(headers or {})
        sent["content-length"] = str(len(octets))
        answer = await run_request(self.app, method, path, sent, octets, (self.peer, self.scheme))
        for cookie in answer.cookies:
            pair = cookie.partition(";")[0]
            self.cookie = "" if pair.endswith("=") else pair
        return answer

    async def sign_in(self, username: str = "alice@example.org", password: str = PASSWORD, **more: str) -> Answer:
        return await self.call("POST", "/api/session", {"username": username, "password": password, **more})


def make_scope(
    method: str, path: str, headers: Mapping[str, str | None], client: tuple[str, str]
) -> MutableMapping[str, Any]:
    path, _, query = path.partition("?")
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items() if value is not None],
        "client": (client[0], 50_000),
        "scheme": client[1],
        "state": {"connection": _Connection()},
    }


async def run_request(
    app: HttpApp, method: str, path: str, headers: Mapping[str, str | None], body: bytes, client: tuple[str, str]
) -> Answer:
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])
    told: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: MutableMapping[str, Any]) -> None:
        told.append(message)

    await app(make_scope(method, path, headers, client), receive, send)
    pairs = [(name.decode(), value.decode("latin-1")) for name, value in told[0]["headers"]]
    octets = b"".join(message["body"] for message in told[1:])
    cookies = [value for name, value in pairs if name == "set-cookie"]
    return Answer(told[0]["status"], dict(pairs), cookies, octets)


@dataclass
class House:
    path: str
    clock: FakeClock
    admin: SqliteDirectoryAdmin
    people: SqliteDirectory
    writer: DirectoryWriter
    credentials: SqliteCredentials
    folder: str
    hasher: FakePasswordHash = field(default_factory=FakePasswordHash)
    log: FakeLog = field(default_factory=FakeLog)
    link: FakeLink = field(default_factory=FakeLink)
    pauses: list[float] = field(default_factory=list)
    max_import: int = 1 << 20
    records: list[Record] | OSError = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = MemoryStore(self.clock)
        self.sending = FakeSending(self.store)
        numbers = itertools.count(1)

        def octets(count: int) -> bytes:
            return next(numbers).to_bytes(count, "big")

        figures = LoginFigures(FakeFigure(), FakeFigure(), FakeFigure(), FakeFigure())
        parts = LoginParts(
            self.credentials,
            self.people,
            self.hasher,
            FakeCompute(),
            self.clock,
            self.log,
            figures,
            self._pause,
            octets,
            spell=self.people.spell_login,
        )
        self.authenticator = Authenticator(LoginSettings(), parts)
        self.visitors = Visitors(self._converse, self._why_over)
        self.sessions = SqliteWebSessions(self.people, self.writer)
        self.factors = SqliteSecondFactors(self.people, self.writer)
        limits = WebLoginSettings()
        self.logins = WebLogins(self.sessions, self.credentials, self.people, self.clock, octets, limits)
        self.visitors.cookies = Cookies(self.logins)
        self.passwords = PasswordOperations(self.credentials, self.hasher, FakeCompute(), self.clock, octets)
        self.desk = ApiDesk(
            facts=WebFacts(HOST, "1.2.3", 10.0, 50_000_000, limits.lifetime_s),
            visitors=self.visitors,
            accounts=self.people,
            credentials=self.credentials,
            sessions=self.sessions,
            logins=self.logins,
            factors=self.factors,
            codes=CodeDesk(self.factors, self.credentials, self.clock),
            challenges=Challenges(self.credentials, self.clock, octets),
            passkeys=WebAuthn(),
            passwords=self.passwords,
            own=OwnPasswords(self.passwords, self.sessions),
            open_admin=self._lend_admin,
            store=self.store.as_store(),
            sending=cast(Sending, self.sending),
            link=self.link,
            clock=self.clock,
            compute=FakeCompute(),
            log=self.log,
            secret_octets=octets,
        )
        transfers = TransferParts(MemoryImports(self.store.messages), self.folder, self.max_import, 100_000)
        self.api = Api(make_endpoints(self.desk, ApiParts(transfers, self._look)), self.desk.guard)
        self.app = HttpApp(self.api.make_routes(), AppSettings(HttpLimits()), self.log)

    def _look(self, question: Callable[[History], list[Story]]) -> list[Story]:
        if isinstance(self.records, OSError):
            raise self.records
        return question(KnownHistory(self.records))

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(seconds)

    def _converse(self, scope: Scope, peer: Peer) -> SaslConversation:
        return SaslConversation(self.authenticator, peer, scope)

    def _why_over(self, login: Login) -> str:
        return ""

    @contextmanager
    def _lend_admin(self) -> Iterator[SqliteDirectoryAdmin]:
        yield self.admin

    def browser(self, peer: str = HOME) -> Browser:
        return Browser(self.app, peer)

    async def signed_in(self, username: str = "alice@example.org", password: str = PASSWORD) -> Browser:
        browser = self.browser()
        answer = await browser.sign_in(username, password)
        assert answer.status == 200, answer.body
        return browser

    def program(self, name: str, password: str) -> Browser:
        told = base64.b64encode(f"{name}:{password}".encode()).decode()
        return Browser(self.app, headers={"authorization": f"Basic {told}"})

    def close(self) -> None:
        self.writer.close()
        self.credentials.close()
        self.people.close()
        self.admin.close()


async def open_house(folder: Path) -> AsyncIterator[House]:
    """Alice and Bob, who are nobody in particular, and an administrator; all have passwords."""
    path, clock = str(folder / "directory.db"), FakeClock()
    admin = SqliteDirectoryAdmin(path, clock)
    admin.add_domain("example.org")
    for number, name in enumerate(("alice", "bob", "root"), 1):
        new = NewAccount(parse_address(f"{name}@example.org"), name.title(), is_admin=name == "root")
        assert admin.add_account(new).id == number
    people = open_directory(path)
    house = House(path, clock, admin, people, DirectoryWriter(path), SqliteCredentials(people, path), str(folder))
    for account, password in ((ALICE, PASSWORD), (BOB, "bob's own"), (ADMIN, "root's own")):
        await house.credentials.add(Credential(NEW, account, CredentialKind.MAIN, f"$argon2id$fake${password}"))
    yield house
    house.close()
