"""Text made comparable without regard to case."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.casemap import fold_case

PADDING = "Plain letters, as most of what is written in the West is made of, so that others are few. "
SOME = st.one_of(st.characters(), st.sampled_from("ßﬁﾞ\u0301\u0323é…”İıΐ"))


@given(st.lists(SOME, max_size=4), st.integers(0, 90), st.booleans())
def test_few_characters_among_many_letters_fold_as_they_do_alone(some: list[str], at: int, is_long: bool) -> None:
    text = PADDING[:at] + "".join(some) + PADDING[at:] * (3 if is_long else 1)
    assert fold_case(text) == unicodedata.normalize("NFKD", text).upper()


@given(st.text(st.one_of(SOME, st.characters(codec="ascii"))))
def test_any_text_is_decomposed_and_in_upper_case(text: str) -> None:
    assert fold_case(text) == unicodedata.normalize("NFKD", text).upper()


@given(st.text(max_size=20), st.text(max_size=5), st.text(max_size=20))
def test_what_a_text_contains_it_contains_folded(before: str, word: str, after: str) -> None:
    assert fold_case(word) in fold_case(f"{before} {word} {after}")
