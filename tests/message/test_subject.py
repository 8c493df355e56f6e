"""Base subjects (RFC 5256 §2.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.casemap import fold_case
from posthouse.message.subject import MAX_SUBJECT, base_subject


@pytest.mark.parametrize(
    ("subject", "base", "is_reply"),
    [
        ("hello", "hello", False),
        ("", "", False),
        ("Re: hello", "hello", True),
        ("RE : hello", "hello", True),
        ("Fw: Fwd: hello", "hello", True),
        ("re[2]: hello", "hello", True),
        ("re [list] : hello", "hello", True),
        ("re hello", "re hello", False),
        ("Report: hello", "Report: hello", False),
        ("[list] hello", "hello", False),
        ("[list] Re: hello", "hello", True),
        ("Re: [list] Re: hello", "hello", True),
        ("[one] [two]", "[two]", False),
        ("[one]", "[one]", False),
        ("Re: [one]", "[one]", True),
        ("hello (fwd)", "hello", True),
        ("hello (fwd) (FWD) ", "hello", True),
        ("[Fwd: hello]", "hello", True),
        ("[Fwd: [list] Re: hello (fwd)]", "hello", True),
        ("[Fwd: hello] and more", "and more", False),
        ("[Fwd: hello", "[Fwd: hello", False),
        ("a \t b\r\n c", "a b c", False),
        ("Re:", "", True),
        ("İstanbul Re: x", "İstanbul Re: x", False),
        ("Re: İİİ (fwd)", "İİİ", True),
    ],
)
def test_what_replies_and_lists_put_on_a_subject_is_taken_off(subject: str, base: str, is_reply: bool) -> None:
    assert base_subject(subject) == (base, is_reply)


@given(st.text(alphabet="rRefFwWdD:[]() abİ", max_size=60))
def test_a_base_subject_has_nothing_more_to_take_off(subject: str) -> None:
    base = base_subject(subject).text
    assert base_subject(base) == (base, False)


@pytest.mark.parametrize("piece", ["[a]", "re[a]", "[fwd:", "(fwd)", "re:", "[", "[a] re "])
def test_a_subject_made_to_be_slow_is_cut_and_read_once(piece: str) -> None:
    assert len(base_subject(piece * 100_000).text) <= MAX_SUBJECT


def test_texts_compare_without_regard_to_case_and_composition() -> None:
    assert fold_case("Grüße") == fold_case("GRU\u0308SSE")
    assert fold_case("abc") == "ABC"
    assert fold_case("ﬁn") == fold_case("FIN")
