"""A running server with seeded mail, Debian's Chromium, and a page that is signed in. `--shots DIR` keeps pictures.

Every page is watched: no request leaves the origin, no script fails, no policy is broken.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request, sync_playwright

from tests.browser.letters import ANN

CHROMIUM = "/usr/bin/chromium"
_ROOT = Path(__file__).resolve().parents[2]
_DESK = (1280, 800)
_COLOURS = 200


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shots", default=None, help="directory for pictures of the page")


@dataclass(frozen=True, slots=True)
class Home:
    """Where the server is, and how Ann signs in."""

    url: str
    password: str
    directory: Path

    def sign_in(self, context: BrowserContext, address: str = ANN, password: str = "") -> None:
        answer = context.request.post(
            f"{self.url}/api/session",
            data={"username": address, "password": password or self.password},
            headers={"X-Posthouse": "1", "Origin": self.url},
        )
        assert answer.ok, answer.text()


@contextlib.contextmanager
def running_home(directory: Path) -> Iterator[tuple[Home, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "tests.browser.house", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        assert len(words) == 3, "the server did not start"
        yield Home(words[0], words[2], directory), process
        process.terminate()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with running_home(tmp_path_factory.mktemp("browser") / "house") as (home, _process):
        yield home


@pytest.fixture(scope="session")
def driver() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(driver: Playwright) -> Iterator[Browser]:
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    yield browser
    browser.close()


@dataclass
class Watch:
    """What pages did that they must not do."""

    url: str
    strayed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        page.on("request", self._see)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._hear(message.text))

    def _see(self, request: Request) -> None:
        if not request.url.startswith((self.url, "blob:", "data:", "about:")):
            self.strayed.append(request.url)

    def _hear(self, text: str) -> None:
        if "Content Security Policy" in text or "TrustedHTML" in text or "TrustedScript" in text:
            self.errors.append(text)


OpenPage = Callable[..., Page]


@pytest.fixture
def watch(home: Home) -> Watch:
    return Watch(home.url)


@pytest.fixture
def open_page(home: Home, browser: Browser, watch: Watch) -> Iterator[OpenPage]:
    """`open_page(path, viewport=(w, h), **context options)`: signed in as Ann."""
    contexts: list[BrowserContext] = []

    def make(path: str = "/mail/inbox", viewport: tuple[int, int] = _DESK, **options: object) -> Page:
        size = {"width": viewport[0], "height": viewport[1]}
        context = browser.new_context(viewport=size, **{"locale": "en-GB", "service_workers": "block", **options})  # type: ignore[arg-type]
        contexts.append(context)
        home.sign_in(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        watch.follow(page)
        page.goto(home.url + path)
        return page

    yield make
    for context in contexts:
        context.close()
    assert watch.strayed == []
    assert watch.errors == []


@pytest.fixture
def keep_shot(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    directory = request.config.getoption("--shots", default=None)

    def keep(page: Page, name: str) -> None:
        if directory:
            page.wait_for_timeout(1500)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(
                Path(str(directory)) / f"{name}.png", optimize=True
            )

    return keep
