"""What holds for every view: axe finds nothing serious (WCAG 2.2 AA), and nothing of the page comes from elsewhere.

axe-core comes with the packages of webmail/ (`make install`); it is put into the page by the browser's own debugger,
since the page's policy lets no foreign script in.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, Watch

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

_AXE = Path(__file__).resolve().parents[2] / "webmail" / "node_modules" / "axe-core" / "axe.min.js"
_RUN = """async () => {
    const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const found = await axe.run(document, {runOnly: rules, iframes: false});
    return found.violations.map(one =>
        `${one.impact} ${one.id}: ${one.nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join(' | ')}`);
}"""


def judge(page: Page) -> list[str]:
    page.wait_for_timeout(500)
    page.evaluate(_AXE.read_text())
    return [str(one) for one in page.evaluate(_RUN)]


def _open_conversation(page: Page) -> None:
    page.locator(".row", has_text="who takes what").first.click()
    expect(page.locator(".message").first).to_be_visible()
    page.locator(".message-to").first.click()


def _open_newsletter(page: Page) -> None:
    page.locator(".row", has_text="Five bulbs").first.click()
    expect(page.get_by_role("button", name="Unsubscribe")).to_be_visible()


def _open_attachments(page: Page) -> None:
    page.locator(".row", has_text="Photos from the coast").first.click()
    page.get_by_role("button", name="Preview notes.txt").click()


def _open_keys(page: Page) -> None:
    page.keyboard.press("?")


def _open_menu(page: Page) -> None:
    page.locator(".row").first.click(button="right")


def _choose(page: Page) -> None:
    page.keyboard.press("j")
    page.keyboard.press("x")


def _suggest(page: Page) -> None:
    page.locator("#search").click()


def _move(page: Page) -> None:
    page.keyboard.press("j")
    page.keyboard.press("v")


def _nothing(_: Page) -> None:
    return


VIEWS: dict[str, tuple[str, Callable[[Page], None]]] = {
    "inbox": ("/mail/inbox", _nothing),
    "conversation": ("/mail/inbox", _open_conversation),
    "newsletter": ("/mail/inbox", _open_newsletter),
    "attachments": ("/mail/inbox", _open_attachments),
    "keys": ("/mail/inbox", _open_keys),
    "menu": ("/mail/inbox", _open_menu),
    "chosen": ("/mail/inbox", _choose),
    "suggestions": ("/mail/inbox", _suggest),
    "move": ("/mail/inbox", _move),
    "search": ("/search?q=fair", _nothing),
    "empty": ("/search?q=nowhere-to-be-found", _nothing),
}


CASES = [(name, "light") for name in VIEWS] + [(name, "dark") for name in ("inbox", "conversation", "chosen", "search")]


@pytest.mark.parametrize(("name", "scheme"), CASES)
def test_axe_finds_nothing(open_page: OpenPage, name: str, scheme: str) -> None:
    path, act = VIEWS[name]
    page = open_page(path, color_scheme=scheme)
    expect(page.locator(".list-bar h1")).to_be_visible()
    expect(page.locator(".list-pane .row, .list-pane .centre p").first).to_be_visible()
    act(page)
    assert judge(page) == []


def test_axe_finds_nothing_on_a_phone(open_page: OpenPage) -> None:
    page = open_page(viewport=(390, 844), has_touch=True)
    expect(page.locator(".row").first).to_be_visible()
    assert judge(page) == []
    page.get_by_role("button", name="Show mailboxes").click()
    assert judge(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("navigation").get_by_role("link", name="Archive").click()
    page.locator(".row").first.click()
    expect(page.locator(".reading-head h1")).to_be_visible()
    assert judge(page) == []


def test_text_made_by_the_page_cannot_become_script(open_page: OpenPage, watch: Watch) -> None:
    page = open_page()
    expect(page.locator(".row").first).to_be_visible()
    refused = page.evaluate("""() => {
        const tries = [
            () => { document.createElement('div').innerHTML = '<b>x</b>'; },
            () => { document.createElement('script').src = '/x.js'; },
        ];
        return tries.map(one => { try { one(); return 'done'; } catch (error) { return error.name; } });
    }""")
    assert "done" not in refused
    watch.errors.clear()  # those are of what was just tried


def test_what_loads_is_ours_and_little(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.locator(".row").first).to_be_visible()
    sizes = page.evaluate("""() => performance.getEntriesByType('resource')
        .filter(one => one.initiatorType === 'script' || one.name.endsWith('.js')).map(one => one.encodedBodySize)""")
    assert 0 < sum(sizes) < 150 << 10


def test_the_page_opens_without_a_network_and_says_so(open_page: OpenPage) -> None:
    page = open_page(service_workers="allow")
    expect(page.locator(".row").first).to_be_visible()
    page.evaluate("() => navigator.serviceWorker.ready.then(() => undefined)")
    page.reload()
    expect(page.locator(".row").first).to_be_visible()
    page.context.set_offline(True)
    page.reload()
    expect(page.get_by_text("You are offline").first).to_be_visible()
    kept = page.evaluate("""() => caches.open('shell-1').then(cache => cache.keys())
        .then(keys => keys.map(one => new URL(one.url).pathname))""")
    assert [path for path in kept if path.startswith(("/jmap", "/api", "/view", "/preview"))] == []


def test_the_page_can_be_installed(open_page: OpenPage) -> None:
    page = open_page()
    manifest = page.request.get(page.url.partition("/mail")[0] + "/manifest.webmanifest").json()
    assert manifest["display"] == "standalone"
    for icon in manifest["icons"]:
        assert page.request.get(page.url.partition("/mail")[0] + icon["src"]).ok
