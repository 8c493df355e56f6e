"""The web page: the files of webmail/ as they were built into posthouse/webpage/, and its own policy.

index.html is given for every path that nobody else takes, to who asks for HTML: the page reads its own address. Each
answer of it has a fresh nonce, in its Content-Security-Policy and in its tags. Files under /assets/ have the hash of
their contents in their names and never change. All are read once, when the worker starts: a few hundred KiB. Nothing
here is secret, nobody is asked who he is, and nothing is kept.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from posthouse.serve.http_messages import AnyRoute, HttpAnswer, HttpRequest, HttpRoute, answer_problem

if TYPE_CHECKING:
    from posthouse.app.web import WebContext

BUILT = Path(__file__).resolve().parent.parent / "webpage"
_NONCE = b"__NONCE__"
_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'self' 'nonce-{nonce}'; "
    "img-src 'self' blob: data:; connect-src 'self'; frame-src 'self'; font-src 'self'; manifest-src 'self'; "
    "worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types default dompurify posthouse"
)
_POLICY_OF_WORKER = "default-src 'none'; script-src 'self'; connect-src 'self'"  # it fetches what it caches
_FOREVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class _File:
    """`packed` is empty where there is none; `tag` is its ETag."""

    body: bytes
    packed: bytes
    content_type: str
    caching: str
    tag: str


class WebPage:
    def __init__(self, directory: Path = BUILT) -> None:
        index = directory / "index.html"
        self._pieces = index.read_bytes().split(_NONCE) if index.exists() else []
        self._files = _read_files(directory)

    async def answer(self, request: HttpRequest) -> HttpAnswer:
        file = self._files.get(request.path)
        if file is not None:
            return _answer_file(request, file, request.path)
        if not self._pieces:
            return HttpAnswer(503, b"The web page has not been built: make install\n")
        if not _wants_html(request):
            return answer_problem(404, "Not Found", "There is nothing at this address")
        return self._answer_page()

    def _answer_page(self) -> HttpAnswer:
        nonce = secrets.token_urlsafe(18)
        headers = {
            "Content-Security-Policy": _POLICY.format(nonce=nonce),
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        }
        return HttpAnswer(200, nonce.encode().join(self._pieces), "text/html; charset=utf-8", headers)


def _wants_html(request: HttpRequest) -> bool:
    """Names with a dot at their end are files, and those we would have found."""
    is_file = "." in request.path.rpartition("/")[2] and "@" not in request.path
    return not is_file and not request.path.startswith(("/assets/", "/api/", "/jmap/")) and _takes_html(request.headers)


def _takes_html(headers: Mapping[str, str]) -> bool:
    accepted = headers.get("accept", "*/*")
    return "text/html" in accepted or "*/*" in accepted


def _answer_file(request: HttpRequest, file: _File, path: str) -> HttpAnswer:
    headers = {"Cache-Control": file.caching, "ETag": file.tag, "Vary": "Accept-Encoding"}
    if path == "/sw.js":
        headers["Content-Security-Policy"] = _POLICY_OF_WORKER
    if file.tag in request.headers.get("if-none-match", ""):
        return HttpAnswer(304, b"", file.content_type, headers)
    if file.packed and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return HttpAnswer(200, file.packed, file.content_type, headers)
    return HttpAnswer(200, file.body, file.content_type, headers)


def _read_files(directory: Path) -> Mapping[str, _File]:
    found: dict[str, _File] = {}
    for path in sorted(directory.rglob("*")):
        kind = _TYPES.get(path.suffix)
        if kind is None or not path.is_file():
            continue
        name = f"/{path.relative_to(directory).as_posix()}"
        packed = path.with_name(path.name + ".gz")
        body = path.read_bytes()
        found[name] = _File(
            body,
            packed.read_bytes() if packed.exists() else b"",
            kind,
            _FOREVER if name.startswith("/assets/") else _ASK_AGAIN,
            f'"{hashlib.sha256(body).hexdigest()[:20]}"',
        )
    return found


def make_routes(_: WebContext) -> Sequence[AnyRoute]:
    page = WebPage()
    return [HttpRoute("/{rest*}", page.answer)]
