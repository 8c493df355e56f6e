"""What may be in a page that was made of a hostile message, looked for with another parser than the one that made it.

    check_page(page)        # raises AssertionError, saying what should not be there

The lists are written down here once more on purpose: nothing of src is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import html5lib

CORPUS = Path(__file__).parent.parent / "corpora" / "hostile_html"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ELEMENTS = _words(
    """
    html head body meta title style details summary a abbr acronym address article aside b bdi bdo big blockquote br
    caption center cite code col colgroup dd del dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6
    header hr i img ins kbd li main mark nav ol p pre q s samp section small span strike strong sub sup table tbody
    td tfoot th thead time tr tt u ul var wbr
    """
)
_ATTRIBUTES = _words(
    """
    align alt bgcolor border cellpadding cellspacing class color colspan dir face height href hspace id lang loading
    noshade nowrap rel reversed rowspan size span src start style target title type valign value vspace width
    """
)
_OURS = {"meta", "head", "html"}
_CSS = re.compile(r"[A-Za-z0-9#%.,()/ !:;'_{}>+~*@\n\\-]*")
_BAD_CSS = re.compile(
    r"url|expression|import(?!ant)|behaviou?r|position|z-index|transform|animation|content:|\\|-moz|@(?!media)"
)
_LINK = re.compile(r"(?:https?|mailto|tel):", re.IGNORECASE)
_OWN_PICTURE = re.compile(r"/(?:image\?|preview/)")


def list_cases(ending: str) -> list[Path]:
    return sorted(CORPUS.glob(f"*.{ending}"))


def check_page(page: str) -> None:
    for element in _walk(html5lib.parse(page, treebuilder="etree", namespaceHTMLElements=True)):
        namespace, _, name = str(element.tag).rpartition("}")
        assert namespace == "{http://www.w3.org/1999/xhtml", f"{element.tag}: not HTML"
        assert name in _ELEMENTS, f"<{name}>"
        if name == "style":
            _check_css(element.text or "")
        for attribute, value in element.attrib.items():
            _check_attribute(name, str(attribute), str(value))


def list_elements(page: str) -> list[tuple[str, list[tuple[str, str]], str, str]]:
    """The tree as one list, in which two pages can be compared."""
    root = html5lib.parse(page, treebuilder="etree", namespaceHTMLElements=False)
    return [(str(each.tag), sorted(each.attrib.items()), each.text or "", each.tail or "") for each in root.iter()]


def _walk(root: Any) -> Iterator[Any]:
    """Elements; there must be no comments."""
    for element in root.iter():
        assert isinstance(element.tag, str), f"no element: {element!r}"
        yield element


def _check_attribute(element: str, name: str, value: str) -> None:
    if element in _OURS:
        return
    assert name in _ATTRIBUTES, f"<{element} {name}={value!r}>"
    if name == "href":
        assert element == "a" and _LINK.match(value), f"href={value!r}"
    elif name == "src":
        assert element == "img" and _OWN_PICTURE.match(value), f"src={value!r}"
    elif name == "target":
        assert value == "_blank"
    elif name == "rel":
        assert set(value.split()) == {"noopener", "noreferrer"}
    elif name in ("id", "class") and element != "details":
        for word in value.split():
            assert word.startswith("m-") or word in ("quote", "text", "signature"), f"{name}={value!r}"
    elif name == "style":
        _check_css(value)
    elif name in ("width", "height", "colspan", "rowspan"):
        assert re.fullmatch(r"\d{1,4}%?", value), f"{name}={value!r}"


def _check_css(css: str) -> None:
    if css.startswith("html{color-scheme"):
        return  # of every page; no message can write that
    assert _CSS.fullmatch(css), css
    found = _BAD_CSS.search(css)
    assert found is None, css
    for number in re.findall(r"(?<![\w#-])\d+", css):
        assert int(number) <= 4_000, css
