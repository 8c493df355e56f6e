"""`/view` and its kin on a store in memory: Alice's mail, helpers that work at once or are processes, no network.

room = await open_view()
email = await room.add(octets)                     # "M1-1"
answer = await room.get(f"/view/{ME}/{email}")
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage

from posthouse.adapters.preview_confine import Done, Job
from posthouse.adapters.preview_pool import HelperBusy, HelperFailed
from posthouse.app.web import Visitors
from posthouse.app.web_limits import AccountLimits, UsageLimits
from posthouse.app.web_view import list_routes
from posthouse.app.web_view_desk import Fetching, Helping, ViewDesk
from posthouse.app.web_view_helper import HANDLERS
from posthouse.message.objectids import name_account, name_email
from posthouse.mua.tickets import derive_key
from posthouse.ports.fetch import FetchError
from posthouse.ports.login import Login
from posthouse.ports.observe import FakeLog
from posthouse.serve.http_app import AppSettings, HttpApp
from posthouse.serve.http_messages import AnyRoute, HttpRequest
from posthouse.serve.http_reading import HttpLimits
from tests.access.jmap_kit import ALICE, LOGIN, Desk, open_desk
from tests.app.web_api_kit import Answer, run_request

ME = name_account(ALICE.id)
KEY = derive_key(b"secret")
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8cfc0f01f0005000"
    "1ff56c7270d0000000049454e44ae426082"
)


class InlineHelper:
    """Works at once, in this process. `failing`: why it does not; `jobs` it was given."""

    def __init__(self) -> None:
        self.failing = ""
        self.is_busy = False
        self.jobs: list[Job] = []

    async def run(self, job: Job, account: int) -> Done:
        self.jobs.append(job)
        if self.is_busy:
            raise HelperBusy("too many jobs wait")
        if self.failing:
            raise HelperFailed(self.failing)
        try:
            return HANDLERS[job.kind](job)
        except Exception as error:
            raise HelperFailed(str(error)) from error

    async def sweep(self) -> None: ...

    async def close(self) -> None: ...


class FakePictures:
    """`pictures` by URL; `posted` lists what was sent; `status` is the answer to it."""

    def __init__(self, pictures: Mapping[str, bytes] | None = None) -> None:
        self.pictures = dict(pictures or {})
        self.asked: list[str] = []
        self.posted: list[tuple[str, Mapping[str, str]]] = []
        self.status = 200

    async def get(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.pictures:
            raise FetchError(f"{url}: no route to host")
        return self.pictures[url]

    async def post_form(self, url: str, form: Mapping[str, str]) -> int:
        self.posted.append((url, form))
        if not self.status:
            raise FetchError(f"{url}: no route to host")
        return self.status

    async def close(self) -> None: ...


def make_visitors(login: Login) -> Visitors:
    from posthouse.app.web import Visit

    class Cookies:
        async def find(self, request: HttpRequest) -> Visit | None:
            return Visit(login, lambda: "") if request.headers.get("cookie") else None

    def converse(*_: object) -> object:
        raise AssertionError("nobody logs in here")

    return Visitors(converse, lambda _: "", Cookies())  # type: ignore[arg-type]


@dataclass
class ViewRoom:
    desk: Desk
    view: ViewDesk
    helper: InlineHelper
    pictures: FakePictures
    app: HttpApp
    log: FakeLog = field(default_factory=FakeLog)

    async def add(self, octets: bytes) -> str:
        added = await self.desk.add(octets)
        return name_email(ALICE.id, added.email)

    async def get(self, path: str, *, cookie: str = "posthouse=x") -> Answer:
        return await self._call("GET", path, {"cookie": cookie or None}, b"")

    async def post(self, path: str, body: object) -> Answer:
        headers = {"cookie": "posthouse=x", "content-type": "application/json"}
        return await self._call("POST", path, headers, json.dumps(body).encode())

    async def _call(self, method: str, path: str, headers: Mapping[str, str | None], body: bytes) -> Answer:
        sent = {"host": "mail.ours.example", "content-length": str(len(body)), **headers}
        return await run_request(self.app, method, path, sent, body, ("192.0.2.7", "https"))


async def open_view(helper: Helping | None = None, fetch: Fetching | None = None) -> ViewRoom:
    desk = await open_desk()
    inline, pictures, log = InlineHelper(), FakePictures(), FakeLog()
    view = ViewDesk(
        parts=desk.parts,
        visitors=make_visitors(LOGIN),
        clock=desk.parts.clock,
        log=log,
        pages=helper or inline,
        previews=helper or inline,
        fetch=fetch or pictures,
        key=KEY,
        fetching=asyncio.Semaphore(2),
        limits=AccountLimits(UsageLimits(2, 2, 2, 0, downloads=2), desk.parts.clock),
    )
    app = make_app(list_routes(view), log)
    return ViewRoom(desk, view, inline, pictures, app, log)


def make_app(routes: Sequence[AnyRoute], log: FakeLog) -> HttpApp:
    return HttpApp(routes, AppSettings(HttpLimits()), log)


def write_mail(html: str | None = None, text: str | None = None, **fields: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Bob <bob@there.example>", "alice@ours.example", "Hello"
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    if text is not None:
        message.set_content(text)
    if html is not None and text is not None:
        message.add_alternative(html, subtype="html")
    elif html is not None:
        message.set_content(html, subtype="html")
    return message


def to_wire(message: EmailMessage) -> bytes:
    return message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def wrap_page(page: bytes) -> bytes:
    """HTML as a message, octet by octet what it was."""
    head = b"From: m@attacker.example\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    return head + b"\r\n" + page.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
