"""The program of the helpers behind `/view`, `/image` and `/preview`: HTML, pictures and PDF are taken apart here.

No worker parses them: what they may do to a parser ends with this process, which has nothing to take
(adapters/preview_confine.py). The key it signs URLs of pictures with is of one account and of nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from posthouse.adapters import preview_decode
from posthouse.adapters.preview_confine import Done, Handler, Job, serve
from posthouse.mua.plain import Flow, render_plain
from posthouse.mua.sanitise import Wishes, sanitise
from posthouse.mua.tickets import Signer

INLINE_WIDTH = 1_600


def make_html(job: Job) -> Done:
    """Octets are the page in UTF-8. The answer: length of the HTML (4 octets), HTML, CSS. Raises TooComplex."""
    arguments = job.arguments
    finder = _PictureFinder(job)
    page = job.octets.decode("utf-8", "replace")
    clean = sanitise(page, Wishes(finder.find, is_dark=bool(arguments.get("dark"))))
    html, css = clean.html.encode("utf-8", "replace"), clean.css.encode("ascii", "replace")
    figures = {"blocked": clean.blocked, "inline": finder.inline}
    return Done(len(html).to_bytes(4, "big") + html + css, figures=figures)


def make_plain(job: Job) -> Done:
    """Plain text as HTML. `flowed`, `delsp`: as its Content-Type says (RFC 3676 §4)."""
    flow = Flow(bool(job.arguments.get("delsp"))) if job.arguments.get("flowed") else None
    text = render_plain(job.octets.decode("utf-8", "replace"), flow)
    return Done(text.encode("utf-8", "replace"))


class _PictureFinder:
    """`key` (hexadecimal), `account`, `expires`: of the signer. `remote`: whether pictures from elsewhere are
    shown. `cid <id>`: the blob of that part.
    """

    def __init__(self, job: Job) -> None:
        arguments = job.arguments
        key = bytes.fromhex(str(arguments.get("key", "")))
        self._signer = Signer(key, str(arguments.get("account", "")), int(arguments.get("expires", 0)))
        self._is_remote_shown = bool(arguments.get("remote"))
        self._arguments = arguments
        self.inline = 0

    def find(self, url: str) -> str | None:
        if url[:4].lower() == "cid:":
            blob = self._arguments.get(f"cid {read_content_id(url[4:])}")
            if blob is None:
                return None
            self.inline += 1
            return self._signer.preview(str(blob), INLINE_WIDTH)
        return self._signer.proxy(url) if self._is_remote_shown and len(url) <= 4_000 else None


def read_content_id(text: str) -> str:
    """RFC 2392 §2: percent-encoded in a URL."""
    return unquote(text).strip().strip("<>").lower()


def _warm_up() -> None:
    preview_decode.warm_up()
    page = b"<style>p{color:red}</style><p style='color:#123;font:12px x'>a<img src=cid:x>"
    make_html(Job("html", page, {"dark": True, "remote": True}))
    make_plain(Job("plain", b"> a http://example.org", {"flowed": True}))


HANDLERS: Mapping[str, Handler] = {
    "html": make_html,
    "plain": make_plain,
    "picture": preview_decode.make_picture,
    "pdf": preview_decode.make_page,
}


def main() -> None:
    serve(HANDLERS, _warm_up)


if __name__ == "__main__":
    main()
