"""Every IMAP dialogue script against sessions on a store in memory: each exchange whole, byte by byte, cut at random
places, pipelined; and whether the scripts leave out a command, a capability or a response code.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dialogues.imap_player import begin, play
from tests.dialogues.imap_script import SCRIPTS, read_script

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
    script = read_script(path)
    await play(script, cut_whole if "whole" in script.abilities else cut_single)


@each_script
async def test_a_dialogue_read_in_random_splits(path: Path) -> None:
    script = read_script(path)
    if "whole" in script.abilities:
        return
    for seed in range(2):
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
    """The same answers in the same order (RFC 9051 §5.5), in few writes."""
    script = read_script(path)
    if not script.is_for_one:
        return
    stepwise = await play(script, cut_whole)
    at_once = await begin(script)
    await at_once.send(1, stepwise.sent, cut_whole)
    assert at_once.output[1] == stepwise.output[1]
