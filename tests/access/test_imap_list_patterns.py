"""Patterns of LIST against a model that tries everything; and that no pattern takes long."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.access.imap.listing_patterns import compile_patterns, literal_start

_NAMES = st.text("ab/", max_size=12)
_PATTERNS = st.text("ab/*%", max_size=9)


def _is_match(pattern: str, name: str) -> bool:
    """By the words of RFC 9051 §6.3.9, every way tried."""

    @cache
    def fits(p: int, n: int) -> bool:
        if p == len(pattern):
            return n == len(name)
        if pattern[p] in "*%":
            may_go_on = n < len(name) and (pattern[p] == "*" or name[n] != "/")
            return fits(p + 1, n) or (may_go_on and fits(p, n + 1))
        return n < len(name) and name[n] == pattern[p] and fits(p + 1, n + 1)

    return fits(0, 0)


@given(_PATTERNS, _NAMES)
def test_patterns_match_what_the_model_matches(pattern: str, name: str) -> None:
    assert compile_patterns([pattern])(name) == _is_match(pattern, name)


@given(st.lists(_PATTERNS, min_size=1, max_size=3), _NAMES)
def test_several_patterns_match_what_any_of_them_does(patterns: list[str], name: str) -> None:
    assert compile_patterns(patterns)(name) == any(_is_match(pattern, name) for pattern in patterns)


@given(_PATTERNS, _NAMES)
def test_every_match_begins_with_the_literal_start(pattern: str, name: str) -> None:
    assert not _is_match(pattern, name) or name.startswith(literal_start(pattern))


@pytest.mark.parametrize("name", ["a.b", "a+b", "(a", "[a]", "a\\b", "a|b", "^a$", "ä ö"])
def test_a_name_without_wildcards_matches_itself_alone(name: str) -> None:
    matches = compile_patterns([name])
    assert matches(name)
    assert not matches(name + "x")
    assert not matches("x" + name)


@pytest.mark.parametrize("pattern", ["inbox", "InBox", "in%", "*BOX", "iNb*"])
def test_inbox_matches_in_any_case(pattern: str) -> None:
    assert compile_patterns([pattern])("INBOX")


def test_inbox_above_others_matches_in_any_case() -> None:
    matches = compile_patterns(["inbox/%"])
    assert matches("INBOX/Work")
    assert not matches("INBOX/Work/Old")
    assert not matches("Inboxes/Work")


def test_only_inbox_matches_in_any_case() -> None:
    assert not compile_patterns(["inboxes"])("INBOXES")
    assert not compile_patterns(["SENT"])("Sent")


def test_nothing_is_tried_twice_however_many_wildcards_there_are() -> None:
    """A pattern that a matcher with backtracking does not finish in a lifetime."""
    name = "a" * 250
    assert not compile_patterns(["*a%" * 60 + "b"])(name)
    assert not compile_patterns(["%a*" * 60 + "b"])(name)
    assert compile_patterns(["*a%" * 60])(name)
