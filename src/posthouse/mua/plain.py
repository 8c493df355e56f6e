"""Plain text as HTML: links, levels of quotation, signature; format=flowed joined again (RFC 3676). Pure.

    render_plain(text)                                  # <div class="text">...</div>
    render_plain(text, Flow(is_deleting=True))          # Content-Type: text/plain; format=flowed; delsp=yes

Everything is escaped; the elements made here are all there are. Bounded: what is longer than MAX_TEXT is cut.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_TEXT = 2_000_000  # characters
_MAX_QUOTES = 12
_QUOTE = re.compile(r"(?:> ?)+")
_URL = re.compile(
    r"""\b(?:https?://|www\.)[^\s<>"'`\x00-\x1f\u2028\u2029\u202a-\u202e\u2066-\u2069]{1,2000}"""
    r"""|\bmailto:[^\s<>"'`]{3,300}"""
    r"""|(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}(?![\w-])""",
    re.IGNORECASE,
)
_AFTER_URL = ".,;:!?*_~'\"»“”’"
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Flow:
    """RFC 3676 §4.1. `is_deleting` (DelSp=yes): the space at the end of a line that goes on is not of the text."""

    is_deleting: bool = False


@dataclass(slots=True)
class _Paragraph:
    """Of one level of quotation; `lines` are to stay lines."""

    level: int
    lines: list[str]


def render_plain(text: str, flow: Flow | None = None) -> str:
    lines = _CONTROLS.sub("\ufffd", text[:MAX_TEXT].replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    levelled = _join_flowed(lines, flow) if flow is not None else _split_levels(lines)
    return f'<div class="text">{"".join(_write(list(_group(levelled))))}</div>'


def _split_levels(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    for line in lines:
        marks = _QUOTE.match(line)
        if marks is None:
            yield 0, line
        else:
            yield min(marks[0].count(">"), _MAX_QUOTES), line[marks.end() :]


def _join_flowed(lines: Sequence[str], flow: Flow) -> Iterator[tuple[int, str]]:
    """RFC 3676 §4.2 to §4.5."""
    level = 0
    pieces: list[str] = []
    for line in lines:
        depth = len(line) - len(line.lstrip(">"))
        content = line[depth:].removeprefix(" ")  # stuffing, RFC 3676 §4.4
        depth = min(depth, _MAX_QUOTES)
        is_signature = content == "-- "
        if pieces and (depth != level or is_signature):
            # A paragraph whose last line says that it goes on, but nothing follows (RFC 3676 §4.5).
            yield level, "".join(pieces)
            pieces = []
        level = depth
        if content.endswith(" ") and not is_signature:
            pieces.append(content[:-1] if flow.is_deleting else content)
        else:
            yield level, "".join([*pieces, content])
            pieces = []
    if pieces:
        yield level, "".join(pieces)


def _group(levelled: Iterator[tuple[int, str]]) -> Iterator[_Paragraph]:
    current: _Paragraph | None = None
    for level, line in levelled:
        if current is None or current.level != level:
            if current is not None:
                yield current
            current = _Paragraph(level, [])
        current.lines.append(line)
    if current is not None:
        yield current


def _write(paragraphs: Sequence[_Paragraph]) -> Iterator[str]:
    level = 0
    for paragraph in paragraphs:
        while level < paragraph.level:
            yield '<blockquote class="quote">'
            level += 1
        while level > paragraph.level:
            yield "</blockquote>"
            level -= 1
        yield _write_lines(paragraph)
    yield "</blockquote>" * level


def _write_lines(paragraph: _Paragraph) -> str:
    lines = paragraph.lines
    signed = _find_signature(lines) if paragraph.level == 0 else None
    if signed is None:
        return f"<div>{link_text(chr(10).join(lines))}</div>"
    body, signature = "\n".join(lines[:signed]), "\n".join(lines[signed:])
    return f'<div>{link_text(body)}</div><div class="signature">{link_text(signature)}</div>'


def _find_signature(lines: Sequence[str]) -> int | None:
    """RFC 3676 §4.3."""
    for number in range(len(lines) - 1, max(-1, len(lines) - 40), -1):
        if lines[number].rstrip("\r") in ("-- ", "--"):
            return number
    return None


def link_text(text: str) -> str:
    """Escaped, with its URLs and addresses as links."""
    written: list[str] = []
    place = 0
    for found in _URL.finditer(text):
        shown = _trim_url(found[0])
        written += (html.escape(text[place : found.start()]), _write_link(shown))
        place = found.start() + len(shown)
    written.append(html.escape(text[place:]))
    return "".join(written)


def _trim_url(url: str) -> str:
    """Without what belongs to the sentence around it."""
    while True:
        shorter = url.rstrip(_AFTER_URL)
        for opening, closing in ("()", "[]", "{}"):
            if shorter.endswith(closing) and shorter.count(closing) > shorter.count(opening):
                shorter = shorter[:-1]
        if shorter == url:
            return url
        url = shorter


def _write_link(shown: str) -> str:
    lower = shown[:8].lower()
    target = shown
    if lower.startswith("www."):
        target = f"https://{shown}"
    elif not lower.startswith(("http:", "https:", "mailto:")):
        target = f"mailto:{shown}"
    href = html.escape(target)
    return f'<a href="{href}" rel="noopener noreferrer" target="_blank">{html.escape(shown)}</a>'
