"""Unique-ids: one of each, the same in every session, those of a former server kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from posthouse.access.pop3.uidls import make_uidls


def test_ours_are_uidvalidity_and_uid() -> None:
    assert make_uidls(0x6B49D200, [1, 4095], {}) == ["6b49d20000000001", "6b49d20000000fff"]


def test_an_imported_one_is_kept() -> None:
    assert make_uidls(1, [1, 2], {2: "0000abcd.dovecot"}) == ["0000000100000001", "0000abcd.dovecot"]


def test_one_that_two_servers_gave_goes_to_the_first_message() -> None:
    assert make_uidls(1, [1, 2, 3], {1: "UID1", 3: "UID1"}) == ["UID1", "0000000100000002", "0000000100000003"]


def test_one_that_no_client_may_get_is_not_given() -> None:
    """RFC 1939 §7: 1 to 70 printable characters."""
    for bad in ("", "a b", "ü", "x" * 71, "a\r\nb"):
        assert make_uidls(1, [1], {1: bad}) == ["0000000100000001"]


def test_one_that_looks_like_ours() -> None:
    made = make_uidls(1, [1, 2], {2: "0000000100000001"})
    assert made == ["0000000100000001+", "0000000100000001"]


_NAMES = st.sampled_from(
    ["0000000100000001", "0000000100000001+", "0000000100000002", "0000000100000003", "a", "b", ""]
)


@given(st.dictionaries(st.integers(1, 6), _NAMES))
def test_no_two_messages_have_the_same_one(imported: dict[int, str]) -> None:
    made = make_uidls(1, range(1, 7), imported)
    assert len(set(made)) == len(made) == 6
    assert all(0 < len(each) <= 70 for each in made)
