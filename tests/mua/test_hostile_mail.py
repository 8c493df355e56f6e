"""Hostile HTML: every case of tests/corpora/hostile_html is made harmless, as another parser sees it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from posthouse.mua.frame import POLICY, write_page
from posthouse.mua.plain import render_plain
from posthouse.mua.sanitise import TooComplex, Wishes, sanitise
from tests.mua.hostile_check import check_page, list_cases, list_elements

CASES = list_cases("html")


def show(page: str, *, with_pictures: bool = True, is_dark: bool = False) -> str:
    """As /view does."""

    def find(url: str) -> str | None:
        if url.startswith("cid:"):
            return f"/preview/A1/{quote(url[4:], safe='')}"
        return f"/image?url={quote(url, safe='')}" if with_pictures else None

    try:
        clean = sanitise(page, Wishes(find, is_dark))
    except TooComplex:
        return write_page([render_plain(page)])
    return write_page([clean.html], clean.css, is_dark=is_dark)


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_of_a_hostile_message_nothing_is_left_that_could_do_anything(case: Path) -> None:
    page = case.read_bytes().decode("utf-8")
    for with_pictures in (False, True):
        for is_dark in (False, True):
            check_page(show(page, with_pictures=with_pictures, is_dark=is_dark))


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_what_was_made_harmless_stays_the_same_when_it_is_read_again(case: Path) -> None:
    """Mutation: what a serialiser writes must be what a parser reads."""
    try:
        once = sanitise(case.read_bytes().decode("utf-8")).html
    except TooComplex:
        return
    again = sanitise(once).html.replace('class="m-m-', 'class="m-').replace('id="m-m-', 'id="m-')
    assert list_elements(again) == list_elements(once)


def test_there_are_enough_cases() -> None:
    assert len(CASES) + len(list_cases("eml")) >= 150


@pytest.mark.parametrize(
    "bad",
    [
        "<script>alert(1)</script>",
        "<svg></svg>",
        "<p onclick=x>",
        "<a href='javascript:x'>",
        "<img src=https://attacker.example/x>",
        "<p style='background:url(x)'>",
        "<style>@import 'x'</style>",
        "<p style='position:fixed'>",
        "<form><input></form>",
        "<!-- comment -->",
        "<p id=document>",
        "<a href='https://x/' target=_top>",
    ],
)
def test_the_check_sees_what_is_not_harmless(bad: str) -> None:
    with pytest.raises(AssertionError):
        check_page(write_page([bad]))


def test_the_policy_of_a_message_lets_nothing_run_or_load() -> None:
    rules = dict(rule.strip().partition(" ")[::2] for rule in POLICY.split(";"))
    assert "allow-scripts" not in rules["sandbox"]
    assert "allow-same-origin" not in rules["sandbox"]
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "'self' data:"
    assert "script-src" not in rules
    assert rules["form-action"] == rules["base-uri"] == "'none'"
