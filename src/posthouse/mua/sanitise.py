"""HTML of mail, made harmless: the first of three layers (docs/security.md, "HTML mail").

    clean = sanitise(page, Wishes(find_picture=..., ...))       # raises TooComplex

The page is parsed as a browser does (html5ever, by nh3), and written anew from that tree with nothing but the
elements and attributes listed here; so what a browser reads afterwards is what was looked at. Style elements are taken
out first, their CSS is cleaned by css.py and given back apart from the HTML. Everything that could load, run, submit,
move the page or be taken for a part of it is gone: svg, math, forms, meta, link, base, frames, objects, templates,
event handlers, `srcset`, `background`, names that scripts could be asked for.

html5ever's time is quadratic in what is nested or left open. What is counted here beforehand is an estimate: a page may
be made so that it is wrong. So this runs in a process that can be ended (app/web_view_helper.py), never in a worker.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import nh3

from posthouse.mua.colours import darken, read_attribute
from posthouse.mua.css import PREFIX, clean_sheet, clean_style

MAX_PAGE = 4_000_000  # characters
MAX_DEPTH = 1_000
MAX_TAGS = 200_000
MAX_REFERENCES = 100_000  # "&...": for each of them html5ever copies the text before it
MAX_WORK = 20_000_000  # elements that a browser may have to make of what is left open
QUOTE: Final = "quote"  # the class of what is quoted, which no message can give itself


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TAGS = _words(
    """
    a abbr acronym address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del
    dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark nav ol p
    pre q s samp section small span strike strong sub sup table tbody td tfoot th thead time tr tt u ul var wbr
    """
)
# Of others the text is kept; of these nothing is.
_DROPPED = _words(
    """
    applet audio base button canvas datalist embed frame frameset head iframe keygen link map math meta meter
    noembed noframes noscript object optgroup option output param progress script select source style svg template
    textarea title track video
    """
)
_ATTRIBUTES = {
    "*": {"align", "class", "dir", "height", "id", "lang", "style", "title", "valign", "width"},
    "a": {"href"},
    "blockquote": {"type"},
    "col": {"span"},
    "colgroup": {"span"},
    "font": {"color", "face", "size"},
    "hr": {"size", "noshade"},
    "img": {"alt", "border", "hspace", "src", "vspace"},
    "li": {"type", "value"},
    "ol": {"reversed", "start", "type"},
    "table": {"bgcolor", "border", "cellpadding", "cellspacing"},
    "tbody": {"bgcolor"},
    "td": {"bgcolor", "colspan", "nowrap", "rowspan"},
    "th": {"bgcolor", "colspan", "nowrap", "rowspan"},
    "thead": {"bgcolor"},
    "tr": {"bgcolor"},
    "ul": {"type"},
}
_SCHEMES = {"http", "https", "mailto", "tel", "cid"}
_NUMBERS = {
    "border": 100,
    "cellpadding": 200,
    "cellspacing": 200,
    "colspan": 200,
    "height": 4_000,
    "hspace": 200,
    "rowspan": 2_000,
    "size": 200,
    "span": 200,
    "start": 1_000_000,
    "value": 1_000_000,
    "vspace": 200,
    "width": 4_000,
}
_KNOWN = {
    "align": _words("left right center justify middle top bottom baseline absmiddle char"),
    "dir": frozenset(["ltr", "rtl", "auto"]),
    "type": frozenset(["1", "a", "A", "i", "I", "disc", "circle", "square", "cite"]),
    "valign": frozenset(["top", "middle", "bottom", "baseline"]),
}
_QUOTES = _words(
    """
    gmail_quote gmail_quote_container moz-cite-prefix protonmail_quote yahoo_quoted tutanota_quote
    """
)

_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,7})(?:\.[0-9]+)?\s*(%?|px)\s*", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_LINK = re.compile(r"(?:https?|mailto|tel):[^\x00-\x20\x7f]", re.IGNORECASE)
_FACE = re.compile(r"[\w ,.'+-]{1,200}")
_LANGUAGE = re.compile(r"[A-Za-z0-9-]{1,35}")
_NOT_IN_URLS = re.compile(r"[\t\n\r]")  # where browsers leave them out
_AROUND_URLS = "".join(map(chr, range(0x21)))
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_BODY = re.compile(r"<body(?=[\s>/])", re.IGNORECASE)
_BODY_COLOUR = re.compile(r"<body\s[^>]{0,2000}?\bbgcolor\s*=\s*[\"']?\s*([#\w]{3,32})", re.IGNORECASE)


class TooComplex(Exception):
    """Too large or too deeply nested; the plain text is shown instead."""


def _load_nothing(_: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Wishes:
    """`find_picture`: URL of an img (cid:, http: or https:) to the URL that is loaded instead; None: not shown. Its
    answers are trusted. `is_dark`: colours are turned over.
    """

    find_picture: Callable[[str], str | None] = _load_nothing
    is_dark: bool = False


@dataclass(slots=True)
class Clean:
    """`html` belongs in a body, `css` in a style element of its own. `blocked`: pictures that are not shown."""

    html: str
    css: str = ""
    blocked: int = 0
    found: list[str] = field(default_factory=list)  # URLs that pictures are loaded from


def sanitise(page: str, wishes: Wishes | None = None) -> Clean:
    """Raises TooComplex."""
    wishes = wishes or Wishes()
    check_size(page)
    css = clean_sheet(_take_styles(page), is_dark=wishes.is_dark) if "<style" in page.lower() else ""
    body = _BODY_COLOUR.search(page)
    colour = read_attribute(body[1]) if body is not None else None
    if colour is not None and wishes.is_dark:
        colour = darken(colour)
    if colour is not None:
        css = f"body{{background-color:{colour}}}\n{css}"
    judge = _Judge(wishes)
    # nh3 reads what belongs in a body, where a body element would be lost with its style.
    html = judge.clean(_BODY.sub("<div", page, count=1))
    return Clean(html, css, judge.blocked, judge.found)


def _take_styles(page: str) -> str:
    """What a browser takes for CSS. Text is written with "<" escaped, so that nothing else looks like it."""
    return "\n".join(_STYLE.findall(_STYLES_ONLY.clean(page)))


_STYLES_ONLY = nh3.Cleaner(
    tags={"style"}, attributes={}, clean_content_tags=set(_DROPPED - {"style", "head"}), link_rel=None
)


class _Judge:
    """Attributes of one message."""

    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes
        self.blocked = 0
        self.found: list[str] = []

    def clean(self, page: str) -> str:
        cleaner = nh3.Cleaner(
            tags=set(_TAGS),
            clean_content_tags=set(_DROPPED),
            attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
            attribute_filter=self.judge,
            url_schemes=_SCHEMES,
            link_rel="noopener noreferrer",
            set_tag_attribute_values={"a": {"target": "_blank"}, "img": {"loading": "lazy"}},
        )
        return cleaner.clean(page)

    def judge(self, tag: str, name: str, value: str) -> str | None:
        """What the attribute becomes; None: it goes."""
        if name in _NUMBERS:
            return _bound_number(name, value)
        if name in _KNOWN:
            return value if value in _KNOWN[name] else _known_lower(name, value)
        match name:
            case "style":
                return clean_style(value, is_dark=self._wishes.is_dark) or None
            case "src":
                return self._find_picture(value)
            case "href":
                return _read_link(value)
            case "class":
                return _write_classes(tag, value)
            case "id":
                return f"{PREFIX}{value}" if _NAME.fullmatch(value) else None
            case "bgcolor" | "color":
                return self._turn_colour(value)
            case _:
                return _judge_text(name, value)

    def _find_picture(self, value: str) -> str | None:
        url = _NOT_IN_URLS.sub("", value).strip(_AROUND_URLS)
        if url.startswith("//"):
            url = f"https:{url}"
        if url[:4].lower() != "cid:" and url.partition(":")[0].lower() not in ("http", "https"):
            return None
        found = self._wishes.find_picture(url)
        if found is None:
            self.blocked += 1
        else:
            self.found.append(url)
        return found

    def _turn_colour(self, value: str) -> str | None:
        colour = read_attribute(value)
        if colour is None or not self._wishes.is_dark:
            return colour
        turned = darken(colour)
        # Old attributes know no rgb().
        return "#" + "".join(f"{int(each):02x}" for each in turned[4:-1].split(",")) if turned else None


def _bound_number(name: str, value: str) -> str | None:
    found = _NUMBER.fullmatch(value)
    if found is None:
        return None
    number = int(found[1])
    if number < 0 and name not in ("start", "value"):
        # The size of a font may be "-1".
        return found[1] if name == "size" and number >= -7 else None
    unit = "%" if found[2] == "%" else ""
    return f"{min(number, 100 if unit else _NUMBERS[name])}{unit}"


def _known_lower(name: str, value: str) -> str | None:
    lower = value.strip().lower()
    return lower if lower in _KNOWN[name] else None


def _read_link(value: str) -> str | None:
    url = _NOT_IN_URLS.sub("", value).strip(_AROUND_URLS)
    if url.startswith("//"):
        url = f"https:{url}"
    return url if _LINK.match(url) else None


def _write_classes(tag: str, value: str) -> str | None:
    names = [name for name in value.split()[:32] if _NAME.fullmatch(name)]
    written = [f"{PREFIX}{name}" for name in names]
    if tag in ("div", "blockquote") and not _QUOTES.isdisjoint(names):
        written.insert(0, QUOTE)
    return " ".join(written) or None


def _judge_text(name: str, value: str) -> str | None:
    match name:
        case "title" | "alt":
            return value[:1_000]
        case "face":
            return value if _FACE.fullmatch(value) else None
        case "lang":
            return value if _LANGUAGE.fullmatch(value) else None
        case "nowrap" | "noshade" | "reversed":
            return ""
        case "rel" | "target" | "loading":
            return value  # set by us
        case _:
            return None


# -- size

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:]*)")
_VOID = _words(
    """
    area base br col embed hr img input link meta param source track wbr
    """
)
# Closed by their like or by their table, often without an end tag.
_IMPLIED = _words(
    """
    body colgroup dd dt head html li option p tbody td tfoot th thead tr
    """
)
_FORMATTING = _words("a b big code em font i nobr s small strike strong tt u")
_MAX_SEARCH = 50


def check_size(page: str) -> None:
    """Raises TooComplex. In time proportional to the page."""
    if len(page) > MAX_PAGE or page.count("&") > MAX_REFERENCES:
        raise TooComplex(f"{len(page)} characters")
    stack: list[str] = []
    left_open = work = 0
    for tags, found in enumerate(_TAG.finditer(page), 1):
        name = found[2].lower()
        if not found[1]:
            # What is left open of these is made anew in each paragraph that follows.
            work += left_open
            if name not in _VOID and name not in _IMPLIED:
                stack.append(name)
                left_open += name in _FORMATTING
        elif stack and (stack[-1] == name or name in stack[-_MAX_SEARCH:]):
            closed = stack.pop()
            while closed != name:
                left_open -= closed in _FORMATTING
                closed = stack.pop()
            left_open -= name in _FORMATTING
        if len(stack) > MAX_DEPTH or tags > MAX_TAGS or work > MAX_WORK:
            raise TooComplex(f"{tags} tags, {len(stack)} deep")
