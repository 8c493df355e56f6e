"""Every dialogue script against the core: each exchange whole, byte by byte, and cut at random places."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.protocol.smtp import server as smtp
from tests.dialogues.dialogue_player import Player, make_core, play
from tests.dialogues.dialogue_script import list_scripts, read_script

SCRIPTS = list_scripts()
NAMES = [path.stem for path in SCRIPTS]


def cut_whole(octets: bytes) -> Iterator[bytes]:
    yield octets


def cut_single(octets: bytes) -> Iterator[bytes]:
    for position in range(len(octets)):
        yield octets[position : position + 1]


@pytest.mark.parametrize("path", SCRIPTS, ids=NAMES)
def test_a_dialogue_read_whole(path: Path) -> None:
    play(read_script(path), cut_whole)


@pytest.mark.parametrize("path", SCRIPTS, ids=NAMES)
def test_a_dialogue_read_byte_by_byte(path: Path) -> None:
    play(read_script(path), cut_single)


@pytest.mark.parametrize("path", SCRIPTS, ids=NAMES)
def test_a_dialogue_read_in_random_splits(path: Path) -> None:
    script = read_script(path)
    for seed in range(20):
        chance = random.Random(seed)

        def cut_random(octets: bytes, chance: random.Random = chance) -> Iterator[bytes]:
            position = 0
            while position < len(octets):
                length = chance.choice((1, 2, 3, 5, 17, 100, 4096, 10000))
                yield octets[position : position + length]
                position += length

        play(script, cut_random)


@pytest.mark.parametrize("path", SCRIPTS, ids=NAMES)
def test_a_dialogue_pipelined_in_one_read(path: Path) -> None:
    """The same replies come out in the same order. With TLS it must not be so: that has tests of its own."""
    script = read_script(path)
    if any(step.kind == "TLS" for step in script.steps):
        assert "tls" in script.abilities
        return
    stepwise = play(script, cut_whole)
    at_once = Player(make_core(script.settings, script.abilities))
    at_once.feed(b"".join(step.octets for step in script.steps if step.kind == "C"))
    assert at_once.output == stepwise.output
    assert at_once.events == stepwise.events
    assert at_once.messages == stepwise.messages


def test_a_core_left_alone_in_mid_message_says_so_in_the_log_phrase() -> None:
    player = Player(make_core({}))
    player.feed(b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n")
    assert player.core.phase == "receiving the message"
    assert player.core.timeout_s == 180.0
    assert player.core.state is smtp.State.BODY
