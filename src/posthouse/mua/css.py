"""CSS of mail, made harmless: taken apart by a real parser, and only what is known put together again. Pure.

Nothing of what came is copied as it stands: names are looked up, numbers and colours are written anew. What goes out
has no letters but of ASCII, no "<" and no double quotes, so that it ends neither a style element nor an attribute. Gone
are url() and whatever else loads something, @import and every at-rule but @media, position, z-index, transforms,
animations, generated content, attribute selectors and functions; lengths are bounded, no margin is negative. Ids and
classes get a prefix, as those of the elements do (sanitise.py). CSS Syntax 3 as tinycss2 reads it. Takes any text and
never raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import tinycss2

from posthouse.mua.colours import darken

PREFIX: Final = "m-"
MAX_SHEET = 262_144  # characters of all style elements together
MAX_STYLE = 8_192  # of one style attribute
_MAX_RULES = 4_000
_MAX_LENGTH = 4_000.0  # of any unit
_MAX_FONT = 96.0
_MAX_DEPTH = 2  # of @media in @media


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PROPERTIES = _words(
    """
    background-color border border-bottom border-bottom-color border-bottom-left-radius border-bottom-right-radius
    border-bottom-style border-bottom-width border-collapse border-color border-left border-left-color
    border-left-style border-left-width border-radius border-right border-right-color border-right-style
    border-right-width border-spacing border-style border-top border-top-color border-top-left-radius
    border-top-right-radius border-top-style border-top-width border-width box-sizing caption-side clear color
    direction display empty-cells float font font-family font-size font-stretch font-style font-variant font-weight
    height letter-spacing line-height list-style list-style-position list-style-type margin margin-bottom
    margin-left margin-right margin-top max-height max-width min-height min-width opacity overflow-wrap padding
    padding-bottom padding-left padding-right padding-top table-layout text-align text-decoration
    text-decoration-color text-decoration-line text-decoration-style text-indent text-transform vertical-align
    white-space width word-break word-spacing word-wrap
    """
)
_DISPLAYS = _words(
    """
    block inline inline-block inline-table list-item none table table-caption table-cell table-column
    table-column-group table-footer-group table-header-group table-row table-row-group
    """
)
# A quotation mark of one name is no room for anything else.
_NAME = re.compile(r"-?[A-Za-z_][A-Za-z0-9_-]{0,63}")
_FONT = re.compile(r"[\w ,.+-]{1,80}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})")
_HASH = re.compile(r"[0-9A-Fa-f]{3,8}")
_UNITS = frozenset(["px", "pt", "em", "rem", "ex", "ch", "cm", "mm", "in", "pc", "vw", "vh", "vmin", "vmax"])
_COLOURS = frozenset(("rgb", "rgba", "hsl", "hsla"))
_NOT_COLOURS = frozenset(("transparent", "inherit", "initial", "unset", "currentcolor", "none"))
_COLOURED = frozenset(name for name in _PROPERTIES if "color" in name or name.startswith("border")) | {
    "text-decoration"
}
_MEDIA_WORDS = frozenset(
    ("all", "screen", "print", "only", "and", "not", "or", "min-width", "max-width", "orientation")
)
_MEDIA_WORDS_WITHIN = frozenset(("min-width", "max-width", "min-device-width", "max-device-width"))
_PSEUDO = _words(
    """
    active first-child first-letter first-line focus hover last-child link only-child visited
    """
)

Token = Any  # tinycss2 has no types


@lru_cache(maxsize=4096)
def clean_style(style: str, *, is_dark: bool = False) -> str:
    """A style attribute; "" when nothing of it is left."""
    if len(style) > MAX_STYLE:
        return ""
    return ";".join(_clean_block(tinycss2.parse_blocks_contents(style, True, True), is_dark))


def clean_sheet(sheet: str, *, is_dark: bool = False) -> str:
    """What stood in style elements."""
    if len(sheet) > MAX_SHEET:
        return ""
    rules = tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True)
    return "\n".join(_clean_rules(rules[:_MAX_RULES], is_dark, 0))


# -- rules


def _clean_rules(rules: Iterable[Token], is_dark: bool, depth: int) -> Iterator[str]:
    for rule in rules:
        if rule.type == "qualified-rule":
            selector = _clean_selectors(rule.prelude)
            if selector:
                content = tinycss2.parse_blocks_contents(rule.content, True, True)
                declarations = ";".join(_clean_block(content, is_dark))
                if declarations:
                    yield f"{selector}{{{declarations}}}"
        elif rule.type == "at-rule" and rule.lower_at_keyword == "media" and rule.content is not None:
            query = _clean_query(rule.prelude)
            if query and depth < _MAX_DEPTH:
                inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
                yield f"@media {query}{{{''.join(_clean_rules(inner[:_MAX_RULES], is_dark, depth + 1))}}}"


def _clean_query(prelude: Sequence[Token]) -> str:
    """Nothing for whatever asks for more than the kind of device and its width."""
    written: list[str] = []
    for token in prelude:
        if token.type == "() block":
            inner = _clean_feature(token.content)
            if not inner:
                return ""
            written.append(f"({inner})")
        elif token.type == "ident" and token.lower_value in _MEDIA_WORDS:
            written.append(token.lower_value)
        elif token.type in ("whitespace", "comment"):
            written.append(" ")
        elif token.type == "literal" and token.value == ",":
            written.append(",")
        else:
            return ""
    return " ".join("".join(written).split())


def _clean_feature(tokens: Sequence[Token]) -> str:
    parts = [token for token in tokens if token.type not in ("whitespace", "comment")]
    if len(parts) != 3 or parts[0].type != "ident" or parts[0].lower_value not in _MEDIA_WORDS_WITHIN:
        return ""
    value = _write_number(parts[2], "") if parts[1].type == "literal" and parts[1].value == ":" else None
    return f"{parts[0].lower_value}:{value}" if value else ""


def _clean_selectors(prelude: Sequence[Token]) -> str:
    """Those of a list that are left; "" when none is."""
    groups: list[list[Token]] = [[]]
    for token in prelude:
        if token.type == "literal" and token.value == ",":
            groups.append([])
        elif token.type != "comment":
            groups[-1].append(token)
    return ",".join([each for each in map(_clean_selector, groups) if each])


def _clean_selector(tokens: Sequence[Token]) -> str:
    written: list[str] = []
    before = ""  # the delimiter that the next name belongs to
    for token in tokens:
        piece = _write_simple(token, before)
        if piece is None:
            return ""
        before = piece if piece in (".", ":") else ""
        written.append(piece)
    selector = "".join(written).strip()
    return "" if before or len(selector) > 1_000 else selector


def _write_simple(token: Token, before: str) -> str | None:
    """A piece of a selector; None: not for us."""
    kind = token.type
    if kind == "ident" and _NAME.fullmatch(token.value):
        if before == ":":
            return str(token.lower_value) if token.lower_value in _PSEUDO else None
        return f"{PREFIX}{token.value}" if before == "." else str(token.value)
    if before:
        return None
    if kind == "hash" and _NAME.fullmatch(token.value):
        return f"#{PREFIX}{token.value}"
    if kind == "whitespace":
        return " "
    if kind == "literal" and token.value in ("*", ".", ":", ">", "+", "~"):
        return str(token.value)
    return None


# -- declarations


def _clean_block(declarations: Iterable[Token], is_dark: bool) -> Iterator[str]:
    for each in declarations:
        if each.type != "declaration":
            continue
        name = each.lower_name
        if name == "background":
            name, value = "background-color", _pick_colour(each.value)
        else:
            value = _strip(each.value)
        if name not in _PROPERTIES or len(value) > 64:
            continue
        written = _write_value(name, value, is_dark)
        if written:
            yield f"{name}:{written}{'!important' if each.important else ''}"


def _pick_colour(value: Sequence[Token]) -> Sequence[Token]:
    """The colour of a `background`; its pictures are not shown."""
    for token in value:
        is_colour = token.type == "hash" or (token.type == "function" and token.lower_name in _COLOURS)
        if is_colour or (token.type == "ident" and darken(token.lower_value) is not None):
            return [token]
    return ()


def _strip(value: Sequence[Token]) -> Sequence[Token]:
    tokens = [token for token in value if token.type != "comment"]
    while tokens and tokens[-1].type == "whitespace":
        tokens.pop()
    while tokens and tokens[0].type == "whitespace":
        tokens.pop(0)
    return tokens


def _write_value(name: str, value: Sequence[Token], is_dark: bool) -> str:
    """Nothing when anything in it is unknown."""
    if name == "display" and not (len(value) == 1 and value[0].type == "ident" and value[0].lower_value in _DISPLAYS):
        return ""
    written: list[str] = []
    for token in value:
        piece = _write_token(name, token, is_dark)
        if piece is None:
            return ""
        written.append(piece)
    return "".join(written)


def _write_token(name: str, token: Token, is_dark: bool) -> str | None:
    match token.type:
        case "whitespace":
            return " "
        case "literal":
            return token.value if token.value in (",", "/") else None
        case "ident":
            return _write_name(name, token, is_dark)
        case "string":
            is_font = name in ("font", "font-family") and _FONT.fullmatch(token.value)
            return f"'{token.value}'" if is_font else None
        case "hash":
            return _write_colour(f"#{token.value}", is_dark) if _HASH.fullmatch(token.value) else None
        case "function":
            return _write_function(token, is_dark)
        case _:
            return _write_number(token, name)


def _write_name(name: str, token: Token, is_dark: bool) -> str | None:
    if not _NAME.fullmatch(token.value):
        return None
    if is_dark and name in _COLOURED and token.lower_value not in _NOT_COLOURS:
        return darken(token.lower_value) or str(token.value)
    return str(token.value)


def _write_function(token: Token, is_dark: bool) -> str | None:
    """Colours are all there is."""
    if token.lower_name not in _COLOURS or len(token.arguments) > 16:
        return None
    pieces: list[str] = []
    for argument in token.arguments:
        piece = " " if argument.type == "whitespace" else None
        if argument.type == "literal" and argument.value in (",", "/"):
            piece = argument.value
        elif argument.type in ("number", "percentage", "dimension"):
            piece = _write_number(argument, "")
        if piece is None:
            return None
        pieces.append(piece)
    return _write_colour(f"{token.lower_name}({''.join(pieces)})", is_dark)


def _write_colour(colour: str, is_dark: bool) -> str:
    return (darken(colour) if is_dark else None) or colour


def _write_number(token: Token, name: str) -> str | None:
    if token.type not in ("number", "percentage", "dimension") or not _NUMBER.fullmatch(token.representation):
        return None
    unit = ""
    if token.type == "dimension":
        unit = token.lower_unit
        if unit not in _UNITS and not (unit == "deg" and not name):
            return None
    elif token.type == "percentage":
        unit = "%"
    value = float(token.value)
    if value < 0.0 and name.startswith(("margin", "text-indent", "letter-", "word-", "padding", "line-")):
        return None
    limit = _MAX_FONT if name.startswith("font") and unit not in ("", "%") else _MAX_LENGTH
    if abs(value) > limit:
        return f"{limit:g}{unit}"
    return f"{token.representation}{unit}"
