"""The message as a page of its own: the second of three layers (docs/security.md, "HTML mail"). Pure.

The policy puts it into an opaque origin without scripts and lets it load nothing but pictures of ours, whatever the
sanitiser may have overlooked. What is quoted at the end is folded by `details`, which needs no script.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Final

POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src 'self' data:; "
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "SAMEORIGIN",
    # A sandbox cannot have an opener policy: without this it could not be opened in a window of its own, to be printed.
    "Cross-Origin-Opener-Policy": "unsafe-none",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), fullscreen=(), payment=(), autoplay=()",
}
_LEAST_BEFORE = 1  # characters of text above a quotation that is folded

# What a message may set itself is set as weakly as an element's name sets it. The background is the body's, so that a
# message's own one fills the frame.
_BASE = """\
html{color-scheme:light;color:#1f2328;font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
html.dark{color-scheme:dark;color:#e8ebf0}
body{margin:0;padding:2px 0;background:#fff}
:where(.dark) body{background:#1a1e25}
img{max-width:100%;height:auto}
img:not([src]){display:none}
table{max-width:100%}
pre{white-space:pre-wrap}
a{color:#0b57d0}
:where(.dark) a{color:#8ab4f8}
.text{white-space:pre-wrap}
blockquote.quote{margin:0 0 0 2px;padding:0 0 0 10px;border-left:2px solid #b8c0cc}
.signature{color:#6a7380}
.dark .signature{color:#9aa3b0}
details.folded>summary{display:inline-block;list-style:none;cursor:pointer;margin:6px 0;padding:0 8px;\
border-radius:8px;background:#8883;line-height:14px;letter-spacing:2px}
details.folded>summary::-webkit-details-marker{display:none}
"""


def write_page(parts: Sequence[str], css: str = "", *, is_dark: bool = False, language: str = "") -> str:
    """`parts`: HTML of sanitise.py or plain.py, one below the other; `css` of css.py."""
    named = f' lang="{html.escape(language)}"' if language else ""
    dark = ' class="dark"' if is_dark else ""
    own = f"<style>{css}</style>" if css else ""
    body = "\n".join(map(fold_quote, parts))
    return (
        f"<!DOCTYPE html><html{named}{dark}><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width"><meta name=referrer content=no-referrer>'
        # Whoever may frame it (POLICY: only our page) may know how high it is: no second scroll bar.
        '<meta name="responsive-embedded-sizing" content="allow-origins=*">'
        f"<title></title><style>{_BASE}</style>{own}</head><body>{body}</body></html>"
    )


# Written by an HTML serialiser or by us: attributes in double quotes, none within.
_TAG = re.compile(r'<(/?)([a-z][a-z0-9]*)((?:[^>"]++|"[^"]*+")*+)>')
_IS_QUOTE = re.compile(r'\bclass="quote[ "]|\btype="cite"')
_MARKUP = re.compile(r'<(?:[^>"]++|"[^"]*+")*+>')


def fold_quote(page: str) -> str:
    """The last quotation that no other holds goes into a fold, when something was written above it and no more than a
    few words below: who answers in between wants to be read so.
    """
    start, end = _find_last_quote(page)
    if end < 0 or not _has_text(page[:start], _LEAST_BEFORE) or _has_text(page[end:], 400):
        return page
    summary = '<details class="folded"><summary title="…">•••</summary>'
    return f"{page[:start]}{summary}{page[start:end]}</details>{page[end:]}"


def _find_last_quote(page: str) -> tuple[int, int]:
    """From its start tag to behind its end tag. (-1, -1): there is none."""
    found = (-1, -1)
    start, depth, name = -1, 0, ""
    for tag in _TAG.finditer(page):
        if start < 0:
            if not tag[1] and tag[2] in ("div", "blockquote") and _IS_QUOTE.search(tag[3]):
                start, depth, name = tag.start(), 1, tag[2]
        elif tag[2] == name:
            depth += -1 if tag[1] else 1
            if depth == 0:
                found, start = (start, tag.end()), -1
    return found


def _has_text(page: str, least: int) -> bool:
    return len(_MARKUP.sub("", page).strip()) >= least
