"""`/image` and `/preview`: pictures and pages of PDF, made anew by a helper; text as text (docs/security.md).

No octet of a picture goes to the browser as it came. What it is, its first octets say (mua/raster.py). A frame shows
pictures by tickets; the page itself by the cookie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from posthouse.adapters.preview_confine import Done, Job
from posthouse.adapters.preview_pool import HelperBusy, HelperFailed
from posthouse.app.web_view_desk import NEVER_A_PAGE, ViewDesk
from posthouse.message.charsets import guess_text
from posthouse.message.mailbox import AccountId
from posthouse.mua.raster import is_pdf, sniff_raster
from posthouse.ports.fetch import FetchError
from posthouse.serve.http_messages import AnyRoute, HttpAnswer, HttpRequest, HttpRoute, refuse

_DEFAULT_WIDTH = 1_600
_MAX_TEXT = 1_000_000  # octets of a file that is shown as text
_REMOTE_S, _OWN_S = 3_600, 86_400
_TEXTS = frozenset(("application/json", "application/xml", "application/x-sh", "application/pgp-signature"))


class PictureRoutes:
    def __init__(self, desk: ViewDesk) -> None:
        self._desk = desk

    def list_routes(self) -> Sequence[AnyRoute]:
        return [HttpRoute("/image", self.show_remote), HttpRoute("/preview/{account}/{blob}", self.show_blob)]

    # -- from elsewhere

    async def show_remote(self, request: HttpRequest) -> HttpAnswer:
        url = request.query.get("url", "")
        owner = self._desk.read_ticket(request, "image", request.query.get("account", ""), url)
        if owner is None:
            raise refuse(403, "Forbidden", "This URL is not ours, or its time is over")
        octets = await self._fetch(url)
        if not sniff_raster(octets):
            raise refuse(415, "Unsupported Media Type", "This is no picture")
        done = await self._run(Job("picture", octets, {"width": _DEFAULT_WIDTH}), owner)
        return _answer_picture(done, _REMOTE_S, is_framed=True)

    async def _fetch(self, url: str) -> bytes:
        if self._desk.fetch is None:
            raise refuse(404, "Not Found", "Pictures from elsewhere are not shown here")
        try:
            async with self._desk.fetching:
                return await self._desk.fetch.get(url)
        except FetchError as error:
            self._desk.log.info("picture not fetched", reason=str(error)[:500])
            raise refuse(502, "Bad Gateway", "The picture could not be fetched") from None

    # -- of messages

    async def show_blob(self, request: HttpRequest) -> HttpAnswer:
        text = request.parameters["blob"]
        owner = self._desk.read_ticket(request, "preview", request.parameters["account"], text)
        is_framed = owner is not None
        if owner is None:
            owner = await self._desk.identify(request)
        blob, octets = await self._desk.read_blob(owner, text)
        width = _read_whole(request, "width", _DEFAULT_WIDTH)
        if sniff_raster(octets):
            done = await self._run(Job("picture", octets, {"width": width}), owner)
            return _answer_picture(done, _OWN_S, is_framed)
        if is_framed:
            raise refuse(415, "Unsupported Media Type", "This is no picture")
        if is_pdf(octets):
            job = Job("pdf", octets, {"width": width, "page": _read_whole(request, "page", 1)})
            done = await self._run(job, owner)
            return _answer_picture(done, _OWN_S, is_framed)
        kind = (request.query.get("type") or blob.type).partition(";")[0].strip().lower()
        if kind.startswith(("text/", "message/")) or kind in _TEXTS:
            return _answer_text(octets)
        raise refuse(415, "Unsupported Media Type", "There is no preview of this")

    async def _run(self, job: Job, owner: AccountId) -> Done:
        """Raises HttpRefused."""
        try:
            return await self._desk.previews.run(job, owner)
        except HelperBusy:
            raise refuse(503, "Service Unavailable", "Too many previews are being made") from None
        except HelperFailed as failed:
            raise refuse(415, "Unsupported Media Type", f"It cannot be shown: {failed}") from None


def _answer_picture(done: Done, seconds: int, is_framed: bool) -> HttpAnswer:
    """To a frame of a message everything of ours is from another origin."""
    headers = {
        "Content-Security-Policy": NEVER_A_PAGE,
        "Cache-Control": f"private, max-age={seconds}",
        "Content-Disposition": "inline",
        "Cross-Origin-Resource-Policy": "cross-origin" if is_framed else "same-origin",
        "X-Width": str(done.figures.get("width", 0)),
        "X-Height": str(done.figures.get("height", 0)),
    }
    if "pages" in done.figures:
        headers["X-Pages"] = str(done.figures["pages"])
    return HttpAnswer(200, done.octets, "image/webp", headers)


def _answer_text(octets: bytes) -> HttpAnswer:
    headers: Mapping[str, str] = {
        "Content-Security-Policy": NEVER_A_PAGE,
        "Cache-Control": f"private, max-age={_OWN_S}",
    }
    if len(octets) > _MAX_TEXT:
        headers = {**headers, "X-Truncated": "1"}
    text = guess_text(octets[:_MAX_TEXT])
    return HttpAnswer(200, text.encode("utf-8", "replace"), "text/plain; charset=utf-8", headers)


def _read_whole(request: HttpRequest, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else default
