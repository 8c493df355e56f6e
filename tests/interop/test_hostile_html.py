"""Hostile HTML in a real browser: Debian's Chromium shows every case of tests/corpora/hostile_html through `/view`.

No script runs, no request leaves the origin, nothing lies above the page. Then the same without the sanitiser: the
policy of the frame must do by itself.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Dialog, Frame, Page, Request, async_playwright

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.preview_pool import Helper
from posthouse.app.web_view import list_routes
from posthouse.mua.frame import HEADERS
from posthouse.ports.observe import FakeLog
from posthouse.serve.admission import Admission, AdmissionLimits
from posthouse.serve.http import HttpServer
from posthouse.serve.http_messages import HttpAnswer, HttpRequest, HttpRoute
from posthouse.serve.http_reading import HttpLimits
from tests.app.view_kit import ME, PNG, ViewRoom, open_view, to_wire, wrap_page, write_mail
from tests.mua.hostile_check import CORPUS, list_cases

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

CHROMIUM = "/usr/bin/chromium"
AT_ONCE = 24
_STOPPED = ("csp", "origin")  # reasons of the browser itself
_PAGE_POLICY = "default-src 'none'; script-src 'self'; frame-src 'self'; img-src 'self'"
_LISTENER = "window.told = []; addEventListener('message', event => told.push(String(event.data)));"
# What lies above or beside its place, or in the browser's top layer.
_FLOATING = """() => [...document.querySelectorAll('*')].filter(element => {
    const style = getComputedStyle(element);
    return !['static', 'relative'].includes(style.position) || style.zIndex !== 'auto'
        || element.matches(':modal, :popover-open, :fullscreen');
}).map(element => element.outerHTML.slice(0, 200))"""


@dataclass
class Site:
    """A page of our origin with messages in frames."""

    room: ViewRoom
    port: int
    raw: dict[str, bytes] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def show_frames(self, request: HttpRequest) -> HttpAnswer:
        frames = "".join(
            f'<iframe name="{path.rpartition("/")[2]}" sandbox="allow-popups allow-popups-to-escape-sandbox" '
            f'src="{path}" width="600" height="300"></iframe>'
            for path in request.query["show"].split(",")
        )
        page = f"<!DOCTYPE html><title>mail</title><script src=/listener.js></script><h1>mail</h1>{frames}"
        headers = {
            "Content-Security-Policy": _PAGE_POLICY,
            "Set-Cookie": "posthouse=x; Path=/; HttpOnly; SameSite=Strict",
        }
        return HttpAnswer(200, page.encode(), "text/html; charset=utf-8", headers)

    async def tell_listener(self, _: HttpRequest) -> HttpAnswer:
        return HttpAnswer(200, _LISTENER.encode(), "text/javascript")

    async def show_raw(self, request: HttpRequest) -> HttpAnswer:
        return HttpAnswer(200, self.raw[request.parameters["name"]], "text/html; charset=utf-8", HEADERS)


@asynccontextmanager
async def open_site() -> AsyncIterator[Site]:
    log = FakeLog()
    helper = Helper("posthouse.app.web_view_helper", SystemClock(), log, seconds=30.0)
    room = await open_view(helper)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    site = Site(room, listener.getsockname()[1])
    routes = [
        HttpRoute("/frames", site.show_frames),
        HttpRoute("/listener.js", site.tell_listener),
        HttpRoute("/raw/{name}", site.show_raw),
        *list_routes(room.view),
    ]
    server = HttpServer(routes, Admission(AdmissionLimits()), SystemClock(), log, HttpLimits())
    await server.start(listener, None)
    try:
        yield site
    finally:
        await server.drain(2.0)
        await helper.close()


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            await browser.close()


class Witness:
    """What a page did that it must not do."""

    def __init__(self, page: Page, base: str) -> None:
        self.page, self._base = page, base
        self.seen: list[str] = []
        self.own: list[str] = []
        page.on("request", self._note_request)
        page.on("requestfailed", self._note_failed)
        page.on("dialog", self._note_dialog)
        page.context.on("page", lambda other: self.seen.append(f"window: {other.url}"))

    def _note_request(self, request: Request) -> None:
        if request.url.startswith((self._base, "data:", "about:")):
            self.own.append(request.url)
        else:
            self.seen.append(f"request: {request.url}")

    def _note_failed(self, request: Request) -> None:
        """What the policy stopped was told of, but never sent."""
        told = f"request: {request.url}"
        if told in self.seen and request.failure in _STOPPED:
            self.seen.remove(told)
        elif told in self.seen:
            self.seen.append(f"{told}: {request.failure}")

    async def _note_dialog(self, dialog: Dialog) -> None:
        self.seen.append(f"script: {dialog.message}")
        await dialog.dismiss()

    async def look(self, paths: Sequence[str]) -> None:
        shown = quote(",".join(paths), safe="")
        url = f"{self._base}/frames?show={shown}"
        await self.page.goto(url, wait_until="load")
        # What runs late, runs now.
        await self.page.wait_for_timeout(400)
        assert self.page.url == url, f"the page has gone to {self.page.url}"
        assert await self.page.title() == "mail"
        assert await self.page.evaluate("told") == []
        assert len(self.page.main_frame.child_frames) == len(paths)
        for frame, path in zip(self.page.main_frame.child_frames, paths, strict=True):
            assert frame.url == f"{self._base}{path}", f"{path} has gone to {frame.url}"
            assert await frame.evaluate("self.origin") == "null"
            inner = [child.url for child in frame.child_frames]
            assert all(not url or url.startswith(("about:", "chrome-error:")) for url in inner), (path, inner)


async def list_floating(frame: Frame) -> list[str]:
    found: list[str] = await frame.evaluate(_FLOATING)
    return found


def slices(paths: Sequence[str]) -> list[Sequence[str]]:
    return [paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE)]


def read_mail(case: Path) -> bytes:
    octets = case.read_bytes()
    return wrap_page(octets) if case.suffix == ".html" else octets


async def test_no_case_runs_a_script_sends_a_request_or_lies_above_the_page() -> None:
    cases = [*list_cases("html"), *list_cases("eml")]
    async with open_site() as site, open_browser() as browser:
        page = await browser.new_page()
        witness = Witness(page, site.base)
        shown = [
            f"/view/{ME}/{await site.room.add(read_mail(case))}?images=1&dark={n % 2}" for n, case in enumerate(cases)
        ]
        names = dict(zip(shown, cases, strict=True))
        for paths in slices(shown):
            await witness.look(paths)
            for frame, path in zip(page.main_frame.child_frames, paths, strict=True):
                assert await list_floating(frame) == [], names[path].stem
                assert not frame.child_frames, names[path].stem
            assert witness.seen == [], [names[path].stem for path in paths]
        # Pictures from elsewhere were asked of us; nobody answers for that host here.
        assert any("/image?" in url for url in witness.own)
        assert all(url.lower().startswith(("http://", "https://")) for url in site.room.pictures.asked)


async def test_the_policy_alone_lets_no_script_run_and_no_request_out() -> None:
    """As if the sanitiser let everything through."""
    async with open_site() as site, open_browser() as browser:
        page = await browser.new_page()
        witness = Witness(page, site.base)
        site.raw = {case.stem: case.read_bytes() for case in list_cases("html")}
        for paths in slices([f"/raw/{name}" for name in site.raw]):
            await witness.look(paths)
            assert witness.seen == []


async def test_pictures_of_a_message_are_shown_in_its_frame_without_a_cookie() -> None:
    async with open_site() as site, open_browser() as browser:
        site.room.pictures.pictures["https://news.example/logo.png"] = PNG
        mail = write_mail('<p>Hello</p><img src="cid:one@here"><img src="https://news.example/logo.png">')
        mail.add_related(PNG, "image", "png", cid="<one@here>")
        email = await site.room.add(to_wire(mail))
        page = await browser.new_page()
        witness = Witness(page, site.base)
        await witness.look([f"/view/{ME}/{email}?images=1"])
        frame = page.main_frame.child_frames[0]
        # They are loaded when they come into view.
        async with asyncio.timeout(20):
            while await frame.evaluate("[...document.images].filter(image => image.naturalWidth > 0).length") < 2:
                await page.wait_for_timeout(50)
        assert witness.seen == []


async def test_a_link_of_a_message_opens_a_window_that_knows_nothing_of_the_page() -> None:
    async with open_site() as site, open_browser() as browser:
        email = await site.room.add(to_wire(write_mail(f'<a href="{site.base}/listener.js">out</a>')))
        page = await browser.new_page()
        witness = Witness(page, site.base)
        await witness.look([f"/view/{ME}/{email}"])
        async with page.context.expect_page() as opening:
            await page.main_frame.child_frames[0].click("a")
        other = await opening.value
        await other.wait_for_load_state()
        assert await other.evaluate("opener") is None
        assert await other.evaluate("document.referrer") == ""
        assert page.url.startswith(f"{site.base}/frames")


async def test_a_message_can_be_opened_in_a_window_of_its_own_and_has_no_origin_there() -> None:
    async with open_site() as site, open_browser() as browser:
        email = await site.room.add(to_wire(write_mail("<h1>Hello</h1><script>alert(1)</script>")))
        page = await browser.new_page()
        await page.goto(f"{site.base}/listener.js")
        await page.context.add_cookies([{"name": "posthouse", "value": "x", "url": site.base}])
        await page.goto(f"{site.base}/view/{ME}/{email}")
        assert await page.text_content("h1") == "Hello"
        assert await page.evaluate("self.origin") == "null"


def test_there_is_a_case_for_each_family() -> None:
    families = {case.stem.split("_")[0] for case in CORPUS.iterdir()}
    assert families >= {"script", "handler", "link", "load", "css", "structure", "tree", "unicode", "mail"}
