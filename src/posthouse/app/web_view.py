"""Showing mail to a browser: `/view`, and the routes of its pictures, attachments, invitations and lists.

    GET  /view/{accountId}/{emailId}?images=0|1&dark=0|1   the body as a page of its own (mua/frame.py)
    GET  /attachments/{accountId}/{emailId}                all attachments as a zip file (web_view_zip.py)
    GET  /image?account=&url=&expires=&sig=                a picture from elsewhere (web_view_pictures.py)
    GET  /preview/{accountId}/{blobId}?page=&width=        a picture, a page of PDF or text (web_view_pictures.py)
    GET  /calendar/{accountId}/{blobId}                    an invitation as JSON (web_view_readers.py)
    POST /api/unsubscribe {emailId}                        leaves a mailing list (web_view_readers.py)

A message is never taken apart here but in a helper, and when that fails, or the message is too large or too tangled,
its plain text is shown. The frame of a message sends no cookies: its pictures have signed URLs (mua/tickets.py).
Nothing is durable; a few pages are kept for seconds
(web_view_recent.py).
"""

from __future__ import annotations

import asyncio
import html
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from posthouse.access.jmap.blob_ids import BlobId
from posthouse.access.jmap.body_parts import Part, build_tree, list_body
from posthouse.adapters.image_fetch import PictureFetch
from posthouse.adapters.preview_confine import Job
from posthouse.adapters.preview_pool import Helper, HelperBusy, HelperFailed
from posthouse.adapters.sqlite.directory_credentials import SqliteCredentials
from posthouse.app.directory import directory_path, open_for_worker
from posthouse.app.web import WebContext
from posthouse.app.web_jmap_desk import make_limits, make_parts
from posthouse.app.web_view_desk import ViewDesk
from posthouse.app.web_view_helper import INLINE_WIDTH, read_content_id
from posthouse.app.web_view_pictures import PictureRoutes
from posthouse.app.web_view_readers import ReaderRoutes
from posthouse.app.web_view_recent import Recent
from posthouse.app.web_view_zip import ZipRoutes
from posthouse.message.charsets import decode_text
from posthouse.message.content_type import parse_content_type
from posthouse.message.header import first_value
from posthouse.message.mailbox import AccountId, EmailId
from posthouse.message.objectids import find_email, name_account
from posthouse.message.parsed import PartFacts
from posthouse.message.text import decode_content, strip_html
from posthouse.mua.frame import HEADERS, write_page
from posthouse.mua.tickets import Signer, derive_key
from posthouse.ports.store import EmailRow, Fields, NoSuchMailbox
from posthouse.serve.http_messages import AnyRoute, HttpAnswer, HttpRequest, HttpRoute, refuse

_HELPER = "posthouse.app.web_view_helper"
_SWEEP_S = 30.0
_PAGES_IDLE_S = 1800.0  # who opens a message waits for a helper to start
_MAX_TEXT = 8_000_000  # octets of a text part as it lies there; of more only so much is shown
_MAX_STRIPPED = 200_000  # characters of a page without its helper: patterns hold up all threads, up to 0.3 us for each
_MAX_PARTS = 50
_MAX_INLINE = 200
_FETCHES = 12


def make_routes(web: WebContext) -> Sequence[AnyRoute]:
    desk = make_desk(web)
    for helper in (desk.pages, desk.previews):
        web.periodic.append((_SWEEP_S, helper.sweep))
        web.closing.append(helper.close)
    if desk.fetch is not None:
        web.closing.append(desk.fetch.close)
    return list_routes(desk)


def list_routes(desk: ViewDesk) -> Sequence[AnyRoute]:
    return [
        HttpRoute("/view/{account}/{email}", ViewRoutes(desk).show),
        *PictureRoutes(desk).list_routes(),
        *ZipRoutes(desk).list_routes(),
        *ReaderRoutes(desk).list_routes(),
    ]


def make_desk(web: WebContext) -> ViewDesk:
    settings = web.settings.web
    fetch = PictureFetch(web.resolver, ssl.create_default_context(), limit=settings.max_image)
    return ViewDesk(
        parts=make_parts(web),
        visitors=web.visitors,
        clock=web.clock,
        log=web.log,
        pages=Helper(_HELPER, web.clock, web.log, idle_s=_PAGES_IDLE_S),
        previews=Helper(_HELPER, web.clock, web.log),
        fetch=fetch if settings.remote_images else None,
        key=_read_key(web),
        fetching=asyncio.Semaphore(_FETCHES),
        limits=make_limits(web),
    )


def _read_key(web: WebContext) -> bytes:
    """The same in all workers, and after a restart."""
    people = open_for_worker(web.settings)
    credentials = SqliteCredentials(people, directory_path(web.settings))
    try:
        return derive_key(credentials.server_secret())
    finally:
        credentials.close()
        people.close()


@dataclass(slots=True)
class _Message:
    """One that is being shown. `found`: what has been written of it."""

    owner: AccountId
    row: EmailRow
    root: Part
    is_dark: bool
    with_remote: bool
    html: list[str] = field(default_factory=list)
    css: list[str] = field(default_factory=list)
    blocked: int = 0

    @property
    def email(self) -> EmailId:
        return self.row.email

    def blob_of(self, part: Part) -> str:
        return str(BlobId(self.email).below(part.part_id or "1"))

    def content_ids(self) -> Iterator[tuple[str, str]]:
        """Pictures that its HTML may name."""
        for part in self.root.walk():
            if part.facts.content_id and not part.is_multipart:
                yield read_content_id(part.facts.content_id), self.blob_of(part)


