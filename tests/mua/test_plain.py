"""Plain text as HTML, and what is quoted in a fold."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.mua.frame import fold_quote, write_page
from posthouse.mua.plain import Flow, link_text, render_plain
from posthouse.mua.sanitise import sanitise
from tests.mua.hostile_check import check_page


def link(url: str, shown: str | None = None) -> str:
    return f'<a href="{url}" rel="noopener noreferrer" target="_blank">{shown or url}</a>'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://a.example/b.", f"see {link('https://a.example/b')}."),
        ("(https://a.example/b_(c))", f"({link('https://a.example/b_(c)')})"),
        ("<https://a.example/?x=1&y=2>", f"&lt;{link('https://a.example/?x=1&amp;y=2')}&gt;"),
        ("www.a.example!", f"{link('https://www.a.example', 'www.a.example')}!"),
        ("to bob@a.example, please", f"to {link('mailto:bob@a.example', 'bob@a.example')}, please"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ('"><script>', "&quot;&gt;&lt;script&gt;"),
        ("https://", "https://"),
        ("https://münchen.example/ä", link("https://münchen.example/ä")),
    ],
)
def test_links_are_found_in_text(text: str, shown: str) -> None:
    assert link_text(text) == shown


def test_levels_of_quotation_are_nested() -> None:
    assert render_plain("> > a\n> b\nc") == (
        '<div class="text"><blockquote class="quote"><blockquote class="quote"><div>a</div></blockquote>'
        "<div>b</div></blockquote><div>c</div></div>"
    )


def test_a_signature_is_set_apart() -> None:
    assert render_plain("Hi\n-- \nBob") == (
        '<div class="text"><div>Hi</div><div class="signature">-- \nBob</div></div>'
    )


def test_flowed_lines_are_joined() -> None:
    """RFC 3676 §4.2: a line that ends with a space goes on in the next one of the same depth."""
    assert "<div>one two\nthree</div>" in render_plain("one \ntwo\nthree", Flow())
    assert "<div>onetwo</div>" in render_plain("one \ntwo", Flow(is_deleting=True))


def test_flowed_lines_of_another_depth_are_not_joined() -> None:
    """RFC 3676 §4.5."""
    text = render_plain("> one \ntwo", Flow())
    assert "<div>one </div></blockquote><div>two</div>" in text


def test_the_line_above_a_flowed_signature_is_no_part_of_it() -> None:
    """RFC 3676 §4.3."""
    assert '<div>one </div><div class="signature">-- \nBob</div>' in render_plain("one \n-- \nBob", Flow())


def test_stuffed_spaces_are_taken_away() -> None:
    """RFC 3676 §4.4."""
    assert "<div>&gt; no quotation\n From here</div>" in render_plain(" > no quotation\n  From here", Flow())


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, ">" * 1_000_000, "http://" * 100_000, "x@" * 300_000, "a.a" * 300_000]
)
def test_long_lines_take_no_time(text: str) -> None:
    started = time.process_time()
    render_plain(text, Flow())
    assert time.process_time() - started < 5.0


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="> <a@x.\"'&:/htps\n-", max_size=80))
def test_whatever_text_there_is_comes_out_harmless(text: str) -> None:
    for flow in (None, Flow()):
        check_page(write_page([render_plain(text, flow)]))


# -- folds


def test_what_is_quoted_at_the_end_is_folded() -> None:
    page = fold_quote(
        sanitise("<p>Yes.</p><blockquote type=cite>Shall we?<blockquote>x</blockquote></blockquote>").html
    )
    assert page.startswith("<p>Yes.</p><details ")
    assert page.endswith("</blockquote></details>")
    page = fold_quote(sanitise("<p>Yes.</p><div class=gmail_quote><div>On Monday</div></div><p>Bye").html)
    assert page.count("<details") == 1
    check_page(write_page([page]))


def test_who_answers_below_or_only_quotes_is_not_folded() -> None:
    for html in (
        "<blockquote type=cite>Shall we?</blockquote>",
        f"<p>On Monday</p><blockquote type=cite>Shall we?</blockquote><p>{'Yes. ' * 200}</p>",
        "<p>no quotation</p>",
    ):
        assert "<details" not in fold_quote(sanitise(html).html)


def test_plain_text_is_folded_as_well() -> None:
    assert "<details" in fold_quote(render_plain("Yes.\n\n> Shall we?\n"))
