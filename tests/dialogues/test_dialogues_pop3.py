"""Every POP3 dialogue script against a session: each exchange whole, byte by byte, cut at random places, pipelined."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dialogues.dialogue_script import read_script
from tests.dialogues.pop3_player import SCRIPTS, begin, play

each_script = pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])


def cut_whole(octets: bytes) -> Iterator[bytes]:
    yield octets


def cut_single(octets: bytes) -> Iterator[bytes]:
    for position in range(len(octets)):
        yield octets[position : position + 1]


@each_script
async def test_a_dialogue_read_whole(path: Path) -> None:
    await play(read_script(path), cut_whole)


@each_script
async def test_a_dialogue_read_byte_by_byte(path: Path) -> None:
    await play(read_script(path), cut_single)


@each_script
async def test_a_dialogue_read_in_random_splits(path: Path) -> None:
    script = read_script(path)
    for seed in range(5):
        chance = random.Random(seed)

        def cut_random(octets: bytes, chance: random.Random = chance) -> Iterator[bytes]:
            position = 0
            while position < len(octets):
                length = chance.choice((1, 2, 3, 5, 17, 100, 4096))
                yield octets[position : position + length]
                position += length

        await play(script, cut_random)


@each_script
async def test_a_dialogue_pipelined_in_one_read(path: Path) -> None:
    """RFC 2449 §6.6: the same answers in the same order, in one write. With TLS it must not be so: that has a test."""
    script = read_script(path)
    if any(step.kind == "TLS" for step in script.steps):
        assert "tls" in script.abilities
        return
    stepwise = await play(script, cut_whole)
    at_once = await begin(script)
    writes = len(at_once.talk.wire.writes)
    await at_once.feed(b"".join(step.octets for step in script.steps if step.kind == "C"))
    assert at_once.output == stepwise.output
    assert len(at_once.talk.wire.writes) == writes + 1
    assert await at_once.office.left() == await stepwise.office.left()
