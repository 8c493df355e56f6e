"""The files of the web page and what stands in their heads, out of a small page in a temporary directory."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from posthouse.app.web_page import WebPage
from posthouse.serve.http_messages import HttpAnswer, HttpRequest

_PAGE = b'<html><script nonce="__NONCE__"></script><link nonce="__NONCE__"></html>'
_SCRIPT = b"console.log(1)\n" * 40


@pytest.fixture
def page(tmp_path: Path) -> WebPage:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(_PAGE)
    (tmp_path / "sw.js").write_bytes(b"// worker")
    (tmp_path / "assets" / "main-abc.js").write_bytes(_SCRIPT)
    (tmp_path / "assets" / "main-abc.js.gz").write_bytes(gzip.compress(_SCRIPT))
    return WebPage(tmp_path)


async def _get(page: WebPage, path: str, **headers: str) -> HttpAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await page.answer(HttpRequest("GET", path, {}, named, "127.0.0.1"))


def _text(answer: HttpAnswer) -> bytes:
    assert isinstance(answer.body, bytes)
    return answer.body


async def test_each_answer_of_the_page_has_a_nonce_of_its_own_in_policy_and_tags(page: WebPage) -> None:
    seen = set()
    for _ in range(3):
        answer = await _get(page, "/mail/inbox/T1-5", accept="text/html,*/*;q=0.8")
        policy = answer.headers["Content-Security-Policy"]
        nonces = set(re.findall(rb'nonce="([^"]+)"', _text(answer)))
        assert nonces == {found.encode() for found in re.findall(r"'nonce-([^']+)'", policy)}
        assert len(nonces) == 1
        assert b"__NONCE__" not in _text(answer)
        seen |= nonces
    assert len(seen) == 3


async def test_the_policy_of_the_page_lets_no_script_in_but_its_own(page: WebPage) -> None:
    policy = (await _get(page, "/", accept="text/html")).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "http:" not in policy
    assert "https:" not in policy


async def test_what_has_a_hash_in_its_name_is_kept_for_good_and_sent_packed_to_who_takes_it(page: WebPage) -> None:
    packed = await _get(page, "/assets/main-abc.js", accept_encoding="gzip, br")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(_text(packed)) == _SCRIPT
    plain = await _get(page, "/assets/main-abc.js")
    assert _text(plain) == _SCRIPT
    assert "Content-Encoding" not in plain.headers
    for answer in (packed, plain):
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.content_type.startswith("text/javascript")


async def test_a_browser_that_has_a_file_is_told_that_it_still_holds(page: WebPage) -> None:
    first = await _get(page, "/sw.js")
    again = await _get(page, "/sw.js", if_none_match=first.headers["ETag"])
    assert (again.status, again.body) == (304, b"")


async def test_the_service_worker_may_fetch_from_us_and_is_asked_for_again(page: WebPage) -> None:
    answer = await _get(page, "/sw.js")
    assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "path", ["/assets/gone-1.js", "/api/nothing", "/jmap/nothing", "/robots.txt", "/../etc/passwd.d"]
)
async def test_what_is_no_page_is_not_found(page: WebPage, path: str) -> None:
    assert (await _get(page, path, accept="text/html")).status == 404


async def test_who_asks_for_json_gets_no_page(page: WebPage) -> None:
    assert (await _get(page, "/mail/inbox", accept="application/json")).status == 404


async def test_without_a_built_page_the_server_says_so(tmp_path: Path) -> None:
    answer = await _get(WebPage(tmp_path), "/", accept="text/html")
    assert answer.status == 503
    assert b"make install" in _text(answer)
