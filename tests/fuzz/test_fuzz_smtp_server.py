"""Any octets make events or replies and nothing else, and cutting them into reads changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.auth_player import AuthPlayer
from tests.fuzz.smtp_server_target import KINDS, WITH_AUTH, check_session, run

SEEDS = sorted((Path(__file__).parent / "seeds" / "smtp_server").iterdir())

WORDS = [
    b"EHLO c.example\r\n",
    b"HELO c.example\r\n",
    b"LHLO c.example\r\n",
    b"MAIL FROM:<a@b.example>\r\n",
    b"MAIL FROM:<> BODY=BINARYMIME\r\n",
    b"MAIL FROM:<\xc3\xbc@b.example> SMTPUTF8\r\n",
    b"MAIL FROM:<nodata@b.example>\r\n",
    b"RCPT TO:<c@d.example>\r\n",
    b"RCPT TO:<unknown@d.example>\r\n",
    b"RCPT TO:<gone@d.example>\r\n",
    b"DATA\r\n",
    b"BDAT 3\r\n",
    b"BDAT 2 LAST\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 70\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"QUIT\r\n",
    b"STARTTLS\r\n",
    b"XCLIENT NAME=x\r\n",
    b"ETRN d.example\r\n",
    b".\r\n",
    b"..\r\n",
    b".",
    b"\r",
    b"\n",
    b"\r\n",
    b"a: b\r\n",
    b"text",
    b"\x00\xff",
    b"y" * 70,
    b"z" * 5000,
    b"AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n",
    b"AUTH PLAIN AGFsaWNlAHdyb25n\r\n",
    b"AUTH LOGIN\r\n",
    b"YWxpY2U=\r\n",
    b"cmlnaHQ=\r\n",
    b"AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyPWNsaWVudA==\r\n",
    b"AUTH XOAUTH2 dXNlcj0BYXV0aD1CZWFyZXIgeAEB\r\n",
    b"*\r\n",
    b"=\r\n",
    b"A" * 13000,
]
BEGIN = b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"


@given(
    st.integers(0, len(KINDS) - 1),
    st.sampled_from([b"", BEGIN, BEGIN + b"DATA\r\n", BEGIN.replace(b"EHLO", b"LHLO"), b"EHLO c.example\r\n"]),
    st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=6)), max_size=40),
)
@settings(max_examples=600, deadline=None)
def test_any_session_makes_only_events_and_replies(kind: int, start: bytes, parts: list[bytes]) -> None:
    check_session(bytes([kind]) + start + b"".join(parts))


@pytest.mark.parametrize("path", SEEDS, ids=[path.name for path in SEEDS])
def test_a_kept_seed_still_holds_in_every_kind_of_session(path: Path) -> None:
    octets = path.read_bytes()[1:]
    for kind in range(len(KINDS)):
        check_session(bytes([kind]) + octets)


@pytest.mark.parametrize("path", [path for path in SEEDS if path.name.startswith("auth_")], ids=lambda path: path.name)
def test_the_seeds_of_logins_get_as_far_as_their_names_say(path: Path) -> None:
    player = run(WITH_AUTH, [path.read_bytes()[1:]])
    assert isinstance(player, AuthPlayer)
    assert player.accepted == ("right" in path.name or path.name == "auth_external")
    assert len(player.messages) == 1
