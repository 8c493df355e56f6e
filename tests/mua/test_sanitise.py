"""Harmless mail stays what it was: the sanitiser, its CSS, colours in the dark, limits."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.mua.colours import darken
from posthouse.mua.css import clean_sheet, clean_style
from posthouse.mua.frame import write_page
from posthouse.mua.sanitise import MAX_PAGE, TooComplex, Wishes, sanitise
from tests.mua.hostile_check import check_page

# -- what stays


@pytest.mark.parametrize(
    "html",
    [
        "<p>Hello <b>you</b>, <i>and</i> <u>all</u><br>there</p>",
        '<h1>a</h1><ul><li>b</li></ul><ol start="3"><li>c</li></ol><hr>',
        '<table border="1" bgcolor="#ffffff"><tbody><tr><td colspan="2" align="right">x</td></tr></tbody></table>',
        '<font color="#ff0000" size="-1" face="Arial, sans-serif">x</font>',
        "<p style=\"color:#333;font:14px/1.5 'Open Sans',Arial;margin:0 auto;padding:10px 5%\">x</p>",
        '<blockquote type="cite">old</blockquote>',
        "<pre>a\n  b</pre>",
        '<p dir="rtl" lang="he">שלום</p>',
        "<center><small>x</small></center>",
    ],
)
def test_what_ordinary_mail_is_made_of_stays(html: str) -> None:
    assert sanitise(html).html == html


def test_links_open_elsewhere_and_tell_nothing() -> None:
    for url in ("https://a.example/?x=1&amp;y=2", "http://a.example/", "mailto:a@b.example", "tel:+49123"):
        html = sanitise(f'<a href="{url}" target="_self">x</a>').html
        assert html == f'<a href="{url}" target="_blank" rel="noopener noreferrer">x</a>'


def test_a_body_element_keeps_its_colours() -> None:
    clean = sanitise('<html><body bgcolor="#eeeeee" style="color:red"><p>x</p></body></html>')
    assert clean.css.startswith("body{background-color:#eeeeee}")
    assert clean.html == '<div style="color:red"><p>x</p></div>'


def test_classes_of_elements_and_of_sheets_get_the_same_prefix() -> None:
    clean = sanitise("<style>.a b, #c > .d{color:red}</style><p class='a' id=c>x")
    assert clean.css == ".m-a b,#m-c > .m-d{color:red}"
    assert clean.html == '<p class="m-a" id="m-c">x</p>'


def test_no_message_can_call_something_a_quotation_of_ours() -> None:
    assert 'class="quote' not in sanitise("<div class='quote'>x</div>").html
    assert sanitise("<div class='gmail_quote'>x</div>").html.startswith('<div class="quote m-gmail_quote">')


def test_pictures_that_are_left_out_are_counted() -> None:
    clean = sanitise("<img src=https://a.example/1><img src=//b.example/2><img src=cid:x><img src=data:x>")
    assert clean.blocked == 3
    assert clean.found == []


def test_pictures_become_what_the_finder_says() -> None:
    asked: list[str] = []

    def find(url: str) -> str:
        asked.append(url)
        return "/image?1"

    clean = sanitise("<img src=' HTTPS://a.example/1&#10;2 '><img src='//b.example/'>", Wishes(find))
    assert asked == ["HTTPS://a.example/12", "https://b.example/"] == clean.found
    assert clean.html.count('src="/image?1"') == 2


# -- CSS


def test_ordinary_declarations_stay() -> None:
    for style in ("color:red", "width:50%", "font-family:'A B',serif", "border:1px solid #ccc", "line-height:1.4"):
        assert clean_style(style) == style
    assert clean_style("COLOR : Red ! IMPORTANT ; ; width:1px") == "color:Red!important;width:1px"


def test_of_a_background_with_a_picture_the_colour_stays() -> None:
    assert clean_style("background:url(x) no-repeat #fff") == "background-color:#fff"
    assert clean_style("background:rgb(1,2,3)") == "background-color:rgb(1,2,3)"
    assert clean_style("background:none") == ""


def test_media_queries_for_narrow_screens_stay() -> None:
    sheet = "@media only screen and (max-width: 600px) { .a { width: 100% !important } }"
    assert clean_sheet(sheet) == "@media only screen and (max-width:600px){.m-a{width:100%!important}}"
    assert clean_sheet("@media (prefers-color-scheme:dark){p{color:red}}") == ""


def test_of_a_list_of_selectors_those_that_are_known_stay() -> None:
    assert clean_sheet("p[title], p::before, a:hover, q{color:red}") == "a:hover,q{color:red}"


def test_lengths_are_bounded() -> None:
    assert clean_style("width:100000px") == "width:4000px"
    assert clean_style("font-size:1000px") == "font-size:96px"
    assert clean_style("margin:-5px") == ""


def test_too_much_css_is_left_out() -> None:
    assert clean_sheet("p{color:red}" * 100_000) == ""
    assert clean_style("color:red;" * 1_000) == ""


# -- in the dark


def test_dark_text_on_white_becomes_light_text_on_black() -> None:
    assert darken("#000") == "rgb(232,232,232)"
    assert darken("white") == "rgb(28,28,28)"
    assert darken("rgba(0,0,0,.5)") == "rgba(232,232,232,0.5)"
    assert darken("no colour") is None


def test_a_hue_stays_in_the_dark() -> None:
    assert clean_style("color:#00f", is_dark=True) == "color:rgb(149,149,246)"
    assert sanitise("<font color=blue>x", Wishes(is_dark=True)).html == '<font color="#9595f6">x</font>'
    assert clean_sheet("p{background:#fff}", is_dark=True) == "p{background-color:rgb(28,28,28)}"


# -- limits


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 100_000,
        "<font><p>" * 50_000,
        "".join(f"<b id=x{number}>" for number in range(900)) + "<p>" * 50_000,
        "<table><td>" * 20_000,
        "<a><p>" * 30_000,
        "x" * (MAX_PAGE + 1),
        "<br>" * 300_000,
        "&" * 1_000_000,
    ],
    ids=["nested", "left open", "made anew", "tables", "links", "long", "many", "references"],
)
def test_a_page_that_would_take_long_is_refused_at_once(page: str) -> None:
    started = time.process_time()
    with pytest.raises(TooComplex):
        sanitise(page)
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize(
    "page",
    [
        "<style>" + "(" * 100_000 + "</style>",
        "<style>a{" + "{" * 100_000 + "</style>",
        "<style>" + "@media all{" * 20_000 + "</style>",
        "<p style='" + "(" * 8_000 + "'>",
        "<p " + "a=b " * 300_000 + ">",
        "<p class='" + "a " * 300_000 + "'>",
        "<!--" * 500_000,
        "<" * 1_000_000,
        "&" * 50_000,
    ],
)
def test_tricks_against_parsers_take_no_time(page: str) -> None:
    started = time.process_time()
    sanitise(page)
    assert time.process_time() - started < 10.0


_PIECES = st.sampled_from(
    [
        *("<svg>", "<math>", "<style>", "</style>", "<p>", "</p>", "<table>", "<td>", "<b>", "<a href=javascript:x>"),
        *("<!--", "-->", "<![CDATA[", "]]>", "<img src=x onerror=y>", "<title>", "</title>", "<mglyph>", "<mtext>"),
        *(
            "<foreignObject>",
            "<template>",
            "<select>",
            "<option>",
            "<script>",
            "</script>",
            "<noscript>",
            "</noscript>",
        ),
        *(
            "p{color:red}",
            "url(x)",
            '"',
            "'",
            "<",
            ">",
            "&lt;",
            "\x00",
            "<textarea>",
            "<xmp>",
            "<desc>",
            "</svg>",
            "<form>",
        ),
        *(
            "style='position:fixed'",
            "<p style='x:y",
            ' title="',
            "=",
            "/",
            "<annotation-xml encoding=text/html>",
            "<body ",
        ),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_PIECES, max_size=25))
def test_whatever_is_put_together_comes_out_harmless(pieces: list[str]) -> None:
    clean = sanitise("".join(pieces), Wishes(lambda _: "/image?x"))
    check_page(write_page([clean.html], clean.css))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="pcolr:ed;{}()@\\/*\"'<>-.#,5% url!\n", max_size=60))
def test_whatever_css_there_is_comes_out_harmless(css: str) -> None:
    check_page(write_page([f'<p style="{clean_style(css)}">x</p>'], clean_sheet(css)))
