"""Any octets make answers and nothing else, and cutting them into reads changes nothing."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.pop3_session_target import check_session

WORDS = [
    *(b"STAT\r\n", b"LIST\r\n", b"LIST 2\r\n", b"UIDL\r\n", b"UIDL 1\r\n", b"RETR 1\r\n", b"RETR 2\r\n", b"RETR 3\r\n"),
    *(b"TOP 2 1\r\n", b"TOP 1 0\r\n", b"DELE 1\r\n", b"DELE 2\r\n", b"RSET\r\n", b"NOOP\r\n", b"CAPA\r\n", b"QUIT\r\n"),
    *(b"USER alice@example.org\r\n", b"PASS right\r\n", b"PASS wrong\r\n", b"LANG\r\n", b"LANG *\r\n", b"UTF8\r\n"),
    *(b"AUTH\r\n", b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHJpZ2h0\r\n", b"AUTH LOGIN\r\n", b"AUTH PLAIN\r\n"),
    *(b"AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyPWNsaWVudA==\r\n", b"cmlnaHQ=\r\n", b"*\r\n", b"=\r\n"),
    *(b"\r", b"\n", b"\r\n", b" ", b"\x00\xff", b"RETR", b"y" * 300, b"A" * 13_000),
]


@given(st.booleans(), st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=6)), max_size=20))
@settings(max_examples=150, deadline=None)
def test_any_session_makes_only_answers(has_login: bool, parts: list[bytes]) -> None:
    asyncio.run(check_session(b"".join(parts), has_login=has_login))
