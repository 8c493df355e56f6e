"""What must hold for any octets a POP3 client may send: a session on a maildrop of three messages.

The octets are read whole and again cut into pieces whose lengths they decide themselves, and both must come to the
same: the same answers, the same messages left. Then the connection is gone, and nothing is held any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from posthouse.message.mailbox import Flag
from tests.access.pop3_kit import LOGIN, open_office
from tests.dialogues.pop3_player import MAIL

_FIRST = re.compile(rb"(?:\+OK|-ERR|\+ )[^\r\n]{0,508}\r\n")
_QUIT = re.compile(rb"quit", re.IGNORECASE)


def cut_by_itself(octets: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(octets):
        length = 1 + octets[position] % 23
        yield octets[position : position + length]
        position += length


async def run(pieces: Sequence[bytes], *, has_login: bool) -> tuple[bytes, dict[int, Flag]]:
    office = await open_office(*MAIL)
    talk = office.open(can_tls=True)
    output = await talk.begin()
    for piece in [LOGIN, *pieces] if has_login else pieces:
        output += await talk.say(piece)
    await talk.lose()
    assert not office.maildrops.locked
    assert not office.slots.entered
    assert not [event for _, event, _ in office.log.events if event != "logged in"]
    return output, await office.left()


async def check_session(octets: bytes, *, has_login: bool) -> None:
    output, left = await run([octets], has_login=has_login)
    assert (output, left) == await run(list(cut_by_itself(octets)), has_login=has_login)
    _check_form(output)
    if not _QUIT.search(octets):
        assert left == {1: Flag(0), 2: Flag(0), 3: Flag(0)}


def _check_form(output: bytes) -> None:
    """Every answer begins as one, and what belongs to a long one ends with its dot."""
    assert output.endswith(b"\r\n")
    position = 0
    while position < len(output):
        first = _FIRST.match(output, position)
        assert first, output[position : position + 80]
        position = first.end()
        if not _FIRST.match(output, position) and position < len(output):
            end = output.find(b"\r\n.\r\n", position - 2)
            assert end >= 0, output[position : position + 80]
            position = end + 5