class ViewRoutes:
    def __init__(self, desk: ViewDesk) -> None:
        self._desk = desk
        self._recent: Recent[HttpAnswer] = Recent(desk.clock)

    async def show(self, request: HttpRequest) -> HttpAnswer:
        owner = await self._desk.identify(request)
        query = request.query
        key = (owner, request.parameters["email"], query.get("images"), query.get("dark"))
        return await self._recent.get(key, lambda: self._make(owner, request))

    async def _make(self, owner: AccountId, request: HttpRequest) -> HttpAnswer:
        message = await self._load(owner, request)
        lists = list_body(message.root)
        for part in lists.html[:_MAX_PARTS]:
            if not await self._write(message, part):
                message.html, message.css = [], []
                for text in lists.text[:_MAX_PARTS]:
                    await self._write_plainly(message, text)
                break
        page = write_page(message.html, "\n".join(message.css), is_dark=message.is_dark)
        headers = {**HEADERS, "X-Blocked-Images": str(message.blocked)}
        return HttpAnswer(200, page.encode("utf-8", "replace"), "text/html; charset=utf-8", headers)

    async def _load(self, owner: AccountId, request: HttpRequest) -> _Message:
        email = find_email(owner, request.parameters["email"])
        rows = await self._desk.parts.store.messages.load_emails(owner, [email], Fields.STRUCTURE) if email else []
        if not rows or rows[0].message is None:
            raise refuse(404, "Not Found", "There is no such email")
        query = request.query
        with_remote = query.get("images") == "1" and self._desk.fetch is not None
        return _Message(owner, rows[0], build_tree(rows[0].message.parts), query.get("dark") == "1", with_remote)

    # -- parts

    async def _write(self, message: _Message, part: Part) -> bool:
        """False: it cannot be shown so."""
        try:
            if part.facts.type == "text/html":
                await self._write_html(message, part)
            elif part.facts.type.startswith("image/"):
                signer = self._sign(message.owner)
                source = html.escape(signer.preview(message.blob_of(part), INLINE_WIDTH))
                message.html.append(f'<p><img src="{source}" alt="{html.escape(part.facts.name)}"></p>')
            elif part.facts.type.startswith("text/"):
                await self._write_text(message, part)
        except HelperBusy:
            raise refuse(503, "Service Unavailable", "Too many messages are being shown") from None
        except HelperFailed as failed:
            self._desk.log.info("message shown as plain text", reason=str(failed))
            return False
        return True

    async def _write_html(self, message: _Message, part: Part) -> None:
        """Raises HelperFailed."""
        signer = self._sign(message.owner)
        arguments: dict[str, int | str | bool] = {
            "key": signer.key.hex(),
            "account": signer.account,
            "expires": signer.expires,
            "remote": message.with_remote,
            "dark": message.is_dark,
        }
        for number, (content_id, blob) in enumerate(message.content_ids()):
            if number < _MAX_INLINE:
                arguments[f"cid {content_id}"] = blob
        text = await self._read_text(message, part.facts)
        done = await self._desk.pages.run(Job("html", text.encode("utf-8", "replace"), arguments), message.owner)
        size = int.from_bytes(done.octets[:4], "big")
        message.html.append(done.octets[4 : 4 + size].decode("utf-8", "replace"))
        message.css.append(done.octets[4 + size :].decode("ascii", "replace"))
        message.blocked += done.figures.get("blocked", 0)

    async def _write_text(self, message: _Message, part: Part) -> None:
        """Raises HelperFailed."""
        parameters = await self._read_parameters(message, part.facts)
        flowed = parameters.get("format", "").lower() == "flowed"
        arguments = {"flowed": flowed, "delsp": parameters.get("delsp", "").lower() == "yes"}
        text = await self._read_text(message, part.facts)
        done = await self._desk.pages.run(Job("plain", text.encode("utf-8", "replace"), {**arguments}), message.owner)
        message.html.append(done.octets.decode("utf-8", "replace"))

    async def _write_plainly(self, message: _Message, part: Part) -> None:
        """Without any helper; what is no text is left out."""
        if not part.facts.type.startswith("text/"):
            return
        text, is_page = await self._read_text(message, part.facts), part.facts.type == "text/html"
        message.html.append(await self._desk.parts.compute.run(partial(_show_plainly, text, is_page=is_page)))

    def _sign(self, owner: AccountId) -> Signer:
        return Signer.until(self._desk.key, name_account(owner), self._desk.clock.now())

    # -- octets

    async def _read_text(self, message: _Message, facts: PartFacts) -> str:
        octets = await self._read(message, facts.body, min(facts.end, facts.body + _MAX_TEXT))

        def decode() -> str:
            return decode_text(decode_content(octets, facts.encoding), facts.charset)

        return await self._desk.parts.compute.run(decode) if len(octets) > 65_536 else decode()

    async def _read_parameters(self, message: _Message, facts: PartFacts) -> dict[str, str]:
        """Of Content-Type."""
        head = await self._read(message, facts.header, min(facts.body, facts.header + 65_536))
        value = first_value(head, b"content-type")
        return dict(parse_content_type(value).params) if value else {}

    async def _read(self, message: _Message, start: int, end: int) -> bytes:
        offset = message.row.prefix_size + start
        try:
            return await self._desk.parts.store.blobs.read(message.owner, message.email, offset, end - start)
        except NoSuchMailbox:
            raise refuse(404, "Not Found", "The email has gone") from None


def _show_plainly(text: str, *, is_page: bool) -> str:
    shown = strip_html(text[:_MAX_STRIPPED]) if is_page else text
    return f'<div class="text">{html.escape(shown)}</div>'
