"""Any octets make events and nothing else, and cutting them into reads changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.imap_server_target import KINDS, check_session

SEEDS = sorted((Path(__file__).parent / "seeds" / "imap_server").iterdir())

WORDS = [
    b"a NOOP\r\n",
    b"a UID ",
    b"a FETCH ",
    b"a SEARCH ",
    b"a APPEND x ",
    b"a AUTHENTICATE PLAIN\r\n",
    b"a IDLE\r\n",
    b"DONE\r\n",
    b"AGEAYg==\r\n",
    b"*\r\n",
    b"a LOGIN ",
    b"{3+}\r\n",
    b"{3}\r\n",
    b"~{5+}\r\n",
    b"{45+}\r\n",
    b"{45}\r\n",
    b"{99999999999999999999+}\r\n",
    b"1:*,5 ",
    b"FLAGS ",
    b"BODY[HEADER.FIELDS (",
    b"BODY.PEEK[1.2.MIME]<0.5> ",
    b"OR ",
    b"NOT ",
    b"FUZZY ",
    b"(",
    b")",
    b'"a\\"b" ',
    b"SINCE 1-Jan-2020 ",
    b"RETURN (PARTIAL 1:2 COUNT) ",
    b"CATENATE (URL x TEXT ",
    b"UTF8 (",
    b"a NOTIFY SET (selected (MessageNew (UID) MessageExpunge))",
    b"a SELECT x (QRESYNC (1 2 3 (4 5)))",
    b"a GETMETADATA (DEPTH 1) x (/private/a)",
    b"a UID SUBMIT 1 (RECIPIENT a DSN (DELAY))",
    b"\r\n",
    b"\r",
    b"\n",
    b"\x00\xff",
    b"x" * 90,
    b"y" * 70_000,
]


@given(
    st.integers(0, len(KINDS) - 1),
    st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=6)), max_size=30),
)
@settings(max_examples=300, deadline=None)
def test_any_session_makes_only_events(kind: int, parts: list[bytes]) -> None:
    check_session(bytes([kind]) + b"".join(parts))


@pytest.mark.parametrize("path", SEEDS, ids=[path.name for path in SEEDS])
def test_a_kept_seed_still_holds_in_every_kind_of_session(path: Path) -> None:
    for kind in range(len(KINDS)):
        check_session(bytes([kind]) + path.read_bytes()[1:])
